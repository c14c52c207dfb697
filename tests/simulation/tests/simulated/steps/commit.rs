//! From the commit to the reboot command, and what follows a command that does not work.

use std::time::Duration;

use reboot_coordinator::core::facts::{Captured, ScriptOutcome, ScriptReport};
use reboot_coordinator::core::{Action, Commitment, Hook, Input, Refusal, Settings};
use reboot_coordinator::lock::record::encode;
use reboot_coordinator::lock::{Claim, GoOn, Phase};
use simulation::by_hand::{Node, denied, ended, name, settings, unknown};
use simulation::records::failure;

/// Waits for the next reboot command, which ends like this while the host stays up.
fn command(node: &mut Node, report: ScriptReport) {
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.give(Input::RebootCommand(ticket, report));
}

#[test]
fn without_a_drain_hook_the_commit_says_that_the_reboot_is_next() {
    let mut node = Node::new(Settings {
        drain_timeout: None,
        ..settings()
    });
    node.until("reboot");
    let phases: Vec<Phase> = node.claims("n0").iter().map(|claim| claim.phase).collect();
    assert_eq!(phases, [Phase::Queued, Phase::Rebooting]);
    assert!(!node.done.contains(&"hook"));
}

#[test]
fn a_reboot_is_counted_once_however_often_its_command_is_tried() {
    let mut node = Node::new(settings());
    for attempt in 1..=3 {
        command(&mut node, ended(ScriptOutcome::Exited(0)));
        assert_eq!(node.claim().unwrap().attempts, attempt);
        assert_eq!(node.registration().budget_used, 1);
    }
    assert_eq!(
        node.last("committed").fields[1].1,
        serde_json::json!(["kernel"])
    );
}

#[test]
fn a_commit_that_was_refused_for_certain_needs_no_fence_and_any_other_does() {
    for (error, next) in [(denied(), "leaving"), (unknown(), "fencing")] {
        let mut node = Node::new(settings());
        let (ticket, _) = node.until_sending("committing");
        node.answer(ticket, Err(error));
        assert_eq!(node.machine.view().state, next);
    }
}

fn failed(node: &mut Node) {
    node.put("/r/line/failed/n1", encode(&failure("n1")));
}

/// The line was judged before the mark was written.
#[test]
fn a_failure_that_is_told_while_the_commit_travels_refuses_it() {
    let mut node = Node::new(settings());
    let commit = node.until_sending("committing");
    failed(&mut node);
    node.pass(commit);
    assert!(
        node.claims("n0")
            .iter()
            .all(|claim| !claim.phase.committed())
    );
    assert!(!node.said("committed", ""));
}

/// Somebody else took the only place that an operator gave, after this node had read his word.
#[test]
fn an_operators_word_that_another_commit_spent_lets_nobody_else_go() {
    for spent in [false, true] {
        let mut node = Node::new(settings());
        failed(&mut node);
        let word = |left| GoOn {
            v: 1,
            by: "operator".to_owned(),
            reason: "known".to_owned(),
            since: "s".to_owned(),
            left: Some(left),
            known: [("n1".to_owned(), 3)].into(),
        };
        node.put("/r/line/go-on", encode(&word(1)));
        let commit = node.until_sending("committing");
        if spent {
            node.put("/r/line/go-on", encode(&word(0)));
        }
        node.pass(commit);
        let gone = node
            .claims("n0")
            .iter()
            .any(|claim| claim.phase.committed());
        assert_eq!(gone, !spent);
        let left = node.stands("/r/line/go-on").map(|kv| kv.value.clone());
        assert_eq!(left, Some(encode(&word(0))), "counted");
    }
}

/// Two requests may take two seconds each, and a look at the host five. The time counts from the commit, also when a fence found
/// out about it.
#[test]
fn a_commit_permits_for_nine_seconds_and_then_the_gates_are_judged_again() {
    for (late, next) in [(0, "hook"), (9000, "hook"), (9001, "detect")] {
        for lost in [false, true] {
            let mut node = Node::new(settings());
            let mut settles = node.until_sending("committing");
            if lost {
                node.lose(settles);
                settles = node.until_sending("fencing");
            }
            node.now += Duration::from_millis(late);
            node.pass(settles);
            let unwatch = node.next_action();
            node.perform(unwatch);
            let action = node.next_action();
            assert_eq!(name(&action), next, "after {late} ms, lost: {lost}");
        }
    }
}

/// The hook may take a minute, and was permitted nine seconds before that at the latest.
#[test]
fn a_drain_that_is_heard_of_late_is_judged_and_run_again() {
    for (late, attempts) in [(69_000, 1), (69_001, 2)] {
        let mut node = Node::new(settings());
        let drain = node.until("hook");
        node.now += Duration::from_millis(late);
        node.perform(drain);
        node.until("reboot");
        assert_eq!(node.claim().unwrap().attempts, attempts);
        let drains = node.done.iter().filter(|action| **action == "hook").count();
        assert_eq!(drains, usize::try_from(attempts).unwrap());
    }
}

/// Neither a repeated write nor its answer makes a permit younger than the end of the drain.
#[test]
fn a_move_that_takes_long_is_followed_by_the_gates_and_not_by_another_drain() {
    for (late, attempts) in [(9000, 1), (9001, 2)] {
        let mut node = Node::new(settings());
        let moved = node.until_sending("committed");
        node.now += Duration::from_millis(late);
        node.pass(moved);
        node.until("reboot");
        assert_eq!(node.claim().unwrap().attempts, attempts);
        assert_eq!(node.done.iter().filter(|done| **done == "hook").count(), 1);
    }
}

/// Up to the last look, whose permit grew old, no command has run: so nothing speaks against giving the claim back.
#[test]
fn a_permit_that_grew_old_during_the_last_look_leads_back_to_the_gates() {
    for closed in ["no", "released", "kill switch", "etcd"] {
        let mut node = Node::new(settings());
        let moved = node.until_sending("committed");
        node.pass(moved);
        let Action::LookAtHost(ticket) = node.next_action() else {
            panic!("the last look is next");
        };
        node.now += Duration::from_secs(10);
        node.give(Input::Host(ticket, None));
        assert_eq!(node.machine.view().state, "rebooting");
        match closed {
            "released" => node.delete("/r/claims/n0"),
            "kill switch" => node.kill_switch = Some("maintenance".to_owned()),
            _ => {}
        }
        match closed {
            "no" => {
                node.until("reboot");
                assert!(node.said("permit_expired", "judging them again"));
                assert_eq!(node.claim().unwrap().attempts, 2);
            }
            "released" => {
                node.until("hook"); // the undo
                assert_eq!(node.machine.view().state, "verifying");
                assert!(node.said("claim_gone", "was taken away"));
            }
            "kill switch" => {
                node.until_sending("verifying");
                assert!(node.said("aborted", "maintenance"));
            }
            // What etcd does not say may be said in a moment.
            _ => {
                let (ticket, _) = node.until_sending("rebooting");
                node.answer(ticket, Err(unknown()));
                assert_eq!(node.machine.view().state, "holding");
            }
        }
    }
}

#[test]
fn gates_that_are_always_too_old_are_judged_three_times_and_then_the_attempt_is_called_off() {
    let mut node = Node::new(settings());
    for attempt in 1..=3 {
        let commit = node.until_sending("committing");
        node.now += Duration::from_secs(10);
        node.pass(commit);
        assert_eq!(node.claim().unwrap().attempts, attempt);
    }
    node.until_sending("verifying");
    assert!(node.said("aborted", "too old to act on, 3 times"));
    assert!(!node.done.contains(&"hook"));
}

/// A command that ran and did nothing may still do something: then the claim is held, as it is by any gate.
#[test]
fn when_a_command_ran_before_an_old_permit_holds_the_claim() {
    let mut node = Node::new(settings());
    command(&mut node, ended(ScriptOutcome::Exited(0)));
    for attempt in 2..=3 {
        let commit = node.until_sending("committing");
        node.now += Duration::from_secs(10);
        node.pass(commit);
        assert_eq!(node.claim().unwrap().attempts, attempt);
    }
    node.settle();
    assert_eq!(node.machine.view().state, "holding");
    assert!(node.said("holding", "too old to act on"));
}

#[test]
fn the_drain_is_not_to_be_started_when_its_permit_is_over() {
    let mut node = Node::new(settings());
    let commit = node.until_sending("committing");
    let sent = node.now;
    node.now += Duration::from_secs(3);
    node.pass(commit);
    let Action::Hook(_, hook, _) = node.until("hook") else {
        unreachable!("it was waited for");
    };
    let until = sent + Duration::from_secs(9);
    assert_eq!(hook, Hook::Drain { until });
}

/// Drains, or reboots, or undoes: what the node does next after the gates.
fn next_act(node: &mut Node) -> &'static str {
    for _ in 0..30 {
        let action = node.next_action();
        match &action {
            Action::Hook(_, Hook::Drain { .. }, _) => return "drain",
            Action::Hook(_, Hook::Undo, _) => return "undo",
            Action::Reboot(..) => return "reboot",
            _ => node.perform(action),
        }
    }
    panic!("nothing is done: {:?}", node.machine.state());
}

/// The gates may take a minute together. Under a committed claim no lease watches over that.
#[test]
fn gates_that_took_longer_than_their_limits_are_judged_again_before_the_commit() {
    let night = Duration::from_secs(8 * 3600);
    for asleep in [
        "the read",
        "the look",
        "the answer to the commit",
        "nothing",
    ] {
        let mut node = Node::new(settings());
        node.until("hook");
        // The process dies while it drains, and the next one goes on.
        let mut node = node.followed_by(settings());
        let health = node.until("health");
        node.perform(health);
        match asleep {
            "the read" => {
                let read = node.until_sending("draining");
                node.now += night;
                node.health = ScriptOutcome::Exited(1);
                node.pass(read);
            }
            "the look" => {
                let look = node.until("look");
                node.now += night;
                node.health = ScriptOutcome::Exited(1);
                node.perform(look);
            }
            "the answer to the commit" => {
                let (ticket, request) = node.until_sending("committing");
                let stands = node.registration();
                node.put("/r/nodes/n0", encode(&stands)); // nothing in it changes, and the commit is refused
                let refused = node.etcd.apply(0, &request);
                node.now += night;
                node.health = ScriptOutcome::Exited(1);
                node.answer(ticket, refused);
            }
            _ => node.now += Duration::from_secs(60),
        }
        let expected = if asleep == "nothing" { "drain" } else { "undo" };
        assert_eq!(next_act(&mut node), expected, "asleep during {asleep}");
        assert_eq!(
            node.said("gates_expired", "judging them again"),
            asleep != "nothing"
        );
    }
}

/// The host slept between the permit and the command's thread, and woke up after the time in which it should have gone down.
#[test]
fn a_command_that_says_after_its_time_that_it_never_started_cannot_take_the_host_down() {
    for (answer, next) in [
        (ScriptOutcome::NotStarted("8 h passed".to_owned()), "undo"),
        (ScriptOutcome::Exited(0), "held"),
    ] {
        let mut node = Node::new(settings());
        let Action::Reboot(ticket, ..) = node.until("reboot") else {
            unreachable!("it was waited for");
        };
        node.kill_switch = Some("maintenance".to_owned());
        node.wait(Duration::from_secs(8 * 3600));
        node.give(Input::RebootCommand(ticket, ended(answer)));
        if next == "undo" {
            assert_eq!(next_act(&mut node), "undo");
        } else {
            node.until_state("holding");
        }
    }
}

/// Two permits were over before, so this command was of the last commit, and the claim is held for good.
#[test]
fn a_claim_that_is_held_for_good_is_given_back_when_its_only_command_never_started() {
    let mut node = Node::new(settings());
    for _ in 0..2 {
        let commit = node.until_sending("committing");
        node.now += Duration::from_secs(10);
        node.pass(commit);
    }
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.wait(Duration::from_secs(3600));
    assert_eq!(node.machine.view().state, "holding");
    let late = ScriptOutcome::NotStarted("3600 s passed".to_owned());
    node.give(Input::RebootCommand(ticket, ended(late)));
    assert_eq!(next_act(&mut node), "undo");
}

/// What a later command does is not known from what an earlier one did not.
#[test]
fn that_the_first_command_never_started_says_nothing_of_the_second() {
    let mut node = Node::new(settings());
    let Action::Reboot(first, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.wait(Duration::from_secs(3600));
    command(&mut node, ended(ScriptOutcome::Exited(0)));
    node.kill_switch = Some("maintenance".to_owned());
    let late = ScriptOutcome::NotStarted("3600 s passed".to_owned());
    node.give(Input::RebootCommand(first, ended(late)));
    node.until_state("holding");
}

#[test]
fn a_move_to_the_next_phase_whose_answer_was_lost_is_recognized() {
    let mut node = Node::new(settings());
    let moved = node.until_sending("committed");
    node.lose(moved);
    node.until("reboot");
    assert_eq!(node.claim().unwrap().attempts, 1);
}

#[test]
fn a_claim_that_somebody_else_rewrote_after_the_commit_is_adopted_as_it_stands() {
    let mut node = Node::new(settings());
    let (ticket, _) = node.until_sending("committed");
    let other = Claim {
        session: "another".to_owned(),
        ..node.claim().unwrap()
    };
    node.put("/r/claims/n0", encode(&other));
    node.answer(ticket, Err(unknown()));
    let again = node.until_sending("committed");
    node.pass(again);
    assert_eq!(node.machine.view().state, "starting");
}

#[test]
fn a_command_that_fails_is_believed_after_a_tenth_of_the_timeout() {
    let said = |stdout: &str, stderr: &str| ScriptReport {
        stdout: Captured {
            text: stdout.to_owned(),
            dropped: 0,
        },
        stderr: Captured {
            text: stderr.to_owned(),
            dropped: 0,
        },
        ..ended(ScriptOutcome::Exited(1))
    };
    for (report, words) in [
        (said("", ""), "exit code 1"),
        (said("out", ""), "exit code 1: out"),
        (said("out", "first\nlast \n\n"), "exit code 1: last"),
    ] {
        let mut node = Node::new(settings());
        command(&mut node, report);
        assert_eq!(node.pause(), Duration::from_secs(6));
        node.until_sending("verifying");
        assert_eq!(node.last("reboot_command_failed").fields[0].1, 6000);
        let aborted = &node.last("aborted").msg;
        assert_eq!(
            *aborted,
            format!("the attempt is called off: the reboot command failed: {words}")
        );
    }
}

#[test]
fn a_claim_is_held_while_an_earlier_command_may_still_work_and_three_are_the_most() {
    let mut node = Node::new(settings());
    command(&mut node, ended(ScriptOutcome::Exited(0)));
    let not_started = || ended(ScriptOutcome::NotStarted("no such file".to_owned()));
    command(&mut node, not_started());
    assert_eq!(node.machine.view().state, "holding");
    command(&mut node, not_started());
    let begun = node.now;
    while node.now < begun + Duration::from_secs(300) {
        let view = node.machine.view();
        assert_eq!(view.state, "holding");
        assert!(matches!(view.refusal, Some(Refusal::Aborted(_))));
        node.step(); // not another command
    }
    assert_eq!(node.claim().unwrap().attempts, 3);
}

#[test]
fn a_write_between_the_gates_and_the_commit_is_judged_on_a_new_read_and_nothing_else() {
    let mut node = Node::new(settings());
    let commit = node.until_sending("committing");
    let stands = node.registration();
    node.put("/r/nodes/n0", encode(&stands));
    node.done.clear();
    node.pass(commit);
    node.until_sending("committing");
    assert_eq!(node.done, ["etcd", "etcd", "look"]);
}

#[test]
fn a_commit_says_who_commits_now_and_not_who_did_before() {
    let mut node = Node::new(settings());
    node.until("hook");
    let before = node.claim().unwrap();
    let mut node = node.followed_by(Settings {
        version: "0.2.0".to_owned(),
        max_concurrent_reboots: 2,
        ..settings()
    });
    node.detectors[0].name = "libc".to_owned();
    node.until("hook");
    let after = node.claim().unwrap();
    assert_ne!(after.session, before.session);
    let expected = Claim {
        session: after.session.clone(),
        limit: 2,
        reasons: vec!["libc".to_owned()],
        committed_at: after.committed_at.clone(),
        attempts: 2,
        version: "0.2.0".to_owned(),
        ..before
    };
    assert_eq!(after, expected);
}

/// What the scripts of packages read, through the life of a node and of the process after its reboot.
#[test]
fn whether_a_reboot_is_under_way_has_a_word_at_every_moment() {
    let words = |node: &mut Node, last: &str| {
        let mut words = Vec::new();
        loop {
            let word = node.machine.commitment().map(Commitment::as_str);
            words.extend(word.filter(|word| words.last() != Some(word)));
            match node.next_action() {
                action if name(&action) == last => return words,
                action => node.perform(action),
            }
        }
    };
    let mut node = Node::new(settings());
    let before = words(&mut node, "reboot");
    assert_eq!(before, ["unknown", "none", "queued", "committed"]);
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..settings()
    });
    assert_eq!(words(&mut node, "marker"), ["unknown", "committed", "none"]);
}

fn reload(node: &mut Node) {
    node.reload(settings());
}

/// As by a filter that lets no commit pass, and everything else. One that is lost costs nothing; before the third there is a pause.
#[test]
fn a_node_whose_commits_are_lost_one_after_the_other_gives_its_place_up_for_a_while() {
    let mut node = Node::new(settings());
    for state in ["turn", "leaving"] {
        let (ticket, _) = node.until_sending("committing");
        node.answer(ticket, Err(unknown()));
        let fence = node.until_sending("fencing");
        node.pass(fence);
        assert_eq!(node.machine.view().state, state);
    }
    node.until_state("idle");
    assert!(node.said("blocked", "etcd") && node.claim().is_none());
    let began = node.now;
    node.until("reboot");
    assert!(node.now - began >= settings().backoff_min / 2);
}

/// What stands after a commit whose answer was lost tells: it was made, it was fenced off, or a guard refused it.
#[test]
fn a_commit_that_was_not_made_is_judged_from_its_first_gate_and_after_a_reload_from_the_queue() {
    for (reloaded, fenced, state) in [
        (false, true, "turn"),
        (true, true, "queued"),
        (false, false, "turn"),
        (true, false, "queued"),
    ] {
        let mut node = Node::new(settings());
        let (ticket, commit) = node.until_sending("committing");
        if fenced {
            node.answer(ticket, Err(unknown()));
            let mut fence = node.until_sending("fencing");
            if reloaded {
                reload(&mut node);
                fence = node.until_sending("fencing");
            }
            node.pass(fence);
        } else {
            let stands = node.registration();
            node.put("/r/nodes/n0", encode(&stands)); // nothing in it changes, and the commit is refused
            let refused = node.etcd.apply(0, &commit);
            if reloaded {
                reload(&mut node);
                let fence = node.until_sending("fencing");
                node.pass(fence);
            } else {
                node.answer(ticket, refused);
            }
        }
        assert_eq!(node.machine.view().state, state, "{reloaded} {fenced}");
        let mut next = node.next_action();
        while name(&next) == "unwatch" {
            next = node.next_action();
        }
        let read_again = !fenced && !reloaded;
        assert_eq!(name(&next), if read_again { "etcd" } else { "detect" });
        node.perform(next);
        node.until("reboot");
        assert_eq!(node.claim().unwrap().attempts, 1);
    }
}
