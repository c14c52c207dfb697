//! Every point at which a node can die: before and after every single action of its whole life, and every pair of such points.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reboot_coordinator::core::Mode;

use crate::SECOND;
use crate::plan::{Boot, Fault, Plan, Reboot, When};
use crate::world::{Violation, World};

/// What kind of life the node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Queue, drain, reboot, undo, release.
    Drained,
    /// The same without hooks.
    Plain,
    /// The first reboot command does nothing.
    Retried,
    /// The first drain fails, so that the attempt is called off.
    CalledOff,
    /// Runs of `--once` from a timer.
    Once,
}

/// All lives.
pub const LIVES: [Life; 5] = [
    Life::Drained,
    Life::Plain,
    Life::Retried,
    Life::CalledOff,
    Life::Once,
];

/// How the node dies at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// SIGKILL, and another process soon.
    Kill,
    /// The power fails.
    Power,
}

/// A life of node 0, with another node that waits behind it.
pub fn plan(life: Life, faults: Vec<(When, Fault)>) -> Plan {
    let mut plan = Plan::plain(2);
    plan.quiet_at = 250 * SECOND;
    plan.faults = faults;
    for node in &mut plan.nodes {
        node.required_at = Some(0);
        node.settings.check_interval = Duration::from_secs(10);
        node.settings.reboot_timeout = Duration::from_secs(30);
        node.settings.min_reboot_interval = Duration::from_secs(5);
        if life == Life::Plain {
            node.settings.drain_timeout = None;
        }
        node.settings.undoes = life != Life::Plain;
        node.boots = vec![Boot::good(10 * SECOND)];
        node.cron = 15 * SECOND;
        if life == Life::Once {
            node.settings.mode = Mode::Once {
                wait: Duration::from_secs(20),
            };
        }
    }
    plan.nodes[1].starts_at = 2 * SECOND;
    match life {
        Life::Drained | Life::Plain | Life::Once => {}
        Life::Retried => plan.nodes[0].reboots = vec![Reboot::Nothing],
        Life::CalledOff => plan.faults.push((When::At(0), Fault::DrainFails(0, false))),
    }
    plan
}

/// How many actions the node performs in its life when nothing happens to it.
pub fn actions(life: Life) -> u64 {
    let mut world = World::new(plan(life, Vec::new()));
    while !world.over() && world.hosts[0].rebooted == 0 {
        world.step();
    }
    let boot = world.hosts[0].actions;
    while !world.over() && (world.etcd.get(b"/r/claims/n0").is_some() || !world.hosts[0].up) {
        world.step();
    }
    world.hosts[0].actions.max(boot) + 2
}

/// Dies at one point. The property that failed, if one did.
pub fn once(life: Life, at: When, death: Death) -> Option<Violation> {
    World::run(plan(life, vec![(at, strike(death))])).violation
}

/// Dies at two points.
pub fn twice(life: Life, first: (When, Death), second: (When, Death)) -> Option<Violation> {
    let faults = vec![(first.0, strike(first.1)), (second.0, strike(second.1))];
    World::run(plan(life, faults)).violation
}

/// Every death and every pair of deaths in every life. How many there are, and which failed.
pub fn all_pairs(jobs: usize) -> (u64, Vec<String>) {
    let mut cases: Vec<(Life, Vec<(When, Death)>)> = Vec::new();
    for life in LIVES {
        // What follows the first death makes the life longer.
        let points: Vec<(When, Death)> = (1..=actions(life) + 20)
            .flat_map(sides)
            .flat_map(|at| [(at, Death::Kill), (at, Death::Power)])
            .collect();
        for (index, first) in points.iter().enumerate() {
            cases.push((life, vec![*first]));
            let later = points[index + 1..]
                .iter()
                .filter(|second| second.0 != first.0);
            cases.extend(later.map(|second| (life, vec![*first, *second])));
        }
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((life, deaths)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let faults = deaths.iter().map(|(at, death)| (*at, strike(*death)));
                    if let Some(violation) = World::run(plan(*life, faults.collect())).violation {
                        let line = format!("{life:?} {deaths:?}: {violation:?}");
                        failed.lock().expect("no thread panics").push(line);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panics");
    (u64::try_from(cases.len()).unwrap_or(u64::MAX), failed)
}

/// Both sides of an action of node 0.
pub fn sides(action: u64) -> [When; 2] {
    [When::Before(0, action), When::After(0, action)]
}

fn strike(death: Death) -> Fault {
    match death {
        Death::Kill => Fault::Kill(0, SECOND),
        Death::Power => Fault::PowerLoss(0, 5 * SECOND),
    }
}
