//! The line: an operator lets it go on, and what must hold of it: nobody commits once as many failures are known as stop it, but
//! for those that an operator knew of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_rs_sync::Request;
use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::lock::record::decode;
use reboot_coordinator::lock::{Failure, GoOn, Keys, NodeRecord, operator};

use crate::check::known::Standing;
use crate::etcd::Change;
use crate::host::Host;
use crate::network::message::{Message, Operator, Sender};
use crate::world::World;
use crate::{SECOND, Time};

impl World {
    /// Lets the line go on in spite of all failures that are known; with a number for so many more.
    pub(crate) fn operator_goes_on(&mut self, left: Option<u32>) {
        let failed = self.check.line.failed.iter();
        let known: BTreeMap<String, i64> = failed
            .map(|(node, (claim, _))| (format!("n{node}"), *claim))
            .collect();
        if known.is_empty() {
            return;
        }
        let word = GoOn {
            v: 1,
            by: "operator".to_owned(),
            reason: "to see".to_owned(),
            since: format!("{} us", self.now),
            left,
            known,
        };
        let seen = self
            .etcd
            .get(b"/r/line/go-on")
            .map_or(0, |kv| kv.mod_revision);
        let txn = operator::go_on(&Keys::new("", "/r"), &word, seen);
        self.operator(Operator::GoOn, Request::Txn(txn));
    }

    /// The operator who is called lets the line go on, when nobody did so for these failures.
    pub(crate) fn line_stands(&self) -> bool {
        let failed = &self.check.line.failed;
        let word = self.check.line.word.as_ref();
        failed.iter().any(|(node, (claim, _))| {
            word.is_none_or(|(word, used)| {
                word.left.is_some_and(|left| *used >= left)
                    || word.known.get(&format!("n{node}")) != Some(claim)
            })
        })
    }

    pub(crate) fn failure_changed(&mut self, node: usize, change: &Change, by: Option<&Message>) {
        let Some(kv) = &change.after else {
            self.check.line.failed.remove(&node);
            return;
        };
        let Ok(failure) = decode::<Failure>(&kv.value) else {
            return self.fail("records", format!("the failure of n{node} is unreadable"));
        };
        let of = self.check.claims[node].as_ref();
        let of = of.filter(|standing| standing.create == failure.claim);
        if of.is_some_and(|standing| standing.claim.target != failure.target) {
            self.fail(
                "line",
                format!("the failure of n{node} is told for another kernel"),
            );
        }
        let itself = matches!(
            by.map(|message| message.sender),
            Some(Sender::Node { host, .. }) if self.hosts[host].names.contains(&node)
        );
        let standing = self.check.claims[node].as_ref();
        if !itself && standing.is_none_or(|standing| standing.create != failure.claim) {
            self.fail(
                "line",
                format!("n{node} is said to fail without that claim"),
            );
        }
        self.stats.failed += u64::from(change.before.is_none());
        let known = (failure.claim, failure.target);
        self.check.line.failed.insert(node, known);
    }

    /// Where a reboot that was completed, or one before an attempt that was called off, has left the budget used, it has failed.
    pub(crate) fn check_failure_kept(&mut self, node: usize) {
        let key = format!("/r/nodes/n{node}");
        let record = self.etcd.get(key.as_bytes());
        let used = record
            .and_then(|kv| decode::<NodeRecord>(&kv.value).ok())
            .is_some_and(|record| record.budget_used > 0);
        if used && !self.check.line.failed.contains_key(&node) {
            self.fail(
                "line",
                format!("the reboot of n{node} cleared nothing, and nobody is told"),
            );
        }
    }

    /// Claims that stand still for so long that every clock says so, when none was moved.
    fn stand_still(&self, message: &Message) -> Vec<(usize, (i64, Option<String>))> {
        let right = |host: &Host| host.plan.wall_offset_sec == 0 && host.wall_jump_sec == 0;
        if !self.hosts.iter().all(right) {
            return Vec::new();
        }
        let settings = |node: usize| &self.hosts[node].plan.settings;
        let still = |standing: &Standing| {
            let own = settings(standing.holder);
            let patience = own.reboot_timeout + own.post_boot_settle;
            let allowed = patience + own.drain_timeout.unwrap_or_default();
            // What it says counts, where a reload has shortened it since.
            let (said, drain) = (standing.claim.patience_sec, standing.claim.drain_sec);
            let said = Duration::from_secs(said.unwrap_or_default() + drain.unwrap_or_default());
            let allowed = allowed.max(said);
            let seen = standing.written_at
                + self.hosts[standing.holder].span(own.gates_limit)
                + 2 * SECOND;
            let whole = allowed + Duration::from_secs(1);
            standing.claim.phase.committed()
                && message.sent_at > seen + Time::try_from(whole.as_micros()).unwrap_or(Time::MAX)
        };
        let claims = self.check.claims.iter().enumerate();
        claims
            .filter_map(|(node, standing)| Some((node, standing.as_ref()?)))
            .filter(|(_, standing)| still(standing))
            .map(|(node, standing)| (node, (standing.create, standing.claim.target.clone())))
            .collect()
    }

    pub(crate) fn word_changed(&mut self, change: &Change, by: Option<&Message>) {
        let operator = matches!(by.map(|message| message.sender), Some(Sender::Operator(_)));
        if operator && let Some(Ok(word)) = change.after.as_ref().map(|kv| decode(&kv.value)) {
            self.check.line.word = Some((word, 0));
        }
    }

    /// P3: a first commit took effect.
    pub(crate) fn check_line(&mut self, node: usize, message: &Message) {
        let halt_after = message.truth.rules.halt_after;
        let Some(standing) = &self.check.claims[node] else {
            return;
        };
        let target = standing.claim.target.clone();
        if target.is_some() && self.hosts[standing.holder].kernel() != target {
            self.fail(
                "line",
                format!("n{node} committed for {target:?}, which is not its kernel"),
            );
        }
        let marked = self.check.line.failed.clone();
        let mut failed: BTreeSet<_> = marked.into_iter().collect();
        failed.extend(self.stand_still(message));
        failed.retain(|(other, _)| *other != node);
        if message.truth.rules.halt_scope == HaltScope::Target && target.is_some() {
            failed.retain(|(_, (_, of))| of.is_none() || *of == target);
        }
        let nodes: BTreeSet<usize> = failed.iter().map(|(other, _)| *other).collect();
        let many = usize::try_from(halt_after).unwrap_or(usize::MAX);
        if halt_after == 0 || nodes.len() < many {
            return;
        }
        let wrong = match &mut self.check.line.word {
            None => Some("and nobody let the line go on"),
            Some((word, used)) => {
                *used += 1;
                let known = |other| word.known.get(&format!("n{other}"));
                let new = failed
                    .iter()
                    .any(|(other, (claim, _))| known(*other) != Some(claim));
                if new {
                    Some("and the operator did not know them all")
                } else if word.left.is_some_and(|left| *used > left) {
                    Some("and the operator allowed fewer")
                } else {
                    None
                }
            }
        };
        if let Some(wrong) = wrong {
            self.fail(
                "line",
                format!(
                    "n{node} committed, {} failures are known {wrong}",
                    failed.len()
                ),
            );
        }
    }
}
