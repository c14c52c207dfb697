//! An operator's request, as the detector that is always on: what a look at it means, and the two writes a node makes to it.
//!
//! A node that sees a request for the first time writes its boot into it; a node that finds another boot in it has booted
//! since, so that the request is satisfied and is deleted. Both compare the mod revision and are safe to lose: whatever became
//! of them, the next look tells.

use etcd_rs_sync::{Error, Reply, Txn};

use super::{Gates, Machine, Stage, State, answer};
use crate::core::{Note, Refusal};
use crate::lock::reboot_requests::{self, Seen};
use crate::lock::record::RebootRequest;

/// The name of the detector.
pub const DETECTOR: &str = "etcd";

/// A write to the own request under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noting {
    /// Where the judgement goes on.
    pub(super) gates: Gates,
    modified: i64,
    request: RebootRequest,
}

impl Machine {
    pub(super) fn on_request_seen(&mut self, stage: Stage, result: Result<Reply, Error>) {
        let verdict = match answer(result, reboot_requests::seen) {
            Ok((seen, registered, shown)) => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.saw(shown);
                }
                self.take_registration(registered)
                    .and_then(|()| self.weigh(seen))
            }
            Err(why) => self.not_seen(stage, &why),
        };
        if let State::Gates(_) = self.state {
            self.judged(verdict);
        }
    }

    /// What stands in etcd: no request, one that counts, or one that is to be written first. Then the state says so.
    pub(super) fn weigh(&mut self, seen: Seen) -> Result<(), Refusal> {
        self.judging.request_modified = seen.as_ref().map_or(0, |(modified, _)| *modified);
        (self.judging.requested, self.judging.urgent) = (false, false);
        let (modified, request) = match seen {
            None => {
                self.note_detector("clear");
                return self.judging.detected.clone().map_or(Ok(()), Err);
            }
            Some((_, Err(error))) => {
                return self.request_unknown(
                    "the request cannot be read (`request --cancel` ends it)",
                    &error.to_string(),
                );
            }
            Some((modified, Ok(request))) => (modified, request),
        };
        if request.boot_id.as_ref() == Some(&self.settings.boot_id) {
            self.note_detector("required");
            self.count_request(&request);
            return Ok(());
        }
        let State::Gates(gates) = self.state else {
            return Ok(());
        };
        self.go(State::Noting(Box::new(Noting {
            gates,
            modified,
            request,
        })));
        Ok(())
    }

    fn count_request(&mut self, request: &RebootRequest) {
        let text = request.text();
        self.note(
            Note::info(
                "requested",
                format!("a reboot of this node was {text} (since {})", request.since),
            )
            .repeating(),
        );
        self.judging.requested = true;
        self.judging.urgent = request.urgent_until.is_some();
        if !self.judging.reasons.contains(&text) {
            self.judging.reasons.push(text);
        }
    }

    /// What a closed window and a cooldown come to: an urgent request lets its node past these two.
    pub(super) fn unless_urgent(&mut self, judged: Result<(), Refusal>) -> Result<(), Refusal> {
        let Err(refusal) = judged else { return Ok(()) };
        if !self.judging.urgent {
            return Err(refusal);
        }
        let what = format!("an urgent request lets this node past: {}", refusal.text());
        self.note(
            Note::warn("urgent", what)
                .with("reason", refusal.label())
                .repeating(),
        );
        self.judging.passed.push(refusal.gate());
        Ok(())
    }

    /// etcd did not say whether there is a request.
    fn not_seen(&mut self, stage: Stage, why: &str) -> Result<(), Refusal> {
        match stage {
            Stage::PreLock => {
                let unknown = self.request_unknown("etcd does not say whether there is one", why);
                // Where the host asks for nothing, etcd is what has to be repaired, and no detector.
                match (&self.judging.detected, unknown) {
                    (Some(Refusal::NotRequired), Err(_)) => Err(Refusal::Etcd(why.to_owned())),
                    (_, unknown) => unknown,
                }
            }
            // The turn is judged on a fresh look anyway; a lost answer is no reason to lose the place.
            Stage::Waiting if self.judging.requested => Ok(()),
            Stage::Waiting | Stage::PostLock | Stage::Resume | Stage::Retry => {
                Err(Refusal::Etcd(why.to_owned()))
            }
        }
    }

    /// The detector could not tell. As with every other, that counts only when no other asks. What changes from one failure to
    /// the next stays out of the message, so that an unchanged state of things is said once.
    fn request_unknown(&mut self, what: &str, why: &str) -> Result<(), Refusal> {
        self.note_detector("failed");
        self.note(
            Note::error(
                "detector_failed",
                format!("detector {DETECTOR} could not tell whether an operator requests a reboot: {what}"),
            )
            .with("detector", DETECTOR)
            .with("error", why)
            .repeating(),
        );
        let what = format!("{DETECTOR}: {what}");
        match &self.judging.detected {
            None => Ok(()),
            Some(Refusal::Unknown(others)) => Err(Refusal::Unknown(format!("{others}; {what}"))),
            Some(_) => Err(Refusal::Unknown(what)),
        }
    }

    /// For the log of who looks closely, and for metrics.
    fn note_detector(&mut self, result: &'static str) {
        self.note(
            Note::debug("detector", format!("detector {DETECTOR}: {result}"))
                .with("detector", DETECTOR)
                .with("result", result),
        );
    }

    pub(super) fn noting_request(&self, noting: &Noting) -> Txn {
        let (keys, node) = (&self.settings.keys, self.settings.node.as_str());
        if noting.request.boot_id.is_some() {
            return reboot_requests::withdraw(keys, node, noting.modified);
        }
        let boot_id = Some(self.settings.boot_id.clone());
        let noted = RebootRequest {
            boot_id,
            ..noting.request.clone()
        };
        reboot_requests::note(keys, node, &noted, noting.modified)
    }

    pub(super) fn on_noted(&mut self, noting: &Noting, result: Result<Reply, Error>) {
        match answer(result, reboot_requests::written) {
            Ok(written) => {
                // Gone is gone: an earlier copy of the request may have done it.
                if matches!(written, Ok(()) | Err(None)) && noting.request.boot_id.is_some() {
                    self.note(Note::info(
                        "request_done",
                        format!(
                            "this node has booted since a reboot was {}: the request is satisfied",
                            noting.request.text()
                        ),
                    ));
                }
                self.go(State::Gates(noting.gates));
            }
            Err(why) => {
                self.state = State::Gates(noting.gates);
                self.judged(match noting.gates.stage() {
                    Stage::Waiting => Ok(()),
                    Stage::PreLock | Stage::PostLock | Stage::Resume | Stage::Retry => {
                        Err(Refusal::Etcd(why))
                    }
                });
            }
        }
    }
}
