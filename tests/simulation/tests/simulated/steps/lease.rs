//! The session lease: when it is renewed, and when the place counts as lost. It lasts 30 seconds here.

use std::time::Duration;

use etcd_rs_sync::{Error, KeepAliveReply, Reply};
use reboot_coordinator::core::{Action, Input, Refusal, Settings, Ticket, WatchEvent};
use reboot_coordinator::lock::Phase;
use simulation::by_hand::{Node, settings, unreachable};

/// Granted now, behind another node.
fn waiting() -> Node {
    let mut node = Node::new(Settings {
        check_interval: Duration::from_secs(3600),
        ..settings()
    });
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.settle();
    node
}

fn renewal(node: &mut Node) -> Ticket {
    let Action::Renew(ticket, _) = node.next_action() else {
        panic!("a renewal is due");
    };
    ticket
}

fn answered(node: &mut Node, ticket: Ticket, ttl_sec: Option<i64>) {
    let reply = KeepAliveReply {
        ttl_sec,
        ..KeepAliveReply::default()
    };
    node.give(Input::Renewed(ticket, Ok(Reply::KeepAlive(reply))));
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_third_of_the_lease_passes_before_a_renewal_and_seven_eighths_before_the_place_is_lost() {
    let mut node = waiting();
    assert_eq!(node.pause(), MS(10_000));
    renewal(&mut node);
    assert_eq!(node.pause(), MS(16_250));
    node.wait(MS(16_249));
    assert_eq!(node.machine.view().state, "queued");
    node.wait(MS(1));
    assert_eq!(node.machine.view().state, "leaving");
    node.until_state("idle");
    assert_eq!(
        node.machine.view().refusal,
        Some(Refusal::Lost(
            "the lease was not renewed in time".to_owned()
        ))
    );
}

#[test]
fn a_renewal_counts_from_when_it_was_sent_and_never_for_more_than_was_granted() {
    for ttl in [30, 1000] {
        let mut node = waiting();
        let ticket = renewal(&mut node);
        node.now += MS(2000);
        answered(&mut node, ticket, Some(ttl));
        assert_eq!(node.pause(), MS(8000));
        node.wait(MS(7000));
        let (watch, ..) = node.watch.clone().unwrap();
        node.give(Input::Watch(watch, WatchEvent::Lost)); // the next count is far away
        node.settle();
        renewal(&mut node);
        assert_eq!(node.pause(), MS(16_250));
    }
}

#[test]
fn a_renewal_that_failed_is_repeated_soon() {
    let errors: [Error; 2] = [unreachable(), Error::LeaseNotFound];
    for error in errors {
        let mut node = waiting();
        let ticket = renewal(&mut node);
        node.give(Input::Renewed(ticket, Err(error)));
        assert_eq!(node.pause(), MS(3750));
        assert_eq!(node.machine.view().state, "queued");
    }
}

#[test]
fn an_answer_that_the_lease_is_gone_ends_the_place_at_once() {
    for ttl in [None, Some(0), Some(-1)] {
        let mut node = waiting();
        let ticket = renewal(&mut node);
        answered(&mut node, Ticket(ticket.0 + 1), ttl);
        assert_eq!(node.machine.view().state, "queued", "that was another");
        answered(&mut node, ticket, ttl);
        assert_eq!(node.machine.view().state, "leaving");
    }
}

/// The commit takes the claim off its lease; whether it did is for the commit's answer to say.
#[test]
fn what_becomes_of_the_lease_while_the_commit_is_under_way_changes_nothing() {
    let mut node = waiting();
    let ticket = renewal(&mut node);
    node.delete("/r/claims/a");
    let (watch, ..) = node.watch.clone().unwrap();
    let gone = reboot_coordinator::core::WatchEvent::Deleted(b"/r/claims/a".to_vec());
    node.give(Input::Watch(watch, gone));
    let commit = node.until_sending("committing");
    answered(&mut node, ticket, None);
    node.wait(MS(60_000));
    assert_eq!(node.machine.view().state, "committing");
    node.pass(commit);
    node.until("reboot");
}
