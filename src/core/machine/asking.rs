//! What a state begins with, what it asks of etcd, and to whom the answer goes.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::{Gates, Machine, ONCE_TRIES, Stage, State};
use crate::core::Note;
use crate::core::budget::backoff;
use crate::core::io::{Action, Ticket};
use crate::core::settings::Mode;
use crate::core::text::seconds;
use crate::lock::outcome::Malformed;
use crate::lock::request;

impl Machine {
    /// Enters a state: forgets the timer and what was under way for the last one, and begins what this one is for.
    pub(super) fn go(&mut self, state: State) {
        self.state = state;
        self.retries = 0;
        self.begin();
    }

    /// Begins, or after a pause begins again, what the state is for.
    pub(super) fn begin(&mut self) {
        self.timer = None;
        self.asked = None;
        self.task = None;
        match &self.state {
            State::Gates(gates) => self.begin_gate(*gates),
            State::Queued => self.look_around(),
            State::Draining(permit) => self.begin_drain(permit.since()),
            State::LastLook(_) => self.begin_task(Action::LookAtHost),
            State::Verifying(verify) => self.begin_verify(&verify.clone()),
            State::Rebooting { until, .. } => self.timer = Some(*until),
            // It asks when its timer is due.
            State::Holding(..) => {}
            _ => self.ask(),
        }
    }

    /// Sends the request the state is waiting for.
    pub(super) fn ask(&mut self) {
        if let Some(request) = self.request() {
            let ticket = self.ticket();
            self.asked = Some((ticket, self.now.mono));
            self.out.push_back(Action::Etcd(ticket, request));
        }
    }

    /// What each state asks of etcd.
    fn request(&self) -> Option<Request> {
        let (keys, node) = (&self.settings.keys, self.settings.node.as_str());
        let held = self.held.as_ref();
        Some(Request::Txn(match &self.state {
            State::SelfTest => request::self_test(keys, node),
            State::ReadOwn | State::Left(_) => self.own_request(),
            State::Registering(record) => self.registering_request(record),
            State::Unregistering(_) => self.unregistering_request(),
            State::Removing(held) => request::remove(keys, node, held),
            State::Noting(noting) => self.noting_request(noting),
            State::Granting(_, grant) => return Some(grant_request(grant.id, grant.ttl)),
            State::Entering(entry, claim) => self.entering_request(entry, claim)?,
            State::Counting => return self.counting_request(),
            State::TakingAway(away) | State::Clearing(away, _) => {
                return Some(self.take_away_request(away));
            }
            State::Leaving(id, _) => return Some(Request::Revoke { id: *id }),
            State::Committing(pending) => self.commit_request(pending),
            State::Fencing(pending) => request::fence(keys, &pending.seen),
            State::Moving(_, claim) => request::rewrite(keys, held?, claim, 0),
            State::Holding(..) => match self.failure_to_tell() {
                Some((seen, failure)) => request::mark(keys, seen, &failure),
                None => request::confirm(keys, node, held?),
            },
            State::Ending(ending) => return self.ending_request(ending),
            State::Verifying(verify) => self.verify_request(verify)?,
            State::Gates(gates) => return Some(self.gate_request(*gates)),
            State::Idle(_)
            | State::Queued
            | State::Draining(_)
            | State::LastLook(_)
            | State::Rebooting { .. }
            | State::Stopping
            | State::Stopped => return None,
        }))
    }

    pub(super) fn on_etcd(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let Some((_, sent_at)) = self.asked.take_if(|(asked, _)| *asked == ticket) else {
            return;
        };
        self.note_answer(matches!(
            result,
            Ok(_) | Err(Error::LeaseExists | Error::LeaseNotFound)
        ));
        self.heard(&result);
        match &self.state {
            State::SelfTest => self.on_self_test(result),
            State::ReadOwn | State::Left(_) => self.on_own(result),
            State::Registering(record) => self.on_registered(*record.clone(), result),
            State::Removing(_) => self.on_removed(result),
            State::Unregistering(refusal) => self.on_unregistered(refusal.clone(), result),
            State::Noting(noting) => self.on_noted(&noting.clone(), result),
            State::Granting(entry, grant) => {
                self.on_granted(entry.clone(), *grant, sent_at, result);
            }
            State::Entering(entry, claim) => {
                self.on_entered(&entry.clone(), *claim.clone(), result);
            }
            State::Counting => self.on_counted(result),
            State::TakingAway(away) | State::Clearing(away, _) => {
                self.on_taken_away(&away.clone(), result);
            }
            State::Leaving(..) => self.on_left(result),
            State::Committing(pending) => self.on_committed(pending.clone(), result),
            State::Fencing(pending) => self.on_fenced(pending.clone(), result),
            State::Moving(..) => self.on_moved(result),
            State::Holding(stage, refusal) => {
                self.on_confirmed(*stage, refusal.clone(), result);
            }
            State::Gates(gates) => self.on_gate_read(*gates, result),
            State::Verifying(verify) => self.on_verify_answer(&verify.clone(), result),
            State::Ending(_) => self.on_ended(sent_at, result),
            State::Draining(_)
            | State::Idle(_)
            | State::Queued
            | State::LastLook(_)
            | State::Rebooting { .. }
            | State::Stopping
            | State::Stopped => {}
        }
    }

    /// Remembers since when etcd cannot be used, and says when it can again.
    pub(super) fn heard(&mut self, result: &Result<Reply, Error>) {
        match (result, self.shown.etcd_trouble.take()) {
            (Ok(_), None) => {}
            (Ok(_), Some((since, _))) => {
                let away = self.now.wall.duration_since(since);
                // What comes and goes would be news each time, and fill the log.
                if away.unsigned_abs() >= self.settings.backoff_max {
                    let sec = away.as_secs().max(0);
                    self.note(Note::info("etcd_back", "etcd answers again").with("away_sec", sec));
                }
            }
            (Err(error), before) => {
                let since = before.map_or(self.now.wall, |(since, _)| since);
                self.shown.etcd_trouble = Some((since, words(error)));
            }
        }
    }

    pub(super) fn on_time(&mut self) {
        self.on_lease_time();
        let Some(due) = self.timer else { return };
        let is_idle = matches!(self.state, State::Idle(_));
        let opened = is_idle && self.opens.is_some_and(|at| at <= self.now.wall);
        if due > self.now.mono && !opened {
            return;
        }
        (self.timer, self.opens) = (None, None);
        match &self.state {
            State::Idle(_) if self.registers_anew() => self.start_afresh(),
            State::Idle(_) => self.go(State::Gates(Gates::at(Stage::PreLock))),
            State::Rebooting { failed, .. } => self.on_reboot_timeout(failed.clone()),
            State::Holding(..) => self.ask(),
            State::Stopping => self.exit_stopped(),
            // What is paused begins again.
            _ => self.begin(),
        }
    }

    /// Repeats the state's request after a growing pause. `--once` gives up after a few.
    pub(super) fn retry(&mut self, why: &str) {
        let tried = self.retries;
        self.retries += 1;
        let cause = etcd_rs_sync::cause(why);
        self.note(
            Note::warn(
                "etcd_error",
                format!("{}: {why}; trying again", self.state.name()),
            )
            .with("state", self.state.name())
            .caused_by(cause),
        );
        if self.settings.mode != Mode::Daemon && self.retries > ONCE_TRIES {
            let kept = match self.claim().is_some_and(|claim| claim.phase.committed()) {
                true => "; this host keeps its committed claim, and the next start goes on with it",
                false => "",
            };
            self.note(Note::error("gave_up", format!("gave up: {why}{kept}")));
            return self.exit(1);
        }
        self.timer = Some(self.now.mono + self.pause_after(tried));
    }

    /// Longer with each failure before, and no two nodes at once.
    pub(super) fn pause_after(&mut self, failures: u32) -> Duration {
        let (min, max) = (self.settings.backoff_min, self.settings.backoff_max);
        self.rng.jitter(backoff(failures, min, max))
    }
}

pub(super) fn grant_request(id: i64, ttl: Duration) -> Request {
    let ttl_sec = seconds(ttl);
    Request::Grant { id, ttl_sec }
}

/// A failed request, in words.
pub(super) fn words(error: &Error) -> String {
    error.to_string()
}

/// What an answer says, or why it says nothing.
pub(super) fn answer<T>(
    result: Result<Reply, Error>,
    read: impl FnOnce(Reply) -> Result<T, Malformed>,
) -> Result<T, String> {
    let reply = result.map_err(|error| words(&error))?;
    read(reply).map_err(|malformed| nonsense(&malformed))
}

/// An answer of the wrong shape, in words.
pub(super) fn nonsense(malformed: &Malformed) -> String {
    format!("the answer makes no sense: {}", malformed.0)
}
