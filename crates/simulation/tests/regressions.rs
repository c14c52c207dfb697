//! What the simulation found, told again as the smallest history that shows it.

use simulation::plan::Reboot;
use simulation::{Plan, SECOND, World};

/// Runs a history to its end; every property holds.
fn holds(plan: Plan) {
    let mut world = World::new(plan);
    world.story = Some(Vec::new());
    while !world.over() {
        world.step();
    }
    if let Some(violation) = world.violation() {
        let story = world.story.as_ref().unwrap();
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
