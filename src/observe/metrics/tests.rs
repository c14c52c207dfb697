//! What each note and each view of the machine does to the metrics, and how they are written.

use super::*;
use crate::core::State;
use crate::core::facts::{Captured, DetectorResult};
use crate::lock::record::{Blocked, Required, Standing};

/// Names, kinds and labels as the operator's interface has them.
const INTERFACE: &str = "\
build_info gauge version,revision
state gauge state
reboot_required gauge
reboot_required_since_timestamp_seconds gauge
blocked gauge reason
blocked_since_timestamp_seconds gauge reason
queue_position gauge
claim_held gauge
claim_committed_timestamp_seconds gauge
last_reboot_timestamp_seconds gauge
window_open gauge
kill_switch_active gauge
cluster_paused gauge
cluster_nodes gauge health
etcd_certificate_expiry_timestamp_seconds gauge file
reboots_total counter outcome
reboot_blocked_total counter reason
detector_checks_total counter detector,result
detector_check_duration_seconds histogram
health_checks_total counter phase,result
health_check_duration_seconds histogram
lock_acquire_duration_seconds histogram
lock_losses_total counter
etcd_requests_total counter operation,result
etcd_request_duration_seconds histogram
etcd_endpoint_last_success_timestamp_seconds gauge endpoint
etcd_endpoint_last_failure_timestamp_seconds gauge endpoint
event_hooks_total counter result
";

fn metrics() -> Metrics {
    let metrics = Metrics::new("1.2.3", "abc", ["file:/run/x", "kernel"]);
    metrics.set_endpoints(&["http://a:2379".to_owned(), "http://b:2379".to_owned()]);
    metrics
}

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let wanted = format!("reboot_coordinator_{series} ");
    let text = metrics.render();
    let mut found = text.lines().filter_map(|line| line.strip_prefix(&wanted));
    let value = found.next()?.parse().unwrap();
    assert_eq!(found.next(), None, "{series} is there twice");
    Some(value)
}

#[track_caller]
fn expect(metrics: &Metrics, series: &str, expected: f64) {
    assert_eq!(
        value(metrics, series),
        Some(expected),
        "{series}\n{}",
        metrics.render()
    );
}

fn view(state: &'static str) -> View {
    View {
        state,
        ..View::default()
    }
}

/// The labels of a series, without the bound of a bucket.
fn labels(line: &str) -> String {
    let inside = line
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
    let names = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name);
    names
        .filter(|name| *name != "le")
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn every_metric_of_the_interface_is_there_from_the_start_and_no_other() {
    let text = metrics().render();
    let mut found = String::new();
    for family in text.split("# HELP reboot_coordinator_").skip(1) {
        let mut lines = family.lines();
        let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
        let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
        let first = lines
            .next()
            .unwrap_or_else(|| panic!("{name} has no series"));
        let labels = labels(first);
        let space = if labels.is_empty() { "" } else { " " };
        found.push_str(&format!("{name} {kind}{space}{labels}\n"));
        assert!(help.ends_with('.'), "{name}: {help}");
    }
    assert_eq!(found, INTERFACE);
}

#[test]
fn every_series_is_there_from_the_start() {
    let text = metrics().render();
    let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    for (family, series) in [
        ("state", State::NAMES.len()),
        ("blocked", Refusal::all().len() - 1),
        ("reboot_blocked_total", Refusal::all().len() - 1),
        ("reboots_total", 3),
        ("detector_checks_total", 2 * 3),
        ("health_checks_total", 4 * 5),
        ("etcd_requests_total", 6 * 4),
        ("cluster_nodes", 2),
        ("blocked_since_timestamp_seconds", Refusal::all().len() - 1),
        ("etcd_certificate_expiry_timestamp_seconds", 2),
    ] {
        let prefix = format!("reboot_coordinator_{family}{{");
        assert_eq!(count(&prefix), series, "{family}\n{text}");
    }
    let mut series: Vec<_> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .collect();
    series.sort_unstable();
    let all = series.len();
    series.dedup_by_key(|(name, _)| *name);
    assert_eq!(series.len(), all, "a series is there twice");
}

#[test]
fn every_reason_to_refuse_is_among_the_labels() {
    let why = || "why".to_owned();
    let refusals = [
        Refusal::NotRequired,
        Refusal::Unknown(why()),
        Refusal::KillSwitch(why()),
        Refusal::Configuration(why()),
        Refusal::Paused(why()),
        Refusal::Window(why()),
        Refusal::Cooldown(why()),
        Refusal::Budget(why()),
        Refusal::Health(why()),
        Refusal::Policy(why()),
        Refusal::Line(why()),
        Refusal::Wave(why()),
        Refusal::NotTurn(why()),
        Refusal::Etcd(why()),
        Refusal::Lost(why()),
        Refusal::Aborted(why()),
        Refusal::DryRun,
    ];
    let label = |refusal: Refusal| refusal.label();
    assert_eq!(refusals.map(label), Refusal::all().map(label));
}

#[test]
fn detectors_are_counted_and_a_reload_keeps_the_counts_of_those_that_stay() {
    let metrics = metrics();
    let report = |name: &str, result| DetectorReport {
        name: name.into(),
        result,
        target: None,
        took: Duration::from_millis(20),
    };
    metrics.detected(&[
        report("file:/run/x", DetectorResult::Clear),
        report("kernel", DetectorResult::Required("why".into())),
    ]);
    expect(&metrics, "reboot_required", 1.0);
    metrics.detected(&[
        report("file:/run/x", DetectorResult::Clear),
        report("kernel", DetectorResult::Failed("why".into())),
    ]);
    expect(&metrics, "reboot_required", 0.0);
    expect(
        &metrics,
        "detector_checks_total{detector=\"file:/run/x\",result=\"clear\"}",
        2.0,
    );
    expect(
        &metrics,
        "detector_checks_total{detector=\"kernel\",result=\"failed\"}",
        1.0,
    );
    expect(
        &metrics,
        "detector_check_duration_seconds_bucket{le=\"0.01\"}",
        0.0,
    );
    expect(
        &metrics,
        "detector_check_duration_seconds_bucket{le=\"0.05\"}",
        4.0,
    );
    metrics.set_detectors(["kernel", "new"]);
    expect(
        &metrics,
        "detector_checks_total{detector=\"kernel\",result=\"required\"}",
        1.0,
    );
    expect(
        &metrics,
        "detector_checks_total{detector=\"new\",result=\"clear\"}",
        0.0,
    );
    let gone = value(
        &metrics,
        "detector_checks_total{detector=\"file:/run/x\",result=\"clear\"}",
    );
    assert_eq!(gone, None);
}

#[test]
fn the_health_script_is_counted_by_how_it_ended() {
    let metrics = metrics();
    for (outcome, result) in [
        (ScriptOutcome::Exited(0), "passed"),
        (ScriptOutcome::Exited(1), "failed"),
        (ScriptOutcome::Signalled(9), "failed"),
        (ScriptOutcome::TimedOut, "timed_out"),
        (ScriptOutcome::NotStarted("why".into()), "not_started"),
        (ScriptOutcome::Cancelled, "cancelled"),
    ] {
        let report = ScriptReport {
            outcome,
            took: Duration::from_secs(2),
            stdout: Captured::default(),
            stderr: Captured::default(),
        };
        let series = format!("health_checks_total{{phase=\"post-lock\",result=\"{result}\"}}");
        let before = value(&metrics, &series).unwrap();
        metrics.health_checked(HealthPhase::PostLock, &report);
        expect(&metrics, &series, before + 1.0);
    }
    expect(&metrics, "health_check_duration_seconds_sum", 12.0);
}

#[test]
fn what_the_machine_tells_is_counted() {
    let metrics = metrics();
    let tell = |note: Note| metrics.note(&note);
    tell(Note::warn("blocked", "").with("reason", "window"));
    tell(Note::warn("blocked", "").with("reason", "lost"));
    tell(Note::error("holding", "").with("reason", "aborted"));
    tell(Note::info("dry_run", "").with("reason", "dry_run"));
    tell(Note::info("not_required", "").with("reason", "not_required"));
    // Its reason is a sentence, not a label.
    tell(Note::error("aborted", "").with("reason", "the drain hook failed"));
    for (reason, times) in [
        ("window", 1.0),
        ("aborted", 1.0),
        ("dry_run", 1.0),
        ("health", 0.0),
    ] {
        expect(
            &metrics,
            &format!("reboot_blocked_total{{reason=\"{reason}\"}}"),
            times,
        );
    }
    assert_eq!(
        metrics.render().matches("_blocked_total{").count(),
        Refusal::all().len() - 1
    );
    tell(Note::info("released", "").with("outcome", "completed"));
    tell(Note::warn("claim_gone", "").with("outcome", "taken-away"));
    tell(Note::info("reboot_command_done", "").with("outcome", "exit code 0"));
    expect(&metrics, "reboots_total{outcome=\"completed\"}", 1.0);
    expect(&metrics, "reboots_total{outcome=\"taken-away\"}", 1.0);
    expect(&metrics, "lock_losses_total", 2.0);
    assert_eq!(metrics.render().matches("_reboots_total{").count(), 3);
}

#[test]
fn a_wait_is_counted_when_its_attempt_ends_and_only_then() {
    let metrics = metrics();
    metrics.note(&Note::info("turn", "").with("lock_wait_ms", 60_000));
    metrics.note(&Note::info("committed", "").with("lock_wait_ms", 60_000));
    expect(&metrics, "lock_acquire_duration_seconds_count", 0.0);
    let released = Note::info("released", "").with("outcome", "completed");
    metrics.note(&released.clone());
    expect(&metrics, "lock_acquire_duration_seconds_count", 0.0);
    metrics.note(&released.with("lock_wait_ms", 2_000));
    expect(&metrics, "lock_acquire_duration_seconds_count", 1.0);
    expect(&metrics, "lock_acquire_duration_seconds_sum", 2.0);
}

#[test]
fn the_gauges_show_where_the_machine_stands() {
    let metrics = metrics();
    let committed = View {
        phase: Some(crate::lock::Phase::Rebooting),
        committed_at: Some("2026-11-23T09:00:00.500Z".into()),
        last_reboot: Some("2026-11-22T09:00:00Z".into()),
        ..view("rebooting")
    };
    metrics.view(&committed);
    expect(&metrics, "claim_held", 1.0);
    expect(
        &metrics,
        "claim_committed_timestamp_seconds",
        1_795_424_400.5,
    );
    expect(&metrics, "last_reboot_timestamp_seconds", 1_795_338_000.0);
    let queued = View {
        refusal: Some(Refusal::Paused("why".into())),
        ahead: Some((3, false)),
        paused: true,
        members: (5, 2),
        ..view("queued")
    };
    metrics.view(&queued);
    expect(&metrics, "claim_committed_timestamp_seconds", 0.0);
    expect(&metrics, "queue_position", 4.0);
    expect(&metrics, "cluster_nodes{health=\"healthy\"}", 5.0);
    expect(&metrics, "cluster_nodes{health=\"unhealthy\"}", 2.0);
    expect(&metrics, "cluster_paused", 1.0);
    let states = metrics.render();
    let on: Vec<_> = states
        .lines()
        .filter(|l| l.contains("_state{") && l.ends_with(" 1"))
        .collect();
    assert_eq!(on, ["reboot_coordinator_state{state=\"queued\"} 1"]);
    for before in [
        Refusal::NotRequired,
        Refusal::Unknown("why".into()),
        Refusal::KillSwitch("why".into()),
        Refusal::Configuration("why".into()),
        Refusal::Window("why".into()),
    ] {
        metrics.view(&queued);
        let idle = View {
            refusal: Some(before),
            paused: true,
            ..view("idle")
        };
        metrics.view(&idle);
        expect(&metrics, "cluster_paused", 0.0);
    }
    metrics.found(true, false);
    expect(&metrics, "window_open", 1.0);
    expect(&metrics, "kill_switch_active", 0.0);
}

#[test]
fn since_when_a_reboot_is_required_and_held_up_is_what_the_node_says_of_itself() {
    let metrics = metrics();
    let blocked = |label: &str, since: &str| Blocked {
        gate: "health".to_owned(),
        label: label.to_owned(),
        text: String::new(),
        since: since.to_owned(),
    };
    let mut standing = Standing {
        v: 1,
        node: "a".to_owned(),
        node_id: "1".to_owned(),
        state: "blocked".to_owned(),
        since: "2026-11-23T10:00:00Z".to_owned(),
        required: Some(Required {
            since: "2026-11-23T08:00:00Z".to_owned(),
            by: vec!["kernel".to_owned()],
        }),
        blocked: Some(blocked("health", "2026-11-23T09:00:00Z")),
        ..Standing::default()
    };
    // While the gates are looked at again the machine has no refusal; what it says of itself stands.
    metrics.view(&View {
        standing: Some(standing.clone()),
        ..view("checking")
    });
    let since = "blocked_since_timestamp_seconds";
    expect(
        &metrics,
        "reboot_required_since_timestamp_seconds",
        1_795_420_800.0,
    );
    expect(
        &metrics,
        &format!("{since}{{reason=\"health\"}}"),
        1_795_424_400.0,
    );
    expect(&metrics, "blocked{reason=\"health\"}", 1.0);
    standing.blocked = Some(blocked("policy", "2026-11-23T10:00:00Z"));
    standing.required = None;
    metrics.view(&View {
        standing: Some(standing),
        ..view("idle")
    });
    expect(&metrics, "reboot_required_since_timestamp_seconds", 0.0);
    expect(&metrics, &format!("{since}{{reason=\"health\"}}"), 0.0);
    expect(
        &metrics,
        &format!("{since}{{reason=\"policy\"}}"),
        1_795_428_000.0,
    );
    expect(&metrics, "blocked{reason=\"health\"}", 0.0);
    expect(&metrics, "blocked{reason=\"policy\"}", 1.0);
    metrics.view(&view("starting"));
    expect(&metrics, "blocked{reason=\"policy\"}", 0.0);
    expect(&metrics, &format!("{since}{{reason=\"policy\"}}"), 0.0);
}

#[test]
fn the_end_of_each_certificate_file_is_told_and_a_file_that_is_gone_is_not() {
    let metrics = metrics();
    let expiry =
        |file: &str| format!("etcd_certificate_expiry_timestamp_seconds{{file=\"{file}\"}}");
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    metrics.certificates(at(100), at(200));
    expect(&metrics, &expiry("cert_file"), 100.0);
    expect(&metrics, &expiry("ca_file"), 200.0);
    metrics.certificates(None, at(300));
    expect(&metrics, &expiry("cert_file"), 0.0);
    expect(&metrics, &expiry("ca_file"), 300.0);
}
