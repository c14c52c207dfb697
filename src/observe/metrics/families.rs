//! The names, the meanings and the label values of every metric. Part of the operator's interface: alert rules and
//! dashboards rest on them.

use super::family::Family;
use crate::core::facts::HealthPhase;
use crate::core::{Refusal, State};

/// Makes the families of a table that is in the order of the exposition. What is said of each is its help text.
macro_rules! families {
    ($(#[doc = $help:literal] $name:ident: $kind:ident($metric:literal $(, $more:expr)? $(,)?),)*) => {
        /// All of them.
        #[derive(Debug)]
        pub(super) struct Families {
            $(pub(super) $name: Family,)*
        }

        impl Families {
            /// Everything at zero.
            pub(super) fn new() -> Families {
                Families { $($name: Family::$kind($metric, $help.trim_start() $(, $more)?),)* }
            }

            /// In the order of the exposition.
            pub(super) fn all(&self) -> impl Iterator<Item = &Family> {
                [$(&self.$name,)*].into_iter()
            }
        }
    };
}

families! {
    /// Always 1; what runs.
    build_info: gauge("reboot_coordinator_build_info", &[("version", &[]), ("revision", &[])]),
    /// 1 for the state this node is in.
    state: gauge("reboot_coordinator_state", &[("state", &State::NAMES)]),
    /// 1 when at least one detector said so when they were asked last.
    reboot_required: gauge("reboot_coordinator_reboot_required", &[]),
    /// Since when a reboot has been required, as far back as this process knows, by this node's clock; 0 when none is.
    required_since: gauge("reboot_coordinator_reboot_required_since_timestamp_seconds", &[]),
    /// 1 for the reason that holds this node up. A look at the gates that comes to the same changes nothing.
    blocked: gauge("reboot_coordinator_blocked", &[("reason", &reasons())]),
    /// Since when this reason has held this node up, by its clock; 0 for the others.
    blocked_since: gauge(
        "reboot_coordinator_blocked_since_timestamp_seconds",
        &[("reason", &reasons())],
    ),
    /// Place in the queue, 1 at its head; 0 outside of it. Far back it is at least this.
    queue_position: gauge("reboot_coordinator_queue_position", &[]),
    /// 1 while this node has a claim: a place in the queue, or a reboot in progress.
    claim_held: gauge("reboot_coordinator_claim_held", &[]),
    /// When the claim that is held was committed; 0 when none is.
    claim_committed: gauge("reboot_coordinator_claim_committed_timestamp_seconds", &[]),
    /// When this node's last coordinated reboot was complete; 0 when none is known.
    last_reboot: gauge("reboot_coordinator_last_reboot_timestamp_seconds", &[]),
    /// 1 while the maintenance windows allow a reboot.
    window_open: gauge("reboot_coordinator_window_open", &[]),
    /// 1 while this node's kill switch file exists or cannot be checked.
    kill_switch: gauge("reboot_coordinator_kill_switch_active", &[]),
    /// 1 when the cluster was paused at this node's last look, which it takes while it requires a reboot and neither its kill switch nor its window forbids it; 0 while it takes none.
    cluster_paused: gauge("reboot_coordinator_cluster_paused", &[]),
    /// Members of the cluster, by health, at this node's last look, which it takes while it requires a reboot and has cluster policies; 0 before.
    cluster_nodes: gauge(
        "reboot_coordinator_cluster_nodes",
        &[("health", &["healthy", "unhealthy"])],
    ),
    /// When the first certificate in this file for etcd ends; 0 when there is no such file.
    certificates: gauge(
        "reboot_coordinator_etcd_certificate_expiry_timestamp_seconds",
        &[("file", &CERTIFICATE_FILES)],
    ),
    /// Attempts to reboot this node that ended, by outcome. Counted by the process that sees the end, which after a reboot is a new one.
    reboots: counter("reboot_coordinator_reboots_total", &[("outcome", &OUTCOMES)]),
    /// Judgements that a required reboot must wait, by reason.
    blocks: counter("reboot_coordinator_reboot_blocked_total", &[("reason", &reasons())]),
    /// Questions to detectors, by what they said.
    detector_checks: counter(
        "reboot_coordinator_detector_checks_total",
        &[("detector", &[]), ("result", &DETECTOR_RESULTS)],
    ),
    /// How long a detector took to answer.
    detector_duration: histogram(
        "reboot_coordinator_detector_check_duration_seconds",
        &DETECTOR_BOUNDS,
    ),
    /// Runs of the health script, by phase and by how they ended.
    health_checks: counter(
        "reboot_coordinator_health_checks_total",
        &[("phase", &PHASES.map(HealthPhase::as_str)), ("result", &HEALTH_RESULTS)],
    ),
    /// How long the health script ran.
    health_duration: histogram("reboot_coordinator_health_check_duration_seconds", &HEALTH_BOUNDS),
    /// From joining the queue to the commit. Counted when the attempt ends, because a reboot ends the process that waited before it can be scraped.
    lock_acquire_duration: histogram(
        "reboot_coordinator_lock_acquire_duration_seconds",
        &LOCK_BOUNDS,
    ),
    /// Places in the queue and claims that were lost or taken away.
    lock_losses: counter("reboot_coordinator_lock_losses_total", &[]),
    /// Requests to etcd, by operation and by what came of them; for the watch, its connections.
    etcd_requests: counter(
        "reboot_coordinator_etcd_requests_total",
        &[("operation", &OPERATIONS), ("result", &ETCD_RESULTS)],
    ),
    /// How long etcd took to answer, or was waited for.
    etcd_duration: histogram("reboot_coordinator_etcd_request_duration_seconds", &ETCD_BOUNDS),
    /// When this endpoint of etcd answered last; 0 when it has not.
    endpoint_answered: gauge(
        "reboot_coordinator_etcd_endpoint_last_success_timestamp_seconds",
        &[("endpoint", &[])],
    ),
    /// When this endpoint of etcd failed last; 0 when it has not. When this is later than the last success, it failed when it was asked last: one that is not needed is not asked again before another fails.
    endpoint_failed: gauge(
        "reboot_coordinator_etcd_endpoint_last_failure_timestamp_seconds",
        &[("endpoint", &[])],
    ),
    /// Runs of the event hook, by how they ended, and events that were dropped because it is too slow.
    event_hooks: counter(
        "reboot_coordinator_event_hooks_total",
        &[("result", &EVENT_HOOK_RESULTS)],
    ),
}

/// What can hold up a required reboot.
fn reasons() -> Vec<&'static str> {
    let all = Refusal::all();
    let required = all.iter().filter(|it| **it != Refusal::NotRequired);
    required.map(Refusal::label).collect()
}

/// What detectors say.
pub(super) const DETECTOR_RESULTS: [&str; 3] = ["required", "clear", "failed"];

/// What comes of an event for the event hook.
const EVENT_HOOK_RESULTS: [&str; 5] = ["passed", "failed", "timed_out", "not_started", "dropped"];

/// When the health script runs.
const PHASES: [HealthPhase; 4] = [
    HealthPhase::PreLock,
    HealthPhase::PostLock,
    HealthPhase::Monitor,
    HealthPhase::PostBoot,
];

/// How it ends.
const HEALTH_RESULTS: [&str; 5] = ["passed", "failed", "timed_out", "not_started", "cancelled"];

/// How an attempt ends, as in the history.
const OUTCOMES: [&str; 3] = ["completed", "aborted", "taken-away"];

/// The files with certificates that the configuration names.
pub(super) const CERTIFICATE_FILES: [&str; 2] = ["cert_file", "ca_file"];

/// What this program asks of etcd.
const OPERATIONS: [&str; 6] = ["range", "txn", "grant", "revoke", "keepalive", "watch"];

/// What comes of it: an answer; nothing was sent; no answer, so that it may still take effect; or a refusal.
const ETCD_RESULTS: [&str; 4] = ["ok", "not_sent", "unknown", "refused"];

/// Seconds. From a look at a file to a command that asks a package manager.
const DETECTOR_BOUNDS: [f64; 9] = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Seconds. The default limit is 30.
const HEALTH_BOUNDS: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Seconds. A handover takes milliseconds, a reboot before it minutes, a long queue a night.
const LOCK_BOUNDS: [f64; 10] = [
    0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
];

/// Seconds. The default limit is 5.
const ETCD_BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
