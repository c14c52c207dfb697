//! The gates, judged in order; the first that is closed ends the judgement. Unknown is "no".

use etcd_rs_sync::{Error, Reply, Request};

use super::judge::{judge_cooldown, judge_detectors, judge_pause, stands, target};
use super::stage::Step;
use super::{Entry, Gates, Machine, Stage, State, answer};
use crate::core::Verdict;
use crate::core::facts::{DetectorReport, DetectorResult, HealthPhase, ScriptReport};
use crate::core::io::Action;
use crate::core::{Hook, Note, Refusal};
use crate::lock::outcome::{self, GateRead, Malformed, Members, Registered};
use crate::lock::waves::Seen;
use crate::lock::{reboot_requests, request};

impl Machine {
    pub(super) fn begin_gate(&mut self, gates: Gates) {
        if gates.step == 0 {
            self.judging.since = self.now.mono;
            (self.judging.outdated, self.judging.urgent) = (false, false);
        }
        let Some(step) = gates.steps().get(gates.step) else {
            return self.gates_open(gates.stage);
        };
        match step {
            Step::Request if self.judging.detected.is_none() && !self.asks_all_the_same(gates) => {
                self.judged(Ok(()));
            }
            Step::Request | Step::Read => self.ask(),
            Step::Detect => self.begin_task(Action::Detect),
            Step::Host => self.begin_task(Action::LookAtHost),
            Step::Health => {
                let phase = match gates.stage {
                    Stage::PreLock | Stage::Waiting => HealthPhase::PreLock,
                    Stage::PostLock | Stage::Resume | Stage::Retry => HealthPhase::PostLock,
                };
                let facts = self.script_facts();
                self.begin_task(|ticket| Action::Health(ticket, phase, facts));
            }
        }
    }

    /// Where this host itself forbade the reboot when it was asked last, a pass ends before etcd is read, and the look for a request
    /// is all by which its node finds out that it was forgotten. And where the window is closed before etcd is read, an urgent request
    /// lets the node past it.
    fn asks_all_the_same(&self, gates: Gates) -> bool {
        let blocks = |gate: &&str| self.shown.verdicts.of(gate).is_some_and(Verdict::blocks);
        let closed = || self.judge_window().is_err();
        match gates.stage {
            Stage::PreLock => closed() || Step::Host.gates().iter().any(blocks),
            Stage::Waiting => closed(),
            Stage::PostLock | Stage::Resume | Stage::Retry => false,
        }
    }

    pub(super) fn gate_request(&self, gates: Gates) -> Request {
        let (keys, node) = (&self.settings.keys, &self.settings.node);
        if gates.asks_for_request() {
            return Request::Txn(reboot_requests::look(keys, node));
        }
        if self.asks_for_size() {
            return Request::Range(request::size(keys));
        }
        let mut txn = request::gate_read(keys, node, self.others());
        // After the commit the order of the waves is kept already.
        if !gates.committed() {
            self.judging.look.ask(keys, &mut txn);
        }
        Request::Txn(txn)
    }

    /// One gate was judged.
    pub(super) fn judged(&mut self, verdict: Result<(), Refusal>) {
        let State::Gates(gates) = self.state else {
            return;
        };
        if let Some([step, later @ ..]) = gates.steps().get(gates.step..) {
            let later: Vec<&str> = later
                .iter()
                .flat_map(|step| step.gates())
                .copied()
                .collect();
            let unread = self.unread().filter(|_| *step == Step::Read);
            let (verdicts, now) = (&mut self.shown.verdicts, self.now.wall);
            verdicts.judged(step.gates(), &verdict, &later, now);
            if let (Some(unread), Ok(())) = (unread, &verdict) {
                verdicts.say(unread, now);
            }
        }
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
            Stage::PreLock => match self.comes_too_soon() {
                Some(refusal) => self.exit_refused(refusal),
                None => self.enter_queue(Entry::Join),
            },
            Stage::Waiting | Stage::PostLock if self.lives_elsewhere() => {
                self.leave(Refusal::Lost(
                    "`labels` or `limits` are others now, and what a claim says of them stays: this node joins the queue again".to_owned(),
                ));
            }
            Stage::Waiting => self.go(State::Queued),
            Stage::PostLock | Stage::Resume | Stage::Retry if self.judged_too_slowly() => {
                self.note(Note::warn(
                    "gates_expired",
                    "judging the gates took longer than their time limits together: judging them again",
                ));
                self.go(State::Gates(Gates::at(stage)));
            }
            Stage::PostLock | Stage::Resume | Stage::Retry if self.settings.dry_run => {
                self.gate_closed(stage, Refusal::DryRun);
            }
            Stage::PostLock | Stage::Resume | Stage::Retry => self.commit(stage),
        }
    }

    /// Whether the claim was made with other labels, or limits of them.
    fn lives_elsewhere(&self) -> bool {
        self.claim()
            .is_some_and(|claim| claim.domains != self.settings.domains)
    }

    /// Whether so much time passed since the first gate was asked that the process must have been stopped, the host suspended, or
    /// a refusal of the commit heard late: what the first gates said is no proof any more.
    fn judged_too_slowly(&self) -> bool {
        self.now.mono.saturating_sub(self.judging.since) > self.settings.gates_limit
    }

    pub(super) fn on_detected(&mut self, reports: &[DetectorReport]) {
        match self.state {
            State::Verifying(_) => return self.verify_detected(reports),
            // It waits for its name.
            State::ReadOwn => {
                self.timer = Some(self.now.mono + self.check_pause());
                return;
            }
            _ => {}
        }
        self.note_detectors(reports);
        self.judging.target = target(reports);
        match judge_detectors(reports) {
            Ok(reasons) => {
                self.note(
                    Note::info(
                        "reboot_required",
                        format!("a reboot is required: {}", reasons.join("; ")),
                    )
                    .repeating(),
                );
                self.judging.reasons = reasons;
                self.judging.detected = None;
            }
            Err(refusal) => {
                self.judging.reasons.clear();
                self.judging.cleared |= refusal == Refusal::NotRequired;
                self.judging.detected = Some(refusal);
            }
        }
        self.judged(Ok(()));
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

    pub(super) fn on_host(&mut self, refusal: Option<Refusal>) {
        let refusal = refusal.or_else(|| self.named_otherwise());
        if let State::LastLook(_) = self.state {
            return self.last_look(refusal);
        }
        let verdict = match refusal {
            Some(refusal) => Err(refusal),
            None => self.unless_urgent(self.judge_window()),
        };
        self.judged(verdict);
    }

    pub(super) fn on_gate_read(&mut self, gates: Gates, result: Result<Reply, Error>) {
        if gates.asks_for_request() {
            return self.on_request_seen(gates.stage, result);
        }
        if self.asks_for_size() {
            return self.on_size(result);
        }
        let read = answer(result, |reply| self.read_gates(gates, reply));
        if let (Some(held), Ok((read, _))) = (&self.held, &read)
            && gates.committed()
            && !stands(held, read.claim.as_ref())
        {
            let found = read.claim.clone();
            return self.not_as_held(found.as_ref());
        }
        self.judging.waves = None;
        let verdict = match read {
            Ok((read, _)) if self.sight.must_widen(read.displaced) => return self.ask(),
            Ok((read, seen)) => {
                let revision = read.revision;
                let judged = self.judge_read(gates, read);
                self.look_at_first(seen.as_ref().map_or(&[], |seen| &seen.members));
                let goes_on = judged.is_ok() && matches!(self.state, State::Gates(_));
                match seen.filter(|_| goes_on) {
                    Some(seen) if self.must_look_further(&seen) => return self.ask(),
                    Some(seen) => self.judge_waves(revision, &seen),
                    None => judged,
                }
            }
            Err(why) => Err(Refusal::Etcd(why)),
        };
        // A machine that ended itself over what it read is not to go on.
        if let State::Gates(_) = self.state {
            self.judged(verdict);
        }
    }

    /// What etcd says of the gates, and of those who may go first.
    fn read_gates(
        &self,
        gates: Gates,
        mut reply: Reply,
    ) -> Result<(GateRead, Option<Seen>), Malformed> {
        let keys = &self.settings.keys;
        let look = || self.judging.look.take(keys, &mut reply);
        let seen = (!gates.committed()).then(look).transpose()?;
        Ok((outcome::gate_read(reply, keys)?, seen))
    }

    /// Judges what etcd says. Updates the registration the commit will compare.
    fn judge_read(&mut self, gates: Gates, mut read: GateRead) -> Result<(), Refusal> {
        self.paused = read.pause.is_some();
        self.judging.passed.clear();
        self.look_at_others(&read);
        self.take_registration(read.registration.take())?;
        if !matches!(self.state, State::Gates(_)) {
            return Ok(());
        }
        if let Some(held) = &self.held
            && !stands(held, read.claim.as_ref())
        {
            return Err(Refusal::Lost(
                "the claim was deleted or rewritten".to_owned(),
            ));
        }
        self.weigh(read.request.clone())?;
        if !matches!(self.state, State::Gates(_)) {
            return Ok(());
        }
        let cooldown = read.cooldown.as_ref().and_then(|read| read.as_ref().ok());
        let paused = read.pause.as_ref().and_then(|read| read.as_ref().ok());
        let until = [
            cooldown.map(|cooldown| &cooldown.until),
            paused.and_then(|pause| pause.until.as_ref()),
        ];
        self.judging.closed_until = until.map(|at| at?.parse().ok());
        judge_pause(read.pause.as_ref())?;
        self.unless_urgent(judge_cooldown(read.cooldown.as_ref()))?;
        self.judging.line = None;
        if !gates.committed() {
            self.judge_budget()?;
            self.judge_line(&read)?;
        }
        let foreign = |members: &Members| members.foreign.clone();
        if let Some(key) = read.members.as_ref().and_then(foreign) {
            self.note_foreign(&key);
        }
        self.judge_policies(read.revision, read.members)
    }

    /// The registration as etcd has it now. When it shows another machine, the machine ends itself.
    pub(super) fn take_registration(&mut self, found: Registered) -> Result<(), Refusal> {
        self.registration = match found {
            Some((modified, Ok(record))) => Some((modified, record)),
            Some((_, Err(error))) => {
                let what = format!("the registration of this node: {error}");
                return Err(Refusal::Etcd(what));
            }
            None => None,
        };
        if let Some(why) = self.restored() {
            return Err(Refusal::Etcd(why));
        }
        self.foreign_registration();
        Ok(())
    }

    pub(super) fn on_script(&mut self, report: &ScriptReport) {
        match &self.state {
            State::Draining(_) => self.on_drained(report),
            State::Verifying(verify) => self.verify_script(verify.step, report),
            _ => {
                let verdict = self.judge_health(report);
                self.judged(verdict);
            }
        }
    }

    pub(super) fn hook_action(&mut self, hook: Hook) {
        let facts = self.script_facts();
        self.begin_task(|ticket| Action::Hook(ticket, hook, facts));
    }
}
