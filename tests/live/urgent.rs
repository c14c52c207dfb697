//! Urgent requests with a real etcd: what they pass, what they do not, and that etcd ends them.

use etcd_rs_sync::{Client, Etcd as _, Options, Put, Request};
use etcd_test_server::Cluster;
use serde_json::json;

use crate::host::{Host, boot_id};
use crate::store::Store;

/// Outside of its window at any time.
fn closed(cluster: &Cluster) -> Host {
    Host::new("node-a", &cluster.endpoints())
        .with("windows", "{timezone: UTC, deny: [\"* 00:00-24:00\"]}")
}

fn operator(host: &Host, arguments: &[&str]) -> String {
    let output = host.command(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const URGE: [&str; 5] = [
    "request",
    "node-a",
    "--urgent",
    "--reason",
    "it drops packets",
];

/// Writes a record under a lease of its own.
fn leased(cluster: &Cluster, key: &str, value: &serde_json::Value, ttl_sec: i64) {
    let client = Client::new(Options::new(cluster.endpoints())).unwrap();
    let id = 1000 + ttl_sec;
    client.call(&Request::Grant { id, ttl_sec }).unwrap();
    client.put(Put::new(key, value.to_string(), id)).unwrap();
}

fn cool(cluster: &Cluster) {
    let cooldown = json!({"v": 1, "node": "node-b", "since": "noon", "until": "one"});
    leased(cluster, "/rc/cooldown", &cooldown, 3600);
}

#[test]
fn it_passes_a_closed_window_and_a_cooldown_and_the_history_says_which() {
    let (cluster, store) = Store::single();
    let mut host = closed(&cluster);
    cool(&cluster);
    host.start();
    host.wait_blocked("window");
    operator(&host, &URGE);
    host.wait_until("the reboot command", || host.reboots() == 1);
    let committed = host.wait_event("committed");
    assert_eq!(committed["passed"], "cooldown, window");
    assert!(store.get("/rc/cooldown").is_some(), "it stood all the time");
    host.remove("required");
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.get("/rc/requests/node-a"), None);
    let entry = store.list("/rc/history/").pop().unwrap().1;
    assert_eq!(entry["passed"], json!(["cooldown", "window"]));
    let history = operator(&host, &["history"]).replace('\n', " ");
    let history = history.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "urgently requested by",
        "; past the cooldown and the window",
    ] {
        assert!(history.contains(words), "{history}");
    }
}

#[test]
fn a_pause_holds_it_back_and_etcd_ends_it() {
    let (cluster, store) = Store::single();
    let mut host = closed(&cluster);
    host.remove("required");
    cool(&cluster);
    operator(&host, &["pause", "--reason", "the network"]);
    host.start();
    host.wait_event("not_required");
    let request = json!({
        "v": 1, "node": "node-a", "by": "eva@admin", "reason": "it drops packets", "since": "noon",
        "urgent_until": "soon",
    });
    leased(&cluster, "/rc/requests/node-a", &request, 8);
    host.wait_blocked("paused");
    let noted = store.get("/rc/requests/node-a").unwrap();
    assert_eq!(noted["boot_id"], boot_id("node-a", 1));
    store.wait("the end of the request", || {
        store.get("/rc/requests/node-a").is_none()
    });
    operator(&host, &["resume"]);
    store.wait("its word that nothing is required", || {
        let standing = store.get("/rc/standing/node-a");
        standing.is_some_and(|standing| standing["required"].is_null())
    });
    assert_eq!(host.reboots(), 0);
    // The same, when it is made for longer: the pause was all that held it back.
    operator(&host, &URGE);
    host.wait_until("the reboot command", || host.reboots() == 1);
}
