//! The end of a history: when faults have stopped, everything that needs a reboot has rebooted, and nothing is left behind.

use reboot_coordinator::core::machine::Stage;
use reboot_coordinator::core::{Mode, Refusal, State};
use reboot_coordinator::lock::NodeRecord;
use reboot_coordinator::lock::record::decode;

use crate::host::Host;
use crate::world::{Event, World};
use crate::{SECOND, Time};

/// How often the fleet is looked at.
const LOOK: Time = 5 * SECOND;

/// How long a claim may be stuck before somebody is called.
const CALL_AFTER: Time = 60 * SECOND;

/// When a fleet of this many nodes must be done after all faults have stopped.
fn allowed(nodes: usize, windows: bool) -> Time {
    let hours = if windows { 4 } else { 1 };
    hours * 3600 * SECOND + Time::try_from(nodes).unwrap_or(0) * 1800 * SECOND
}

/// The longest pause after attempts that were called off, with its jitter, on the slowest clock.
const CALLED_OFF: Time = 6 * 3600 * SECOND;

fn pauses(host: &Host) -> bool {
    let state = host.process.as_ref().map(|process| process.machine.state());
    let memory = host.memory.as_ref();
    memory.is_some_and(|memory| memory.called_off.is_some())
        || matches!(state, Some(State::Idle(Some(Refusal::Aborted(_)))))
}

fn state(host: &Host) -> &'static str {
    host.process.as_ref().map_or("none", |process| {
        crate::coverage::STATES[crate::coverage::state_index(process.machine.state())]
    })
}

impl World {
    pub(crate) fn inspect(&mut self) {
        if self.over() {
            return;
        }
        self.call_operators();
        if self.etcd.get(b"/r/pause").is_some() {
            self.operator_resumes(); // it was on its way when everything was repaired
        }
        match self.unfinished() {
            Some(why) => {
                self.check.goal_since = None;
                let windows = self.hosts.iter().any(|host| host.plan.windows);
                self.check.pauses |= self.hosts.iter().any(pauses);
                let pause = if self.check.pauses { CALLED_OFF } else { 0 };
                let deadline = self.plan.quiet_at + allowed(self.hosts.len(), windows) + pause;
                if self.now > deadline {
                    return self.fail("P5", why);
                }
            }
            None => self.idle(),
        }
        self.after(LOOK, Event::Inspect);
    }

    /// The goal is reached. In some histories the idle fleet is watched for a while: it is to write nothing.
    fn idle(&mut self) {
        let now = self.now;
        let writes = self.check.node_writes;
        // Who waits for a wave that cannot go on says so, and why, as that changes.
        let waits = (0..self.hosts.len()).any(|index| self.waits_for_wave(index));
        if waits || !self.plan.seed.is_multiple_of(8) {
            self.done = true;
            return;
        }
        let (since, known) = *self.check.goal_since.get_or_insert((now, None));
        let span = 200 * SECOND;
        if now - since >= span && known.is_none() {
            self.check.goal_since = Some((since, Some(writes)));
        } else if now - since >= 2 * span {
            self.done = true;
            if known != Some(writes) {
                self.fail(
                    "idle",
                    "a fleet with nothing to do writes to etcd".to_owned(),
                );
            }
        }
    }

    /// What is missing.
    fn unfinished(&self) -> Option<String> {
        for (name, standing) in self.check.claims.iter().enumerate() {
            if let Some(standing) = standing {
                let process = state(&self.hosts[standing.holder]);
                return Some(format!("n{name} has a claim; its process: {process}"));
            }
        }
        if let Some(name) = self.ghost() {
            return Some(format!("n{name} is a member, and no host is named so"));
        }
        for (index, host) in self.hosts.iter().enumerate() {
            if host.retired {
                continue;
            }
            if !host.up {
                return Some(format!("n{index} is down"));
            }
            let daemon = host.plan.settings.mode == Mode::Daemon;
            if daemon && host.process.is_none() {
                return Some(format!("n{index} has no process"));
            }
            if host.required && self.budget_left(index) && !self.waits_for_wave(index) {
                return Some(format!(
                    "n{index} needs a reboot; its process: {}",
                    state(host)
                ));
            }
            if self.check.requests[self.home(index)].is_some()
                && self.budget_left(index)
                && !self.waits_for_wave(index)
            {
                return Some(format!("a reboot of n{index} is requested"));
            }
            // A copy that could not know better may have given its claim back.
            // Of what another name of it left, or whom another host kept from its name, an operator has decided.
            let decided = |create| self.check.taken.contains_key(&create);
            let renamed = self.hosts.iter().any(|host| host.names.len() > 1);
            let released = renamed && host.disrupted.is_some_and(decided);
            if host.disrupted.is_some() && !released && !host.forgotten && !self.has_copy(index) {
                return Some(format!("n{index} is not proven healthy"));
            }
            if host.drained && host.plan.settings.undoes && !host.forgotten {
                return Some(format!("n{index} is drained"));
            }
        }
        None
    }

    pub(crate) fn budget_left(&self, index: usize) -> bool {
        let key = format!("/r/nodes/n{}", self.home(index));
        let used = self
            .etcd
            .get(key.as_bytes())
            .and_then(|kv| decode::<NodeRecord>(&kv.value).ok())
            .map_or(0, |record| record.budget_used);
        used < self.hosts[index].plan.settings.max_reboots_without_clearing
    }

    /// Whether another host waits with its claim too: each of them counts as gone for the policies of the other, without end.
    fn others_hold(&self, holder: usize) -> bool {
        let others = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != holder);
        let mut processes = others.filter_map(|(_, host)| host.process.as_ref());
        processes.any(|process| matches!(process.machine.state(), State::Holding(..)))
    }

    /// The specification leaves a node that is stuck with its claim to an operator, who comes after a while.
    fn call_operators(&mut self) {
        if self.line_stands() {
            let since = *self.check.line_since.get_or_insert(self.now);
            if self.now > since + CALL_AFTER {
                self.check.line_since = None;
                self.tell(|| "an operator is called to the line".to_owned());
                self.operator_goes_on(None);
            }
        }
        self.forget_left();
        for name in 0..self.check.claims.len() {
            let Some(standing) = &self.check.claims[name] else {
                continue;
            };
            let holder = standing.holder;
            let index = self.host_named(name).unwrap_or(holder);
            let host = &self.hosts[index];
            let waited = self.now - standing.written_at;
            let limit = host.span(host.plan.settings.reboot_timeout) + CALL_AFTER;
            let tried = host.plan.settings.mode != Mode::Daemon && standing.claim.attempts >= 3;
            // What a process does not know of, or keeps because it would not be found by the next one.
            let renamed = self.home(holder) != name
                || self.hosts[holder].names.last() != Some(&name)
                || self.named_otherwise(holder).is_some();
            let stuck = renamed
                || self.hosts[holder].retired
                || match host.process.as_ref().map(|process| process.machine.state()) {
                    Some(State::Holding(None, _)) => true,
                    Some(State::Holding(Some(Stage::Retry), Refusal::Policy(_)))
                        if self.others_hold(holder) =>
                    {
                        true
                    }
                    Some(State::Holding(Some(Stage::Retry), _)) => !host.asks(self.now),
                    _ => tried || (host.plan.settings.mode != Mode::Daemon && !host.required),
                };
            let create = standing.create;
            let committed = standing.claim.phase.committed();
            if stuck && committed && waited > limit && self.check.called.insert(create) {
                self.tell(|| format!("an operator is called to n{name}"));
                self.operator_releases_name(name);
            }
        }
    }
}
