//! The mark of the own failed reboot, and its end, while health is proved.

use etcd_rs_sync::{Error, Reply};

use super::verify::Step;
use super::{Machine, Outcome, State, answer};
use crate::core::{Mode, Note};
use crate::lock::outcome::{self, Found, Write};
use crate::lock::{Claim, Phase};

impl Machine {
    pub(super) fn on_told(&mut self, result: Result<Reply, Error>) {
        match answer(result, outcome::write).map(|write| self.told_own(write)) {
            Ok(Write::Done(_)) => {}
            Ok(Write::Refused(found)) => return self.not_as_held(found.as_deref()),
            Err(why) => return self.retry(&why),
        }
        if let State::Verifying(verify) = &mut self.state {
            verify.telling = false;
        }
        match self.settings.mode {
            Mode::Daemon => self.begin(),
            Mode::Once { .. } => self.end_of_pass(),
        }
    }

    pub(super) fn on_marked(&mut self, result: Result<Reply, Error>) {
        let Some(held) = &self.held else {
            return self.taken_away();
        };
        // A mark of this process, which may have been made under another configuration.
        let is_mark = |it: &Claim| it.phase == Phase::Verifying && it.session == self.session;
        let (modified, claim) = match answer(result, outcome::write) {
            Ok(Write::Done(revision)) => (revision, self.verifying(&held.claim)),
            Ok(Write::Refused(found)) => match found.as_deref() {
                Some(Found {
                    create,
                    modified,
                    claim: Ok(claim),
                    ..
                }) if *create == held.create && is_mark(claim) => (*modified, claim.clone()),
                found => return self.not_as_held(found),
            },
            // One answer may be lost. While the undo runs the claim says how long that may take, if it can.
            Err(why) if self.retries == 0 => return self.retry(&why),
            Err(why) => return self.undo_first(&why),
        };
        if let Some(held) = &mut self.held {
            held.modified = modified;
            held.claim = claim;
        }
        let State::Verifying(verify) = &mut self.state else {
            return;
        };
        verify.marked = true;
        let next = match verify.outcome {
            Outcome::Completed => {
                self.note(Note::info(
                    "back",
                    "the host has rebooted; this node keeps its claim until it is healthy",
                ));
                Step::Detect
            }
            Outcome::Aborted(_) | Outcome::TakenAway | Outcome::Unrecorded => Step::Undo,
        };
        self.verify_next(next);
    }

    /// The boot is proved already: the drain is undone before etcd can write, as when its disk is full, or answers at all.
    pub(super) fn undo_first(&mut self, why: &str) {
        match &self.state {
            State::Verifying(verify)
                if verify.outcome == Outcome::Completed
                    && !verify.undone
                    && self.settings.undoes =>
            {
                self.note(
                    Note::warn(
                        "etcd_error",
                        format!("verifying: {why}; undoing the drain first"),
                    )
                    .with("state", "verifying")
                    .repeating(),
                );
                self.verify_next(Step::Undo);
            }
            _ => self.retry(why),
        }
    }
}
