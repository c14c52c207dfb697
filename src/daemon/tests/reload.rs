//! SIGHUP, in states and at moments.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use etcd_rs_sync::Request;

use super::super::inbox::Event;
use super::super::{Daemon, Reading, reload};
use super::etcd::Etcd;
use super::lab::{LIMIT, Lab, input, wait};
use super::pages::{free, get, served};
use super::with_another_script;
use crate::core::{Input, Mode, Ticket};

#[test]
fn a_waiting_node_decides_by_the_new_file() {
    let mut lab = Lab::new();
    lab.claim_of_another();
    lab.start();
    lab.wait_phase(Some("queued"));
    with_another_script(&mut lab);
    lab.set("dry_run", "true");
    lab.reload();
    lab.wait_step("2-detect");
    lab.etcd.delete("/rc/claims/other");
    lab.wait_step("2-post-lock");
    lab.wait_passes_of("2-detect", 3);
    assert_eq!(lab.count("drain") + lab.count("reboot"), 0);
    lab.stop();
    assert_eq!(lab.phase(), None);
}

#[test]
fn a_node_that_drains_reboots_by_the_command_of_the_new_file() {
    let mut lab = Lab::new();
    lab.touch("block-drain");
    lab.start();
    lab.wait_step("drain");
    lab.script("script-2", "2-");
    let script = format!("{:?}", lab.path("script-2").display().to_string());
    lab.set("health_script", &script);
    lab.set("reboot_command", &format!("[{script}, reboot]"));
    // It is in force once its page is served: before that, the end of the drain would be the old command's turn.
    let page = free();
    served(&mut lab, page);
    lab.reload();
    wait("the new file's page", || get(page, "/healthz"));
    // The gates were judged by the old file: its permit is void.
    let checks = lab.count("2-post-lock");
    lab.remove("block-drain");
    lab.wait_step("2-reboot");
    assert!(lab.count("2-post-lock") > checks);
    assert_eq!(lab.count("reboot"), 0);
    lab.stop();
}

#[test]
fn a_monitor_ends_when_another_begins_and_when_the_daemon_stops() {
    let mut lab = Lab::new();
    lab.remove("required");
    let pids = lab.path("pids");
    let script = format!("#!/bin/sh\necho $$ >> {}\nexec sleep 60\n", pids.display());
    fs::write(lab.path("script"), script).unwrap();
    lab.set("lock_ttl_sec", "60");
    lab.set("health_timeout_sec", "29");
    let begun = |many: usize| {
        wait("a monitor", || {
            let text = fs::read_to_string(&pids).unwrap_or_default();
            let of = |pid: &str| Path::new("/proc").join(pid);
            text.lines().nth(many - 1).map(of)
        })
    };
    lab.start();
    let first = begun(1);
    lab.set("max_concurrent_reboots", "2");
    lab.reload();
    let second = begun(2);
    wait("its end", || (!first.exists()).then_some(()));
    assert!(second.exists());
    lab.stop();
    assert!(!second.exists());
}

#[test]
fn mended_endpoints_are_used_before_etcd_ever_answered() {
    let mut lab = Lab::new();
    let good = format!("[{:?}]", lab.etcd.url());
    lab.set("etcd_endpoints", "[\"http://127.0.0.1:1\"]");
    lab.start();
    wait("the first look", || (lab.word() == "unknown").then_some(()));
    lab.set("etcd_endpoints", &good);
    lab.reload();
    lab.wait_step("reboot");
    lab.stop();
}

#[test]
fn a_signal_that_comes_while_the_file_is_read_makes_it_be_read_once_more() {
    let mut lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    daemon.read_again();
    assert!(daemon.reading == Reading::Once);
    lab.set("max_concurrent_reboots", "2");
    daemon.read_again();
    assert!(daemon.reading == Reading::Again);
    let read = |daemon: &mut Daemon| match events.recv_timeout(LIMIT) {
        Ok(Event::Configuration(found)) => daemon.on_configuration(found),
        _ => panic!("the file is read"),
    };
    read(&mut daemon);
    assert!(daemon.reading == Reading::Once);
    assert_eq!(daemon.config.max_concurrent_reboots, 1);
    read(&mut daemon);
    assert!(daemon.reading == Reading::No);
    assert_eq!(daemon.config.max_concurrent_reboots, 2);
}

#[test]
fn what_cannot_be_followed_leaves_everything_as_it_was() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    let before = daemon.config.clone();
    let file = lab.path("config.yaml");
    let good = fs::read_to_string(&file).unwrap();
    for bad in [
        "run_dir: /tmp/elsewhere\n",
        "boot_id_file: /nowhere\n",
        "lock_ttl_sec: 0\n",
        "[\n",
    ] {
        let name = bad.split(':').next().unwrap_or_default();
        let others = good.lines().filter(|line| !line.starts_with(name));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(&file, others + bad).unwrap();
        daemon.read_again();
        match events.recv_timeout(LIMIT) {
            Ok(Event::Configuration(found)) => daemon.on_configuration(found),
            _ => panic!("the file is read"),
        }
        assert!(daemon.config == before, "{bad}");
        assert!(daemon.reading == Reading::No);
    }
}

#[test]
fn one_pass_and_dry_run_stay_what_they_were_started_as() {
    let mut lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    daemon.start.dry_run = true;
    daemon.start.mode = Mode::Daemon;
    lab.set("max_concurrent_reboots", "2");
    daemon.read_again();
    match events.recv_timeout(LIMIT) {
        Ok(Event::Configuration(found)) => daemon.on_configuration(found),
        _ => panic!("the file is read"),
    }
    assert!(daemon.config.dry_run);
    assert_eq!(daemon.config.max_concurrent_reboots, 2);
}

#[test]
fn another_name_of_the_host_is_followed_and_nothing_else_without_a_signal() {
    let mut lab = Lab::new();
    let (config, mut start) = lab.loaded(Mode::Daemon, true);
    let renamed = |running: &str, written: &str| {
        let mut config = config.clone();
        (config.node_name, config.node_name_as_written) = (running.to_owned(), written.to_owned());
        config.dry_run = true;
        config
    };
    let same = renamed("a", "a");
    assert!(reload::of_host(&start, &same).is_none());
    let found = reload::of_host(&start, &renamed("localhost", "a")).expect("it has another name");
    assert_eq!(found.config.node_name, "a");
    assert_eq!(found.settings.node, "a");
    assert!(found.config.dry_run);
    // A name that is written otherwise waits for a signal, and so does whatever else there is in the file.
    assert!(reload::of_host(&start, &renamed("localhost", "localhost")).is_none());
    lab.set("max_concurrent_reboots", "2");
    assert!(reload::of_host(&start, &renamed("localhost", "a")).is_none());
    start.path = lab.path("nothing");
    assert!(reload::of_host(&start, &renamed("localhost", "a")).is_none());
}

#[test]
fn a_daemon_that_began_before_its_host_had_a_name_goes_by_the_right_one() {
    let mut lab = Lab::new();
    lab.remove("required");
    lab.start_named("localhost");
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    wait("the end of the other", || {
        lab.etcd.get("/rc/nodes/localhost").is_none().then_some(())
    });
    lab.touch("required");
    lab.wait_step("reboot");
    assert_eq!(lab.phase().as_deref(), Some("rebooting"));
    lab.stop();
}

#[test]
fn what_the_host_says_waits_for_a_file_that_is_being_read() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    daemon.read_again();
    let Ok(Event::Configuration(Some(found))) = events.recv_timeout(LIMIT) else {
        panic!("the file is read");
    };
    let mut found = *found;
    found.config.max_concurrent_reboots = 7;
    daemon.on_host(found);
    assert_eq!(daemon.config.max_concurrent_reboots, 1);
}

#[test]
fn a_node_without_a_committed_claim_goes_to_the_cluster_of_the_new_file() {
    let mut lab = Lab::new();
    lab.remove("required");
    lab.start();
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    let other = Etcd::start();
    lab.set("etcd_endpoints", &format!("[{:?}]", other.url()));
    lab.reload();
    wait("the registration there", || other.get("/rc/nodes/a"));
    lab.stop();
}

/// The answer of a request that was under way comes after the reload.
#[test]
fn an_endpoint_that_is_configured_no_more_does_not_come_back() {
    let mut lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    let (asked, is_asked) = channel();
    let (release, hangs) = channel::<()>();
    lab.etcd.before(move |_, _| {
        let _ = asked.send(());
        let _ = hangs.recv();
        true
    });
    let grant = Request::Grant { id: 7, ttl_sec: 60 };
    let lanes = &daemon.lanes;
    assert!(lanes.send(&lanes.main, Ticket(1), grant).is_none());
    is_asked.recv_timeout(LIMIT).unwrap();
    let other = Etcd::start();
    lab.set("etcd_endpoints", &format!("[{:?}]", other.url()));
    daemon.read_again();
    match events.recv_timeout(LIMIT) {
        Ok(Event::Configuration(found)) => daemon.on_configuration(found),
        _ => panic!("the file is read"),
    }
    drop(release);
    let answer = input(&events);
    assert!(matches!(answer, Input::Etcd(Ticket(1), _)), "{answer:?}");
    let metrics = daemon.observer.metrics().render();
    assert!(metrics.contains(other.url()), "{metrics}");
    assert!(!metrics.contains(lab.etcd.url()), "{metrics}");
    assert!(daemon.observer.shown.endpoints.shown().is_empty());
}

#[test]
fn a_drain_is_stopped_when_the_new_file_drains_otherwise() {
    let mut lab = Lab::new();
    lab.touch("block-drain");
    lab.start();
    lab.wait_step("drain");
    lab.script("script-2", "2-");
    let script = format!("{:?}", lab.path("script-2").display().to_string());
    let hook = format!("{{command: [{script}, drain], timeout_sec: 30}}");
    lab.set("pre_reboot_hook", &hook);
    lab.reload();
    // The first one would go on for as long as it is blocked.
    lab.wait_step("2-drain");
    lab.remove("block-drain");
    lab.wait_step("reboot");
    lab.stop();
}

#[test]
fn the_same_file_changes_nothing_of_a_node_that_keeps_no_claim() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    while daemon.machine.next_action().is_some() {}
    daemon.read_again();
    match events.recv_timeout(LIMIT) {
        Ok(Event::Configuration(found)) => daemon.on_configuration(found),
        _ => panic!("the file is read"),
    }
    let action = daemon.machine.next_action();
    assert!(action.is_none(), "{action:?}");
}

#[test]
fn the_same_file_makes_a_node_that_keeps_its_claim_try_again() {
    let mut lab = Lab::new();
    lab.set("reboot_timeout_sec", "0.5");
    lab.start();
    wait("that it is stuck", || {
        let said = fs::read_to_string(lab.path("run/standing.json")).ok()?;
        said.contains("in attempt 3 of 3").then_some(())
    });
    assert_eq!(lab.count("reboot"), 3);
    lab.reload();
    wait("another try", || (lab.count("reboot") > 3).then_some(()));
    lab.stop();
}
