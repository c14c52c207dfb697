//! What reaches the main thread, and where it arrives.

use std::sync::mpsc::SyncSender;

use etcd_rs_sync::Options;

use crate::config::Config;
use crate::core::{Input, Settings};

/// How many events may wait for the main thread. Every sender has one thing under way at a time, except a watch during a
/// storm of events, which then waits for the main thread.
pub(super) const INBOX: usize = 64;

/// What reaches the main thread.
pub(super) enum Event {
    /// For the machine.
    Machine(Input),
    /// A signal asks to end the program.
    Stop,
    /// A signal asks to read the configuration again.
    Reload,
    /// The configuration was read again; `None` when it cannot be used.
    Configuration(Option<Box<Found>>),
    /// The host has another name, time zone or rules of it, and the configuration goes by it.
    Host(Box<Found>),
}

/// Where answers go.
#[derive(Clone)]
pub(super) struct Inbox(pub(super) SyncSender<Event>);

impl Inbox {
    /// Hands an input to the machine.
    pub(super) fn send(&self, input: Input) {
        self.hand_over(Event::Machine(input));
    }

    /// When the main thread is gone, the program is ending and nobody needs it.
    pub(super) fn hand_over(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

/// A configuration that can be used, with what was read for it.
pub(super) struct Found {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) options: Options,
}
