//! Records of releases that wrote the machine id itself, where this one writes an id made of it.

use etcd_test_server::Cluster;
use serde_json::json;

use crate::host::Host;
use crate::store::{Store, claim};

/// A machine id, and what this release makes of it.
const MACHINE: &str = "0123456789abcdef0123456789abcdef";
const MADE: &str = "fcc73eb3b76a4e28a0c80e1b1fc245f4";
/// Another machine's.
const OTHER: &str = "3d1219c7c4c5404aaa1f6d2a48adfda4";

/// A host that writes its machine id, as one of an older release.
fn older(cluster: &Cluster) -> Host {
    Host::new("node-a", &cluster.endpoints())
        .with("node_id", MACHINE)
        .with("health_publish_interval_sec", "0.2")
}

#[test]
fn a_reboot_that_an_older_release_began_is_ended() {
    let (cluster, store) = Store::single();
    let mut host = older(&cluster);
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(store.claim("node-a").unwrap()["node_id"], MACHINE);
    host.set("node_id", MADE);
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.outcomes("node-a"), ["completed"]);
    for key in ["/rc/nodes/node-a", "/rc/alive/node-a"] {
        store.wait("the new id", || {
            store
                .get(key)
                .is_some_and(|record| record["node_id"] == MADE)
        });
    }
    assert_eq!(host.reboots(), 1);
}

#[test]
fn a_place_and_a_report_of_an_older_release_are_its_own() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = older(&cluster);
    host.start();
    host.wait_event("queued");
    store.wait("the report", || store.get("/rc/alive/node-a").is_some());
    let since = store.claim("node-a").unwrap()["since"].clone();
    host.kill();
    host.set("node_id", MADE);
    host.start();
    host.wait_event("queued");
    assert_eq!(
        store.claim("node-a").unwrap()["since"],
        since,
        "the same place"
    );
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// And the other way round: an older release that finds an id made of another machine's, or of none that it knows, keeps off.
#[test]
fn the_machine_id_of_another_machine_is_a_stranger_s_in_every_spelling() {
    for (written, own) in [(OTHER, MADE), (MADE, OTHER), (MACHINE, OTHER)] {
        let (cluster, store) = Store::single();
        let mut theirs = claim("node-a", "rebooting");
        theirs["node_id"] = json!(written);
        store.put("/rc/claims/node-a", &theirs);
        let mut host = Host::new("node-a", &cluster.endpoints()).with("node_id", own);
        host.start();
        assert_eq!(host.wait_exit().code(), Some(2), "{}", host.log());
        assert!(host.has_event("name_taken"));
        assert_eq!(store.claim("node-a"), Some(theirs));
        assert_eq!(host.reboots(), 0);
    }
}
