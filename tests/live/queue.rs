//! One after the other, in order, and no more than the limit at once.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use etcd_test_server::{Action, Cluster, Proxy, Rule, Tls};

use crate::host::{Host, LIMIT, boot_id};
use crate::store::Store;

#[test]
fn a_node_reboots_once_comes_back_and_gives_its_claim_back() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start();
    host.wait_event("rebooting");
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    host.reboot();
    host.wait_event("released");
    assert_eq!(store.claims(), Vec::<String>::new());
    assert_eq!(store.outcomes("node-a"), ["completed"]);
    let node = store.get("/rc/nodes/node-a").unwrap();
    assert_eq!(node["last_reboot"]["boot_before"], boot_id("node-a", 1));
    assert_eq!(node["last_reboot"]["boot_after"], boot_id("node-a", 2));
    assert_eq!(node["budget_used"], 0);
    assert_eq!(
        host.actions(),
        [
            "pre-lock",
            "post-lock",
            "drain",
            "reboot",
            "undo",
            "post-boot"
        ]
    );
    host.wait_until("the marker file", || host.exists("run/completed.json"));
}

#[test]
fn no_more_than_the_limit_are_down_and_they_go_in_order() {
    for limit in 1..=3_usize {
        let (cluster, store) = Store::single();
        let mut hosts: Vec<Host> = (1..=5)
            .map(|n| {
                Host::new(&format!("node-{n}"), &cluster.endpoints())
                    .with("max_concurrent_reboots", &limit.to_string())
            })
            .collect();
        // In the queue one after the other, so that the order is known.
        for host in &mut hosts {
            host.start();
            host.wait_event("queued");
        }
        for down in 0..hosts.len() {
            let most = hosts.len().min(down + limit);
            for host in &hosts[down..most] {
                host.wait_until("the reboot command", || host.reboots() == 1);
            }
            for host in &hosts[most..] {
                assert_eq!(
                    host.reboots(),
                    0,
                    "{} of limit {limit} went too early",
                    host.name
                );
                assert_eq!(store.phase(&host.name).as_deref(), Some("queued"));
            }
            hosts[down].reboot();
            hosts[down].wait_event("released");
        }
        assert_eq!(store.claims(), Vec::<String>::new());
    }
}

#[test]
fn the_line_stops_behind_a_node_that_is_not_healthy_after_boot() {
    let (cluster, store) = Store::single();
    let mut first = Host::new("first", &cluster.endpoints());
    let mut second = Host::new("second", &cluster.endpoints());
    first.start();
    first.wait_until("the reboot command", || first.reboots() == 1);
    second.start();
    second.wait_event("queued");
    first.touch("fail-post-boot");
    first.reboot();
    first.wait_event("not_healthy");
    // It tries again, and the line still stands.
    first.wait_until("more tries", || {
        first.actions().iter().filter(|a| *a == "post-boot").count() >= 3
    });
    assert_eq!(store.phase("first").as_deref(), Some("verifying"));
    assert_eq!(second.reboots(), 0);
    first.remove("fail-post-boot");
    first.wait_event("released");
    second.wait_until("the reboot command", || second.reboots() == 1);
}

#[test]
fn a_claim_that_an_operator_deletes_frees_the_line() {
    let (cluster, store) = Store::single();
    store.claim_of_another("gone");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_event("queued");
    assert_eq!(host.reboots(), 0);
    store.delete("/rc/claims/gone");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_claim_held_for_too_long_is_taken_away_and_the_history_says_so() {
    let (cluster, store) = Store::single();
    store.claim_of_another("gone");
    // The claim does not say how long it may stand still, so that this node's own time counts.
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with("hold_timeout_sec", "1")
        .with("reboot_timeout_sec", "1");
    host.start();
    host.wait_event("taken_away");
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(store.outcomes("gone"), ["taken-away"]);
}

#[test]
fn a_queued_claim_is_never_taken_away() {
    let (cluster, store) = Store::single();
    store.put("/rc/claims/slow", &crate::store::claim("slow", "queued"));
    let mut host = Host::new("node-a", &cluster.endpoints()).with("hold_timeout_sec", "0.3");
    host.start();
    host.wait_event("queued");
    // Several judgements of the gates later, and long after the time.
    host.wait_until("many checks", || {
        host.events()
            .iter()
            .filter(|e| e["event"] == "detector")
            .count()
            > 8
    });
    assert!(store.claim("slow").is_some());
    assert_eq!(host.reboots(), 0);
}

#[test]
fn far_back_in_the_queue_a_node_still_gets_its_turn() {
    let (cluster, store) = Store::single();
    for n in 0..12 {
        store.claim_of_another(&format!("other-{n:02}"));
    }
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    let queued = host.wait_event("queued");
    assert!(
        queued["msg"].as_str().unwrap().contains("or more"),
        "{queued}"
    );
    for n in 0..12 {
        assert_eq!(host.reboots(), 0);
        store.delete(&format!("/rc/claims/other-{n:02}"));
    }
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_watch_that_has_gone_silent_delays_a_turn_by_a_ttl_at_most() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let proxy = Proxy::new(cluster.client_address(0));
    // The first watch stands and tells nothing: it follows claims that nobody has.
    // Three bytes are four letters of base64, at the beginning of the range and of its end.
    let letters = |bytes: &str| BASE64_STANDARD.encode(bytes);
    let blind = Action::Rewrite(letters("/rc"), letters("/no"));
    proxy.rule(Rule::on("/v3/watch", blind).times(1));
    let mut host = Host::new("node-a", &[proxy.url()])
        .with("health_timeout_sec", "1")
        .with("lock_ttl_sec", "3");
    host.start();
    host.wait_event("queued");
    proxy.wait_for("/v3/watch", 1, LIMIT);
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(proxy.count("/v3/watch"), 2);
}

#[test]
fn an_etcd_that_restarts_while_a_node_waits_costs_it_nothing() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_event("queued");
    let created = store.claim("node-a").unwrap()["since"].clone();
    cluster.kill(0);
    cluster.start(0);
    cluster.wait_healthy(0);
    assert_eq!(store.claim("node-a").unwrap()["since"], created);
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert!(!host.has_event("blocked"), "{}", host.log());
}

#[test]
fn tls_with_client_certificates_works_from_end_to_end() {
    let cluster = Cluster::builder().tls(Tls::Mutual).start();
    let pki = cluster.pki();
    let tls = format!(
        "{{enabled: true, ca_file: {:?}, cert_file: {:?}, key_file: {:?}}}",
        pki.ca, pki.client.cert, pki.client.key
    );
    let mut host = Host::new("node-a", &cluster.endpoints()).with("etcd_tls", &tls);
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.reboot();
    host.wait_event("released");
}

#[test]
fn an_idle_node_makes_no_revision() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    store.wait("the health report and the standing", || {
        ["alive", "standing"]
            .iter()
            .all(|kind| store.get(&format!("/rc/{kind}/node-a")).is_some())
    });
    let before = store.revision();
    let checks = || {
        host.events()
            .iter()
            .filter(|e| e["event"] == "detector")
            .count()
    };
    let seen = checks();
    host.wait_until("more checks", || checks() > seen + 5);
    assert_eq!(store.revision(), before);
}

#[test]
fn certificates_that_are_replaced_on_disk_are_used_without_a_restart() {
    let cluster = Cluster::builder().tls(Tls::Mutual).start();
    let pki = cluster.pki();
    let mut host = Host::new("node-a", &cluster.endpoints());
    let file = |name: &str| host.path(name);
    let copy = |from: &std::path::Path, to: &str| std::fs::copy(from, file(to)).unwrap();
    copy(&pki.other_client.cert, "client.pem");
    copy(&pki.other_client.key, "client-key.pem");
    let tls = format!(
        "{{enabled: true, ca_file: {:?}, cert_file: {:?}, key_file: {:?}}}",
        pki.ca,
        file("client.pem"),
        file("client-key.pem")
    );
    let (certificate, key) = (file("client.pem"), file("client-key.pem"));
    host.set("etcd_tls", &tls);
    host.start();
    let refused = host.wait_event("etcd_error");
    let said = refused["msg"].as_str().unwrap();
    assert!(said.contains("cert_file"), "{said}");
    std::fs::copy(&pki.client.cert, certificate).unwrap();
    std::fs::copy(&pki.client.key, key).unwrap();
    host.wait_event("certificates_replaced");
    host.wait_until("the reboot command", || host.reboots() == 1);
}
