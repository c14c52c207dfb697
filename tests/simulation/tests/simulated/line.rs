//! A kernel that fails on every host: how many are lost, and how the line goes on.

use std::time::Duration;

use simulation::plan::{Boot, Plan, plain_node};
use simulation::rng::Rng;
use simulation::{SECOND, Time, World};

/// How a kernel is bad.
#[derive(Clone, Copy, Debug)]
enum Bad {
    /// The host never comes back.
    Never,
    /// It comes back and is ill.
    Ill,
    /// It comes back healthy, and the detectors still ask.
    Same,
}

/// A fleet of which every host needs the same kernel, one after the other. Nothing is repaired for two hours.
fn fleet(seed: u64, hosts: usize, limit: u32, halt_after: u32, apart: Time, bad: Bad) -> Plan {
    let mut plan = Plan::plain(hosts);
    plan.seed = seed;
    plan.quiet_at = 7_200 * SECOND;
    for (number, (node, turns)) in plan.nodes.iter_mut().zip(0..).enumerate() {
        let mut fresh = plain_node(number);
        fresh.settings.max_concurrent_reboots = limit;
        fresh.settings.halt_after = halt_after;
        fresh.settings.reboot_timeout = Duration::from_secs(300);
        fresh.required_at = Some(10 * SECOND + turns * apart);
        fresh.boots = vec![Boot {
            never: matches!(bad, Bad::Never),
            keeps_asking: matches!(bad, Bad::Same),
            unhealthy_for: if matches!(bad, Bad::Ill) {
                7_200 * SECOND
            } else {
                0
            },
            ..Boot::good(20 * SECOND)
        }];
        *node = fresh;
    }
    plan
}

/// When each host went down, until everything is repaired.
fn lost(plan: Plan) -> Vec<Time> {
    let until = plan.quiet_at;
    let mut world = World::new(plan);
    let (mut down, mut known) = (Vec::new(), 0);
    while world.now < until && !world.over() {
        world.step();
        down.extend((known..world.stats.reboots).map(|_| world.now));
        known = world.stats.reboots;
    }
    assert_eq!(world.violation(), None);
    down
}

/// The longest that a failure can stay unknown: as long as a claim may stand still, and somebody's look at it. One that is seen
/// at once is known sooner.
const KNOWN_AFTER: Time = (300 + 60 + 60) * SECOND;

#[test]
fn a_kernel_that_never_comes_back_costs_no_more_than_went_before_it_could_be_known() {
    for bad in [Bad::Never, Bad::Ill, Bad::Same] {
        for limit in [1, 2, 3, 10] {
            for seed in 1..4 {
                let apart = Rng::new(seed, 9).between(0, 240) * SECOND;
                let down = lost(fleet(seed, 12, limit, 1, apart, bad));
                let first = *down.first().expect("somebody went");
                let known = first + KNOWN_AFTER;
                assert!(
                    down.iter().all(|at| *at <= known),
                    "{bad:?}, limit {limit}, {} s apart: {down:?}",
                    apart / SECOND
                );
            }
        }
    }
}

/// The table of `docs/protocol.md`, printed: hosts lost of 50 that need the kernel a minute apart, with `halt_after` 1 and 0.
#[test]
fn the_line_stops_for_a_bad_kernel_whatever_the_limit() {
    let document = include_str!("../../../../docs/protocol.md");
    for limit in [1, 3, 10] {
        let cells = [Bad::Never, Bad::Ill, Bad::Same].map(|bad| {
            let gone = |halt_after| lost(fleet(1, 50, limit, halt_after, 60 * SECOND, bad)).len();
            format!("{} / {}", gone(1), gone(0))
        });
        let row = format!("| {limit} | {} |", cells.join(" | "));
        println!("{row}");
        assert!(document.contains(&row), "the document says otherwise");
    }
}
