//! What is the matter with a node that neither reboots nor waits in the queue.

use super::around::{Around, of};
use super::{NodeState, Rank, as_left, speaks_of_claim, without_claim};
use crate::identity::is_same;
use crate::lock::NodeRecord;
use crate::lock::record::{Blocked, Standing};
use crate::lock::survey::Said;

pub(super) fn idle(
    node: &str,
    standing: Option<&Standing>,
    (said, record, around): (Option<&Said>, Option<&NodeRecord>, Option<&Around<'_>>),
    required: bool,
) -> NodeState {
    if let (Some(standing), Some(record)) = (standing, record)
        && !is_same(&standing.node_id, &record.node_id)
    {
        let fact = format!("two machines use the name {node}: change node_name on one of them");
        return NodeState::new(node, Rank::Blocked, fact);
    }
    if let Some(standing) = standing.filter(|standing| speaks_of_claim(standing)) {
        return without_claim(node, standing);
    }
    if let Some(standing) = standing
        && let Some(blocked) = &standing.blocked
    {
        if let Some(why) = around.and_then(|around| around.lifted(node, blocked)) {
            let fact = format!("{node} needs a reboot and goes on with its next check: {why}");
            return NodeState::new(node, Rank::Waits, fact);
        }
        let text = as_it_is(node, blocked, around);
        let passes = around.map_or_else(|| of(blocked).passes(), |it| it.passes(node, blocked));
        let state = held_up(node, standing, (blocked, &text), passes).since(&blocked.since);
        let why = Some(text);
        return NodeState { why, ..state };
    }
    match (said, standing) {
        (Some(said), _) if said.healthy != Some(true) => {
            let fact = format!("{node} is unhealthy: {}", why_ill(said));
            let since = said.since.as_deref().unwrap_or_default();
            NodeState::new(node, Rank::Ill, fact).since(since)
        }
        (None, None) => {
            let fact = format!("{node} is silent: no daemon, or cut off from etcd");
            NodeState::new(node, Rank::Ill, fact)
        }
        _ if required || standing.is_some_and(|it| it.required.is_some()) => {
            let looked = match standing.filter(|it| it.required.is_some()) {
                Some(said) => format!(" and has not joined the queue yet{}", as_left(said)),
                None => ", which it did not when it looked last".to_owned(),
            };
            let fact = format!("{node} needs a reboot{looked}");
            NodeState::new(node, Rank::Waits, fact)
        }
        _ => NodeState::new(node, Rank::Fine, format!("{node} needs no reboot")),
    }
}

/// Why a node says that it is not healthy.
pub(in crate::status) fn why_ill(said: &Said) -> &str {
    let why = said.reason.as_deref();
    why.unwrap_or("its report does not say why")
}

/// What holds a node up, as it is now.
pub(super) fn as_it_is(node: &str, blocked: &Blocked, around: Option<&Around<'_>>) -> String {
    let now = around.and_then(|around| around.as_it_is(node, blocked));
    now.unwrap_or_else(|| blocked.text.clone())
}

/// A node that does not even wait in the queue.
fn held_up(
    node: &str,
    standing: &Standing,
    (blocked, text): (&Blocked, &str),
    passes: bool,
) -> NodeState {
    let label = blocked.label.as_str();
    let needs = match &standing.required {
        Some(_) => "needs a reboot and is blocked",
        None if label == "detector" => "may need a reboot",
        None => "is blocked",
    };
    let by_itself = [
        "window", "cooldown", "paused", "not_turn", "dry_run", "lost",
    ];
    let rank = match passes || by_itself.contains(&label) && !text.contains("never opens") {
        true => Rank::Waits,
        false => Rank::Blocked,
    };
    let left = as_left(standing);
    let state = NodeState::new(node, rank, format!("{node} {needs}: {text}{left}"));
    match label {
        "budget" => {
            let command = format!("reset-budget {node} --reason TEXT");
            state.command("To let it try again:", command)
        }
        "health" | "policy" | "detector" | "configuration" | "kill_switch" | "etcd" | "aborted" => {
            state.command("More of it:", format!("explain {node}"))
        }
        _ => state,
    }
}
