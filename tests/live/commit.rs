//! The commit: lost replies, late effects, claims that change under it.

use etcd_test_server::{Action, Cluster, Gate, Proxy, Rule};
use rustix::process::Signal;

use crate::host::{Host, LIMIT};
use crate::store::{Store, claim, first_commit, is_commit};

fn behind(cluster: &Cluster) -> (Proxy, Host) {
    let proxy = Proxy::new(cluster.client_address(0));
    let host = Host::new("node-a", &[proxy.url()]);
    (proxy, host)
}

#[test]
fn a_commit_whose_reply_is_lost_after_it_took_effect_is_a_commit() {
    let cluster = Cluster::single();
    let (proxy, mut host) = behind(&cluster);
    proxy.rule(first_commit(Action::CutReply));
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert!(host.has_event("commit_unknown"), "{}", host.log());
    host.reboot();
    host.wait_event("released");
    assert_eq!(host.reboots(), 1);
}

/// As etcd does with the write by which its database exceeds its quota, and a proxy that filters answers.
#[test]
fn a_commit_that_is_refused_and_was_applied_is_a_commit() {
    let space = r#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#;
    let page = "<html>Forbidden by policy</html>";
    for (status, body) in [
        ("429 Too Many Requests", space),
        ("403 Forbidden", page),
        ("404 Not Found", page),
    ] {
        let cluster = Cluster::single();
        let (proxy, mut host) = behind(&cluster);
        let length = body.len();
        let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        proxy.rule(first_commit(Action::AnswerAfter(refusal.into_bytes())));
        host.start();
        host.wait_until("the reboot command", || host.reboots() == 1);
        assert!(host.has_event("commit_unknown"), "{}", host.log());
        assert!(!host.has_event("adopted"), "{}", host.log());
    }
}

#[test]
fn a_commit_that_never_arrived_is_not_one_and_everything_is_judged_again() {
    let cluster = Cluster::single();
    let (proxy, mut host) = behind(&cluster);
    proxy.rule(first_commit(Action::CutRequest));
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert!(host.has_event("commit_unknown"), "{}", host.log());
    let judged = host.actions().iter().filter(|a| *a == "post-lock").count();
    assert_eq!(judged, 2, "health is asked again before the second commit");
}

#[test]
fn a_commit_that_arrives_after_its_time_limit_is_fenced() {
    let (cluster, store) = Store::single();
    let (proxy, mut host) = behind(&cluster);
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    host.start();
    proxy_saw_commit(&proxy);
    // The gates are judged again only after the fence has won; then the node stands at the head of the queue.
    host.touch("block-post-lock");
    host.remove("reached-post-lock");
    host.wait_event("commit_unknown");
    host.wait_reached("post-lock");
    let before = store.revision();
    gate.open();
    proxy.wait_released(1, LIMIT);
    // The late commit has been answered. It met its own claim, in its place, at another mod revision.
    assert_eq!(store.phase("node-a").as_deref(), Some("queued"));
    assert_eq!(store.revision(), before);
    assert_eq!(host.reboots(), 0);
    host.touch("fail-post-lock");
    host.remove("block-post-lock");
    host.wait_blocked("health");
    assert_eq!(host.reboots(), 0);
}

/// A commit that is known only after its permit's life: what the gates said is old by then.
#[test]
fn a_commit_that_is_settled_late_is_judged_again_before_the_drain() {
    let (cluster, store) = Store::single();
    let (proxy, host) = behind(&cluster);
    let mut host = host.with("etcd_timeout_sec", "1").with_hooks();
    let gate = Gate::new();
    proxy.rule(first_commit(Action::CutReply));
    proxy.rule(Rule::on("ignore_lease", Action::HoldUntil(gate.clone())));
    host.start();
    // Each fence waits a second for its answer, so eight passed between the first and the ninth; seven are allowed.
    host.wait_until("the ninth fence", || proxy.count("ignore_lease") > 8);
    assert_eq!(store.phase("node-a").as_deref(), Some("draining"));
    host.touch("fail-post-lock");
    gate.open();
    host.wait_event("permit_expired");
    host.wait_event("aborted");
    host.wait_until("the release", || store.claims().is_empty());
    assert!(!host.actions().contains(&"drain".to_owned()));
    assert_eq!(host.reboots(), 0);
}

#[test]
fn a_commit_without_quorum_is_settled_when_it_returns() {
    let cluster = Cluster::builder().members(3).fast_elections().start();
    let store = Store::of(&cluster);
    let leader = cluster.leader();
    let proxy = Proxy::new(cluster.client_address(leader));
    let mut host = Host::new("node-a", &[proxy.url()]).with("etcd_timeout_sec", "1");
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    host.start();
    host.wait_reached("post-lock");
    proxy_saw_commit(&proxy);
    let others: Vec<usize> = (0..3).filter(|member| *member != leader).collect();
    for member in &others {
        cluster.pause(*member);
    }
    gate.open();
    host.wait_event("commit_unknown");
    assert_eq!(host.reboots(), 0, "unknown is not yes");
    for member in &others {
        cluster.resume(*member);
    }
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    host.reboot();
    host.wait_event("released");
    assert_eq!(host.reboots(), 1);
}

#[test]
fn a_claim_deleted_and_made_again_before_the_commit_arrives_refuses_it() {
    let (cluster, store) = Store::single();
    let (proxy, mut host) = behind(&cluster);
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    host.start();
    proxy_saw_commit(&proxy);
    let mut again = store.claim("node-a").unwrap();
    store.delete("/rc/claims/node-a");
    again["session"] = "another".into();
    store.put("/rc/claims/node-a", &again);
    // What stands there now belongs to nobody who lives; the node finds out and starts over.
    host.touch("disable");
    gate.open();
    host.wait_blocked("lost");
    assert!(!host.has_event("committed"), "{}", host.log());
    assert_eq!(host.reboots(), 0);
}

#[test]
fn a_pause_between_the_last_gate_and_the_commit_refuses_it() {
    let (cluster, store) = Store::single();
    let (proxy, mut host) = behind(&cluster);
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    host.start();
    proxy_saw_commit(&proxy);
    store.put(
        "/rc/pause",
        &serde_json::json!({"v": 1, "by": "me", "reason": "exam week", "since": "2026-01-01T00:00:00Z"}),
    );
    gate.open();
    let blocked = host.wait_blocked("paused");
    assert!(
        blocked["msg"].as_str().unwrap().contains("exam week"),
        "{blocked}"
    );
    assert_eq!(host.reboots(), 0);
    assert_eq!(
        store.phase("node-a").as_deref(),
        Some("queued"),
        "it keeps its place"
    );
    store.delete("/rc/pause");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_server_that_ignores_guards_is_refused() {
    let (cluster, store) = Store::single();
    for (field, broken) in [("\"compare\"", "\"komparr\""), ("\"MOD\"", "\"VERSION\"")] {
        let (proxy, mut host) = behind(&cluster);
        proxy.rule(Rule::on(
            field,
            Action::Rewrite(field.into(), broken.into()),
        ));
        host.start();
        let status = host.wait_exit();
        let refused = host.has_event("self_test_failed");
        // A guard on another field that still fails when it must is no danger: then the daemon may run.
        assert!(refused, "{broken}: {:?}\n{}", status, host.log());
        assert_eq!(status.code(), Some(1));
        assert_eq!(store.claims(), Vec::<String>::new());
    }
}

#[test]
fn a_daemon_stopped_past_its_ttl_with_the_turn_in_hand_does_not_reboot() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with("lock_ttl_sec", "4")
        .with("health_timeout_sec", "2");
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("post-lock");
    host.signal(Signal::STOP);
    store.wait_gone("node-a");
    // Another node has gone meanwhile, and is down.
    store.claim_of_another("other");
    host.remove("block-post-lock");
    host.signal(Signal::CONT);
    // The script's time was over as well: which of the two it finds first is as it happens.
    host.wait_event("blocked");
    host.wait_event("queued");
    assert!(!host.has_event("committed"), "{}", host.log());
    assert_eq!(host.reboots(), 0);
}

#[test]
fn a_daemon_stopped_with_the_commit_on_its_way_does_not_reboot_without_its_claim() {
    let (cluster, store) = Store::single();
    let (proxy, host) = behind(&cluster);
    let mut host = host
        .with("lock_ttl_sec", "4")
        .with("health_timeout_sec", "2");
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    host.start();
    proxy_saw_commit(&proxy);
    host.signal(Signal::STOP);
    store.wait_gone("node-a");
    store.put("/rc/claims/node-a", &claim("node-a", "queued"));
    gate.open();
    host.touch("disable");
    host.signal(Signal::CONT);
    host.wait_blocked("lost");
    assert!(!host.has_event("committed"), "{}", host.log());
    assert_eq!(host.reboots(), 0);
}

fn proxy_saw_commit(proxy: &Proxy) {
    assert!(
        crate::host::wait(|| proxy.requests().iter().any(is_commit)),
        "no commit was sent"
    );
}
