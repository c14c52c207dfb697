//! The end of a pass, and the end of the program.

use std::time::Duration;

use etcd_rs_sync::Request;
use jiff::Timestamp;

use super::standing::after;
use super::{Machine, State};
use crate::core::budget::backoff;
use crate::core::io::Action;
use crate::core::memory::CalledOff;
use crate::core::settings::Mode;
use crate::core::text::{bounded, rfc3339};
use crate::core::{Note, Refusal};
use crate::lock::record::Phase;

/// How long a stop waits for the lease to be revoked. The specification allows a second for everything.
const FAREWELL: Duration = Duration::from_millis(800);

/// The longest pause between attempts that are called off one after the other. Each drains the node for nothing.
const CALLED_OFF_PAUSE: Duration = Duration::from_secs(4 * 3600);

impl Machine {
    /// Ends a pass: the node waits for the next one, `--once` exits.
    pub(super) fn block(&mut self, mut refusal: Refusal) {
        // What it waited for before, in the queue or until a reload.
        self.opens = None;
        let pause = match &mut refusal {
            // Nothing waits for etcd: the next look is soon enough.
            Refusal::Etcd(_) if self.judging.detected.is_some() => self.check_pause(),
            Refusal::Aborted(why) => {
                let pause = self.called_off_pause();
                let until = after(self.now.wall, pause);
                let at = until.strftime("%Y-%m-%d %H:%M UTC");
                *why = format!("{why}; next try {at}");
                if self.settings.mode != Mode::Daemon {
                    why.push_str(" or when it is requested");
                    let off = CalledOff {
                        times: self.called_off,
                        until: rfc3339(until),
                        why: bounded(why),
                        request: self.judging.request_modified,
                    };
                    self.remember(|memory| memory.called_off = Some(off));
                }
                pause
            }
            Refusal::Etcd(_) | Refusal::Lost(_) => self.failure_pause(),
            _ => {
                self.failures = 0;
                if refusal == Refusal::NotRequired {
                    self.called_none_off();
                }
                self.until_something_opens()
            }
        };
        if self.settings.mode != Mode::Daemon {
            return self.exit_refused(refusal);
        }
        self.note_refusal(&refusal);
        if self.next.is_some() {
            return self.start_afresh();
        }
        self.attempts = 0;
        self.go(State::Idle(Some(refusal)));
        self.timer = Some(self.now.mono + pause);
    }

    pub(super) fn exit_refused(&mut self, refusal: Refusal) {
        self.note_refusal(&refusal);
        let code = refusal.exit_code();
        self.state = State::Idle(Some(refusal));
        self.exit(code);
    }

    /// Until the next attempt, after one more that was called off.
    fn called_off_pause(&mut self) -> Duration {
        if let (Mode::Once { .. }, Some(off)) = (self.settings.mode, &self.memory.called_off) {
            self.called_off = self.called_off.max(off.times);
        }
        let (min, max) = (self.settings.backoff_min, self.longest_off());
        let pause = backoff(self.called_off, min, max);
        self.called_off = self.called_off.saturating_add(1);
        self.rng.jitter(pause)
    }

    fn longest_off(&self) -> Duration {
        CALLED_OFF_PAUSE.max(self.settings.backoff_max)
    }

    /// Whether a pass comes too soon after one that called its attempt off. A moment so far ahead was written before the clock went
    /// back.
    pub(super) fn comes_too_soon(&self) -> Option<Refusal> {
        let off = self.memory.called_off.as_ref();
        let tries = self.settings.mode != Mode::Daemon && !self.settings.dry_run;
        let off = off.filter(|_| tries)?;
        let until: Timestamp = off.until.parse().ok()?;
        let left = Duration::try_from(until.duration_since(self.now.wall)).ok()?;
        let asked = self.judging.requested && self.judging.request_modified != off.request;
        let rests = !asked && !left.is_zero() && left <= self.longest_off();
        rests.then(|| Refusal::Aborted(off.why.clone()))
    }

    /// The host has rebooted, or need not.
    pub(super) fn called_none_off(&mut self) {
        self.called_off = 0;
        if self.memory.called_off.is_some() {
            self.remember(|memory| memory.called_off = None);
        }
    }

    /// A window that opens, and a cooldown or a pause that ends, before the next look is not missed, whatever kept the node from rebooting
    /// until now.
    pub(super) fn until_something_opens(&mut self) -> Duration {
        let pause = self.check_pause();
        let now = self.now.wall;
        let windows = self.settings.windows.as_ref();
        let opens = windows.and_then(|windows| windows.next_open(now));
        // etcd takes up to a second longer to end a lease.
        let ended = self.judging.closed_until.into_iter().flatten();
        let ended = ended.filter_map(|at| at.checked_add(Duration::from_secs(1)).ok());
        let next = opens.into_iter().chain(ended);
        let next = next.filter(|at| *at > now).min();
        self.opens = next.and_then(|at| at.checked_add(Duration::from_secs(2)).ok());
        let left = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        // Not all nodes of a fleet in the same moment.
        let mut spread = || self.rng.jitter(Duration::from_secs(1));
        left.map_or(pause, |left| pause.min(left + spread()))
    }

    /// Longer with every failed pass in a row.
    pub(super) fn failure_pause(&mut self) -> Duration {
        self.failures += 1;
        self.pause_after(self.failures - 1)
    }

    /// A little over the configured interval, so that nodes started together drift apart.
    pub(super) fn check_pause(&mut self) -> Duration {
        let interval = self.settings.check_interval;
        interval + self.rng.jitter(interval / 10)
    }

    pub(super) fn note_refusal(&mut self, refusal: &Refusal) {
        let text = match refusal.remedy() {
            "" => refusal.text(),
            remedy => format!("{}; {remedy}", refusal.text()),
        };
        let note = match refusal {
            Refusal::NotRequired => Note::info("not_required", text),
            Refusal::DryRun => Note::info("dry_run", text),
            Refusal::Unknown(_) | Refusal::Aborted(_) => Note::error("blocked", text),
            _ => Note::warn("blocked", text),
        };
        let note = note.with("reason", refusal.label());
        let note = match refusal {
            Refusal::Etcd(why) => note.caused_by(etcd_rs_sync::cause(why)),
            _ => note.repeating(),
        };
        self.note(note);
    }

    pub(super) fn exit(&mut self, code: u8) {
        self.cancel_task();
        self.unwatch();
        self.lease = None;
        self.reporter = None;
        // What the pass came to is left for whoever looks before the next one.
        self.stand();
        self.go(State::Stopped);
        self.out.push_back(Action::Exit(code));
    }

    /// SIGTERM: gives up an uncommitted place; a committed one stays and is adopted at the next start.
    pub(super) fn stop(&mut self) {
        let lease = match &self.state {
            State::Stopping | State::Stopped => return,
            State::Granting(_, grant) => Some(grant.id),
            State::Leaving(id, _) => Some(*id),
            _ => self.lease.as_ref().map(|lease| lease.id),
        };
        self.note(Note::info("stopping", self.stays().unwrap_or("stopping")));
        self.cancel_task();
        self.unwatch();
        self.lease = None;
        let reported = self.reporter.take().and_then(|reporter| reporter.lease());
        let leases: Vec<i64> = lease.into_iter().chain(reported).collect();
        if leases.is_empty() {
            return self.exit_stopped();
        }
        self.go(State::Stopping);
        self.farewells = leases.len();
        for id in leases {
            self.out.push_back(Action::Farewell(Request::Revoke { id }));
        }
        self.timer = Some(self.now.mono + FAREWELL);
    }

    pub(super) fn on_farewell(&mut self) {
        self.farewells = self.farewells.saturating_sub(1);
        if matches!(self.state, State::Stopping) && self.farewells == 0 {
            self.exit_stopped();
        }
    }

    /// What a stop leaves behind that the next start goes on with. A host on its way down is none of that.
    fn stays(&self) -> Option<&'static str> {
        let phase = self.claim()?.phase;
        matches!(phase, Phase::Draining | Phase::Verifying).then_some(
            "stopping; the claim of this node stays, and what its drain hook did is not undone: the next start goes on with both, and \
             others wait for it",
        )
    }

    pub(super) fn exit_stopped(&mut self) {
        let unfinished = self.settings.mode != Mode::Daemon && self.stays().is_some();
        self.exit(u8::from(unfinished));
    }
}
