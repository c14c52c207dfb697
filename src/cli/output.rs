//! What is written to standard output and standard error.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clean::clean;
use crate::status::table::folded;

/// Something could not be written to standard output, though somebody reads.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

pub(super) fn is_unwritten() -> bool {
    UNWRITTEN.load(Ordering::Relaxed)
}

/// Writes a text and a newline to standard output. Whoever closed it (`| head`) has seen enough; that is no failure.
pub(super) fn print(text: &str) {
    let _ = print_if_open(text);
}

/// Writes a sentence to standard output, in lines that fit a terminal.
pub(super) fn say(text: &str) {
    print(&folded(text));
}

/// Like [`print`], and whether anybody still reads.
pub(super) fn print_if_open(text: &str) -> bool {
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
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
}
