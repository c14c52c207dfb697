//! The waves: a node that commits comes after every member of a lower wave.

use reboot_coordinator::lock::record::{Standing, decode};
use reboot_coordinator::lock::{NodeRecord, record};

use crate::MILLI;
use crate::network::message::Message;
use crate::world::World;

impl World {
    /// A first commit took effect. What members say of themselves is judged in the gates' read, and nothing that the commit compares
    /// shows what they say meanwhile: that is excused, and so is one who comes to a lower wave meanwhile where none was known. A claim, and
    /// who is in which wave, it compares.
    pub(super) fn check_waves(&mut self, (node, name): (usize, usize), message: &Message) {
        let own = message.truth.rules.wave;
        let timeout = self.hosts[node].span(self.hosts[node].plan.settings.etcd_timeout);
        let judged = message.gates.look.map_or(0, |(at, _)| at);
        let mut read = judged.saturating_sub(timeout + 100 * MILLI);
        // The read follows on the health script, and a process that stood still had its answer before that.
        if let Some((health, _)) = message.gates.health
            && message.gates.stood_still >= health
        {
            read = read.min(health);
        }
        for other in (0..self.check.claims.len()).filter(|other| *other != name) {
            let new = self.check.wave_since[other] >= read;
            if new || self.wave_of(other).is_none_or(|wave| wave >= own) {
                continue;
            }
            let why = if self.check.claims[other].is_some() {
                "has a claim"
            } else if self.check.said_at[other] < read && !self.is_through(other) {
                "may require a reboot"
            } else {
                continue;
            };
            self.fail(
                "wave",
                format!("n{node} committed, and n{other}, in a lower wave, {why}"),
            );
        }
    }

    /// The wave that its registration says.
    fn wave_of(&self, node: usize) -> Option<i32> {
        let key = format!("/r/nodes/n{node}");
        let record = self.etcd.get(key.as_bytes())?;
        decode(&record.value).ok().map(|it: NodeRecord| it.wave)
    }

    /// Whether a node says that it is up and needs no reboot.
    fn is_through(&self, node: usize) -> bool {
        let key = format!("/r/standing/n{node}");
        let said = self.etcd.get(key.as_bytes());
        let said: Option<Result<Standing, record::RecordError>> = said.map(|it| decode(&it.value));
        matches!(said, Some(Ok(said)) if said.required.is_none() && said.state == "idle")
    }

    /// Whether a node waits for one of a lower wave whose budget is used up: that is left to an operator.
    pub(crate) fn waits_for_wave(&self, index: usize) -> bool {
        let own = self.hosts[index].plan.settings.wave;
        (0..self.hosts.len()).any(|other| {
            let host = &self.hosts[other];
            if host.plan.copy_of.is_some() {
                return false;
            }
            let asks = host.required || self.check.requests[self.home(other)].is_some();
            host.plan.settings.wave < own && asks && !self.budget_left(other)
        })
    }
}
