//! The end of a process: what it leaves of its node, and whom it waits for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::inbox::Event;
use super::threads::spawn;
use super::{Daemon, parting};
use crate::core::Mode;
use crate::lock::Keys;

/// How long after a signal to stop, or after the end when there was none, a script's process group may take to be killed.
/// The whole stop is to take less than a second.
pub(super) const CHILDREN_GRACE: Duration = Duration::from_millis(900);

/// How long it takes at most until a signal to stop is seen.
const SLICE: Duration = Duration::from_millis(100);

impl Daemon {
    /// What a pass came to is there for whoever looks before the next one.
    pub(super) fn leave(&mut self, events: &Receiver<Event>) {
        let Some(standing) = self.machine.parting().filter(|_| self.stopped_at.is_none()) else {
            return;
        };
        let keys = Keys::new(&self.config.etcd.namespace, &self.config.lock_key);
        let (client, standing) = (Arc::clone(&self.lanes.client), standing.clone());
        let (tell, left) = channel();
        let leave = move || {
            let _ = tell.send(parting::leave(&client, &keys, &standing));
        };
        let begun = spawn("parting", leave).map_err(|error| error.to_string());
        if let Err(why) = begun.and_then(|()| self.wait_until_left(&left, events)) {
            log::warn!(event = "standing_not_left"; "what this pass came to could not be left in etcd, so `status` shows this node as silent: {why}");
        }
    }

    /// All its requests together have the time of one, and a stop does not wait for them.
    pub(super) fn wait_until_left(
        &mut self,
        left: &Receiver<Result<(), String>>,
        events: &Receiver<Event>,
    ) -> Result<(), String> {
        let until = self.clock.now().mono + self.config.etcd.timeout;
        loop {
            let time = until.saturating_sub(self.clock.now().mono);
            match left.recv_timeout(time.min(SLICE)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if time.is_zero() => {
                    return Err("it took longer than etcd_timeout_sec".to_owned());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("its thread ended without a word".to_owned());
                }
            }
            if self.is_stopped(events) {
                return Err("the program was stopped".to_owned());
            }
        }
    }

    /// Whether a signal to stop has come by now.
    fn is_stopped(&mut self, events: &Receiver<Event>) -> bool {
        while let Ok(event) = events.try_recv() {
            if matches!(event, Event::Stop) {
                self.stopped_at.get_or_insert(self.clock.now().mono);
            }
        }
        self.stopped_at.is_some()
    }

    /// A pass that is over lets its event hook come to an end; a stop does not.
    pub(super) fn wait_until_told(&mut self, events: &Receiver<Event>) {
        let until = self.clock.now().mono + self.told.patience();
        while self.start.mode != Mode::Daemon
            && self.stopped_at.is_none()
            && self.clock.now().mono < until
            && !self.told.is_idle_within(SLICE)
        {
            self.is_stopped(events);
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
