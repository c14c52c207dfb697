//! What is the matter with a node that neither reboots nor waits in the queue.

use super::{NodeState, Rank, as_left, speaks_of_claim, without_claim};
use crate::core::machine::{judge_cooldown, judge_pause};
use crate::identity::is_same;
use crate::lock::NodeRecord;
use crate::lock::outcome::Found;
use crate::lock::record::{Blocked, Standing};
use crate::lock::survey::{Said, Survey};
use crate::status::describe::committed;

pub(super) fn idle(
    node: &str,
    standing: Option<&Standing>,
    (said, record, survey): (Option<&Said>, Option<&NodeRecord>, Option<&Survey>),
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
        if let Some(why) = survey.and_then(|survey| lifted(blocked, record, survey)) {
            let fact = format!("{node} needs a reboot and goes on with its next check: {why}");
            return NodeState::new(node, Rank::Waits, fact);
        }
        let text = as_it_is(blocked, survey);
        return held_up(node, standing, &blocked.label, &text).since(&blocked.since);
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

/// Why what held a node up is over, which it finds out when it looks again.
fn lifted(blocked: &Blocked, record: Option<&NodeRecord>, survey: &Survey) -> Option<&'static str> {
    // One may stand still, as only those can tell who have seen it.
    let is_committed = |(_, found): &(String, Found)| committed(found);
    match blocked.label.as_str() {
        "budget" if record.is_some_and(|record| record.budget_used == 0) => {
            Some("its budget was reset")
        }
        "paused" if survey.pause.is_none() => Some("the pause is over"),
        "cooldown" if survey.cooldown.is_none() => Some("the cooldown is over"),
        "line" if survey.line.failures.is_empty() && !survey.claims.iter().any(is_committed) => {
            Some("no failure stands")
        }
        _ => None,
    }
}

/// What holds a node up, with the pause or the cooldown that there is now: it may have looked at another one.
pub(super) fn as_it_is(blocked: &Blocked, survey: Option<&Survey>) -> String {
    let now = |survey: &Survey| match blocked.label.as_str() {
        "paused" => judge_pause(survey.pause.as_ref()).err(),
        "cooldown" => judge_cooldown(survey.cooldown.as_ref()).err(),
        _ => None,
    };
    let now = survey.and_then(now);
    now.map_or_else(|| blocked.text.clone(), |refusal| refusal.text())
}

/// A node that does not even wait in the queue.
fn held_up(node: &str, standing: &Standing, label: &str, text: &str) -> NodeState {
    let needs = match &standing.required {
        Some(_) => "needs a reboot and is blocked",
        None if label == "detector" => "may need a reboot",
        None => "is blocked",
    };
    let by_itself = [
        "window", "cooldown", "paused", "not_turn", "dry_run", "lost",
    ];
    let rank = match by_itself.contains(&label) && !text.contains("never opens") {
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
