//! A proxy that sends every request twice and hands over the second answer.

use std::time::Duration;

use etcd_test_server::{Action, Cluster, Proxy, Rule};

use crate::host::Host;
use crate::store::Store;

fn doubling(cluster: &Cluster) -> Proxy {
    let proxy = Proxy::new(cluster.client_address(0));
    proxy.rule(Rule {
        matches: Box::new(|request| !request.contains("/v3/watch")),
        action: Action::Double,
        times: None,
    });
    proxy
}

#[test]
fn a_node_behind_it_reports_reboots_and_gives_its_claim_back() {
    let (cluster, store) = Store::single();
    let proxy = doubling(&cluster);
    let mut host = Host::new("node-a", &[proxy.url()])
        .with("min_reboot_interval_sec", "30")
        .with("health_publish_interval_sec", "0.2")
        .with_hooks();
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.claims(), Vec::<String>::new());
    assert_eq!(store.outcomes("node-a"), ["completed"]);
    host.wait_until("the report", || store.get("/rc/alive/node-a").is_some());
    // Two processes had a lease for their reports each, and one for a place, the history and the cooldown.
    let granted = proxy.count("/v3/lease/grant");
    assert!(granted <= 6, "{granted} leases were asked for");
}

#[test]
fn an_operator_behind_it_can_pause_and_release() {
    let (cluster, store) = Store::single();
    let proxy = doubling(&cluster);
    store.claim_of_another("other");
    let host = Host::new("node-a", &[proxy.url()]);
    for arguments in [
        ["pause", "--for", "1h", "--reason", "x"].as_slice(),
        &["release", "other", "--reason", "x", "--yes"],
        &["resume"],
    ] {
        let output = host.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert_eq!(store.claims(), Vec::<String>::new());
    assert_eq!(store.outcomes("other"), ["released"]);
}

/// The client asks the next endpoint when the first is silent for long, and finds its own earlier grant there.
#[test]
fn a_node_whose_grants_are_answered_late_by_every_endpoint_reboots_all_the_same() {
    let cluster = Cluster::single();
    let slow = || {
        let proxy = Proxy::new(cluster.client_address(0));
        let late = Action::Hold(Duration::from_millis(1400));
        proxy.rule(Rule::on("/v3/lease/grant", late));
        proxy
    };
    let proxies = [slow(), slow()];
    let endpoints = proxies.each_ref().map(Proxy::url);
    let mut host = Host::new("node-a", &endpoints).with("etcd_timeout_sec", "5");
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.reboot();
    host.wait_event("released");
}
