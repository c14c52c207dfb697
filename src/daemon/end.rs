//! The end of a process: what it leaves of its node, and whom it waits for.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::inbox::{Event, Signal};
use super::{Daemon, parting};
use crate::core::Mode;
use crate::lock::Keys;

/// How long after a signal to stop, or after the end when there was none, a script's process group may take to be killed.
/// The whole stop is to take less than a second.
pub(super) const CHILDREN_GRACE: Duration = Duration::from_millis(900);

impl Daemon {
    /// What a pass came to is there for whoever looks before the next one.
    pub(super) fn leave(&self) {
        let Some(standing) = self.machine.parting().filter(|_| self.stopped_at.is_none()) else {
            return;
        };
        let keys = Keys::new(&self.config.etcd.namespace, &self.config.lock_key);
        if let Err(why) = parting::leave(self.lanes.client(), &keys, standing) {
            log::warn!(event = "standing_not_left"; "what this pass came to could not be left in etcd, so `status` shows this node as silent: {why}");
        }
    }

    /// A pass that is over lets its event hook come to an end; a stop does not.
    pub(super) fn wait_until_told(&mut self, events: &Receiver<Event>) {
        const SLICE: Duration = Duration::from_millis(100);
        let until = self.clock.now().mono + self.told.patience();
        while self.start.mode != Mode::Daemon
            && self.stopped_at.is_none()
            && self.clock.now().mono < until
            && !self.told.is_idle_within(SLICE)
        {
            if let Ok(Event::Signal(Signal::Stop)) = events.try_recv() {
                self.stopped_at = Some(self.clock.now().mono);
            }
        }
        self.told.stop();
    }

    /// Leaves no script behind: its group is being killed, and the answer says that it is.
    pub(super) fn wait_for_children(&mut self, events: &Receiver<Event>) {
        let since = self.stopped_at.unwrap_or(self.clock.now().mono);
        let until = since + CHILDREN_GRACE;
        let left = |daemon: &Daemon| until.saturating_sub(daemon.clock.now().mono);
        while self.tasks.running() {
            if left(self).is_zero() {
                return;
            }
            let _ = events.recv_timeout(left(self)); // whatever it is, one may have ended
        }
        self.told.is_idle_within(left(self));
    }
}
