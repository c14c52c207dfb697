//! From the permit to the reboot command: the drain, the last look, the command, and what follows when it did nothing.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply};

use super::start::MAX_ATTEMPTS;
use super::{Gates, Machine, Stage, State, answer};
use crate::core::facts::{ScriptOutcome, ScriptReport};
use crate::core::io::{Action, Hook, Ticket};
use crate::core::settings::Mode;
use crate::core::text::{describe, millis};
use crate::core::{Note, Refusal};
use crate::lock::outcome::{self, Permit, Write};
use crate::lock::{Claim, Phase};

/// The share of `reboot_timeout_sec` that is waited after a reboot command failed, before it is believed that the host stays
/// up: some commands report a failure and reboot all the same.
const FAILED_COMMAND_GRACE: u32 = 10;

/// What is known of the attempt after a commit.
#[derive(Debug, Default)]
pub(super) struct Down {
    /// A reboot command that had not answered when its time was over, the first under its claim.
    pub(super) unanswered: Option<Ticket>,
    /// The create revision of the own claim whose failure was told.
    pub(super) told: i64,
    /// A reboot command ran under the own claim and the host is still up: it may yet go down.
    pub(super) may_go_down: bool,
    /// Mod revision of the claim when a commit of it was refused: while it stands there, a copy of that commit may still come.
    pub(super) refused: Option<i64>,
    /// How many commits the claim had when its tries were last counted from the first: what failed them may be mended since.
    pub(super) tries_from: u32,
    /// No reboot command has run under the own claim.
    pub(super) unordered: bool,
    /// The last commit was lost on its way, and the one before it was not.
    pub(super) lost: bool,
}

impl Machine {
    /// Does next what the permit allows.
    pub(super) fn proceed(&mut self, permit: Permit) {
        if self.is_older(&permit, Duration::ZERO) {
            return self.judge_again();
        }
        if self.drains_next() {
            self.go(State::Draining(permit));
        } else {
            self.go(State::LastLook(permit));
        }
    }

    pub(super) fn drains_next(&self) -> bool {
        self.claim().map(|claim| claim.phase) == Some(Phase::Draining)
    }

    /// Whether the permit is older than its life and the time that `more` took, or than the configuration.
    pub(super) fn is_older(&self, permit: &Permit, more: Duration) -> bool {
        let age = self.now.mono.saturating_sub(permit.since());
        self.judging.outdated || age > Permit::life(self.settings.etcd_timeout) + more
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

    pub(super) fn begin_drain(&mut self, since: Duration) {
        let until = since + Permit::life(self.settings.etcd_timeout);
        self.note(Note::info("draining", "running the drain hook"));
        self.hook_action(Hook::Drain { until });
    }

    pub(super) fn on_drained(&mut self, report: &ScriptReport) {
        if !report.outcome.success() {
            return self.abort(format!("the drain hook failed: {}", describe(report)));
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
            self.go(State::Moving(
                permit.drained(self.now.mono),
                Box::new(claim),
            ));
        }
    }

    pub(super) fn on_moved(&mut self, result: Result<Reply, Error>) {
        let modified = match (&self.state, answer(result, outcome::write)) {
            (_, Err(why)) => return self.retry(&why),
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
                .with("reasons", self.judging.reasons.clone()),
        );
        self.go(State::Rebooting {
            until: self.now.mono + self.settings.reboot_timeout,
            failed: None,
        });
        self.down.unanswered = None;
        self.down.unordered = false;
        let facts = self.script_facts();
        self.begin_task(|ticket| Action::Reboot(ticket, permit, facts));
    }

    /// A held claim was looked at, to see whether it was released.
    pub(super) fn on_confirmed(
        &mut self,
        stage: Option<Stage>,
        refusal: Refusal,
        result: Result<Reply, Error>,
    ) {
        match answer(result, outcome::write).map(|write| self.told_own(write)) {
            Err(why) => return self.retry(&why),
            Ok(Write::Refused(found)) => return self.not_as_held(found.as_deref()),
            Ok(Write::Done(_)) => {}
        }
        match (stage, self.settings.mode) {
            (Some(stage), Mode::Daemon) => self.go(State::Gates(Gates::at(stage))),
            (stage, _) => self.hold(stage, refusal),
        }
    }

    pub(super) fn on_reboot_command(&mut self, report: &ScriptReport) {
        let failed = match &report.outcome {
            ScriptOutcome::Exited(0) => None,
            ScriptOutcome::NotStarted(why) => {
                return self.call_off(format!("the reboot command could not be started: {why}"));
            }
            ScriptOutcome::Exited(_) => Some(describe(report)),
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
        self.down.unanswered = None;
        let ScriptOutcome::NotStarted(why) = &report.outcome else {
            return;
        };
        self.down.may_go_down = false;
        if let State::Holding(None, _) = self.state {
            self.abort(format!("the reboot command could not be started: {why}"));
        }
    }

    /// Calls an attempt off. When an earlier reboot command ran, the host may still go down from it: giving the claim back
    /// could break the limit, so it is held and tried again.
    pub(super) fn call_off(&mut self, why: String) {
        if !self.down.may_go_down {
            return self.abort(why);
        }
        let again = (self.tries() < MAX_ATTEMPTS).then_some(Stage::Retry);
        self.hold(again, Refusal::Aborted(why));
    }

    pub(super) fn attempts_made(&self) -> u32 {
        self.claim().map_or(0, |claim| claim.attempts)
    }

    /// The commits of the claim up to now count no more. It outlives the process, so that no start of the host gives tries anew.
    pub(super) fn try_anew(&mut self) {
        self.down.tries_from = self.attempts_made();
        let tries = self.held.as_ref().map(|it| (it.create, it.claim.attempts));
        self.remember(|memory| memory.tries_from = tries);
    }

    /// The commits of the claim that count as tries.
    pub(super) fn tries(&self) -> u32 {
        self.attempts_made().saturating_sub(self.down.tries_from)
    }

    /// The host is still up.
    pub(super) fn on_reboot_timeout(&mut self, failed: Option<String>) {
        if let Some(why) = failed {
            return self.call_off(format!("the reboot command failed: {why}"));
        }
        self.down.unanswered = self.task.filter(|_| !self.down.may_go_down);
        self.cancel_task();
        self.down.may_go_down = true;
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
