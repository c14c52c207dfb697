//! What a state begins with, what it asks of etcd, and to whom the answer goes.

use etcd_rs_sync::{Error, Reply, Request};

use super::{Gates, Machine, ONCE_TRIES, Stage, State};
use crate::core::Note;
use crate::core::budget::backoff;
use crate::core::io::{Action, Ticket};
use crate::core::settings::Mode;
use crate::lock::outcome::Malformed;

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
            State::SelfTest
            | State::ReadOwn
            | State::Registering(_)
            | State::Unregistering(_)
            | State::Removing(_)
            | State::Noting(_)
            | State::Granting(..)
            | State::Entering(..)
            | State::Counting
            | State::TakingAway(_)
            | State::Clearing(..)
            | State::Leaving(..)
            | State::Left(_)
            | State::Committing(_)
            | State::Fencing(_)
            | State::Moving(..)
            | State::Ending(_) => self.ask(),
            State::Gates(_) => self.begin_gate(),
            State::Queued => self.look_around(),
            State::Draining(_) => self.begin_drain(),
            State::LastLook(_) => {
                let ticket = self.begin_task();
                self.out.push_back(Action::LookAtHost(ticket));
            }
            State::Verifying(_) => self.begin_verify(),
            State::Rebooting { until, .. } => self.timer = Some(*until),
            State::Idle(_) | State::Holding(..) | State::Stopping | State::Stopped => {}
        }
    }

    /// Sends the request the state is waiting for.
    pub(super) fn ask(&mut self) {
        let request = match &self.state {
            State::SelfTest
            | State::ReadOwn
            | State::Left(_)
            | State::Registering(_)
            | State::Unregistering(_)
            | State::Removing(_) => self.start_request(),
            State::Noting(_) => self.noting_request(),
            State::Granting(_, grant) => self.grant_request(grant.id, grant.ttl),
            State::Entering(..) | State::Counting => self.queue_request(),
            State::TakingAway(away) | State::Clearing(away, _) => self.take_away_request(away),
            State::Leaving(id, _) => Some(Request::Revoke { id: *id }),
            State::Committing(_) | State::Fencing(_) | State::Moving(..) | State::Holding(..) => {
                self.commit_request()
            }
            State::Ending(_) => self.ending_request(),
            State::Verifying(_) => self.verify_request(),
            State::Gates(_) => Some(self.gate_request()),
            State::Idle(_)
            | State::Queued
            | State::Draining(_)
            | State::LastLook(_)
            | State::Rebooting { .. }
            | State::Stopping
            | State::Stopped => None,
        };
        if let Some(request) = request {
            self.send(request);
        }
    }

    pub(super) fn send(&mut self, request: Request) {
        let ticket = self.ticket();
        self.asked = Some((ticket, self.now.mono));
        self.out.push_back(Action::Etcd(ticket, request));
    }

    pub(super) fn on_etcd(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let Some((asked, sent_at)) = self.asked else {
            return;
        };
        if asked != ticket {
            return;
        }
        self.asked = None;
        self.note_answer(matches!(
            result,
            Ok(_) | Err(Error::LeaseExists | Error::LeaseNotFound)
        ));
        self.heard(&result);
        match &self.state {
            State::SelfTest
            | State::ReadOwn
            | State::Left(_)
            | State::Registering(_)
            | State::Removing(_) => self.on_start(result),
            State::Unregistering(_) => self.on_unregistered(result),
            State::Noting(_) => self.on_noted(result),
            State::Granting(..) => self.on_granted(sent_at, result),
            State::Entering(..) => self.on_entered(result),
            State::Counting => self.on_counted(result),
            State::TakingAway(_) | State::Clearing(..) => self.on_taken_away(result),
            State::Leaving(..) => self.on_left(result),
            State::Committing(_) => self.on_committed(result),
            State::Fencing(_) => self.on_fenced(result),
            State::Moving(..) => self.on_moved(result),
            State::Holding(..) => self.on_confirmed(result),
            State::Gates(_) => self.on_gate_read(result),
            State::Verifying(_) => self.on_verify_answer(result),
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
        if due > self.now.mono {
            return;
        }
        self.timer = None;
        match &self.state {
            State::Idle(_) if self.registers_anew() => self.start_afresh(),
            State::Idle(_) => self.go(State::Gates(Gates::at(Stage::PreLock))),
            State::Rebooting { .. } => self.on_reboot_timeout(),
            State::Holding(..) => self.ask(),
            State::Stopping => self.exit_stopped(),
            State::Stopped => {}
            State::SelfTest
            | State::ReadOwn
            | State::Registering(_)
            | State::Unregistering(_)
            | State::Removing(_)
            | State::Noting(_)
            | State::Granting(..)
            | State::Entering(..)
            | State::Counting
            | State::TakingAway(_)
            | State::Clearing(..)
            | State::Leaving(..)
            | State::Left(_)
            | State::Committing(_)
            | State::Fencing(_)
            | State::Moving(..)
            | State::Ending(_)
            | State::Gates(_)
            | State::Queued
            | State::Draining(_)
            | State::LastLook(_)
            | State::Verifying(_) => self.begin(),
        }
    }

    /// Repeats the state's request after a growing pause. `--once` gives up after a few.
    pub(super) fn retry(&mut self, why: &str) {
        let pause = backoff(
            self.retries,
            self.settings.backoff_min,
            self.settings.backoff_max,
        );
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
            let held = self.held.as_ref();
            let kept = match held.is_some_and(|held| held.claim.phase.committed()) {
                true => "; this host keeps its committed claim, and the next start goes on with it",
                false => "",
            };
            self.note(Note::error("gave_up", format!("gave up: {why}{kept}")));
            return self.exit(1);
        }
        self.timer = Some(self.now.mono + self.rng.jitter(pause));
    }
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
