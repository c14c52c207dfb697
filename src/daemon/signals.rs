//! SIGTERM and SIGINT stop, SIGHUP reloads.

use std::io;
use std::sync::mpsc::SyncSender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Event;
use super::lanes::STACK;
use crate::core::Mode;

/// What a signal asks for.
pub(super) enum Signal {
    /// End the program.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// Receives signals from now on. `--once` ignores SIGHUP: it ends soon by itself.
pub(super) fn listen(events: SyncSender<Event>, mode: Mode) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let receive = move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGHUP if mode != Mode::Daemon => continue,
                SIGHUP => Signal::Reload,
                _ => Signal::Stop,
            };
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(STACK)
        .spawn(receive)?;
    Ok(())
}
