//! The health report, as part of the machine: when it begins, and what it asks for.

use etcd_rs_sync::{Error, Reply};

use super::{Machine, State};
use crate::core::Note;
use crate::core::facts::{ScriptOutcome, ScriptReport};
use crate::core::health_report::{Ask, Reporter};
use crate::core::io::{Action, Ticket};
use crate::core::text::{describe, said};

impl Machine {
    /// Asks for what the health report is due. It begins once the start has shown that the name is this machine's.
    pub(super) fn report(&mut self) {
        let Some(interval) = self.settings.health_publish_interval else {
            return;
        };
        match &self.state {
            State::Stopping | State::Stopped => return,
            // Once it has begun it goes on: its wake-up is not put off either.
            State::SelfTest | State::ReadOwn | State::Registering(_) | State::Removing(_)
                if self.reporter.is_none() =>
            {
                return;
            }
            _ => {}
        }
        let now = self.now.mono;
        let reporter = self.reporter.take();
        let mut reporter = reporter.unwrap_or_else(|| Reporter::new(interval, now));
        let drained = self.held.is_none()
            && matches!(&self.state, State::Verifying(verify) if !verify.undone);
        reporter.stands(self.shown.standing.as_ref(), drained, now);
        loop {
            let ticket = Ticket(self.last_ticket + 1);
            let action = match reporter.next(&self.settings, &mut self.rng, ticket, now) {
                Some(Ask::Check) => Action::Monitor(ticket, self.script_facts()),
                Some(Ask::Send(request)) => Action::Report(ticket, request),
                None => break,
            };
            self.last_ticket += 1;
            self.out.push_back(action);
        }
        self.reporter = Some(reporter);
    }

    pub(super) fn on_reported(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let Some(reporter) = &mut self.reporter else {
            return;
        };
        let now = self.now.mono;
        let settings = &self.settings;
        let failed = reporter.answered(settings, &mut self.rng, ticket, now, result);
        if let Some((means, key, why)) = failed {
            let cause = etcd_rs_sync::cause(&why);
            let text = format!("{means}: {key}: {why}; trying again");
            self.note(
                Note::warn("report_failed", text)
                    .with("key", key)
                    .caused_by(cause),
            );
        }
    }

    pub(super) fn on_monitored(&mut self, ticket: Ticket, report: &ScriptReport) {
        let Some(reporter) = &mut self.reporter else {
            return;
        };
        if report.outcome != ScriptOutcome::Cancelled {
            self.shown.said = said(report);
        }
        let note = match reporter.checked(&self.settings, ticket, self.now, report) {
            Some(true) => Note::info("healthy", "the health script passes"),
            Some(false) => Note::warn(
                "unhealthy",
                format!("the health script does not pass: {}", describe(report)),
            ),
            None => return,
        };
        self.note(note.with("phase", "monitor"));
    }
}
