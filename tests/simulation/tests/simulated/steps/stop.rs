//! The end of a pass and of the program: what is said, how long is waited, what is given back.

use std::time::Duration;

use etcd_rs_sync::Request;
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Mode, Refusal, Settings};
use reboot_coordinator::lock::Phase;
use reboot_coordinator::lock::record::encode;
use simulation::by_hand::{Node, detector, name, settings, unknown, unreachable};
use simulation::records::request;

fn within(pause: Duration, least_ms: u64, most_ms: u64) -> bool {
    let (least, most) = (
        Duration::from_millis(least_ms),
        Duration::from_millis(most_ms),
    );
    least <= pause && pause <= most
}

#[test]
fn a_pass_that_failed_is_repeated_soon_and_later_each_time_and_any_other_at_the_interval() {
    let mut node = Node::new(settings());
    for longest in [2000, 4000, 8000, 16_000, 20_000] {
        let (ticket, _) = node.until_sending("checking");
        node.answer(ticket, Err(unreachable()));
        assert_eq!(node.machine.view().state, "idle");
        assert!(matches!(
            node.machine.view().refusal,
            Some(Refusal::Etcd(_))
        ));
        assert!(within(node.pause(), longest / 2, longest), "{longest}");
    }
    node.kill_switch = Some("the file is there".to_owned());
    let next = node.until("detect");
    node.perform(next);
    node.until_state("idle");
    assert!(matches!(
        node.machine.view().refusal,
        Some(Refusal::KillSwitch(_))
    ));
    assert!(within(node.pause(), 31_500, 33_000));
    node.kill_switch = None;
    let look = node.until_sending("checking"); // whether it was forgotten meanwhile
    node.pass(look);
    let (ticket, _) = node.until_sending("checking");
    node.answer(ticket, Err(unreachable()));
    assert!(within(node.pause(), 1000, 2000), "the count begins anew");
}

#[test]
fn what_needs_somebody_is_an_error_what_is_as_it_should_be_is_not_even_a_warning() {
    use log::Level::{Error, Info, Warn};
    let clear = DetectorResult::Clear;
    let failed = DetectorResult::Failed("no such file".to_owned());
    let asks = DetectorResult::Required("why".to_owned());
    for (result, kill_switch, dry_run, event, level) in [
        (clear, false, false, "not_required", Info),
        (failed, false, false, "blocked", Error),
        (asks.clone(), true, false, "blocked", Warn),
        (asks, false, true, "dry_run", Info),
    ] {
        let mut node = Node::new(Settings {
            dry_run,
            ..settings()
        });
        let fails = matches!(result, DetectorResult::Failed(_));
        node.detectors = vec![detector(result)];
        node.kill_switch = kill_switch.then(|| "the file is there".to_owned());
        node.until_state("idle");
        assert_eq!(node.last(event).level, level);
        assert_eq!(node.said("detector_failed", "no such file"), fails);
        assert_eq!(node.claim(), None);
        assert_eq!(node.machine.view().phase, None);
        assert!(!node.said("committed", ""));
    }
}

/// Stops; which leases are revoked, and what else is done.
fn stop(node: &mut Node) -> (Vec<i64>, Vec<&'static str>) {
    node.give(Input::Stop);
    let (mut leases, mut others) = (Vec::new(), Vec::new());
    while let Some(action) = node.due() {
        match action {
            Action::Farewell(Request::Revoke { id }) => leases.push(id),
            other => others.push(name(&other)),
        }
    }
    (leases, others)
}

#[test]
fn a_node_that_stops_gives_back_the_lease_that_it_asked_for_has_or_is_giving_back() {
    let mut granting = Node::new(settings());
    let (_, Request::Grant { id, .. }) = granting.until_sending("joining") else {
        panic!("a lease comes first");
    };
    assert_eq!(stop(&mut granting), (vec![id], vec![]));
    let mut queued = Node::new(settings());
    queued.elder("a", Phase::Queued);
    queued.until_state("queued");
    let lease = queued.stands("/r/claims/n0").unwrap().lease;
    assert_eq!(stop(&mut queued), (vec![lease], vec!["unwatch"]));
    let mut leaving = Node::new(Settings {
        dry_run: true,
        ..settings()
    });
    let (_, Request::Revoke { id }) = leaving.until_sending("leaving") else {
        panic!("the lease is revoked");
    };
    assert_eq!(stop(&mut leaving), (vec![id], vec![]));
    let mut idle = Node::new(settings());
    idle.detectors = vec![detector(DetectorResult::Clear)];
    idle.until_state("idle");
    idle.settle();
    assert_eq!(stop(&mut idle), (vec![], vec!["exit"]));
}

#[test]
fn a_stop_waits_for_its_answers_and_not_longer_than_it_may() {
    let mut node = Node::new(settings());
    node.until_sending("joining");
    stop(&mut node);
    assert_eq!(node.pause(), Duration::from_millis(800));
    assert_eq!(stop(&mut node), (vec![], vec![]), "once is enough");
    node.wait(Duration::from_millis(799));
    assert!(node.due().is_none());
    node.wait(Duration::from_millis(1));
    assert!(matches!(node.due(), Some(Action::Exit(0))));
}

#[test]
fn a_stop_waits_for_the_answer_to_each_of_its_last_words() {
    let reports = Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        ..settings()
    };
    let mut node = Node::new(reports);
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.settle();
    let report = node.stands("/r/alive/n0").unwrap().lease;
    let place = node.stands("/r/claims/n0").unwrap().lease;
    node.give(Input::Farewell);
    assert_eq!(node.machine.view().state, "queued", "nobody stops");
    let (leases, _) = stop(&mut node);
    assert_eq!(leases, [place, report]);
    node.give(Input::Farewell);
    assert!(node.due().is_none());
    node.give(Input::Farewell);
    assert!(matches!(node.due(), Some(Action::Exit(0))));
    node.give(Input::Farewell);
    assert!(node.due().is_none(), "it is over");
}

#[test]
fn a_run_of_once_ends_with_the_code_of_what_it_found() {
    let once = Settings {
        mode: Mode::Once {
            wait: Duration::ZERO,
        },
        ..settings()
    };
    let mut node = Node::new(once);
    let (ticket, _) = node.until_sending("checking");
    node.answer(ticket, Err(unknown()));
    node.settle();
    assert_eq!(node.exit, Some(1));
}

/// What drained the node is not undone, and its claim stands: that is no pass with nothing left to do.
#[test]
fn a_run_of_once_that_is_stopped_in_its_drain_says_what_stays_and_does_not_end_with_0() {
    let once = Mode::Once {
        wait: Duration::ZERO,
    };
    let modes = [(Mode::Daemon, 0), (once, 1)];
    for (mode, code) in modes {
        for reached in ["hook", "reboot"] {
            let mut node = Node::new(Settings { mode, ..settings() });
            node.until(reached);
            node.give(Input::Stop);
            node.settle();
            let stays = reached == "hook";
            assert_eq!(node.exit, Some(if stays { code } else { 0 }), "{reached}");
            assert_eq!(node.said("stopping", "the claim of this node stays"), stays);
        }
    }
}

/// The passes of a cron line come each minute, and each drain that fails disturbs what runs there.
#[test]
fn passes_after_one_that_called_its_attempt_off_come_longer_and_longer_until_they_are_not_needed() {
    let once = || Settings {
        mode: Mode::Once {
            wait: Duration::from_secs(60),
        },
        backoff_min: Duration::from_secs(100),
        ..settings()
    };
    let pass = |node: &mut Node| {
        node.until_exit();
        node.exit
    };
    let drains = |node: &Node| node.done.iter().filter(|it| **it == "hook").count();
    let next = |node: Node, later: u64| {
        let mut node = node.followed_by(once());
        node.now += Duration::from_secs(later);
        node.hook = ScriptOutcome::Exited(1);
        node
    };
    let mut node = next(Node::new(once()), 0);
    let undone = |node: &mut Node| {
        let drain = node.until("hook");
        node.perform(drain);
        node.hook = ScriptOutcome::Exited(0);
        assert_eq!(pass(node), Some(1));
    };
    undone(&mut node);
    assert_eq!(node.memory.clone().unwrap().called_off.unwrap().times, 1);
    for (later, tries) in [
        (0, false),
        (100, true),
        (0, false),
        (200, true),
        (3600 * 5, true),
    ] {
        node = next(node, later);
        if tries {
            undone(&mut node);
            continue;
        }
        assert_eq!(pass(&mut node), Some(1));
        assert_eq!(drains(&node), 0, "{later}");
        let said = node.machine.standing().unwrap().blocked.clone().unwrap();
        assert!(said.text.contains("next try"));
    }
    assert_eq!(node.memory.clone().unwrap().called_off.unwrap().times, 4);
    // One that only shows what would be does not rest, and counts nothing.
    let dry = Settings {
        dry_run: true,
        ..once()
    };
    let mut shows = node.followed_by(dry);
    assert_eq!(pass(&mut shows), Some(0));
    assert!(shows.said("dry_run", ""), "it stopped before the commit");
    node = next(shows, 3600 * 5);
    node.memory
        .as_mut()
        .unwrap()
        .called_off
        .as_mut()
        .unwrap()
        .times = u32::MAX;
    node = next(node, 0);
    undone(&mut node);
    let off = node.memory.clone().unwrap().called_off.unwrap();
    assert_eq!(off.times, u32::MAX);
    // An operator who has mended it asks for a try.
    node.put("/r/requests/n0", encode(&request()));
    node = next(node, 0);
    undone(&mut node);
    node = next(node, 0);
    assert_eq!(pass(&mut node), Some(1));
    assert_eq!(drains(&node), 0, "once for each request");
    node.delete("/r/requests/n0");
    node = next(node, 0);
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert_eq!(pass(&mut node), Some(0));
    assert_eq!(node.memory.clone().unwrap().called_off, None);
}
