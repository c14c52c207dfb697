//! A claim that is held for long: who may take it away, and what is tried again how often.

use std::time::Duration;

use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Hook, Input, Settings, WatchEvent};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, History, Phase};
use simulation::by_hand::{Node, asks, detector, ended, settings};
use simulation::records::report;

const HOLD: Duration = Duration::from_secs(100);

fn impatient() -> Settings {
    Settings {
        hold_timeout: Some(HOLD),
        drain_timeout: Some(HOLD * 4),
        undoes: true,
        ..settings()
    }
}

/// Goes on for this long.
fn run(node: &mut Node, span: Duration) {
    let end = node.now + span;
    loop {
        while let Some(action) = node.due() {
            // A reboot command that never answers.
            if !matches!(action, Action::Reboot(..)) {
                node.perform(action);
            }
        }
        let Some(at) = node.machine.wake_at().filter(|at| *at <= end) else {
            break;
        };
        node.now = node.now.max(at);
        node.give(Input::Tick);
    }
    node.now = end;
}

#[test]
fn a_node_that_reports_itself_healthy_keeps_its_claim_and_one_that_does_not_loses_it() {
    for (healthy, stays) in [(Some(true), true), (Some(false), false), (None, false)] {
        let mut node = Node::new(impatient());
        node.elder("a", Phase::Draining);
        if let Some(healthy) = healthy {
            node.put("/r/alive/a", encode(&report("a", healthy)));
        }
        node.until_state("queued");
        run(&mut node, HOLD * 3);
        assert_eq!(node.stands("/r/claims/a").is_some(), stays, "{healthy:?}");
    }
    // A report that comes between the look and the taking away.
    let mut node = Node::new(impatient());
    node.elder("a", Phase::Draining);
    node.until_state("queued");
    loop {
        let (ticket, request) = node.until_sending("queued");
        if matches!(request, etcd_rs_sync::Request::Txn(_)) {
            node.put("/r/alive/a", encode(&report("a", true)));
            node.pass((ticket, request));
            break;
        }
        node.pass((ticket, request));
    }
    assert!(node.stands("/r/claims/a").is_some());
}

/// The watch of who waits tells that it moved.
#[test]
fn a_claim_that_moves_before_a_node_in_the_queue_has_all_its_time_again_and_no_more() {
    let told_after = |moves_after: Option<Duration>| {
        let mut node = Node::new(settings());
        node.elder("a", Phase::Rebooting);
        node.until_state("queued");
        if let Some(after) = moves_after {
            run(&mut node, after);
            let (watch, ..) = node.watch.clone().unwrap();
            let (key, value) = (
                "/r/claims/a",
                node.stands("/r/claims/a").unwrap().value.clone(),
            );
            let modified = node.put(key, value.clone());
            node.give(Input::Watch(
                watch,
                WatchEvent::Written(key.into(), modified, value),
            ));
        }
        let began = node.now;
        while !node.said("reboot_failed", "a does not come back") {
            node.step();
        }
        node.now - began
    };
    let patience = told_after(None);
    let again = told_after(Some(patience / 2));
    assert!(again.abs_diff(patience).as_secs() < 5, "{again:?}");
}

#[test]
fn a_claim_taken_away_before_the_reboot_command_costs_no_budget() {
    // After a second commit a command may have run under the first one: the process that knows is gone.
    for (restarted_after, used) in [(None, 0), (Some(1), 0), (Some(2), 1)] {
        let mut node = Node::new(impatient());
        if let Some(attempts) = restarted_after {
            node.until("hook");
            let claim = Claim {
                attempts,
                ..node.claim().unwrap()
            };
            node.put("/r/claims/n0", encode(&claim));
            node = node.followed_by(impatient());
        }
        let Action::Hook(ticket, ..) = node.until("hook") else {
            panic!("it drains");
        };
        node.delete("/r/claims/n0");
        node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(0))));
        let undo = node.until("hook");
        node.perform(undo);
        let registers = node.until_sending("starting");
        node.pass(registers);
        node.kill_switch = Some("there".to_owned());
        node.until_state("idle");
        let registered = node.registration();
        assert_eq!(registered.budget_used, used, "{restarted_after:?}");
    }
}

#[test]
fn a_drain_that_always_fails_is_tried_less_and_less_and_told_in_one_entry() {
    let mut node = Node::new(Settings {
        backoff_min: Duration::from_secs(5),
        backoff_max: Duration::from_secs(60),
        check_interval: Duration::from_secs(60),
        ..settings()
    });
    let began = node.now;
    let mut drains = Vec::new();
    while node.now - began < Duration::from_secs(24 * 3600) {
        match node.next_action() {
            Action::Hook(ticket, Hook::Drain { .. }, _) => {
                drains.push(node.now - began);
                node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(1))));
            }
            other => node.perform(other),
        }
    }
    let hour = drains.iter().filter(|at| at.as_secs() < 3600).count();
    assert!((5..=12).contains(&hour), "{drains:?}");
    assert!((12..=20).contains(&drains.len()), "{drains:?}");
    let entries: Vec<History> = node
        .etcd
        .pairs()
        .filter(|kv| kv.key.starts_with(b"/r/history/"))
        .map(|kv| decode(&kv.value).unwrap())
        .collect();
    assert_eq!(entries.len(), 1);
    let told = usize::try_from(entries[0].count.unwrap()).unwrap();
    assert!(drains.len() - told <= 1, "{told} {drains:?}");
}

#[test]
fn a_reboot_that_kept_the_boot_id_is_said_to_be_none() {
    let mut node = Node::new(settings());
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        panic!("it reboots");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Exited(0)),
    ));
    let mut node = node.followed_by(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("holding");
    assert!(
        node.said("holding", "soft reboot"),
        "{:?}",
        node.last("holding")
    );
    assert!(node.claim().is_some());
}

#[test]
fn a_claim_taken_away_from_a_process_that_saw_clear_detectors_before_has_used_its_budget_up() {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node.detectors = vec![asks("kernel")];
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        panic!("it reboots");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Exited(0)),
    ));
    node.delete("/r/claims/n0");
    for _ in 0..300 {
        if node.said("blocked", "not cleared") {
            break;
        }
        match node.next_action() {
            Action::Reboot(..) => panic!("it goes again"),
            other => node.perform(other),
        }
    }
    assert!(node.said("blocked", "not cleared"));
}

#[test]
fn a_watch_that_is_lost_while_the_gates_are_judged_is_a_new_count() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    let (watch, ..) = node.watch.clone().unwrap();
    let Action::Detect(detect) = node.until("detect") else {
        panic!("it judges its gates while it waits");
    };
    node.delete("/r/claims/a");
    node.give(Input::Watch(
        watch,
        reboot_coordinator::core::WatchEvent::Lost,
    ));
    node.give(Input::Detected(detect, vec![asks("kernel")]));
    let began = node.now;
    node.until("reboot");
    assert!(node.now - began < Duration::from_secs(300));
}

#[test]
fn a_later_command_that_never_started_does_not_undo_an_earlier_one() {
    let mut node = Node::new(settings());
    let mut tickets = Vec::new();
    while node.machine.view().state != "holding" {
        match node.next_action() {
            Action::Reboot(ticket, ..) => tickets.push(ticket),
            other => node.perform(other),
        }
    }
    assert_eq!(tickets.len(), 3);
    for ticket in &tickets[1..] {
        let never = ScriptOutcome::NotStarted("gone".to_owned());
        node.give(Input::RebootCommand(*ticket, ended(never)));
    }
    assert_eq!(node.machine.view().state, "holding");
}

#[test]
fn a_registration_that_becomes_another_machines_ends_the_program_before_the_commit() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    let mut other = node.registration();
    other.node_id = "another".to_owned();
    node.put("/r/nodes/n0", encode(&other));
    node.delete("/r/claims/a");
    let (watch, ..) = node.watch.clone().unwrap();
    let gone = reboot_coordinator::core::WatchEvent::Deleted(b"/r/claims/a".to_vec());
    node.give(Input::Watch(watch, gone));
    while node.exit.is_none() {
        assert!(!node.said("committed", ""));
        node.step();
    }
    assert_eq!(node.exit, Some(2));
}

#[test]
fn an_attempt_that_was_called_off_is_followed_by_a_pause() {
    let mut node = Node::new(impatient());
    let Action::Hook(ticket, ..) = node.until("hook") else {
        panic!("it drains");
    };
    node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(1))));
    node.until_state("idle");
    assert!(node.pause() >= Duration::from_secs(1));
}

#[test]
fn a_monitor_that_was_stopped_says_nothing() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(30)),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    let Action::Monitor(ticket, _) = node.until("monitor") else {
        panic!("it reports");
    };
    node.give(Input::Monitored(ticket, ended(ScriptOutcome::Cancelled)));
    assert!(!node.said("unhealthy", ""));
}

/// No claim is left that could say that its node was drained; the configuration says that it may be.
#[test]
fn a_drain_that_nothing_undoes_is_told_of_when_the_claim_is_taken_away() {
    let drain = impatient().drain_timeout;
    for restarts in [true, false] {
        for (undoes, drain_timeout) in [(true, drain), (false, drain), (false, None)] {
            let settings = Settings {
                undoes,
                drain_timeout,
                ..impatient()
            };
            let mut node = Node::new(settings.clone());
            node.until("reboot");
            node.delete("/r/claims/n0");
            if restarts {
                node = node.followed_by(settings);
            }
            run(&mut node, 2 * impatient().reboot_timeout);
            assert_eq!(node.said("claim_gone", "undoing the drain"), undoes);
            assert!(node.said("claim_gone", "starting over"));
            let warns = !undoes && drain_timeout.is_some();
            assert_eq!(node.said("not_undone", "undo it by hand"), warns);
        }
    }
}

#[test]
fn after_a_reload_health_must_hold_for_the_whole_time_to_settle_again() {
    let settings = |boot: &str| Settings {
        boot_id: boot.to_owned(),
        post_boot_settle: HOLD,
        ..settings()
    };
    let mut node = Node::new(settings("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(settings("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    let health = node.until("health");
    node.perform(health);
    run(&mut node, HOLD / 2);
    let reloaded = node.now;
    node.reload(settings("boot-2"));
    node.until_sending("releasing");
    assert_eq!(node.now, reloaded + HOLD);
}

/// Only a reboot, or a host that needs none, ends the pauses that grow.
#[test]
fn the_pause_between_attempts_grows_until_nothing_asks_for_a_reboot_any_more() {
    let drain_fails = |node: &mut Node| {
        let Action::Hook(ticket, Hook::Drain { .. }, _) = node.until("hook") else {
            panic!("it drains");
        };
        node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(1))));
        node.until_state("idle");
        node.pause().as_millis()
    };
    for (clears, longest) in [(false, 8000), (true, 2000)] {
        let mut node = Node::new(settings());
        drain_fails(&mut node);
        drain_fails(&mut node);
        match clears {
            true => node.detectors = vec![detector(DetectorResult::Clear)],
            false => node.kill_switch = Some("there".to_owned()),
        }
        let look = node.until("detect");
        node.perform(look);
        node.until_state("idle");
        node.detectors = vec![asks("kernel")];
        node.kill_switch = None;
        let pause = drain_fails(&mut node);
        assert!((longest / 2..=longest).contains(&pause), "{clears} {pause}");
    }
}

/// What was mended was mended for the claim of then.
#[test]
fn a_claim_has_its_three_tries_whatever_an_earlier_one_had() {
    let mut node = Node::new(settings());
    let tries = |node: &mut Node| {
        let mut tries = 0;
        while node.machine.view().state != "holding" {
            match node.next_action() {
                Action::Reboot(..) => tries += 1,
                other => node.perform(other),
            }
        }
        tries
    };
    assert_eq!(tries(&mut node), 3);
    node.reload(node.machine.settings().clone());
    let looks = node.until("etcd");
    node.perform(looks);
    assert_eq!(tries(&mut node), 3);
    // An operator releases it, and makes its budget whole.
    node.delete("/r/claims/n0");
    node.until_state("idle");
    let mut whole = node.registration();
    whole.budget_used = 0;
    node.put("/r/nodes/n0", encode(&whole));
    assert_eq!(tries(&mut node), 3);
}
