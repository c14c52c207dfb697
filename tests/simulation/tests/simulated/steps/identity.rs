//! Which machine this is, and what it remembers of itself.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply};
use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Action, Hook, Input, Reload, Settings};
use reboot_coordinator::lock::record::encode;
use reboot_coordinator::lock::{Claim, Domains, NodeRecord, Phase};
use simulation::by_hand::{Node, detector, name as action_name, settings, unreachable};

pub(super) fn of_boot(boot: &str) -> Settings {
    Settings {
        boot_id: boot.to_owned(),
        drain_timeout: Some(Duration::from_secs(60)),
        undoes: true,
        ..settings()
    }
}

/// A node with nothing to do.
pub(super) fn idle() -> Node {
    let mut node = Node::new(of_boot("boot-1"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node
}

/// The committed claim of a machine with the same name and the same machine id.
fn copy_commits(node: &mut Node) {
    copy_claims(node, "boot-x", Phase::Rebooting);
}

fn copy_claims(node: &mut Node, boot: &str, phase: Phase) {
    let claim = Claim {
        v: 1,
        node: "n0".to_owned(),
        node_id: settings().node_id,
        boot_id: boot.to_owned(),
        session: "s".to_owned(),
        phase,
        limit: 1,
        domains: Domains::default(),
        reasons: vec!["kernel".to_owned()],
        since: "s".to_owned(),
        committed_at: None,
        attempts: 1,
        patience_sec: None,
        drain_sec: None,
        passed: Vec::new(),
        target: None,
        version: "0".to_owned(),
    };
    node.put("/r/claims/n0", encode(&claim));
}

fn until_exit(node: &mut Node) -> u8 {
    node.until_exit();
    assert!(node.said("name_taken", "boot-x") && node.said("name_taken", "boot-1"));
    node.exit.unwrap()
}

/// Goes on until it has undone a drain, or is idle; whether it has.
fn undoes(node: &mut Node) -> bool {
    loop {
        if node.machine.view().state == "idle" {
            return false;
        }
        let action = node.next_action();
        let undoes = matches!(action, Action::Hook(_, Hook::Undo, _));
        node.perform(action);
        if undoes {
            return true;
        }
    }
}

#[test]
fn a_claim_that_a_copy_of_this_machine_made_is_not_given_back() {
    let mut node = idle();
    copy_commits(&mut node);
    node.detectors = vec![simulation::by_hand::asks("kernel")];
    assert_eq!(until_exit(&mut node), 2);
    assert_eq!(node.claim().unwrap().boot_id, "boot-x");
    // Nor by the next process in this boot, nor after a reboot of a host whose memory lasts.
    let mut node = node.followed_by(of_boot("boot-1"));
    assert_eq!(until_exit(&mut node), 2);
    let mut node = node.followed_by(of_boot("boot-2"));
    node.until_exit();
    assert!(node.said("name_taken", "boot-x"));
    assert_eq!(node.claim().unwrap().boot_id, "boot-x");
}

/// A snapshot of a running machine has its boot id too. Until it rebooted, its registration tells nothing.
#[test]
fn a_claim_that_a_copy_of_the_running_machine_commits_is_not_taken_for_that_of_an_earlier_process()
{
    let refuses = |mut node: Node| {
        while node.exit.is_none() {
            let action = node.next_action();
            assert_ne!(action_name(&action), "reboot");
            node.perform(action);
        }
        assert_eq!(node.exit, Some(2));
        assert!(node.said("name_taken", "another program made it"));
        let or = "two of these programs run on this one, with different run_dir";
        assert!(node.said("name_taken", or));
        assert_eq!(node.claim().unwrap().session, "s");
        node
    };
    let mut node = idle();
    copy_claims(&mut node, "boot-1", Phase::Rebooting);
    node.detectors = vec![simulation::by_hand::asks("kernel")];
    let node = refuses(node);
    // Who starts now cannot tell it from its own, and waits for a reboot that may be under way.
    node.followed_by(of_boot("boot-1")).until("reboot");

    // The copy waited already when this process began. It took the place over, and lost it again.
    let mut node = Node::new(of_boot("boot-1"));
    node.put("/r/nodes/n0", encode(&idle().registration()));
    copy_claims(&mut node, "boot-1", Phase::Queued);
    let count = node.until_sending("queued");
    copy_claims(&mut node, "boot-1", Phase::Draining);
    node.pass(count);
    refuses(node);
}

/// From when on this process uses etcd is known through its reloads, and anew of each cluster.
#[test]
fn a_claim_that_a_copy_of_the_running_machine_made_before_a_reload_or_elsewhere_is_not_taken_over()
{
    for elsewhere in [false, true] {
        let mut node = Node::new(of_boot("boot-1"));
        node.detectors = vec![detector(DetectorResult::Clear)];
        if elsewhere {
            let (ticket, request) = node.until_sending("starting");
            let mut reply = node.etcd.apply(0, &request);
            if let Ok(Reply::Txn(txn)) = &mut reply {
                (txn.header.cluster_id, txn.header.revision) = (2, 1_000_000);
            }
            node.answer(ticket, reply);
        }
        node.until_state("idle");
        let copies = |node: &mut Node| copy_claims(node, "boot-1", Phase::Rebooting);
        if !elsewhere {
            copies(&mut node);
        }
        node.give(Input::Reload(Box::new(Reload {
            settings: of_boot("boot-1"),
            drains_otherwise: false,
            elsewhere,
        })));
        if elsewhere {
            node.until_state("idle");
            copies(&mut node);
            node.detectors = vec![simulation::by_hand::asks("kernel")];
        }
        while node.exit.is_none() {
            let action = node.next_action();
            assert_ne!(action_name(&action), "reboot", "{elsewhere}");
            node.perform(action);
        }
        assert!(node.said("name_taken", "another program made it"));
    }
}

#[test]
fn a_registration_that_another_boot_writes_beside_this_one_is_a_copy_of_this_machine() {
    let mut node = idle();
    let mut record = node.registration();
    assert_eq!(record.boot_id.as_deref(), Some("boot-1"));
    record.boot_id = Some("boot-x".to_owned());
    node.put("/r/nodes/n0", encode(&record));
    assert_eq!(until_exit(&mut node), 2);
    // A host that boots finds its own boot before there, and goes on.
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert_eq!(node.registration().boot_id.as_deref(), Some("boot-2"));
}

/// The release wrote its boot there, so that nobody but another machine can have written another one since.
#[test]
fn a_registration_that_another_boot_writes_after_the_release_is_a_copy_of_this_machine() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    let mut record = loop {
        node.step();
        if node.claim().is_none() {
            break node.registration();
        }
    };
    record.boot_id = Some("boot-x".to_owned());
    node.put("/r/nodes/n0", encode(&record));
    node.until_exit();
    assert_eq!(node.exit, Some(2));
    assert!(node.said("name_taken", "boot-x"));
}

#[test]
fn a_member_that_was_forgotten_registers_and_reports_again_within_an_interval() {
    let mut node = Node::new(Settings {
        health_publish_interval: Some(Duration::from_secs(30)),
        ..of_boot("boot-1")
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    while node.stands("/r/alive/n0").is_none() {
        node.step();
    }
    node.delete("/r/nodes/n0");
    node.delete("/r/alive/n0");
    let forgotten = node.now;
    while node.stands("/r/nodes/n0").is_none() || node.stands("/r/alive/n0").is_none() {
        node.step();
    }
    assert!(node.now - forgotten <= settings().check_interval * 3 / 2);
}

#[test]
fn a_member_that_needs_a_reboot_and_may_not_finds_out_that_it_was_forgotten_as_well() {
    let mut node = Node::new(of_boot("boot-1"));
    node.kill_switch = Some("the file is there".to_owned());
    node.until_state("idle");
    node.delete("/r/nodes/n0");
    let forgotten = node.now;
    while node.stands("/r/nodes/n0").is_none() {
        node.step();
    }
    assert!(node.now - forgotten <= settings().check_interval * 3 / 2);
    // An etcd that does not answer that look is no reason to judge otherwise.
    node.until_state("idle");
    let (ticket, _) = node.until_sending("checking");
    node.answer(ticket, Err(unreachable()));
    node.until_state("idle");
    assert_eq!(
        node.machine
            .standing()
            .unwrap()
            .blocked
            .as_ref()
            .unwrap()
            .label,
        "kill_switch"
    );
}

#[test]
fn a_drain_is_undone_though_etcd_knows_nothing_of_it_any_more_and_once() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    node.delete("/r/claims/n0");
    node.delete("/r/nodes/n0");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert!(undoes(&mut node));
    assert!(node.said("claim_gone", "etcd knows nothing of it"));
    node.until_state("idle");
    let mut node = node.followed_by(of_boot("boot-3"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert!(!undoes(&mut node), "it was undone already");
}

#[test]
fn a_host_without_a_record_of_its_past_undoes_once_and_never_in_a_dry_run() {
    let nothing = |dry_run| Settings {
        memory: None,
        dry_run,
        ..of_boot("boot-1")
    };
    let mut node = Node::new(nothing(true));
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert!(!undoes(&mut node));
    let mut node = Node::new(nothing(false));
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert!(undoes(&mut node));
    assert!(node.said("no_record", "no record"));
    node.until_state("idle");
    let mut node = node.followed_by(of_boot("boot-1"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    assert!(!undoes(&mut node));
}

/// The machine that a copy was made of is back, without a record: the place in the queue is no sign that it undid anything.
#[test]
fn a_place_that_a_copy_left_does_not_count_as_a_record_of_this_host() {
    for (boot, undone) in [("boot-1", false), ("boot-2", true)] {
        let mut node = Node::new(of_boot("boot-1"));
        node.elder("n9", Phase::Rebooting);
        node.until_state("queued");
        node.memory = None;
        let mut node = node.followed_by(of_boot(boot));
        node.detectors = vec![detector(DetectorResult::Clear)];
        assert_eq!(undoes(&mut node), undone, "{boot}");
    }
}

#[test]
fn a_node_that_is_back_undoes_its_drain_though_etcd_cannot_write() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(of_boot("boot-2"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    let full = || {
        Err(Error::NotSent {
            detail: "no space".to_owned(),
        })
    };
    // One answer may be lost: the claim says how long the undo may take, if it can.
    for _ in 0..2 {
        let (ticket, _) = node.until_sending("verifying");
        node.answer(ticket, full());
    }
    assert!(!node.done.contains(&"hook"));
    let undo = node.next_action();
    assert_eq!(node.claim().unwrap().phase, Phase::Rebooting);
    node.perform(undo);
    let (ticket, _) = node.until_sending("verifying");
    node.answer(ticket, full());
    // The mark follows, and with it the rest; nothing is undone twice.
    node.until_state("idle");
    assert!(node.claim().is_none());
    assert_eq!(
        node.told.iter().filter(|(kind, _)| *kind == "hook").count(),
        1
    );
}

/// Until it has its own, and is started again.
#[test]
fn a_host_that_waits_for_its_name_is_not_ended_for_good_by_another_that_does() {
    for (name, code) in [("localhost", 1), ("localhost.localdomain", 1), ("n0", 2)] {
        let mut node = Node::new(Settings {
            node: name.to_owned(),
            ..settings()
        });
        let other = NodeRecord {
            node: name.to_owned(),
            node_id: "another machine".to_owned(),
            ..idle().registration()
        };
        node.put(&format!("/r/nodes/{name}"), encode(&other));
        node.until_exit();
        assert!(node.said("name_taken", "two machines use one node_name"));
        assert_eq!(node.exit, Some(code), "{name}");
    }
}

/// As a host whose machine id changes with each boot finds it.
#[test]
fn the_claim_of_another_machine_id_is_to_be_released_before_the_name_is_forgotten() {
    let mut node = Node::new(of_boot("boot-1"));
    node.until("reboot");
    let mut node = node.followed_by(Settings {
        node_id: "another".to_owned(),
        ..of_boot("boot-2")
    });
    node.until_exit();
    assert_eq!(node.exit, Some(2));
    let words = "release n0 where it has a claim, and forget n0";
    assert!(node.said("name_taken", words));
}

/// A backup of before the boot was restored behind other endpoints. In the cluster that was asked before it is a copy's.
#[test]
fn the_registration_of_an_earlier_boot_is_no_copys_where_the_endpoints_lead_elsewhere() {
    for elsewhere in [true, false] {
        let mut node = idle();
        let older = NodeRecord {
            boot_id: Some("boot-0".to_owned()),
            ..node.registration()
        };
        node.put("/r/nodes/n0", encode(&older));
        node.give(Input::Reload(Box::new(Reload {
            settings: of_boot("boot-1"),
            drains_otherwise: false,
            elsewhere,
        })));
        while node.exit.is_none() && node.registration().boot_id.as_deref() == Some("boot-0") {
            node.step();
        }
        assert_eq!(node.exit, (!elsewhere).then_some(2), "{elsewhere}");
        assert_eq!(node.said("name_taken", "two machines"), !elsewhere);
    }
}

/// As `etcdutl snapshot restore --bump-revision` leaves it, so that the store does not look older than it was.
#[test]
fn a_registration_older_than_this_boots_is_a_restored_backup_and_no_copy_of_this_machine() {
    for waits in [false, true] {
        let mut before = Node::new(of_boot("boot-0"));
        before.detectors = vec![detector(DetectorResult::Clear)];
        before.until_state("idle");
        let mut backup = before.etcd.clone();
        let mut node = before.followed_by(of_boot("boot-1"));
        node.detectors = vec![detector(DetectorResult::Clear)];
        if waits {
            node.elder("n9", Phase::Queued);
            node.detectors = vec![simulation::by_hand::asks("kernel")];
        }
        node.until_state(if waits { "queued" } else { "idle" });
        node.settle();
        std::mem::swap(&mut node.etcd, &mut backup);
        for _ in 0..100 {
            node.put("/x", "");
        }
        node.detectors = vec![simulation::by_hand::asks("kernel")];
        let end = node.now + Duration::from_secs(600);
        while node.now < end {
            node.step();
        }
        let said = |event: &str| node.said(event, "was restored from a backup");
        assert!(said("blocked") || said("etcd_error"), "{waits}");
        assert_eq!((node.exit, node.claim()), (None, None), "{waits}");
        // It was looked after, as the message says.
        let mut node = node.followed_by(of_boot("boot-1"));
        node.until("reboot");
    }
}

/// Its place is not in the backup. It says its boot there before it joins again.
#[test]
fn a_node_that_waited_elsewhere_registers_its_boot_in_the_restored_cluster() {
    let mut node = Node::new(of_boot("boot-1"));
    node.elder("n9", Phase::Queued);
    node.until_state("queued");
    node.settle();
    let older = NodeRecord {
        boot_id: Some("boot-0".to_owned()),
        ..node.registration()
    };
    node.delete("/r/claims/n0");
    node.put("/r/nodes/n0", encode(&older));
    node.give(Input::Reload(Box::new(Reload {
        settings: of_boot("boot-1"),
        drains_otherwise: false,
        elsewhere: true,
    })));
    while node.claim().is_none() {
        node.step();
    }
    assert_eq!(node.registration().boot_id.as_deref(), Some("boot-1"));
}

/// The next process must not undo what this one never began.
#[test]
fn a_host_that_undoes_nothing_has_a_record_after_its_first_look_but_for_a_dry_run() {
    for dry_run in [false, true] {
        let mut node = Node::new(Settings {
            memory: None,
            undoes: false,
            dry_run,
            ..of_boot("boot-1")
        });
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until_state("idle");
        assert_eq!(node.memory.is_none(), dry_run);
    }
}

#[test]
fn a_copy_that_registers_at_once_after_this_machine_is_known_for_one() {
    let mut node = Node::new(of_boot("boot-1"));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until("detect");
    let mut record = node.registration();
    record.boot_id = Some("boot-x".to_owned());
    node.put("/r/nodes/n0", encode(&record));
    node.reload(of_boot("boot-1"));
    assert_eq!(until_exit(&mut node), 2);
}

#[test]
fn what_an_older_release_registered_shows_the_machine_id_until_it_is_written_again() {
    let machine = "0123456789abcdef0123456789abcdef";
    let shown = "fcc73eb3b76a4e28a0c80e1b1fc245f4"; // as systemd-id128 makes it for this program
    let with = |node_id: &str| Settings {
        node_id: node_id.to_owned(),
        ..of_boot("boot-1")
    };
    let mut node = Node::new(with(machine));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert_eq!(node.registration().node_id, machine);
    let mut node = node.followed_by(with(shown));
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert_eq!(node.registration().node_id, shown);
}
