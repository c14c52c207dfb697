//! Detectors, scripts and commands as tasks of the daemon: run, cancelled, and answered once.

use std::sync::mpsc::sync_channel;

use super::super::inbox::Event;
use super::*;
use crate::config::DetectorKind;
use crate::core::Mode;

/// The host may be suspended between the machine's decision and the thread that acts on it.
#[test]
fn a_drain_is_not_started_when_its_permit_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (file, drained) = (
        folder.path().join("config.yaml"),
        folder.path().join("drained"),
    );
    let text = format!(
        "node_name: a
lock_key: /rc
etcd_endpoints: [\"http://127.0.0.1:1\"]
reboot_required_detectors: [{{name: f, type: file, path: /f}}]
health_script: /bin/true
pre_reboot_hook: {{command: [/bin/touch, {}]}}
",
        drained.display()
    );
    std::fs::write(&file, text).unwrap();
    let config = config::load(&file).unwrap().config;
    let (sender, events) = sync_channel(1);
    let inbox = Inbox(sender);
    let clock = Clock::started_ago(Duration::from_secs(600));
    let metrics = Arc::new(Metrics::new("1", "abc", ["f"]));
    let start = Start {
        path: file,
        mode: Mode::Daemon,
        dry_run: false,
    };
    let tasks = Tasks::new((&config, &start), inbox, clock, metrics);
    let now = clock.now().mono;
    let seconds = Duration::from_secs;
    // The last has the time that a thread takes to start.
    for (until, runs) in [
        (now - seconds(2), false),
        (now, true),
        (now + seconds(30), true),
    ] {
        let _ = std::fs::remove_file(&drained); // of the one before
        let none = tasks.hook(Ticket(1), Hook::Drain { until }, &ScriptFacts::default());
        assert!(none.is_none());
        let Ok(Event::Machine(Input::Script(_, report))) = events.recv() else {
            panic!("a script ends");
        };
        assert_eq!(report.outcome.success(), runs, "{report:?}");
        assert_eq!(drained.exists(), runs);
    }
}

#[test]
fn detectors_that_could_not_be_asked_have_failed_each() {
    let detectors = ["one", "two"].map(|name| Detector {
        name: name.to_owned(),
        timeout: Duration::ZERO,
        kind: DetectorKind::Kernel,
    });
    let reports = all_failed(&detectors, "no thread");
    let told = reports.iter().map(|it| (it.name.as_str(), &it.result));
    let failed = DetectorResult::Failed("no thread".to_owned());
    assert!(told.eq([("one", &failed), ("two", &failed)]));
}
