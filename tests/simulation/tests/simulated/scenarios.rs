//! The life of a node, told step by step: the happy path, lost answers to the commit, and every row of the table of adoption.

use simulation::plan::{Fault, Reboot, Trouble, When};
use simulation::{Plan, SECOND, World};

/// A world that was run to its end, with its story; no property failed.
fn run(plan: Plan) -> (World, String) {
    let mut world = World::new(plan);
    world.story = Some(Vec::new());
    while !world.over() {
        world.step();
    }
    let story = world.story.clone().expect("it is told from the start");
    let lines: Vec<String> = story.into_iter().map(|(_, line)| line).collect();
    let story = lines.join("\n");
    assert_eq!(world.violation(), None, "{story}");
    (world, story)
}

fn one_node() -> Plan {
    let mut plan = Plan::plain(1);
    plan.quiet_at = 300 * SECOND;
    plan
}

/// These words occur in the story in this order.
fn in_order(story: &str, words: &[&str]) -> bool {
    let mut rest = story;
    words.iter().all(|word| match rest.find(word) {
        Some(at) => {
            rest = &rest[at + word.len()..];
            true
        }
        None => false,
    })
}

/// Runs the node with these faults at each of its actions; how many of the stories have these words in this order.
fn somewhere(faults: &dyn Fn(u64) -> Vec<(When, Fault)>, words: &[&str]) -> usize {
    (1..60)
        .filter(|action| {
            let mut plan = one_node();
            plan.faults = faults(*action);
            let (world, story) = run(plan);
            assert!(world.hosts[0].rebooted <= 1, "{story}");
            in_order(&story, words)
        })
        .count()
}

#[test]
fn a_node_that_needs_a_reboot_gets_one_and_only_one() {
    let (world, story) = run(one_node());
    assert_eq!((world.stats.commits, world.hosts[0].rebooted), (1, 1));
    let path = [
        "no reboot is required",
        "a reboot is required",
        "in the queue, 0 before this node",
        "it is this node's turn",
        "draining attempt 1",
        "n0 runs the drain hook",
        "rebooting attempt 1",
        "n0 runs the reboot command",
        "the reboot happened",
        "verifying attempt 1",
        "n0 runs the undo hook",
        "removed /r/claims/n0",
        "the reboot is complete",
    ];
    assert!(in_order(&story, &path), "{story}");
}

#[test]
fn a_lost_answer_to_a_commit_that_was_done_is_found_out() {
    let lost = |action| {
        let moment = Fault::Network(0, Trouble::ReplyLost, 1000, 1);
        vec![(When::Before(0, action), moment)]
    };
    let words = [
        "draining attempt 1",
        "the outcome of the commit is unknown",
        "the claim is committed",
        "n0 runs the drain hook",
    ];
    assert_eq!(somewhere(&lost, &words), 1);
}

#[test]
fn a_commit_that_never_arrived_is_fenced_and_every_gate_judged_again() {
    let lost = |action| {
        let moment = Fault::Network(0, Trouble::Lost, 1000, 1);
        vec![(When::Before(0, action), moment)]
    };
    let words = [
        "the outcome of the commit is unknown",
        "queued attempt 0", // the fence
        "a reboot is required",
        "draining attempt 1",
        "n0 runs the drain hook",
    ];
    assert_eq!(somewhere(&lost, &words), 1);
}

#[test]
fn a_place_left_on_the_same_boot_is_kept() {
    let kill = |action| vec![(When::After(0, action), Fault::Kill(0, SECOND))];
    assert!(
        somewhere(
            &kill,
            &["queued attempt 0", "keeping it", "the reboot is complete"]
        ) > 3
    );
}

#[test]
fn a_place_left_on_another_boot_is_given_up() {
    let power = |action| vec![(When::After(0, action), Fault::PowerLoss(0, 5 * SECOND))];
    assert!(
        somewhere(
            &power,
            &["queued attempt 0", "giving it up", "removed /r/claims/n0"]
        ) > 3
    );
}

#[test]
fn an_interrupted_drain_is_resumed_after_the_gates() {
    let kill = |action| vec![(When::After(0, action), Fault::Kill(0, SECOND))];
    let words = [
        "draining attempt 1",
        "in phase draining; the host has not rebooted",
        "a reboot is required",
        "draining attempt 2",
        "n0 runs the drain hook",
        "the reboot is complete",
    ];
    assert!(somewhere(&kill, &words) > 0);
}

#[test]
fn an_interrupted_drain_is_called_off_when_a_gate_has_closed() {
    let faults = |action| {
        vec![
            (When::After(0, action), Fault::Kill(0, SECOND)),
            (When::After(0, action), Fault::KillSwitch(0, 100 * SECOND)),
        ]
    };
    let words = [
        "in phase draining; the host has not rebooted",
        "the attempt is called off: the kill switch",
        "verifying attempt 1",
        "n0 runs the undo hook",
        "removed /r/claims/n0",
        "the reboot is complete",
    ];
    assert!(somewhere(&faults, &words) > 0);
}

#[test]
fn a_reboot_that_did_nothing_is_tried_again_after_its_time() {
    let mut plan = one_node();
    plan.nodes[0].reboots = vec![Reboot::Nothing];
    let (world, story) = run(plan);
    assert_eq!((world.stats.commits, world.hosts[0].rebooted), (2, 1));
    let words = [
        "n0 runs the reboot command (Nothing)",
        "the host is still up",
        "rebooting attempt 2",
        "n0 runs the reboot command (Works)",
    ];
    assert!(in_order(&story, &words), "{story}");
}

#[test]
fn a_host_that_never_goes_down_holds_its_claim_until_an_operator_comes() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 600 * SECOND;
    plan.nodes[0].required_at = Some(0);
    plan.nodes[0].reboots = vec![Reboot::Nothing; 3];
    let (world, story) = run(plan);
    let words = [
        "rebooting attempt 3",
        "in attempt 3 of 3",
        "an operator is called to n0",
        "n1 runs the reboot command",
        "n1: the reboot is complete",
    ];
    assert!(in_order(&story, &words), "{story}");
    assert_eq!(world.hosts[0].rebooted, 0);
}

#[test]
fn two_machines_with_one_name_do_not_share_a_claim() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 3600 * SECOND;
    plan.nodes[1].settings.node = "n0".to_owned();
    plan.nodes[1].starts_at = 3 * SECOND;
    let mut world = World::new(plan);
    world.story = Some(Vec::new());
    while !world.over() && world.now < 600 * SECOND {
        world.step();
    }
    assert_eq!(world.violation(), None);
    let story: Vec<String> = world
        .story
        .unwrap()
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    let story = story.join("\n");
    assert!(story.contains("two machines use one node_name"), "{story}");
    assert!(!story.contains("n1 (process"), "{story}");
    assert!(story.contains("n0: the reboot is complete"), "{story}");
}

/// A plan whose detectors never ask, with an operator's request after 15 seconds.
fn requested(faults: Vec<(When, Fault)>) -> Plan {
    let mut plan = one_node();
    plan.nodes[0].required_at = None;
    plan.faults = faults;
    let request = Fault::OperatorRequest(0);
    plan.faults.push((When::At(15 * SECOND), request));
    plan
}

#[test]
fn a_request_reboots_a_node_once_and_is_gone() {
    let (world, story) = run(requested(vec![]));
    assert_eq!((world.stats.commits, world.hosts[0].rebooted), (1, 1));
    let path = [
        "an operator wrote /r/requests/n0",
        "wrote /r/requests/n0",
        "was requested by operator",
        "rebooting attempt 1",
        "the reboot happened",
        "removed /r/claims/n0",
        "removed /r/requests/n0",
    ];
    assert!(in_order(&story, &path), "{story}");
    assert!(!story.contains("did not clear"), "{story}");
}

/// Wherever its process dies, loses power or an answer, and however often the write that notes the boot arrives.
#[test]
fn a_request_reboots_a_node_once_whatever_happens_on_the_way() {
    for action in 1..50 {
        for fault in [
            Fault::Kill(0, SECOND),
            Fault::Network(0, Trouble::ReplyLost, 1000, 1),
            Fault::Network(0, Trouble::Delayed, 1000, 1),
            Fault::Network(0, Trouble::Twice, 1000, 1),
        ] {
            let (world, story) = run(requested(vec![(When::Before(0, action), fault)]));
            assert_eq!(world.hosts[0].rebooted, 1, "{fault:?} {action}\n{story}");
        }
        let loss = Fault::PowerLoss(0, 10 * SECOND);
        let (world, story) = run(requested(vec![(When::After(0, action), loss)]));
        assert!(world.hosts[0].rebooted <= 1, "{action}\n{story}");
    }
}

#[test]
fn a_boot_that_nobody_coordinated_satisfies_a_request() {
    let (world, story) = run(requested(vec![
        (When::At(SECOND), Fault::KillSwitch(0, 250 * SECOND)),
        (When::At(150 * SECOND), Fault::PowerLoss(0, 10 * SECOND)),
    ]));
    assert_eq!(world.hosts[0].rebooted, 0);
    assert!(story.contains("the request is satisfied"), "{story}");
}

#[test]
fn a_request_that_is_withdrawn_reboots_nobody() {
    let (world, _) = run(requested(vec![
        (When::At(SECOND), Fault::KillSwitch(0, 250 * SECOND)),
        (When::At(150 * SECOND), Fault::OperatorWithdraws(0)),
    ]));
    assert_eq!((world.stats.commits, world.hosts[0].rebooted), (0, 0));
}
