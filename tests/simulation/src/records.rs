//! Records as other hands leave them in etcd, for the steps to vary.

use reboot_coordinator::lock::record::{RECORD_VERSION, Report};
use reboot_coordinator::lock::{Failure, FailureKind, NodeRecord, RebootRequest};

/// What an operator asks of `n0`.
pub fn request() -> RebootRequest {
    RebootRequest {
        v: RECORD_VERSION,
        node: "n0".to_owned(),
        by: "eva@admin".to_owned(),
        reason: "new firmware".to_owned(),
        since: "noon".to_owned(),
        boot_id: None,
        urgent_until: None,
    }
}

/// Another member.
pub fn member(node: &str) -> NodeRecord {
    NodeRecord {
        v: RECORD_VERSION,
        node: node.to_owned(),
        node_id: format!("machine-{node}"),
        version: "0".to_owned(),
        wave: 0,
        boot_id: None,
        last_reboot: None,
        budget_used: 0,
        attempt: None,
        request: None,
    }
}

/// What a member says of its health.
pub fn report(node: &str, healthy: bool) -> Report {
    Report {
        v: RECORD_VERSION,
        node: node.to_owned(),
        node_id: format!("machine-{node}"),
        healthy,
        reason: None,
        since: "noon".to_owned(),
    }
}

/// That the reboot of a member failed.
pub fn failure(node: &str) -> Failure {
    Failure {
        v: RECORD_VERSION,
        node: node.to_owned(),
        claim: 3,
        kind: FailureKind::Unhealthy,
        detail: "disk".to_owned(),
        reasons: Vec::new(),
        target: None,
        since: "s".to_owned(),
        by: None,
    }
}
