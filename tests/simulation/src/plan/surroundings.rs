//! What is drawn of the world around a fleet: how large it is, tools that use the same keys, files that hang, drains that last, and
//! copies of machines. Each from a stream of its own: whoever adds to one leaves the rest of a history as it was.

use std::time::Duration;

use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::core::{Memory, Mode};

use super::{Copied, Fault, NodePlan, Rewrite, Trouble, When};
use crate::rng::Rng;
use crate::{SECOND, Time};

/// Keys below `lock_key` that name no node: of tools, and of groups whose `lock_key` lies below this one.
pub const FOREIGN: [&str; 10] = [
    "/r/claims/locks/tool",
    "/r/claims/n0/lock",
    "/r/claims/n1/lock",
    "/r/claims/pause",
    "/r/claims/claims/n1",
    "/r/nodes/backup/n1",
    "/r/alive/x y",
    "/r/requests/n0/by",
    "/r/line/failed/n1/why",
    "/r/tool",
];

/// The fleet of a few histories is large.
pub(super) fn how_many(seed: u64, usual: u64) -> u64 {
    let mut rng = Rng::new(seed, 7);
    match rng.chance(1, 1000) {
        true => rng.between(10, 50),
        false => usual,
    }
}

/// Files that hang, and tools that write beside the records.
pub(super) fn draw_surroundings(seed: u64, count: usize, quiet_at: Time) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 8);
    let many = rng.pick(&[0, 0, 0, 1, 2]);
    let mut draw = || {
        let node = rng.index(count);
        let fault = match rng.chance(1, 2) {
            true => Fault::FilesHang(node, rng.between(5, 400) * SECOND),
            false => Fault::ForeignKey(rng.index(FOREIGN.len())),
        };
        let when = match rng.between(0, 3) {
            0 => When::Before(node, rng.between(1, 80)),
            1 => When::Sent(
                node,
                rng.pick(&["Entering", "Gates(PostLock)", "Moving"]),
                1,
            ),
            _ => When::At(rng.between(0, quiet_at)),
        };
        (when, fault)
    };
    (0..many).map(|_| draw()).collect()
}

/// Drains that last longer than others wait for a claim to move.
pub(super) fn draw_long_drains(seed: u64, nodes: &mut [NodePlan]) {
    let mut rng = Rng::new(seed, 9);
    if nodes.len() < 2 || !rng.chance(1, 15) {
        return;
    }
    let hold = Duration::from_secs(rng.between(30, 90));
    for node in nodes {
        node.settings.mode = Mode::Daemon;
        node.settings.hold_timeout = Some(hold);
        node.settings.drain_timeout = Some(Duration::from_secs(300));
        node.drain_takes = 250 * SECOND;
    }
}

/// Two kernels in a part of the histories, and nodes that only failures of their own one stop. Some do not know theirs.
pub(super) fn draw_kernels(
    seed: u64,
    nodes: &mut [NodePlan],
    quiet_at: Time,
) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 14);
    if !rng.chance(1, 3) {
        return Vec::new();
    }
    for node in nodes.iter_mut() {
        node.kernel = rng.pick(&[None, Some(1), Some(1), Some(2), Some(2)]);
        node.settings.halt_scope =
            rng.pick(&[HaltScope::Target, HaltScope::Target, HaltScope::All]);
    }
    let many = rng.pick(&[0, 0, 1, 2]);
    let mut draw = || {
        let scope = rng.pick(&[HaltScope::Target, HaltScope::All]);
        let node = rng.index(nodes.len());
        let at = rng.between(0, quiet_at);
        (When::At(at), Fault::Reload(node, Rewrite::HaltScope(scope)))
    };
    (0..many).map(|_| draw()).collect()
}

/// Where members are judged, so few of them pass for many in a third of the histories.
pub(super) fn draw_large_fleet(seed: u64, nodes: &mut [NodePlan]) {
    let mut rng = Rng::new(seed, 15);
    if rng.chance(1, 3) {
        let many = rng.pick(&[1, 2, 3]);
        for node in nodes {
            node.settings.many_members = many;
        }
    }
}

/// Waves in a part of the histories; nodes that get another one, and some that are gone for long.
pub(super) fn draw_waves(seed: u64, nodes: &mut [NodePlan], quiet_at: Time) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 11);
    if nodes.len() < 2 || !rng.chance(1, 5) {
        return Vec::new();
    }
    let waves = rng.pick(&[&[-1, 0][..], &[0, 1], &[-1, 0, 1], &[-2, -1], &[1, 2]]);
    let publish = Duration::from_secs(rng.between(20, 60));
    let together = rng.between(10, 60) * SECOND;
    for node in nodes.iter_mut() {
        node.settings.mode = Mode::Daemon;
        node.settings.health_publish_interval = Some(publish);
        node.settings.wave = rng.pick(waves);
        if rng.chance(2, 3) {
            node.required_at = Some(together + rng.between(0, 40) * SECOND);
        }
    }
    let many = rng.pick(&[0, 0, 1, 2]);
    let mut draw = || {
        let node = rng.index(nodes.len());
        let fault = match rng.between(0, 2) {
            0 => Fault::Reload(node, Rewrite::Wave(rng.pick(waves))),
            1 => Fault::Stop(node, rng.between(60, 400) * SECOND),
            _ => Fault::Require(node),
        };
        (When::At(rng.between(0, quiet_at)), fault)
    };
    (0..many).map(|_| draw()).collect()
}

/// A machine that was made from the image of another one runs beside it until everything is repaired.
pub(super) fn draw_copy(
    seed: u64,
    nodes: &mut Vec<NodePlan>,
    faults: &mut Vec<(When, Fault)>,
    quiet_at: Time,
) {
    let mut rng = Rng::new(seed, 10);
    let daemons = nodes.iter().all(|node| node.settings.mode == Mode::Daemon);
    if !daemons || !rng.chance(1, 15) {
        return;
    }
    let of = rng.index(nodes.len());
    let mut copy = nodes[of].clone();
    copy.copy_of = Some(Copied {
        node: of,
        remembers: rng.chance(1, 3),
        running: false,
    });
    copy.settings.memory = rng.chance(1, 2).then(Memory::default);
    copy.starts_at = rng.between(0, quiet_at);
    copy.required_at = Some(rng.between(0, quiet_at));
    let index = nodes.len();
    nodes.push(copy);
    // A boot of the copy proves nothing for a request that the other one noted: requests are left to other histories.
    faults.retain(|(_, fault)| {
        !matches!(
            fault,
            Fault::OperatorRequest(_) | Fault::OperatorWithdraws(_) | Fault::OperatorUrges(..)
        )
    });
    for _ in 0..rng.between(0, 4) {
        let node = rng.pick(&[of, index]);
        let short = rng.between(1, 60) * SECOND;
        let fault = match rng.between(0, 4) {
            0 => Fault::Kill(node, short),
            1 => Fault::Pause(node, short),
            2 => Fault::PowerLoss(node, short),
            3 => Fault::Network(node, Trouble::Any, 600, short),
            _ => Fault::Require(node),
        };
        let when = match rng.chance(1, 2) {
            true => When::At(rng.between(0, quiet_at)),
            false => When::Before(node, rng.between(1, 60)),
        };
        faults.push((when, fault));
    }
    if let Some(copied) = nodes[index].copy_of.as_mut() {
        copied.running = rng.chance(1, 2);
    }
}

/// The states in whose requests a name changes.
const NAMED_IN: [&str; 14] = [
    "SelfTest",
    "ReadOwn",
    "Registering",
    "Gates(PreLock)",
    "Granting",
    "Entering",
    "Counting",
    "Gates(PostLock)",
    "Committing",
    "Moving",
    "Gates(Retry)",
    "Verifying",
    "Ending",
    "Leaving",
];

/// Hosts get other names, at moments, in states and at boots, and some the old one back. In a few histories it is that of another.
pub(super) fn draw_names(
    seed: u64,
    nodes: &[NodePlan],
    faults: &mut Vec<(When, Fault)>,
    quiet_at: Time,
) {
    let mut rng = Rng::new(seed, 12);
    let plain = |node: &NodePlan| node.settings.mode == Mode::Daemon && node.copy_of.is_none();
    if !nodes.iter().all(plain) || !rng.chance(1, 8) {
        return;
    }
    // A request is for a name. Those of names that nobody has any more are left to other histories.
    faults.retain(|(_, fault)| {
        !matches!(
            fault,
            Fault::OperatorRequest(_) | Fault::OperatorWithdraws(_) | Fault::OperatorUrges(..)
        )
    });
    let count = nodes.len();
    let collide = rng.chance(1, 4);
    for _ in 0..rng.pick(&[1, 1, 2, 3, 5]) {
        let node = rng.index(count);
        let name = match collide && rng.chance(1, 2) {
            true => rng.index(count),
            false => count + node,
        };
        let at = rng.between(0, quiet_at);
        let state = rng.pick(&NAMED_IN);
        let when = match rng.between(0, 5) {
            0 | 1 => When::At(at),
            2 => When::Before(node, rng.between(1, 80)),
            3 => When::Sending(node, state, rng.between(1, 2)),
            4 => When::Sent(node, state, rng.between(1, 2)),
            _ => {
                // At a boot, and the old one is there again a little later.
                let takes = rng.between(5, 30) * SECOND;
                let later = at + takes + rng.between(1, 120) * SECOND;
                faults.push((When::At(at), Fault::PowerLoss(node, takes)));
                faults.push((When::At(later), Fault::Named(node, node)));
                When::At(at)
            }
        };
        faults.push((when, Fault::Named(node, name)));
        if rng.chance(1, 4) {
            faults.push((when, Fault::Reload(node, Rewrite::Connections)));
        }
        if rng.chance(1, 3) {
            let back = When::At(at + rng.between(1, 200) * SECOND);
            faults.push((back, Fault::Named(node, node)));
        }
        if rng.chance(1, 4) {
            faults.push((when, Fault::Require(node)));
        }
    }
}
