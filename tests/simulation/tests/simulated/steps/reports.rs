//! The health report of a member, every ten seconds here.

use std::time::Duration;

use etcd_rs_sync::{Put, Request};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::io::Ticket;
use reboot_coordinator::core::{Action, Input, Settings};
use reboot_coordinator::lock::record::{Report, Standing, decode};
use simulation::by_hand::{Node, detector, ended, settings, unknown, unreachable};

pub(super) fn reporting() -> Node {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        check_interval: Duration::from_secs(3600),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node
}

/// A node that has reported and waits.
pub(super) fn reported() -> Node {
    let mut node = reporting();
    node.until_state("idle");
    node.settle();
    node
}

fn report(node: &Node) -> Report {
    let kv = node.stands("/r/alive/n0").expect("there is a report");
    decode(&kv.value).unwrap()
}

pub(super) fn until_report(node: &mut Node) -> (Ticket, Request) {
    match node.until("report") {
        Action::Report(ticket, request) => (ticket, request),
        other => panic!("{other:?}"),
    }
}

fn standing(node: &Node) -> Standing {
    let kv = node.stands("/r/standing/n0").expect("there is one");
    decode(&kv.value).unwrap()
}

/// Its health script says nothing of a drain.
#[test]
fn a_node_that_may_be_drained_with_no_claim_that_says_so_is_not_healthy() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        drain_timeout: Some(Duration::from_secs(400)),
        undoes: true,
        ..settings()
    });
    let Action::Hook(ticket, ..) = node.until("hook") else {
        panic!("it drains");
    };
    node.delete("/r/claims/n0");
    node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(0))));
    let Action::Hook(ticket, ..) = node.until("hook") else {
        panic!("it undoes the drain");
    };
    node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(1))));
    let Action::Hook(ticket, ..) = node.until("hook") else {
        panic!("it tries again");
    };
    assert!(!report(&node).healthy);
    node.kill_switch = Some("there".to_owned());
    node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(0))));
    node.until_state("idle");
    node.settle();
    assert!(report(&node).healthy);
}

#[test]
fn a_node_says_what_holds_it_up_and_writes_it_only_when_the_reason_changes() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(3600)),
        check_interval: Duration::from_secs(20),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Required("so it is".to_owned()))];
    node.health = ScriptOutcome::Exited(1);
    node.until_state("idle");
    while node.stands("/r/standing/n0").is_none() {
        node.step();
    }
    let first = standing(&node);
    let blocked = first.blocked.clone().expect("health blocks");
    assert_eq!(
        (first.state.as_str(), blocked.label.as_str()),
        ("blocked", "health")
    );
    assert!(blocked.text.contains("exit code 1"), "{blocked:?}");
    assert_eq!(first.required.clone().expect("it is").by, ["kernel"]);
    // Another text of the same reason is written once, some time after the first, and then no more however long it lasts.
    node.health = ScriptOutcome::Exited(2);
    let (revision, begun) = (node.etcd.revision(), node.now);
    let until = |node: &mut Node, seconds: u64| {
        while node.now < begun + Duration::from_secs(seconds) {
            node.step();
        }
    };
    until(&mut node, 90);
    assert_eq!(node.etcd.revision(), revision);
    until(&mut node, 600);
    assert_eq!(node.etcd.revision(), revision + 1);
    let told = standing(&node).blocked.expect("health blocks");
    assert!(told.text.contains("exit code 2"), "{told:?}");
    assert_eq!(told.since, blocked.since);
    node.detectors = vec![detector(DetectorResult::Clear)];
    while standing(&node).state != "idle" {
        node.step();
    }
    assert_eq!(
        (standing(&node).required, standing(&node).blocked),
        (None, None)
    );
    assert_eq!(node.etcd.revision(), revision + 2);
}

#[test]
fn nothing_is_reported_before_the_name_is_known_to_be_the_own() {
    let mut node = reporting();
    let Action::Detect(other) = node.until("detect") else {
        unreachable!("it was waited for");
    };
    assert_eq!(node.done, ["etcd", "etcd", "etcd"]);
    let Action::Monitor(ticket, _) = node.next_action() else {
        panic!("the health script is next");
    };
    assert_ne!(ticket, other);
}

#[test]
fn a_report_says_since_when_and_why_and_is_written_only_when_its_verdict_changes() {
    let mut node = reported();
    let first = report(&node);
    assert!(first.healthy && first.reason.is_none());
    let revision = node.etcd.revision();
    let begun = node.now;
    while node.now < begun + Duration::from_secs(100) {
        node.step();
    }
    assert_eq!(node.etcd.revision(), revision);
    assert_eq!(report(&node), first);
    node.health = ScriptOutcome::Exited(2);
    while node.etcd.revision() == revision {
        node.step();
    }
    let second = report(&node);
    assert!(!second.healthy && second.since > first.since);
    assert_eq!(second.reason.as_deref(), Some("exit code 2"));
    assert!(node.said("unhealthy", "exit code 2"));
    let noted = node.notes.iter().filter(|note| note.event == "healthy");
    assert_eq!(noted.count(), 1);
}

#[test]
fn another_reason_is_told_anew_and_not_written_and_another_number_is_none() {
    let mut node = reported();
    node.health = ScriptOutcome::Exited(2);
    let revision = node.etcd.revision();
    while node.etcd.revision() == revision {
        node.step();
    }
    let first = report(&node);
    for (outcome, words, told) in [
        (ScriptOutcome::Exited(2), "", 1),
        (ScriptOutcome::Exited(2), "3 of 5 disks are gone", 2),
        (ScriptOutcome::Exited(2), "13 of 5 disks are gone", 2),
        (ScriptOutcome::Exited(3), "13 of 5 disks are gone", 3),
        (ScriptOutcome::NotStarted("a".to_owned()), "", 4),
        (ScriptOutcome::NotStarted("b".to_owned()), "", 5),
        (ScriptOutcome::NotStarted("b".to_owned()), "", 5),
    ] {
        let Action::Monitor(ticket, _) = node.until("monitor") else {
            unreachable!("it was waited for");
        };
        let mut ill = ended(outcome);
        ill.stderr.text = words.to_owned();
        node.give(Input::Monitored(ticket, ill));
        node.settle();
        let noted = node.notes.iter().filter(|note| note.event == "unhealthy");
        assert_eq!(noted.count(), told, "{words}");
        assert_eq!(report(&node), first);
    }
}

#[test]
fn a_script_that_runs_is_not_started_again_however_long_it_takes() {
    let mut node = reporting();
    node.until("monitor");
    let begun = node.now;
    node.until_state("idle");
    while node.now < begun + Duration::from_secs(60) {
        node.step();
    }
    assert!(!node.done.contains(&"monitor"), "since {begun:?}");
}

#[test]
fn what_a_node_says_of_itself_does_not_wait_for_its_health_script() {
    let mut node = reporting();
    while node.stands("/r/standing/n0").is_none() {
        match node.next_action() {
            Action::Monitor(..) => {} // it never ends
            action => node.perform(action),
        }
    }
    assert!(node.stands("/r/alive/n0").is_none());
}

#[test]
fn an_idle_node_that_cannot_ask_etcd_says_nothing_of_it_when_it_can() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(3600)),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node.settle();
    let before = node.stands("/r/standing/n0").cloned();
    let (ticket, _) = node.until_sending("checking");
    node.answer(ticket, Err(unreachable()));
    let begun = node.now;
    assert_eq!(node.machine.standing().unwrap().state, "blocked");
    while node.now < begun + Duration::from_secs(20) {
        node.step();
    }
    assert_eq!(node.stands("/r/standing/n0").cloned(), before);
}

/// What stands there is compared once, and replaced; what is written again and again is another program's.
#[test]
fn what_an_earlier_process_left_is_replaced_and_what_another_program_writes_is_said() {
    let first = reported();
    for key in ["/r/alive/n0", "/r/standing/n0"] {
        // Word for word the same, but under no lease of this process.
        let equal = first.stands(key).unwrap().value.clone();
        for left in [equal, b"{}".to_vec()] {
            let mut node = reporting();
            node.put(key, left.clone());
            node.until_state("idle");
            node.settle();
            let stands = node.stands(key).unwrap();
            assert_eq!(
                (stands.lease != 0, &stands.value),
                (true, &first.stands(key).unwrap().value)
            );
            assert!(!node.said("report_failed", ""));
            let mut node = reporting();
            while !node.said(
                "report_failed",
                &format!("{key}: another program writes it"),
            ) {
                let report = until_report(&mut node);
                node.put(key, left.clone());
                node.perform(Action::Report(report.0, report.1));
                assert!(node.now < Duration::from_secs(1100), "{key}");
            }
        }
    }
}

/// Host and daemon are back before the lease of the process before runs out: it wrote both.
#[test]
fn both_records_that_an_earlier_process_left_are_replaced_without_a_word() {
    let mut node = reporting();
    for key in ["/r/standing/n0", "/r/alive/n0"] {
        node.put(key, b"{}".to_vec());
    }
    // The script ends before etcd says that something stands where the node said what it is at: its report is next.
    let monitor = node.until("monitor");
    let write = loop {
        match until_report(&mut node) {
            (ticket, write @ Request::Txn(_)) => break Action::Report(ticket, write),
            (ticket, grant) => node.perform(Action::Report(ticket, grant)),
        }
    };
    node.perform(monitor);
    node.perform(write);
    node.until_state("idle");
    node.settle();
    assert!(!node.said("report_failed", ""));
    for key in ["/r/standing/n0", "/r/alive/n0"] {
        assert_ne!(node.stands(key).unwrap().lease, 0);
    }
}

/// A late copy of an earlier write of this process, under its own lease.
#[test]
fn what_this_process_said_before_is_not_taken_for_what_it_says_now() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    let before = node.stands("/r/standing/n0").unwrap().clone();
    node.detectors = vec![detector(DetectorResult::Failed("odd".to_owned()))];
    let write = loop {
        let (ticket, request) = until_report(&mut node);
        match request {
            Request::Txn(_) => break Action::Report(ticket, request),
            renewal => node.perform(Action::Report(ticket, renewal)),
        }
    };
    let late = Put::new(before.key, before.value, before.lease);
    node.etcd.apply(0, &Request::Put(late)).unwrap();
    node.perform(write);
    node.settle();
    assert_eq!(standing(&node).state, "blocked");
}

#[test]
fn a_reload_runs_the_script_at_once_and_sends_again_what_was_under_way() {
    let mut node = reported();
    node.wait(Duration::from_secs(5));
    node.settle();
    let now = node.now;
    node.health = ScriptOutcome::Exited(1);
    let settings = Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        check_interval: Duration::from_secs(3600),
        ..settings()
    };
    let reload = |node: &mut Node| {
        node.reload(settings.clone());
    };
    reload(&mut node);
    let (_, lost) = until_report(&mut node);
    assert_eq!(node.now, now);
    reload(&mut node);
    let (_, again) = until_report(&mut node);
    assert_eq!((node.now, again), (now, lost));
}

#[test]
fn a_verdict_that_is_as_it_was_before_it_could_be_written_is_waited_for_no_more() {
    let seconds = Duration::from_secs;
    let mut node = Node::new(Settings {
        health_publish_interval: Some(seconds(1)),
        backoff_min: seconds(5),
        backoff_max: seconds(5),
        check_interval: seconds(3600),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node.settle();
    node.health = ScriptOutcome::Exited(1);
    let (ticket, _) = until_report(&mut node);
    node.give(Input::Reported(ticket, Err(unreachable())));
    node.health = ScriptOutcome::Exited(0);
    let end = node.now + seconds(9);
    while node.now < end {
        node.settle();
        assert!(node.pause() > Duration::ZERO, "it does not wait");
        node.wait(node.pause());
    }
}

/// A write over what was there finds nothing: that is not the write.
#[test]
fn what_somebody_deleted_is_written_again_at_once_when_it_changes() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node.settle();
    for key in ["/r/alive/n0", "/r/standing/n0"] {
        assert!(node.stands(key).is_some());
        node.delete(key);
    }
    node.health = ScriptOutcome::Exited(2);
    let monitor = node.until("monitor");
    node.perform(monitor);
    node.settle();
    assert!(!report(&node).healthy);
    node.detectors = vec![detector(DetectorResult::Required("so it is".to_owned()))];
    let health = node.until("health");
    node.perform(health);
    node.settle();
    assert_eq!(standing(&node).state, "blocked");
}

#[test]
fn a_reason_in_other_words_is_written_once_the_old_ones_have_stood_for_two_minutes() {
    for (seconds, code) in [(119, "1"), (120, "2")] {
        let mut node = Node::new(Settings {
            health_publish_interval: Some(Duration::from_secs(3600)),
            ..settings()
        });
        node.health = ScriptOutcome::Exited(1);
        node.until_state("idle");
        node.settle();
        node.health = ScriptOutcome::Exited(2);
        node.wait(Duration::from_secs(seconds));
        node.settle();
        let told = standing(&node).blocked.expect("health blocks").text;
        assert!(told.ends_with(&format!("exit code {code}")), "{told}");
    }
}

/// Its answer was lost: whether it stands in etcd is not known any more, and the verdict that stood before it has to be written anew.
#[test]
fn a_verdict_that_came_back_while_another_was_written_without_an_answer_is_written_again() {
    let (well, ill) = (ScriptOutcome::Exited(0), ScriptOutcome::Exited(2));
    for (first, second) in [(&ill, &well), (&well, &ill)] {
        for reloads in [false, true] {
            let mut node = reporting();
            node.health = first.clone();
            node.until_state("idle");
            node.settle();
            node.health = second.clone();
            let (ticket, request) = loop {
                let sent = until_report(&mut node);
                if matches!(sent.1, Request::Txn(_)) {
                    break sent;
                }
                node.perform(Action::Report(sent.0, sent.1));
            };
            let _ = node.etcd.apply(0, &request); // nobody hears of it
            assert_eq!(report(&node).healthy, *second == well);
            node.health = first.clone();
            if reloads {
                node.reload(node.machine.settings().clone());
            } else {
                let monitor = node.until("monitor");
                node.perform(monitor);
                node.give(Input::Reported(ticket, Err(unknown())));
            }
            let end = node.now + Duration::from_secs(100);
            while node.now < end {
                node.step();
            }
            assert_eq!(report(&node).healthy, *first == well, "{first:?} {reloads}");
        }
    }
}

/// Another machine of this name wrote there before it was refused, and what it wrote ends with its lease; or it was a hand.
#[test]
fn what_was_written_over_or_deleted_stands_again_after_the_next_look_and_is_not_written_otherwise()
{
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(3600)),
        check_interval: Duration::from_secs(20),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    let wait = |node: &mut Node| {
        let begun = node.now;
        while node.now < begun + Duration::from_secs(45) {
            node.step();
        }
    };
    wait(&mut node);
    let (report, standing) = (report(&node), standing(&node));
    for deleted in [true, false] {
        for key in ["/r/alive/n0", "/r/standing/n0"] {
            match deleted {
                true => node.delete(key),
                false => drop(node.put(key, "{}")),
            }
            let revision = node.etcd.revision();
            wait(&mut node);
            assert_eq!(node.etcd.revision(), revision + 1, "{key}");
            assert_eq!(self::report(&node), report);
            assert_eq!(self::standing(&node), standing);
        }
    }
}

/// An answer that is older than the write tells nothing of it.
#[test]
fn a_look_from_before_the_report_was_written_does_not_have_it_written_again() {
    let mut node = reporting();
    let (ticket, look) = node.until_sending("checking");
    let before = node.etcd.apply(0, &look).unwrap();
    while node.stands("/r/alive/n0").is_none() {
        node.step();
    }
    node.give(Input::Etcd(ticket, Ok(before)));
    let (_, request) = until_report(&mut node);
    let sent = format!("{request:?}");
    assert!(sent.contains(&format!("{:?}", b"/r/standing/n0")), "{sent}");
}
