//! The way back: proving health after a reboot, or after an attempt that was called off.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Txn};

use super::judge::judge_detectors;
use super::{Machine, State, answer};
use crate::core::facts::{DetectorReport, HealthPhase, ScriptReport};
use crate::core::io::{Action, Hook};
use crate::core::settings::Mode;
use crate::core::text::describe;
use crate::core::{Note, Refusal};
use crate::lock::outcome::{self, Write};
use crate::lock::{Claim, Phase, reboot_requests, request};

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host rebooted.
    Completed,
    /// It was called off after the commit; why.
    Aborted(String),
    /// The claim was taken away while the node was down or about to be.
    TakenAway,
    /// Nobody knows whether there was one: the hook that undoes a drain runs once, and nothing else.
    Unrecorded,
}

/// Where the proof stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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
    pub(super) outcome: Outcome,
    pub(super) step: Step,
    /// Whether every detector said that no reboot is required any more.
    pub(super) cleared: bool,
    /// Mod revision of the operator's request that the boot satisfies.
    pub(super) request: Option<i64>,
    healthy_since: Option<Duration>,
    /// Whether the claim says that its node is back.
    pub(super) marked: bool,
    pub(super) undone: bool,
    /// Since when it is not healthy.
    ill_since: Option<Duration>,
    /// What is wrong, when it has been wrong for so long that it counts as a failed reboot.
    pub(super) illness: Option<String>,
    /// Whether that is being told.
    pub(super) telling: bool,
    /// Whether it is looked first whether the claim still stands.
    pub(super) looks: bool,
}

impl Verify {
    /// A proof at its beginning.
    pub fn new(outcome: Outcome) -> Verify {
        let step = match outcome {
            Outcome::Completed | Outcome::Aborted(_) => Step::Mark,
            Outcome::TakenAway | Outcome::Unrecorded => Step::Undo,
        };
        Verify {
            outcome,
            step,
            cleared: false,
            request: None,
            healthy_since: None,
            marked: false,
            undone: false,
            ill_since: None,
            illness: None,
            telling: false,
            looks: false,
        }
    }

    /// What was seen of its health was seen by a script that may be another one now.
    pub(super) fn unsettle(&mut self) {
        self.healthy_since = None;
    }
}

impl Machine {
    pub(super) fn begin_verify(&mut self, verify: &Verify) {
        match verify.step {
            _ if verify.telling || verify.looks => self.ask(),
            Step::Mark | Step::Request => self.ask(),
            Step::Detect => self.begin_task(Action::Detect),
            Step::Undo if verify.undone => self.verify_next(Step::Health),
            Step::Undo if !self.settings.undoes => {
                self.note_not_undone(&verify.outcome);
                self.undone();
            }
            Step::Undo => {
                self.note(
                    Note::info("undraining", "running the hook that undoes the drain").repeating(),
                );
                self.hook_action(Hook::Undo);
            }
            Step::Health => {
                let facts = self.script_facts();
                self.begin_task(|ticket| Action::Health(ticket, HealthPhase::PostBoot, facts));
            }
        }
    }

    /// An attempt that came to nothing drained the node, or one whose drain a hook was to undo, and its file names no such hook.
    fn note_not_undone(&mut self, outcome: &Outcome) {
        let drained = match (outcome, &self.held) {
            (Outcome::Aborted(_), Some(held)) => held.claim.drain_sec.is_some(),
            // No claim is left that could say so.
            (Outcome::TakenAway, _) => self.settings.drain_timeout.is_some(),
            _ => false,
        };
        if drained || self.memory.undoes {
            self.note(Note::warn(
                "not_undone",
                "no post_boot_hook is configured: what the drain hook of this attempt did stays as it is; undo it by hand",
            ));
        }
    }

    /// The drain is undone, or there is nothing to undo it with.
    fn undone(&mut self) {
        self.remember(|memory| (memory.begun, memory.undoes) = (false, false));
        self.shown.ill = None;
        let State::Verifying(verify) = &mut self.state else {
            return;
        };
        verify.undone = true;
        match verify.outcome {
            Outcome::Unrecorded => self.go(State::ReadOwn),
            Outcome::Completed if !verify.marked => self.verify_next(Step::Mark),
            Outcome::Completed | Outcome::Aborted(_) | Outcome::TakenAway => {
                self.verify_next(Step::Health);
            }
        }
    }

    pub(super) fn verify_next(&mut self, step: Step) {
        if let State::Verifying(verify) = &mut self.state {
            verify.step = step;
        }
        self.retries = 0;
        self.begin();
    }

    pub(super) fn verify_request(&self, verify: &Verify) -> Option<Txn> {
        let (keys, node) = (&self.settings.keys, &self.settings.node);
        if verify.step == Step::Request {
            return Some(reboot_requests::look(keys, node));
        }
        if let Some((seen, failure)) = self.failure_to_tell() {
            return Some(request::mark(keys, seen, &failure));
        }
        let held = self.held.as_ref()?;
        if verify.looks {
            return Some(request::confirm(keys, node, held));
        }
        // The claim says that its node is back and being verified.
        let claim = self.verifying(&held.claim);
        Some(request::rewrite(keys, held, &claim, 0))
    }

    pub(super) fn on_verify_answer(&mut self, verify: &Verify, result: Result<Reply, Error>) {
        match verify.step {
            _ if verify.telling => self.on_told(result),
            _ if verify.looks => self.on_looked_at_claim(result),
            Step::Request => self.on_request_found(result),
            _ => self.on_marked(result),
        }
    }

    /// The proof goes on while etcd does not answer.
    fn on_looked_at_claim(&mut self, result: Result<Reply, Error>) {
        if let Ok(Write::Refused(found)) = answer(result, outcome::write) {
            return self.not_as_held(found.as_deref());
        }
        if let State::Verifying(verify) = &mut self.state {
            verify.looks = false;
        }
        self.begin();
    }

    /// A request that says another boot was made before this one. One that says nothing yet may have come after it.
    fn on_request_found(&mut self, result: Result<Reply, Error>) {
        let seen = match answer(result, reboot_requests::seen) {
            Ok((seen, ..)) => seen,
            Err(why) => return self.undo_first(&why),
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

    pub(super) fn verify_script(&mut self, step: Step, report: &ScriptReport) {
        match (step, report.outcome.success()) {
            (Step::Undo, true) => self.undone(),
            (Step::Undo, false) => {
                let why = describe(report);
                self.unhealthy("the hook that undoes the drain failed", &why);
            }
            (Step::Health, true) => self.healthy(self.now.mono),
            (Step::Health | Step::Mark | Step::Detect | Step::Request, _) => {
                let why = describe(report);
                self.unhealthy("the health script does not pass", &why);
            }
        }
    }

    fn unhealthy(&mut self, what: &str, why: &str) {
        let (now, may_be_ill) = (self.now.mono, self.may_be_ill());
        let once = self.settings.mode != Mode::Daemon;
        let overdue = once && self.is_overdue();
        let told = self
            .held
            .as_ref()
            .is_none_or(|held| held.create == self.down.told);
        if let State::Verifying(verify) = &mut self.state {
            verify.healthy_since = None;
            let since = *verify.ill_since.get_or_insert(now);
            if !told && (overdue || now.saturating_sub(since) >= may_be_ill) {
                verify.illness = Some(format!("{what}: {why}"));
                verify.telling = true;
            }
        }
        self.shown.ill = Some(format!("{what}: {why}"));
        let consequence = match &self.held {
            Some(held) if held.claim.limit > 1 => {
                "this node keeps its claim, and a place that nobody else gets, until it recovers"
            }
            Some(_) => "this node keeps its claim and nobody else goes until it recovers",
            None => "it has no claim, others go, and it joins the queue only when it recovers",
        };
        self.note(
            Note::error("not_healthy", format!("{what}: {why}; {consequence}"))
                .with("reason", why)
                .with("keeps_claim", self.held.is_some())
                .repeating(),
        );
        if once {
            return self.end_of_pass();
        }
        let pause = self.pause_after(self.retries);
        self.retries += 1;
        self.look_again_at(self.now.mono + pause);
    }

    /// The next pass looks again. Nobody else can say of a claim that each pass moves that its node does not recover.
    pub(super) fn end_of_pass(&mut self) {
        match &self.state {
            State::Verifying(verify) if verify.telling => self.begin(),
            _ => self.exit(Refusal::Health(String::new()).exit_code()),
        }
    }

    /// Whether by the wall clock the held claim was committed before all that it may take: the drain, the reboot, and a quarter of
    /// that for what starts after the boot.
    fn is_overdue(&self) -> bool {
        let Some(claim) = self.claim() else {
            return false;
        };
        let patience = claim.patience_since_commit(self.patience());
        let at = claim.committed_at.as_deref().and_then(|at| at.parse().ok());
        let since = at.map(|at: jiff::Timestamp| self.now.wall.duration_since(at));
        let since = since.and_then(|since| Duration::try_from(since).ok());
        since > Some(patience + self.may_be_ill())
    }

    fn healthy(&mut self, now: Duration) {
        let settle = self.settings.post_boot_settle;
        let check = self.settings.check_interval;
        self.retries = 0;
        self.shown.ill = None;
        let State::Verifying(verify) = &mut self.state else {
            return;
        };
        verify.ill_since = None;
        verify.illness = None;
        let since = *verify.healthy_since.get_or_insert(now);
        // Nobody waits for one without a claim.
        if self.held.is_some() && now.saturating_sub(since) < settle {
            return self.look_again_at((since + settle).min(now + check));
        }
        let verify = verify.clone();
        self.end(&verify);
    }

    /// The proof takes its time, in which the claim may be taken away.
    fn look_again_at(&mut self, at: Duration) {
        self.timer = Some(at);
        let holds = self.held.is_some();
        if let State::Verifying(verify) = &mut self.state {
            verify.looks = holds;
        }
    }

    /// The claim of a node that is back: still that of the boot before, so that a new start knows it too. What undoes the drain may
    /// take its time.
    pub(super) fn verifying(&self, claim: &Claim) -> Claim {
        let patience = self.patience() + self.settings.undo_timeout;
        Claim {
            phase: Phase::Verifying,
            session: self.session.clone(),
            patience_sec: Some(patience.as_secs()),
            ..claim.clone()
        }
    }
}
