//! Waiting in the queue: what the watch says, whose turn it is, and what else there is to do meanwhile.

use std::time::Duration;

use super::{Gates, Machine, Queue, Stage, State};
use crate::core::io::WatchEvent;
use crate::core::settings::Mode;
use crate::core::text::millis;
use crate::core::{Note, Refusal};
use crate::lock::Claim;
use crate::lock::record::decode;

impl Machine {
    pub(super) fn on_watch(&mut self, event: WatchEvent) {
        let own = self.settings.keys.claim(&self.settings.node);
        let now = self.now.mono;
        if let WatchEvent::Failing(why) = &event {
            self.on_watch_failing(why);
        }
        let again_at = self.settings.backoff_min;
        let Some(queue) = &mut self.queue else { return };
        match event {
            // What is lost each time it is counted would be counted without end.
            WatchEvent::Lost => queue.count_anew(queue.counted_at + again_at),
            WatchEvent::Stands => queue.blind = None,
            WatchEvent::Failing(_) => {}
            WatchEvent::Deleted(key) if key == own.as_bytes() => {
                if self.state.needs_lease() {
                    self.leave(Refusal::Lost("the claim was deleted".to_owned()));
                }
                return;
            }
            WatchEvent::Deleted(key) => {
                let key = String::from_utf8_lossy(&key);
                self.sight.forget(&key);
                let known = queue.ahead.remove(&*key).is_some();
                if known && !queue.near {
                    queue.count_anew(now);
                }
            }
            WatchEvent::Written(key, modified, value) => {
                let key = String::from_utf8_lossy(&key);
                let claim = decode(&value).ok();
                let claim: Option<&Claim> = claim.as_ref();
                let ahead = queue.ahead.get_mut(&*key);
                let create = ahead.map(|place| {
                    place.domains = claim.map(|claim| claim.domains.clone());
                    place.create
                });
                self.sight.written(&key, (create, modified), claim, now);
            }
        }
        if matches!(self.state, State::Queued) {
            self.look_around();
        }
    }

    /// In the queue: is there something to do, and if not, when will there be?
    pub(super) fn look_around(&mut self) {
        let now = self.now.mono;
        let give_up_at = match self.settings.mode {
            Mode::Daemon => None,
            Mode::Once { wait } => Some(self.started + wait),
        };
        let hold_timeout = self.settings.hold_timeout;
        let Some(queue) = &self.queue else { return };
        if queue.recount_at <= now {
            return self.go(State::Counting);
        }
        let patience = self.patience();
        if let Some(away) = self.sight.to_tell(now, patience) {
            return self.go(State::TakingAway(away));
        }
        let turn = self.turn(queue);
        if turn.is_ok() && queue.retry_at.is_none_or(|at| at <= now) {
            return self.my_turn();
        }
        if give_up_at.is_some_and(|at| at <= now) {
            let held = queue.held.clone();
            let refusal = held.or(turn.err().map(Refusal::NotTurn));
            return self.leave(refusal.unwrap_or_else(|| Refusal::NotTurn(String::new())));
        }
        if queue.check_at <= now {
            return self.check_while_waiting();
        }
        let expires = |limit| self.sight.next_expiry(limit, patience);
        let expiry = match hold_timeout.and_then(expires) {
            Some((at, away)) if at <= now => return self.go(State::TakingAway(away)),
            later => later.map(|(at, _)| at),
        };
        let retry = queue.retry_at.filter(|_| turn.is_ok());
        self.timer = [
            Some(queue.check_at),
            Some(queue.recount_at),
            retry,
            expiry,
            self.sight.next_to_tell(patience),
            give_up_at,
        ]
        .into_iter()
        .flatten()
        .min();
    }

    /// Whether it is this node's turn, by what its claim says and what the others said; else what it waits for. A claim is judged
    /// by the labels that it was made with: others have counted on those.
    fn turn(&self, queue: &Queue) -> Result<(), String> {
        let Some(held) = &self.held else {
            return Err("it has no claim".to_owned());
        };
        let (limit, claims) = (
            self.settings.max_concurrent_reboots,
            self.settings.keys.claims(),
        );
        queue.turn(&held.claim.domains, limit, &claims)
    }

    /// How many claims before this node's own it looks at.
    pub(super) fn window(&self) -> u32 {
        let claim = self.claim();
        let domains = claim.map_or(&self.settings.domains, |claim| &claim.domains);
        domains.window(self.settings.max_concurrent_reboots)
    }

    fn my_turn(&mut self) {
        let waited = self
            .queue
            .as_ref()
            .map_or(Duration::ZERO, |queue| self.now.mono - queue.since);
        self.note(
            Note::info("turn", "it is this node's turn; judging every gate again")
                .with("lock_wait_ms", millis(waited))
                .repeating(),
        );
        self.go(State::Gates(Gates::at(Stage::PostLock)));
    }

    fn check_while_waiting(&mut self) {
        let pause = self.check_pause();
        let now = self.now.mono;
        if let Some(queue) = &mut self.queue {
            queue.check_at = now + pause;
        }
        self.go(State::Gates(Gates::at(Stage::Waiting)));
    }

    /// Whether there is time left to wait in the queue.
    pub(super) fn may_wait(&self) -> bool {
        match self.settings.mode {
            Mode::Daemon => true,
            Mode::Once { wait } => self.started + wait > self.now.mono,
        }
    }

    /// The turn is here, but a gate that closes for everybody is closed.
    pub(super) fn hold_turn(&mut self, refusal: Refusal) {
        self.note(
            Note::warn(
                "blocked",
                format!("this node keeps its place in the queue: {}", refusal.text()),
            )
            .with("reason", refusal.label())
            .repeating(),
        );
        let pause = self.until_something_opens();
        let now = self.now.mono;
        if let Some(queue) = &mut self.queue {
            queue.retry_at = Some(now + pause);
            queue.held = Some(refusal);
        }
        self.go(State::Queued);
    }
}
