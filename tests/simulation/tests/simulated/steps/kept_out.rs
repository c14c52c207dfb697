//! A node that others keep out of the queue: what it does about those of them that never return.

use std::time::Duration;

use etcd_rs_sync::Request;
use jiff::Timestamp;
use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::{Action, Input, Settings, State};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, Failure, FailureKind, History, Phase};
use simulation::by_hand::{Node, settings, unknown};
use simulation::records::{failure, report};

use super::waves::register;

const HOLD: Duration = Duration::from_secs(1000);

fn impatient() -> Settings {
    Settings {
        hold_timeout: Some(HOLD),
        ..settings()
    }
}

/// Two of the members have to be healthy, and there is no other than this one.
fn with_policies(settings: Settings) -> Settings {
    Settings {
        policies: Some(Policies {
            min_healthy_absolute: Some(2),
            ..Policies::default()
        }),
        ..settings
    }
}

/// A node that goes down, of which it is known that its reboot failed.
fn failed(node: &mut Node) {
    let claim = node.elder("a", Phase::Rebooting);
    let failure = Failure {
        claim,
        kind: FailureKind::NotBack,
        detail: "not back".to_owned(),
        by: Some("b".to_owned()),
        ..failure("a")
    };
    node.put("/r/line/failed/a", encode(&failure));
}

fn healthy(node: &mut Node) {
    node.put("/r/alive/a", encode(&report("a", true)));
}

/// How long the claim of the other one stands, at most so long; whether this node ever joined the queue meanwhile.
fn stands(node: &mut Node, at_most: Duration) -> (Duration, bool) {
    let (began, mut joined) = (node.now, false);
    while node.stands("/r/claims/a").is_some() && node.now < began + at_most {
        node.step();
        joined |= node.claim().is_some();
    }
    (node.now - began, joined)
}

#[test]
fn who_is_kept_out_by_a_failure_or_by_policies_takes_the_claim_away_in_time_and_only_then() {
    type Closes = fn(&mut Node);
    let by_failure: Closes = failed;
    let by_policies: Closes = |node| {
        node.elder("a", Phase::Rebooting);
    };
    let by_wave: Closes = |node| {
        register(node, "a", -1);
        node.elder("a", Phase::Rebooting);
    };
    for (closes, settings) in [
        (by_wave, impatient()),
        (by_failure, impatient()),
        (by_policies, with_policies(impatient())),
        (by_failure, with_policies(impatient())),
    ] {
        let soon = HOLD + 4 * settings.check_interval;
        let mut node = Node::new(settings);
        closes(&mut node);
        let (stood, joined) = stands(&mut node, HOLD * 3);
        assert!(!joined && (HOLD..soon).contains(&stood), "{stood:?}");
        let entries = node.etcd.pairs();
        let entry = entries
            .filter(|kv| kv.key.starts_with(b"/r/history/"))
            .last();
        let entry: History = decode(&entry.unwrap().value).unwrap();
        assert_eq!((&*entry.node, &*entry.outcome), ("a", "taken-away"));
        assert!(entry.detail.contains("hold_timeout_sec passed"));
        assert!(entry.ended_at.parse::<Timestamp>().is_ok(), "{entry:?}");
        assert_eq!(entry.by.as_deref(), Some("n0"));
        assert!(node.stands("/r/line/failed/a").is_none());
    }
    // Then it goes, and not in a dry run.
    let mut node = Node::new(impatient());
    failed(&mut node);
    node.until("reboot");
    for (settings, well) in [
        (settings(), false),
        (impatient(), true),
        (
            Settings {
                dry_run: true,
                ..impatient()
            },
            false,
        ),
    ] {
        let mut node = Node::new(settings);
        failed(&mut node);
        if well {
            healthy(&mut node);
        }
        let (stood, joined) = stands(&mut node, HOLD * 3);
        assert!(!joined && stood >= HOLD * 3, "{stood:?}");
    }
}

/// Nothing of that claim keeps it out.
#[test]
fn who_has_looked_at_a_claim_and_is_kept_out_by_something_else_leaves_it_alone() {
    let mut node = Node::new(with_policies(impatient()));
    node.elder("a", Phase::Rebooting);
    node.until_state("idle");
    assert!(node.said("blocked", "policy"));
    node.kill_switch = Some("the file is there".to_owned());
    let (stood, joined) = stands(&mut node, HOLD * 3);
    assert!(!joined && stood >= HOLD * 3, "{stood:?}");
}

/// The time counts from when it was seen at its present revision.
#[test]
fn a_claim_that_moves_has_all_its_time_again() {
    let mut node = Node::new(impatient());
    failed(&mut node);
    let (stood, _) = stands(&mut node, HOLD / 2);
    let moved = node.stands("/r/claims/a").unwrap().value.clone();
    node.put("/r/claims/a", moved);
    let (then, _) = stands(&mut node, HOLD * 3);
    assert!(stood + then >= HOLD * 3 / 2, "{stood:?} {then:?}");
}

/// Nobody is in the queue who would see that it stands still.
#[test]
fn a_node_that_policies_or_a_wave_keep_out_tells_of_one_that_does_not_come_back() {
    for (settings, wave) in [(with_policies(settings()), 0), (settings(), -1)] {
        let mut node = Node::new(settings);
        register(&mut node, "a", wave);
        node.elder("a", Phase::Rebooting);
        while node.stands("/r/line/failed/a").is_none() {
            assert!(node.claim().is_none());
            node.step();
        }
        node.settle();
        assert!(node.said("reboot_failed", "a does not come back"));
        let told = &node.stands("/r/line/failed/a").unwrap().value;
        let told: Failure = decode(told).unwrap();
        assert_eq!(told.by.as_deref(), Some("n0"));
    }
}

/// Whether it was taken away the next look tells: nothing is repeated that others could wait for.
#[test]
fn an_answer_that_is_lost_ends_the_pass_as_what_closed_the_gate_would() {
    let mut node = Node::new(impatient());
    failed(&mut node);
    let mut lost = Vec::new();
    let kind = |request: &Request| match request {
        Request::Txn(txn) => format!("txn of {}", txn.success.len()),
        other => format!("{other:?}")
            .split(['(', ' '])
            .next()
            .unwrap()
            .to_owned(),
    };
    while node.stands("/r/claims/a").is_some() {
        match node.next_action() {
            Action::Etcd(ticket, request)
                if matches!(node.machine.state(), State::Clearing(..))
                    && !lost.contains(&kind(&request)) =>
            {
                lost.push(kind(&request));
                node.give(Input::Etcd(ticket, Err(unknown())));
                assert!(matches!(node.machine.state(), State::Idle(_)));
                node.settle();
                assert!(node.said("blocked", "a (not back"));
            }
            other => node.perform(other),
        }
    }
    assert_eq!(lost, ["txn of 1", "Range", "Grant", "txn of 3"]);
}

/// One that went after this node was in the queue, under a larger limit.
#[test]
fn a_claim_behind_the_one_that_waits_is_taken_away_too() {
    let mut node = Node::new(Settings {
        hold_timeout: Some(HOLD),
        max_concurrent_reboots: 2,
        ..settings()
    });
    let count = node.until_sending("queued");
    node.pass(count);
    node.put("/r/pause", "{");
    node.elder("a", Phase::Rebooting);
    let claim: Claim = decode(&node.stands("/r/claims/a").unwrap().value).unwrap();
    assert!(claim.phase.committed());
    let (stood, _) = stands(&mut node, HOLD * 3);
    assert!(stood < HOLD * 2, "{stood:?}");
}
