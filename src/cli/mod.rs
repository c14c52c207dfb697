//! The command line: one table of commands and flags, a parser that only parses, one file a command.

mod check_etcd;
mod cluster;
pub mod commands;
mod completions;
mod confirm;
pub mod duration;
pub mod exit;
mod explain;
pub mod flags;
mod forget;
mod go_on;
pub mod help;
mod history;
pub mod invocation;
pub mod moment;
mod output;
pub mod parse;
mod pause;
mod release;
mod request;
mod reset_budget;
mod run;
mod simulate;
mod status;
mod validate_config;
mod verify_history;
mod version;

use std::process::ExitCode;

use self::cluster::{failed, load, reading, writing};
use self::exit::Exit;
use self::invocation::{Command, Invocation};
use self::output::{complain, is_unwritten, print};

use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};

/// Does what the command line says.
pub fn main() -> ExitCode {
    keep_out_of_dumps();
    let exit = match parse::parse(std::env::args_os().skip(1)) {
        _ if std::env::args_os().len() <= 1 => {
            complain(help::text(None).trim_end());
            Exit::USAGE
        }
        Ok(invocation) => dispatch(&invocation).unwrap_or_else(|exit| exit),
        Err(why) => {
            complain(&format!(
                "reboot-coordinator: {why}\nTry `reboot-coordinator help`."
            ));
            Exit::USAGE
        }
    };
    match exit {
        Exit::DONE if is_unwritten() => Exit::FAILURE.0.into(),
        _ => exit.0.into(),
    }
}

/// The password and key of etcd are in our memory: the kernel writes no core of it. What we start has cores as always. Of a user
/// that is not root, `/proc/self` would be closed to the process itself.
fn keep_out_of_dumps() {
    if geteuid().is_root() {
        // Without it there is still the unit's LimitCORE=0.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Help and version come first and touch no file, so that they work whatever the configuration is.
fn dispatch(invocation: &Invocation) -> Result<Exit, Exit> {
    let (config, json) = (&invocation.config, invocation.json);
    match &invocation.command {
        Command::Help(topic) => {
            print(help::text(*topic).trim_end());
            Ok(Exit::DONE)
        }
        Command::Version => Ok(version::version(json)),
        Command::ValidateConfig(windows) => {
            validate_config::validate_config(config, *windows, json)
        }
        Command::CheckEtcd => check_etcd::check_etcd(config, json),
        Command::Run { mode, dry_run } => run::run(config, *mode, *dry_run),
        Command::Simulate(health) => simulate::simulate(config, *health, json),
        Command::Pause(options) => writing(config, |it| pause::pause(it, options)),
        Command::Resume => writing(config, pause::resume),
        Command::Release { node, reason, yes } => {
            writing(config, |it| release::release(it, node, reason, *yes))
        }
        Command::Request(options) => writing(config, |it| request::request(it, options)),
        Command::GoOn { reason, nodes } => writing(config, |it| go_on::go_on(it, reason, *nodes)),
        Command::ResetBudget { node, reason } => {
            writing(config, |it| reset_budget::reset_budget(it, node, reason))
        }
        Command::Forget(node) => writing(config, |it| forget::forget(it, node)),
        Command::Status { watch, verbose } => {
            let show = if *watch {
                status::watch
            } else {
                status::status
            };
            reading(config, |it| show(it, json, *verbose))
        }
        Command::Explain { node, at } => {
            let config = load(config)?;
            explain::explain(&config, node.as_deref(), *at, json).map_err(failed)
        }
        Command::History => reading(config, |it| history::history(it, json)),
        Command::VerifyHistory(from) => {
            reading(config, |it| verify_history::verify_history(it, *from, json))
        }
        Command::Completions(script) => {
            print(script);
            Ok(Exit::DONE)
        }
        Command::Names(claims) => completions::names(config, *claims),
    }
}
