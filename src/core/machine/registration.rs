//! What this node registers of itself.

use super::Machine;
use crate::identity::is_same;
use crate::lock::NodeRecord;
use crate::lock::record::RECORD_VERSION;

impl Machine {
    /// The registration as read, or a new one.
    pub(super) fn record(&self) -> NodeRecord {
        let Some((modified, record)) = &self.registration else {
            return NodeRecord {
                v: RECORD_VERSION,
                node: self.settings.node.clone(),
                node_id: self.settings.node_id.clone(),
                version: self.settings.version.clone(),
                wave: self.settings.wave,
                boot_id: None,
                last_reboot: None,
                budget_used: self.former_budget(),
                attempt: None,
                request: None,
            };
        };
        // What an older release wrote shows the machine id itself, until it is written again; and what this process wrote, the id
        // that it had before a reload.
        if !is_same(&record.node_id, &self.settings.node_id) && self.signed != Some(*modified) {
            return record.clone();
        }
        NodeRecord {
            node_id: self.settings.node_id.clone(),
            wave: self.settings.wave,
            budget_used: record.budget_used.max(self.former_budget()),
            ..record.clone()
        }
    }

    /// Whether what stands registered is of another wave, or of an earlier boot: a reload kept a place in the queue, or led to a
    /// restored cluster.
    pub(super) fn registers_anew(&self) -> bool {
        self.registration.as_ref().is_some_and(|(_, record)| {
            let of_this_boot = record.boot_id.as_ref() == Some(&self.settings.boot_id);
            record.wave != self.settings.wave || self.signed.is_none() && !of_this_boot
        })
    }

    /// Another name or group is no new host: what it used up under the old one is used up.
    pub(super) fn former_budget(&self) -> u32 {
        let used = self.former.iter().map(|(_, record)| record.budget_used);
        used.max().unwrap_or(0).max(self.used_elsewhere)
    }

    /// The mod revision of the registration, 0 for none, and the wave that it says.
    pub(super) fn registered_as(&self) -> (i64, i32) {
        let stands = self.registration.as_ref();
        stands.map_or((0, 0), |(modified, record)| (*modified, record.wave))
    }
}
