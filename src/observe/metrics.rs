//! What Prometheus is told: what changes each metric. They are declared in `families.rs`.
//!
//! Every series is there from the start, so that a counter's first event is seen as an increase and an alert can tell "never
//! happened" from "not measured".

mod families;
mod family;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use etcd_rs_sync::EndpointHealth;

use crate::core::facts::{DetectorReport, HealthPhase, ScriptOutcome, ScriptReport};
use crate::core::{Note, Refusal, View};
use families::{CERTIFICATE_FILES, DETECTOR_RESULTS, Families};
use jiff::Timestamp;

/// Every metric of this program. Threads may share it; each call takes a lock for a moment.
#[derive(Debug)]
pub struct Metrics(Mutex<Families>);

impl Metrics {
    /// Everything at zero. `revision` is that of the source code.
    pub fn new<'a>(
        version: &str,
        revision: &str,
        detectors: impl IntoIterator<Item = &'a str>,
    ) -> Metrics {
        let mut families = Families::new();
        families.build_info.set(&[version, revision], 1.0);
        let metrics = Metrics(Mutex::new(families));
        metrics.set_detectors(detectors);
        metrics
    }

    /// The detectors that are configured now. Those that were known before keep their counts.
    pub fn set_detectors<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let each = |name| DETECTOR_RESULTS.map(|result| vec![name, result]);
        let wanted = names.into_iter().flat_map(each).collect();
        self.lock().detector_checks.keep(wanted);
    }

    /// The detectors were asked.
    pub fn detected(&self, reports: &[DetectorReport]) {
        let mut families = self.lock();
        let mut required = false;
        for report in reports {
            let (result, _) = report.result.words();
            required |= result == "required";
            families.detector_checks.count(&[&report.name, result]);
            families.detector_duration.observe(report.took);
        }
        families.reboot_required.set(&[], f64::from(required));
    }

    /// The health script ran.
    pub fn health_checked(&self, phase: HealthPhase, report: &ScriptReport) {
        let mut families = self.lock();
        let result = ending(&report.outcome);
        families.health_checks.count(&[phase.as_str(), result]);
        families.health_duration.observe(report.took);
    }

    /// A request to etcd ended. A watch has no duration: it lasts as long as it is wanted.
    pub fn etcd(&self, operation: &str, result: &str, took: Option<Duration>) {
        let mut families = self.lock();
        families.etcd_requests.count(&[operation, result]);
        if let Some(took) = took {
            families.etcd_duration.observe(took);
        }
    }

    /// The machine told something.
    pub fn note(&self, note: &Note) {
        let field = |wanted: &str| {
            let found = note.fields.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value)
        };
        let text = |wanted| field(wanted).and_then(|value| value.as_str());
        let mut families = self.lock();
        match note.event {
            "blocked" | "dry_run" | "holding" => {
                if let Some(reason) = text("reason") {
                    families.blocks.count(&[reason]);
                    if reason == "lost" {
                        families.lock_losses.count(&[]);
                    }
                }
            }
            "released" | "claim_gone" => {
                if let Some(outcome) = text("outcome") {
                    families.reboots.count(&[outcome]);
                    if let Some(waited) = field("lock_wait_ms").and_then(|ms| ms.as_u64()) {
                        let waited = Duration::from_millis(waited);
                        families.lock_acquire_duration.observe(waited);
                    }
                    if outcome == "taken-away" {
                        families.lock_losses.count(&[]);
                    }
                }
            }
            // Those of the host are counted where they run.
            "detector" => {
                if let (Some(name), Some(result)) = (text("detector"), text("result")) {
                    families.detector_checks.count(&[name, result]);
                    if result == "required" {
                        families.reboot_required.set(&[], f64::from(true));
                    }
                }
            }
            _ => {}
        }
    }

    /// Where the machine stands after a step.
    pub fn view(&self, view: &View) {
        let mut families = self.lock();
        families.state.set_only(Some((view.state, 1.0)));
        let standing = view.standing.as_ref();
        let required = standing.and_then(|standing| standing.required.as_ref());
        let since = timestamp(required.map(|required| required.since.as_str()));
        families.required_since.set(&[], since);
        let held = standing.and_then(|standing| standing.blocked.as_ref());
        let reason = held.map(|held| (held.label.as_str(), 1.0));
        families.blocked.set_only(reason);
        let since = held.map(|held| (held.label.as_str(), timestamp(Some(&held.since))));
        families.blocked_since.set_only(since);
        let position = view.ahead.map_or(0.0, |(ahead, _)| ahead as f64 + 1.0);
        families.queue_position.set(&[], position);
        let has_claim = view.phase.is_some();
        families.claim_held.set(&[], f64::from(has_claim));
        let committed = timestamp(view.committed_at.as_deref());
        families.claim_committed.set(&[], committed);
        let last = timestamp(view.last_reboot.as_deref());
        families.last_reboot.set(&[], last);
        let (healthy, unhealthy) = view.members;
        families.cluster_nodes.set(&["healthy"], healthy as f64);
        families.cluster_nodes.set(&["unhealthy"], unhealthy as f64);
        // A pass that ends before it looks at the cluster is not held up by a pause, and must not repeat an old one.
        let unread = matches!(
            view.refusal,
            Some(
                Refusal::NotRequired
                    | Refusal::Unknown(_)
                    | Refusal::KillSwitch(_)
                    | Refusal::Configuration(_)
                    | Refusal::Window(_)
            )
        );
        let paused = view.paused && !unread;
        families.cluster_paused.set(&[], f64::from(paused));
    }

    /// The endpoints of etcd that are configured now. What is known of others is forgotten.
    pub fn set_endpoints(&self, urls: &[String]) {
        let wanted: Vec<Vec<&str>> = urls.iter().map(|url| vec![url.as_str()]).collect();
        let mut families = self.lock();
        families.endpoint_answered.keep(wanted.clone());
        families.endpoint_failed.keep(wanted);
    }

    /// What is known of them.
    pub fn endpoints(&self, health: &[EndpointHealth]) {
        let now = Instant::now();
        let wall = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let at = |then: Instant| wall - now.saturating_duration_since(then).as_secs_f64();
        let mut families = self.lock();
        for it in health {
            let failed = it.failed.as_ref().map(|(then, _)| *then);
            let url = &[it.url.as_str()];
            let answered = it.answered.map_or(0.0, at);
            families.endpoint_answered.set(url, answered);
            families.endpoint_failed.set(url, failed.map_or(0.0, at));
        }
    }

    /// What came of telling the event hook.
    pub fn event_hook(&self, result: &str) {
        self.lock().event_hooks.count(&[result]);
    }

    /// When the certificates for etcd end that this program was started with, or has found replaced.
    pub fn certificates(&self, client: Option<Timestamp>, authority: Option<Timestamp>) {
        let mut families = self.lock();
        for (file, end) in CERTIFICATE_FILES.into_iter().zip([client, authority]) {
            let end = end.map_or(0.0, |end| end.as_second() as f64);
            families.certificates.set(&[file], end);
        }
    }

    /// What is found out when somebody asks.
    pub fn found(&self, window_open: bool, kill_switch: bool) {
        let mut families = self.lock();
        families.window_open.set(&[], f64::from(window_open));
        families.kill_switch.set(&[], f64::from(kill_switch));
    }

    /// All of it, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for family in self.lock().all() {
            family.write(&mut out);
        }
        out
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a script ended, as a label.
pub fn ending(outcome: &ScriptOutcome) -> &'static str {
    match outcome {
        ScriptOutcome::Exited(0) => "passed",
        ScriptOutcome::Exited(_) | ScriptOutcome::Signalled(_) => "failed",
        ScriptOutcome::TimedOut => "timed_out",
        ScriptOutcome::NotStarted(_) => "not_started",
        ScriptOutcome::Cancelled => "cancelled",
    }
}

/// A moment of a record, in seconds since 1970; 0 for none.
fn timestamp(rfc3339: Option<&str>) -> f64 {
    let at = rfc3339.and_then(|text| text.parse::<Timestamp>().ok());
    at.map_or(0.0, |at| at.as_millisecond() as f64 / 1000.0)
}
