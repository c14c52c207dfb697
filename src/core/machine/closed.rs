//! What a closed gate means, which depends on how far the node has come.

use std::time::Duration;

use super::{Machine, Outcome, Stage, State, Verify};
use crate::core::settings::Mode;
use crate::core::{Note, Refusal};
use crate::lock::outcome::Found;

impl Machine {
    /// What a closed gate means depends on how far the node has come.
    pub(super) fn gate_closed(&mut self, stage: Stage, refusal: Refusal) {
        match stage {
            Stage::PreLock => self.pre_lock_closed(refusal),
            Stage::Waiting => self.leave(refusal),
            Stage::PostLock => match refusal {
                // These close for everybody: leaving would only lose the place.
                Refusal::Paused(_) | Refusal::Cooldown(_) if self.may_wait() => {
                    self.hold_turn(refusal);
                }
                // A failure that is known leaves its node a way to the front. One that this node only suspects is watched on.
                Refusal::Line(_) if self.suspects() && self.may_wait() => self.hold_turn(refusal),
                _ => {
                    self.shown.at_turn = true;
                    self.leave(refusal);
                }
            },
            Stage::Resume | Stage::Retry => match refusal {
                Refusal::Etcd(_) => self.hold(Some(stage), refusal),
                Refusal::NotRequired if self.down.may_go_down => self.hold(Some(stage), Refusal::Aborted(
                    "the reboot command ran, no reboot is required any more, and the boot id is what it was before: the host has not \
                     rebooted, or by a soft reboot, which keeps the boot id and does not count".to_owned(),
                )),
                // The host may still go down from a command that was run: giving the claim back now could break the limit.
                _ if self.down.may_go_down => self.hold(Some(stage), refusal),
                _ => self.abort(refusal.text()),
            },
        }
    }

    pub(super) fn pre_lock_closed(&mut self, refusal: Refusal) {
        self.shown.at_turn = false;
        let mut record = self.record();
        let whole = match &refusal {
            Refusal::NotRequired => true,
            // What used it up was cleared since; a request that was tried already does not get another try that way.
            Refusal::Budget(_) => {
                self.judging.cleared && record.request != Some(self.judging.request_modified)
            }
            _ => false,
        };
        if whole && record.budget_used > 0 && self.registration.is_some() {
            self.note(Note::info(
                "budget_reset",
                "the requirement was cleared since the last reboot: the reboot budget is whole again",
            ));
            record.budget_used = 0;
            return self.go(State::Registering(Box::new(record)));
        }
        if self.registration.is_none() && self.settings.mode == Mode::Daemon {
            // An operator forgot this node, and it is here.
            record.boot_id = Some(self.settings.boot_id.clone());
            if let Some(reporter) = &mut self.reporter {
                reporter.forgotten();
            }
            return self.go(State::Registering(Box::new(record)));
        }
        if !self.former.is_empty() {
            return self.go(State::Unregistering(refusal));
        }
        match self.due_outside(&refusal) {
            Some(state) => self.go(state),
            None => self.block(refusal),
        }
    }

    /// Calls an attempt off after the commit: undo the drain, prove health, give the claim back.
    pub(super) fn abort(&mut self, why: String) {
        self.note(
            Note::error("aborted", format!("the attempt is called off: {why}"))
                .with("reason", why.clone()),
        );
        self.go(State::Verifying(Verify::new(Outcome::Aborted(why))));
    }

    /// The committed claim is not the one this process holds. When it was only rewritten, by something that an earlier process
    /// of this host sent and that took its time, it is adopted as it stands.
    pub(super) fn not_as_held(&mut self, found: Option<&Found>) {
        let create = self.held.as_ref().map(|held| held.create);
        if found.is_none_or(|found| Some(found.create) != create) {
            return self.taken_away();
        }
        self.held = None;
        self.go(State::ReadOwn);
    }

    /// An operator, or a waiting node after `hold_timeout_sec`, took the committed claim away.
    pub(super) fn taken_away(&mut self) {
        self.held = None;
        let mut verify = Verify::new(Outcome::TakenAway);
        verify.undone = matches!(&self.state, State::Verifying(before) if before.undone);
        let follows = match verify.undone {
            true => "proving its health and starting over",
            false => self.what_follows(),
        };
        self.note(
            Note::warn(
                "claim_gone",
                format!(
                    "this node's committed claim was taken away (released by an operator, or hold_timeout_sec passed); {follows}"
                ),
            )
            .with("outcome", "taken-away"),
        );
        self.go(State::Verifying(verify));
    }

    /// What follows the loss of a claim, in words.
    pub(super) fn what_follows(&self) -> &'static str {
        match self.settings.undoes {
            true => "undoing the drain and starting over",
            false => "starting over",
        }
    }

    /// Holds the claim: the line stops.
    pub(super) fn hold(&mut self, stage: Option<Stage>, refusal: Refusal) {
        let limit = self.claim().map_or(1, |claim| claim.limit);
        let others = match limit {
            1 => "nobody else goes",
            _ => "nobody else gets its place",
        };
        let text = format!(
            "this node keeps its claim and {others}: {}; repair what failed and reload or restart the daemon, which tries again, or reboot this \
             node by hand, or release its claim by name",
            refusal.text()
        );
        self.note(
            Note::error("holding", text)
                .with("reason", refusal.label())
                .repeating(),
        );
        let code = refusal.exit_code().max(1);
        if stage.is_none() {
            // Whoever restarts or reloads the daemon after this may have mended it.
            self.try_anew();
        }
        self.go(State::Holding(stage, refusal));
        // What is to be told goes out at once, and a pass ends only when it is told.
        let pause = match self.failure_to_tell().is_some() {
            true => Duration::ZERO,
            false if self.settings.mode != Mode::Daemon => return self.exit(code),
            false => self.check_pause(),
        };
        self.timer = Some(self.now.mono + pause);
    }
}
