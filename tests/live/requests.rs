//! Operators' requests, from the command to the release.

use etcd_test_server::Cluster;
use serde_json::json;

use crate::host::{Host, boot_id};
use crate::store::Store;

/// A host that requires nothing by itself.
fn idle(name: &str, cluster: &Cluster) -> Host {
    let host = Host::new(name, &cluster.endpoints());
    host.remove("required");
    host
}

/// Runs a command to its end; its output.
fn operator(host: &Host, arguments: &[&str]) -> String {
    let output = host.command(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn rebooted(host: &Host) {
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_request_reboots_an_idle_node_once_and_leaves_its_budget_whole() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    host.start();
    host.wait_event("not_required");
    for boot in 1..=2 {
        operator(&host, &["request", "node-a", "--reason", "new firmware"]);
        host.wait_until("the reboot command", || {
            host.reboots() == usize::try_from(boot).unwrap()
        });
        let noted = store.get("/rc/requests/node-a").unwrap();
        assert_eq!(noted["boot_id"], boot_id("node-a", boot));
        host.reboot();
        host.wait_event("released");
        assert_eq!(store.get("/rc/requests/node-a"), None);
        assert_eq!(store.get("/rc/nodes/node-a").unwrap()["budget_used"], 0);
    }
    host.wait_event("not_required");
    assert_eq!(host.reboots(), 2);
    assert!(!host.has_event("not_cleared"));
    let last = store.list("/rc/history/").pop().unwrap().1;
    let reason = last["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("requested by ") && reason.ends_with(": new firmware"),
        "{last}"
    );
}

#[test]
fn a_node_that_looks_for_requests_writes_nothing() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster).with("health_publish_interval_sec", "0.2");
    host.start();
    host.wait_event("not_required");
    store.wait("the report and the standing", || {
        let kinds = ["alive", "standing"];
        kinds
            .iter()
            .all(|kind| store.get(&format!("/rc/{kind}/node-a")).is_some())
    });
    let before = store.revision();
    let checked = |host: &Host| {
        let events = host.events();
        let looked = events
            .iter()
            .filter(|line| line["event"] == "detector" && line["detector"] == "etcd");
        looked.count()
    };
    let seen = checked(&host);
    host.wait_until("more looks", || checked(&host) > seen + 5);
    assert_eq!(store.revision(), before);
}

#[test]
fn a_request_passes_the_same_gates_and_can_be_withdrawn() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    host.touch("disable");
    host.start();
    host.wait_event("not_required");
    operator(&host, &["request", "--all"]);
    host.wait_blocked("kill_switch");
    operator(&host, &["request", "--cancel", "node-a"]);
    host.remove("disable");
    store.wait("its word that nothing is required", || {
        let standing = store.get("/rc/standing/node-a");
        standing.is_some_and(|standing| standing["required"].is_null())
    });
    let revision = store.revision();
    let passes = |host: &Host| {
        let events = host.events();
        let clear = events.iter().filter(|line| line["result"] == "clear");
        clear.count()
    };
    let seen = passes(&host);
    host.wait_until("more passes", || passes(&host) > seen + 3);
    assert_eq!((host.reboots(), store.revision()), (0, revision));
}

#[test]
fn a_request_that_is_withdrawn_at_the_turn_is_not_committed() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    host.touch("block-post-lock");
    host.start();
    operator(&host, &["request", "node-a"]);
    // Its last look at the request is behind it, and only the health script is between it and the read.
    host.wait_reached("post-lock");
    operator(&host, &["request", "--cancel", "node-a"]);
    host.remove("block-post-lock");
    store.wait_gone("node-a");
    host.wait_until("two passes without it", || {
        let events = host.events();
        events.iter().filter(|e| e["result"] == "clear").count() >= 2
    });
    assert_eq!(host.reboots(), 0);
}

#[test]
fn a_boot_of_another_cause_satisfies_a_request() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    host.touch("disable");
    host.start();
    operator(&host, &["request", "node-a"]);
    host.wait_blocked("kill_switch");
    host.kill();
    host.next_boot();
    host.remove("disable");
    host.start();
    host.wait_event("request_done");
    assert_eq!(store.get("/rc/requests/node-a"), None);
    host.wait_event("not_required");
    assert_eq!(host.reboots(), 0);
}

#[test]
fn a_request_made_while_the_node_reboots_is_for_the_next_boot() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    rebooted(&host);
    let said = operator(&host, &["request", "node-a"]);
    assert!(said.contains("it reboots once more after that"), "{said}");
    host.reboot();
    host.wait_until("the second reboot", || host.reboots() == 2);
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.get("/rc/requests/node-a"), None);
}

#[test]
fn requests_for_all_reboot_each_node_once_one_after_the_other() {
    let (cluster, store) = Store::single();
    let mut hosts: Vec<Host> = ["a", "b", "c"].map(|name| idle(name, &cluster)).into();
    for host in &mut hosts {
        host.start();
        host.wait_event("not_required");
    }
    let said = operator(&hosts[0], &["request", "--all"]);
    assert!(
        said.starts_with("requested a reboot of a, b, c\n"),
        "{said}"
    );
    let again = operator(&hosts[0], &["request", "--all"]);
    assert!(again.starts_with("requested already"), "{again}");
    for _ in 0..3 {
        store.wait("a reboot", || hosts.iter().any(|host| down(&store, host)));
        let next = hosts.iter().position(|host| down(&store, host)).unwrap();
        rebooted(&hosts[next]);
        let others = store.claims().len();
        assert!(others >= 1);
        hosts[next].reboot();
        hosts[next].wait_event("released");
    }
    assert!(hosts.iter().all(|host| host.reboots() == 1));
    assert_eq!(store.list("/rc/requests/"), []);
}

fn down(store: &Store, host: &Host) -> bool {
    store.phase(&host.name).as_deref() == Some("rebooting")
}

#[test]
fn without_etcd_the_detector_is_unknown_and_says_so_once() {
    let cluster = Cluster::single();
    let mut host = idle("node-a", &cluster).with("health_publish_interval_sec", "60");
    host.start();
    host.wait_event("not_required");
    cluster.stop(0);
    let failed = host.wait_event("detector_failed");
    assert_eq!(failed["detector"], "etcd");
    host.wait_blocked("etcd");
    let failures = |host: &Host| {
        let events = host.events();
        let failed = events.iter().filter(|line| line["result"] == "failed");
        failed.count()
    };
    host.wait_until("more failures", || failures(&host) >= 5);
    let said = |event: &str| host.events().iter().filter(|e| e["event"] == event).count();
    // The outcome changes after the first failure, and after a change what is said is news again.
    assert!(said("detector_failed") <= 2, "{}", host.log());
    assert_eq!(said("blocked"), 1);
    // What the host's own detectors say is not affected: it goes as far as it can without etcd.
    host.touch("required");
    host.wait_blocked("etcd");
    host.remove("required");
    cluster.start(0);
    cluster.wait_healthy(0);
    operator(&host, &["request", "node-a"]);
    rebooted(&host);
}

#[test]
fn a_request_that_cannot_be_read_is_an_error_and_does_not_veto() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    store.put("/rc/requests/node-a", &json!({"v": 2}));
    host.start_with(&["run", "--once"]);
    assert_eq!(host.wait_exit().code(), Some(6), "{}", host.log());
    host.touch("required");
    host.start();
    rebooted(&host);
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.get("/rc/requests/node-a"), Some(json!({"v": 2})));
    assert_eq!(host.reboots(), 1);
}

#[test]
fn once_serves_a_request_too() {
    let (cluster, store) = Store::single();
    let mut host = idle("node-a", &cluster);
    operator(&host, &["request", "node-a"]);
    host.start_with(&["run", "--once"]);
    assert_eq!(host.wait_exit().code(), Some(0), "{}", host.log());
    assert_eq!(host.reboots(), 1);
    host.next_boot();
    for _ in 0..2 {
        host.start_with(&["run", "--once"]);
        assert_eq!(host.wait_exit().code(), Some(0), "{}", host.log());
    }
    assert_eq!(host.reboots(), 1);
    assert_eq!(store.list("/rc/requests/"), []);
}
