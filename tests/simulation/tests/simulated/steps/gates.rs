//! The gates: what is asked in which order, and what a closed one means at each stage.

use std::time::Duration;

use etcd_rs_sync::{Keys, Op, Request};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::machine::judge_detectors;
use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::windows::Windows;
use reboot_coordinator::core::{Action, Input, Now, Refusal, Settings, State};
use reboot_coordinator::lock::Phase;
use reboot_coordinator::lock::record::encode;
use simulation::by_hand::{
    Node, asks, detector, ended, name, settings, time, unknown, unreachable,
};
use simulation::records::{member, report};

#[test]
fn a_detector_that_asks_outweighs_one_that_fails_and_silence_proves_nothing() {
    let clear = || detector(DetectorResult::Clear);
    let failed = || detector(DetectorResult::Failed("why".to_owned()));
    for (reports, verdict) in [
        (
            vec![asks("x"), failed(), clear()],
            Ok(vec!["kernel".to_owned()]),
        ),
        (vec![clear(), clear()], Err(Refusal::NotRequired)),
        (
            vec![clear(), failed()],
            Err(Refusal::Unknown("kernel: why".to_owned())),
        ),
        (vec![], Err(Refusal::Unknown(String::new()))),
    ] {
        assert_eq!(judge_detectors(&reports), verdict);
    }
}

/// The actions of one pass, from the first look at the detectors to its end.
fn pass(node: &mut Node) -> Vec<&'static str> {
    let first = node.until("detect");
    assert_eq!(node.machine.view().state, "checking");
    node.done.clear();
    node.perform(first);
    while !matches!(node.machine.state(), State::Idle(_)) {
        node.step();
    }
    node.done.clone()
}

#[test]
fn a_node_without_a_reason_looks_for_a_request_and_one_with_a_reason_does_not() {
    let mut node = Node::new(settings());
    node.health = ScriptOutcome::Exited(1);
    assert_eq!(pass(&mut node), ["detect", "look", "etcd", "health"]);
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert_eq!(pass(&mut node), ["detect", "etcd"]);
}

#[test]
fn the_look_for_a_request_reads_it_and_what_stands_of_the_node_and_nothing_else() {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    let (_, request) = node.until_sending("checking");
    let Request::Txn(txn) = request else {
        panic!("{request:?}");
    };
    assert!(txn.compares.is_empty() && txn.failure.is_empty());
    let keys: Vec<Keys> = txn
        .success
        .iter()
        .map(|op| match op {
            Op::Range(range) => range.keys.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let read = ["requests", "nodes", "alive", "standing"];
    assert_eq!(keys, read.map(|room| Keys::one(format!("/r/{room}/n0"))));
}

#[test]
fn a_state_of_judgement_is_named_after_how_far_the_node_has_come() {
    let mut node = Node::new(settings());
    for stage in ["checking", "turn"] {
        let read = node.until_sending(stage);
        node.pass(read);
    }
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Exited(0)),
    ));
    node.until("detect");
    assert_eq!(node.machine.view().state, "rebooting");
    let mut node = draining().followed_by(settings());
    node.until("detect");
    assert_eq!(node.machine.view().state, "draining");
}

/// A node that has committed and runs its drain hook.
fn draining() -> Node {
    let mut node = Node::new(settings());
    node.until("hook");
    node
}

#[test]
fn dry_run_gives_the_turn_back_and_calls_an_interrupted_drain_off() {
    let dry = || Settings {
        dry_run: true,
        ..settings()
    };
    let mut node = Node::new(dry());
    node.until_state("idle");
    assert_eq!(node.machine.view().refusal, Some(Refusal::DryRun));
    assert!(
        node.claims("n0")
            .iter()
            .all(|claim| !claim.phase.committed())
    );
    let mut node = draining().followed_by(dry());
    node.until_state("idle");
    assert!(node.said("aborted", "dry_run is set"));
    assert_eq!(node.claim(), None);
}

#[test]
fn dry_run_holds_a_claim_whose_command_may_still_work() {
    let mut node = Node::new(settings());
    node.until("reboot");
    let mut node = node.followed_by(Settings {
        dry_run: true,
        ..settings()
    });
    node.until_state("holding");
    assert_eq!(node.machine.view().refusal, Some(Refusal::DryRun));
    assert!(node.claim().is_some());
}

#[test]
fn an_interrupted_drain_is_neither_resumed_nor_undone_while_etcd_does_not_answer() {
    let mut node = draining().followed_by(settings());
    let (ticket, _) = node.until_sending("draining");
    node.answer(ticket, Err(unknown()));
    assert_eq!(node.machine.view().state, "holding");
    assert!(matches!(
        node.machine.view().refusal,
        Some(Refusal::Etcd(_))
    ));
    let hook = node.until("hook");
    assert_eq!(node.machine.view().state, "draining");
    node.perform(hook);
    node.until("reboot");
}

#[test]
fn a_place_that_was_deleted_or_rewritten_is_not_committed() {
    for rewritten in [false, true] {
        let mut node = Node::new(settings());
        let read = node.until_sending("turn");
        let claim = encode(&node.claim().unwrap());
        if rewritten {
            node.put("/r/claims/n0", claim);
        } else {
            node.delete("/r/claims/n0");
        }
        node.pass(read);
        assert_eq!(node.machine.view().state, "leaving");
    }
}

#[test]
fn a_budget_that_was_used_up_is_whole_again_once_no_detector_asks() {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(!node.said("budget_reset", ""), "it is whole");
    let mut record = node.registration();
    record.budget_used = 1;
    node.put("/r/nodes/n0", encode(&record));
    let mut node = node.followed_by(settings());
    node.until_state("idle");
    assert!(node.said("blocked", "the reboot budget is used up"));
    assert_eq!(node.registration().budget_used, 1);
    node.detectors = vec![detector(DetectorResult::Clear)];
    let look = node.until("detect");
    node.perform(look);
    node.until_state("idle");
    assert!(node.said("budget_reset", "the reboot budget is whole again"));
    assert_eq!(node.registration().budget_used, 0);
}

/// The moment in which nothing asked may be one in which etcd was away.
#[test]
fn that_no_detector_asked_is_remembered_until_etcd_can_be_told() {
    for asked_nothing in [true, false] {
        let mut node = Node::new(settings());
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until_state("idle");
        let mut record = node.registration();
        record.budget_used = 1;
        node.put("/r/nodes/n0", encode(&record));
        let mut node = node.followed_by(settings());
        node.until_state("idle");
        if asked_nothing {
            node.detectors = vec![detector(DetectorResult::Clear)];
            let look = node.until("detect");
            node.perform(look);
            let (ticket, _) = node.until_sending("checking");
            node.answer(ticket, Err(unreachable()));
            node.until_state("idle");
            assert!(!node.said("budget_reset", ""));
            node.detectors = vec![asks("kernel")];
        }
        let look = node.until("detect");
        node.perform(look);
        if asked_nothing {
            node.until("reboot");
            assert!(node.said("budget_reset", "is whole again"));
            assert_eq!(node.registration().budget_used, 1, "and used again");
        } else {
            node.until_state("idle");
            assert!(!node.said("budget_reset", ""));
        }
    }
}

/// The own report is not demanded: nothing says that it is older than the commit.
#[test]
fn a_commit_demands_the_reports_of_the_others_that_were_judged_and_not_the_own() {
    for (ends, state) in [("n0", "draining"), ("n1", "turn"), ("n2", "draining")] {
        let mut node = Node::new(Settings {
            policies: Some(Policies {
                min_healthy_absolute: Some(1),
                ..Policies::default()
            }),
            ..settings()
        });
        for (other, healthy) in [("n0", true), ("n1", true), ("n2", false)] {
            node.put(
                &format!("/r/alive/{other}"),
                encode(&report(other, healthy)),
            );
            if other != "n0" {
                node.put(&format!("/r/nodes/{other}"), encode(&member(other)));
            }
        }
        let commit = node.until_sending("committing");
        node.delete(&format!("/r/alive/{ends}"));
        node.pass(commit);
        assert_eq!(node.machine.view().state, state, "{ends}");
    }
}

#[test]
fn the_limit_counts_those_that_were_committed_before() {
    let mut node = Node::new(Settings {
        max_concurrent_reboots: 2,
        ..settings()
    });
    node.elder("a", Phase::Rebooting);
    node.elder("b", Phase::Queued);
    node.until_state("queued");
    node.settle();
    assert_eq!(node.machine.view().state, "queued");
    node.wait(Duration::ZERO);
    assert_eq!(node.machine.view().ahead, Some((2, false)));
    assert_eq!(node.due().as_ref().map(name), None);
}

#[test]
fn outside_its_window_a_node_waits_and_says_until_when() {
    let parse = |deny: &[&str], allow: &[&str]| {
        let texts = |entries: &[&str]| entries.iter().map(|text| (*text).to_owned()).collect();
        let (deny, allow): (Vec<String>, Vec<String>) = (texts(deny), texts(allow));
        Windows::parse("UTC", &deny, &allow).unwrap()
    };
    // It is a quarter to four.
    for (windows, words) in [
        (parse(&[], &["* 03:00-04:00"]), None),
        (
            parse(&[], &["* 02:00-03:00"]),
            Some("no allow entry covers this time; opens by itself at 2026-07-15T02:00:00Z"),
        ),
        (
            parse(&["* 03:00-04:00"], &[]),
            Some(r#"closed by "* 03:00-04:00"; opens by itself at 2026-07-14T04:00:00Z"#),
        ),
        (
            parse(&["* 00:00-24:00"], &[]),
            Some(
                r#"closed by "* 00:00-24:00"; never opens: change `windows` in the configuration"#,
            ),
        ),
    ] {
        let mut node = Node::new(Settings {
            windows: Some(windows),
            ..settings()
        });
        let read = node.until("look");
        node.perform(read);
        let refused = words.map(|words| Refusal::Window(words.to_owned()));
        assert_eq!(node.machine.view().refusal, refused);
    }
}

#[test]
fn a_node_looks_again_when_its_window_opens_however_long_its_interval_is() {
    let windows = Windows::parse("UTC", &[], &["* 04:00-04:01".to_owned()]).unwrap();
    let (interval, second) = (Duration::from_secs(36_000), Duration::from_secs(1));
    for result in [
        DetectorResult::Clear,
        DetectorResult::Required("kernel".to_owned()),
    ] {
        let mut node = Node::new(Settings {
            windows: Some(windows.clone()),
            check_interval: interval,
            health_publish_interval: None,
            ..settings()
        });
        node.detectors = vec![detector(result)];
        node.until_state("idle");
        // It was 03:33:20 at the start.
        let opens = Duration::from_secs(26 * 60 + 40) - node.now;
        let pause = node.pause();
        assert!(pause >= opens && pause <= opens + second, "{pause:?}");
        // Once it is open, the interval counts again.
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.wait(pause);
        node.until_state("idle");
        assert!(node.pause() >= interval, "{:?}", node.pause());
    }
}

#[test]
fn a_clock_that_is_put_forward_past_an_opening_does_not_hide_it() {
    let windows = Windows::parse("UTC", &[], &["* 04:00-06:00".to_owned()]).unwrap();
    let mut node = Node::new(Settings {
        windows: Some(windows),
        check_interval: Duration::from_secs(36_000),
        health_publish_interval: None,
        ..settings()
    });
    node.until_state("idle");
    assert!(node.machine.waits_for_wall());
    // It is 03:33:20, and then 05:00.
    let set = |node: &mut Node, forward: i64| {
        let now = time(node.now);
        let wall = now.wall + jiff::SignedDuration::from_secs(forward);
        node.machine.handle(Now { wall, ..now }, Input::Tick);
        node.due()
    };
    assert!(set(&mut node, 60).is_none());
    assert!(set(&mut node, 5200).is_some());
}

/// No command has run, so nothing keeps the claim.
#[test]
fn an_interrupted_drain_whose_reason_is_gone_is_called_off_and_not_held() {
    let mut node = draining().followed_by(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.said("aborted", "no reboot is required"));
    assert!(!node.said("holding", ""));
    assert_eq!(node.claim(), None);
}

#[test]
fn each_gate_says_what_the_step_that_asks_it_found() {
    let of = |node: &Node, word: &str| -> Vec<String> {
        let all = node.machine.verdicts().iter();
        let such = all.filter(|it| it.verdict.as_str() == word);
        such.map(|it| it.gate.clone()).collect()
    };
    let mut node = Node::new(settings());
    node.kill_switch = Some("maintenance".to_owned());
    pass(&mut node);
    assert_eq!(of(&node, "blocks"), ["kill switch"]);
    node.kill_switch = None;
    node.health = ScriptOutcome::Exited(1);
    pass(&mut node);
    assert_eq!(of(&node, "blocks"), ["health"]);
    assert_eq!(of(&node, "not asked"), ["attempt", "turn"]);
    node.health = ScriptOutcome::Exited(0);
    node.until("reboot");
    assert!(of(&node, "ok").contains(&"health".to_owned()));
}
