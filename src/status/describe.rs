//! Records in words.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::{Cell, Tone, cell, facts, plain};
use super::times::{ago_text, clock, for_text, instant, until};
use crate::core::{Verdict, Word};
use crate::lock::outcome::Found;
use crate::lock::record::{RecordError, Standing};
use crate::lock::survey::Survey;
use crate::lock::{Cooldown, History, NodeRecord, Pause, RebootRequest};

/// Whether a claim is past the point of no return. One that cannot be read is, unless it hangs on a lease.
pub(crate) fn committed(found: &Found) -> bool {
    match &found.claim {
        Ok(claim) => claim.phase.committed(),
        Err(_) => found.lease == 0,
    }
}

/// The word for how far a claim has come.
pub(crate) fn phase(found: &Found) -> &'static str {
    let claim = found.claim.as_ref();
    claim.map_or("unreadable", |claim| claim.phase.as_str())
}

/// When a claim came into its present state: its commit, or its place in the queue. Empty when that cannot be read.
pub(crate) fn began(found: &Found) -> &str {
    match &found.claim {
        Ok(claim) if claim.phase.committed() => claim.committed_at.as_ref().unwrap_or(&claim.since),
        Ok(claim) => &claim.since,
        Err(_) => "",
    }
}

/// A text in its frame; nothing where there is none.
pub(crate) fn framed(before: &str, text: &str, after: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{before}{text}{after}"),
    }
}

/// How far a claim has come, and for how long it has been there.
pub(crate) fn how_far(found: &Found, now: Timestamp) -> String {
    phase(found).to_owned() + &for_text(now, began(found))
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

/// Everybody of whom something is known for as long as it lives: members, and who has a claim or says something.
pub(crate) fn everybody(survey: &Survey) -> BTreeSet<&str> {
    let members = named(&survey.nodes).chain(named(&survey.claims));
    members.chain(named(&survey.standings)).collect()
}

/// What such a list holds of a node.
pub(crate) fn of_node<'a, T>(list: &'a [(String, T)], node: &str) -> Option<&'a T> {
    let mut all = list.iter();
    all.find(|(name, _)| name == node).map(|(_, it)| it)
}

/// What a node says of itself, where it can be read.
pub(crate) fn standing<'a>(survey: &'a Survey, node: &str) -> Option<&'a Standing> {
    of_node(&survey.standings, node)?.as_ref().ok()
}

/// The same for whoever asks of many nodes.
pub(crate) fn by_node<T>(list: &[(String, T)]) -> BTreeMap<&str, &T> {
    list.iter().map(|(name, it)| (name.as_str(), it)).collect()
}

/// A few names, and how many more there are.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let all: Vec<&str> = all.into_iter().collect();
    match all.split_at_checked(SHOWN) {
        Some((shown, [_, ..])) => format!("{} and {} more", shown.join(", "), all.len() - SHOWN),
        _ => all.join(", "),
    }
}

/// A claim in full, line by line.
pub(crate) fn claim_table(node: &str, found: &Found, now: Timestamp) -> Vec<String> {
    let when = |at: &String| format!("{}, at {at}", ago_text(now, at));
    let mut rows = vec![("node", node.to_owned())];
    match &found.claim {
        Ok(claim) => {
            rows.push(("node id", claim.node_id.clone()));
            rows.push(("phase", claim.phase.as_str().to_owned()));
            let committed = claim.committed_at.as_ref().map(when);
            rows.extend(committed.map(|text| ("committed", text)));
            rows.push(("in queue", when(&claim.since)));
            rows.push(("reasons", claim.reasons.join(", ")));
            if claim.attempts > 1 {
                rows.push(("attempts", claim.attempts.to_string()));
            }
        }
        Err(error) => rows.push(("claim", error.to_string())),
    }
    facts(rows)
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
    let request = match request {
        Ok(request) => request,
        Err(error) => return error.to_string(),
    };
    let (by, since, reason) = (&request.by, ago_text(now, &request.since), &request.reason);
    let text = format!("by {by} {since}: {reason}");
    match &request.urgent_until {
        None => text,
        Some(at) => {
            let end = instant(at).map_or_else(|| format!("{at:?}"), |at| until(now, at));
            format!("urgently (ends {end}) {text}")
        }
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
pub(crate) fn holder_row(node: &str, found: &Found, age: String) -> [Cell; 4] {
    let phase = cell(Tone::Notice, phase(found));
    [plain(node), phase, plain(age), plain(reasons(found))]
}

/// The rows of gates.
pub(crate) fn gate_row(gate: &Verdict) -> [Cell; 3] {
    let tone = match gate.verdict {
        Word::Ok => Tone::Good,
        // That no reboot is required is no fault.
        Word::Blocks if gate.reason.as_deref() == Some("not_required") => Tone::Plain,
        Word::Blocks => Tone::Bad,
        Word::Unknown => Tone::Notice,
        Word::NotAsked => Tone::Dim,
    };
    let word = cell(tone, gate.verdict.as_str());
    [plain(&gate.gate), word, plain(&gate.text)]
}

/// The limits that claims were made with.
pub(crate) fn limits(survey: &Survey) -> BTreeSet<u32> {
    let claims = survey.claims.iter();
    let claims = claims.filter_map(|(_, found)| found.claim.as_ref().ok());
    claims.map(|claim| claim.limit).collect()
}

/// How many may be down at once, by the largest limit of those that wait. Whoever is down went by its own, which binds nobody else.
pub(crate) fn places(survey: &Survey, own: u32) -> usize {
    let claims = survey.claims.iter();
    let waiting = claims.filter(|(_, found)| !committed(found) && found.lease != 0);
    let waiting = waiting.filter_map(|(_, found)| found.claim.as_ref().ok());
    let limit = waiting.map(|claim| claim.limit).max().unwrap_or(own);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// When and why a member rebooted last, as far as it is registered.
pub(crate) fn last(record: Option<&Result<NodeRecord, RecordError>>, now: Timestamp) -> Cell {
    match record {
        Some(Ok(record)) => plain(rebooted(record, now)),
        Some(Err(error)) => cell(Tone::Bad, error.to_string()),
        None => plain("not registered"),
    }
}

/// When and why a registered member rebooted last.
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

/// How an attempt ended, in the colour of whether it ended well.
pub(crate) fn outcome(entry: &History) -> Cell {
    let tone = match entry.outcome.as_str() {
        "completed" => Tone::Good,
        "aborted" => Tone::Bad,
        _ => Tone::Notice,
    };
    cell(tone, &entry.outcome)
}

/// Why it ended so: what it was for when that went well, else what happened and who did it.
pub(crate) fn ending(entry: &History) -> String {
    let mut reasons = entry.reasons.join(", ");
    if !entry.passed.is_empty() {
        reasons = format!("{reasons}; past the {}", entry.passed.join(" and the "));
    }
    if entry.outcome == "completed" && entry.detail == "back and healthy" {
        return reasons;
    }
    let mut text = entry.detail.clone();
    if let Some(by) = &entry.by {
        text = format!("by {by}: {text}");
    }
    if let Some(count) = entry.count.filter(|count| *count > 1) {
        text = format!("{count} times: {text}");
    }
    text + &framed(" (", &reasons, ")")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::status::fixtures::{found, now};

    #[test]
    fn an_age_that_is_not_known_is_left_out() {
        let (_, mut claimed) = found("node-a", Phase::Draining, 1, "11:48");
        assert_eq!(how_far(&claimed, now()), "draining for 12 min");
        let claim = claimed.claim.as_mut().unwrap();
        claim.committed_at = Some("yesterday".into());
        assert_eq!(how_far(&claimed, now()), "draining");
    }
}
