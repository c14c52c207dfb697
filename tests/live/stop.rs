//! SIGTERM, SIGINT and SIGHUP, in every state.

use std::net::TcpListener;
use std::time::Duration;

use etcd_test_server::{Action, Cluster, Gate, Proxy};
use rustix::process::Signal;

use crate::host::{Host, wait};
use crate::store::{Store, first_commit, is_commit};

/// The promise, with room for a machine that runs many tests at once.
const SECOND: Duration = Duration::from_millis(1500);

fn stop(host: &mut Host) {
    let took = host.stop();
    assert!(took < SECOND, "took {took:?}; log:\n{}", host.log());
}

#[test]
fn idle() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with("check_interval_sec", "60");
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    stop(&mut host);
}

#[test]
fn in_each_uncommitted_state_the_claim_is_given_up() {
    let (cluster, store) = Store::single();
    for step in ["pre-lock", "post-lock"] {
        let mut host = Host::new("node-a", &cluster.endpoints());
        host.touch(&format!("block-{step}"));
        host.start();
        host.wait_reached(step);
        stop(&mut host);
        assert_eq!(store.claims(), Vec::<String>::new(), "{step}");
    }
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_event("queued");
    // A lease whose grant is on its way may come after what revokes it, and ends by itself.
    store.wait("the report", || store.get("/rc/alive/node-a").is_some());
    host.signal(Signal::INT);
    assert_eq!(host.wait_exit().code(), Some(0));
    assert_eq!(store.claims(), ["other"]);
    assert!(
        cluster
            .etcdctl(&["lease", "list"])
            .contains("found 0 leases")
    );
}

#[test]
fn with_a_commit_on_its_way_that_then_cannot_succeed() {
    let (cluster, store) = Store::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    let mut host = Host::new("node-a", &[proxy.url()]);
    host.start();
    assert!(wait(|| proxy.requests().iter().any(is_commit)));
    stop(&mut host);
    store.wait_gone("node-a");
    gate.open();
    proxy.wait_released(1, crate::host::LIMIT);
    assert_eq!(store.claims(), Vec::<String>::new());
}

#[test]
fn while_etcd_does_not_answer() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_event("queued");
    cluster.pause(0);
    stop(&mut host);
    cluster.resume(0);
}

/// Place and report are gone with the process, and not a TTL later: the last word goes past a member that swallows it, one that has
/// done so from the start as well as one that falls silent while the node waits.
#[test]
fn queued_behind_a_first_endpoint_that_is_silent() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::new(cluster.client_address(0));
    for first in [
        format!("http://{}", nobody.local_addr().unwrap()),
        proxy.url(),
    ] {
        let endpoints = [vec![first], cluster.endpoints()].concat();
        let mut host = Host::new("node-a", &endpoints).with("health_publish_interval_sec", "1");
        host.start();
        host.wait_event("queued");
        store.wait("the report", || store.list("/rc/alive/").len() == 1);
        proxy.freeze();
        stop(&mut host);
        assert_eq!(store.claims(), ["other"]);
        assert_eq!(store.list("/rc/alive/"), []);
    }
}

#[test]
fn in_each_committed_state_the_claim_stays_and_the_next_start_goes_on() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    stop(&mut host);
    assert_eq!(store.phase("node-a").as_deref(), Some("draining"));
    host.remove("block-drain");
    host.touch("block-reboot");
    host.start();
    host.wait_reached("reboot");
    stop(&mut host);
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    // The command is left alone: once it is let go, it ends by itself.
    host.remove("block-reboot");
    host.remove("required");
    host.next_boot();
    host.touch("block-undo");
    host.start();
    host.wait_reached("undo");
    stop(&mut host);
    assert_eq!(store.phase("node-a").as_deref(), Some("verifying"));
    host.remove("block-undo");
    host.touch("block-post-boot");
    host.start();
    host.wait_reached("post-boot");
    stop(&mut host);
    host.remove("block-post-boot");
    host.start();
    host.wait_event("released");
    assert_eq!(host.reboots(), 1);
}

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    host.set("check_interval_sec", "-1");
    host.write_config();
    host.signal(Signal::HUP);
    let refused = host.wait_event("configuration");
    assert!(
        refused["msg"]
            .as_str()
            .unwrap()
            .contains("check_interval_sec"),
        "{refused}"
    );
    host.wait_event("reload_refused");
    host.set("check_interval_sec", "0.1");
    let marker = host.path("other-marker").display().to_string();
    host.set(
        "reboot_required_detectors",
        &format!("[{{type: file, path: {marker:?}}}]"),
    );
    host.write_config();
    host.signal(Signal::HUP);
    host.wait_event("reloaded");
    host.touch("other-marker");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// After the boot the node would look for its claim elsewhere, or not at all: the line would stop, and the drain never be undone.
#[test]
fn a_claim_that_the_next_start_would_not_find_is_not_committed() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("post-lock");
    host.set("lock_key", "/elsewhere");
    host.write_config();
    host.remove("block-post-lock");
    let blocked = host.wait_blocked("configuration");
    let said = blocked["msg"].as_str().unwrap();
    assert!(
        said.contains("lock_key") && said.contains("/elsewhere"),
        "{blocked}"
    );
    store.wait_gone("node-a");
    host.set("lock_key", "-");
    host.write_config();
    host.wait_until("the problem", || host.log().contains("config.yaml:"));
    assert!(!host.has_event("committed"), "{}", host.log());
    // What it shall be, once the daemon goes by it.
    host.set("lock_key", "/elsewhere");
    host.write_config();
    host.signal(Signal::HUP);
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(
        host.actions().iter().filter(|act| *act == "drain").count(),
        1
    );
    assert_eq!(store.claims(), Vec::<String>::new());
    host.reboot();
    host.wait_event("released");
}
