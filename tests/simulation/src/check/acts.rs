//! What hosts do: disruptive acts and their limit, proofs of health, reboots; and that a machine never waits for nothing.

use std::time::Duration;

use reboot_coordinator::core::machine::{Entry, Stage};
use reboot_coordinator::core::{Hook, State, Ticket};
use reboot_coordinator::lock::Phase;

use super::SLACK;
use super::known::Standing;
use crate::host::Channel;
use crate::world::World;
use crate::{SECOND, Time};

impl World {
    // ---- P1 ----

    /// Disrupted nodes are covered by committed claims, and there are never more of those than the largest limit in use.
    pub(crate) fn check_limit(&mut self) {
        let claims = self.check.claims.iter().flatten();
        let granted: Vec<usize> = claims.filter_map(|standing| standing.granted).collect();
        let (count, largest) = (granted.len(), granted.iter().max().copied());
        let largest = largest.unwrap_or_default();
        if count > largest {
            self.fail(
                "P1",
                format!("{count} nodes are committed, the limit is {largest}"),
            );
        }
        self.check_domains();
        for node in 0..self.hosts.len() {
            let Some(create) = self.hosts[node].disrupted else {
                continue;
            };
            let covered = self
                .claims_of(node)
                .any(|standing| standing.create == create && standing.claim.phase.committed());
            if !covered && !self.check.taken.contains_key(&create) {
                self.fail(
                    "P1",
                    format!("n{node} is disrupted without a committed claim"),
                );
            }
        }
    }

    /// What was drained is taken back only when the claim says so, is gone, or is of an earlier boot of this host, which proves the reboot.
    pub(crate) fn check_undo(&mut self, index: usize) {
        let host = &self.hosts[index];
        let phase = self
            .claim_of(index)
            .filter(|standing| !host.had_boot(&standing.claim.boot_id))
            .map(|standing| standing.claim.phase);
        if let Some(phase @ (Phase::Draining | Phase::Rebooting)) = phase {
            let phase = phase.as_str();
            self.fail(
                "undo",
                format!("n{index} undoes its drain while its claim says {phase}"),
            );
        }
    }

    /// P2: a disruptive act needs a commit of its own that took effect.
    pub(crate) fn check_disruption(&mut self, index: usize, pid: u64, hook: Hook) {
        if let Hook::Drain { .. } = hook {
            let Some(process) = self.hosts[index].process(pid) else {
                return;
            };
            process.drains += 1;
            let (acts, commits) = (process.drains, process.commits);
            self.check_act(index, pid, "drain hook", Phase::Draining, acts, commits);
        }
    }

    pub(crate) fn check_disruption_by_command(&mut self, index: usize, pid: u64) {
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        process.reboots += 1;
        let (switch, since) = (process.gates.switch, process.drained_at);
        if !switch.is_some_and(|(at, free)| free && at >= since) {
            self.fail(
                "P2",
                format!("n{index} runs its reboot command without a look at the kill switch"),
            );
        }
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        let (acts, commits) = (process.reboots, process.commits);
        self.check_act(
            index,
            pid,
            "reboot command",
            Phase::Rebooting,
            acts,
            commits,
        );
    }

    fn check_act(
        &mut self,
        index: usize,
        pid: u64,
        act: &str,
        phase: Phase,
        acts: u32,
        commits: u32,
    ) {
        if acts > commits {
            self.fail(
                "permit",
                format!("n{index} runs its {act} without a commit of its own"),
            );
        }
        if self.hosts[index].plan.settings.dry_run {
            self.fail("reload", format!("n{index} runs its {act} in a dry run"));
        }
        let process = self.hosts[index].process(pid);
        if process.is_some_and(|process| process.commit_sent < process.reloaded) {
            self.fail(
                "reload",
                format!("n{index} runs its {act} by a configuration that was replaced"),
            );
        }
        // Two requests, and a look at the host.
        let timeout = self.hosts[index].plan.settings.etcd_timeout;
        let life = self.hosts[index].span(timeout * 2 + Duration::from_secs(5));
        self.check_age(index, pid, act, life);
        let committed = self.hosts[index]
            .process(pid)
            .and_then(|process| process.committed);
        let Some(create) = committed else {
            return self.fail(
                "permit",
                format!("n{index} runs its {act} without any commit"),
            );
        };
        let stands = self
            .claim_of(index)
            .is_some_and(|standing| standing.create == create && standing.claim.phase == phase);
        if !stands {
            match self.check.taken.get(&create) {
                None => self.fail("P1", format!("n{index} runs its {act} without its claim")),
                Some(at) if self.now - at > life + SLACK && !self.shares_boot(index) => self.fail(
                    "permit",
                    format!(
                        "n{index} runs its {act} {} s after its claim was taken away",
                        (self.now - at) / SECOND
                    ),
                ),
                Some(_) => {}
            }
        }
        let host = &mut self.hosts[index];
        host.disrupted = Some(create);
        host.healthy_since = None;
        host.acts += 1;
        self.check_limit();
    }

    /// P2: what is done follows at once on the gates and their commit, or on the drain that followed on them.
    fn check_age(&mut self, index: usize, pid: u64, act: &str, life: Time) {
        let drain = self.hosts[index].drain_limit();
        let now = self.now;
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        let allowed = if process.drained_at > process.commit_sent {
            life + drain + life
        } else {
            life
        };
        let age = now - process.commit_sent;
        if age > allowed + SLACK {
            self.fail(
                "age",
                format!(
                    "n{index} runs its {act} {} s after its gates were judged, {} s are allowed",
                    age / SECOND,
                    allowed / SECOND
                ),
            );
        }
    }

    /// A health script that is to prove the return ended.
    pub(crate) fn check_proof(&mut self, index: usize, passes: bool) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let whole = passes && !(host.drained && host.plan.settings.undoes);
        if !whole {
            host.healthy_since = None;
            return;
        }
        host.healthy_since.get_or_insert(now);
        let exempt = host
            .disrupted
            .is_some_and(|create| self.check.taken.contains_key(&create));
        if exempt {
            host.disrupted = None;
        }
    }

    /// P6: a host goes down by its reboot command.
    pub(crate) fn check_reboot(&mut self, index: usize, claim: i64) {
        let name = self.home(index);
        let host = &mut self.hosts[index];
        host.rebooted += 1;
        host.fruitless += 1;
        let (count, budget) = (host.fruitless, host.most_budget);
        let taken = self.check.taken.get(&claim).copied();
        let key = format!("/r/nodes/n{name}");
        let (none, since) = (
            self.etcd.get(key.as_bytes()).is_none(),
            self.check.member_since[name],
        );
        // Its claim was taken away, and it was forgotten or asked for none since then: nothing is left that could remember.
        if taken.is_some_and(|at| none || at <= since || at <= host.cleared) {
            host.fruitless = 0;
        }
        // Of two machines with one name either makes the budget of both whole.
        if count > budget && taken.is_none() && !self.has_copy(index) {
            self.fail(
                "P6",
                format!("n{index} reboots {count} times without clearing, the budget is {budget}"),
            );
        }
    }

    // ---- the machine itself ----

    /// A lease ran out, and a place with it. Whoever wrote the place there must have stopped to rely on it before, unless it
    /// does not run, or was told of renewals that never happened. A place that was given up may have come to be once more, when
    /// copies of its grant and of its join both arrived after the revoke: nobody relies on that one.
    pub(super) fn check_reliance(&mut self, index: usize, place: &Standing) {
        let Some(process) = self.hosts[index].process(place.pid) else {
            return;
        };
        let machine = &process.machine;
        let holds = || {
            machine
                .held()
                .is_some_and(|held| held.create == place.create)
        };
        let relies = match machine.state() {
            // A late copy of a join may have made a place that says the same as the claim which is to take it over.
            State::Entering(Entry::TakeOver(seen), _) if seen.modified == place.modified => false,
            State::Entering(_, claim) => **claim == place.claim,
            State::Counting | State::Queued | State::TakingAway(_) => holds(),
            State::Gates(gates) => {
                matches!(gates.stage(), Stage::Waiting | Stage::PostLock) && holds()
            }
            _ => false,
        };
        if relies && process.paused_until.is_none() && !process.lied_to {
            let state = process.machine.state().name();
            self.fail(
                "lease",
                format!("n{index} still relied on its lease when it ran out, in state {state}"),
            );
        }
    }

    /// At most one request of the main channel is under way, except when a place is given up.
    pub(crate) fn check_one_request(&mut self, index: usize, pid: u64) {
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        let abandoned = &process.abandoned;
        let open: Vec<Ticket> = process
            .open
            .iter()
            .filter(|(channel, ticket)| *channel == Channel::Main && !abandoned.contains(ticket))
            .map(|(_, ticket)| *ticket)
            .collect();
        let gives_up = matches!(
            process.machine.state(),
            State::Leaving(..) | State::Stopping
        );
        if gives_up {
            process.abandoned.extend(open);
        } else if !open.is_empty() {
            let state = process.machine.state().name();
            self.fail(
                "requests",
                format!("n{index} has two requests under way, {state}"),
            );
        }
    }

    /// Nothing waits for what cannot come: there is a wake-up, a question or a script.
    pub(crate) fn check_alive(&mut self, index: usize, pid: u64) {
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        let machine = &process.machine;
        let waits = machine.wake_at().is_some()
            || !process.open.is_empty()
            || process.script.is_some()
            || !process.backlog.is_empty()
            || process.paused_until.is_some()
            || matches!(machine.state(), State::Stopped);
        if !waits {
            let state = machine.state().name();
            self.fail("P5", format!("n{index} waits for nothing in state {state}"));
        }
    }
}
