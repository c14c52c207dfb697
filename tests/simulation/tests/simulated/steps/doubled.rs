//! Every request reaches etcd twice, and the second copy is answered: a proxy that repeats what it has sent, or a client.

use std::time::Duration;

use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Action, Settings};
use reboot_coordinator::lock::{History, Phase, record::decode};
use simulation::by_hand::{Node, detector, settings};

fn doubled(settings: Settings) -> Node {
    let mut node = Node::new(settings);
    node.doubled = true;
    node
}

fn outcomes(node: &Node) -> Vec<String> {
    let entries = node
        .etcd
        .pairs()
        .filter(|kv| kv.key.starts_with(b"/r/history/"));
    entries
        .map(|kv| decode::<History>(&kv.value).unwrap().outcome)
        .collect()
}

#[test]
fn a_whole_reboot_succeeds_and_each_write_is_made_once() {
    let settings = Settings {
        min_reboot_interval: Duration::from_secs(60),
        drain_timeout: Some(Duration::from_secs(5)),
        undoes: true,
        ..settings()
    };
    let mut node = doubled(settings.clone());
    node.until("reboot");
    let phases: Vec<Phase> = node.claims("n0").iter().map(|claim| claim.phase).collect();
    assert_eq!(phases, [Phase::Queued, Phase::Draining, Phase::Rebooting]);
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..settings
    });
    node.doubled = true;
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert_eq!(node.claim(), None);
    assert_eq!(outcomes(&node), ["completed"]);
    assert!(node.stands("/r/cooldown").is_some_and(|kv| kv.lease != 0));
    assert!(node.said("released", "the reboot is complete"));
    assert!(!node.notes.iter().any(|note| note.event == "etcd_error"));
}

#[test]
fn a_waiting_node_follows_and_takes_away_like_any_other() {
    let mut node = doubled(Settings {
        hold_timeout: Some(Duration::from_secs(100)),
        ..settings()
    });
    node.elder("a", Phase::Rebooting);
    node.until("reboot");
    assert_eq!(outcomes(&node), ["taken-away"]);
}

#[test]
fn a_report_is_written_once_and_renewed() {
    let mut node = doubled(Settings {
        health_publish_interval: Some(Duration::from_secs(10)),
        check_interval: Duration::from_secs(3600),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    node.settle();
    let (revision, begun) = (node.etcd.revision(), node.now);
    let mut sent = 0;
    while node.now < begun + Duration::from_secs(100) {
        let action = node.next_action();
        sent += u32::from(matches!(action, Action::Report(..)));
        node.perform(action);
    }
    assert_eq!(node.etcd.revision(), revision);
    assert!(node.stands("/r/alive/n0").is_some());
    assert!(
        sent <= 40,
        "{sent} requests, of which each third of a lease wants one"
    );
}
