//! An urgent request: what it lets its node past, what it does not, and what its end means at each stage.

use std::time::Duration;

use etcd_rs_sync::{Put, Request};
use jiff::SignedDuration;
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::windows::Windows;
use reboot_coordinator::core::{Mode, Refusal, Settings};
use reboot_coordinator::lock::record::{History, decode, encode};
use reboot_coordinator::lock::{Cooldown, Pause, Phase, RebootRequest};
use simulation::by_hand::{Node, detector, settings, time, unknown};
use simulation::records::{failure, request};

/// The lease that urgent requests hang on here, and that of the cooldown.
const URGENCY: i64 = 7;
const COOLING: i64 = 8;
const PAUSING: i64 = 9;

/// Always outside of the window.
fn closed() -> Settings {
    let windows = Windows::parse("UTC", &["* 00:00-24:00".to_owned()], &[]);
    Settings {
        windows: Some(windows.expect("that is an entry")),
        check_interval: Duration::from_secs(20),
        ..settings()
    }
}

fn grant(node: &mut Node, id: i64) {
    let grant = Request::Grant { id, ttl_sec: 3600 };
    node.etcd.apply(0, &grant).expect("it is a new one");
}

fn put(node: &mut Node, key: &str, value: Vec<u8>, lease: i64) {
    let put = Put::new(key, value, lease);
    let written = node.etcd.apply(0, &Request::Put(put));
    written.expect("the lease is there");
}

fn urge(node: &mut Node) {
    grant(node, URGENCY);
    ask(node, URGENCY);
}

fn ask(node: &mut Node, lease: i64) {
    let request = RebootRequest {
        reason: "it drops packets".to_owned(),
        urgent_until: Some("four".to_owned()),
        ..request()
    };
    put(node, "/r/requests/n0", encode(&request), lease);
}

/// etcd ends the request.
fn end(node: &mut Node) {
    let revoke = Request::Revoke { id: URGENCY };
    node.etcd.apply(0, &revoke).expect("it stands");
}

fn cool(node: &mut Node) {
    cool_until(node, "one".to_owned());
}

fn cool_until(node: &mut Node, until: String) {
    let cooldown = Cooldown {
        v: 1,
        node: "a".to_owned(),
        since: "noon".to_owned(),
        until,
    };
    grant(node, COOLING);
    put(node, "/r/cooldown", encode(&cooldown), COOLING);
}

fn pause(node: &mut Node) {
    pause_until(node, None);
}

fn pause_until(node: &mut Node, until: Option<String>) {
    let pause = Pause {
        v: 1,
        by: "ben@admin".to_owned(),
        reason: "the network".to_owned(),
        since: "noon".to_owned(),
        until,
    };
    grant(node, PAUSING);
    put(node, "/r/pause", encode(&pause), PAUSING);
}

/// Outside of its window, in a cooldown, with an urgent request.
fn urged() -> Node {
    let mut node = Node::new(closed());
    node.detectors = vec![detector(DetectorResult::Clear)];
    cool(&mut node);
    urge(&mut node);
    node
}

fn refusal(node: &Node) -> Refusal {
    let refusal = node.machine.view().refusal;
    refusal.expect("something holds it up")
}

#[test]
fn it_lets_its_node_past_the_window_and_the_cooldown_and_the_history_says_so() {
    let mut node = urged();
    node.until("reboot");
    let claim = node.claim().unwrap();
    assert_eq!(claim.passed, ["cooldown", "window"]);
    let reason = "urgently requested by eva@admin: it drops packets";
    assert_eq!(claim.reasons, [reason]);
    assert!(node.said("committed", "cooldown and window by an urgent request"));
    let passed = |node: &Node| {
        let fields = &node.last("committed").fields;
        fields.iter().any(|(name, _)| *name == "passed")
    };
    assert!(passed(&node));
    let mut other = Node::new(settings());
    other.until("reboot");
    assert!(!passed(&other));
    assert!(node.said(
        "urgent",
        "lets this node past: outside the maintenance window"
    ));
    assert!(node.said("urgent", "lets this node past: the cluster cools down"));
    assert_eq!(node.stands("/r/requests/n0").unwrap().lease, URGENCY);
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..closed()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(node.stands("/r/requests/n0").is_none());
    let last = node.etcd.changes_from(1).expect("nothing is compacted");
    let last = last.iter().rfind(|it| it.key.starts_with(b"/r/history/"));
    let entry = last.and_then(|it| it.after.as_ref()).expect("it ended");
    let entry: History = decode(&entry.value).unwrap();
    assert_eq!(
        (entry.outcome.as_str(), entry.passed),
        ("completed", claim.passed)
    );
}

/// Its detectors ask as well, so that nobody looked for a request as long as the window was closed.
#[test]
fn a_node_that_waits_for_its_window_learns_of_it() {
    let once = Mode::Once {
        wait: Duration::ZERO,
    };
    for mode in [Mode::Daemon, once] {
        let mut node = Node::new(Settings { mode, ..closed() });
        if mode == Mode::Daemon {
            node.until_state("idle");
            assert!(matches!(refusal(&node), Refusal::Window(_)));
        }
        urge(&mut node);
        node.until("reboot");
        assert_eq!(node.claim().unwrap().passed, ["window"]);
    }
}

#[test]
fn a_node_in_the_queue_keeps_its_place_while_it_stands() {
    let mut node = Node::new(closed());
    node.elder("a", Phase::Queued);
    urge(&mut node);
    node.until_state("queued");
    for (stands, state) in [(true, "queued"), (false, "idle")] {
        if !stands {
            end(&mut node);
        }
        let again = node.until("detect");
        node.perform(again);
        node.until_state(state);
        assert_eq!(node.claim().is_some(), stands);
        let left = node.said("blocked", "outside the maintenance window");
        assert_eq!(left, !stands);
    }
}

#[test]
fn a_node_that_keeps_its_turn_through_a_cooldown_learns_of_it() {
    let mut node = Node::new(settings());
    node.elder("a", Phase::Rebooting);
    node.until_state("queued");
    cool(&mut node);
    node.delete("/r/claims/a");
    node.until_state("queued");
    while node.machine.view().refusal.is_none() {
        node.step();
    }
    assert!(matches!(refusal(&node), Refusal::Cooldown(_)));
    urge(&mut node);
    node.until("reboot");
    assert_eq!(node.claim().unwrap().passed, ["cooldown"]);
}

#[test]
fn it_lets_its_node_past_nothing_else() {
    type Close<'a> = &'a dyn Fn(&mut Node);
    let gates: [(&str, Close<'_>); 4] = [
        ("paused", &pause),
        ("kill_switch", &|node| {
            node.kill_switch = Some("raid".to_owned())
        }),
        ("health", &|node| node.health = ScriptOutcome::Exited(1)),
        ("line", &|node| {
            node.put("/r/line/failed/b", encode(&failure("b")));
        }),
    ];
    for (label, close) in gates {
        let mut node = urged();
        close(&mut node);
        node.until_state("idle");
        assert_eq!(refusal(&node).label(), label);
        // The same between the judgement and the commit, where etcd tells.
        if ["paused", "line"].contains(&label) {
            let mut node = urged();
            let commit = node.until_sending("committing");
            close(&mut node);
            node.pass(commit);
            node.until_state(if label == "paused" { "queued" } else { "idle" });
            assert_eq!(refusal(&node).label(), label);
            assert!(!node.said("committed", ""), "{label}");
        }
    }
    let mut node = urged();
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    let again = node.until("detect");
    node.perform(again);
    node.until_state("queued");
    assert!(
        node.claim().is_some(),
        "it keeps its place, and waits for its turn"
    );
}

#[test]
fn one_that_hangs_on_no_lease_is_an_ordinary_request() {
    let mut node = Node::new(closed());
    node.detectors = vec![detector(DetectorResult::Clear)];
    ask(&mut node, 0);
    node.until_state("idle");
    assert!(matches!(refusal(&node), Refusal::Window(_)));
    let noted: RebootRequest = decode(&node.stands("/r/requests/n0").unwrap().value).unwrap();
    assert_eq!(
        (noted.boot_id.as_deref(), noted.urgent_until),
        (Some("boot-1"), None)
    );
}

/// It ended, or was withdrawn, or is an ordinary one by now.
#[test]
fn a_commit_that_relies_on_one_that_stands_no_more_is_void() {
    type Change<'a> = &'a dyn Fn(&mut Node);
    let changes: [Change<'_>; 3] = [&end, &|node| node.delete("/r/requests/n0"), &|node| {
        ask(node, 0);
    }];
    for change in changes {
        let mut node = urged();
        let commit = node.until_sending("committing");
        change(&mut node);
        node.pass(commit);
        node.until_state("idle");
        assert!(!node.said("committed", ""));
        assert_eq!(node.claim(), None);
    }
    // One that cools down only, and is required by a detector, keeps its place.
    let mut node = Node::new(settings());
    cool(&mut node);
    urge(&mut node);
    let commit = node.until_sending("committing");
    end(&mut node);
    node.pass(commit);
    node.until_state("queued");
    assert!(matches!(refusal(&node), Refusal::Cooldown(_)));
    assert!(!node.said("committed", ""));
}

#[test]
fn a_cooldown_that_begins_after_the_judgement_is_judged_and_said() {
    let mut node = Node::new(settings());
    urge(&mut node);
    let commit = node.until_sending("committing");
    cool(&mut node);
    node.pass(commit);
    assert!(
        !node.said("committed", ""),
        "the guard of the cooldown was there"
    );
    node.until("reboot");
    assert_eq!(node.claim().unwrap().passed, ["cooldown"]);
}

#[test]
fn when_it_is_not_known_whether_it_stands_the_window_counts() {
    // Its detectors ask, so that a lost answer is no veto by itself.
    let mut node = Node::new(closed());
    urge(&mut node);
    let (ticket, _) = node.until_sending("checking");
    node.answer(ticket, Err(unknown()));
    node.until_state("idle");
    assert!(matches!(refusal(&node), Refusal::Window(_)));
    // In the queue, of one that was known.
    let mut node = urged();
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    let (ticket, _) = node.until_sending("queued");
    node.answer(ticket, Err(unknown()));
    node.until_state("idle");
    assert!(node.said("blocked", "outside the maintenance window"));
}

/// The reboot command follows a permit that has grown old: every gate again.
#[test]
fn after_the_commit_window_and_cooldown_count_again_unless_it_stands_still() {
    for stands in [true, false] {
        let mut node = urged();
        let drain = node.until("hook");
        node.perform(drain);
        let look = node.until("look");
        match stands {
            // What the claim says of the first commit it says of the second.
            true => node.delete("/r/cooldown"),
            false => end(&mut node),
        }
        node.now += Duration::from_secs(600);
        node.perform(look);
        if stands {
            node.until("reboot");
            let claim = node.claim().unwrap();
            assert_eq!(claim.attempts, 2);
            assert_eq!(claim.passed, ["cooldown", "window"]);
        } else {
            node.until_state("idle");
            assert!(node.said("aborted", "no reboot is required"));
            assert!(!node.done.contains(&"reboot"));
        }
    }
}

/// A short window would be over by the next check. An end that is past or garbled brings no look, and one far away none sooner.
#[test]
fn a_node_looks_when_a_cooldown_or_a_pause_ends_before_its_next_check() {
    let check = Duration::from_secs(600);
    let ends = [
        (Some(50), false, true),
        (Some(50), true, true),
        (Some(5000), false, false),
        (Some(-50), true, false),
        (None, true, false),
    ];
    let ends = ends.into_iter().flat_map(|end| [(end, false), (end, true)]);
    for ((ends_in, in_the_queue, sooner), paused) in ends {
        let mut node = Node::new(Settings {
            check_interval: check,
            ..settings()
        });
        if in_the_queue {
            let count = node.until_sending("queued");
            node.pass(count);
        }
        let ends = |after| (time(node.now).wall + SignedDuration::from_secs(after)).to_string();
        let until = ends_in.map_or("one".to_owned(), ends);
        match paused {
            true => pause_until(&mut node, Some(until)),
            false => cool_until(&mut node, until),
        }
        node.settle();
        let state = if in_the_queue { "queued" } else { "idle" };
        assert_eq!(node.machine.view().state, state);
        let why = if paused {
            "the network"
        } else {
            "a rebooted; until"
        };
        assert!(node.said("blocked", why));
        let (began, looks) = (node.now, node.done.len());
        while !node.done[looks..].contains(&"detect") {
            node.step();
        }
        let waited = (node.now - began).as_secs();
        let soon = sooner && (50..54).contains(&waited);
        assert!(soon || !sooner && waited >= 590, "{ends_in:?} {waited}");
    }
}

/// What it waited for in the queue may be over long since.
#[test]
fn a_pause_that_ended_while_the_node_drained_does_not_cut_the_rest_after_it() {
    let mut node = Node::new(settings());
    let count = node.until_sending("queued");
    node.pass(count);
    let until = time(node.now).wall + SignedDuration::from_secs(50);
    pause_until(&mut node, Some(until.to_string()));
    node.settle();
    assert!(node.said("blocked", "the network"));
    node.delete("/r/pause");
    node.reload(settings());
    let hook = node.until("hook");
    node.now += Duration::from_secs(55);
    node.hook = ScriptOutcome::Exited(1);
    node.perform(hook);
    node.hook = ScriptOutcome::Exited(0);
    node.until_state("idle");
    assert!(node.said("released", "the drain hook failed"));
}
