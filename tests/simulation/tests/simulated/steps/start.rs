//! The start of a process, and what it makes of what stands there.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, TxnReply};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Mode, Settings};
use reboot_coordinator::lock::record::encode;
use reboot_coordinator::lock::{Claim, Phase};
use simulation::by_hand::{Node, denied, detector, ended, name, settings, time};

const ONCE: Mode = Mode::Once {
    wait: Duration::ZERO,
};

#[test]
fn a_server_that_lets_a_guard_pass_is_refused() {
    let mut node = Node::new(settings());
    let (ticket, _) = node.until_sending("starting");
    let passed = TxnReply {
        succeeded: true,
        ..TxnReply::default()
    };
    node.answer(ticket, Ok(Reply::Txn(passed)));
    node.settle();
    assert_eq!(node.exit, Some(1));
    assert!(node.said("self_test_failed", "refusing to run"));
}

#[test]
fn records_that_cannot_be_read_end_the_program_with_their_names() {
    for (key, words) in [
        (
            "/r/claims/n0",
            "the claim of node n0 in etcd cannot be used",
        ),
        (
            "/r/nodes/n0",
            "the registration of node n0 in etcd cannot be used",
        ),
    ] {
        let mut node = Node::new(settings());
        node.put(key, r#"{"v":2}"#);
        for _ in 0..2 {
            let asked = node.until_sending("starting");
            node.pass(asked);
        }
        node.settle();
        assert_eq!(node.exit, Some(1));
        assert!(node.said("record_unreadable", words));
        assert!(node.said("record_unreadable", "upgrade this node"));
    }
}

#[test]
fn a_member_registers_once_and_again_when_its_version_has_changed() {
    let mut node = Node::new(settings());
    node.until("detect");
    let revision = node.etcd.revision();
    let mut node = node.followed_by(settings());
    node.until("detect");
    assert_eq!(node.etcd.revision(), revision, "it is known");
    let mut node = node.followed_by(Settings {
        version: "0.2.0".to_owned(),
        ..settings()
    });
    node.until("detect");
    assert_eq!(node.registration().version, "0.2.0");
}

#[test]
fn a_run_of_once_registers_nobody() {
    for version in ["0.1.0", "0.2.0"] {
        let mut node = Node::new(settings());
        node.until("detect");
        let mut node = node.followed_by(Settings {
            mode: ONCE,
            version: version.to_owned(),
            ..settings()
        });
        node.until("detect");
        assert_eq!(node.registration().version, "0.1.0");
    }
}

#[test]
fn a_registration_whose_answer_was_lost_is_recognized_and_another_is_read() {
    for (other, next) in [(false, "detect"), (true, "etcd")] {
        let mut node = Node::new(settings());
        for _ in 0..2 {
            let asked = node.until_sending("starting");
            node.pass(asked);
        }
        let register = node.until_sending("starting");
        node.lose(register);
        if other {
            let mut record = node.registration();
            record.budget_used = 1;
            node.put("/r/nodes/n0", encode(&record));
        }
        let again = node.until_sending("starting");
        node.pass(again);
        assert_eq!(name(&node.next_action()), next);
    }
}

/// A claim that was committed so many seconds before (or after) the start, by an earlier process on the same boot.
fn rebooting(mode: Mode, ago: i64) -> Node {
    let mut node = Node::new(settings());
    node.until("reboot");
    let committed =
        time(node.now + Duration::from_secs(1)).wall - jiff::SignedDuration::from_secs(ago);
    let claim = Claim {
        committed_at: Some(committed.to_string()),
        ..node.claim().unwrap()
    };
    node.put("/r/claims/n0", encode(&claim));
    let mut node = node.followed_by(Settings { mode, ..settings() });
    for _ in 0..2 {
        let asked = node.until_sending("starting");
        node.pass(asked);
    }
    node
}

#[test]
fn the_wait_for_a_reboot_that_was_issued_before_counts_from_the_commit_as_far_as_clocks_tell() {
    for (ago, left) in [(0, 60), (20, 40), (1000, 0), (-10, 60), (-1_000_000, 60)] {
        let mut node = rebooting(Mode::Daemon, ago);
        let state = node.machine.view().state;
        assert_eq!(state, "rebooting", "{ago}");
        let begun = node.now;
        node.until("detect");
        assert_eq!((node.now - begun).as_secs(), left, "{ago}");
    }
}

#[test]
fn a_run_of_once_leaves_a_reboot_alone_that_is_under_way() {
    for (ago, under_way) in [
        (0, true),
        (59, true),
        (60, false),
        (-60, true),
        (-61, false),
    ] {
        let mut node = rebooting(ONCE, ago);
        let action = node.next_action();
        let exits = matches!(action, Action::Exit(0));
        assert_eq!(exits, under_way, "{ago}: {action:?}");
    }
}

/// A process that was left in the queue, and the next one.
fn left_queued() -> Node {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.followed_by(settings())
}

#[test]
fn a_place_that_cannot_be_taken_over_is_looked_at_again_after_a_moment() {
    let mut node = left_queued();
    let (ticket, _) = node.until_sending("joining");
    node.answer(ticket, Err(denied()));
    assert_eq!(node.machine.view().state, "starting");
    let pause = node.pause().as_millis();
    assert!((1000..=2000).contains(&pause), "{pause}");
    node.until_state("queued");
    assert_eq!(node.claims("n0").len(), 2);
}

/// Those before it may wait for one more member that is healthy.
#[test]
fn a_place_of_a_member_that_was_forgotten_is_given_up_until_it_is_registered() {
    let mut node = left_queued();
    node.delete("/r/nodes/n0");
    node.until_state("queued");
    assert!(node.said("adopted", "giving it up"));
    assert_eq!(node.registration().node, "n0");
}

#[test]
fn a_place_whose_new_lease_ran_out_is_looked_at_again_and_not_forgotten() {
    let mut node = left_queued();
    let grant = node.until_sending("joining");
    node.pass(grant);
    let (ticket, _) = node.until_sending("joining");
    node.answer(ticket, Err(Error::LeaseNotFound));
    let revoke = node.until_sending("leaving");
    node.pass(revoke);
    assert_eq!(node.machine.view().state, "starting");
    let pause = node.pause().as_millis();
    assert!((1000..=2000).contains(&pause), "{pause}");
    assert!(node.due().is_none());
}

#[test]
fn a_node_whose_claim_was_taken_away_while_it_was_down_clears_its_attempt_and_keeps_its_request() {
    let mut node = Node::new(settings());
    node.until("reboot");
    node.delete("/r/claims/n0");
    let mut record = node.registration();
    record.request = Some(5);
    node.put("/r/nodes/n0", encode(&record));
    let mut node = node.followed_by(settings());
    node.until_state("idle");
    assert!(node.said("claim_gone", "its claim was taken away since"));
    let record = node.registration();
    assert_eq!((record.attempt, record.request), (None, Some(5)));
    assert_eq!(record.budget_used, 1);
}

/// `--once` finds an interrupted drain; the claim is released and the member forgotten while it calls the attempt off.
#[test]
fn a_run_of_once_does_not_register_a_member_that_was_forgotten() {
    let mut node = Node::new(settings());
    node.until("hook");
    node.delete("/r/nodes/n0");
    let mut node = node.followed_by(Settings {
        mode: ONCE,
        ..settings()
    });
    node.kill_switch = Some("the file is there".to_owned());
    let mark = node.until_sending("verifying");
    node.delete("/r/claims/n0");
    node.pass(mark);
    let undo = node.until("hook");
    node.perform(undo);
    node.until_exit();
    assert_eq!(node.exit, Some(1));
    assert!(node.stands("/r/nodes/n0").is_none());
}

#[test]
fn a_daemon_whose_claim_and_registration_were_removed_registers_again() {
    let mut node = Node::new(settings());
    node.until("hook");
    node.delete("/r/nodes/n0");
    let mut node = node.followed_by(settings());
    node.kill_switch = Some("the file is there".to_owned());
    let mark = node.until_sending("verifying");
    node.delete("/r/claims/n0");
    node.pass(mark);
    node.until_state("idle");
    assert_eq!(node.registration().attempt, None);
}

#[test]
fn the_command_of_an_earlier_process_is_not_waited_for_when_its_end_is_known() {
    let mut node = Node::new(settings());
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Signalled(15)),
    ));
    assert!(node.said("reboot_command_done", "") || node.due().is_none());
    assert_eq!(node.pause(), Duration::from_secs(60));
}

/// Whatever reboot commands it runs until then.
fn until_holding(node: &mut Node) {
    while node.machine.view().state != "holding" {
        match node.next_action() {
            Action::Reboot(..) => {} // it never answers
            other => node.perform(other),
        }
    }
}

/// Whoever restarts the daemon may have mended what kept the host from going down.
#[test]
fn a_claim_that_was_committed_three_times_is_tried_again_after_a_restart() {
    for (limit, others) in [(1, "nobody else goes"), (2, "nobody else gets its place")] {
        let settings = || Settings {
            max_concurrent_reboots: limit,
            ..settings()
        };
        let mut node = Node::new(settings());
        until_holding(&mut node);
        assert!(node.said("holding", others));
        assert_eq!(node.claim().unwrap().attempts, 3);
        let mut node = node.followed_by(settings());
        node.until("reboot");
        assert_eq!(node.claim().unwrap().attempts, 4);
    }
}

/// A machine container that shows the boot id of its host, or a soft reboot: nothing else ends it.
#[test]
fn a_host_that_starts_again_with_its_old_boot_id_is_rebooted_no_more_than_three_times() {
    // A boot that takes its time, too.
    for boot in [0, 100].map(Duration::from_secs) {
        let mut node = Node::new(settings());
        for _ in 0..3 {
            node.until("reboot");
            node.now += boot;
            node = node.followed_by(settings());
        }
        node.until_state("holding");
        assert_eq!(node.claim().unwrap().attempts, 3);
        // Somebody starts it again, and it dies in the first of three more.
        let mut node = node.followed_by(settings());
        node.until("reboot");
        let mut node = node.followed_by(settings());
        until_holding(&mut node);
        assert!(node.said("holding", "attempt 3 of 3"));
        assert_eq!(node.claim().unwrap().attempts, 6);
    }
}

/// It holds its claim before the wait for the last reboot is over.
#[test]
fn a_command_that_is_repaired_is_run_by_the_next_process() {
    let mut node = Node::new(settings());
    node.until("reboot");
    while node.machine.view().state != "holding" || node.claim().unwrap().attempts < 3 {
        match node.next_action() {
            Action::Reboot(ticket, ..) => {
                let failed = ended(ScriptOutcome::Exited(1));
                node.give(Input::RebootCommand(ticket, failed));
            }
            other => node.perform(other),
        }
    }
    let mut node = node.followed_by(settings());
    node.until("reboot");
    assert_eq!(node.claim().unwrap().attempts, 4);
}

/// The kernel that ends the hook for want of memory, and the unit with it: each start would drain the node again at once.
#[test]
fn a_node_whose_daemon_ends_in_each_drain_is_left_alone_for_long() {
    for in_the_undo in [false, true] {
        let mut node = Node::new(settings());
        for _ in 0..3 {
            node.until("hook");
            node = node.followed_by(settings());
        }
        if in_the_undo {
            node.until("hook");
            assert!(node.said("aborted", "3 commits"));
            node = node.followed_by(settings());
        }
        node.until_state("idle");
        assert!(node.pause() >= Duration::from_secs(2 * 3600));
    }
    // Once is no such row.
    let mut node = Node::new(settings());
    node.until("hook");
    let mut node = node.followed_by(settings());
    let drain = node.until("hook");
    node.hook = ScriptOutcome::Exited(1);
    node.perform(drain);
    node.hook = ScriptOutcome::Exited(0);
    node.until_state("idle");
    assert!(node.pause() < Duration::from_secs(3600));
}

/// The same of passes, whose memory says that one attempt was called off, before those that they could not tell of.
#[test]
fn passes_that_end_in_each_drain_leave_the_node_alone_for_long() {
    let once = || Settings {
        mode: Mode::Once {
            wait: Duration::from_secs(60),
        },
        ..settings()
    };
    let mut node = Node::new(once());
    let fails = |node: &mut Node| {
        let drain = node.until("hook");
        node.hook = ScriptOutcome::Exited(1);
        node.perform(drain);
        node.hook = ScriptOutcome::Exited(0);
        node.until_exit();
    };
    fails(&mut node);
    for _ in 0..3 {
        node = node.followed_by(once());
        node.now += Duration::from_secs(3600);
        node.until("hook");
    }
    node = node.followed_by(once());
    node.until_exit();
    let off = node.memory.clone().unwrap().called_off.unwrap();
    let until: jiff::Timestamp = off.until.parse().unwrap();
    assert!(
        until.duration_since(time(node.now).wall).as_hours() >= 2,
        "{off:?}"
    );
}

/// How often it tried is no word that nothing is to be undone.
#[test]
fn a_host_that_lost_its_record_and_holds_its_claim_remembers_that_it_began() {
    for reloads in [false, true] {
        let mut node = Node::new(settings());
        match reloads {
            true => drop(node.until("reboot")),
            false => until_holding(&mut node),
        }
        node.memory = None;
        let mut node = node.followed_by(settings());
        node.until_state(if reloads { "rebooting" } else { "holding" });
        if reloads {
            node.reload(settings());
            node.settle();
        }
        // Released and forgotten while its daemon is down.
        node.delete("/r/claims/n0");
        node.delete("/r/nodes/n0");
        let mut node = node.followed_by(settings());
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until_state("idle");
        assert!(node.done.contains(&"hook"), "{reloads}");
    }
}
