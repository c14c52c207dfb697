//! Health reports and the policies that are judged on them.

use etcd_test_server::Cluster;

use crate::host::Host;
use crate::store::Store;

/// Members that need no reboot and report their health every moment, with these policies.
pub(crate) fn members(cluster: &Cluster, names: &[&str], policies: &str) -> Vec<Host> {
    let member = |name: &&str| {
        let mut host = Host::new(name, &cluster.endpoints())
            .with("lock_ttl_sec", "2.5")
            .with("health_timeout_sec", "1.5")
            .with("health_publish_interval_sec", "0.2")
            .with("cluster_policies", policies);
        host.remove("required");
        host.start();
        host.wait_event("healthy");
        host
    };
    names.iter().map(member).collect()
}

pub(crate) fn healthy(store: &Store, node: &str) -> Option<bool> {
    store.get(&format!("/rc/alive/{node}"))?["healthy"].as_bool()
}

#[test]
fn a_report_is_written_when_it_changes_and_goes_away_with_its_node() {
    let (cluster, store) = Store::single();
    let mut hosts = members(&cluster, &["a", "b"], "{min_healthy_absolute: 1}");
    store.wait("both reports and standings", || {
        ["a", "b"].iter().all(|node| {
            let standing = store.get(&format!("/rc/standing/{node}"));
            healthy(&store, node) == Some(true) && standing.is_some()
        })
    });
    let before = store.revision();
    let seen = hosts[0].monitored();
    hosts[0].wait_until("more checks", || hosts[0].monitored() > seen + 5);
    assert_eq!(
        store.revision(),
        before,
        "an unchanged report is not written"
    );
    hosts[0].touch("fail-monitor");
    store.wait("the bad report", || healthy(&store, "a") == Some(false));
    hosts[0].remove("fail-monitor");
    store.wait("the good report", || healthy(&store, "a") == Some(true));
    // Killed, it goes with its lease; stopped, at once.
    hosts[0].kill();
    store.wait("the end of the report", || healthy(&store, "a").is_none());
    hosts[1].stop();
    assert_eq!(healthy(&store, "b"), None);
}

#[test]
fn too_few_healthy_members_refuse_and_enough_allow() {
    let (cluster, store) = Store::single();
    let mut hosts = members(&cluster, &["a", "b", "c", "d"], "{min_healthy_absolute: 2}");
    hosts[3].kill();
    hosts[2].touch("fail-monitor");
    store.wait("the bad reports", || {
        healthy(&store, "c") == Some(false) && healthy(&store, "d").is_none()
    });
    hosts[0].touch("required");
    let blocked = hosts[0].wait_blocked("policy");
    let text = blocked["msg"].as_str().unwrap();
    assert!(text.contains("1 of 4 members would stay healthy"), "{text}");
    assert_eq!(hosts[0].reboots(), 0);
    hosts[2].remove("fail-monitor");
    let host = &hosts[0];
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_member_that_is_gone_counts_until_it_is_forgotten() {
    let (cluster, store) = Store::single();
    let policies = "{min_healthy_fraction: 0.6}";
    let mut hosts = members(&cluster, &["a", "b", "c"], policies);
    hosts[2].kill();
    store.wait("the end of the report", || healthy(&store, "c").is_none());
    hosts[0].touch("required");
    hosts[0].wait_blocked("policy");
    store.delete("/rc/nodes/c");
    // One of two would stay, which is still too few; then a third comes.
    let another = members(&cluster, &["d"], policies);
    let host = &hosts[0];
    host.wait_until("the reboot command", || host.reboots() == 1);
    drop(another);
}

#[test]
fn three_may_hold_turns_but_the_policy_lets_only_two_go_down() {
    let (cluster, store) = Store::single();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut hosts: Vec<Host> = names
        .iter()
        .map(|name| {
            let mut host = Host::new(name, &cluster.endpoints())
                .with("health_publish_interval_sec", "0.2")
                .with("max_concurrent_reboots", "3")
                .with("cluster_policies", "{min_healthy_absolute: 4}");
            host.remove("required");
            host.start();
            host.wait_event("healthy");
            host
        })
        .collect();
    store.wait("all reports", || {
        store.list("/rc/alive/").len() == names.len()
    });
    for host in &hosts {
        host.touch("required");
    }
    let down = |store: &Store| {
        let claims = store.list("/rc/claims/");
        let committed = claims
            .iter()
            .filter(|(_, claim)| claim["phase"] != "queued");
        committed
            .map(|(_, claim)| claim["node"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut done = Vec::new();
    while done.len() < names.len() {
        let wanted = 2.min(names.len() - done.len());
        store.wait("two to go down", || down(&store).len() >= wanted);
        let now_down = down(&store);
        assert!(now_down.len() <= 2, "{now_down:?}");
        let next = names.iter().position(|name| **name == now_down[0]).unwrap();
        hosts[next].wait_until("the reboot command", || hosts[next].reboots() == 1);
        hosts[next].reboot();
        hosts[next].wait_event("released");
        done.push(next);
    }
    assert!(hosts.iter().all(|host| host.reboots() == 1));
}

#[test]
fn the_last_node_that_is_no_fallback_does_not_go() {
    let cluster = Cluster::single();
    let policies = "{forbid_if_only_fallback_left: true, fallback_nodes: [f, g]}";
    let hosts = members(&cluster, &["a", "f", "g"], policies);
    hosts[0].touch("required");
    let blocked = hosts[0].wait_blocked("policy");
    assert!(
        blocked["msg"]
            .as_str()
            .unwrap()
            .contains("only fallback nodes"),
        "{blocked}"
    );
    hosts[1].touch("required");
    let fallback = &hosts[1];
    fallback.wait_until("the reboot command", || fallback.reboots() == 1);
    assert_eq!(hosts[0].reboots(), 0);
}
