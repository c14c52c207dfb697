//! From the turn to the reboot command: the commit, what follows an unknown outcome, the drain, the last look, the command.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::judge::{describe, judge_pause};
use super::queue::millis;
use super::start::MAX_ATTEMPTS;
use super::{Gates, Machine, Stage, State, nonsense, rfc3339, words};
use crate::core::facts::{ScriptOutcome, ScriptReport};
use crate::core::io::{Action, Hook};
use crate::core::settings::Mode;
use crate::core::{Note, Refusal, budget};
use crate::lock::outcome::{self, Commit, GateRead, Permit, Write};
use crate::lock::record::Attempt;
use crate::lock::request::Judged;
use crate::lock::{Claim, Held, NodeRecord, Phase, request};

/// The share of `reboot_timeout_sec` that is waited after a reboot command failed, before it is believed that the host stays
/// up: some commands report a failure and reboot all the same.
const FAILED_COMMAND_GRACE: u32 = 10;

/// A commit under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    stage: Stage,
    seen: Held,
    claim: Claim,
    registration: NodeRecord,
    /// When it was sent, at once after the gates were judged.
    sent_at: Duration,
}

impl Machine {
    /// Every gate has passed. The next request decides.
    pub(super) fn commit(&mut self, stage: Stage) {
        let Some(seen) = self.held.clone() else {
            return self.go(State::ReadOwn);
        };
        let now = rfc3339(self.now.wall);
        let phase = match stage {
            Stage::Retry => Phase::Rebooting,
            Stage::PreLock | Stage::Waiting | Stage::PostLock | Stage::Resume
                if self.settings.drain_timeout.is_some() =>
            {
                Phase::Draining
            }
            Stage::PreLock | Stage::Waiting | Stage::PostLock | Stage::Resume => Phase::Rebooting,
        };
        let mut passed = seen.claim.passed.clone();
        let now_passed = self.passed.iter().map(|gate| (*gate).to_owned());
        passed.extend(now_passed.filter(|gate| !seen.claim.passed.contains(gate)));
        let claim = Claim {
            passed,
            session: self.session.clone(),
            phase,
            limit: self.settings.max_concurrent_reboots,
            reasons: self.reasons.clone(),
            target: self.target.clone(),
            committed_at: Some(now.clone()),
            attempts: seen.claim.attempts.saturating_add(1),
            patience_sec: Some(self.patience().as_secs()),
            drain_sec: self.settings.drain_timeout.map(|drain| drain.as_secs()),
            version: self.settings.version.clone(),
            ..seen.claim.clone()
        };
        let mut registration = self.record();
        if stage == Stage::PostLock {
            registration = budget::spend(&registration);
        } else {
            // A registration that was removed meanwhile has forgotten this attempt; the claim has not.
            registration.budget_used = registration.budget_used.max(1);
        }
        registration.boot_id = Some(self.settings.boot_id.clone());
        registration.request = self.requested.then_some(self.request_modified);
        registration.attempt = Some(Attempt {
            boot_before: seen.claim.boot_id.clone(),
            committed_at: now,
        });
        self.cleared = false;
        self.go(State::Committing(Box::new(Pending {
            stage,
            seen,
            claim,
            registration,
            sent_at: self.now.mono,
        })));
    }

    pub(super) fn commit_request(&mut self) -> Option<Request> {
        let keys = &self.settings.keys;
        let node = self.settings.node.as_str();
        Some(Request::Txn(match &self.state {
            State::Committing(pending) => request::commit(
                keys,
                &pending.seen,
                &pending.claim,
                &pending.registration,
                Judged {
                    registration: self.registration_modified(),
                    request: self.request_modified,
                    past_cooldown: self.passed.contains(&"cooldown"),
                    members: (self.settings.policies.as_ref())
                        .and(self.fleet.judged_at)
                        .map(|revision| (revision, self.fleet.members.healthy.clone())),
                    line: self.judged_line.clone(),
                    waves: self.judged_waves,
                },
            ),
            State::Fencing(pending) => request::fence(keys, &pending.seen),
            State::Moving(_, claim) => request::rewrite(keys, self.held.as_ref()?, claim, 0),
            _ => match self.failure_to_tell() {
                Some((seen, failure)) => request::mark(keys, seen, &failure),
                None => request::confirm(keys, node, self.held.as_ref()?),
            },
        }))
    }

    pub(super) fn on_committed(&mut self, result: Result<Reply, Error>) {
        let State::Committing(pending) = &self.state else {
            return;
        };
        let pending = pending.clone();
        let outcome = match result {
            Ok(reply) => outcome::commit(reply, &pending.seen, &pending.claim, pending.sent_at)
                .map_err(|malformed| nonsense(&malformed)),
            Err(error) if error.is_definite() => {
                self.refused = Some(pending.seen.modified);
                return self.gate_closed(pending.stage, Refusal::Etcd(words(&error)));
            }
            Err(error) => Err(words(&error)),
        };
        match outcome {
            Ok(outcome) => self.commit_decided(*pending, outcome),
            Err(why) => {
                self.note(Note::warn(
                    "commit_unknown",
                    format!("the outcome of the commit is unknown ({why}); settling it before anything else"),
                ));
                self.go(State::Fencing(pending));
            }
        }
    }

    pub(super) fn on_fenced(&mut self, result: Result<Reply, Error>) {
        let State::Fencing(pending) = &self.state else {
            return;
        };
        let pending = pending.clone();
        let outcome = match result {
            Ok(reply) => outcome::fence(reply, &pending.seen, &pending.claim, pending.sent_at)
                .map_err(|malformed| nonsense(&malformed)),
            Err(error) => Err(words(&error)),
        };
        match outcome {
            Ok(outcome) => self.commit_decided(*pending, outcome),
            Err(why) => self.retry(&why),
        }
    }

    fn commit_decided(&mut self, pending: Pending, outcome: Commit) {
        match outcome {
            Commit::Committed(permit, held) => self.committed(pending, permit, held),
            Commit::Refused(read) => {
                self.refused = Some(pending.seen.modified);
                self.commit_refused(pending.stage, *read);
            }
            Commit::Moved(held) => {
                self.held = Some(held);
                self.judge_all(pending.stage);
            }
            Commit::Lost(found) => match pending.stage {
                Stage::PreLock | Stage::Waiting | Stage::PostLock => self.leave(Refusal::Lost(
                    "the claim was gone when it should have been committed".to_owned(),
                )),
                Stage::Resume | Stage::Retry => self.not_as_held(found.as_deref()),
            },
        }
    }

    /// The commit's own guards refused. When it was no pause, something else that was judged moved in between, and what etcd says is
    /// judged again.
    fn commit_refused(&mut self, stage: Stage, read: GateRead) {
        self.paused = read.pause.is_some();
        match judge_pause(read.pause.as_ref()) {
            Err(refusal) => self.gate_closed(stage, refusal),
            Ok(()) => self.go(State::Gates(Gates::reading(stage))),
        }
    }

    /// Every gate again. Under another configuration whose turn it is, too.
    fn judge_all(&mut self, stage: Stage) {
        match stage {
            Stage::Waiting | Stage::PostLock if self.outdated => {
                self.keep_place(self.next.is_some());
            }
            Stage::PreLock | Stage::Waiting | Stage::PostLock | Stage::Resume | Stage::Retry => {
                self.go(State::Gates(Gates::at(stage)));
            }
        }
    }

    fn committed(&mut self, pending: Pending, permit: Permit, held: Held) {
        self.unwatch();
        let waited = self
            .queue
            .take()
            .map(|queue| millis(self.now.mono.saturating_sub(queue.since)));
        self.lease = None;
        let passed = &held.claim.passed;
        let gates = match passed.as_slice() {
            [] => "every gate passed".to_owned(),
            some => format!(
                "every gate passed, {} by an urgent request,",
                some.join(" and ")
            ),
        };
        let mut note = Note::info(
            "committed",
            format!("{gates} and the claim is committed: this node goes down now and keeps its claim until it is back and healthy"),
        )
        .with("phase", held.claim.phase.as_str())
        .with("reasons", pending.claim.reasons.clone())
        .with("attempt", held.claim.attempts);
        if !passed.is_empty() {
            note = note.with("passed", passed.clone());
        }
        if let Some(waited) = waited {
            note = note.with("lock_wait_ms", waited);
        }
        self.note(note);
        // The commit wrote the registration in the same transaction, at the same revision.
        self.registration = Some((held.modified, pending.registration));
        let boot = Some(held.claim.boot_id.clone());
        self.remember(|memory| (memory.committed, memory.begun) = (boot, true));
        self.held = Some(held);
        if pending.stage == Stage::PostLock {
            self.may_go_down = false;
            self.unordered = true;
        }
        self.proceed(permit);
    }

    /// Does next what the permit allows.
    fn proceed(&mut self, permit: Permit) {
        if self.is_older(&permit, Duration::ZERO) {
            return self.judge_again();
        }
        if self.drains_next() {
            self.go(State::Draining(permit));
        } else {
            self.go(State::LastLook(permit));
        }
    }

    fn drains_next(&self) -> bool {
        let phase = self.held.as_ref().map(|held| held.claim.phase);
        phase == Some(Phase::Draining)
    }

    /// Whether the permit is older than its life and the time that `more` took, or than the configuration.
    fn is_older(&self, permit: &Permit, more: Duration) -> bool {
        let age = self.now.mono.saturating_sub(permit.since());
        self.outdated || age > Permit::life(self.settings.etcd_timeout) + more
    }

    /// A permit that has grown old says nothing of the gates any more: an answer took long, the process was stopped, or the
    /// configuration is another one. They are judged again, and another commit gives another permit.
    pub(super) fn judge_again(&mut self) {
        let attempts = self.tries();
        if attempts >= MAX_ATTEMPTS {
            return self.call_off(format!(
                "what the gates said was too old to act on, {attempts} times: etcd answers slowly, this process is stopped for long, or its configuration is replaced again and again"
            ));
        }
        self.note(Note::warn(
            "permit_expired",
            "too much time passed since the gates were judged, or the configuration was replaced: judging them again before this node goes down",
        ));
        let stage = if self.drains_next() {
            Stage::Resume
        } else {
            Stage::Retry
        };
        self.go(State::Gates(Gates::at(stage)));
    }

    pub(super) fn begin_drain(&mut self) {
        let State::Draining(permit) = &self.state else {
            return;
        };
        let until = permit.since() + Permit::life(self.settings.etcd_timeout);
        self.drained = None;
        self.sign_at = None;
        self.next_sign();
        self.note(Note::info("draining", "running the drain hook"));
        self.hook_action(Hook::Drain { until });
    }

    pub(super) fn on_drained(&mut self, report: &ScriptReport) {
        // One request at a time.
        if self.asked.is_some() {
            self.drained = Some((report.clone(), self.now.mono));
            return;
        }
        self.drain_ended(report, self.now.mono);
    }

    pub(super) fn drain_ended(&mut self, report: &ScriptReport, ended: Duration) {
        if !report.outcome.success() {
            return self.abort(format!(
                "the drain hook failed: {}",
                describe(&report.outcome, report)
            ));
        }
        let Some(held) = &self.held else {
            return self.taken_away();
        };
        let claim = Claim {
            phase: Phase::Rebooting,
            ..held.claim.clone()
        };
        if let State::Draining(permit) = std::mem::replace(&mut self.state, State::Stopped) {
            if self.is_older(&permit, self.settings.drain_timeout.unwrap_or_default()) {
                return self.judge_again();
            }
            self.go(State::Moving(permit.drained(ended), Box::new(claim)));
        }
    }

    pub(super) fn on_moved(&mut self, result: Result<Reply, Error>) {
        let write = match result {
            Ok(reply) => outcome::write(reply),
            Err(error) => return self.retry(&words(&error)),
        };
        let modified = match (&self.state, write) {
            (_, Err(malformed)) => return self.retry(&nonsense(&malformed)),
            (_, Ok(Write::Done(revision))) => revision,
            // The copy of a write whose answer was lost.
            (State::Moving(_, claim), Ok(Write::Refused(Some(found))))
                if found.claim.as_ref() == Ok(&**claim) =>
            {
                found.modified
            }
            (_, Ok(Write::Refused(found))) => return self.not_as_held(found.as_deref()),
        };
        if let State::Moving(permit, claim) = std::mem::replace(&mut self.state, State::Stopped) {
            if let Some(held) = &mut self.held {
                held.modified = modified;
                held.claim = *claim;
            }
            self.proceed(permit);
        }
    }

    /// The host was looked at a moment ago. The command follows at once, or not at all.
    pub(super) fn last_look(&mut self, refusal: Option<Refusal>) {
        let State::LastLook(permit) = std::mem::replace(&mut self.state, State::Stopped) else {
            return;
        };
        if let Some(refusal) = refusal {
            return self.call_off(refusal.text());
        }
        if self.is_older(&permit, Duration::ZERO) {
            return self.judge_again();
        }
        self.note(
            Note::info("rebooting", "running the reboot command")
                .with("reasons", self.reasons.clone()),
        );
        self.go(State::Rebooting {
            until: self.now.mono + self.settings.reboot_timeout,
            failed: None,
        });
        self.unanswered = None;
        self.unordered = false;
        let ticket = self.begin_task();
        let facts = self.script_facts();
        self.out.push_back(Action::Reboot(ticket, permit, facts));
    }

    /// A held claim was looked at, to see whether it was released.
    pub(super) fn on_confirmed(&mut self, result: Result<Reply, Error>) {
        let unchanged = match result {
            Ok(reply) => outcome::write(reply).map_err(|malformed| nonsense(&malformed)),
            Err(error) => Err(words(&error)),
        };
        match unchanged.map(|write| self.told_own(write)) {
            Err(why) => return self.retry(&why),
            // A sign of the drain whose answer was lost.
            Ok(Write::Refused(found)) if self.is_own_sign(found.as_deref()) => return self.ask(),
            Ok(Write::Refused(found)) => return self.not_as_held(found.as_deref()),
            Ok(Write::Done(_)) => {}
        }
        let State::Holding(stage, refusal) = &self.state else {
            return;
        };
        match (*stage, refusal.clone()) {
            (Some(stage), _) => self.go(State::Gates(Gates::at(stage))),
            (None, refusal) => self.hold(None, refusal),
        }
    }

    pub(super) fn on_reboot_command(&mut self, report: &ScriptReport) {
        let failed = match &report.outcome {
            ScriptOutcome::Exited(0) => None,
            ScriptOutcome::NotStarted(why) => {
                return self.call_off(format!("the reboot command could not be started: {why}"));
            }
            ScriptOutcome::Exited(_) => Some(describe(&report.outcome, report)),
            // A shutdown ends processes: this one may be among the first. The reboot may well be under way.
            ScriptOutcome::Signalled(_) | ScriptOutcome::TimedOut | ScriptOutcome::Cancelled => {
                None
            }
        };
        let Some(why) = failed else {
            self.note(
                Note::info(
                    "reboot_command_done",
                    "the reboot command is done; waiting for the host to go down",
                )
                .with("outcome", report.outcome.to_string()),
            );
            if self.settings.mode != Mode::Daemon {
                self.exit(0);
            }
            return;
        };
        let grace = self.settings.reboot_timeout / FAILED_COMMAND_GRACE;
        self.note(
            Note::error(
                "reboot_command_failed",
                format!("the reboot command failed: {why}; waiting a moment in case the host goes down all the same"),
            )
            .with("wait_ms", millis(grace)),
        );
        self.go(State::Rebooting {
            until: self.now.mono + grace,
            failed: Some(why),
        });
    }

    /// The first command under this claim says after its time that it was not started: the host was suspended before. Then
    /// nothing can take it down.
    pub(super) fn on_late_answer(&mut self, report: &ScriptReport) {
        self.unanswered = None;
        let ScriptOutcome::NotStarted(why) = &report.outcome else {
            return;
        };
        self.may_go_down = false;
        if let State::Holding(None, _) = self.state {
            self.abort(format!("the reboot command could not be started: {why}"));
        }
    }

    /// Calls an attempt off. When an earlier reboot command ran, the host may still go down from it: giving the claim back
    /// could break the limit, so it is held and tried again.
    fn call_off(&mut self, why: String) {
        if !self.may_go_down {
            return self.abort(why);
        }
        let again = (self.tries() < MAX_ATTEMPTS).then_some(Stage::Retry);
        self.hold(again, Refusal::Aborted(why));
    }

    pub(super) fn attempts_made(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| held.claim.attempts)
    }

    /// The commits of the claim that count as tries.
    fn tries(&self) -> u32 {
        self.attempts_made().saturating_sub(self.tries_from)
    }

    /// The host is still up.
    pub(super) fn on_reboot_timeout(&mut self) {
        let State::Rebooting { failed, .. } = &self.state else {
            return;
        };
        if let Some(why) = failed {
            let why = format!("the reboot command failed: {why}");
            return self.call_off(why);
        }
        self.unanswered = self.task.filter(|_| !self.may_go_down);
        self.cancel_task();
        self.may_go_down = true;
        let attempts = self.tries();
        if attempts >= MAX_ATTEMPTS {
            return self.hold(
                None,
                Refusal::Aborted(format!(
                    "the host is still up {} s after the reboot command, in attempt {attempts} of {MAX_ATTEMPTS}",
                    self.settings.reboot_timeout.as_secs()
                )),
            );
        }
        self.note(Note::warn(
            "reboot_did_nothing",
            "the host is still up, its reboot_timeout_sec after the reboot command; judging the gates again before another try",
        ));
        self.go(State::Gates(Gates::at(Stage::Retry)));
    }
}
