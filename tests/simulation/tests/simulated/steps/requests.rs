//! An operator's request, at each stage of the judgement.

use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Refusal, Settings};
use reboot_coordinator::lock::record::encode;
use reboot_coordinator::lock::{Phase, RebootRequest};
use simulation::by_hand::{Node, asks, detector, settings, unknown};
use simulation::records;

fn request(boot_id: Option<&str>) -> Vec<u8> {
    encode(&RebootRequest {
        boot_id: boot_id.map(str::to_owned),
        ..records::request()
    })
}

const TEXT: &str = "requested by eva@admin: new firmware";

/// A node whose detectors ask for nothing.
fn quiet() -> Node {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node
}

#[test]
fn a_request_is_noted_once_is_the_reason_once_and_is_deleted_by_the_release() {
    let mut node = quiet();
    node.put("/r/requests/n0", request(None));
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    for _ in 0..3 {
        let again = node.until("detect");
        node.perform(again);
    }
    assert_eq!(node.claim().unwrap().reasons, [TEXT]);
    assert!(node.said(
        "requested",
        "a reboot of this node was requested by eva@admin"
    ));
    assert!(node.said("detector", "detector etcd: required"));
    assert!(!node.said("request_done", ""), "nobody has booted");
    node.delete("/r/claims/a");
    node.until("reboot");
    let claim = node.claim().unwrap();
    assert_eq!(claim.reasons, [TEXT]);
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.stands("/r/requests/n0").is_none());
    assert_eq!(node.registration().request, None);
    assert!(!node.said("request_done", ""), "the release says it");
}

#[test]
fn a_request_that_another_boot_has_satisfied_is_deleted_and_said_to_be() {
    let mut node = quiet();
    node.put("/r/requests/n0", request(Some("boot-0")));
    node.until_state("idle");
    assert!(node.stands("/r/requests/n0").is_none());
    assert!(node.said(
        "request_done",
        "this node has booted since a reboot was requested by eva"
    ));
    assert!(node.said("detector", "detector etcd: clear"));
    assert_eq!(node.machine.view().refusal, Some(Refusal::NotRequired));
}

#[test]
fn a_request_that_cannot_be_seen_is_a_detector_that_cannot_tell() {
    let failed = DetectorResult::Failed("why".to_owned());
    let what = "etcd: etcd does not say whether there is one";
    // Where the host's own detectors ask for nothing it is etcd that has to be repaired.
    for (result, expected) in [
        (DetectorResult::Clear, Refusal::Etcd(unknown().to_string())),
        (failed, Refusal::Unknown(format!("kernel: why; {what}"))),
    ] {
        let mut node = Node::new(settings());
        node.detectors = vec![detector(result)];
        let (ticket, _) = node.until_sending("checking");
        node.answer(ticket, Err(unknown()));
        let refusal = node.machine.view().refusal;
        assert_eq!(refusal, Some(expected));
        node.settle();
        assert!(node.said("detector_failed", "whether an operator requests a reboot"));
        assert!(node.said("detector", "detector etcd: failed"));
    }
}

#[test]
fn a_request_that_cannot_be_read_is_no_veto_when_a_detector_asks() {
    let mut node = Node::new(settings());
    node.put("/r/requests/n0", "unreadable");
    node.until("reboot");
    assert_eq!(node.claim().unwrap().reasons, ["kernel"]);
    assert!(node.said("detector_failed", "the request cannot be read"));
}

/// In the queue behind another node, with the detectors silent since.
fn waiting(requested: bool) -> Node {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Queued);
    if requested {
        node.put("/r/requests/n0", request(Some("boot-1")));
        node.detectors = vec![detector(DetectorResult::Clear)];
    }
    node.until_state("queued");
    let again = node.until("detect");
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.perform(again);
    node
}

/// The turn is judged on a fresh look anyway.
#[test]
fn a_lost_look_at_a_request_does_not_cost_the_place_of_a_node_that_knows_of_it() {
    for (requested, state) in [(true, "queued"), (false, "leaving")] {
        let mut node = waiting(requested);
        let (ticket, _) = node.until_sending("queued");
        node.answer(ticket, Err(unknown()));
        assert_eq!(node.machine.view().state, state, "{requested}");
    }
}

#[test]
fn a_lost_look_at_a_request_costs_the_turn() {
    let mut node = quiet();
    node.put("/r/requests/n0", request(Some("boot-1")));
    let (ticket, _) = node.until_sending("turn");
    node.answer(ticket, Err(unknown()));
    assert_eq!(node.machine.view().state, "leaving");
    node.until_state("idle");
    assert!(matches!(
        node.machine.view().refusal,
        Some(Refusal::Etcd(_))
    ));
}

#[test]
fn a_budget_that_is_used_up_does_not_stand_against_a_request_but_one_that_was_tried_does() {
    for tried in [false, true] {
        let mut node = quiet();
        node.until_state("idle");
        let asked = node.put("/r/requests/n0", request(Some("boot-1")));
        let mut record = node.registration();
        record.budget_used = 1;
        record.request = tried.then_some(asked);
        node.put("/r/nodes/n0", encode(&record));
        let mut node = node.followed_by(settings());
        node.detectors = vec![detector(DetectorResult::Clear)];
        if tried {
            node.until_state("idle");
            assert!(node.said("blocked", "this request was tried already"));
            assert_eq!(node.registration().budget_used, 1);
        } else {
            node.until("reboot");
            assert_eq!(node.registration().request, Some(asked));
        }
    }
}

#[test]
fn a_withdrawn_request_gives_the_place_back() {
    let mut node = waiting(true);
    node.delete("/r/requests/n0");
    node.until_state("idle");
    assert_eq!(node.claim(), None);
    assert_eq!(node.machine.view().refusal, Some(Refusal::NotRequired));
}

/// The host's detectors were quiet, and then one asked for a moment in which the node could not go.
#[test]
fn a_detector_that_asks_for_a_moment_gives_a_request_that_was_tried_no_other_try() {
    let mut node = quiet();
    node.until_state("idle");
    let tried = node.put("/r/requests/n0", request(Some("boot-1")));
    let mut record = node.registration();
    record.budget_used = 1;
    record.request = Some(tried);
    node.put("/r/nodes/n0", encode(&record));
    let mut node = node.followed_by(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.said("blocked", "this request was tried already"));
    node.detectors = vec![asks("kernel")];
    node.health = ScriptOutcome::Exited(1);
    let look = node.until("detect");
    node.perform(look);
    node.until_state("idle");
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.health = ScriptOutcome::Exited(0);
    let look = node.until("detect");
    node.perform(look);
    node.until_state("idle");
    assert!(!node.done.contains(&"hook"));
    assert_eq!(node.registration().budget_used, 1);
}
