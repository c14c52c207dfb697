//! The way back: proving health after a reboot, or after an attempt that was called off, and giving the claim back.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::judge::{describe, judge_detectors};
use super::queue::{HISTORY_TTL, millis};
use super::{Machine, State, nonsense, rfc3339, words};
use crate::core::facts::{DetectorReport, HealthPhase, ScriptReport};
use crate::core::io::{Action, Hook};
use crate::core::settings::Mode;
use crate::core::{Note, Refusal, budget};
use crate::lock::outcome::{self, Released, Write};
use crate::lock::record::{LastReboot, RECORD_VERSION};
use crate::lock::{Claim, Cooldown, History, NodeRecord, Phase, request, requests};

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host rebooted.
    Completed,
    /// It was called off after the commit; why.
    Aborted(String),
    /// The claim was taken away while the node was down or about to be.
    TakenAway,
}

/// Where the proof stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Writing phase `verifying` into the claim.
    Mark,
    /// Asking the detectors, once.
    Detect,
    /// Looking whether the boot satisfies an operator's request.
    Request,
    /// Undoing the drain.
    Undo,
    /// The health script.
    Health,
}

/// The proof that the node is back and healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    outcome: Outcome,
    step: Step,
    /// Whether every detector said that no reboot is required any more.
    cleared: bool,
    /// Mod revision of the operator's request that the boot satisfies.
    request: Option<i64>,
    healthy_since: Option<Duration>,
}

/// The end of an attempt: the leases that its records hang on, then one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    outcome: Outcome,
    registration: NodeRecord,
    request: Option<i64>,
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

impl Verify {
    /// A proof at its beginning.
    pub fn new(outcome: Outcome) -> Verify {
        let step = match outcome {
            Outcome::Completed | Outcome::Aborted(_) => Step::Mark,
            Outcome::TakenAway => Step::Undo,
        };
        Verify {
            outcome,
            step,
            cleared: false,
            request: None,
            healthy_since: None,
        }
    }

    /// How the attempt ends.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Machine {
    pub(super) fn begin_verify(&mut self) {
        let State::Verifying(verify) = &self.state else {
            return;
        };
        match verify.step {
            Step::Mark | Step::Request => self.ask(),
            Step::Detect => {
                let ticket = self.begin_task();
                self.out.push_back(Action::Detect(ticket));
            }
            Step::Undo if !self.settings.undoes => self.verify_next(Step::Health),
            Step::Undo => {
                self.note(
                    Note::info("undraining", "running the hook that undoes the drain").repeating(),
                );
                self.hook_action(Hook::Undo);
            }
            Step::Health => {
                let ticket = self.begin_task();
                let facts = self.script_facts();
                self.out
                    .push_back(Action::Health(ticket, HealthPhase::PostBoot, facts));
            }
        }
    }

    fn verify_next(&mut self, step: Step) {
        if let State::Verifying(verify) = &mut self.state {
            verify.step = step;
        }
        self.retries = 0;
        self.begin();
    }

    pub(super) fn verify_request(&mut self) -> Option<Request> {
        let (keys, node) = (&self.settings.keys, &self.settings.node);
        if self.looks_for_request() {
            return Some(Request::Range(requests::look(keys, node)));
        }
        // The claim says that its node is back and being verified.
        let held = self.held.as_ref()?;
        let claim = verifying(&held.claim, &self.session);
        Some(Request::Txn(request::rewrite(
            &self.settings.keys,
            held,
            &claim,
            0,
        )))
    }

    fn looks_for_request(&self) -> bool {
        matches!(&self.state, State::Verifying(verify) if verify.step == Step::Request)
    }

    pub(super) fn on_verify_answer(&mut self, result: Result<Reply, Error>) {
        if self.looks_for_request() {
            self.on_request_found(result);
        } else {
            self.on_marked(result);
        }
    }

    /// A request that says another boot was made before this one. One that says nothing yet may have come after it.
    fn on_request_found(&mut self, result: Result<Reply, Error>) {
        let seen = match result {
            Ok(reply) => requests::seen(&reply),
            Err(error) => return self.retry(&words(&error)),
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(malformed) => return self.retry(&nonsense(&malformed)),
        };
        if let (State::Verifying(verify), Some((modified, Ok(request)))) = (&mut self.state, seen) {
            let other = |boot_id: &String| *boot_id != self.settings.boot_id;
            verify.request = request
                .boot_id
                .as_ref()
                .filter(|id| other(id))
                .map(|_| modified);
        }
        self.verify_next(Step::Undo);
    }

    fn on_marked(&mut self, result: Result<Reply, Error>) {
        let Some(held) = &self.held else {
            return self.taken_away();
        };
        let claim = verifying(&held.claim, &self.session);
        let write = match result {
            Ok(reply) => outcome::write(reply),
            Err(error) => return self.retry(&words(&error)),
        };
        let modified = match write {
            Ok(Write::Done(revision)) => revision,
            Ok(Write::Refused(Some(found))) if found.claim.as_ref() == Ok(&claim) => found.modified,
            Ok(Write::Refused(found)) => return self.not_as_held(found.as_deref()),
            Err(malformed) => return self.retry(&nonsense(&malformed)),
        };
        if let Some(held) = &mut self.held {
            held.modified = modified;
            held.claim = claim;
        }
        let State::Verifying(verify) = &self.state else {
            return;
        };
        let next = match verify.outcome {
            Outcome::Completed => {
                self.note(Note::info(
                    "back",
                    "the host has rebooted; this node keeps its claim until it is healthy",
                ));
                Step::Detect
            }
            Outcome::Aborted(_) | Outcome::TakenAway => Step::Undo,
        };
        self.verify_next(next);
    }

    pub(super) fn verify_detected(&mut self, reports: &[DetectorReport]) {
        self.note_detectors(reports);
        let verdict = judge_detectors(reports);
        if let Err(refusal) = &verdict
            && *refusal == Refusal::NotRequired
        {
            if let State::Verifying(verify) = &mut self.state {
                verify.cleared = true;
            }
        } else {
            self.note(Note::warn(
                "not_cleared",
                match verdict {
                    Ok(reasons) => format!(
                        "the reboot did not clear the requirement: {}",
                        reasons.join("; ")
                    ),
                    Err(refusal) => refusal.text(),
                },
            ));
        }
        self.verify_next(Step::Request);
    }

    pub(super) fn verify_script(&mut self, report: &ScriptReport) {
        let State::Verifying(verify) = &self.state else {
            return;
        };
        let now = self.now.mono;
        match (verify.step, report.outcome.success()) {
            (Step::Undo, true) => self.verify_next(Step::Health),
            (Step::Undo, false) => {
                let why = describe(&report.outcome, report);
                self.unhealthy("the hook that undoes the drain failed", &why);
            }
            (Step::Health, true) => self.healthy(now),
            (Step::Health | Step::Mark | Step::Detect | Step::Request, _) => {
                let why = describe(&report.outcome, report);
                self.unhealthy("the health script does not pass", &why);
            }
        }
    }

    fn unhealthy(&mut self, what: &str, why: &str) {
        if let State::Verifying(verify) = &mut self.state {
            verify.healthy_since = None;
        }
        self.note(
            Note::error(
                "not_healthy",
                format!("{what}: {why}; this node keeps its claim and nobody else goes until it recovers"),
            )
            .with("reason", why)
            .repeating(),
        );
        if self.settings.mode != Mode::Daemon {
            return self.exit(Refusal::Health(String::new()).exit_code());
        }
        let pause = budget::backoff(
            self.retries,
            self.settings.backoff_min,
            self.settings.backoff_max,
        );
        self.retries += 1;
        self.timer = Some(self.now.mono + self.rng.jitter(pause));
    }

    fn healthy(&mut self, now: Duration) {
        let settle = self.settings.post_boot_settle;
        let check = self.settings.check_interval;
        self.retries = 0;
        let State::Verifying(verify) = &mut self.state else {
            return;
        };
        let since = *verify.healthy_since.get_or_insert(now);
        if now.saturating_sub(since) < settle {
            self.timer = Some((since + settle).min(now + check));
            return;
        }
        let verify = verify.clone();
        self.end(&verify);
    }

    fn end(&mut self, verify: &Verify) {
        let now = rfc3339(self.now.wall);
        let mut registration = match verify.outcome {
            Outcome::Aborted(_) => budget::refund(&self.record()),
            Outcome::Completed | Outcome::TakenAway => self.record(),
        };
        registration.attempt = None;
        if verify.outcome != Outcome::TakenAway {
            registration.request = None;
        }
        registration.version.clone_from(&self.settings.version);
        let Some(held) = &self.held else {
            self.reasons.clear();
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
        let (outcome, detail) = match &verify.outcome {
            Outcome::Completed if verify.cleared => ("completed", "back and healthy".to_owned()),
            Outcome::Completed => (
                "completed",
                "back and healthy; the reboot did not clear the requirement".to_owned(),
            ),
            Outcome::Aborted(why) => ("aborted", why.clone()),
            Outcome::TakenAway => ("taken-away", String::new()),
        };
        let history = History {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            outcome: outcome.to_owned(),
            detail,
            reasons: held.claim.reasons.clone(),
            since: held.claim.since.clone(),
            committed_at: held.claim.committed_at.clone(),
            ended_at: now.clone(),
            by: None,
        };
        let cools =
            verify.outcome == Outcome::Completed && !self.settings.min_reboot_interval.is_zero();
        let ending = Ending {
            outcome: verify.outcome.clone(),
            registration,
            request: verify.request,
            history,
            time: now,
            cooldown: cools.then(|| self.fresh_lease()),
            history_lease: self.fresh_lease(),
        };
        self.go(State::Ending(Box::new(ending)));
    }

    fn fresh_lease(&mut self) -> Lease {
        Lease {
            id: self.rng.lease_id(),
            granted: false,
        }
    }

    pub(super) fn ending_request(&self) -> Option<Request> {
        let State::Ending(ending) = &self.state else {
            return None;
        };
        let interval = self.settings.min_reboot_interval;
        if !ending.history_lease.granted {
            return self.grant_request(ending.history_lease.id, HISTORY_TTL);
        }
        // The last thing before the release, because its time begins to run here.
        if let Some(lease) = ending.cooldown.filter(|lease| !lease.granted) {
            return self.grant_request(lease.id, interval);
        }
        let until = self.now.wall.checked_add(interval).unwrap_or(self.now.wall);
        let cooldown = Cooldown {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            since: ending.time.clone(),
            until: rfc3339(until),
        };
        Some(Request::Txn(request::release(
            &self.settings.keys,
            &request::Release {
                seen: self.held.as_ref()?,
                registration: &ending.registration,
                request: ending.request,
                cooldown: ending.cooldown.map(|lease| (&cooldown, lease.id)),
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
            return match result {
                Ok(Reply::Grant(_)) | Err(Error::LeaseExists) => {
                    ending.history_lease.granted = true;
                    self.begin();
                }
                Ok(_) => self.retry("a grant was answered by something else"),
                Err(error) => self.retry(&words(&error)),
            };
        }
        if let Some(lease) = ending.cooldown.as_mut().filter(|lease| !lease.granted) {
            return match result {
                // The process was stopped since it asked, and the lease ran.
                Ok(Reply::Grant(_)) if late => self.release_unknown("the answer was late"),
                Ok(Reply::Grant(_)) => {
                    lease.granted = true;
                    self.begin();
                }
                Ok(_) => self.release_unknown("a grant was answered by something else"),
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
        let cooldown = self.fresh_lease();
        if let State::Ending(ending) = &mut self.state {
            ending.cooldown = ending.cooldown.map(|_| cooldown);
        }
        self.retry(why);
    }

    fn released(&mut self, ending: &Ending, revision: i64) {
        self.held = None;
        self.registration = Some((revision, ending.registration.clone()));
        self.note(ended(ending));
        self.reasons.clear();
        match &ending.outcome {
            Outcome::Completed | Outcome::TakenAway => {
                let marker = crate::lock::record::encode(&ending.history);
                self.out.push_back(Action::RecordCompleted(
                    String::from_utf8_lossy(&marker).into_owned(),
                ));
                if self.settings.mode != Mode::Daemon {
                    return self.exit(0);
                }
                self.failures = 0;
                let pause = self.check_pause();
                self.go(State::Idle(None));
                self.timer = Some(self.now.mono + pause);
            }
            Outcome::Aborted(why) => {
                let why = why.clone();
                self.block(Refusal::Aborted(why));
            }
        }
    }
}

/// What is told of an attempt that has ended.
fn ended(ending: &Ending) -> Note {
    let msg = match &ending.outcome {
        Outcome::Completed => {
            "the reboot is complete: this node is back and healthy, the next may go".to_owned()
        }
        Outcome::Aborted(why) => format!("gave the claim back without a reboot: {why}"),
        Outcome::TakenAway => "gave the claim back".to_owned(),
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
    let since: jiff::Timestamp = history.since.parse().ok()?;
    let committed: jiff::Timestamp = history.committed_at.as_ref()?.parse().ok()?;
    Duration::try_from(committed.duration_since(since)).ok()
}

/// The claim of a node that is back: still that of the boot before, so that a new start knows it too.
fn verifying(claim: &Claim, session: &str) -> Claim {
    Claim {
        phase: Phase::Verifying,
        session: session.to_owned(),
        ..claim.clone()
    }
}
