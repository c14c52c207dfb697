//! The command line: one table of commands and flags, a parser that only parses, one file a command.

mod check_etcd;
mod cluster;
pub mod completions;
mod confirm;
pub mod duration;
pub mod exit;
mod explain;
pub mod flags;
mod forget;
mod go_on;
pub mod help;
mod history;
pub mod man;
pub mod man_configuration;
pub mod moment;
pub mod parse;
mod pause;
mod release;
mod request;
mod reset_budget;
mod resume;
mod roff;
mod run;
mod simulate;
mod status;
mod validate_config;
mod verify_history;
mod version;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use self::exit::Exit;
use self::parse::{Command, Invocation};

use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};

use crate::clean::clean;

/// Does what the command line says.
pub fn main() -> ExitCode {
    keep_out_of_dumps();
    if std::env::args_os().len() <= 1 {
        complain(help::text(None).trim_end());
        return Exit::Usage.into();
    }
    let exit = match parse::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => dispatch(&invocation),
        Err(why) => {
            complain(&format!(
                "reboot-coordinator: {why}\nTry `reboot-coordinator help`."
            ));
            Exit::Usage
        }
    };
    if exit == Exit::Done && UNWRITTEN.load(Ordering::Relaxed) {
        return Exit::Failure.into();
    }
    exit.into()
}

/// The password and key of etcd are in our memory: the kernel writes no core of it. What we start has cores as always. Of a user
/// that is not root, `/proc/self` would be closed to the process itself.
fn keep_out_of_dumps() {
    if geteuid().is_root() {
        // Without it there is still the unit's LimitCORE=0.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Something could not be written to standard output, though somebody reads.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Help and version come first and touch no file, so that they work whatever the configuration is.
fn dispatch(invocation: &Invocation) -> Exit {
    match &invocation.command {
        Command::Help(topic) => {
            print(help::text(*topic).trim_end());
            Exit::Done
        }
        Command::Version => version::version(invocation.json),
        Command::ValidateConfig { windows } => {
            validate_config::validate_config(&invocation.config, *windows, invocation.json)
        }
        Command::CheckEtcd => check_etcd::check_etcd(&invocation.config, invocation.json),
        Command::Run(options) => run::run(&invocation.config, options),
        Command::Simulate { health } => {
            simulate::simulate(&invocation.config, *health, invocation.json)
        }
        Command::Pause(options) => pause::pause(&invocation.config, options),
        Command::Resume => resume::resume(&invocation.config),
        Command::Release { node, reason, yes } => {
            release::release(&invocation.config, node, reason, *yes)
        }
        Command::Request(options) => request::request(&invocation.config, options),
        Command::GoOn { reason, nodes } => go_on::go_on(&invocation.config, reason, *nodes),
        Command::ResetBudget { node, reason } => {
            reset_budget::reset_budget(&invocation.config, node, reason)
        }
        Command::Status { watch, verbose } => {
            let (json, verbose) = (invocation.json, *verbose);
            status::status(&invocation.config, status::Form { json, verbose }, *watch)
        }
        Command::Explain { node, at } => {
            explain::explain(&invocation.config, node.as_deref(), *at, invocation.json)
        }
        Command::History => history::history(&invocation.config, invocation.json),
        Command::VerifyHistory { from } => {
            verify_history::verify_history(&invocation.config, *from, invocation.json)
        }
        Command::Completions(shell) => {
            print(completions::script(*shell).trim_end());
            Exit::Done
        }
        Command::Names { claims } => completions::names(&invocation.config, *claims),
        Command::Forget { node } => forget::forget(&invocation.config, node),
    }
}

/// Writes a text and a newline to standard output. Whoever closed it (`| head`) has seen enough; that is no failure.
pub(crate) fn print(text: &str) {
    let _ = print_if_open(text);
}

/// Like [`print`], and whether anybody still reads.
fn print_if_open(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", clean(text)).and_then(|()| out.flush());
    if let Err(error) = &written
        && error.kind() != std::io::ErrorKind::BrokenPipe
        && !UNWRITTEN.swap(true, Ordering::Relaxed)
    {
        complain(&format!(
            "reboot-coordinator: standard output cannot be written: {error}"
        ));
    }
    written.is_ok()
}

/// Writes a text and a newline to standard error. When even that is closed there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
}
