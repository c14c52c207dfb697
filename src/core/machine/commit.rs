//! The commit at a turn, and what follows an unknown outcome of it. What comes after it is in `down.rs`.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Txn};

use super::judge::judge_pause;
use super::{Gates, Machine, Stage, State, answer, words};
use crate::core::text::{millis, rfc3339};
use crate::core::{Note, Refusal, budget};
use crate::lock::outcome::{self, Commit, GateRead, Permit};
use crate::lock::record::Attempt;
use crate::lock::request::Judged;
use crate::lock::{Claim, Held, NodeRecord, Phase, request};

/// A commit under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    stage: Stage,
    pub(super) seen: Held,
    claim: Claim,
    registration: NodeRecord,
    /// When it was sent, at once after the gates were judged.
    sent_at: Duration,
    /// Why nobody knows what came of it.
    unknown: Option<String>,
}

impl Machine {
    /// Every gate has passed. The next request decides.
    pub(super) fn commit(&mut self, stage: Stage) {
        let Some(seen) = self.held.clone() else {
            return self.go(State::ReadOwn);
        };
        let now = rfc3339(self.now.wall);
        let phase = match self.settings.drain_timeout {
            Some(_) if stage != Stage::Retry => Phase::Draining,
            _ => Phase::Rebooting,
        };
        let mut passed = seen.claim.passed.clone();
        let now_passed = self.judging.passed.iter().map(|gate| (*gate).to_owned());
        passed.extend(now_passed.filter(|gate| !seen.claim.passed.contains(gate)));
        let claim = Claim {
            passed,
            session: self.session.clone(),
            phase,
            limit: self.settings.max_concurrent_reboots,
            reasons: self.judging.reasons.clone(),
            target: self.judging.target.clone(),
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
        registration.request = self
            .judging
            .requested
            .then_some(self.judging.request_modified);
        registration.attempt = Some(Attempt {
            boot_before: seen.claim.boot_id.clone(),
            committed_at: now,
        });
        self.judging.cleared = false;
        self.go(State::Committing(Box::new(Pending {
            stage,
            seen,
            claim,
            registration,
            sent_at: self.now.mono,
            unknown: None,
        })));
    }

    pub(super) fn commit_request(&self, pending: &Pending) -> Txn {
        let judged = Judged {
            registration: self.registered_as(),
            request: self.judging.request_modified,
            past_cooldown: self.judging.passed.contains(&"cooldown"),
            members: (self.settings.policies.as_ref())
                .and(self.fleet.judged_at)
                .map(|revision| (revision, self.fleet.members.healthy.clone())),
            line: self.judging.line.clone(),
            waves: self.judging.waves,
        };
        let (keys, registration) = (&self.settings.keys, &pending.registration);
        request::commit(keys, &pending.seen, &pending.claim, registration, judged)
    }

    pub(super) fn on_committed(&mut self, mut pending: Box<Pending>, result: Result<Reply, Error>) {
        if let Err(error) = &result
            && error.is_definite()
        {
            self.down.refused = Some(pending.seen.modified);
            return self.gate_closed(pending.stage, Refusal::Etcd(words(error)));
        }
        let read = |reply| outcome::commit(reply, &pending.seen, &pending.claim, pending.sent_at);
        match answer(result, read) {
            Ok(outcome) => self.commit_decided(*pending, outcome),
            Err(why) => {
                self.note(Note::warn(
                    "commit_unknown",
                    format!("the outcome of the commit is unknown ({why}); settling it before anything else"),
                ));
                pending.unknown = Some(why);
                self.go(State::Fencing(pending));
            }
        }
    }

    pub(super) fn on_fenced(&mut self, pending: Box<Pending>, result: Result<Reply, Error>) {
        let read = |reply| outcome::fence(reply, &pending.seen, &pending.claim, pending.sent_at);
        match answer(result, read) {
            Ok(outcome) => self.commit_decided(*pending, outcome),
            Err(why) => self.retry(&why),
        }
    }

    fn commit_decided(&mut self, pending: Pending, outcome: Commit) {
        match outcome {
            Commit::Committed(permit, held) => self.committed(pending, permit, held),
            Commit::Refused(read) => {
                self.down.refused = Some(pending.seen.modified);
                self.down.lost = false;
                self.commit_refused(pending.stage, *read);
            }
            Commit::Moved(held) => {
                self.held = Some(held);
                match pending.unknown {
                    // Something on the way lets everything pass but commits: others may have their turn meanwhile.
                    Some(why) if std::mem::replace(&mut self.down.lost, true) => {
                        self.down.lost = false;
                        self.gate_closed(pending.stage, Refusal::Etcd(why));
                    }
                    _ => self.judge_all(pending.stage),
                }
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
            Stage::Waiting | Stage::PostLock if self.judging.outdated => {
                self.keep_place(self.next.is_some());
            }
            Stage::PreLock | Stage::Waiting | Stage::PostLock | Stage::Resume | Stage::Retry => {
                self.go(State::Gates(Gates::at(stage)));
            }
        }
    }

    fn committed(&mut self, pending: Pending, permit: Permit, held: Held) {
        self.unwatch();
        self.down.lost = false;
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
        let undoes = self.settings.undoes && self.settings.drain_timeout.is_some();
        self.remember(|memory| {
            (memory.committed, memory.begun) = (boot, true);
            memory.undoes |= undoes;
        });
        self.held = Some(held);
        if pending.stage == Stage::PostLock {
            self.down.may_go_down = false;
            self.down.unordered = true;
            self.down.tries_from = 0;
        }
        self.proceed(permit);
    }
}
