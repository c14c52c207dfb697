//! A fleet that takes turns to reboot, on one machine: real daemons and a real etcd; only the hosts are made up.
//!
//! ```text
//!   etcd ◄──── daemon of node-1 ──► node-1/shutdown ──► FIFO ──┐
//!    │   ◄──── daemon of node-2 ──► node-2/shutdown ──► FIFO ──┤
//!    │                                                         ▼
//!    └── watch ──► ledger ──► picture, report ◄── power supply of the hosts
//! ```
//!
//! A host is a folder. Its reboot command writes the host's name into a FIFO, and the demo does what a reboot does: it ends the
//! daemon, waits, writes a new boot id, removes the marker and starts the daemon again.
//!
//! What is shown and judged comes from a watch on etcd and from the power supplies. The daemons are not asked, and the
//! coordinator's library is not used.

mod course;
mod failure;
mod fleet;
mod host;
mod kernel;
mod ledger;
mod options;
mod report;
mod show;
mod standing;
mod style;
mod view;
mod way;

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::AtomicBool;

pub use options::{Options, USAGE};
pub use report::Report;
pub use style::Style;

/// Where the daemons keep their records.
const LOCK_KEY: &str = "/demo/reboot-coordinator";

/// Runs the demo, until its end or until `stop` is set.
///
/// Everything it started and made is gone when it returns. When the program dies before that, the kernel ends the processes
/// (where `setpriv` exists) and a temporary folder stays behind.
///
/// # Errors
/// [`Error`] when it could not be run. Broken promises are in the [`Report`].
///
/// # Panics
/// When there is no etcd, or it does not start.
pub fn run(
    options: &Options,
    style: Style,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<Report, Error> {
    course::run(options, style, stop, out)
}

/// Why the demo could not be run.
#[derive(Debug)]
pub enum Error {
    /// Something on this machine.
    Io {
        /// What was to be done.
        what: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// Something with etcd.
    Etcd {
        /// What was to be done.
        what: &'static str,
        /// What went wrong.
        source: etcd_rs_sync::Error,
    },
    /// A daemon ended by itself; how, and the end of its log.
    Died(String),
}

impl Error {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }

    fn etcd(what: &'static str) -> impl FnOnce(etcd_rs_sync::Error) -> Error {
        move |source| Error::Etcd { what, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { what, source } => write!(f, "{what}: {source}"),
            Error::Etcd { what, source } => write!(f, "{what}: {source}"),
            Error::Died(how) => f.write_str(how),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Etcd { source, .. } => Some(source),
            Error::Died(_) => None,
        }
    }
}
