//! What the driver of a simulated host does: performs actions, and brings back what came of them.

use std::time::Duration;

use log::Level;
use reboot_coordinator::core::facts::{
    Captured, DetectorReport, DetectorResult, HealthPhase, ScriptOutcome, ScriptReport,
};
use reboot_coordinator::core::{Action, Hook, Input, Mode, Note, Refusal, Ticket};

use crate::host::{Channel, GateLog, Script};
use crate::plan::Reboot;
use crate::planted::Planted;
use crate::planted::change::NO_ANSWER;
use crate::world::{Event, World};
use crate::{MILLI, SECOND, Time};

/// How long a look at the host's files may take.
const LOOK_LIMIT: Time = 5 * SECOND;

impl World {
    /// Writes a note down; any other action is handed back.
    pub(crate) fn note_or(&mut self, index: usize, action: Action) -> Option<Action> {
        match action {
            Action::Note(note) => {
                self.tell(|| describe(index, &note));
                None
            }
            other => Some(other),
        }
    }

    pub(crate) fn perform(&mut self, index: usize, pid: u64, action: Action) {
        match action {
            Action::Etcd(ticket, request) => {
                self.check_one_request(index, pid);
                self.send(index, pid, Channel::Main, ticket, request);
            }
            Action::Renew(ticket, request) => {
                self.send(index, pid, Channel::Renew, ticket, request)
            }
            Action::Report(ticket, request) => {
                self.send(index, pid, Channel::Report, ticket, request);
            }
            Action::Monitor(ticket, _) => {
                if let Some(process) = self.hosts[index].process(pid) {
                    process.monitor = Some(ticket);
                }
                let pause = self.rng.between(10, 500) * MILLI;
                self.after(pause, Event::Monitored(index, pid, ticket));
            }
            Action::Farewell(request) => {
                // Nobody counts these; the open requests of a process are never as many as to meet its own tickets.
                self.last_word += 1;
                let ticket = Ticket(u64::MAX - self.last_word);
                self.send(index, pid, Channel::Farewell, ticket, request);
            }
            Action::Detect(ticket) => {
                self.follow_host(index);
                self.script(index, pid, ticket, |host, pid, ticket| {
                    Event::Detected(host, pid, ticket)
                });
            }
            Action::LookAtHost(ticket) => {
                self.begin_script(index, pid, ticket);
                let pause = self.rng.between(100, 2000) + self.slowness(index);
                let pause = pause.max(self.hangs_for(index));
                self.after(pause, Event::Looked(index, pid, ticket));
            }
            Action::Health(ticket, phase, _) => {
                let proof = phase == HealthPhase::PostBoot;
                if proof {
                    self.follow_host(index);
                }
                self.script(index, pid, ticket, move |host, pid, ticket| {
                    Event::Health(host, pid, ticket, proof)
                });
            }
            Action::Hook(ticket, hook, _) => self.begin_hook(index, pid, ticket, hook),
            Action::CancelScripts => {
                if let Some(process) = self.hosts[index].process(pid) {
                    process.script = None;
                    if let Some(ticket) = process.monitor.take() {
                        let input = Input::Monitored(ticket, report(ScriptOutcome::Cancelled));
                        self.after(MILLI, Event::Deliver(index, pid, input));
                    }
                }
            }
            Action::Reboot(ticket, _, _) => {
                self.check_told(index, pid);
                self.reboot_command(index, pid, ticket);
                if self.planted == Some(Planted::PermitUsedTwice) {
                    self.reboot_command(index, pid, ticket);
                }
            }
            Action::Watch(wanted) => self.watch(index, pid, wanted),
            Action::Remember(memory) => {
                let now = self.etcd.revision();
                let host = &mut self.hosts[index];
                host.memory = Some(memory);
                host.blind.since.get_or_insert(now);
            }
            Action::RecordCompleted(_) | Action::Note(_) => {}
            Action::Exit(code) => self.exits(index, code),
        }
    }

    fn exits(&mut self, index: usize, code: u8) {
        self.tell(|| format!("n{index} exits with {code}"));
        self.kill(index);
        let host = &self.hosts[index];
        if host.plan.settings.mode == Mode::Daemon && code != 0 {
            let boot = host.boot;
            self.after(10 * SECOND, Event::Start(index, boot));
        }
    }

    fn begin_script(&mut self, index: usize, pid: u64, ticket: Ticket) {
        let started = self.now;
        if let Some(process) = self.hosts[index].process(pid) {
            process.script = Some(Script { ticket, started });
        }
    }

    fn script(
        &mut self,
        index: usize,
        pid: u64,
        ticket: Ticket,
        event: impl FnOnce(usize, u64, Ticket) -> Event,
    ) {
        self.begin_script(index, pid, ticket);
        let pause = if self.rng.chance(1, 10) {
            self.rng.between(500, 8000) * MILLI
        } else {
            self.rng.between(10, 500) * MILLI
        };
        let pause = (pause + self.slowness(index)).max(self.hangs_for(index));
        self.after(pause, event(index, pid, ticket));
    }

    /// What an ill disk adds to everything that reads it.
    fn slowness(&mut self, index: usize) -> Time {
        if self.hosts[index].slow_until <= self.now {
            return 0;
        }
        self.rng.between(100, 12_000) * MILLI
    }

    /// How long something that touches the host's files takes at least: until they answer, or its limit is over.
    fn hangs_for(&self, index: usize) -> Time {
        let left = self.hosts[index].hang_until.saturating_sub(self.now);
        left.min(LOOK_LIMIT)
    }

    /// Whether there is no answer of the host's files now. With that fault planted nobody is told.
    fn hangs(&self, index: usize) -> bool {
        self.now < self.hosts[index].hang_until
    }

    fn never_told(&self, index: usize) -> bool {
        self.hangs(index) && self.planted == Some(Planted::LooksNeverEnd)
    }

    /// Whether this script still runs.
    fn runs(&mut self, index: usize, pid: u64, ticket: Ticket) -> bool {
        self.hosts[index]
            .process(pid)
            .and_then(|process| process.script)
            .is_some_and(|script| script.ticket == ticket)
    }

    pub(crate) fn detected(&mut self, index: usize, pid: u64, ticket: Ticket) {
        if !self.runs(index, pid, ticket) || self.never_told(index) {
            return;
        }
        let now = self.now;
        let host = &self.hosts[index];
        let result = if now < host.detectors_fail_until || self.hangs(index) {
            DetectorResult::Failed("no such luck".to_owned())
        } else if host.asks(now) {
            DetectorResult::Required("so it is".to_owned())
        } else {
            DetectorResult::Clear
        };
        let asks = matches!(result, DetectorResult::Required(_));
        let report = |name: &str, result, target| DetectorReport {
            name: name.to_owned(),
            result,
            target,
            took: Duration::ZERO,
        };
        let reports = vec![
            report("one", result, host.kernel().filter(|_| asks)),
            report("two", DetectorResult::Clear, None),
        ];
        self.deliver(index, pid, Input::Detected(ticket, reports));
    }

    pub(crate) fn looked(&mut self, index: usize, pid: u64, ticket: Ticket) {
        if !self.runs(index, pid, ticket) || self.never_told(index) {
            return;
        }
        let there = self.now < self.hosts[index].kill_switch_until;
        let why = match self.hangs(index) {
            true => Some(NO_ANSWER),
            false => there.then_some("the file is there"),
        };
        let why = why.map(|why| Refusal::KillSwitch(why.to_owned()));
        let why = why.or_else(|| self.named_otherwise(index));
        self.deliver(index, pid, Input::Host(ticket, why));
    }

    pub(crate) fn health(&mut self, index: usize, pid: u64, ticket: Ticket, proof: bool) {
        if !self.runs(index, pid, ticket) || self.never_told(index) {
            return;
        }
        let hangs = self.hangs(index);
        let passes = self.now >= self.hosts[index].unhealthy_until && !hangs;
        if proof {
            self.check_proof(index, passes);
        }
        let outcome = match hangs {
            true => ScriptOutcome::TimedOut,
            false => ScriptOutcome::Exited(i32::from(!passes)),
        };
        self.deliver(index, pid, Input::Script(ticket, report(outcome)));
    }

    pub(crate) fn monitored(&mut self, index: usize, pid: u64, ticket: Ticket) {
        let passes = self.now >= self.hosts[index].unhealthy_until && !self.hangs(index);
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        if process.monitor == Some(ticket) {
            process.monitor = None;
            let input = Input::Monitored(ticket, exited(i32::from(!passes)));
            self.deliver(index, pid, input);
        }
    }

    fn begin_hook(&mut self, index: usize, pid: u64, ticket: Ticket, hook: Hook) {
        self.begin_script(index, pid, ticket);
        let drain = matches!(hook, Hook::Drain { .. });
        let host = &self.hosts[index];
        let longest = match drain {
            // A reload may have made the limit shorter, at which the hook would be ended.
            true => host.plan.drain_takes.min(host.drain_limit()).max(SECOND),
            false => 10 * SECOND,
        };
        let mut pause = self.rng.between(100, longest / MILLI) * MILLI;
        if drain {
            self.check_disruption(index, pid, hook);
            self.hosts[index].drained = true;
            if self.hosts[index].drain_fails == Some(true) {
                pause = self.hosts[index].drain_limit();
            }
        } else {
            self.check_undo(index);
        }
        let name = if drain { "drain" } else { "undo" };
        self.tell(|| format!("n{index} runs the {name} hook"));
        self.after(pause, Event::Hook(index, pid, ticket, drain));
    }

    pub(crate) fn hook(&mut self, index: usize, pid: u64, ticket: Ticket, drain: bool) {
        if !self.runs(index, pid, ticket) {
            return;
        }
        let now = self.now;
        let hangs = self.hangs(index);
        let host = &mut self.hosts[index];
        if drain && let Some(process) = host.process(pid) {
            process.drained_at = now;
        }
        let outcome = if drain {
            match host.drain_fails.take() {
                None => ScriptOutcome::Exited(0),
                Some(false) => ScriptOutcome::Exited(1),
                Some(true) => ScriptOutcome::TimedOut,
            }
        } else if hangs {
            ScriptOutcome::TimedOut
        } else if now < host.undo_fails_until {
            ScriptOutcome::Exited(1)
        } else {
            host.drained = false;
            ScriptOutcome::Exited(0)
        };
        self.deliver(index, pid, Input::Script(ticket, report(outcome)));
    }

    fn reboot_command(&mut self, index: usize, pid: u64, ticket: Ticket) {
        self.check_disruption_by_command(index, pid);
        let hangs = self.hangs(index);
        let host = &mut self.hosts[index];
        let behaviour = match hangs {
            true => Reboot::NotStarted,
            false => host.reboots.pop_front().unwrap_or(Reboot::Works),
        };
        let boot = host.boot;
        let claim = host.disrupted.unwrap_or_default();
        let grace = host.span(host.plan.settings.reboot_timeout) / 10;
        let limit = host.span(host.plan.settings.reboot_timeout);
        self.tell(|| format!("n{index} runs the reboot command ({behaviour:?})"));
        let soon = self.rng.between(50, 900) * MILLI;
        let down = match behaviour {
            Reboot::Works | Reboot::Signalled | Reboot::Hangs => {
                Some(soon + self.rng.between(100, 20_000) * MILLI)
            }
            Reboot::KillsFirst => Some(soon + SECOND),
            Reboot::FailsAndReboots => Some(self.rng.between(soon, (grace * 9 / 10).max(soon))),
            Reboot::Late => Some(limit + self.rng.between(1, 100) * SECOND),
            Reboot::Nothing | Reboot::Fails | Reboot::HangsForNothing | Reboot::NotStarted => None,
        };
        if let Some(pause) = down {
            self.hosts[index].going_down.push(claim);
            self.after(pause, Event::Down(index, boot, claim));
        }
        let outcome = match behaviour {
            Reboot::Works | Reboot::Nothing | Reboot::Late => Some(ScriptOutcome::Exited(0)),
            Reboot::Fails | Reboot::FailsAndReboots => Some(ScriptOutcome::Exited(1)),
            Reboot::NotStarted => Some(ScriptOutcome::NotStarted("no such file".to_owned())),
            Reboot::Signalled => Some(ScriptOutcome::Signalled(15)),
            Reboot::KillsFirst | Reboot::Hangs | Reboot::HangsForNothing => None,
        };
        if let Some(outcome) = outcome {
            let input = Input::RebootCommand(ticket, report(outcome));
            self.after(soon / 2, Event::Deliver(index, pid, input));
        }
        if behaviour == Reboot::KillsFirst {
            self.after(soon, Event::KillProcess(index, pid));
        } else if down.is_some() && self.rng.chance(1, 2) {
            // A shutdown stops the service before the host goes down.
            let at = down.unwrap_or_default().saturating_sub(50 * MILLI);
            self.after(at, Event::SigTerm(index, pid));
        }
    }
}

impl GateLog {
    /// Notes the answer of a gate.
    pub(crate) fn hear(&mut self, script: Option<Script>, input: &Input, window_open: bool) {
        let started = |ticket: Ticket| {
            script
                .filter(|script| script.ticket == ticket)
                .map(|script| script.started)
        };
        match input {
            Input::Detected(ticket, reports) => {
                let asked = reports
                    .iter()
                    .any(|report| matches!(report.result, DetectorResult::Required(_)));
                self.detect = started(*ticket).map(|at| (at, asked));
            }
            Input::Script(ticket, report) => {
                self.health = started(*ticket).map(|at| (at, report.outcome.success()));
            }
            Input::Host(ticket, refusal) => {
                self.look = started(*ticket).map(|at| (at, refusal.is_none() && window_open));
                self.switch = started(*ticket).map(|at| (at, refusal.is_none()));
            }
            Input::Tick
            | Input::Etcd(..)
            | Input::Renewed(..)
            | Input::Farewell
            | Input::Reported(..)
            | Input::Monitored(..)
            | Input::RebootCommand(..)
            | Input::Watch(..)
            | Input::Hampered(_)
            | Input::Reload(_)
            | Input::Stop => {}
        }
    }
}

fn exited(code: i32) -> ScriptReport {
    report(ScriptOutcome::Exited(code))
}

fn report(outcome: ScriptOutcome) -> ScriptReport {
    ScriptReport {
        outcome,
        took: Duration::ZERO,
        stdout: Captured::default(),
        stderr: Captured::default(),
    }
}

fn describe(index: usize, note: &Note) -> String {
    let level = match note.level {
        Level::Error => "ERROR ",
        Level::Warn => "warn ",
        Level::Info | Level::Debug | Level::Trace => "",
    };
    format!("n{index}: {level}{}", note.msg)
}
