//! The way back: proving health, and giving the claim back.

use std::time::Duration;

use etcd_rs_sync::Request;
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Mode, Refusal, Settings, Word};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, History, Phase};
use simulation::by_hand::{Node, detector, name, settings, time, unknown};

/// The first process after a reboot of a node that waited five seconds for its turn.
fn rebooted(settings: Settings) -> Node {
    let before = Settings {
        boot_id: "boot-1".to_owned(),
        mode: Mode::Daemon,
        ..settings.clone()
    };
    let mut node = Node::new(before);
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.settle();
    node.now += Duration::from_secs(5);
    node.delete("/r/claims/a");
    let (watch, ..) = node.watch.clone().unwrap();
    let gone = reboot_coordinator::core::WatchEvent::Deleted(b"/r/claims/a".to_vec());
    node.give(reboot_coordinator::core::Input::Watch(watch, gone));
    node.until("reboot");
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..settings
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node
}

fn history(node: &Node) -> History {
    let mut entries = node.etcd.pairs();
    let entry = entries.find(|kv| kv.key.starts_with(b"/r/history/"));
    decode(&entry.expect("there is an entry").value).unwrap()
}

#[test]
fn a_reboot_that_cleared_the_requirement_makes_the_budget_whole_and_any_other_does_not() {
    let clear = DetectorResult::Clear;
    let asks = DetectorResult::Required("still".to_owned());
    let failed = DetectorResult::Failed("no such file".to_owned());
    for (result, used, detail) in [
        (clear, 0, "back and healthy"),
        (
            asks,
            1,
            "back and healthy; the reboot did not clear the requirement",
        ),
        (
            failed,
            1,
            "back and healthy; the reboot did not clear the requirement",
        ),
    ] {
        let mut node = rebooted(settings());
        node.detectors = vec![detector(result)];
        node.until_state("idle");
        let record = node.registration();
        assert_eq!((record.budget_used, record.attempt), (used, None));
        assert_eq!(node.said("not_cleared", ""), used > 0);
        let history = history(&node);
        assert_eq!(
            (history.outcome.as_str(), history.detail.as_str()),
            ("completed", detail)
        );
        assert!(history.ended_at >= history.since && history.node == "n0");
        let said = (used == 0).then_some(Refusal::NotRequired);
        assert_eq!(node.machine.view().refusal, said, "it is looked at once");
        let released = node.last("released");
        assert_eq!(released.fields[2], ("lock_wait_ms", 5000.into()));
        assert_eq!(released.msg.contains("the next may go"), used == 0);
        let last = record.last_reboot.unwrap();
        assert_eq!(node.machine.view().last_reboot, Some(last.at));
        assert_eq!(
            (last.boot_before, last.boot_after),
            ("boot-1".into(), "boot-2".into())
        );
    }
}

#[test]
fn the_claim_of_a_node_that_is_back_is_that_of_the_boot_before_in_the_hands_of_this_process() {
    let mut node = rebooted(settings());
    node.until_state("idle");
    let claims = node.claims("n0");
    let [.., before, verifying] = claims.as_slice() else {
        panic!("{claims:?}");
    };
    assert_ne!(verifying.session, before.session);
    let expected = Claim {
        phase: Phase::Verifying,
        session: verifying.session.clone(),
        ..before.clone()
    };
    assert_eq!(*verifying, expected);
}

#[test]
fn without_an_undo_hook_health_is_next() {
    for undoes in [true, false] {
        let mut node = rebooted(Settings {
            undoes,
            ..settings()
        });
        node.until_state("idle");
        assert_eq!(node.done.contains(&"hook"), undoes);
    }
}

/// Its file names a hook that drains, and none that undoes it.
#[test]
fn a_drain_that_nothing_undoes_is_told_of_when_the_attempt_came_to_nothing() {
    for undoes in [true, false] {
        let mut node = Node::new(Settings {
            undoes,
            ..settings()
        });
        let hook = node.until("hook");
        node.hook = ScriptOutcome::Exited(1);
        node.perform(hook);
        node.hook = ScriptOutcome::Exited(0);
        node.until_state("idle");
        assert_eq!(node.said("not_undone", "undo it by hand"), !undoes);
        let mut node = rebooted(Settings {
            undoes,
            ..settings()
        });
        node.until_state("idle");
        assert!(!node.said("not_undone", ""));
    }
}

/// Its file named the hook when the node was drained: one that never did may have a drain that the boot undoes.
#[test]
fn a_drain_whose_undo_hook_is_no_longer_in_the_file_is_told_of_once() {
    let with = |undoes, drain_timeout| Settings {
        undoes,
        drain_timeout,
        ..settings()
    };
    let drain = settings().drain_timeout;
    for (before, after, warns) in [
        (with(true, drain), with(false, drain), true),
        (with(true, drain), with(false, None), true),
        (with(true, drain), with(true, drain), false),
        (with(false, drain), with(false, drain), false),
        (with(true, None), with(false, None), false),
    ] {
        let mut node = Node::new(before);
        for boot in ["boot-2", "boot-3"] {
            node.detectors = vec![detector(DetectorResult::Required("new".to_owned()))];
            node.until("reboot");
            let boot_id = boot.to_owned();
            let after = after.clone();
            node = node.followed_by(Settings { boot_id, ..after });
            node.detectors = vec![detector(DetectorResult::Clear)];
            node.until_state("idle");
            let told = node.said("not_undone", "undo it by hand");
            assert_eq!(told, warns && boot == "boot-2");
        }
    }
}

#[test]
fn a_mark_whose_answer_was_lost_is_recognized_and_one_that_somebody_rewrote_is_adopted() {
    for (rewritten, next) in [
        (None, "detect"),
        (Some(Phase::Rebooting), "etcd"),
        (Some(Phase::Verifying), "etcd"),
    ] {
        let mut node = rebooted(settings());
        let mark = node.until_sending("verifying");
        if let Some(phase) = rewritten {
            let other = Claim {
                session: "another".to_owned(),
                phase,
                ..node.claim().unwrap()
            };
            node.put("/r/claims/n0", encode(&other));
            node.answer(mark.0, Err(unknown()));
        } else {
            node.lose(mark);
        }
        let again = node.until_sending("verifying");
        node.pass(again);
        assert_eq!(name(&node.next_action()), next);
    }
}

#[test]
fn a_node_that_is_not_healthy_keeps_its_claim_and_looks_again_later_each_time() {
    let mut node = rebooted(settings());
    node.health = ScriptOutcome::Exited(1);
    for longest in [2000, 4000, 8000, 16_000, 20_000, 20_000] {
        let health = node.until("health");
        node.perform(health);
        let pause = node.pause().as_millis();
        assert!((longest / 2..=longest).contains(&pause), "{pause}");
        assert_eq!(node.claim().unwrap().phase, Phase::Verifying);
    }
    assert!(node.said(
        "not_healthy",
        "the health script does not pass: exit code 1"
    ));
    node.health = ScriptOutcome::Exited(0);
    node.until_state("idle");
    assert_eq!(node.claim(), None);
}

/// Its claim was released by an operator: others go. So they do where more than one may.
#[test]
fn a_node_that_is_not_healthy_says_whether_it_keeps_a_claim_and_who_goes() {
    for (released, limit) in [(false, 1), (false, 2), (true, 1)] {
        let mut node = rebooted(settings());
        let claim = Claim {
            limit,
            ..node.claim().unwrap()
        };
        node.put("/r/claims/n0", encode(&claim));
        node.health = ScriptOutcome::Exited(1);
        if released {
            node.delete("/r/claims/n0");
        }
        for _ in 0..2 {
            let health = node.until("health");
            node.perform(health);
        }
        let keeps = |words| node.said("not_healthy", words) && !released;
        assert_eq!(
            keeps("keeps its claim and nobody else goes"),
            limit == 1 && !released
        );
        assert_eq!(keeps("a place that nobody else gets"), limit == 2);
        assert_eq!(node.said("not_healthy", "it has no claim"), released);
    }
}

/// Released while it proves its health, well or not, the drain undone or not.
#[test]
fn a_claim_that_is_taken_away_during_the_proof_is_missed_within_an_interval_and_nothing_waits_for_it()
 {
    for (health, hook) in [(0, 0), (1, 0), (0, 1)] {
        let mut node = rebooted(Settings {
            post_boot_settle: Duration::from_secs(86400),
            ..settings()
        });
        node.health = ScriptOutcome::Exited(health);
        node.hook = ScriptOutcome::Exited(hook);
        let looked = node.until(if hook == 0 { "health" } else { "hook" });
        node.perform(looked);
        assert!(!node.said("claim_gone", ""));
        node.delete("/r/claims/n0");
        let (began, before) = (node.now, node.done.len());
        while !node.said("claim_gone", "taken away") {
            node.step();
        }
        assert!(node.now - began <= settings().check_interval);
        node.health = ScriptOutcome::Exited(0);
        node.hook = ScriptOutcome::Exited(0);
        node.until_state("idle");
        assert!(node.now - began <= 2 * settings().check_interval);
        // What was undone is not undone again.
        assert_eq!(node.done[before..].contains(&"hook"), hook == 1);
    }
}

/// An etcd that is away says nothing of the claim.
#[test]
fn the_proof_goes_on_while_etcd_does_not_say_whether_the_claim_stands() {
    let mut node = rebooted(Settings {
        post_boot_settle: Duration::from_secs(70),
        ..settings()
    });
    let health = node.until("health");
    node.perform(health);
    let look = node.until_sending("verifying");
    node.answer(look.0, Err(unknown()));
    assert_eq!(name(&node.next_action()), "health");
}

#[test]
fn a_run_of_once_that_is_not_healthy_ends_and_keeps_its_claim() {
    let mode = Mode::Once {
        wait: Duration::ZERO,
    };
    let mut node = rebooted(Settings { mode, ..settings() });
    node.health = ScriptOutcome::Exited(1);
    node.until_exit();
    assert_eq!(node.exit, Some(3));
    assert_eq!(node.claim().unwrap().phase, Phase::Verifying);
}

#[test]
fn health_must_hold_for_the_time_to_settle_and_no_longer_and_is_asked_at_the_interval() {
    for (settle, asked) in [(0, vec![0]), (10, vec![0, 10]), (70, vec![0, 30, 60, 70])] {
        let mut node = rebooted(Settings {
            post_boot_settle: Duration::from_secs(settle),
            ..settings()
        });
        let mut begun = None;
        let mut times = Vec::new();
        while node.claim().is_some() {
            let action = node.next_action();
            if name(&action) == "health" {
                let begun = *begun.get_or_insert(node.now);
                times.push((node.now - begun).as_secs());
            }
            node.perform(action);
        }
        assert_eq!(times, asked);
    }
}

#[test]
fn a_break_in_health_begins_the_time_to_settle_anew() {
    let mut node = rebooted(Settings {
        post_boot_settle: Duration::from_secs(10),
        ..settings()
    });
    let health = node.until("health");
    node.perform(health);
    node.health = ScriptOutcome::Exited(1);
    let health = node.until("health");
    node.perform(health);
    node.health = ScriptOutcome::Exited(0);
    let health = node.until("health");
    let begun = node.now;
    node.perform(health);
    let (_, _) = node.until_sending("releasing");
    assert_eq!((node.now - begun).as_secs(), 10);
}

fn cooled(node: &Node) -> bool {
    let changes = node.etcd.changes_from(1).expect("nothing is compacted");
    changes.iter().any(|change| change.key == b"/r/cooldown")
}

#[test]
fn only_a_completed_reboot_begins_a_cooldown_and_only_where_one_is_configured() {
    for (interval, fails, cools) in [(60, false, true), (0, false, false), (60, true, false)] {
        let settings = Settings {
            min_reboot_interval: Duration::from_secs(interval),
            ..settings()
        };
        let mut node = if fails {
            let mut node = Node::new(settings);
            let hook = node.until("hook");
            node.hook = ScriptOutcome::Exited(1);
            node.perform(hook);
            node.hook = ScriptOutcome::Exited(0);
            node
        } else {
            rebooted(settings)
        };
        node.until_state("idle");
        assert_eq!(cooled(&node), cools, "{interval} {fails}");
        if fails {
            assert!(node.said("aborted", "the drain hook failed: exit code 1"));
            assert_eq!(node.registration().budget_used, 0);
        }
    }
}

#[test]
fn an_attempt_that_was_called_off_says_until_when_it_keeps_the_node_up() {
    let mut node = Node::new(settings());
    let hook = node.until("hook");
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    node.hook = ScriptOutcome::Exited(0);
    node.until_state("idle");
    let attempt = |node: &Node| {
        let mut gates = node.machine.verdicts().iter();
        gates.find(|said| said.gate == "attempt").cloned().unwrap()
    };
    let said = attempt(&node);
    assert_eq!(said.verdict, Word::Blocks);
    assert!(said.text.contains("the drain hook failed"), "{said:?}");
    let due = node.machine.wake_at().unwrap();
    let at: jiff::Timestamp = said.changes_at.as_deref().unwrap().parse().unwrap();
    let off = (at - time(due).wall).total(jiff::Unit::Second).unwrap();
    assert!(off.abs() < 0.002, "{off}");
    let told = time(due)
        .wall
        .strftime("next try %Y-%m-%d %H:%M UTC")
        .to_string();
    let standing = node.machine.standing().unwrap().blocked.clone().unwrap();
    assert!(standing.text.contains(&told), "{standing:?}");
    // It stays the same until then.
    node.give(Input::Tick);
    assert_eq!(attempt(&node), said);
    node.now = due;
    node.give(Input::Tick);
    assert_eq!(attempt(&node).verdict, Word::NotAsked);
}

#[test]
fn a_cooldown_whose_lease_came_late_gets_another_lease() {
    for (late, granted_again) in [(0, false), (2000, false), (2001, true)] {
        let mut node = rebooted(Settings {
            min_reboot_interval: Duration::from_secs(60),
            ..settings()
        });
        let history = node.until_sending("releasing");
        node.pass(history);
        let cooldown = node.until_sending("releasing");
        assert!(matches!(cooldown.1, Request::Grant { ttl_sec: 60, .. }));
        node.now += Duration::from_millis(late);
        node.pass(cooldown);
        let (_, next) = node.until_sending("releasing");
        assert_eq!(
            matches!(next, Request::Grant { .. }),
            granted_again,
            "{late}"
        );
    }
}

#[test]
fn a_release_whose_answer_was_lost_is_recognized() {
    let mut node = rebooted(settings());
    let history = node.until_sending("releasing");
    node.pass(history);
    let release = node.until_sending("releasing");
    node.lose(release);
    assert_eq!(node.claim(), None);
    node.until_state("idle");
    assert!(node.said("released", "the reboot is complete"));
    assert!(!node.said("claim_gone", ""));
    assert_eq!(node.registration().attempt, None);
}

#[test]
fn a_completed_reboot_leaves_its_marker() {
    let mut node = rebooted(settings());
    let Action::RecordCompleted(marker) = node.until("marker") else {
        unreachable!("it was waited for");
    };
    let marker: History = decode(marker.as_bytes()).unwrap();
    assert_eq!(marker, history(&node));
}

#[test]
fn a_claim_that_an_operator_released_before_the_node_could_is_not_taken_for_released_by_it() {
    let mut node = rebooted(settings());
    let history = node.until_sending("releasing");
    node.pass(history);
    let release = node.until_sending("releasing");
    node.delete("/r/claims/n0");
    node.pass(release);
    node.until_state("idle");
    assert!(node.said("claim_gone", "its claim was taken away meanwhile"));
    assert!(!node.said("released", ""));
    assert_eq!(node.registration().attempt, None);
}

/// The boot is not proved: the claim says first that the attempt is called off.
#[test]
fn an_attempt_that_was_called_off_is_marked_before_its_drain_is_undone() {
    let mut node = Node::new(settings());
    let hook = node.until("hook");
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    let (ticket, _) = node.until_sending("verifying");
    node.answer(ticket, Err(unknown()));
    node.until("hook"); // the undo
    assert_eq!(node.claim().unwrap().phase, Phase::Verifying);
}

#[test]
fn a_mark_whose_answer_was_lost_is_known_under_another_configuration() {
    let mut node = Node::new(settings());
    let hook = node.until("hook");
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    let mark = node.until_sending("verifying");
    node.lose(mark);
    node.hook = ScriptOutcome::Exited(0);
    node.reload(Settings {
        post_boot_settle: Duration::from_secs(1),
        ..settings()
    });
    node.until_state("idle");
    assert!(!node.said("adopted", ""));
    let said = history(&node).detail;
    assert!(said.contains("the drain hook failed"), "{said}");
}

/// Between the word that the node is back and the look for a request the detectors take their time.
#[test]
fn a_drain_is_undone_though_etcd_is_gone_once_the_claim_says_that_its_node_is_back() {
    let mut node = rebooted(Settings {
        undoes: true,
        ..settings()
    });
    let mark = node.until_sending("verifying");
    node.pass(mark);
    let look = node.until_sending("verifying");
    node.answer(look.0, Err(unknown()));
    assert_eq!(name(&node.next_action()), "hook");
}

/// One answer may be lost: while the undo runs the claim says how long that may take.
#[test]
fn a_drain_is_undone_though_etcd_does_not_take_the_mark_the_second_time() {
    let mut node = rebooted(settings());
    for _ in 0..2 {
        let mark = node.until_sending("verifying");
        node.answer(mark.0, Err(unknown()));
    }
    assert_eq!(name(&node.next_action()), "hook");
}

/// Others would take it away from a node that is well, and nobody's own file says how long its hook may take.
#[test]
fn a_claim_may_stand_still_for_as_long_as_the_undo_may_take() {
    let mut node = rebooted(Settings {
        undo_timeout: Duration::from_secs(900),
        ..settings()
    });
    assert_eq!(node.claim().unwrap().patience_sec, Some(60));
    let mark = node.until_sending("verifying");
    node.pass(mark);
    assert_eq!(node.claim().unwrap().patience_sec, Some(960));
}
