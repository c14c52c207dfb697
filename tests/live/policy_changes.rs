//! Policies while the cluster changes: members that die, come back and are forgotten; and a policy that turns false when a node
//! waits already, has its turn, or has sent its commit.

use etcd_test_server::{Action, Cluster, Gate, Proxy};

use crate::host::Host;
use crate::policies::{healthy, members};
use crate::store::{Store, first_commit, is_commit};

const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn goes(host: &Host) {
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// Waits until the detectors have run a few more times: what is refused then is refused still.
fn several_passes(host: &Host) {
    let passes = || {
        let events = host.events();
        let asked = events.iter().filter(|line| line["detector"] == "marker");
        asked.count()
    };
    let seen = passes();
    host.wait_until("several passes", || passes() >= seen + 4);
}

fn dies(host: &mut Host, store: &Store) {
    host.kill();
    store.wait("the end of its report", || {
        healthy(store, &host.name).is_none()
    });
}

fn forget(host: &Host, node: &str) {
    let output = host.command(&["forget", node]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn four_of_six_must_stay_healthy() {
    let (cluster, store) = Store::single();
    let mut hosts = members(&cluster, &SIX, "{min_healthy_absolute: 4}");
    dies(&mut hosts[5], &store);
    hosts[0].touch("required");
    goes(&hosts[0]);
    hosts[0].reboot();
    hosts[0].wait_event("released");
    store.wait("its report", || healthy(&store, "a") == Some(true));
    dies(&mut hosts[4], &store);
    hosts[1].touch("required");
    let blocked = hosts[1].wait_blocked("policy");
    let text = blocked["msg"].as_str().unwrap();
    assert!(text.contains("3 of 6 members would stay healthy"), "{text}");
    for node in ["e", "f"] {
        forget(&hosts[0], node);
    }
    several_passes(&hosts[1]);
    assert_eq!(
        hosts[1].reboots(),
        0,
        "four is four, however many are known"
    );
    hosts[4].start();
    goes(&hosts[1]);
}

#[test]
fn six_tenths_must_stay_healthy_and_who_is_forgotten_does_not_count() {
    let (cluster, store) = Store::single();
    let mut hosts = members(&cluster, &SIX, "{min_healthy_fraction: 0.6}");
    dies(&mut hosts[4], &store);
    dies(&mut hosts[5], &store);
    hosts[0].touch("required");
    let blocked = hosts[0].wait_blocked("policy");
    let text = blocked["msg"].as_str().unwrap();
    assert!(text.contains("3 of 6 members would stay healthy"), "{text}");
    several_passes(&hosts[0]);
    assert_eq!(hosts[0].reboots(), 0);
    // Three of five is six tenths exactly.
    forget(&hosts[1], "e");
    goes(&hosts[0]);
    hosts[0].reboot();
    hosts[0].wait_event("released");
    // Three of four.
    forget(&hosts[1], "f");
    hosts[1].touch("required");
    goes(&hosts[1]);
}

/// Members of whom `a` may go as long as two others are healthy.
fn four(cluster: &Cluster) -> Vec<Host> {
    members(cluster, &["a", "b", "c", "d"], "{min_healthy_absolute: 2}")
}

fn two_fall_ill(hosts: &[Host], store: &Store) {
    for host in &hosts[2..] {
        host.touch("fail-monitor");
    }
    store.wait("two bad reports", || {
        hosts[2..]
            .iter()
            .all(|host| healthy(store, &host.name) == Some(false))
    });
}

fn two_recover(hosts: &[Host]) {
    for host in &hosts[2..] {
        host.remove("fail-monitor");
    }
}

#[test]
fn a_policy_that_turns_false_in_the_queue_refuses_at_the_turn() {
    let (cluster, store) = Store::single();
    let hosts = four(&cluster);
    store.claim_of_another("other");
    hosts[0].touch("required");
    hosts[0].wait_event("queued");
    two_fall_ill(&hosts, &store);
    store.delete("/rc/claims/other");
    hosts[0].wait_blocked("policy");
    store.wait_gone("a");
    several_passes(&hosts[0]);
    assert_eq!(hosts[0].reboots(), 0);
    two_recover(&hosts);
    goes(&hosts[0]);
}

#[test]
fn a_policy_that_turns_false_at_the_turn_refuses_before_the_commit() {
    let (cluster, store) = Store::single();
    let hosts = four(&cluster);
    hosts[0].touch("block-post-lock");
    hosts[0].touch("required");
    hosts[0].wait_reached("post-lock");
    assert_eq!(store.phase("a").as_deref(), Some("queued"));
    two_fall_ill(&hosts, &store);
    hosts[0].remove("block-post-lock");
    hosts[0].wait_blocked("policy");
    store.wait_gone("a");
    assert_eq!(hosts[0].reboots(), 0);
    two_recover(&hosts);
    goes(&hosts[0]);
}

#[test]
fn a_policy_that_turns_false_while_the_commit_travels_refuses_it() {
    let (cluster, store) = Store::single();
    let hosts = four(&cluster);
    let proxy = Proxy::new(cluster.client_address(0));
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    let mut late = Host::new("late", &[proxy.url()])
        .with("etcd_timeout_sec", "25")
        .with("health_publish_interval_sec", "0.2")
        .with("cluster_policies", "{min_healthy_absolute: 3}");
    late.start();
    late.wait_until("the commit", || proxy.requests().iter().any(is_commit));
    two_fall_ill(&hosts, &store);
    gate.open();
    late.wait_blocked("policy");
    assert!(!late.has_event("commit_unknown"), "{}", late.log());
    assert_eq!(late.reboots(), 0);
    two_recover(&hosts);
    goes(&late);
}
