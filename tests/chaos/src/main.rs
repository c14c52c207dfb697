//! Chaos: real daemons and a real etcd of three members, each in a network namespace of its own, under faults from a seed.
//!
//! ```text
//!   outside ── unshare: net, mount, pid ──► inside
//!                                             │
//!                          bridge ────────────┤ observer: writes the clock into etcd, reads the claims
//!     ┌─────────┬─────────┬──┴──────┬─────────┤ faults: signals, nft, tc, links, full disks, leader moves
//!    m0        m1        m2     n1 … n9       │ hosts: power supplies, boot ids, markers
//!   etcd      etcd      etcd     daemon       ▼
//!                                ledger + etcd's history ──► chaos-check
//! ```
//!
//! A host is a network namespace and a folder: whatever runs in the namespace is killed when the host goes down.
//! All of it lives in one set of namespaces that the program makes for itself, so that the kernel takes everything away when
//! the program ends, however it ends.

mod etcd;
mod furnish;
mod host;
mod inside;
mod ledger;
mod member;
mod network;
mod observer;
mod options;
mod outside;
mod plan;
mod report;
mod rng;
mod round;
mod run;
mod strike;
mod system;

use std::env;
use std::process::ExitCode;

use options::{Options, USAGE};

/// Exit code for wrong usage, as the coordinator's own.
const EXIT_USAGE: u8 = 64;
/// Exit code where namespaces are not allowed, as test harnesses know it for "skipped".
const EXIT_NOT_HERE: u8 = 77;
/// Exit code after Ctrl-C, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let options = match Options::parse(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("chaos: {error}; see --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let done = match (&options.judge, &options.inside) {
        (Some(folder), _) => report::judge_again(folder),
        (None, Some(folder)) => inside::run(&options, folder),
        (None, None) => outside::run(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("chaos: {error}");
        ExitCode::FAILURE
    })
}
