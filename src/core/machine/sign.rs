//! Signs of life in a committed claim, for those who would take it away after `hold_timeout_sec`: while a drain runs, and while
//! the time to settle passes in health, the claim is rewritten as it is.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::{Machine, State};
use crate::lock::outcome::{self, Found, Write};
use crate::lock::request;

/// How many signs there are in `hold_timeout_sec`.
const SIGNS: u32 = 4;

impl Machine {
    /// When the next sign is due, where there is a claim that somebody could take away.
    pub(super) fn next_sign(&mut self) -> Option<Duration> {
        self.held.as_ref()?;
        let pause = self.settings.hold_timeout? / SIGNS;
        Some(*self.down.sign_at.get_or_insert(self.now.mono + pause))
    }

    /// Another `hold_timeout_sec`: the next sign comes in time for it, and none where nobody takes claims away.
    pub(super) fn sign_in_time(&mut self) {
        let pause = self.settings.hold_timeout.map(|hold| hold / SIGNS);
        let latest = pause.map(|pause| self.now.mono + pause);
        self.down.sign_at = latest.and_then(|latest| Some(self.down.sign_at?.min(latest)));
    }

    /// Whether one is due now; then the next is later.
    pub(super) fn sign_due(&mut self) -> bool {
        let due = self.next_sign().is_some_and(|at| at <= self.now.mono);
        if due {
            self.down.sign_at = None;
            self.next_sign();
        }
        due
    }

    /// A drain hook may run for longer than others wait.
    pub(super) fn on_sign_time(&mut self) {
        if !matches!(self.state, State::Draining(_)) || self.asked.is_some() || !self.sign_due() {
            return;
        }
        if let Some(held) = &self.held {
            let sign = request::rewrite(&self.settings.keys, held, &held.claim, 0);
            self.send(Request::Txn(sign));
        }
    }

    pub(super) fn on_signed(&mut self, result: Result<Reply, Error>) {
        match result.map(outcome::write) {
            Ok(Ok(Write::Done(modified))) => {
                if let Some(held) = &mut self.held {
                    held.modified = modified;
                }
            }
            Ok(Ok(Write::Refused(found))) if self.is_own_sign(found.as_deref()) => {}
            Ok(Ok(Write::Refused(found))) => {
                self.cancel_task();
                self.not_as_held(found.as_deref());
            }
            // The next one tells more.
            Ok(Err(_)) | Err(_) => {}
        }
        if let Some((report, ended)) = self.down.drained.take()
            && let State::Draining(_) = self.state
        {
            self.drain_ended(&report, ended);
        }
    }

    /// Whether the claim that stands there is the one held, moved by a sign whose answer was not heard. Then it is held as it
    /// stands.
    pub(super) fn is_own_sign(&mut self, found: Option<&Found>) -> bool {
        let (Some(held), Some(found)) = (&mut self.held, found) else {
            return false;
        };
        let same = found.create == held.create && found.claim.as_ref() == Ok(&held.claim);
        let moved = same && found.modified > held.modified;
        if moved {
            held.modified = found.modified;
        }
        moved
    }
}
