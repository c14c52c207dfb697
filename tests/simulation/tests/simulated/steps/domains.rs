//! Failure domains, by hand.

use std::collections::BTreeMap;

use etcd_rs_sync::Request;
use reboot_coordinator::core::{Input, Settings, WatchEvent};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, Domains, Phase};
use simulation::by_hand::{Node, settings};

fn rack(rack: &str) -> Domains {
    Domains {
        labels: BTreeMap::from([("rack".to_owned(), rack.to_owned())]),
        limits: BTreeMap::from([("rack".to_owned(), 1)]),
    }
}

fn two_at_a_time(domains: Domains) -> Settings {
    Settings {
        max_concurrent_reboots: 2,
        domains,
        ..settings()
    }
}

/// Another node's claim, before ours, of this rack.
fn elder(node: &mut Node, name: &str, domains: Domains) {
    node.elder(name, Phase::Queued);
    let key = format!("/r/claims/{name}");
    let stands = node.stands(&key).expect("it was written");
    let claim: Claim = decode(&stands.value).expect("it is readable");
    node.put(&key, encode(&Claim { domains, ..claim }));
}

fn deleted(node: &mut Node, key: &str) {
    node.delete(key);
    let (watch, ..) = node.watch.clone().expect("it watches");
    node.give(Input::Watch(watch, WatchEvent::Deleted(key.into())));
}

fn queued(node: &mut Node) {
    node.until_state("queued");
    node.settle();
}

#[test]
fn a_claim_says_the_labels_and_limits_of_its_node_and_goes_on_to_say_them() {
    let mut node = Node::new(two_at_a_time(rack("a")));
    node.until("reboot");
    let claims = node.claims("n0");
    assert!(claims.len() > 2, "{claims:?}");
    assert!(claims.iter().all(|claim| claim.domains == rack("a")));
    // Without any, the record is as it was.
    let mut node = Node::new(settings());
    node.until("reboot");
    let stands = node.stands("/r/claims/n0").expect("it is committed");
    let text = String::from_utf8_lossy(&stands.value);
    assert!(
        !text.contains("labels") && !text.contains("limits"),
        "{text}"
    );
}

#[test]
fn a_full_rack_holds_up_its_own_nodes_only() {
    let mut node = Node::new(two_at_a_time(rack("a")));
    for name in ["a", "b", "c"] {
        elder(&mut node, name, rack("b"));
    }
    node.until("reboot");
    let mut node = Node::new(two_at_a_time(rack("b")));
    elder(&mut node, "a", rack("b"));
    elder(&mut node, "b", rack("c"));
    queued(&mut node);
    deleted(&mut node, "/r/claims/b");
    node.settle();
    assert_eq!(node.machine.view().state, "queued");
    deleted(&mut node, "/r/claims/a");
    node.until("reboot");
}

#[test]
fn a_claim_that_cannot_be_read_or_says_no_rack_counts_against_every_rack() {
    for unreadable in [true, false] {
        let mut node = Node::new(two_at_a_time(rack("a")));
        match unreadable {
            true => drop(node.put("/r/claims/x", "{")),
            false => elder(&mut node, "x", Domains::default()),
        }
        queued(&mut node);
        assert_eq!(node.machine.view().state, "queued");
        deleted(&mut node, "/r/claims/x");
        node.until("reboot");
    }
}

/// 4 times the limit and 32 more are looked at: who has one more before it waits, whatever those it sees say.
#[test]
fn a_node_that_does_not_see_all_older_claims_waits() {
    for (older, goes) in [(40, true), (41, false)] {
        let mut node = Node::new(two_at_a_time(rack("a")));
        for number in 0..older {
            elder(&mut node, &format!("x{number}"), rack("b"));
        }
        if !goes {
            queued(&mut node);
            assert_eq!(node.machine.view().ahead, Some((40, true)));
            // It follows the furthest of those that it sees, and counts again when that one goes.
            deleted(&mut node, "/r/claims/x1");
        }
        node.until("reboot");
    }
}

#[test]
fn a_place_with_other_labels_is_given_up_and_never_rewritten() {
    // By the next process.
    let mut node = Node::new(two_at_a_time(rack("a")));
    elder(&mut node, "x", rack("a"));
    queued(&mut node);
    let mut node = node.followed_by(two_at_a_time(rack("b")));
    node.until("reboot");
    let said: Vec<Domains> = node.claims("n0").into_iter().map(|it| it.domains).collect();
    assert_eq!(
        (said.first(), said.last()),
        (Some(&rack("a")), Some(&rack("b")))
    );
    // After a reload, also of the limits alone, and when the place is about to be written anew for another limit in all.
    for max_concurrent_reboots in [2, 3] {
        let mut node = Node::new(two_at_a_time(rack("a")));
        elder(&mut node, "x", rack("a"));
        queued(&mut node);
        let place = node
            .stands("/r/claims/n0")
            .expect("it waits")
            .create_revision;
        let mut domains = rack("a");
        domains.limits.insert("rack".to_owned(), 2);
        let settings = Settings {
            max_concurrent_reboots,
            ..two_at_a_time(domains)
        };
        node.reload(settings);
        let (ticket, join) = node.until_sending("leaving");
        assert!(matches!(join, Request::Revoke { .. }), "{join:?}");
        node.pass((ticket, join));
        node.until("reboot");
        let stands = node.stands("/r/claims/n0").expect("it is committed");
        assert!(stands.create_revision > place);
    }
}
