//! P2: what must hold when a commit takes effect.

use reboot_coordinator::lock::record::{Report, decode};

use super::SLACK;
use super::known::Reported;
use crate::etcd::Change;
use crate::host::GateLog;
use crate::network::message::Message;
use crate::world::World;
use crate::{SECOND, Time};

impl World {
    /// P2: a commit that took effect in etcd.
    pub(super) fn committed(
        &mut self,
        (node, name): (usize, usize),
        message: &Message,
        first: bool,
    ) {
        self.stats.commits += 1;
        let Some(standing) = self.check.claims[name].clone() else {
            return;
        };
        if self.etcd.get(b"/r/pause").is_some() {
            self.fail("P2", format!("n{node} committed in a pause"));
        }
        if first && let Some(why) = self.waits(&standing) {
            self.fail("turn", format!("n{node} committed, {why}"));
        }
        if first {
            self.check_line(name, message);
            self.check_waves((node, name), message);
        }
        let pid = message.pid();
        let started = self.hosts[node].process(pid).map(|process| process.started);
        let since = if first { standing.turn_at } else { started };
        let mut gates = self.check_urgent(name, message.gates, first);
        if self.check_request(name) {
            // An operator asks, whatever the detectors of the host say.
            gates.detect = gates.detect.map(|(at, _)| (at, true));
        }
        self.check_gates(node, &gates, since.unwrap_or_default());
        self.check_gates_age(node, &gates, message.sent_at);
        if !self.is_urgent(name) {
            self.check_cooldown(node);
        }
        self.check_policy((node, name), message);
        if let Some(process) = self.hosts[node].process(pid) {
            process.commits += 1;
            process.committed = Some(standing.create);
        }
    }

    pub(super) fn check_gates(&mut self, node: usize, gates: &GateLog, since: Time) {
        let named = [
            ("detectors", gates.detect),
            ("health script", gates.health),
            ("kill switch or window", gates.look),
        ];
        for (name, gate) in named {
            let wrong = match gate {
                None => "was not judged",
                Some((_, false)) => "said no",
                Some((at, true)) if at < since => "was judged before the turn",
                Some((_, true)) => continue,
            };
            self.fail("P2", format!("n{node} committed, but its {name} {wrong}"));
        }
    }

    /// P2: what the gates said was not old when the commit was sent.
    fn check_gates_age(&mut self, node: usize, gates: &GateLog, sent_at: Time) {
        let host = &self.hosts[node];
        let allowed = host.span(host.plan.settings.gates_limit) + SLACK;
        let asked = [gates.detect, gates.health, gates.look];
        let oldest = asked.iter().flatten().map(|(at, _)| *at).min();
        let age = sent_at.saturating_sub(oldest.unwrap_or_default());
        if age > allowed {
            self.fail(
                "age",
                format!(
                    "n{node} committed {} s after it asked the first of its gates, {} s are allowed",
                    age / SECOND,
                    allowed / SECOND
                ),
            );
        }
    }

    pub(super) fn check_cooldown(&mut self, node: usize) {
        let Some((last, cooldown)) = self.check.last_completed else {
            return;
        };
        let since = self.now - last;
        if since < cooldown {
            self.fail(
                "P2",
                format!(
                    "n{node} committed {} s after the last completed reboot, the cooldown is {} s at least",
                    since / SECOND,
                    cooldown / SECOND
                ),
            );
        }
    }

    /// P2: enough others stay healthy. What vanished while the commit was on its way was there when it was judged.
    pub(super) fn check_policy(&mut self, (node, name): (usize, usize), message: &Message) {
        let Some(least) = message.truth.rules.least_healthy else {
            return;
        };
        let settings = &self.hosts[node].plan.settings;
        let timeout = self.hosts[node].span(settings.etcd_timeout);
        let judged = message.gates.look.map_or(0, |(at, _)| at);
        let stay = (0..self.check.claims.len())
            .filter(|other| *other != name)
            .filter(|other| {
                let claim = &self.check.claims[*other];
                !claim
                    .as_ref()
                    .is_some_and(|standing| standing.claim.phase.committed())
            })
            .filter(|other| match self.check.reports[*other] {
                Reported::Healthy => true,
                Reported::GoneAt(at) => at + timeout >= judged,
                Reported::Unhealthy => false,
            })
            .count();
        if stay < usize::try_from(least).unwrap_or(usize::MAX) {
            self.fail(
                "P2",
                format!("n{node} committed, {stay} stay healthy, {least} must"),
            );
        }
    }

    /// What a node says of its health is never replaced by what it said before.
    pub(super) fn report_changed(&mut self, node: usize, change: &Change, by: Option<&Message>) {
        if let (Some(message), Some(_), Some(_)) = (by, &change.before, &change.after)
            && message.sent_at < self.check.reported[node]
        {
            self.fail(
                "reports",
                format!("an older report of n{node} replaced a newer"),
            );
        }
        if let (Some(message), Some(_)) = (by, &change.after) {
            self.check.reported[node] = message.sent_at;
        }
        let before = self.check.reports[node];
        self.check.reports[node] = match &change.after {
            Some(kv) if decode::<Report>(&kv.value).is_ok_and(|report| report.healthy) => {
                Reported::Healthy
            }
            Some(_) => Reported::Unhealthy,
            None if before == Reported::Healthy => Reported::GoneAt(self.now),
            None => Reported::Unhealthy,
        };
    }
}
