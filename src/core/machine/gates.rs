//! The gates, judged in order; the first that is closed ends the judgement. Unknown is "no".

use etcd_rs_sync::{Error, Reply, Request};

use super::{Entry, Machine, Outcome, State, Verify, nonsense, words};
use crate::core::facts::{
    DetectorReport, DetectorResult, HealthPhase, ScriptOutcome, ScriptReport,
};
use crate::core::io::Action;
use crate::core::settings::Mode;
use crate::core::{Hook, Note, Refusal, budget, policy};
use crate::lock::outcome::{self, Found, GateRead, Members};
use crate::lock::{Held, request};

/// When the gates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before joining the queue.
    PreLock,
    /// Now and then while waiting in it.
    Waiting,
    /// At its head, before the commit.
    PostLock,
    /// After the start of a process, before a drain that was interrupted goes on.
    Resume,
    /// Before a reboot command that did nothing is tried again.
    Retry,
}

/// One thing to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Detect,
    Host,
    Read,
    Health,
}

/// A judgement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    stage: Stage,
    step: usize,
}

impl Gates {
    /// A judgement at its beginning.
    pub fn at(stage: Stage) -> Gates {
        Gates { stage, step: 0 }
    }

    /// A judgement that begins with what etcd says: what came before was judged a moment ago.
    pub(super) fn reading(stage: Stage) -> Gates {
        let fresh = Gates::at(stage);
        let read = fresh.steps().iter().position(|step| *step == Step::Read);
        Gates {
            step: read.unwrap_or(0),
            ..fresh
        }
    }

    /// When the gates are judged.
    pub fn stage(self) -> Stage {
        self.stage
    }

    pub(super) fn name(self) -> &'static str {
        match self.stage {
            Stage::PreLock => "checking",
            Stage::Waiting => "queued",
            Stage::PostLock => "turn",
            Stage::Resume => "draining",
            Stage::Retry => "rebooting",
        }
    }

    /// What there is to find out. The quick and the local come first before the queue; under the claim the kill switch
    /// comes last, next to the commit.
    fn steps(self) -> &'static [Step] {
        match self.stage {
            Stage::PreLock => &[Step::Detect, Step::Host, Step::Read, Step::Health],
            Stage::Waiting => &[Step::Detect, Step::Host],
            Stage::PostLock | Stage::Resume | Stage::Retry => {
                &[Step::Detect, Step::Health, Step::Read, Step::Host]
            }
        }
    }

    /// Whether a commit has been made already, so that the budget counts this very attempt.
    fn committed(self) -> bool {
        match self.stage {
            Stage::PreLock | Stage::Waiting | Stage::PostLock => false,
            Stage::Resume | Stage::Retry => true,
        }
    }
}

impl Machine {
    pub(super) fn begin_gate(&mut self) {
        let State::Gates(gates) = self.state else {
            return;
        };
        let Some(step) = gates.steps().get(gates.step) else {
            return self.gates_open(gates.stage);
        };
        match step {
            Step::Read => self.ask(),
            Step::Detect => {
                let ticket = self.begin_task();
                self.out.push_back(Action::Detect(ticket));
            }
            Step::Host => {
                let ticket = self.begin_task();
                self.out.push_back(Action::LookAtHost(ticket));
            }
            Step::Health => {
                let phase = match gates.stage {
                    Stage::PreLock | Stage::Waiting => HealthPhase::PreLock,
                    Stage::PostLock | Stage::Resume | Stage::Retry => HealthPhase::PostLock,
                };
                let ticket = self.begin_task();
                let facts = self.script_facts();
                self.out.push_back(Action::Health(ticket, phase, facts));
            }
        }
    }

    pub(super) fn gate_request(&self) -> Request {
        let members = self.settings.policies.is_some();
        Request::Txn(request::gate_read(
            &self.settings.keys,
            &self.settings.node,
            members,
        ))
    }

    /// One gate was judged.
    fn judged(&mut self, verdict: Result<(), Refusal>) {
        let State::Gates(gates) = self.state else {
            return;
        };
        match verdict {
            Ok(()) => {
                self.state = State::Gates(Gates {
                    step: gates.step + 1,
                    ..gates
                });
                self.begin();
            }
            Err(refusal) => self.gate_closed(gates.stage, refusal),
        }
    }

    fn gates_open(&mut self, stage: Stage) {
        match stage {
            Stage::PreLock => self.enter_queue(Entry::Join),
            Stage::Waiting => self.go(State::Queued),
            Stage::PostLock if self.settings.dry_run => self.leave(Refusal::DryRun),
            Stage::Resume if self.settings.dry_run => {
                self.abort("dry_run was set since".to_owned());
            }
            Stage::Retry if self.settings.dry_run => self.hold(Some(stage), Refusal::DryRun),
            Stage::PostLock | Stage::Resume | Stage::Retry => self.commit(stage),
        }
    }

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
                _ => self.leave(refusal),
            },
            Stage::Resume => match refusal {
                Refusal::Etcd(_) => self.hold(Some(stage), refusal),
                _ => self.abort(refusal.text()),
            },
            // The host may still go down from the command that was run: giving the claim back now could break the limit.
            Stage::Retry => self.hold(Some(stage), refusal),
        }
    }

    fn pre_lock_closed(&mut self, refusal: Refusal) {
        let mut record = self.record();
        let refill = refusal == Refusal::NotRequired
            && record.budget_used > 0
            && self.registration.is_some();
        if refill {
            self.note(Note::info(
                "budget_reset",
                "no detector asks for a reboot any more: the reboot budget is whole again",
            ));
            record.budget_used = 0;
            return self.go(State::Registering(Box::new(record)));
        }
        self.block(refusal);
    }

    pub(super) fn on_detected(&mut self, reports: &[DetectorReport]) {
        if let State::Verifying(_) = self.state {
            return self.verify_detected(reports);
        }
        let verdict = judge_detectors(reports);
        self.note_detectors(reports);
        match verdict {
            Ok(reasons) => {
                self.note(
                    Note::info(
                        "reboot_required",
                        format!("a reboot is required: {}", reasons.join("; ")),
                    )
                    .repeating(),
                );
                self.reasons = reasons;
                self.judged(Ok(()));
            }
            Err(refusal) => self.judged(Err(refusal)),
        }
    }

    pub(super) fn note_detectors(&mut self, reports: &[DetectorReport]) {
        for report in reports {
            if let DetectorResult::Failed(why) = &report.result {
                self.note(
                    Note::error(
                        "detector_failed",
                        format!("detector {} could not tell: {why}", report.name),
                    )
                    .with("detector", report.name.clone())
                    .repeating(),
                );
            }
        }
    }

    pub(super) fn on_host(&mut self, kill_switch: Option<String>) {
        if let State::LastLook(_) = self.state {
            return self.last_look(kill_switch);
        }
        let verdict = match kill_switch {
            Some(why) => Err(Refusal::KillSwitch(why)),
            None => self.judge_window(),
        };
        self.judged(verdict);
    }

    fn judge_window(&self) -> Result<(), Refusal> {
        let Some(windows) = &self.settings.windows else {
            return Ok(());
        };
        let verdict = windows.verdict(self.now.wall);
        if verdict.open {
            return Ok(());
        }
        let why = match verdict.by {
            Some(entry) => format!("closed by {entry:?}"),
            None => "no allow entry covers this time".to_owned(),
        };
        let next = match windows.next_open(self.now.wall) {
            Some(at) => format!("opens at {at}"),
            None => "does not open in the foreseeable future".to_owned(),
        };
        Err(Refusal::Window(format!("{why}; {next}")))
    }

    pub(super) fn on_gate_read(&mut self, result: Result<Reply, Error>) {
        let read = match result {
            Ok(reply) => outcome::gate_read(reply).map_err(|malformed| nonsense(&malformed)),
            Err(error) => Err(words(&error)),
        };
        if let (State::Gates(gates), Some(held), Ok(read)) = (&self.state, &self.held, &read)
            && gates.committed()
            && !stands(held, read.claim.as_ref())
        {
            let found = read.claim.clone();
            return self.not_as_held(found.as_ref());
        }
        let verdict = match read {
            Ok(read) => self.judge_read(read),
            Err(why) => Err(Refusal::Etcd(why)),
        };
        // A machine that ended itself over what it read is not to go on.
        if let State::Gates(_) = self.state {
            self.judged(verdict);
        }
    }

    /// Judges what etcd says. Updates the registration the commit will compare.
    pub(super) fn judge_read(&mut self, read: GateRead) -> Result<(), Refusal> {
        let State::Gates(gates) = self.state else {
            return Ok(());
        };
        self.paused = read.pause.is_some();
        match read.registration {
            Some((modified, Ok(record))) => self.registration = Some((modified, record)),
            Some((_, Err(error))) => {
                return Err(Refusal::Etcd(format!(
                    "the registration of this node: {error}"
                )));
            }
            None => self.registration = None,
        }
        if self.foreign_registration() {
            return Ok(());
        }
        if let Some(held) = &self.held
            && !stands(held, read.claim.as_ref())
        {
            return Err(Refusal::Lost(
                "the claim was deleted or rewritten".to_owned(),
            ));
        }
        judge_cluster(&read.pause, &read.cooldown)?;
        if !gates.committed() {
            self.judge_budget()?;
        }
        self.judge_policies(read.revision, read.members)
    }

    fn judge_policies(&mut self, revision: i64, members: Option<Members>) -> Result<(), Refusal> {
        let Some(policies) = &self.settings.policies else {
            return Ok(());
        };
        let Some(members) = members else {
            return Err(Refusal::Policy("the members are not known".to_owned()));
        };
        self.counted = members.counts();
        self.members = members;
        self.judged_at = Some(revision);
        policy::judge(policies, &self.members, &self.settings.node).map_err(Refusal::Policy)
    }

    fn judge_budget(&self) -> Result<(), Refusal> {
        let record = self.record();
        let max = self.settings.max_reboots_without_clearing;
        if budget::left(&record, max) {
            return Ok(());
        }
        let last = record
            .last_reboot
            .map_or_else(String::new, |last| format!(", the last at {}", last.at));
        Err(Refusal::Budget(format!(
            "{} of {max} reboots did not clear the requirement{last}",
            record.budget_used
        )))
    }

    pub(super) fn on_script(&mut self, report: &ScriptReport) {
        match &self.state {
            State::Draining(_) => self.on_drained(report),
            State::Verifying(_) => self.verify_script(report),
            _ => {
                let verdict = self.judge_health(report);
                self.judged(verdict);
            }
        }
    }

    pub(super) fn judge_health(&mut self, report: &ScriptReport) -> Result<(), Refusal> {
        if report.outcome.success() {
            return Ok(());
        }
        let said = last_line(&report.stderr.text).or_else(|| last_line(&report.stdout.text));
        let mut why = report.outcome.to_string();
        if let Some(said) = said {
            why = format!("{why}: {said}");
        }
        Err(Refusal::Health(why))
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
        self.note(
            Note::warn(
                "claim_gone",
                "this node's committed claim was taken away (released by an operator, or hold_timeout_sec passed); undoing the \
                 drain and starting over",
            )
            .with("outcome", "taken-away"),
        );
        self.go(State::Verifying(Verify::new(Outcome::TakenAway)));
    }

    /// Holds the claim: the line stops.
    pub(super) fn hold(&mut self, stage: Option<Stage>, refusal: Refusal) {
        let text = format!(
            "this node keeps its claim and nobody else goes: {}; when it does not recover, release it by name",
            refusal.text()
        );
        self.note(
            Note::error("holding", text)
                .with("reason", refusal.label())
                .repeating(),
        );
        if self.settings.mode != Mode::Daemon {
            return self.exit(refusal.exit_code().max(1));
        }
        let pause = self.check_pause();
        self.go(State::Holding(stage, refusal));
        self.timer = Some(self.now.mono + pause);
    }

    pub(super) fn hook_action(&mut self, hook: Hook) {
        let ticket = self.begin_task();
        let facts = self.script_facts();
        self.out.push_back(Action::Hook(ticket, hook, facts));
    }
}

/// Whether the claim found is the one held, unchanged.
fn stands(held: &Held, found: Option<&Found>) -> bool {
    found.is_some_and(|found| found.create == held.create && found.modified == held.modified)
}

/// Required when at least one says so; unknown when none does and one could not tell.
///
/// # Errors
/// [`Refusal::NotRequired`] or [`Refusal::Unknown`].
pub fn judge_detectors(reports: &[DetectorReport]) -> Result<Vec<String>, Refusal> {
    let mut reasons = Vec::new();
    let mut failed = Vec::new();
    for report in reports {
        match &report.result {
            DetectorResult::Required(_) => reasons.push(report.name.clone()),
            DetectorResult::Failed(why) => failed.push(format!("{}: {why}", report.name)),
            DetectorResult::Clear => {}
        }
    }
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    // No report at all proves nothing either.
    if !failed.is_empty() || reports.is_empty() {
        return Err(Refusal::Unknown(failed.join("; ")));
    }
    Err(Refusal::NotRequired)
}

/// The gates that close for the whole cluster. A record that cannot be read still closes its gate.
pub(super) fn judge_cluster(
    pause: &Option<Result<crate::lock::Pause, crate::lock::record::RecordError>>,
    cooldown: &Option<Result<crate::lock::Cooldown, crate::lock::record::RecordError>>,
) -> Result<(), Refusal> {
    match pause {
        None => {}
        Some(Ok(pause)) => {
            return Err(Refusal::Paused(format!(
                "by {} since {}: {}",
                pause.by, pause.since, pause.reason
            )));
        }
        Some(Err(error)) => return Err(Refusal::Paused(error.to_string())),
    }
    match cooldown {
        None => Ok(()),
        Some(Ok(cooldown)) => Err(Refusal::Cooldown(format!(
            "{} rebooted; until {}",
            cooldown.node, cooldown.until
        ))),
        Some(Err(error)) => Err(Refusal::Cooldown(error.to_string())),
    }
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// How a script that is not allowed to fail ended, with what it said last.
pub(super) fn describe(outcome: &ScriptOutcome, report: &ScriptReport) -> String {
    match last_line(&report.stderr.text).or_else(|| last_line(&report.stdout.text)) {
        Some(said) => format!("{outcome}: {said}"),
        None => outcome.to_string(),
    }
}
