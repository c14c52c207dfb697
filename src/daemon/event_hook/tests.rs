//! The event hook with real programs: which transitions it is told of, and that nothing waits for it.

use std::path::Path;

use log::LevelFilter;

use super::*;
use crate::config;
use crate::daemon::tests::lab::Lab;
use crate::daemon::tests::logged::{heard_of, hush, listen};

fn events(folder: &Path, hook: &str, timeout_sec: u32) -> Events {
    let config = with_hook(folder, hook, timeout_sec);
    Events::new(&config, Arc::new(Metrics::new("1", "abc", ["f"])))
}

fn with_hook(folder: &Path, hook: &str, timeout_sec: u32) -> Config {
    let script = folder.join("hook");
    std::fs::write(&script, hook).unwrap();
    let file = folder.join("config.yaml");
    let text = format!(
        "node_name: a
lock_key: /rc
etcd_endpoints: [\"http://127.0.0.1:1\"]
reboot_required_detectors: [{{name: f, type: file, path: /f}}]
health_script: /bin/true
event_hook: {{command: [/bin/sh, {}, \"${{RC_EVENT_NAME}}\"], timeout_sec: {timeout_sec}}}
",
        script.display()
    );
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap().config
}

fn told(events: &Events) {
    assert!(events.is_idle_within(Duration::from_secs(60)));
}

fn count(events: &Events, result: &str) -> usize {
    let name = format!("reboot_coordinator_event_hooks_total{{result=\"{result}\"}} ");
    let text = events.queue.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[test]
fn the_hook_is_told_by_variables_and_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let hook = format!(
        "{{ echo \"$1|$RC_EVENT_NAME|$RC_EVENT_NODE|$RC_EVENT_TEXT|$RC_EVENT_REASONS|$RC_EVENT_OUTCOME|$RC_PHASE|$RC_REASONS\"; cat; }} >>{}",
        out.display()
    );
    let mut events = events(folder.path(), &hook, 30);
    let reasons = vec!["kernel".to_owned(), "by \u{1b}[2J bob".to_owned()];
    let note = Note::info("committed", "every gate\npassed").with("reasons", reasons);
    events.note(&note);
    events.note(&Note::info("draining", "no transition"));
    told(&events);
    let text = std::fs::read_to_string(&out).unwrap();
    let (line, json) = text.split_once('\n').unwrap();
    assert_eq!(
        line,
        "committed|committed|a|every gate passed|kernel,by  [2J bob||event|kernel,by  [2J bob"
    );
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["event"], "committed");
    assert_eq!(json["reasons"][0], "kernel");
    assert_eq!(json["outcome"], Value::Null);
    assert!(json["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!((count(&events, "passed"), count(&events, "failed")), (1, 0));
}

#[test]
fn what_stands_is_told_when_it_begins_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = events(folder.path(), "true", 30);
    let blocked = |reason: &str| Note::warn("blocked", reason).with("reason", reason);
    let tells = [
        (blocked("paused"), Some("paused")),
        (blocked("paused"), None),
        // What cannot be seen has not changed.
        (blocked("etcd"), None),
        (blocked("paused"), None),
        (blocked("window"), None),
        (blocked("paused"), Some("paused")),
        (blocked("budget"), Some("budget_used_up")),
        (blocked("line"), Some("line_stopped")),
        (Note::error("reboot_failed", "of b"), None),
        (
            Note::info("not_required", "").with("reason", "not_required"),
            None,
        ),
        (blocked("paused"), Some("paused")),
        (Note::info("committed", ""), Some("committed")),
        (
            Note::error("holding", "").with("reason", "aborted"),
            Some("held"),
        ),
        (Note::error("holding", "").with("reason", "aborted"), None),
        // Nobody waits for a node that has no claim.
        (
            Note::error("not_healthy", "").with("keeps_claim", false),
            None,
        ),
        (
            Note::error("not_healthy", "").with("keeps_claim", true),
            Some("held"),
        ),
        (Note::error("aborted", ""), Some("aborted")),
        (
            Note::info("released", "").with("outcome", "aborted"),
            Some("released"),
        ),
        (Note::warn("claim_gone", ""), Some("taken_away")),
        (Note::warn("etcd_error", ""), None),
    ];
    for (note, wanted) in tells {
        assert_eq!(events.transition(&note), wanted, "{note:?}");
    }
}

#[test]
fn after_a_reload_the_new_hook_is_told_and_given_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = events(folder.path(), "exit 3", 30);
    assert_eq!(events.patience(), Duration::from_secs(30));
    let mut config = with_hook(folder.path(), "test \"$RC_NODE_NAME\" = b", 31);
    config.node_name = "b".to_owned();
    events.follow(&config);
    assert_eq!(events.patience(), Duration::from_secs(31));
    events.note(&Note::info("back", ""));
    told(&events);
    assert_eq!((count(&events, "passed"), count(&events, "failed")), (1, 0));
    config.event_hook = None;
    events.follow(&config);
    assert_eq!(events.patience(), Duration::ZERO);
    events.note(&Note::info("back", ""));
    told(&events);
    assert_eq!(count(&events, "passed"), 1);
}

#[test]
fn a_hook_that_fails_is_said_once_with_its_last_line() {
    let mut lab = Lab::new();
    listen(&mut lab, LevelFilter::Warn);
    let folder = tempfile::tempdir().unwrap();
    let mut events = events(
        folder.path(),
        "echo one >&2; echo why-this >&2; echo >&2; exit 3",
        30,
    );
    for _ in 0..2 {
        events.note(&Note::info("back", ""));
        told(&events);
    }
    // Other hooks may fail at the same time.
    let said = heard_of("event_hook_failed").into_iter();
    let ours = said.filter(|words| words.contains("exit code 3: why-this;"));
    assert_eq!(ours.count(), 1);
    hush();
}

#[test]
fn a_hook_that_hangs_holds_up_nobody_and_the_oldest_events_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let hook = format!("touch {}; sleep 600", started.display());
    let mut events = events(folder.path(), &hook, 600);
    let began = Instant::now();
    for _ in 0..100 {
        events.note(&Note::info("back", ""));
    }
    assert!(began.elapsed() < Duration::from_secs(30));
    let waiting = lock(&events.queue.waiting).runs.len();
    assert!(waiting <= WAITING, "{waiting}");
    let dropped = count(&events, "dropped");
    assert!(
        (100 - WAITING - 1..=100 - WAITING).contains(&dropped),
        "{dropped}"
    );
    assert!(!events.is_idle_within(Duration::ZERO));
    events.stop();
    told(&events);
}

#[test]
fn a_hook_that_fails_is_counted_by_how() {
    let folder = tempfile::tempdir().unwrap();
    let mut failing = events(folder.path(), "exit 3", 30);
    for _ in 0..3 {
        failing.note(&Note::info("back", ""));
    }
    told(&failing);
    assert_eq!(count(&failing, "failed"), 3);
    let mut slow = events(folder.path(), "sleep 600", 1);
    slow.note(&Note::info("back", ""));
    told(&slow);
    assert_eq!(count(&slow, "timed_out"), 1);
    // Whoever can change what is run must not become root by it, though nobody could when the file was read.
    let hook = folder.path().join("hook");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(hook, mode).unwrap();
    slow.note(&Note::info("back", ""));
    told(&slow);
    assert_eq!(count(&slow, "not_started"), 1);
}
