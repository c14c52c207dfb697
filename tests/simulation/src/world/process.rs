//! Processes: their start, their inputs, what they ask for, their end.

use reboot_coordinator::core::{Action, Input, Machine, State};

use super::{Event, MAX_ACTIONS_A_SECOND, MAX_OVERDUE, World};
use crate::coverage::{STATES, state_index};
use crate::host::{Process, number};
use crate::plan::When;
use crate::planted::Planted;
use crate::rng::Rng;

impl World {
    pub(crate) fn start(&mut self, index: usize, boot: u32) {
        let now = self.now;
        let host = &self.hosts[index];
        if !host.up || host.boot != boot || host.process.is_some() {
            return;
        }
        // A dry run makes no record where there is none, so that the next process knows as little; it may be one in earnest.
        if host.blind.boot != Some(boot) || host.memory.is_none() {
            self.note_blindness(index);
        }
        let host = &mut self.hosts[index];
        let mut settings = host.plan.settings.clone();
        settings.boot_id = host.boot_id();
        settings.memory = host.memory.clone();
        let pid = self.next_pid;
        self.next_pid += 1;
        if let Some(planted) = self.planted {
            planted.on_settings(&mut settings, pid);
        }
        let mut seed = Rng::new(self.plan.seed, 1000 + pid);
        let machine = Machine::new(settings, seed.word(), host.now(now));
        host.process = Some(Process::new(pid, machine, now));
        host.since = None;
        self.note_left(index);
        let mode = self.hosts[index].plan.settings.mode;
        self.tell(|| format!("n{index} starts process {pid} ({mode:?})"));
        self.drain(index, pid);
    }

    pub(super) fn cron(&mut self, index: usize) {
        let host = &self.hosts[index];
        let (boot, pause) = (host.boot, host.plan.cron);
        if host.up && host.process.is_none() {
            self.start(index, boot);
        }
        self.after(pause, Event::Cron(index));
    }

    pub(super) fn wake(&mut self, index: usize, pid: u64) {
        let now = self.now;
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        if process.wake.is_some_and(|at| at <= now) {
            process.wake = None;
        }
        if process.paused_until.is_none() {
            self.deliver(index, pid, Input::Tick);
        }
    }

    pub(super) fn unpause(&mut self, index: usize, pid: u64) {
        let now = self.now;
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        if process.paused_until.is_none_or(|until| until > now) {
            return;
        }
        process.paused_until = None;
        let paused_at = std::mem::replace(&mut process.gates.stood_still, now);
        if self.planted == Some(Planted::ClockStopsInSleep) {
            self.hosts[index].stood_still += now - paused_at;
        }
        self.tell(|| format!("n{index} process {pid} goes on"));
        while let Some(process) = self.hosts[index].process(pid)
            && process.paused_until.is_none()
            && !process.backlog.is_empty()
        {
            let input = process.backlog.remove(0);
            self.deliver(index, pid, input);
        }
        self.deliver(index, pid, Input::Tick);
    }

    /// Gives an input to a machine and performs what it asks for.
    pub(crate) fn deliver(&mut self, index: usize, pid: u64, mut input: Input) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let clocks = host.now(now);
        let window = host.window_open(now);
        let renamed = host.names.len() > 1;
        let Some(process) = host.process(pid) else {
            return;
        };
        if process.paused_until.is_some() {
            process.backlog.push(input);
            return;
        }
        process.gates.hear(process.script, &input, window);
        let heard_clear = crate::check::all_clear(&input);
        if let Some(planted) = self.planted {
            planted.on_input(&mut input, &process.machine);
        }
        self.stats.coverage.count(process.machine.state(), &input);
        let revision = self.etcd.revision();
        let tested = matches!(process.machine.state(), State::SelfTest);
        let before = renamed.then(|| number(&process.machine.settings().node));
        process.machine.handle(clocks, input);
        if tested && !matches!(process.machine.state(), State::SelfTest) {
            host.since.get_or_insert(revision);
        }
        if heard_clear {
            (host.fruitless, host.cleared) = (0, self.now);
        }
        if let Some(before) = before {
            self.check_name(index, before);
        }
        self.drain(index, pid);
    }

    /// Performs everything the machine asks for, then looks after its wake-up. A pause begins after that: nothing can be done
    /// about one between the last look and the act.
    pub(crate) fn drain(&mut self, index: usize, pid: u64) {
        let now = self.now;
        // As the daemon does: said before anything is sent.
        if let Some(process) = self.hosts[index].process(pid)
            && let Some(commitment) = process.machine.commitment()
        {
            process.commitment = commitment;
        }
        self.check_commitment(index);
        loop {
            let Some(process) = self.hosts[index].process(pid) else {
                return;
            };
            let Some(action) = process.machine.next_action() else {
                break;
            };
            let busy = process.count(now);
            if busy > MAX_ACTIONS_A_SECOND {
                let state = process.machine.state().name();
                return self.fail("busy", format!("n{index} loops in state {state}"));
            }
            let Some(action) = self.note_or(index, action) else {
                continue;
            };
            self.hosts[index].actions += 1;
            let number = self.hosts[index].actions;
            self.held_back_arrive(Some((index, number)));
            let sends = self.count_sent(index, pid, &action);
            self.strike_at(When::Before(index, number));
            if let Some((state, nth)) = sends {
                self.strike_at(When::Sending(index, state, nth));
            }
            if self.hosts[index].process(pid).is_none() {
                return;
            }
            self.perform(index, pid, action);
            self.strike_at(When::After(index, number));
            if let Some((state, nth)) = sends {
                self.strike_at(When::Sent(index, state, nth));
            }
            if self.violation.is_some() {
                return;
            }
        }
        self.schedule_wake(index, pid);
        self.check_alive(index, pid);
    }

    /// Which request of its state this is, when it is one.
    fn count_sent(
        &mut self,
        index: usize,
        pid: u64,
        action: &Action,
    ) -> Option<(&'static str, u64)> {
        let Action::Etcd(..) = action else {
            return None;
        };
        let host = &mut self.hosts[index];
        let state = state_index(host.process(pid)?.machine.state());
        host.sent[state] += 1;
        Some((STATES[state], host.sent[state]))
    }

    pub(super) fn schedule_wake(&mut self, index: usize, pid: u64) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some(process) = host.process(pid) else {
            return;
        };
        let Some(wake) = process.machine.wake_at() else {
            return;
        };
        let at = host.moment(wake).max(now);
        let Some(process) = host.process(pid) else {
            return;
        };
        process.overdue = if at > now { 0 } else { process.overdue + 1 };
        if process.overdue > MAX_OVERDUE {
            let state = process.machine.state().name();
            return self.fail("busy", format!("n{index} never waits in state {state}"));
        }
        if process.wake.is_none_or(|known| known > at) {
            process.wake = Some(at);
            self.at(at, Event::Wake(index, pid));
        }
    }

    pub(super) fn strike_at(&mut self, when: When) {
        if self.quiet || self.at_actions.is_empty() {
            return;
        }
        for index in 0..self.at_actions.len() {
            let (at, fault) = self.at_actions[index];
            if at == when {
                self.strike(fault);
            }
        }
    }

    /// The process is gone, by SIGKILL or with its host. What it sent is on its way.
    pub(crate) fn kill(&mut self, index: usize) {
        let Some(process) = self.hosts[index].process.take() else {
            return;
        };
        self.watchers.retain(|watcher| watcher.pid != process.pid);
        self.tell(|| format!("n{index} process {} is gone", process.pid));
    }
}
