//! What is around the protocol: copies of machines, and files that hang.

use reboot_coordinator::core::Memory;
use reboot_coordinator::lock::Phase;

use super::World;
use crate::check::known::Standing;
use crate::host::Blind;
use crate::network::message::Message;
use crate::{SECOND, Time};

/// Before this a turn may have come, or a request been lost, for another reason.
const JUST_NOW: Time = 100 * SECOND;

impl World {
    /// The number of the name that a machine goes by.
    pub(crate) fn home(&self, host: usize) -> usize {
        self.hosts[host].name()
    }

    /// The claim in etcd that this machine made.
    pub(crate) fn claim_of(&self, host: usize) -> Option<&Standing> {
        let standing = self.check.claims[self.home(host)].as_ref();
        standing.filter(|standing| standing.holder == host)
    }

    /// Whether another machine has the name of this one.
    pub(crate) fn has_copy(&self, host: usize) -> bool {
        let home = self.home(host);
        (0..self.hosts.len()).any(|other| other != host && self.home(other) == home)
    }

    /// Whether it and a copy of it run, or ran, in one boot: then one claim may be either's, one after the other.
    pub(crate) fn shares_boot(&self, host: usize) -> bool {
        let home = self.home(host);
        let copies = self.hosts.iter().filter(|it| it.shared.is_some());
        copies.into_iter().any(|it| it.name() == home)
    }

    /// Notes what a machine cannot know, when its first process of this boot begins.
    pub(super) fn note_blindness(&mut self, index: usize) {
        let first = self.hosts[index].boot == 0;
        if let Some(copied) = self.hosts[index].plan.copy_of
            && first
        {
            if copied.remembers {
                self.hosts[index].memory = self.hosts[copied.node].memory.clone();
            }
            let of = &self.hosts[copied.node];
            if copied.running && of.up && self.hosts[index].shared.is_none() {
                self.hosts[index].shared = Some(self.hosts[copied.node].boot_id());
            }
        }
        let host = &mut self.hosts[index];
        let own = host.boots_of().to_owned();
        let Memory {
            boots, committed, ..
        } = host.memory.clone().unwrap_or_default();
        let foreign = boots.iter().chain(&committed);
        host.blind = Blind {
            boot: Some(host.boot),
            since: None,
            to_all: boots.iter().all(|known| *known == host.boot_id()),
            to_boots: foreign
                .filter(|boot| !boot.starts_with(&own))
                .cloned()
                .collect(),
        };
    }

    /// A machine writes or removes the committed claim that another one of its name made.
    pub(crate) fn check_copies(
        &mut self,
        (host, by): (usize, Option<&Message>),
        before: &Standing,
    ) {
        let holder = before.holder;
        let blind = &self.hosts[host].blind;
        let copied = |of: usize| self.hosts[of].plan.copy_of.is_some();
        let copies = copied(host) || copied(holder);
        if self.check.taken.contains_key(&before.create) {
            return;
        }
        let (taker, boot) = (&self.hosts[host], &before.claim.boot_id);
        let truth = by.map_or_else(|| taker.truth(), |by| by.truth);
        let present = taker.boot_id_of(truth.boot) == *boot;
        let since = if present { truth.since } else { blind.since };
        // Who has written nothing down yet began just now.
        let old = since.is_none_or(|since| before.create <= since);
        let known = present || taker.had_boot(boot) || blind.to_boots.contains(boot);
        if copies && old && (blind.to_all || known) {
            let now = self.now;
            self.check.taken.insert(before.create, now);
            return;
        }
        self.fail(
            "copies",
            format!(
                "n{host} takes the committed claim of n{holder}, which has the same name, for its own"
            ),
        );
    }

    /// Whoever repairs everything finds the copies, and switches them off for good.
    pub(crate) fn retire_copies(&mut self) {
        for index in 0..self.hosts.len() {
            if self.hosts[index].plan.copy_of.is_none() {
                continue;
            }
            self.kill(index);
            let host = &mut self.hosts[index];
            host.up = false;
            host.retired = true;
            host.dead = false;
            host.boot += 1;
            host.going_down.clear();
            self.tell(|| format!("n{index} is a copy, and is switched off"));
            // What the copy said of its health went away with it, and the other one believes that its own stands.
            let home = self.home(index);
            self.stop_and_restart(home, SECOND);
        }
    }

    /// A node whose files have hung for so long keeps no turn that others wait for.
    pub(super) fn files_still_hang(&mut self, index: usize, since: Time) {
        let now = self.now;
        let host = &self.hosts[index];
        let Some(process) = &host.process else {
            return;
        };
        let undisturbed = process.started < since
            && process.unanswered + JUST_NOW < now
            && process.reloaded + JUST_NOW < now
            && process.paused_until.is_none()
            && process.gates.stood_still + JUST_NOW < now
            && self.server_down_until < now;
        if host.hang_until <= now || !undisturbed {
            return;
        }
        let keeps = self.claim_of(index).is_some_and(|standing| {
            standing.claim.phase == Phase::Queued
                && standing.turn_at.is_some_and(|at| at + JUST_NOW < now)
        });
        if keeps {
            self.fail(
                "hangs",
                format!(
                    "n{index} keeps its turn, and its files hang for {} s",
                    (now - since) / SECOND
                ),
            );
        }
    }
}
