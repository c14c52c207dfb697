//! Between which moments a revision came into being.
//!
//! The run keeps writing its clock to one key of etcd: `{"sent": 12.3, "acked": {"revision": 41, "at": 12.2}}`, the moment at
//! which this put was sent, and when the answer to an earlier one came. A revision after a stamp's is younger than the moment
//! that stamp was sent; a revision before a stamp's is older than the moment that stamp was answered. Nothing else is assumed:
//! a stamp that was delayed, or whose answer was lost, makes the bounds wider and never wrong.

use serde_json::Value;

use crate::history::Event;
use crate::ledger::Setup;

/// Bounds for revisions.
pub(crate) struct Clock {
    /// Revision and the latest moment of sending up to it, both rising.
    sent: Vec<(i64, f64)>,
    /// Revision and the earliest moment of an answer from it on, both rising.
    acked: Vec<(i64, f64)>,
}

impl Clock {
    pub(crate) fn of(events: &[Event], setup: &Setup) -> Result<Clock, String> {
        let stamps = events.iter().filter(|event| event.key == setup.clock_key);
        let (mut sent, mut acked) = (Vec::new(), Vec::new());
        let mut latest = f64::MIN;
        for event in stamps {
            let value: Value = serde_json::from_str(&event.value)
                .map_err(|error| format!("the clock at revision {}: {error}", event.revision))?;
            let at = value["sent"]
                .as_f64()
                .ok_or("the clock's stamp says nothing")?;
            latest = latest.max(at);
            sent.push((event.revision, latest));
            let answer = &value["acked"];
            if let (Some(revision), Some(at)) = (answer["revision"].as_i64(), answer["at"].as_f64())
            {
                acked.push((revision, at));
            }
        }
        acked.sort_by_key(|(revision, _)| *revision);
        let mut earliest = f64::MAX;
        for (_, at) in acked.iter_mut().rev() {
            earliest = earliest.min(*at);
            *at = earliest;
        }
        Ok(Clock { sent, acked })
    }

    /// The revision is younger than this moment.
    pub(crate) fn after(&self, revision: i64) -> f64 {
        let before = self.sent.partition_point(|(stamp, _)| *stamp < revision);
        before.checked_sub(1).map_or(f64::MIN, |i| self.sent[i].1)
    }

    /// The revision is older than this moment.
    pub(crate) fn before(&self, revision: i64) -> f64 {
        let next = self.acked.partition_point(|(stamp, _)| *stamp <= revision);
        self.acked.get(next).map_or(f64::MAX, |(_, at)| *at)
    }
}
