//! Urgent requests, in fleets that cool down or whose window is closed. From a stream of its own: whoever adds to it leaves the rest
//! of a history as it was.

use std::time::Duration;

use super::{Fault, NodePlan, Trouble, When, every_other_hour};
use crate::rng::Rng;
use crate::{SECOND, Time};

/// Urgent requests that end soon, and what may come between their judgement and the commit: their end, a withdrawal, a pause.
pub(super) fn draw_urgent(seed: u64, nodes: &mut [NodePlan], quiet_at: Time) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 13);
    if !rng.chance(1, 6) {
        return Vec::new();
    }
    let cooldown = Duration::from_secs(rng.pick(&[0, 60, 120]));
    let windows = cooldown.is_zero() || rng.chance(1, 4);
    for node in nodes.iter_mut() {
        node.settings.min_reboot_interval = cooldown;
        if windows {
            node.windows = true;
            node.settings.windows = Some(every_other_hour(0));
        }
    }
    let mut faults = Vec::new();
    for _ in 0..rng.between(1, 5) {
        let node = rng.index(nodes.len());
        let urges = Fault::OperatorUrges(node, rng.between(3, 150) * SECOND);
        let when = match rng.between(0, 3) {
            0 => When::Before(node, rng.between(1, 80)),
            _ => When::At(rng.between(0, quiet_at)),
        };
        faults.push((when, urges));
        let nth = rng.between(1, 3);
        let state = rng.pick(&["Gates(PostLock)", "Committing", "Gates(Retry)"]);
        let (sending, sent) = (
            When::Sending(node, state, nth),
            When::Sent(node, state, nth),
        );
        let short = rng.between(1, 60) * SECOND;
        faults.push(match rng.between(0, 7) {
            0 | 1 => (sent, Fault::OperatorWithdraws(node)),
            2 => (sent, Fault::OperatorPause(short, rng.chance(1, 2))),
            3 => (sent, Fault::Pause(node, short)),
            4 | 5 => (sending, Fault::Network(node, Trouble::Delayed, 1000, 1)),
            6 => (When::At(0), Fault::SlowDisk(node, quiet_at)),
            _ => (sending, Fault::OperatorUrges(node, short)),
        });
    }
    faults
}
