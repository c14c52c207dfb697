//! One machine by hand, action by action, where the histories do not look: the words of its records and notes, its pauses, and
//! answers that nobody waits for.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

use std::time::Duration;

use etcd_rs_sync::{Error, Reply};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Mode, Refusal, Settings, State, Ticket, WatchEvent};
use reboot_coordinator::lock::{Claim, Domains, Phase};
use simulation::by_hand::{Node, detector, ended, name, settings, unreachable};

#[test]
fn the_claim_says_the_same_of_its_node_from_the_queue_to_the_reboot() {
    let mut node = Node::new(settings());
    let Action::Reboot(_, _, facts) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    let claims = node.claims("n0");
    let phases: Vec<Phase> = claims.iter().map(|claim| claim.phase).collect();
    assert_eq!(phases, [Phase::Queued, Phase::Draining, Phase::Rebooting]);
    for claim in &claims {
        let expected = Claim {
            v: 1,
            node: "n0".to_owned(),
            node_id: "machine-0".to_owned(),
            boot_id: "boot-1".to_owned(),
            limit: 1,
            domains: Domains::default(),
            reasons: vec!["kernel".to_owned()],
            version: "0.1.0".to_owned(),
            session: claims[0].session.clone(),
            since: claims[0].since.clone(),
            committed_at: claims[1]
                .committed_at
                .clone()
                .filter(|_| claim.phase.committed()),
            attempts: u32::from(claim.phase.committed()),
            patience_sec: Some(60),
            drain_sec: Some(60),
            passed: Vec::new(),
            target: None,
            phase: claim.phase,
        };
        assert_eq!(*claim, expected);
    }
    assert_eq!(claims[0].session.len(), 32);
    assert!(claims[1].committed_at.is_some());
    // Before the queue the scripts hear of no claim, after it of the first attempt.
    let held: Vec<(&str, bool, u32)> = node
        .told
        .iter()
        .map(|(kind, facts)| (*kind, facts.held, facts.attempts))
        .collect();
    assert_eq!(
        held,
        [("health", false, 0), ("health", true, 1), ("hook", true, 1)]
    );
    assert!(
        node.told
            .iter()
            .all(|(_, facts)| facts.reasons == ["kernel"])
    );
    assert!(facts.held && facts.attempts == 1 && facts.reasons == ["kernel"]);
    let held = node.machine.held().expect("the claim is this node's");
    assert_eq!(held.claim, claims[2]);
    assert!(!matches!(node.machine.state(), State::Idle(_)));
}

#[test]
fn a_failed_request_is_repeated_after_pauses_that_double_up_to_the_longest() {
    let mut node = Node::new(settings());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let Action::Etcd(ticket, _) = node.next_action() else {
            panic!("the self-test is a request");
        };
        node.answer(ticket, Err(unreachable()));
        pauses.push(node.machine.wake_at().unwrap() - node.now);
    }
    for (pause, longest) in pauses.iter().zip([2, 4, 8, 16, 20, 20, 20, 20]) {
        let longest = Duration::from_secs(longest);
        assert!(longest / 2 <= *pause && *pause <= longest, "{pauses:?}");
    }
    assert_ne!(pauses[4], pauses[5], "a little chance is in them");
    assert!(node.said("etcd_error", "nobody listens"));
    let Action::Etcd(ticket, _) = node.next_action() else {
        panic!("it goes on");
    };
    node.give(Input::Etcd(ticket, Ok(Reply::Revoke(Default::default()))));
    assert!(matches!(node.next_action(), Action::Etcd(..)));
    assert!(node.said("etcd_error", "makes no sense"));
}

#[test]
fn once_gives_up_after_three_repetitions_and_a_daemon_does_not() {
    let once = Mode::Once {
        wait: Duration::from_secs(60),
    };
    for (mode, requests) in [(once, Some(4)), (Mode::Daemon, None)] {
        let mut node = Node::new(Settings { mode, ..settings() });
        let mut sent = 0;
        while sent < 20 {
            match node.next_action() {
                Action::Etcd(ticket, _) => {
                    sent += 1;
                    node.answer(ticket, Err(unreachable()));
                }
                Action::Exit(code) => {
                    assert_eq!((Some(sent), code), (requests, 1));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, requests.unwrap_or(20));
        assert_eq!(node.said("gave_up", "gave up"), requests.is_some());
    }
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut node = Node::new(settings());
    let Action::Detect(ticket) = node.until("detect") else {
        unreachable!("it was waited for");
    };
    for other in [Ticket(ticket.0 - 1), Ticket(ticket.0 + 1)] {
        node.give(Input::Detected(other, Vec::new()));
        node.give(Input::Host(
            other,
            Some(Refusal::KillSwitch("the file is there".to_owned())),
        ));
        node.give(Input::Script(other, ended(ScriptOutcome::Exited(1))));
        node.give(Input::RebootCommand(other, ended(ScriptOutcome::Exited(0))));
        node.give(Input::Etcd(other, Err(Error::LeaseNotFound)));
        node.give(Input::Watch(other, WatchEvent::Lost));
        assert!(node.machine.next_action().is_none());
    }
    node.perform(Action::Detect(ticket));
    node.until("reboot");
}

#[test]
fn a_stop_ends_the_script_that_runs_but_not_the_reboot_command() {
    for (at, cancels) in [
        ("health", true),
        ("hook", true),
        ("reboot", false),
        ("etcd", false),
    ] {
        let mut node = Node::new(settings());
        let _ = node.until(at); // it is under way and does not end
        node.give(Input::Stop);
        let mut cancelled = false;
        while let Some(action) = node.machine.next_action() {
            cancelled |= name(&action) == "cancel";
        }
        assert_eq!(cancelled, cancels, "{at}");
    }
}

#[test]
fn a_node_follows_the_queue_until_its_turn_and_no_longer() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    let watch = node.until("watch");
    node.perform(watch);
    assert_eq!(node.machine.view().state, "queued");
    assert!(!node.done.contains(&"hook"));
    node.delete("/r/claims/a");
    let (ticket, ..) = node.watch.clone().expect("it watches");
    node.done.clear();
    let gone = WatchEvent::Deleted(b"/r/claims/a".to_vec());
    node.give(Input::Watch(ticket, gone));
    node.until("reboot");
    assert_eq!(
        node.done.iter().filter(|name| **name == "unwatch").count(),
        1
    );
    assert_eq!(node.watch, None);
}

#[test]
fn a_pass_that_ends_is_the_moment_for_a_new_configuration() {
    let mut node = Node::new(settings());
    let Action::Detect(ticket) = node.until("detect") else {
        unreachable!("it was waited for");
    };
    assert!(!matches!(node.machine.state(), State::Idle(_)));
    assert_eq!(node.machine.held(), None);
    let clear = detector(DetectorResult::Clear);
    node.give(Input::Detected(ticket, vec![clear]));
    for _ in 0..10 {
        if matches!(node.machine.state(), State::Idle(_)) {
            break;
        }
        node.step();
    }
    assert!(matches!(node.machine.state(), State::Idle(_)));
    assert_eq!(node.machine.settings(), &settings());
}
