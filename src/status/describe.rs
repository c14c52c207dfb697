//! Records in words.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::{Cell, Table, Tone, cell, plain};
use super::times::{ago_text, clock, instant, since_text, until};
use crate::lock::outcome::Found;
use crate::lock::record::RecordError;
use crate::lock::survey::Survey;
use crate::lock::{Claim, Cooldown, History, NodeRecord, Pause, RebootRequest};

/// Whether a claim is past the point of no return. One that cannot be read is, unless it hangs on a lease.
pub(crate) fn committed(found: &Found) -> bool {
    match &found.claim {
        Ok(claim) => claim.phase.committed(),
        Err(_) => found.lease == 0,
    }
}

/// The word for how far a claim has come.
pub(crate) fn phase(found: &Found) -> &'static str {
    found
        .claim
        .as_ref()
        .map_or("unreadable", |claim| claim.phase.as_str())
}

/// When a claim came into its present state: its commit, or its place in the queue.
pub(crate) fn began(claim: &Claim) -> &str {
    match &claim.committed_at {
        Some(at) if claim.phase.committed() => at,
        _ => &claim.since,
    }
}

/// How long a claim has been in its present state; empty when that cannot be read.
pub(crate) fn age(found: &Found, now: Timestamp) -> String {
    found
        .claim
        .as_ref()
        .map_or_else(|_| String::new(), |claim| since_text(now, began(claim)))
}

/// An age behind what has lasted so long; nothing where it is not known.
pub(crate) fn lasting(age: &str) -> String {
    match age {
        "" => String::new(),
        age => format!(" for {age}"),
    }
}

/// Why the reboot was asked for, or why the claim cannot be read.
pub(crate) fn reasons(found: &Found) -> String {
    match &found.claim {
        Ok(claim) => claim.reasons.join(", "),
        Err(error) => error.to_string(),
    }
}

/// The names in a list of what is known of nodes.
pub(crate) fn named<T>(list: &[(String, T)]) -> impl Iterator<Item = &str> {
    list.iter().map(|(name, _)| name.as_str())
}

/// What such a list holds of a node.
pub(crate) fn of_node<'a, T>(list: &'a [(String, T)], node: &str) -> Option<&'a T> {
    let mut all = list.iter();
    all.find(|(name, _)| name == node).map(|(_, it)| it)
}

/// The same for whoever asks of many nodes.
pub(crate) fn by_node<T>(list: &[(String, T)]) -> BTreeMap<&str, &T> {
    list.iter().map(|(name, it)| (name.as_str(), it)).collect()
}

/// A few names, and how many more there are.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let all: Vec<&str> = all.into_iter().collect();
    let shown = all.iter().take(SHOWN).copied().collect::<Vec<_>>();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A claim in full, line by line.
pub(crate) fn claim_table(node: &str, found: &Found, now: Timestamp) -> Table {
    let mut table = Table::new(2);
    let mut row = |name: &str, text: &str| table.row([cell(Tone::Dim, name), plain(text)]);
    row("node", node);
    match &found.claim {
        Ok(claim) => {
            row("node id", &claim.node_id);
            row("phase", claim.phase.as_str());
            if let Some(at) = &claim.committed_at {
                row("committed", &format!("{}, at {at}", ago_text(now, at)));
            }
            let since = &claim.since;
            row("in queue", &format!("{}, at {since}", ago_text(now, since)));
            row("reasons", &claim.reasons.join(", "));
            if claim.attempts > 1 {
                row("attempts", &claim.attempts.to_string());
            }
        }
        Err(error) => row("claim", &error.to_string()),
    }
    table
}

/// Until when something in a record lasts.
pub(crate) fn until_text(text: &str, now: Timestamp, zone: &TimeZone) -> String {
    match instant(text) {
        Some(at) => format!("until {} ({})", clock(at, zone), until(now, at)),
        None => format!("until {text:?}"),
    }
}

/// A pause in one sentence.
pub(crate) fn pause_text(pause: &Pause, now: Timestamp, zone: &TimeZone) -> String {
    let end = match &pause.until {
        None => "until somebody resumes".to_owned(),
        Some(text) => until_text(text, now, zone),
    };
    format!(
        "paused by {} {}, {end}: {}",
        pause.by,
        ago_text(now, &pause.since),
        pause.reason
    )
}

/// A request in words, also when it cannot be read.
pub(crate) fn request_text(request: &Result<RebootRequest, RecordError>, now: Timestamp) -> String {
    match request {
        Ok(request) => {
            let urgent = request
                .urgent_until
                .as_deref()
                .map_or_else(String::new, |at| {
                    let end = instant(at).map_or_else(|| format!("{at:?}"), |at| until(now, at));
                    format!("urgently (ends {end}) ")
                });
            format!(
                "{urgent}by {} {}: {}",
                request.by,
                ago_text(now, &request.since),
                request.reason
            )
        }
        Err(error) => error.to_string(),
    }
}

/// The same, also when it cannot be read.
pub(crate) fn paused_text(
    pause: &Result<Pause, RecordError>,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    match pause {
        Ok(pause) => pause_text(pause, now, zone),
        Err(error) => format!("paused, but {error}"),
    }
}

/// The end of a cooldown, and who began it.
pub(crate) fn cooldown_text(cooldown: &Cooldown, now: Timestamp, zone: &TimeZone) -> String {
    let end = until_text(&cooldown.until, now, zone);
    let since = ago_text(now, &cooldown.since);
    format!("{end}; {} rebooted {since}", cooldown.node)
}

/// The rows of claims that are past their commit.
pub(crate) fn holder_row(node: &str, found: &Found, age: String) -> Vec<Cell> {
    vec![
        plain(node),
        cell(Tone::Notice, phase(found)),
        plain(age),
        plain(reasons(found)),
    ]
}

/// The limits that claims were made with.
pub(crate) fn limits(survey: &Survey) -> BTreeSet<u32> {
    let claims = survey
        .claims
        .iter()
        .filter_map(|(_, found)| found.claim.as_ref().ok());
    claims.map(|claim| claim.limit).collect()
}

/// When and why a member rebooted last.
pub(crate) fn rebooted(record: &NodeRecord, now: Timestamp) -> String {
    let last = match &record.last_reboot {
        Some(last) => format!(
            "rebooted {}: {}",
            ago_text(now, &last.at),
            last.reasons.join(", ")
        ),
        None => "no reboot yet".to_owned(),
    };
    // How an attempt that is under way ends decides whether it counts.
    let open = u32::from(record.attempt.is_some());
    match record.budget_used.saturating_sub(open) {
        0 => last,
        used => format!("{last}; budget used: {used}"),
    }
}

/// How an attempt ended, as a cell.
pub(crate) fn outcome(entry: &History) -> Cell {
    cell(outcome_tone(entry), &entry.outcome)
}

/// Whether it ended well.
pub(crate) fn outcome_tone(entry: &History) -> Tone {
    match entry.outcome.as_str() {
        "completed" => Tone::Good,
        "aborted" => Tone::Bad,
        _ => Tone::Notice,
    }
}

/// Why it ended so: what it was for when that went well, else what happened and who did it.
pub(crate) fn ending(entry: &History) -> String {
    let mut reasons = entry.reasons.join(", ");
    if !entry.passed.is_empty() {
        reasons = format!("{reasons}; past the {}", entry.passed.join(" and the "));
    }
    let by = entry
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!("by {by}: "));
    let times = match entry.count {
        Some(count) if count > 1 => format!("{count} times: "),
        _ => String::new(),
    };
    let by = format!("{times}{by}");
    match entry.outcome.as_str() {
        "completed" if entry.detail == "back and healthy" => reasons,
        _ if reasons.is_empty() => format!("{by}{}", entry.detail),
        _ => format!("{by}{} ({reasons})", entry.detail),
    }
}
