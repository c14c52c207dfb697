//! What the simulation found, told again as the smallest history that shows it.

use std::time::Duration;

use reboot_coordinator::core::Mode;
use reboot_coordinator::core::policy::Policies;
use simulation::plan::{Boot, Copied, Fault, Reboot, Rewrite, Trouble, When};
use simulation::planted::Planted;
use simulation::run::play;
use simulation::{Plan, SECOND, World};

/// Runs a history to its end; every property holds.
fn holds(plan: Plan) {
    let mut world = World::new(plan);
    world.story = Some(Vec::new());
    while !world.over() {
        world.step();
    }
    if let Some(violation) = world.violation() {
        let story = world.story.as_ref().expect("it is told from the start");
        for (at, line) in story {
            println!("{:>10.3}  {line}", *at as f64 / 1e6);
        }
        panic!("{}: {}", violation.property, violation.detail);
    }
}

/// The shutdown of the first command is stuck; the second command cannot be started. The first may still come.
#[test]
fn a_claim_is_kept_while_an_earlier_reboot_command_may_still_take_effect() {
    for second in [Reboot::NotStarted, Reboot::Fails] {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 500 * SECOND;
        plan.nodes[0].reboots = vec![Reboot::Late, second, second, second];
        holds(plan);
    }
}

/// The database is full while the first node releases: the cooldown is to begin when the release succeeds.
#[test]
fn the_cooldown_is_whole_however_long_the_release_takes() {
    for action in 20..50 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[1].settings.check_interval = Duration::from_secs(5);
        plan.nodes[0].required_at = Some(0);
        for node in &mut plan.nodes {
            node.settings.min_reboot_interval = Duration::from_secs(60);
        }
        plan.faults = vec![(When::After(0, action), Fault::NoSpace(50 * SECOND))];
        holds(plan);
    }
}

/// The process is stopped for a minute at one of its actions; an operator takes the claim away meanwhile.
fn stopped_while_the_claim_is_taken_away(action: u64) -> Plan {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 300 * SECOND;
    plan.nodes[0].required_at = Some(0);
    plan.faults = vec![
        (When::After(0, action), Fault::Pause(0, 60 * SECOND)),
        (When::At(50 * SECOND), Fault::OperatorRelease(0)),
    ];
    plan
}

/// Between the commit and its answer. Without an end to permits, or with a clock that stands still while the host is suspended
/// (as `CLOCK_MONOTONIC` does), the drain would begin long after the claim went.
#[test]
fn a_permit_that_grew_old_does_not_start_the_drain() {
    let actions = 5..30;
    let plan = stopped_while_the_claim_is_taken_away;
    actions.clone().for_each(|action| holds(plan(action)));
    for planted in [Planted::PermitNeverExpires, Planted::ClockStopsInSleep] {
        let seen = |action| play(plan(action), Some(planted)).violation;
        let properties: Vec<_> = actions
            .clone()
            .filter_map(seen)
            .map(|v| v.property)
            .collect();
        assert!(
            properties.contains(&"permit"),
            "{planted:?}: {properties:?}"
        );
    }
}

/// An operator forgets the node while it reboots, and the reboot does not clear the requirement.
#[test]
fn forgetting_a_node_during_its_reboot_does_not_refill_its_budget() {
    for action in 10..30 {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 300 * SECOND;
        let vain = Boot {
            keeps_asking: true,
            ..Boot::good(60 * SECOND)
        };
        plan.nodes[0].boots = vec![vain, vain];
        plan.faults = vec![(When::After(0, action), Fault::OperatorForget(0))];
        holds(plan);
    }
}

/// An operator forgets the node while its first reboot command does nothing, and takes its claim away after the second.
#[test]
fn forgetting_a_node_before_it_tries_again_does_not_refill_its_budget() {
    for second in 70..110 {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[0].reboots = vec![Reboot::Nothing];
        let vain = Boot {
            keeps_asking: true,
            ..Boot::good(60 * SECOND)
        };
        plan.nodes[0].boots = vec![vain, vain];
        plan.faults = vec![
            (When::At(60 * SECOND), Fault::OperatorForget(0)),
            (When::At((second + 30) * SECOND), Fault::OperatorRelease(0)),
        ];
        holds(plan);
    }
}

/// A proxy answers with an empty object, while a process that was stopped looks at its claim again.
#[test]
fn an_empty_answer_does_not_mean_that_the_claim_is_gone() {
    for action in 10..30 {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 300 * SECOND;
        plan.faults = vec![
            (When::After(0, action), Fault::Pause(0, 30 * SECOND)),
            (
                When::At(50 * SECOND),
                Fault::Network(0, Trouble::Garbled, 1000, 40 * SECOND),
            ),
        ];
        holds(plan);
    }
}

/// A write to the committed claim overtakes the death of its process and the start of the next.
#[test]
fn a_late_write_of_a_dead_process_does_not_look_like_a_claim_taken_away() {
    for seed in 0..20 {
        for action in 10..40 {
            let mut plan = Plan::plain(1);
            plan.seed = seed;
            plan.quiet_at = 300 * SECOND;
            let slow = Fault::Network(0, Trouble::Delayed, 1000, SECOND / 10);
            plan.faults = vec![
                (When::Before(0, action), slow),
                (When::After(0, action), Fault::Kill(0, SECOND / 2)),
            ];
            holds(plan);
        }
    }
}

/// The process is stopped while it prepares the release.
#[test]
fn the_cooldown_is_whole_when_the_process_was_stopped_before_the_release() {
    for action in 20..50 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[1].settings.check_interval = Duration::from_secs(5);
        plan.nodes[0].required_at = Some(0);
        for node in &mut plan.nodes {
            node.settings.min_reboot_interval = Duration::from_secs(60);
        }
        plan.faults = vec![(When::After(0, action), Fault::Pause(0, 50 * SECOND))];
        holds(plan);
    }
}

/// `--once` from a timer: the reboot command did nothing, and then the wall clock went back by a year.
#[test]
fn a_clock_that_went_back_does_not_keep_a_reboot_under_way_for_ever() {
    for second in (60..200).step_by(10) {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 300 * SECOND;
        plan.nodes[0].settings.mode = Mode::Once {
            wait: Duration::ZERO,
        };
        plan.nodes[0].reboots = vec![Reboot::Nothing];
        let jump = Fault::WallJump(0, -31_536_000);
        plan.faults = vec![(When::At(second * SECOND), jump)];
        holds(plan);
    }
}

/// The commit of a process that was killed is late. The next process cannot take its place over at once, and then the
/// detectors ask for nothing any more.
#[test]
fn a_place_left_by_a_dead_process_is_not_forgotten_while_its_commit_may_come() {
    for seed in 0..40 {
        let mut plan = Plan::plain(2);
        plan.seed = seed;
        plan.quiet_at = 300 * SECOND;
        let slow = Fault::Network(0, Trouble::Delayed, 1000, SECOND / 10);
        plan.nodes[0].required_at = Some(0);
        for action in 12..30 {
            plan.faults = vec![
                (When::Before(0, action), slow),
                (When::After(0, action), Fault::Kill(0, SECOND / 10)),
                (When::After(0, action), Fault::NoSpace(SECOND)),
                (When::After(0, action + 2), Fault::Flap(0, 3600 * SECOND)),
            ];
            holds(plan.clone());
        }
    }
}

/// etcd does not answer a node that reads its claim again while its health report is due.
#[test]
fn a_report_that_is_due_does_not_make_the_machine_spin() {
    for seed in 0..60 {
        let mut plan = Plan::plain(1);
        plan.seed = seed;
        plan.quiet_at = 300 * SECOND;
        plan.nodes[0].settings.health_publish_interval = Some(Duration::from_secs(10));
        plan.faults = vec![
            (When::At(45 * SECOND), Fault::OperatorRelease(0)),
            (
                When::At(40 * SECOND),
                Fault::Network(0, Trouble::Lost, 500, 100 * SECOND),
            ),
        ];
        plan.nodes[0].reboots = vec![Reboot::Nothing; 2];
        holds(plan);
    }
}

/// Permission for a request is denied, and a copy of it, which was on another way, arrives before the next one: a commit then
/// is refused, and has taken effect before the place is given up.
#[test]
fn a_copy_of_a_refused_commit_is_not_forgotten() {
    for action in 10..60 {
        for later in 1..4 {
            let mut plan = Plan::plain(2);
            plan.quiet_at = 300 * SECOND;
            plan.nodes[0].required_at = Some(0);
            let denied = Fault::Network(0, Trouble::Denied, 1000, 1);
            plan.faults = vec![
                (When::Before(0, action), Fault::Late(0, later, true)),
                (When::Before(0, action), denied),
                (When::After(0, action), Fault::Flap(0, 3600 * SECOND)),
            ];
            holds(plan);
        }
    }
}

/// A pause refuses a commit and the node keeps its place; a copy of the commit comes when the pause is over (seeds 499570,
/// 535976, 918933). Until the claim has moved on, packages must not be told that nothing has begun.
#[test]
fn a_place_whose_commit_was_refused_does_not_say_that_it_only_waits() {
    for action in 10..40 {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 300 * SECOND;
        plan.nodes[0].required_at = Some(0);
        plan.faults = vec![
            (When::Before(0, action), Fault::Late(0, 8, true)),
            (
                When::Before(0, action),
                Fault::OperatorPause(8 * SECOND, true),
            ),
        ];
        holds(plan);
    }
}

/// A reboot command does nothing, the request it served is withdrawn, and then an operator takes the claim away.
#[test]
fn a_node_that_may_not_try_again_notices_that_its_claim_was_taken_away() {
    for second in (80..200).step_by(10) {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[0].required_at = None;
        plan.nodes[0].reboots = vec![Reboot::Nothing; 3];
        plan.faults = vec![
            (When::At(5 * SECOND), Fault::OperatorRequest(0)),
            (When::At(70 * SECOND), Fault::OperatorWithdraws(0)),
            (When::At(second * SECOND), Fault::OperatorRelease(0)),
        ];
        holds(plan);
    }
}

/// A node is stopped between its look at the reports and its commit; the only other healthy node dies meanwhile, and its report
/// ends, which leaves nothing behind that could be compared with a revision. Seeds 18280, 482324, 839595 and others.
#[test]
fn a_report_that_ended_before_the_commit_refuses_it() {
    for action in 5..40 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        for node in &mut plan.nodes {
            node.settings.health_publish_interval = Some(Duration::from_secs(5));
            node.settings.policies = Some(Policies {
                min_healthy_absolute: Some(1),
                ..Policies::default()
            });
        }
        plan.nodes[0].settings.lock_ttl = Duration::from_secs(300);
        // Otherwise the gates are judged again after the stop, for their age.
        plan.nodes[0].settings.gates_limit = Duration::from_secs(300);
        plan.nodes[1].required_at = None;
        plan.faults = vec![
            (When::After(0, action), Fault::Kill(1, 200 * SECOND)),
            (When::After(0, action), Fault::Pause(0, 150 * SECOND)),
        ];
        holds(plan);
    }
}

/// The limit is lowered at any moment, also while a commit is on its way that then turns out not to have happened: whose turn
/// it is counts by the new limit before another commit is sent.
#[test]
fn a_lowered_limit_counts_for_a_commit_that_did_not_happen() {
    for action in 1..40 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        for node in &mut plan.nodes {
            node.settings.max_concurrent_reboots = 2;
        }
        plan.nodes[1].required_at = Some(0);
        plan.nodes[1].boots = vec![Boot::good(200 * SECOND)];
        plan.nodes[0].required_at = Some(20 * SECOND);
        plan.faults = vec![
            (
                When::After(0, action),
                Fault::Network(0, Trouble::Lost, 1000, SECOND),
            ),
            (
                When::After(0, action + 1),
                Fault::Reload(0, Rewrite::Limit(1)),
            ),
        ];
        holds(plan);
    }
}

/// A node that drains for longer than others are ready to wait.
#[test]
fn a_node_that_drains_goes_on_when_a_reload_changes_the_hold_timeout() {
    for at in 12..60 {
        for hold in [0, 20, 300] {
            let mut plan = Plan::plain(2);
            plan.quiet_at = 400 * SECOND;
            plan.nodes[1].required_at = None;
            let node = &mut plan.nodes[0];
            node.settings.hold_timeout = Some(Duration::from_secs(40));
            node.settings.drain_timeout = Some(Duration::from_secs(300));
            node.drain_takes = 120 * SECOND;
            plan.faults = vec![(When::At(at * SECOND), Fault::Reload(0, Rewrite::Hold(hold)))];
            holds(plan);
        }
    }
}

/// The leases of a release are asked for when the cooldown becomes another one.
#[test]
fn a_release_that_is_under_way_at_a_reload_begins_the_cooldown_of_the_new_configuration() {
    for request in 1..3 {
        for (before, after) in [(0, 60), (60, 0), (20, 60)] {
            let mut plan = Plan::plain(2);
            plan.quiet_at = 400 * SECOND;
            plan.nodes[1].settings.check_interval = Duration::from_secs(5);
            plan.nodes[0].required_at = Some(0);
            for node in &mut plan.nodes {
                node.settings.min_reboot_interval = Duration::from_secs(before);
            }
            plan.faults = vec![(
                When::Sent(0, "Ending", request),
                Fault::Reload(0, Rewrite::Cooldown(after)),
            )];
            holds(plan);
        }
    }
}

/// A copy of the machine is made with what that one remembers, and runs before it commits.
#[test]
fn a_copy_that_remembers_what_the_other_one_did_does_not_take_its_claim() {
    for copied_at in 5..60 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 300 * SECOND;
        plan.nodes[0].required_at = Some(20 * SECOND);
        plan.nodes[0].boots = vec![Boot::good(100 * SECOND)];
        plan.nodes[1].required_at = None;
        let mut copy = plan.nodes[0].clone();
        copy.copy_of = Some(Copied {
            node: 0,
            remembers: true,
            running: false,
        });
        copy.starts_at = copied_at * SECOND;
        copy.required_at = None;
        plan.nodes.push(copy);
        holds(plan);
    }
}

/// The lease is granted for the time that it was asked for first, and a repeated grant is told that it is there.
#[test]
fn a_reload_of_the_ttl_while_a_lease_is_granted_does_not_make_the_lease_longer_than_it_is() {
    for before in [12, 45] {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[0].boots = vec![Boot::good(90 * SECOND)];
        plan.nodes[0].required_at = Some(0);
        plan.nodes[1].required_at = Some(40 * SECOND);
        plan.nodes[1].settings.lock_ttl = Duration::from_secs(before);
        plan.faults = vec![(
            When::Sending(1, "Granting", 1),
            Fault::Reload(1, Rewrite::Ttl(38)),
        )];
        holds(plan);
    }
}

/// The reboot command does nothing. Of the claim's two machines of one name, the other waits for it to be given back before it
/// is a member: the policy is never met, and an operator is called, for whom the host has another name by then.
#[test]
fn a_claim_under_the_former_name_of_a_host_that_nobody_else_can_stand_by_is_an_operators() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 200 * SECOND;
    plan.nodes[0].reboots = vec![Reboot::HangsForNothing];
    plan.nodes[0].required_at = Some(120 * SECOND);
    plan.nodes[1].required_at = None;
    for node in &mut plan.nodes {
        node.settings.health_publish_interval = Some(Duration::from_secs(10));
        node.settings.policies = Some(Policies {
            min_healthy_absolute: Some(1),
            ..Policies::default()
        });
    }
    plan.faults = vec![
        (When::At(10 * SECOND), Fault::Named(1, 3)),
        (When::At(60 * SECOND), Fault::Named(0, 1)),
        (When::At(140 * SECOND), Fault::Named(1, 1)),
    ];
    holds(plan);
}

/// A host commits under another name, its reboot command is late, and it has its first name again: the claim that it makes and gives
/// back as that is one, and that of the command another, which stands.
#[test]
fn a_claim_of_a_former_name_stands_for_the_command_that_is_late_when_another_is_given_back() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 400 * SECOND;
    plan.nodes[1].required_at = None;
    let node = &mut plan.nodes[0];
    node.settings.max_concurrent_reboots = 2;
    node.required_at = Some(30 * SECOND);
    node.reboots = vec![Reboot::Late, Reboot::NotStarted];
    plan.nodes[1].settings.max_concurrent_reboots = 2;
    plan.faults = vec![
        (When::At(15 * SECOND), Fault::Named(0, 2)),
        (When::At(80 * SECOND), Fault::Named(0, 0)),
        (When::At(98 * SECOND), Fault::Kill(0, 20 * SECOND)),
    ];
    holds(plan);
}

/// A host drains, is named otherwise, and drains as that: what it left under the first name is taken away as is any that does not
/// move.
#[test]
fn a_claim_that_a_host_left_under_a_former_name_is_taken_away_while_it_drains_under_the_new_one() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 500 * SECOND;
    for node in &mut plan.nodes {
        node.settings.max_concurrent_reboots = 2;
        node.settings.hold_timeout = Some(Duration::from_secs(100));
        node.settings.drain_timeout = Some(Duration::from_secs(400));
        node.drain_takes = 300 * SECOND;
    }
    plan.nodes[1].required_at = Some(60 * SECOND);
    plan.faults = vec![
        (When::At(40 * SECOND), Fault::Named(0, 3)),
        (When::Sending(0, "Draining", 1), Fault::Late(0, 8, false)),
        (When::At(65 * SECOND), Fault::Kill(0, SECOND)),
    ];
    holds(plan);
}

/// The release of a host's former name arrives after the host has committed under the next one: what that one has used up of its budget
/// is no word about the reboot that is complete.
#[test]
fn a_release_that_arrives_under_a_former_name_is_not_that_of_the_present_one() {
    for held_for in 5..30 {
        let mut plan = Plan::plain(2);
        plan.quiet_at = 400 * SECOND;
        plan.nodes[1].required_at = None;
        for node in &mut plan.nodes {
            node.settings.max_concurrent_reboots = 2;
        }
        plan.faults = vec![
            (When::Sending(0, "Ending", 1), Fault::Named(0, 2)),
            (When::Sending(0, "Ending", 1), Fault::Require(0)),
            (
                When::Sending(0, "Ending", 2),
                Fault::Late(0, held_for, false),
            ),
            (When::Sent(0, "Ending", 2), Fault::Kill(0, SECOND)),
        ];
        holds(plan);
    }
}

/// A host waits under another name than the one under which it committed, takes the claim of that one away as anybody would, and has
/// its first name again when that arrives.
#[test]
fn a_host_that_takes_away_what_it_left_under_another_name_does_not_take_it_for_its_own() {
    for nth in 1..6 {
        let mut plan = Plan::plain(1);
        plan.quiet_at = 400 * SECOND;
        let node = &mut plan.nodes[0];
        node.settings.hold_timeout = Some(Duration::from_secs(40));
        node.settings.drain_timeout = None;
        node.reboots = vec![Reboot::Nothing];
        plan.faults = vec![
            (When::At(40 * SECOND), Fault::Named(0, 2)),
            (When::At(41 * SECOND), Fault::PowerLoss(0, 5 * SECOND)),
            (When::At(42 * SECOND), Fault::Require(0)),
            (When::Sending(0, "TakingAway", nth), Fault::Named(0, 0)),
            (When::Sent(0, "TakingAway", nth), Fault::Kill(0, SECOND)),
        ];
        holds(plan);
    }
}

/// A place that a host's former process asked for arrives when the host is about to have its first name again: it keeps the other name
/// registered, which nobody else would ever take away.
#[test]
fn a_former_name_that_a_late_claim_keeps_goes_with_that_claim() {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 100 * SECOND;
    plan.nodes[1].required_at = None;
    plan.nodes[0].required_at = Some(30 * SECOND);
    plan.faults = vec![
        (When::At(20 * SECOND), Fault::Named(0, 2)),
        (When::Sending(0, "Entering", 1), Fault::Late(0, 7, false)),
        (
            When::Sent(0, "Entering", 1),
            Fault::PowerLoss(0, 5 * SECOND),
        ),
        (When::Sent(0, "Registering", 3), Fault::Named(0, 0)),
    ];
    holds(plan);
}

/// Two reboot commands do nothing, and the third machine has another name since: each of the two waits until the other is back and
/// healthy, which neither can be, and an operator is called.
#[test]
fn two_that_hold_for_each_other_are_an_operators() {
    let mut plan = Plan::plain(3);
    plan.quiet_at = 200 * SECOND;
    plan.nodes[2].required_at = None;
    for node in &mut plan.nodes {
        node.reboots = vec![Reboot::HangsForNothing];
        node.settings.max_concurrent_reboots = 2;
        node.settings.health_publish_interval = Some(Duration::from_secs(10));
        node.settings.policies = Some(Policies {
            min_healthy_absolute: Some(2),
            ..Policies::default()
        });
    }
    plan.nodes[0].required_at = Some(60 * SECOND);
    plan.nodes[1].required_at = Some(80 * SECOND);
    plan.faults = vec![
        (When::At(85 * SECOND), Fault::PowerLoss(2, 9 * SECOND)),
        (When::At(85 * SECOND), Fault::Named(2, 5)),
    ];
    holds(plan);
}
