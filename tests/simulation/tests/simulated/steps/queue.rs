//! Into the queue and through it.

use std::time::Duration;

use etcd_rs_sync::{Error, Keys, Reply, Request};
use reboot_coordinator::core::{Action, Input, Mode, Refusal, Settings, WatchEvent};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, History, Phase};
use simulation::by_hand::{Node, denied, settings, unknown};

fn deleted(node: &mut Node, key: &str) {
    node.delete(key);
    let (watch, ..) = node.watch.clone().expect("it watches");
    node.give(Input::Watch(watch, WatchEvent::Deleted(key.into())));
}

fn granted(request: &Request) -> i64 {
    match request {
        Request::Grant { id, .. } => *id,
        other => panic!("{other:?} is no grant"),
    }
}

/// Behind other nodes, a, b and so on.
fn behind(elders: &str, settings: Settings) -> Node {
    let mut node = Node::new(settings);
    for elder in elders.split_whitespace() {
        node.elder(elder, Phase::Queued);
    }
    node.until_state("queued");
    node.settle();
    node
}

#[test]
fn a_lease_that_exists_is_the_own_one_because_its_id_was_drawn_at_random() {
    let mut node = Node::new(settings());
    let grant = node.until_sending("joining");
    let id = granted(&grant.1);
    node.lose(grant);
    assert_eq!(node.machine.view().state, "joining");
    let again = node.until_sending("joining");
    assert_eq!(granted(&again.1), id);
    node.pass(again); // the lease exists
    node.until("reboot");

    // A copy that the client, or a proxy, had sent before the one that was answered.
    let mut node = Node::new(settings());
    let (ticket, grant) = node.until_sending("joining");
    assert!(node.etcd.apply(0, &grant).is_ok());
    node.answer(ticket, Err(Error::LeaseExists));
    node.until("reboot");
    let claim = node.stands("/r/claims/n0").expect("it is committed");
    assert_eq!(claim.lease, 0);
}

#[test]
fn a_lease_that_is_denied_ends_the_pass_unless_an_earlier_copy_may_have_it() {
    let mut node = Node::new(settings());
    let (ticket, _) = node.until_sending("joining");
    node.answer(ticket, Err(denied()));
    assert_eq!(node.machine.view().state, "idle");
    assert!(matches!(
        node.machine.view().refusal,
        Some(Refusal::Etcd(_))
    ));

    let mut node = Node::new(settings());
    let (ticket, grant) = node.until_sending("joining");
    let id = granted(&grant);
    node.answer(ticket, Err(unknown()));
    for _ in 0..3 {
        let (ticket, again) = node.until_sending("joining");
        assert_eq!(granted(&again), id);
        node.answer(ticket, Err(denied()));
    }
    assert_eq!(node.machine.view().state, "leaving");
    let (_, revoke) = node.until_sending("leaving");
    assert_eq!(revoke, Request::Revoke { id });
}

/// From the first request on: the lease may have begun with it.
#[test]
fn the_time_of_a_lease_counts_from_the_first_request_for_it() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    let grant = node.until_sending("joining");
    let begun = node.now;
    node.lose(grant);
    node.until_state("queued");
    node.settle();
    assert_eq!(node.now + node.pause(), begun + Duration::from_secs(10));
}

#[test]
fn a_place_that_cannot_be_written_is_left_and_one_whose_fate_is_unknown_is_written_again() {
    for (errors, state) in [
        (vec![denied()], "leaving"),
        (vec![unknown()], "joining"),
        (vec![unknown(), denied()], "joining"),
        (vec![unknown(), Error::LeaseNotFound], "leaving"),
    ] {
        let mut node = Node::new(settings());
        let grant = node.until_sending("joining");
        node.pass(grant);
        for error in errors {
            let (ticket, _) = node.until_sending("joining");
            node.answer(ticket, Err(error));
        }
        assert_eq!(node.machine.view().state, state);
    }
}

#[test]
fn a_place_whose_lease_ran_out_while_joining_ends_the_pass() {
    let mut node = Node::new(settings());
    let grant = node.until_sending("joining");
    node.pass(grant);
    let (ticket, _) = node.until_sending("joining");
    node.answer(ticket, Err(Error::LeaseNotFound));
    node.until_state("idle");
    let lost = "the lease ran out while joining".to_owned();
    assert_eq!(node.machine.view().refusal, Some(Refusal::Lost(lost)));
}

#[test]
fn a_member_that_is_forgotten_while_it_joins_registers_and_joins_then() {
    let mut node = Node::new(settings());
    let grant = node.until_sending("joining");
    node.pass(grant);
    let join = node.until_sending("joining");
    node.delete("/r/nodes/n0");
    node.pass(join);
    assert_eq!(node.machine.view().state, "leaving");
    assert!(node.claim().is_none());
    node.until("reboot");
    assert!(node.said("blocked", "or its registration is gone"));
    assert_eq!(node.registration().node, "n0");
}

#[test]
fn a_join_whose_answer_was_lost_is_recognized_by_its_lease() {
    for own_lease in [true, false] {
        let mut node = Node::new(settings());
        let grant = node.until_sending("joining");
        node.pass(grant);
        let join = node.until_sending("joining");
        node.lose(join);
        if !own_lease {
            let claim = encode(&node.claim().unwrap());
            node.delete("/r/claims/n0");
            node.put("/r/claims/n0", claim);
        }
        let again = node.until_sending("joining");
        node.pass(again);
        let state = if own_lease { "queued" } else { "leaving" };
        assert_eq!(node.machine.view().state, state);
    }
}

#[test]
fn a_node_near_the_head_follows_all_claims_and_needs_no_further_request_to_know_its_turn() {
    let mut node = behind("a b c", settings());
    assert_eq!(node.machine.view().ahead, Some((3, false)));
    let (_, keys, from) = node.watch.clone().unwrap();
    assert_eq!(keys, Keys::prefix("/r/claims/"));
    assert_eq!(from, node.etcd.revision() + 1);
    for (left, elder) in [(2, "b"), (1, "c")] {
        deleted(&mut node, &format!("/r/claims/{elder}"));
        assert!(node.due().is_none());
        assert_eq!(node.machine.view().ahead, Some((left, false)));
    }
    node.now += Duration::from_secs(5);
    deleted(&mut node, "/r/claims/a");
    assert!(matches!(node.due(), Some(Action::Detect(_))));
    assert_eq!(node.machine.view().state, "turn");
    assert_eq!(node.last("turn").fields[0], ("lock_wait_ms", 5000.into()));
}

#[test]
fn a_node_far_back_follows_only_the_furthest_that_it_saw_and_counts_when_that_one_goes() {
    let mut node = behind("a b c d e f g", settings());
    assert_eq!(node.machine.view().ahead, Some((5, true)));
    let (_, keys, _) = node.watch.clone().unwrap();
    assert_eq!(keys, Keys::one("/r/claims/c"));
    deleted(&mut node, "/r/claims/c");
    assert!(matches!(node.due(), Some(Action::Etcd(..))), "it counts");
}

#[test]
fn a_node_that_is_told_of_more_before_it_does_not_go() {
    let mut node = Node::new(settings());
    let (ticket, request) = node.until_sending("queued");
    let Ok(Reply::Range(mut range)) = node.etcd.apply(0, &request) else {
        panic!("a range");
    };
    range.more = true;
    node.answer(ticket, Ok(Reply::Range(range)));
    assert_eq!(node.machine.view().state, "queued");
    assert_eq!(node.machine.view().ahead, Some((0, true)));
}

#[test]
fn a_node_says_once_that_it_is_in_the_queue_however_often_it_counts() {
    let mut node = behind("a", settings());
    for _ in 0..3 {
        let (watch, ..) = node.watch.clone().unwrap();
        node.give(Input::Watch(watch, WatchEvent::Lost));
        node.wait(settings().backoff_min); // until it counts
        node.settle();
    }
    let queued = node.notes.iter().filter(|note| note.event == "queued");
    assert_eq!(queued.count(), 1);
}

#[test]
fn a_node_whose_place_is_taken_away_leaves_at_once() {
    let mut node = behind("a", settings());
    deleted(&mut node, "/r/claims/n0");
    assert_eq!(node.machine.view().state, "leaving");
}

#[test]
fn a_waiting_node_judges_its_gates_at_the_interval() {
    let mut node = behind("a", settings());
    let begun = node.now;
    let mut judged = Vec::new();
    while node.now < begun + Duration::from_secs(110) {
        let action = node.next_action();
        if matches!(action, Action::Detect(_)) {
            assert_eq!(node.machine.view().state, "queued");
            judged.push((node.now - begun).as_secs());
        }
        node.perform(action);
    }
    let (first, rest) = judged.split_first().unwrap();
    assert_eq!(*first, 30);
    assert!(matches!(rest, [61..=63, 92..=97]), "{judged:?}");
}

#[test]
fn a_turn_that_comes_while_the_cluster_is_paused_is_kept_and_tried_again_at_the_interval() {
    let mut node = Node::new(settings());
    let count = node.until_sending("queued");
    node.put("/r/pause", "unreadable, but there");
    node.pass(count);
    node.settle();
    let held = node.now;
    assert_eq!(node.machine.view().state, "queued");
    assert!(matches!(
        node.machine.view().refusal,
        Some(Refusal::Paused(_))
    ));
    assert!(node.machine.view().paused);
    assert!(node.said("blocked", "this node keeps its place in the queue"));
    node.delete("/r/pause");
    let action = node.until("detect");
    assert!(matches!(
        node.now.saturating_sub(held).as_millis(),
        30_000..=33_000
    ));
    node.perform(action);
    node.until("reboot");
    assert!(matches!(
        node.now.saturating_sub(held).as_millis(),
        31_500..=33_000
    ));
}

#[test]
fn a_run_of_once_keeps_its_turn_as_long_as_it_may_wait() {
    for wait in [0, 20] {
        let mut node = Node::new(Settings {
            mode: Mode::Once {
                wait: Duration::from_secs(wait),
            },
            ..settings()
        });
        let begun = node.now;
        let count = node.until_sending("queued");
        node.put("/r/pause", "unreadable, but there");
        node.pass(count);
        node.until_exit();
        assert_eq!((node.now - begun).as_secs(), wait);
        assert_eq!(node.exit, Some(5));
        assert_eq!(node.said("blocked", "keeps its place"), wait > 0);
        assert_eq!(node.claim(), None);
    }
}

#[test]
fn a_run_of_once_that_does_not_get_its_turn_says_how_many_were_before_it() {
    let mut node = Node::new(Settings {
        mode: Mode::Once {
            wait: Duration::from_secs(20),
        },
        ..settings()
    });
    node.elder("a", Phase::Queued);
    let begun = node.now;
    node.until_exit();
    assert_eq!(node.exit, Some(4));
    assert_eq!((node.now - begun).as_secs(), 20);
    assert!(node.said("blocked", "1 before it"));
}

/// A node behind one that is down, and may take its claim away after a hundred seconds without a sign of it.
fn impatient() -> Node {
    let mut node = Node::new(Settings {
        hold_timeout: Some(Duration::from_secs(100)),
        ..settings()
    });
    node.elder("a", Phase::Rebooting);
    node.until_state("queued");
    node.settle();
    node
}

/// Far back a look at two keys would not tell that it is gone, and that it is to be taken away would be known for ever.
#[test]
fn what_a_node_far_back_took_away_is_out_of_its_count() {
    let mut node = Node::new(Settings {
        hold_timeout: Some(Duration::from_secs(100)),
        ..settings()
    });
    for elder in ["a", "b", "c", "d", "e"] {
        node.elder(elder, Phase::Queued);
    }
    node.elder("z", Phase::Rebooting);
    node.until_state("queued");
    assert_eq!(node.machine.view().ahead, Some((5, true)));
    while node.stands("/r/claims/z").is_some() {
        node.step();
    }
    node.settle();
    assert_eq!(node.machine.view().ahead, Some((5, false)));
    assert!(!node.said("watch_blind", ""));
}

/// Seconds from now until the claim is taken away.
fn patience(node: &mut Node) -> u64 {
    let begun = node.now;
    while node.stands("/r/claims/a").is_some() {
        node.step();
    }
    (node.now - begun).as_secs()
}

#[test]
fn a_claim_that_shows_no_sign_of_its_node_is_taken_away_on_time_and_the_history_says_so() {
    let mut node = impatient();
    assert_eq!(patience(&mut node), 100);
    let entry = node
        .etcd
        .pairs()
        .find(|kv| kv.key.starts_with(b"/r/history/"))
        .unwrap();
    let history: History = decode(&entry.value).unwrap();
    assert_eq!(
        (history.node.as_str(), history.outcome.as_str()),
        ("a", "taken-away")
    );
    assert_eq!(history.by.as_deref(), Some("n0"));
    assert_eq!(history.reasons, ["libc"]);
    node.until("reboot");
    assert!(node.said("taken_away", "took the claim of a away"));
}

/// Its node may be configured otherwise, and drain for longer than this one would wait.
#[test]
fn a_claim_is_not_taken_away_before_the_time_that_it_allows_itself_is_over() {
    let mut node = impatient();
    let stands = node.stands("/r/claims/a").unwrap().value.clone();
    let claim = Claim {
        patience_sec: Some(250),
        ..decode(&stands).unwrap()
    };
    node.put("/r/claims/a", encode(&claim));
    assert!((250..=280).contains(&patience(&mut node)));
}

#[test]
fn an_entry_of_the_history_lasts_for_thirty_days() {
    let mut node = impatient();
    let grants_history = |request: &Request| matches!(request, Request::Grant { ttl_sec, .. } if *ttl_sec == 2_592_000);
    let mut found = false;
    while node.stands("/r/claims/a").is_some() {
        let action = node.next_action();
        if let Action::Etcd(_, request) = &action {
            found |= grants_history(request);
        }
        node.perform(action);
    }
    assert!(found);
}

#[test]
fn only_a_claim_that_was_written_meanwhile_gets_its_time_anew_when_the_queue_is_counted() {
    for (written, expected) in [(false, 55), (true, 100)] {
        let mut node = impatient();
        let until = node.now + Duration::from_secs(45);
        while node.now < until {
            if node.pause() > until - node.now {
                node.wait(until - node.now);
            } else {
                node.step();
                node.settle();
            }
        }
        if written {
            let kv = node.stands("/r/claims/a").unwrap();
            let claim: Claim = decode(&kv.value).unwrap();
            node.put("/r/claims/a", encode(&claim));
        }
        let (watch, ..) = node.watch.clone().unwrap();
        node.give(Input::Watch(watch, WatchEvent::Lost));
        node.settle();
        assert_eq!(patience(&mut node), expected, "written: {written}");
    }
}

#[test]
fn a_node_that_was_taken_before_it_could_count_starts_over() {
    let mut node = Node::new(settings());
    let count = node.until_sending("queued");
    node.delete("/r/claims/n0");
    node.pass(count);
    assert_eq!(node.machine.view().state, "leaving");
}

/// What a tool, or a group whose key lies below this one, may have written among the claims.
const FOREIGN: [&str; 9] = [
    "nodes/x1",
    "claims/x1",
    "pause",
    "cooldown",
    "history/t-x",
    "a b",
    "x\n",
    "\u{e9}",
    "",
];

#[test]
fn keys_that_name_no_node_are_before_nobody_and_are_told() {
    for keys in [&FOREIGN[..1], &FOREIGN[..]] {
        let mut node = Node::new(settings());
        for key in keys {
            node.put(&format!("/r/claims/{key}"), "not ours");
        }
        node.until("reboot");
        assert!(node.said("foreign_key", "/r/claims/"), "{:?}", node.notes);
        assert!(node.said("queued", "0 before this node"));
    }
}

#[test]
fn a_claim_behind_many_keys_that_are_none_still_counts() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Rebooting);
    for number in 0..40 {
        for key in FOREIGN {
            node.put(&format!("/r/claims/x/{number}/{key}"), "not ours");
        }
    }
    node.until_state("queued");
    node.settle();
    assert_eq!(node.machine.view().ahead, Some((1, false)));
    deleted(&mut node, "/r/claims/x/7/");
    assert_eq!(node.machine.view().ahead, Some((1, false)));
    deleted(&mut node, "/r/claims/a");
    node.until("reboot");
}
