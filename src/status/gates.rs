//! The gates of this node, judged in the daemon's order as far as they can be known without running anything.

mod judge;
mod others;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use self::judge::namesake;
use self::judge::{
    cooldown, detectors, kill_switch, name, past, pause, refused, spent, unasked, urgent, window,
};
pub(crate) use self::others::members;
use self::others::{health, line, policies, turn, waves};
use super::View;
use super::local::Local;
use super::node_state::as_left;
use super::own::Own;
use super::times::{clock, for_text, instant, until};
use crate::core::{Refusal, Verdict, Word};
use crate::lock::survey::Survey;

/// The gates in the order in which the daemon judges them. `window_at` is when the maintenance window is judged.
pub(crate) fn gates(
    local: &Local,
    survey: Option<&Survey>,
    now: Timestamp,
    window_at: Timestamp,
) -> Vec<Verdict> {
    let there = local.of_etcd(now);
    let of_etcd = |gate, judge: fn(&Local, &Survey, Timestamp) -> Verdict| {
        survey.map_or_else(|| unasked(gate), |survey| judge(local, survey, there))
    };
    let if_any = |judge: fn(&Local, &Survey) -> Option<Verdict>| judge(local, survey?);
    let urgent = survey.and_then(|survey| urgent(local, survey));
    let window = window(local.config.windows.as_ref(), now, window_at);
    let mut gates = Vec::from_iter(if_any(name));
    gates.extend([
        detectors(local, survey, there),
        kill_switch(local, now),
        past(window, urgent),
        of_etcd("pause", pause),
        past(of_etcd("cooldown", cooldown), urgent),
        of_etcd("budget", spent),
    ]);
    gates.extend(if_any(line));
    gates.extend(policies(local, survey));
    gates.extend(if_any(waves));
    gates.extend([health(local, survey, there), of_etcd("turn", turn)]);
    if local.config.dry_run {
        let text = "dry_run is set: this node does not commit";
        gates.push(refused(|_| Refusal::DryRun, text));
    }
    gates
}

/// What the daemon said where it asked, and for the rest what can be seen now.
pub(crate) fn with_own(own: &Own, seen: &[Verdict], now: Timestamp) -> Vec<Verdict> {
    let said = |gate: &str| {
        let mut blocks = own.gates.iter().filter(|said| said.blocks());
        let mut said = blocks.find(|said| said.gate == gate)?.clone();
        if let Some(since) = &said.since {
            said.text += &format!(",{}", for_text(now, since));
        }
        if !said.remedy.is_empty() {
            said.text += &format!("; {}", said.remedy);
        }
        Some(said)
    };
    let known: Vec<&str> = seen.iter().map(|seen| seen.gate.as_str()).collect();
    let others = own.gates.iter();
    let others = others.filter(|said| !known.contains(&said.gate.as_str()));
    let others: Vec<Verdict> = others.filter_map(|it| said(&it.gate)).collect();
    let seen = seen.iter().map(|seen| match said(&seen.gate) {
        // What is seen now is newer, where the daemon asked for nothing more than a look.
        Some(said) if seen.verdict == Word::NotAsked || !seen.blocks() && knows_more(&said) => said,
        Some(said) if seen.gate == "detectors" => said,
        _ => seen.clone(),
    });
    others.into_iter().chain(seen).collect()
}

/// What holds this node up that nobody can see, where no gate says it already: as its word has it, or as it cannot use etcd.
pub(crate) fn unseen(view: &View, now: Timestamp) -> Option<Verdict> {
    let here = view.here()?;
    let standing = view.standing_of(here.node);
    let blocked = standing.and_then(|it| it.blocked.as_ref());
    let said = blocked.map(|it| (it.label.as_str(), &it.since, &it.text));
    let seldom = said.filter(|(label, ..)| ["etcd", "configuration", "aborted"].contains(label));
    let etcd = here.etcd.map(|(since, why)| ("etcd", since, why));
    let (label, since, why) = seldom.or(etcd)?;
    let left = standing.map_or("", as_left);
    let refusal = match label {
        "etcd" => Refusal::Etcd,
        "configuration" => Refusal::Configuration,
        _ => Refusal::Aborted,
    };
    let text = format!("{why},{}{left}", for_text(now, since));
    let unseen = refused(refusal, text);
    let told = |it: &Verdict| it.gate == unseen.gate && it.blocks();
    (!view.gates.iter().any(told)).then_some(unseen)
}

/// Whether a daemon that judges this gate knows more than can be seen: it ran the script, it saw claims stand still, it knows
/// since when it requires a reboot, and it read what cannot be shown.
fn knows_more(said: &Verdict) -> bool {
    ["line", "policies", "wave", "health"].contains(&said.gate.as_str())
}

/// The gate that changes first by itself, for people; of those that block.
pub(crate) fn next_opening(gates: &[Verdict], now: Timestamp, zone: &TimeZone) -> Option<String> {
    let closed = gates.iter().filter(|gate| gate.blocks());
    let changes = closed.filter_map(|gate| {
        let at = instant(gate.changes_at.as_deref()?);
        Some((at.filter(|at| *at > now)?, gate.gate.as_str()))
    });
    let (at, name) = changes.min()?;
    Some(format!(
        "Next to let it pass by itself: {name}, {} ({}).",
        clock(at, zone),
        until(now, at)
    ))
}

#[cfg(test)]
mod tests;
