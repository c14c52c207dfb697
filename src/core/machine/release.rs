//! Giving the claim back at the end of an attempt: the leases that its records hang on, then one transaction.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::{Machine, Outcome, State, Verify, grant_request, nonsense, words};
use crate::core::io::Action;
use crate::core::settings::Mode;
use crate::core::text::{millis, rfc3339, seconds, took};
use crate::core::{Note, Refusal, budget};
use crate::lock::outcome::{self, Released};
use crate::lock::record::{HISTORY_TTL, LastReboot, RECORD_VERSION};
use crate::lock::{Claim, Cooldown, Failure, FailureKind, History, NodeRecord, request};

/// The end of an attempt: the leases that its records hang on, then one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    outcome: Outcome,
    registration: NodeRecord,
    request: Option<i64>,
    failure: Option<Failure>,
    history: History,
    time: String,
    cooldown: Option<Lease>,
    history_lease: Lease,
}

/// A lease to be granted before its key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    id: i64,
    granted: bool,
}

impl Machine {
    pub(super) fn end(&mut self, verify: &Verify) {
        let now = rfc3339(self.now.wall);
        let mut registration = self.registration_after(&verify.outcome);
        self.down.unordered = false;
        let Some(held) = &self.held else {
            self.judging.reasons.clear();
            if self.settings.mode != Mode::Daemon && self.registration.is_none() {
                return self.block(Refusal::Aborted("the claim was taken away".to_owned()));
            }
            return self.go(State::Registering(Box::new(registration)));
        };
        if verify.outcome == Outcome::Completed {
            registration.last_reboot = Some(LastReboot {
                boot_before: held.claim.boot_id.clone(),
                boot_after: self.settings.boot_id.clone(),
                at: now.clone(),
                reasons: held.claim.reasons.clone(),
            });
            // A registration that was removed meanwhile has forgotten this reboot; the claim has not.
            registration.budget_used = match verify.cleared {
                true => 0,
                false => registration.budget_used.max(1),
            };
        }
        let mut history = self.history_of(&held.claim, verify, &now);
        let helped = verify.outcome != Outcome::Completed || verify.cleared;
        let (node, why) = (&self.settings.node, &history.detail);
        let failure = (!helped).then(|| self.failure(node, held, FailureKind::NotCleared, why));
        let mut lease = self.fresh_lease();
        let mut time = now.clone();
        if let Some((last, key, id)) = &self.last_entry
            && last.is_like(&history)
        {
            // The entry that is there already says one more, under its lease.
            history.count = Some(last.count.unwrap_or(1) + 1);
            history.since.clone_from(&last.since);
            time.clone_from(key);
            (lease.id, lease.granted) = (*id, true);
        }
        let ending = Ending {
            outcome: verify.outcome.clone(),
            registration,
            request: verify.request,
            failure,
            history,
            time,
            cooldown: None,
            history_lease: lease,
        };
        self.state = State::Ending(Box::new(ending));
        self.cool_anew();
        self.retries = 0;
        self.begin();
    }

    /// The registration as it stands when the attempt has ended so.
    fn registration_after(&self, outcome: &Outcome) -> NodeRecord {
        let mut registration = match outcome {
            Outcome::Aborted(_) => budget::refund(&self.record()),
            // It was taken away from a node that had not begun to reboot.
            Outcome::TakenAway if self.down.unordered => budget::refund(&self.record()),
            Outcome::Completed | Outcome::TakenAway | Outcome::Unrecorded => self.record(),
        };
        registration.boot_id = Some(self.settings.boot_id.clone());
        registration.attempt = None;
        if *outcome != Outcome::TakenAway {
            registration.request = None;
        }
        registration.version.clone_from(&self.settings.version);
        registration
    }

    fn history_of(&self, claim: &Claim, verify: &Verify, now: &str) -> History {
        let (outcome, detail) = match &verify.outcome {
            Outcome::Completed if verify.cleared => ("completed", "back and healthy".to_owned()),
            Outcome::Completed => (
                "completed",
                "back and healthy; the reboot did not clear the requirement".to_owned(),
            ),
            Outcome::Aborted(why) => ("aborted", why.clone()),
            Outcome::TakenAway | Outcome::Unrecorded => ("taken-away", String::new()),
        };
        History {
            node: self.settings.node.clone(),
            outcome: outcome.to_owned(),
            detail,
            ended_at: now.to_owned(),
            ..History::of(claim)
        }
    }

    /// The cooldown that begins with the release, as the configuration has it, under a lease of its own.
    pub(super) fn cool_anew(&mut self) {
        let (lease, interval) = (self.fresh_lease(), self.settings.min_reboot_interval);
        if let State::Ending(ending) = &mut self.state {
            let cools = ending.outcome == Outcome::Completed && !interval.is_zero();
            ending.cooldown = cools.then_some(lease);
        }
    }

    fn fresh_lease(&mut self) -> Lease {
        Lease {
            id: self.rng.lease_id(),
            granted: false,
        }
    }

    pub(super) fn ending_request(&self, ending: &Ending) -> Option<Request> {
        let interval = self.settings.min_reboot_interval;
        if !ending.history_lease.granted {
            return Some(grant_request(ending.history_lease.id, HISTORY_TTL));
        }
        // The last thing before the release, because its time begins to run here.
        if let Some(lease) = ending.cooldown.filter(|lease| !lease.granted) {
            return Some(grant_request(lease.id, interval));
        }
        let until = self.now.wall.checked_add(interval).unwrap_or(self.now.wall);
        let cooldown = Cooldown {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            since: ending.history.ended_at.clone(),
            until: rfc3339(until),
        };
        Some(Request::Txn(request::release(
            &self.settings.keys,
            &request::Release {
                seen: self.held.as_ref()?,
                registration: &ending.registration,
                was: self.registered_as().1,
                request: ending.request,
                cooldown: ending.cooldown.map(|lease| (&cooldown, lease.id)),
                failure: ending.failure.as_ref(),
                history: (&ending.history, ending.history_lease.id, &ending.time),
            },
        )))
    }

    pub(super) fn on_ended(&mut self, sent_at: Duration, result: Result<Reply, Error>) {
        let late = self.now.mono.saturating_sub(sent_at) > self.settings.etcd_timeout;
        let State::Ending(ending) = &mut self.state else {
            return;
        };
        if !ending.history_lease.granted {
            return match outcome::granted(result, seconds(HISTORY_TTL)) {
                Ok(_) => {
                    ending.history_lease.granted = true;
                    self.begin();
                }
                Err(error) => self.retry(&words(&error)),
            };
        }
        if let Some(lease) = ending.cooldown.as_mut().filter(|lease| !lease.granted) {
            return match outcome::granted(result, seconds(self.settings.min_reboot_interval)) {
                // The process was stopped since it asked, and the lease ran. One that is asked for once cannot be older.
                Ok(_) if late => self.release_unknown("the answer was late"),
                Ok(_) => {
                    lease.granted = true;
                    self.begin();
                }
                Err(error) => self.release_unknown(&words(&error)),
            };
        }
        let ending = ending.clone();
        match result.map(outcome::release) {
            Ok(Ok(Released::Now(revision))) => self.released(&ending, revision),
            // The copy of a release whose answer was lost.
            Ok(Ok(Released::Refused(None, Some((modified, stands)))))
                if *stands == ending.registration =>
            {
                self.released(&ending, modified);
            }
            Ok(Ok(Released::Refused(..))) => {
                self.note(Note::warn(
                    "claim_gone",
                    "this node is back, and its claim was taken away meanwhile (released by an operator, or hold_timeout_sec passed)",
                ));
                self.held = None;
                self.go(State::ReadOwn);
            }
            Ok(Err(malformed)) => self.release_unknown(&nonsense(&malformed)),
            Err(error) => {
                let lease_gone = matches!(error, Error::LeaseNotFound);
                let history_lease = self.fresh_lease();
                if let State::Ending(ending) = &mut self.state
                    && lease_gone
                {
                    ending.history_lease = history_lease;
                }
                self.release_unknown(&words(&error));
            }
        }
    }

    /// Repeats with another lease for the cooldown: it begins with the release, however long that takes.
    fn release_unknown(&mut self, why: &str) {
        self.cool_anew();
        self.retry(why);
    }

    fn released(&mut self, ending: &Ending, revision: i64) {
        self.held = None;
        self.registration = Some((revision, ending.registration.clone()));
        self.signed = Some(revision);
        self.note(ended(ending));
        // What an attempt that was called off was for is still there.
        if !matches!(ending.outcome, Outcome::Aborted(_)) {
            self.judging.reasons.clear();
        }
        self.last_entry = match &ending.outcome {
            Outcome::Aborted(_) => {
                let (history, lease) = (ending.history.clone(), ending.history_lease.id);
                Some((history, ending.time.clone(), lease))
            }
            Outcome::Completed | Outcome::TakenAway | Outcome::Unrecorded => None,
        };
        match &ending.outcome {
            Outcome::Completed | Outcome::TakenAway | Outcome::Unrecorded => {
                let marker = crate::lock::record::encode(&ending.history);
                self.out.push_back(Action::RecordCompleted(
                    String::from_utf8_lossy(&marker).into_owned(),
                ));
                self.called_none_off();
                if self.settings.mode != Mode::Daemon {
                    self.leave_word(ending);
                    return self.exit(0);
                }
                self.failures = 0;
                if self.next.is_some() {
                    return self.start_afresh();
                }
                // Whether it requires another one, which those of later waves wait for, is said at once. One that did not help is
                // not repeated at once.
                let pause = match ending.failure {
                    None => Duration::ZERO,
                    Some(_) => self.check_pause(),
                };
                self.go(State::Idle(None));
                self.timer = Some(self.now.mono + pause);
            }
            Outcome::Aborted(why) => self.block(Refusal::Aborted(why.clone())),
        }
    }
}

impl Machine {
    /// What a pass that has ended a reboot says until the next one, by which others wait for a wave: that nothing is required, or
    /// that the reboot did not help.
    fn leave_word(&mut self, ending: &Ending) {
        let refusal = match (&ending.outcome, &ending.failure) {
            (Outcome::Completed, None) => Refusal::NotRequired,
            (Outcome::Completed, Some(_)) => {
                self.judging.reasons.clone_from(&ending.history.reasons);
                self.judge_budget().err().unwrap_or(Refusal::NotRequired)
            }
            (Outcome::Aborted(_) | Outcome::TakenAway | Outcome::Unrecorded, _) => return,
        };
        self.state = State::Idle(Some(refusal));
    }
}

/// What is told of an attempt that has ended.
fn ended(ending: &Ending) -> Note {
    let msg = match &ending.outcome {
        Outcome::Completed => match ending.failure {
            None => "the reboot is complete: this node is back and healthy, the next may go",
            Some(_) => {
                "the reboot is complete: this node is back and healthy, but still requires one, which others may stop for"
            }
        }
        .to_owned(),
        Outcome::Aborted(why) => format!("gave the claim back without a reboot: {why}"),
        Outcome::TakenAway | Outcome::Unrecorded => "gave the claim back".to_owned(),
    };
    let note = Note::info("released", msg)
        .with("outcome", ending.history.outcome.clone())
        .with("reasons", ending.history.reasons.clone());
    match waited(&ending.history) {
        Some(waited) => note.with("lock_wait_ms", millis(waited)),
        None => note,
    }
}

/// From joining the queue to the commit. The records tell, because whoever waited was ended by the reboot; both times are by
/// this node's clock, and for people only.
fn waited(history: &History) -> Option<Duration> {
    took(&history.since, history.committed_at.as_ref()?)
}
