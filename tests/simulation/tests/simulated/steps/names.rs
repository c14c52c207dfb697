//! A host that is called otherwise than before: its registration, its place, what it has used up.

use std::time::Duration;

use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Action, Input, Refusal, Reload, Settings, State};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{NodeRecord, Phase};
use simulation::by_hand::{Node, denied, detector, settings, unreachable};

use super::identity::{idle, of_boot};

/// The same node with another name.
fn renamed(node: &mut Node, name: &str) {
    is_named(node, name, "boot-1");
    node.until_state("idle");
}

#[test]
fn a_node_that_has_another_name_leaves_no_member_of_the_old_one_behind() {
    let mut node = idle();
    assert!(node.stands("/r/nodes/n0").is_some());
    renamed(&mut node, "web");
    assert!(node.stands("/r/nodes/web").is_some());
    assert!(node.stands("/r/nodes/n0").is_none());
}

#[test]
fn what_a_node_says_of_itself_is_not_said_under_its_old_name() {
    let named = |name: &str| Settings {
        node: name.to_owned(),
        health_publish_interval: Some(Duration::from_secs(30)),
        ..of_boot("boot-1")
    };
    let mut node = Node::new(named("n0"));
    node.elder("n9", Phase::Rebooting);
    let says = |node: &mut Node, key: &str| {
        let until = node.now + settings().check_interval;
        while node.stands(key).is_none() && node.now < until {
            node.step();
        }
        node.stands(key).is_some()
    };
    node.until_state("queued");
    assert!(says(&mut node, "/r/standing/n0"));
    node.reload(named("web"));
    assert!(says(&mut node, "/r/standing/web"));
    assert!(node.stands("/r/standing/n0").is_none());
}

#[test]
fn the_old_name_stays_where_something_else_of_it_stands() {
    for key in ["/r/claims/n0", "/r/line/failed/n0"] {
        let mut node = idle();
        node.put(key, "{}");
        renamed(&mut node, "web");
        assert!(node.stands("/r/nodes/web").is_some());
        assert!(node.stands("/r/nodes/n0").is_some(), "{key}");
    }
}

/// Until the next check has ended; how many requests it took.
fn checks(node: &mut Node) -> usize {
    let before = node.done.len();
    let detect = node.until("detect");
    node.perform(detect);
    while !matches!(node.machine.state(), State::Idle(Some(_))) {
        node.step();
    }
    let done = node.done.iter().skip(before);
    done.filter(|name| **name == "etcd").count()
}

#[test]
fn the_old_name_goes_when_nothing_keeps_it_any_more_and_nothing_is_written_before() {
    for key in ["/r/claims/n0", "/r/line/failed/n0"] {
        let mut node = idle();
        node.put(key, "{}");
        is_named(&mut node, "web", "boot-1");
        checks(&mut node);
        let written = node.put("/r/other", "");
        for _ in 0..3 {
            checks(&mut node);
        }
        // One more write is the next revision.
        assert_eq!(node.put("/r/other", ""), written + 1);
        assert!(node.stands("/r/nodes/n0").is_some(), "{key}");
        node.delete(key);
        checks(&mut node);
        assert!(node.stands("/r/nodes/n0").is_none(), "{key}");
        assert_eq!(checks(&mut node), 1, "it goes on asking");
    }
}

#[test]
fn the_old_name_is_left_to_another_machine_that_has_it_now() {
    let mut node = idle();
    node.put("/r/claims/n0", "{}");
    is_named(&mut node, "web", "boot-1");
    checks(&mut node);
    let other = node.put("/r/nodes/n0", "another machine's");
    node.delete("/r/claims/n0");
    checks(&mut node);
    let stands = node.stands("/r/nodes/n0");
    assert_eq!(stands.map(|kv| kv.mod_revision), Some(other));
    assert_eq!(checks(&mut node), 1, "it goes on asking");
}

#[test]
fn what_was_used_up_under_a_name_that_is_kept_is_made_whole_once() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_state("idle");
    is_named(&mut node, "web", "boot-2");
    checks(&mut node);
    assert!(node.stands("/r/nodes/n0").is_some());
    node.detectors = vec![detector(DetectorResult::Clear)];
    checks(&mut node);
    let written = node.stands("/r/nodes/web").map(|kv| kv.mod_revision);
    checks(&mut node);
    checks(&mut node);
    assert_eq!(
        node.stands("/r/nodes/web").map(|kv| kv.mod_revision),
        written
    );
}

#[test]
fn a_host_that_may_not_take_its_old_name_away_goes_on_and_tries_again() {
    let mut node = idle();
    node.put("/r/claims/n0", "{}");
    is_named(&mut node, "web", "boot-1");
    checks(&mut node);
    node.delete("/r/claims/n0");
    let ticket = loop {
        let (ticket, request) = node.until_sending("idle");
        if matches!(node.machine.state(), State::Unregistering(_)) {
            break ticket;
        }
        node.perform(Action::Etcd(ticket, request));
    };
    node.answer(ticket, Err(denied()));
    assert!(matches!(
        node.machine.state(),
        State::Idle(Some(Refusal::NotRequired))
    ));
    checks(&mut node);
    assert!(node.stands("/r/nodes/n0").is_none());
}

#[test]
fn a_node_below_wave_0_that_has_another_name_leaves_no_wave_of_the_old_one_behind() {
    let in_wave = |name: &str| Settings {
        node: name.to_owned(),
        wave: -1,
        ..of_boot("boot-1")
    };
    let mut node = Node::new(in_wave("n0"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.stands("/r/waves/n0").is_some());
    node.reload(in_wave("web"));
    node.until_state("idle");
    assert!(node.stands("/r/waves/web").is_some());
    assert!(node.stands("/r/waves/n0").is_none());
}

/// A process that has just begun does not know yet what an earlier one left under the name.
#[test]
fn a_name_that_changes_before_the_claim_is_read_waits_until_that_claim_is_given_back() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    is_named(&mut node, "web", "boot-2");
    node.until_state("idle");
    assert!(node.claim().is_none());
    assert!(node.stands("/r/nodes/web").is_some());
    assert!(node.stands("/r/nodes/n0").is_none());
}

/// The same node is told of another name, and goes on.
fn is_named(node: &mut Node, name: &str, boot: &str) {
    node.reload(Settings {
        node: name.to_owned(),
        ..of_boot(boot)
    });
}

#[test]
fn one_request_registers_the_new_name_and_takes_the_old_one_away() {
    let mut node = idle();
    is_named(&mut node, "web", "boot-1");
    // Its answer is lost once: it is asked again, as nothing that is sent without waiting for an answer would be.
    let sent = loop {
        let (ticket, request) = node.until_sending("starting");
        if matches!(node.machine.state(), State::Registering(_)) {
            break (ticket, request);
        }
        node.perform(Action::Etcd(ticket, request));
    };
    node.answer(sent.0, Err(unreachable()));
    while node.stands("/r/nodes/web").is_none() {
        assert!(node.stands("/r/nodes/n0").is_some());
        node.step();
    }
    assert!(node.stands("/r/nodes/n0").is_none());
}

#[test]
fn a_name_that_comes_back_to_a_registration_of_this_host_takes_the_other_one_away_too() {
    let mut node = idle();
    let before = node.registration();
    renamed(&mut node, "web");
    node.put("/r/nodes/n0", encode(&before));
    renamed(&mut node, "n0");
    assert!(node.stands("/r/nodes/n0").is_some());
    assert!(node.stands("/r/nodes/web").is_none());
}

#[test]
fn another_name_does_not_make_the_budget_whole() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_state("idle");
    assert_eq!(node.registration().budget_used, 1);
    // What failed is seen to; what asks for the reboot is not.
    node.delete("/r/line/failed/n0");
    is_named(&mut node, "web", "boot-2");
    node.until_state("idle");
    let record = node.stands("/r/nodes/web").map(|kv| decode(&kv.value));
    assert!(matches!(
        record,
        Some(Ok(NodeRecord { budget_used: 1, .. }))
    ));
    assert!(node.stands("/r/nodes/n0").is_none());
}

#[test]
fn a_failure_under_the_old_name_is_over_when_the_budget_is_whole() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_state("idle");
    is_named(&mut node, "web", "boot-2");
    node.until_state("idle");
    assert!(node.stands("/r/line/failed/n0").is_some());
    node.detectors = vec![detector(DetectorResult::Clear)];
    while !node.said("budget_reset", "") {
        node.step();
    }
    node.until_state("idle");
    for key in ["/r/line/failed/n0", "/r/nodes/n0"] {
        assert!(node.stands(key).is_none(), "{key}");
    }
}

#[test]
fn another_group_does_not_make_the_budget_whole() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_state("idle");
    node.give(Input::Reload(Box::new(Reload {
        settings: Settings {
            keys: reboot_coordinator::lock::Keys::new("", "/other"),
            ..of_boot("boot-2")
        },
        drains_otherwise: false,
        elsewhere: true,
    })));
    node.until_state("idle");
    let record = node.stands("/other/nodes/n0");
    let record: NodeRecord = decode(&record.expect("it is a member").value).unwrap();
    assert_eq!(record.budget_used, 1);
    assert!(node.said("blocked", "not cleared"));
}

#[test]
fn a_name_that_this_host_had_before_is_registered_with_what_the_other_one_has_used_up() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_state("idle");
    let used = node.registration();
    assert_eq!(used.budget_used, 1);
    node.put(
        "/r/nodes/web",
        encode(&NodeRecord {
            node: "web".to_owned(),
            budget_used: 0,
            ..used
        }),
    );
    is_named(&mut node, "web", "boot-2");
    node.until_state("idle");
    let record = node.stands("/r/nodes/web").map(|kv| decode(&kv.value));
    assert!(matches!(
        record,
        Some(Ok(NodeRecord { budget_used: 1, .. }))
    ));
}

/// As `%H` is `localhost` at an early boot, and right a little later.
#[test]
fn a_name_that_is_right_only_after_the_boot_gives_the_claim_back_and_leaves_no_member() {
    let named = |name: &str| Settings {
        node: name.to_owned(),
        ..of_boot("boot-2")
    };
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(named("localhost"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.stands("/r/nodes/localhost").is_some() && node.claim().is_some());
    is_named(&mut node, "n0", "boot-2");
    while node.claim().is_some() {
        node.step();
    }
    let released = node.now;
    while node.stands("/r/nodes/localhost").is_some() {
        node.step();
    }
    assert!(node.stands("/r/nodes/n0").is_some());
    assert!(node.now - released <= settings().check_interval * 3 / 2);
}
