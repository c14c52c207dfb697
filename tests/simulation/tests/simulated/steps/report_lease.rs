//! The lease of what a node says of itself: asked for, renewed, lost, given back.

use std::time::Duration;

use etcd_rs_sync::{Error, KeepAliveReply, Reply, Request};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Settings};
use simulation::by_hand::{Node, denied, detector, settings, unreachable};

use super::reports::{reported, reporting, until_report};

#[test]
fn a_request_of_the_report_that_failed_is_repeated_later_each_time() {
    let mut node = reporting();
    let mut asked: Option<(Duration, u128)> = None;
    for longest in [2000, 4000, 8000, 16_000, 20_000, 20_000] {
        let (ticket, _) = until_report(&mut node);
        if let Some((since, most)) = asked {
            let pause = (node.now - since).as_millis();
            assert!((most / 2..=most).contains(&pause), "{pause}");
        }
        asked = Some((node.now, longest));
        node.give(Input::Reported(ticket, Err(unreachable())));
    }
}

#[test]
fn a_lease_of_the_report_that_is_gone_is_asked_for_again_and_the_report_written_anew() {
    for ttl_sec in [None, Some(0), Some(-1)] {
        let mut node = reported();
        let lease = node.stands("/r/alive/n0").unwrap().lease;
        let begun = node.now;
        let (ticket, request) = until_report(&mut node);
        assert_eq!(request, Request::KeepAlive { id: lease });
        assert_eq!((node.now - begun).as_secs(), 20, "two thirds of its TTL");
        node.delete("/r/alive/n0");
        let reply = KeepAliveReply {
            ttl_sec,
            ..KeepAliveReply::default()
        };
        node.give(Input::Reported(ticket, Ok(Reply::KeepAlive(reply))));
        while node.stands("/r/alive/n0").is_none() {
            node.step();
        }
        assert_ne!(node.stands("/r/alive/n0").unwrap().lease, lease);
        assert_eq!(node.now, begun + Duration::from_secs(20), "at once");
    }
}

/// A late copy of the grant answers to the old id, and the report that stood under it is gone.
#[test]
fn a_lease_of_the_report_that_was_not_renewed_for_its_ttl_is_not_trusted_again() {
    let mut node = reported();
    let (begun, ttl) = (node.now, settings().lock_ttl);
    loop {
        let (ticket, request) = until_report(&mut node);
        if node.now >= begun + ttl {
            assert!(matches!(request, Request::Grant { .. }), "{request:?}");
            break;
        }
        assert!(matches!(request, Request::KeepAlive { .. }), "{request:?}");
        node.give(Input::Reported(ticket, Err(unreachable())));
    }
}

#[test]
fn a_node_that_stops_takes_its_report_back_even_when_its_lease_was_only_asked_for() {
    let mut node = reporting();
    let (_, Request::Grant { id, .. }) = until_report(&mut node) else {
        panic!("a lease comes first");
    };
    node.give(Input::Stop);
    let mut revoked = Vec::new();
    while let Some(action) = node.due() {
        match action {
            Action::Farewell(Request::Revoke { id }) => revoked.push(id),
            Action::Monitor(..) | Action::Report(..) => panic!("it stops"),
            _ => {}
        }
    }
    assert_eq!(revoked, [id]);
    node.wait(Duration::from_secs(20));
    assert!(matches!(node.due(), Some(Action::Exit(0))));
    assert!(node.due().is_none(), "nothing is reported any more");
}

#[test]
fn a_report_whose_lease_was_lost_before_it_was_written_is_written_under_another() {
    let mut node = reporting();
    let grant = until_report(&mut node);
    node.perform(Action::Report(grant.0, grant.1));
    let (ticket, _) = until_report(&mut node);
    node.give(Input::Reported(ticket, Err(Error::LeaseNotFound)));
    let (_, request) = until_report(&mut node);
    assert!(matches!(request, Request::Grant { .. }));
}

/// When two thirds of its time are over, or with what wakes the node once half of it is.
#[test]
fn a_lease_is_renewed_in_time_and_along_with_what_wakes_the_node() {
    for (publishes, renewed) in [(3600, 20), (16, 16)] {
        let mut node = Node::new(Settings {
            health_publish_interval: Some(Duration::from_secs(publishes)),
            check_interval: Duration::from_secs(3600),
            ..settings()
        });
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until_state("idle");
        node.settle();
        let begun = node.now;
        let (_, request) = until_report(&mut node);
        assert!(matches!(request, Request::KeepAlive { .. }), "{request:?}");
        assert_eq!((node.now - begun).as_secs(), renewed);
    }
}

/// A full database takes renewals and no writes.
#[test]
fn a_write_that_is_refused_again_and_again_does_not_cost_the_lease() {
    let mut node = reported();
    node.health = ScriptOutcome::Exited(2);
    let ttl = settings().lock_ttl;
    let (begun, mut renewed, mut refused) = (node.now, node.now, 0);
    while node.now < begun + 10 * ttl {
        match node.next_action() {
            Action::Report(ticket, Request::Txn(_)) => {
                refused += 1;
                node.give(Input::Reported(ticket, Err(denied())));
            }
            action => {
                if matches!(&action, Action::Report(_, Request::KeepAlive { .. })) {
                    renewed = node.now;
                }
                node.perform(action);
            }
        }
        assert!(node.now - renewed <= ttl * 2 / 3, "{:?}", node.now - begun);
    }
    assert!((10..200).contains(&refused), "{refused}");
    assert!(node.stands("/r/alive/n0").is_some());
}
