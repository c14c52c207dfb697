//! What a start makes of what an earlier process left: every row of the table of adoption, every state a crash can hit.

use etcd_test_server::{Action, Cluster, Gate, Proxy};

use crate::host::{Host, wait};
use crate::store::{Store, claim, first_commit, is_commit};

#[test]
fn a_crash_while_idle_leaves_nothing_to_adopt() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    host.kill();
    host.start();
    host.wait_event("not_required");
    assert!(!host.has_event("adopted"));
}

#[test]
fn a_crash_in_the_queue_keeps_the_place_for_the_next_process() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut first = Host::new("first", &cluster.endpoints());
    first.start();
    first.wait_event("queued");
    let mut second = Host::new("second", &cluster.endpoints());
    second.start();
    second.wait_event("queued");
    first.kill();
    first.start();
    first.wait_event("queued");
    assert!(first.has_event("adopted"), "{}", first.log());
    store.delete("/rc/claims/other");
    first.wait_until("the reboot command", || first.reboots() == 1);
    assert_eq!(second.reboots(), 0);
}

#[test]
fn a_crash_before_the_commit_costs_the_place_within_the_ttl() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with("lock_ttl_sec", "4")
        .with("health_timeout_sec", "2");
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("post-lock");
    host.kill();
    assert_eq!(store.phase("node-a").as_deref(), Some("queued"));
    store.wait_gone("node-a");
    host.remove("block-post-lock");
}

#[test]
fn a_crash_with_the_turn_in_hand_is_taken_up_and_every_gate_judged_again() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("post-lock");
    host.kill();
    host.remove("block-post-lock");
    host.touch("fail-post-lock");
    host.start();
    host.wait_blocked("health");
    assert_eq!(host.reboots(), 0);
    host.remove("fail-post-lock");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_crash_with_a_commit_on_its_way_ends_well_whether_it_arrives_or_not() {
    for arrives in [true, false] {
        let (cluster, store) = Store::single();
        let proxy = Proxy::new(cluster.client_address(0));
        let gate = Gate::new();
        proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
        let mut host = Host::new("node-a", &[proxy.url()]).with("reboot_timeout_sec", "0.5");
        host.start();
        assert!(wait(|| proxy.requests().iter().any(is_commit)));
        host.kill();
        if arrives {
            gate.open();
            store.wait_phase("node-a", "rebooting");
            host.start();
            // The first process never ran the command; the second does, once the time for it has passed.
            host.wait_until("the reboot command", || host.reboots() == 1);
            assert!(host.has_event("adopted"));
        } else {
            host.start();
            host.wait_until("the reboot command", || host.reboots() == 1);
            // The old commit comes now; it must find its claim changed.
            let before = store.claim("node-a");
            gate.open();
            proxy.wait_released(1, crate::host::LIMIT);
            let after = store.claim("node-a");
            assert_eq!(before.unwrap()["session"], after.unwrap()["session"]);
        }
        host.reboot();
        host.wait_event("released");
        assert_eq!(store.claims(), Vec::<String>::new());
    }
}

#[test]
fn a_crash_while_draining_drains_again_and_goes_on() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    host.kill();
    assert_eq!(store.phase("node-a").as_deref(), Some("draining"));
    host.remove("block-drain");
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert_eq!(host.actions().iter().filter(|a| *a == "drain").count(), 2);
    host.reboot();
    host.wait_event("released");
}

#[test]
fn a_crash_while_draining_is_undone_when_the_reboot_is_not_wanted_any_more() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    host.kill();
    host.remove("block-drain");
    host.remove("required");
    host.start();
    host.wait_event("released");
    assert_eq!(host.reboots(), 0);
    assert!(host.actions().contains(&"undo".to_owned()));
    assert_eq!(store.outcomes("node-a"), ["aborted"]);
}

#[test]
fn a_crash_after_the_reboot_command_waits_for_the_reboot() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_event("reboot_command_done");
    host.kill();
    host.start();
    host.wait_event("adopted");
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    host.reboot();
    host.wait_event("released");
    assert_eq!(host.reboots(), 1);
}

#[test]
fn a_crash_while_verifying_verifies_again() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.touch("block-post-boot");
    host.reboot();
    host.wait_reached("post-boot");
    host.kill();
    assert_eq!(store.phase("node-a").as_deref(), Some("verifying"));
    host.remove("block-post-boot");
    host.start();
    host.wait_event("released");
    assert_eq!(store.outcomes("node-a"), ["completed"]);
    assert_eq!(host.actions().iter().filter(|a| *a == "undo").count(), 2);
}

#[test]
fn a_queued_claim_of_an_earlier_boot_is_given_up() {
    let (cluster, store) = Store::single();
    let mut stale = claim("node-a", "queued");
    stale["boot_id"] = "some boot before".into();
    store.put("/rc/claims/node-a", &stale);
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    assert_eq!(store.claims(), Vec::<String>::new());
}

#[test]
fn a_claim_taken_away_while_the_node_was_down_is_noticed_and_the_drain_undone() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    store.delete("/rc/claims/node-a");
    host.reboot();
    host.wait_event("claim_gone");
    host.wait_event("not_required");
    assert!(host.actions().contains(&"undo".to_owned()));
}

#[test]
fn a_second_machine_with_the_same_name_is_refused() {
    let cluster = Cluster::single();
    let mut first = Host::new("node-a", &cluster.endpoints());
    first.remove("required");
    first.start();
    first.wait_event("not_required");
    let mut second =
        Host::new("node-a", &cluster.endpoints()).with("node_id", "\"another-machine\"");
    second.start();
    assert_eq!(second.wait_exit().code(), Some(2), "{}", second.log());
    let refused = second.wait_event("name_taken");
    let text = refused["msg"].as_str().unwrap();
    assert!(
        text.contains("id-of-node-a") && text.contains("another-machine"),
        "{text}"
    );
}

#[test]
fn a_second_daemon_on_the_same_host_is_refused() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    let output = host.command(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn a_claim_of_a_newer_program_is_left_alone() {
    let (cluster, store) = Store::single();
    let mut newer = claim("node-a", "rebooting");
    newer["v"] = 2.into();
    store.put("/rc/claims/node-a", &newer);
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    assert_eq!(host.wait_exit().code(), Some(1));
    assert!(host.has_event("record_unreadable"), "{}", host.log());
    assert_eq!(store.claim("node-a"), Some(newer));
}

#[test]
fn a_daemon_that_is_started_in_a_drain_explains_which_gate_it_judges_next() {
    let cluster = Cluster::single();
    let mut host = Host::with_hooks(Host::new("node-a", &cluster.endpoints()));
    host.touch("block-drain");
    host.start();
    host.wait_event("committed");
    host.kill();
    host.touch("block-post-lock");
    host.start();
    let told = "its daemon was started since: it judges these anew before it goes on, health next.";
    let mut shown = String::new();
    let holds = wait(|| {
        let output = host.command(&["explain", "node-a"]).output().unwrap();
        shown = String::from_utf8(output.stdout).unwrap();
        let folded = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        folded.contains(told)
    });
    assert!(holds, "{shown}");
}
