//! A failing history made small, and told.

use crate::plan::{Fault, NodePlan, Plan, When};
use crate::planted::Planted;
use crate::run::play;
use crate::world::World;

/// The longest story that is told; of a longer one the end.
const LINES: usize = 120;

/// Takes away from a plan whatever is not needed for the same property to fail.
pub fn shrink(plan: &Plan, property: &str, planted: Option<Planted>) -> Plan {
    let fails = |plan: &Plan| {
        play(plan.clone(), planted)
            .violation
            .is_some_and(|violation| violation.property == property)
    };
    let mut best = plan.clone();
    loop {
        let smaller = candidates(&best).into_iter().find(|plan| fails(plan));
        match smaller {
            Some(plan) => best = plan,
            None => return best,
        }
    }
}

/// Plans with one thing less.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut smaller = Vec::new();
    // A policy that demands so many healthy nodes must still be able to hold.
    let policies = |node: &NodePlan| node.settings.policies.is_some();
    if plan.nodes.len() > 1 && !plan.nodes.iter().any(policies) {
        let mut fewer = plan.clone();
        fewer.nodes.pop();
        let nodes = fewer.nodes.len();
        fewer
            .faults
            .retain(|(when, fault)| concerns(*when, *fault) < nodes);
        smaller.push(fewer);
    }
    for index in 0..plan.faults.len() {
        let mut fewer = plan.clone();
        fewer.faults.remove(index);
        smaller.push(fewer);
    }
    for index in 0..plan.nodes.len() {
        let node = &plan.nodes[index];
        if !node.reboots.is_empty() {
            let mut plainer = plan.clone();
            plainer.nodes[index].reboots.clear();
            smaller.push(plainer);
        }
        if !node.boots.is_empty() {
            let mut plainer = plan.clone();
            plainer.nodes[index].boots.clear();
            smaller.push(plainer);
        }
        if node.clock_permille != 1000 || node.wall_offset_sec != 0 {
            let mut plainer = plan.clone();
            plainer.nodes[index].clock_permille = 1000;
            plainer.nodes[index].wall_offset_sec = 0;
            smaller.push(plainer);
        }
        if node.required_at.is_some() {
            let mut plainer = plan.clone();
            plainer.nodes[index].required_at = None;
            smaller.push(plainer);
        }
    }
    smaller
}

/// The highest node that a fault or its moment names.
fn concerns(when: When, fault: Fault) -> usize {
    let at = match when {
        When::At(_) => 0,
        When::Before(node, _)
        | When::After(node, _)
        | When::Sending(node, ..)
        | When::Sent(node, ..) => node,
    };
    let of = match fault {
        Fault::Kill(node, _)
        | Fault::Stop(node, _)
        | Fault::Pause(node, _)
        | Fault::PowerLoss(node, _)
        | Fault::Network(node, ..)
        | Fault::Late(node, ..)
        | Fault::WatchCut(node)
        | Fault::WatchMute(node, _)
        | Fault::DetectorsFail(node, _)
        | Fault::Flap(node, _)
        | Fault::Unhealthy(node, _)
        | Fault::SlowDisk(node, _)
        | Fault::KillSwitch(node, _)
        | Fault::DrainFails(node, _)
        | Fault::UndoFails(node, _)
        | Fault::WallJump(node, _)
        | Fault::OperatorRelease(node)
        | Fault::OperatorForget(node)
        | Fault::Limit(node, _)
        | Fault::Moves(node, _, _)
        | Fault::Reload(node, _)
        | Fault::FilesHang(node, _)
        | Fault::Require(node)
        | Fault::Named(node, _)
        | Fault::OperatorRequest(node)
        | Fault::OperatorWithdraws(node)
        | Fault::OperatorUrges(node, _) => node,
        Fault::ServerDown(_)
        | Fault::LeaderChange(..)
        | Fault::Compact
        | Fault::NoSpace(_)
        | Fault::OperatorGoesOn(_)
        | Fault::OperatorPause(..)
        | Fault::ForeignKey(_) => 0,
    };
    at.max(of)
}

/// Runs a plan and tells what happened, one line each.
pub fn tell(plan: Plan, planted: Option<Planted>) -> Vec<String> {
    let mut lines = vec![format!(
        "{} nodes; faults: {:?}",
        plan.nodes.len(),
        plan.faults
    )];
    let mut world = World::new(plan);
    world.plant(planted);
    world.story = Some(Vec::new());
    while !world.over() {
        world.step();
    }
    let story = world.story.take().unwrap_or_default();
    if story.len() > LINES {
        lines.push(format!("… {} lines left out", story.len() - LINES));
    }
    let from = story.len().saturating_sub(LINES);
    for (at, line) in &story[from..] {
        lines.push(format!(
            "{:>6}.{:03} s  {line}",
            at / 1_000_000,
            at / 1000 % 1000
        ));
    }
    lines
}
