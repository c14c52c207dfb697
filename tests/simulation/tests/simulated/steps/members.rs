//! When the members are read, in a small fleet and in a large one.

use std::time::Duration;

use etcd_rs_sync::{Error, Op, RangeReply, Reply, Request};
use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::settings::Mode;
use reboot_coordinator::core::{Action, Refusal, Settings, State};
use reboot_coordinator::lock::record::{RebootRequest, encode};
use simulation::by_hand::{Node, settings, unreachable};
use simulation::records::{member, report, request};

const CHECK: Duration = Duration::from_secs(100);

/// A member of three, of which so many pass for many, while this one and another report that they are healthy.
fn one_of_three(least: u32, many_members: u32) -> Node {
    let mut node = Node::new(Settings {
        check_interval: CHECK,
        many_members,
        policies: Some(Policies {
            min_healthy_absolute: Some(least),
            ..Policies::default()
        }),
        ..settings()
    });
    for other in ["n1", "n2"] {
        node.put(&format!("/r/nodes/{other}"), encode(&member(other)));
    }
    well(&mut node, "n1");
    node
}

fn well(node: &mut Node, other: &str) {
    node.put(&format!("/r/alive/{other}"), encode(&report(other, true)));
}

/// What is asked until the machine has come to one of these states: whether members are counted, read, or neither.
fn asked(node: &mut Node, states: &[&str]) -> Vec<&'static str> {
    let mut asked = Vec::new();
    for _ in 0..400 {
        let action = node.next_action();
        if let Action::Etcd(_, request) = &action {
            let reads =
                |op: &Op| matches!(op, Op::Range(range) if range.keys.key.ends_with(b"/alive/"));
            match request {
                Request::Range(range) if range.count_only => asked.push("counted"),
                Request::Txn(txn) if txn.success.iter().any(reads) => asked.push("read"),
                _ => {}
            }
        }
        node.perform(action);
        if states.contains(&node.machine.view().state) {
            return asked;
        }
    }
    panic!("not {states:?} but {:?}", node.machine.state());
}

/// One pass: from idle, or the start, to the queue or back.
fn pass(node: &mut Node) -> Vec<&'static str> {
    if node.machine.view().state == "idle" {
        asked(node, &["checking"]);
    }
    asked(node, &["idle", "entering", "queued"])
}

fn refused(node: &Node) -> String {
    match node.machine.state() {
        State::Idle(Some(Refusal::Policy(why))) => why.clone(),
        other => panic!("{other:?}"),
    }
}

fn policies(node: &Node) -> (&'static str, String) {
    let verdicts = node.machine.verdicts();
    let said = verdicts
        .iter()
        .find(|said| said.gate == "policies")
        .unwrap();
    (said.verdict.as_str(), said.text.clone())
}

fn reload(node: &mut Node, settings: Settings) {
    node.reload(settings);
}

#[test]
fn in_a_small_fleet_the_members_are_read_at_each_check_and_counted_once() {
    let mut node = one_of_three(2, 4);
    assert_eq!(pass(&mut node), ["counted", "read"]);
    assert_eq!(
        refused(&node),
        "1 of 3 members would stay healthy, min_healthy_absolute is 2"
    );
    assert_eq!(pass(&mut node), ["read"]);
    assert_eq!(policies(&node).0, "blocks");
    well(&mut node, "n2");
    assert_eq!(pass(&mut node), ["read"]);
    assert_eq!(policies(&node).0, "ok");
    node.until("reboot");
}

#[test]
fn in_a_large_fleet_they_are_read_at_the_head_of_the_queue() {
    let mut node = one_of_three(1, 3);
    assert_eq!(pass(&mut node), ["counted"]);
    let (word, why) = policies(&node);
    assert_eq!(word, "not asked");
    assert_eq!(
        why,
        "judged at the head of the queue, because there are 3 members"
    );
    assert_eq!(asked(&mut node, &["committing"]), ["read"]);
    assert_eq!(policies(&node).0, "ok");
    node.until("reboot");
}

#[test]
fn who_was_refused_in_a_large_fleet_reads_them_again_now_and_then() {
    // Three times as many as make a crowd: within nine checks, and not before half of them.
    let mut node = one_of_three(2, 1);
    assert_eq!(pass(&mut node), ["counted"]);
    assert_eq!(asked(&mut node, &["idle"]), ["read"]);
    let begun = node.now;
    let first = refused(&node);
    assert!(
        first.contains("1 of 3 members would stay healthy"),
        "{first}"
    );
    assert!(first.contains("reads them again at "), "{first}");
    let mut passes = 0;
    loop {
        passes += 1;
        let read = pass(&mut node);
        assert_eq!(policies(&node).0, "blocks");
        if !read.is_empty() {
            break;
        }
        assert_eq!(refused(&node), first, "what was read stands");
    }
    let spent = node.now - begun;
    assert!(CHECK * 9 / 2 <= spent && spent <= CHECK * 10, "{spent:?}");
    assert!((4..=20).contains(&passes), "{passes}");
    // Once they allow it, that read lets it join, and they are read again at the head.
    well(&mut node, "n2");
    while pass(&mut node).is_empty() {}
    assert_eq!(asked(&mut node, &["committing"]), ["read"]);
}

#[test]
fn a_request_for_this_node_is_worth_a_look_at_once() {
    let mut node = one_of_three(2, 1);
    pass(&mut node);
    asked(&mut node, &["idle"]);
    for by in ["eva", "ada"] {
        let request = RebootRequest {
            by: by.to_owned(),
            ..request()
        };
        node.put("/r/requests/n0", encode(&request));
        // It is seen with what else the gates read, and they are judged again once it is marked as seen.
        assert_eq!(pass(&mut node), ["read"]);
        assert_eq!(pass(&mut node), [""; 0]);
    }
}

#[test]
fn a_refusal_ends_with_the_configuration_by_which_it_was_judged() {
    let mut node = one_of_three(2, 1);
    pass(&mut node);
    asked(&mut node, &["idle"]);
    assert_eq!(pass(&mut node), [""; 0]);
    let mut settings = node.machine.settings().clone();
    settings.policies.as_mut().unwrap().min_healthy_absolute = Some(1);
    reload(&mut node, settings);
    let before = node.now;
    assert_eq!(asked(&mut node, &["committing"]), ["read"]);
    assert!(node.now - before < CHECK);
}

#[test]
fn how_many_there_are_is_asked_again_after_an_answer_that_says_nothing() {
    let none = || Reply::Txn(etcd_rs_sync::TxnReply::default());
    for answer in [Err(unreachable()), Ok(none())] {
        let mut node = one_of_three(1, 4);
        let (ticket, request) = loop {
            let sent = node.until_sending("checking");
            if matches!(sent.1, Request::Range(_)) {
                break sent;
            }
            node.pass(sent);
        };
        assert!(matches!(request, Request::Range(range) if range.count_only));
        node.answer(ticket, answer);
        node.until_state("idle");
        assert!(matches!(
            node.machine.state(),
            State::Idle(Some(Refusal::Etcd(_)))
        ));
        assert_eq!(pass(&mut node), ["counted", "read"]);
    }
}

/// It only says who reads when; whether they allow the reboot is judged on what is read.
#[test]
fn a_number_that_is_wrong_lets_nobody_past_the_policies() {
    for count in [0, 1, i64::MAX, -1] {
        let mut node = one_of_three(2, 4);
        let ticket = loop {
            let (ticket, request) = node.until_sending("checking");
            if matches!(request, Request::Range(_)) {
                break ticket;
            }
            node.pass((ticket, request));
        };
        let answer: Result<Reply, Error> = Ok(Reply::Range(RangeReply {
            count,
            ..RangeReply::default()
        }));
        node.answer(ticket, answer);
        for _ in 0..3 {
            node.until_state("idle");
            assert!(refused(&node).contains("1 of 3 members would stay healthy"));
            asked(&mut node, &["checking"]);
        }
        assert!(node.stands("/r/claims/n0").is_none());
    }
}

#[test]
fn another_group_is_counted_anew() {
    let mut node = one_of_three(2, 3);
    pass(&mut node);
    asked(&mut node, &["idle"]);
    let mut other = node.machine.settings().clone();
    other.keys = reboot_coordinator::lock::Keys::new("", "/other");
    reload(&mut node, other);
    assert_eq!(pass(&mut node), ["counted", "read"]);
    let why = refused(&node);
    assert!(why.contains("0 of 1 members would stay healthy"), "{why}");
}

#[test]
fn a_node_that_looks_at_each_check_does_not_say_that_it_looks_later() {
    let mut node = one_of_three(1, 1);
    loop {
        match node.next_action() {
            Action::Reboot(..) => break,
            other => node.perform(other),
        }
    }
    node.delete("/r/alive/n1");
    asked(&mut node, &["holding"]);
    let text = |node: &Node| match node.machine.state() {
        State::Holding(_, Refusal::Policy(why)) => why.clone(),
        other => panic!("{other:?}"),
    };
    let first = text(&node);
    assert!(!first.contains("again at"), "{first}");
    let begun = node.now;
    asked(&mut node, &["rebooting"]);
    assert_eq!(asked(&mut node, &["holding"]), ["read"]);
    assert!(node.now < begun + CHECK * 2);
    assert_eq!(text(&node), first);
    // A pass of `--once` looks once.
    let node = one_of_three(2, 1);
    let once = Settings {
        mode: Mode::Once {
            wait: Duration::ZERO,
        },
        ..node.machine.settings().clone()
    };
    let mut node = node.followed_by(once);
    node.until("exit");
    let told = &node.last("blocked").msg;
    assert!(told.contains("would stay healthy"), "{told}");
    assert!(!told.contains("again at"), "{told}");
}
