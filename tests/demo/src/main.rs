//! The demo on the command line; see `lib.rs`.

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use demo::{Options, Style, USAGE};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Exit code for wrong usage, as the coordinator's own.
const EXIT_USAGE: u8 = 64;

/// Exit code after Ctrl-C, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

/// A picture needs a title, a legend and a note besides the hosts.
const LINES_BESIDE_HOSTS: usize = 4;

fn main() -> ExitCode {
    let options = match Options::parse(env::args_os().skip(1), daemon()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo: {error}; see --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("demo: signals cannot be received: {error}");
            return ExitCode::FAILURE;
        }
    }
    match demo::run(&options, style(&options), &stop, &mut io::stdout()) {
        Ok(report) if report.interrupted => ExitCode::from(EXIT_INTERRUPTED),
        Ok(report) if report.broken.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The coordinator that was built beside this program.
fn daemon() -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    own.with_file_name("reboot-coordinator")
}

fn style(options: &Options) -> Style {
    let variable = |name| env::var(name).unwrap_or_default();
    let terminal = io::stdout().is_terminal() && variable("TERM") != "dumb";
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .map(variable)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_ascii_uppercase();
    let live = terminal && !options.plain && fits(options.nodes);
    Style {
        live,
        operator: live && io::stdin().is_terminal(),
        colour: terminal && variable("NO_COLOR").is_empty(),
        unicode: locale.contains("UTF-8") || locale.contains("UTF8"),
    }
}

fn fits(nodes: usize) -> bool {
    rustix::termios::tcgetwinsize(io::stdout()).is_ok_and(|size| {
        usize::from(size.ws_col) >= 80 && usize::from(size.ws_row) > nodes + LINES_BESIDE_HOSTS
    })
}
