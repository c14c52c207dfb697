//! Failure domains: never more of a rack than its limit, and a rack that waits for itself holds up no other.

use etcd_test_server::Cluster;

use crate::host::Host;
use crate::store::Store;

fn host(cluster: &Cluster, name: &str, rack: &str) -> Host {
    Host::new(name, &cluster.endpoints())
        .with("max_concurrent_reboots", "2")
        .with("labels", &format!("{{rack: {rack}}}"))
        .with("limits", "{rack: 1}")
}

/// Those whose claim is committed.
fn down(store: &Store) -> Vec<String> {
    let claims = store.claims();
    let committed = |node: &String| store.phase(node).is_some_and(|phase| phase != "queued");
    claims.into_iter().filter(committed).collect()
}

#[test]
fn never_two_of_a_rack_are_down_and_a_rack_that_waits_for_itself_holds_up_no_other() {
    let (cluster, store) = Store::single();
    let racks = ["a", "a", "a", "b", "b"];
    let names = ["a1", "a2", "a3", "b1", "b2"];
    let mut hosts: Vec<Host> = names
        .iter()
        .zip(racks)
        .map(|(name, rack)| host(&cluster, name, rack))
        .collect();
    for host in &mut hosts {
        host.start();
        host.wait_event("queued");
    }
    // b1 passes a2 and a3, which wait for a1; b2 waits for b1.
    let pairs = [["a1", "b1"], ["a2", "b2"]];
    for pair in pairs {
        for name in pair {
            let place = names.iter().position(|it| *it == name).unwrap();
            hosts[place].wait_until("the reboot command", || hosts[place].reboots() == 1);
        }
        assert_eq!(down(&store), pair);
        let explained = hosts[2].command(&["explain", "a3"]).output().unwrap();
        let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
        assert!(
            explained.contains("rack a is full (1 at a time)"),
            "{explained}"
        );
        let status = hosts[2].command(&["status"]).output().unwrap();
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        let full = format!("rack a: full: {} is down", pair[0]);
        assert!(status.contains(&full), "{status}");
        for name in pair {
            let place = names.iter().position(|it| *it == name).unwrap();
            hosts[place].reboot();
            hosts[place].wait_event("released");
        }
    }
    hosts[2].wait_until("the reboot command", || hosts[2].reboots() == 1);
    assert_eq!(down(&store), ["a3"]);
    let rebooted: Vec<usize> = hosts.iter().map(Host::reboots).collect();
    assert_eq!(rebooted, [1; 5]);
    assert_eq!(hosts[0].history_proves(), ("kept".to_owned(), 5, vec![]));
}

/// A claim of a version that knows no labels counts against every rack.
#[test]
fn a_claim_that_says_no_rack_holds_up_every_rack() {
    let (cluster, store) = Store::single();
    let mut old = Host::new("old", &cluster.endpoints()).with("max_concurrent_reboots", "2");
    old.start();
    old.wait_until("the reboot command", || old.reboots() == 1);
    let mut first = host(&cluster, "first", "a");
    first.start();
    first.wait_event("queued");
    let explained = first.command(&["explain", "first"]).output().unwrap();
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("rack a is full (1 at a time): old before it"),
        "{explained}"
    );
    assert_eq!(down(&store), ["old"]);
    old.reboot();
    old.wait_event("released");
    first.wait_until("the reboot command", || first.reboots() == 1);
}

/// What a claim says of its rack stays: after a reload with another one the node joins again, at the end.
#[test]
fn a_node_that_is_moved_while_it_waits_joins_again() {
    let (cluster, store) = Store::single();
    let (mut first, mut moves) = (host(&cluster, "first", "a"), host(&cluster, "moves", "a"));
    first.start();
    first.wait_until("the reboot command", || first.reboots() == 1);
    moves.start();
    moves.wait_event("queued");
    let rack = || {
        store
            .get("/rc/claims/moves")
            .map(|it| it["labels"]["rack"].clone())
    };
    assert_eq!(rack(), Some("a".into()));
    moves.set("labels", "{rack: b}");
    moves.reload();
    moves.wait_until("the reboot command", || moves.reboots() == 1);
    assert_eq!(rack(), Some("b".into()));
    assert_eq!(down(&store), ["first", "moves"]);
}
