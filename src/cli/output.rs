//! What is written to standard output and standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::escape::{lines, uncoloured};
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
    let mut text = lines(text);
    if !is_coloured() {
        text = uncoloured(&text);
    }
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
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

/// Colours on a terminal, unless `NO_COLOR` is set.
fn is_coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !unwanted && !dumb
}

/// Writes a text and a newline to standard error. When even that is closed there is nobody left to tell.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", lines(text));
}
