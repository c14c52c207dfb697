//! The reboot budget (P6) and the pause between failures.

use std::time::Duration;

use crate::lock::NodeRecord;

/// The registration after one more commit: the reboot is counted before it happens, so that no crash can forget it.
pub fn spend(record: &NodeRecord) -> NodeRecord {
    NodeRecord {
        budget_used: record.budget_used.saturating_add(1),
        ..record.clone()
    }
}

/// The registration after an attempt that disrupted nothing for good: the reboot did not happen.
pub fn refund(record: &NodeRecord) -> NodeRecord {
    NodeRecord {
        budget_used: record.budget_used.saturating_sub(1),
        ..record.clone()
    }
}

/// Whether another reboot is allowed: fewer than `max` were committed since the detectors last asked for none.
pub fn left(record: &NodeRecord, max: u32) -> bool {
    record.budget_used < max
}

/// How long to pause after the `failures`-th failure in a row (from 0): doubling from `min`, never above `max`.
pub fn backoff(failures: u32, min: Duration, max: Duration) -> Duration {
    let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
    min.saturating_mul(factor).min(max)
}
