//! What a node says of itself at each moment of its life, word by word.

use std::time::Duration;

use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::settings::Mode;
use reboot_coordinator::core::verdict::{Verdict, Word};
use reboot_coordinator::core::{Action, Input, Refusal, Settings, WatchEvent};
use reboot_coordinator::lock::Phase;
use reboot_coordinator::lock::record::{Blocked, Standing};
use simulation::by_hand::{Node, detector, ended, name, settings, time, unreachable};

/// What stands in the way, and what it is at, whenever that changes.
fn said(node: &Node) -> String {
    let Some(standing) = node.machine.standing() else {
        return String::new();
    };
    let blocked = standing.blocked.as_ref();
    let blocked = blocked.map(|blocked| format!(" [{}] {}", blocked.label, blocked.text));
    let doing = standing.doing.as_deref().unwrap_or_default();
    format!("{}{}: {doing}", standing.state, blocked.unwrap_or_default())
}

/// What it says from now on, until `end` is to be done or a state is reached.
fn sayings(node: &mut Node, end: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![said(node)];
    for _ in 0..400 {
        let action = node.next_action();
        if name(&action) == end {
            return all;
        }
        match action {
            Action::Reboot(ticket, ..) => node.give(Input::RebootCommand(
                ticket,
                ended(ScriptOutcome::Exited(0)),
            )),
            action => node.perform(action),
        }
        let now = said(node);
        if all.last() != Some(&now) {
            all.push(now);
        }
        if node.machine.view().state == end {
            return all;
        }
    }
    panic!("no {end}: {all:#?}");
}

fn of_boot(boot: &str) -> Settings {
    Settings {
        boot_id: boot.to_owned(),
        ..settings()
    }
}

const COMMAND: &str =
    "rebooting: the reboot command is run, and again when the host is still up 60 s after it";

#[test]
fn a_node_says_where_it_is_in_a_reboot_that_works() {
    let mut node = Node::new(settings());
    node.elder("n9", Phase::Queued);
    assert_eq!(sayings(&mut node, "queued"), ["", "queued: "]);
    node.settle();
    let claim = "/r/claims/n9";
    node.delete(claim);
    let (watch, ..) = node.watch.clone().unwrap();
    node.give(Input::Watch(watch, WatchEvent::Deleted(claim.into())));
    assert_eq!(
        sayings(&mut node, "reboot"),
        [
            "queued: ",
            "draining: the drain hook runs, at most 60 s",
            COMMAND
        ]
    );
    let mut node = node.followed_by(Settings {
        post_boot_settle: Duration::from_secs(30),
        ..of_boot("boot-2")
    });
    node.health = ScriptOutcome::Exited(3);
    node.detectors = vec![detector(DetectorResult::Clear)];
    let proof = "verifying: is back and has to prove that it is healthy for 30 s";
    let ill = "verifying [health] the health script does not pass: exit code 3: is back";
    let health = node.until("health");
    assert_eq!(said(&node), proof);
    node.perform(health);
    while said(&node) == proof {
        node.step();
    }
    assert_eq!(said(&node), ill);
    node.health = ScriptOutcome::Exited(0);
    assert_eq!(
        sayings(&mut node, "idle"),
        [ill, proof, "verifying: gives its claim back", "idle: "]
    );
}

#[test]
fn a_node_that_never_goes_down_says_so_each_time() {
    let mut node = Node::new(settings());
    node.until("hook");
    let mut node = node.followed_by(settings());
    let text = "the attempt was called off: the host is still up 60 s after the reboot command, in attempt 3 of 3";
    assert_eq!(
        sayings(&mut node, "holding"),
        [
            "",
            "draining: the drain hook runs, at most 60 s",
            COMMAND,
            "retrying: never went down: 2 of 3 attempts led to no reboot; judges its gates and tries again",
            COMMAND,
            &format!("holding [aborted] {text}: is still up and may yet go down"),
        ]
    );
    // Since when counts from the first time that it said so, and the gate of the attempt says the same.
    let (since, begun) = (node.machine.standing().unwrap().since.clone(), node.now);
    while node.now < begun + Duration::from_secs(100) {
        node.step();
    }
    let standing = node.machine.standing().unwrap();
    assert_eq!(standing.since, since);
    assert_eq!(standing.blocked.as_ref().unwrap().since, since);
    assert_eq!(gate(&node, "attempt"), (Word::Blocks, text.to_owned()));
    let attempt = |it: &&Verdict| it.gate == "attempt";
    let attempt = node.machine.verdicts().iter().find(attempt).unwrap();
    assert_eq!(attempt.changes_at, None, "a command may still work");
    // Three more after a restart.
    let mut node = node.followed_by(settings());
    let looks = "judges its gates and tries again";
    let (before, after) = (
        "never went down",
        "never went down: 1 of 3 attempts led to no reboot",
    );
    assert_eq!(
        sayings(&mut node, "holding")[..5],
        [
            "".to_owned(),
            format!("retrying: {before}; {looks}"),
            COMMAND.to_owned(),
            format!("retrying: {after}; {looks}"),
            COMMAND.to_owned(),
        ]
    );
}

/// Each look again at what it holds for would else be two writes.
#[test]
fn a_node_that_holds_says_nothing_anew_while_it_looks_again() {
    let mut node = Node::new(settings());
    sayings(&mut node, "rebooting");
    node.health = ScriptOutcome::Exited(3);
    let held = sayings(&mut node, "holding").pop();
    let since = node.machine.standing().unwrap().since.clone();
    let (begun, mut looks) = (node.now, 0);
    while node.now < begun + Duration::from_secs(300) {
        let action = node.next_action();
        looks += usize::from(name(&action) == "health");
        node.perform(action);
        assert_eq!(Some(said(&node)), held);
    }
    assert!(looks > 3, "{looks}");
    assert_eq!(node.machine.standing().unwrap().since, since);
    node.health = ScriptOutcome::Exited(0);
    assert_eq!(
        sayings(&mut node, "reboot"),
        [held.unwrap(), COMMAND.into()]
    );
}

#[test]
fn an_attempt_that_ended_otherwise_is_said_to_have() {
    let proof = |what: &str| format!("verifying: {what} and has to prove that it is healthy");
    // Nothing to drain.
    let mut node = Node::new(Settings {
        drain_timeout: None,
        ..settings()
    });
    assert_eq!(sayings(&mut node, "reboot"), ["", "queued: ", COMMAND]);
    // Called off.
    let mut node = Node::new(settings());
    let hook = node.until("hook");
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    node.hook = ScriptOutcome::Exited(0);
    let all = sayings(&mut node, "idle");
    let why = "the drain hook failed: exit code 1";
    assert_eq!(all[0], proof(&format!("called its attempt off ({why})")));
    assert_eq!(all[1], "verifying: gives its claim back");
    let off = format!("blocked [aborted] the attempt was called off: {why}; next try 2026-07-14 ");
    assert!(all[2].starts_with(&off), "{all:?}");
    // Taken away.
    let mut node = Node::new(settings());
    node.until("reboot");
    node.delete("/r/claims/n0");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    let lost = proof("lost its claim to an operator or hold_timeout_sec");
    assert_eq!(sayings(&mut node, "idle"), ["", &lost, "idle: "]);
    // Without a record.
    let mut node = Node::new(Settings {
        memory: None,
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    let unknown = proof("has no record of what it began, and undoes a drain once");
    assert_eq!(sayings(&mut node, "idle"), ["", &unknown, "idle: "]);
    // The command fails.
    let mut node = Node::new(settings());
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Exited(1)),
    ));
    let failed = "rebooting: the reboot command failed (exit code 1); it may go down all the same";
    assert_eq!(said(&node), failed);
}

/// What a gate says, and why.
fn gate(node: &Node, name: &str) -> (Word, String) {
    let mut all = node.machine.verdicts().iter();
    let said = all.find(|said| said.gate == name);
    let said = said.unwrap_or_else(|| panic!("{name} is a gate"));
    (said.verdict, said.text.clone())
}

#[test]
fn the_gate_of_the_turn_says_how_many_are_before_the_node() {
    let turn = |node: &Node| gate(node, "turn");
    let mut node = Node::new(settings());
    let look = node.until("look");
    assert_eq!(turn(&node), (Word::NotAsked, "not in the queue".to_owned()));
    node.perform(look);
    node.elder("n9", Phase::Queued);
    node.until_state("queued");
    let before = Refusal::NotTurn("1 before it".to_owned()).text();
    assert_eq!(turn(&node), (Word::Blocks, before));
    let here = (Word::Ok, "its turn is here".to_owned());
    // A turn that is held while the cluster is paused, and one that is judged.
    let mut node = Node::new(settings());
    let count = node.until_sending("queued");
    node.put("/r/pause", "unreadable, but there");
    node.pass(count);
    node.settle();
    assert_eq!(node.machine.view().state, "queued");
    assert_eq!(turn(&node), here);
    let mut at_once = Node::new(settings());
    at_once.until_sending("turn");
    assert_eq!(turn(&at_once), here);
    node.delete("/r/pause");
    node.until("detect");
    assert_eq!(turn(&node), here);
}

#[test]
fn a_pass_that_is_over_leaves_what_it_found_unless_etcd_could_not_be_asked() {
    let once = || Settings {
        mode: Mode::Once {
            wait: Duration::ZERO,
        },
        ..settings()
    };
    let ended = |mut node: Node| {
        node.until_exit();
        let parting = node.machine.parting();
        parting.map(|standing| (standing.state.clone(), standing.once))
    };
    let mut ill = Node::new(once());
    ill.health = ScriptOutcome::Exited(1);
    assert_eq!(ended(ill), Some(("blocked".to_owned(), true)));
    let mut cut_off = Node::new(once());
    let read = cut_off.until_sending("checking");
    cut_off.answer(read.0, Err(unreachable()));
    assert_eq!(said(&cut_off).split(']').next(), Some("blocked [etcd"));
    assert_eq!(ended(cut_off), None);
    let mut daemon = Node::new(settings());
    daemon.detectors = vec![detector(DetectorResult::Clear)];
    daemon.until_state("idle");
    assert_eq!(
        (said(&daemon).as_str(), daemon.machine.parting()),
        ("idle: ", None)
    );
}

#[test]
fn a_machine_whose_name_another_one_has_says_which() {
    let mut other = Node::new(settings());
    other.detectors = vec![detector(DetectorResult::Clear)];
    other.until_state("idle");
    let mut node = other.followed_by(Settings {
        node_id: "machine-7".to_owned(),
        ..settings()
    });
    node.until_exit();
    let since = "2026-07-14T03:50:01.000Z".to_owned();
    let why = "two machines use the name n0: machine-0 has it, and machine-7 was refused";
    assert_eq!(
        node.machine.parting(),
        Some(&Standing {
            v: 1,
            node: "n0".to_owned(),
            node_id: "machine-7".to_owned(),
            state: "refused".to_owned(),
            since: since.clone(),
            blocked: Some(Blocked {
                gate: "name".to_owned(),
                label: "name_taken".to_owned(),
                text: why.to_owned(),
                since,
            }),
            once: true,
            ..Standing::default()
        })
    );
}

#[test]
fn trouble_with_etcd_is_remembered_from_its_beginning_and_its_end_is_said_when_it_was_long() {
    for (away, told) in [(19, false), (20, true)] {
        let mut node = Node::new(settings());
        node.detectors = vec![detector(DetectorResult::Clear)];
        let began = time(node.now).wall;
        for _ in 0..2 {
            let (ticket, _) = node.until_sending("starting");
            node.answer(ticket, Err(unreachable()));
            let trouble = node.machine.etcd_trouble().unwrap();
            assert_eq!(*trouble, (began, unreachable().to_string()));
        }
        let again = node.until_sending("starting");
        node.now = Duration::from_secs(1000 + away);
        node.pass(again);
        assert_eq!(node.machine.etcd_trouble(), None);
        node.settle();
        assert_eq!(
            node.said("etcd_back", "etcd answers again"),
            told,
            "{away} s"
        );
    }
}

#[test]
fn what_a_failing_script_said_last_is_told_until_it_passes() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    for (outcome, told) in [
        (ScriptOutcome::Exited(1), Some("disk is full")),
        (ScriptOutcome::Cancelled, Some("disk is full")),
        (ScriptOutcome::Exited(0), None),
    ] {
        let Action::Monitor(ticket, _) = node.until("monitor") else {
            unreachable!("it was waited for");
        };
        let mut report = ended(outcome);
        report.stderr.text = "first\ndisk is full\n \n".to_owned();
        node.give(Input::Monitored(ticket, report));
        node.until("monitor");
        // What was waited for is left out, and asked for again after the reload.
        node.reload(Settings {
            health_publish_interval: Some(Duration::from_secs(10)),
            ..settings()
        });
        assert_eq!(node.machine.standing().unwrap().said.as_deref(), told);
    }
}

/// An attempt that was called off did not take away what it was for; a reboot that is over has, until it is asked for again.
#[test]
fn a_reboot_is_required_on_after_an_attempt_and_anew_after_a_reboot() {
    let mut node = Node::new(settings());
    let hook = node.until("hook");
    let required = |node: &Node| node.machine.standing().unwrap().required.clone();
    let since = required(&node).unwrap().since;
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    node.hook = ScriptOutcome::Exited(0);
    node.until_state("idle");
    assert_eq!(required(&node).unwrap().since, since);
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until("marker");
    let released = time(node.now).wall;
    let detect = node.until("detect");
    node.perform(detect);
    node.until_state("idle");
    let since: jiff::Timestamp = required(&node).unwrap().since.parse().unwrap();
    assert!(since > released, "{since} {released}");
}

#[test]
fn what_kept_a_drain_from_being_undone_is_not_said_of_what_comes_later() {
    let mut node = Node::new(Settings {
        memory: None,
        ..settings()
    });
    node.hook = ScriptOutcome::Exited(1);
    let undo = node.until("hook");
    node.perform(undo);
    assert!(said(&node).contains("the hook that undoes the drain failed"));
    node.hook = ScriptOutcome::Exited(0);
    node.kill_switch = Some("kept up".to_owned());
    node.until_state("idle");
    let told = said(&node);
    assert!(told.contains("kept up"), "{told}");
}

#[test]
fn nobody_says_that_its_turn_is_here_before_it_has_counted() {
    let mut node = Node::new(settings());
    node.elder("n9", Phase::Queued);
    node.until_sending("queued");
    assert_eq!(gate(&node, "turn").0, Word::Blocks);
}

/// Others may wait for its wave until its next pass.
#[test]
fn a_pass_that_ends_a_reboot_leaves_what_is_true_then() {
    for (clears, left) in [(true, ("idle", None)), (false, ("blocked", Some("budget")))] {
        let once = |boot: &str| Settings {
            mode: Mode::Once {
                wait: Duration::from_secs(60),
            },
            ..of_boot(boot)
        };
        let mut node = Node::new(once("boot-1"));
        node.until("reboot");
        let mut node = node.followed_by(once("boot-2"));
        if clears {
            node.detectors = vec![detector(DetectorResult::Clear)];
        }
        node.until_exit();
        assert!(node.claim().is_none() && node.exit == Some(0));
        let parting = node.machine.parting().unwrap();
        let label = parting.blocked.as_ref().map(|it| it.label.as_str());
        assert_eq!((parting.state.as_str(), label), left);
        assert_eq!(parting.required.is_some(), !clears);
    }
}

/// It comes as far as its turn in each pass, and is refused there.
#[test]
fn what_is_refused_at_each_turn_holds_the_node_up_since_the_first_one() {
    let dry = Settings {
        dry_run: true,
        ..settings()
    };
    let mut node = Node::new(dry.clone());
    let since = |node: &Node| {
        let blocked = node.machine.standing().unwrap().blocked.as_ref();
        blocked.map(|it| (it.label.clone(), it.since.clone()))
    };
    node.until_state("idle");
    let first = since(&node);
    assert_eq!(first.as_ref().unwrap().0, "dry_run");
    // Nor is it said each time that it takes its turn again.
    let enough = node.now + dry.check_interval * 4;
    while node.now < enough {
        node.step();
        assert_eq!(since(&node), first);
    }
    assert!(node.done.iter().filter(|it| **it == "detect").count() > 3);
    // Who waits for its turn for long was held up by that, and is held up anew.
    node.elder("n9", Phase::Queued);
    let detect = node.until("detect");
    node.perform(detect);
    node.until_state("queued");
    let waits = node.now;
    while node.now < waits + dry.check_interval * 6 {
        node.step();
    }
    let claim = "/r/claims/n9";
    node.delete(claim);
    let (watch, ..) = node.watch.clone().unwrap();
    node.give(Input::Watch(watch, WatchEvent::Deleted(claim.into())));
    node.until_state("idle");
    let again = since(&node);
    assert_eq!(again.as_ref().unwrap().0, "dry_run");
    assert_ne!(again, first);
}
