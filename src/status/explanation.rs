//! Why one node does not reboot now: its own words, what the cluster knows of it, and, on its own host, gate by gate.

use jiff::Timestamp;
use serde_json::json;

use super::View;
use super::describe::{
    committed, everybody, framed, last, named, names, of_node, phase, reasons, request_text,
    standing,
};
use super::domains;
use super::forecast::forecast;
use super::gates::next_opening;
use super::headline::{self, Part, headline};
use super::json::{part, readable};
use super::node_state::{NodeState, Rank, as_left, node_states, speaks_of_claim};
use super::table::{Tone, cell, folded, table};
use super::text::{gate_table, part_rows};
use super::times::{for_span, for_text, zone};
use crate::core::{Refusal, Verdict, Word, policy};
use crate::lock::outcome::Found;
use crate::lock::record::Standing;
use crate::lock::survey::Survey;
use crate::lock::{Phase, RebootRequest};

/// Whether anything is known under this name.
pub(crate) fn knows(survey: &Survey, node: &str) -> bool {
    everybody(survey).contains(node) || of_node(&survey.requests, node).is_some()
}

/// For people. The first line is the headline of `status`; `other` is another node than this.
pub(crate) fn text(view: &View, other: Option<&str>, now: Timestamp) -> String {
    let node = other.unwrap_or(view.local.node());
    let parts = headline(view, now);
    let first = parts.first().map(|part| not_typed(part.clone(), node));
    let said = |own: &Part| {
        let mut first = first.iter();
        first.any(|it| it.fact.contains(own.fact.trim_end_matches('.')))
    };
    let own = own_part(view, node, now).filter(|own| !said(own));
    let told = first.iter().chain(&own);
    let mut lines = table(0, told.flat_map(part_rows));
    lines.extend(facts(view, node, now));
    if other.is_none() {
        let begun = begun(view, node);
        lines.push(folded(&match begun {
            Some(phase) => of_begun(view, node, phase),
            None => summary(view, node),
        }));
        lines.extend(gate_table(view, &view.gates));
        let zone = zone(&view.local.config);
        let opening = next_opening(&view.gates, now, &zone).filter(|_| begun.is_none());
        lines.extend(opening.map(|text| folded(&text)));
    }
    lines.join("\n")
}

/// The phase of its claim when that is committed: then no gate is what it waits for.
fn begun(view: &View, node: &str) -> Option<Phase> {
    let claim = view.known_of(node).and_then(|it| of_node(&it.claims, node));
    let there = || Some(claim?.claim.as_ref().ok()?.phase);
    let phase = view.here().and_then(|here| here.phase);
    phase.or_else(there).filter(|phase| phase.committed())
}

/// What the gates are to a node past its commit.
fn of_begun(view: &View, node: &str, phase: Phase) -> String {
    if phase == Phase::Draining
        && let Some(next) = judged_anew(view)
    {
        return format!(
            "{node} has begun its reboot, and its daemon was started since: it judges these anew before it goes on, {next} next."
        );
    }
    let judges = |it: &Standing| ["holding", "retrying"].contains(&it.state.as_str());
    let stops = match phase {
        Phase::Verifying => {
            return format!(
                "{node} waits for none of these: it keeps its claim until it is proved to be healthy."
            );
        }
        _ if view.standing_of(node).is_some_and(judges) => {
            return format!("{node} keeps its claim, and waits until none of these blocks.");
        }
        Phase::Rebooting => "once its reboot command runs the kill switch cannot stop it",
        Phase::Draining | Phase::Queued => {
            "the kill switch can still stop it before the reboot command runs"
        }
    };
    format!("{node} has begun its reboot and waits for none of these; {stops}.")
}

/// The gate that is judged next by a daemon that was started in a drain, and says nothing of itself until all of them are.
fn judged_anew(view: &View) -> Option<&'static str> {
    let own = view.own().filter(|own| own.standing.is_none())?;
    let said = |gate: &str| {
        let mut said = own.gates.iter().filter(|said| said.gate == gate);
        said.any(|said| said.verdict != Word::NotAsked)
    };
    // What etcd says is judged at once, and so is what the host says.
    let order = ["detectors", "health", "pause", "kill switch"];
    let next = order.into_iter().find(|gate| !said(gate));
    next.or(Some("the commit"))
}

/// The gates in one sentence.
fn summary(view: &View, node: &str) -> String {
    if view.doubt.is_some() || view.here().is_some_and(|here| here.starts) {
        return format!("So it is not known either which of these {node} waits for.");
    }
    let gates = &view.gates;
    let with = |word: Word| {
        let those = gates.iter().filter(|gate| gate.verdict == word);
        let names: Vec<&str> = those.map(|gate| gate.gate.as_str()).collect();
        names.join(", ")
    };
    let no_need = |gate: &Verdict| gate.reason.as_deref() == Some("not_required");
    let (blocks, unknown) = (with(Word::Blocks), with(Word::Unknown));
    if gates.iter().any(no_need) {
        format!("{node} does not reboot now: no reboot is required.")
    } else if !blocks.is_empty() || !unknown.is_empty() {
        let told = [
            ("what blocks", blocks),
            ("unknown, which counts as no", unknown),
        ];
        let told = told.iter().filter(|(_, those)| !those.is_empty());
        let told: Vec<String> = told.map(|(how, those)| format!("{how}: {those}")).collect();
        format!("{node} does not reboot now; {}.", told.join("; "))
    } else {
        let not_asked = with(Word::NotAsked);
        let none = match view.local.daemon {
            Ok(None) => ", but no daemon runs on it",
            _ => "",
        };
        format!(
            "Nothing that can be seen keeps {node} from rebooting{none}; not asked: {not_asked}."
        )
    }
}

/// For programs, on one line.
pub(crate) fn json(view: &View, other: Option<&str>, now: Timestamp) -> String {
    let node = other.unwrap_or(view.local.node());
    let survey = view.known_of(node);
    let there = || survey.and_then(|it| of_node(&it.standings, node));
    let here = view.here().filter(|_| other.is_none());
    let standing = here.and_then(|it| it.word).map(|it| json!(it));
    let own = view.own().filter(|_| other.is_none());
    json!({
        "node": node,
        "headline": headline(view, now).iter().map(part).collect::<Vec<_>>(),
        "what": own_part(view, node, now).as_ref().map(part),
        "standing": standing.or_else(|| there().map(readable)),
        "daemon": own,
        "forecast": survey.and_then(|_| forecast(view, Some(node), now)),
        "gates": other.is_none().then_some(&view.gates),
    })
    .to_string()
}

/// What is the matter with this node.
fn own_part(view: &View, node: &str, now: Timestamp) -> Option<Part> {
    let nothing = Survey::default();
    let known = view.known_of(node).unwrap_or(&nothing);
    let mut all = node_states(known, &view.reader(now)).into_iter();
    let state = all.find(|state| state.node == node)?;
    let part = headline::part(&state, None);
    Some(not_typed(Part { more: None, ..part }, node))
}

/// Without the command that led here.
fn not_typed(part: Part, node: &str) -> Part {
    let typed = format!("explain {node}");
    let command = part.command.filter(|(_, command)| *command != typed);
    Part { command, ..part }
}

/// What to do about it, where there is something to do. A cooldown ends by itself, or says how.
fn remedy(label: &str, why: &str) -> String {
    let refusal = Refusal::of(label, why).filter(|_| label != "cooldown");
    framed("; ", refusal.as_ref().map_or("", Refusal::remedy), "")
}

/// What the cluster knows of it.
fn facts(view: &View, node: &str, now: Timestamp) -> Vec<String> {
    let nothing = Survey::default();
    let survey = view.known_of(node).unwrap_or(&nothing);
    let mut rows = vec![];
    let here = view.here().filter(|here| here.node == node);
    // What was under way when its process ended is under way no more.
    let is_left = here.is_some_and(|here| here.is_left);
    let lasts = |it: &&Standing| it.blocked.is_some() || !is_left || !speaks_of_claim(it);
    let standing = view.standing_of(node).filter(lasts);
    let mut states = node_states(survey, &view.reader(now)).into_iter();
    let state = states.find(|state| state.node == node);
    let of_itself = |it| of_itself(it, state.as_ref(), now);
    rows.extend(standing.into_iter().flat_map(of_itself));
    if let Some(place) = survey.claims.iter().position(|(name, _)| name == node) {
        rows.extend(of_claim(view, survey, place, now));
    }
    let request = of_node(&survey.requests, node);
    let text = request.map(|it| request_text(it, now));
    rows.push(("requested", Tone::Notice, text));
    let is_urgent = |it: &RebootRequest| it.urgent_until.is_some();
    let urgent = request.is_some_and(|it| it.as_ref().is_ok_and(is_urgent));
    let waits = urgent.then(|| in_its_way(survey, node)).flatten();
    rows.push(("in its way", Tone::Bad, waits));
    let record = of_node(&survey.nodes, node);
    if record.is_some() || request.is_some() && !survey.partial {
        let last = last(record, now);
        rows.push(("last", last.tone, Some(last.text)));
    }
    let row = |(name, tone, text): Row| Some([cell(Tone::Dim, name), cell(tone, text?)]);
    table(2, rows.into_iter().filter_map(row))
}

/// Who is before an urgent one in the queue and waits for what that one passes; and what to do about it.
fn in_its_way(survey: &Survey, node: &str) -> Option<String> {
    let place = survey.claims.iter().position(|(name, _)| name == node)?;
    let waits = |(name, found): &&(String, Found)| {
        let label = standing(survey, name).and_then(Standing::label);
        !committed(found) && label.is_some_and(|it| ["cooldown", "window"].contains(&it))
    };
    let claim = survey.claims[place].1.claim.as_ref().ok()?;
    let older = &survey.claims[..place];
    let turn = domains::turn(&claim.domains, claim.limit, older).err()?;
    let bears = |name: &String| turn.full.as_ref().is_none_or(|who| who.contains(name));
    let (first, _) = older.iter().find(|it| bears(&it.0) && waits(it))?;
    Some(format!(
        "{first} keeps its turn until it may go; `reboot-coordinator release {first} --reason TEXT` takes that place, or request it urgently, too"
    ))
}

/// A row, when there is something to say in it.
type Row = (&'static str, Tone, Option<String>);

/// What a node says of itself.
fn of_itself(standing: &Standing, node: Option<&NodeState>, now: Timestamp) -> [Row; 6] {
    let lasts = |at: &str| for_text(now, at);
    let once = as_left(standing);
    let state = format!("{}{}{once}", standing.state, lasts(&standing.since));
    let required = standing.required.as_ref().map(|it| {
        let lasts = lasts(&it.since);
        framed("", lasts.trim_start(), ": ") + &it.by.join(", ")
    });
    let passes = node.is_some_and(|it| it.rank == Rank::Waits);
    let tone = if passes { Tone::Notice } else { Tone::Bad };
    let blocked = standing.blocked.as_ref().map(|it| {
        // What is said there of a restart is said to a daemon.
        let is_passed = standing.once && it.label == "aborted";
        // As it is now, where that can be judged.
        let text = node.and_then(|node| node.why.as_ref());
        let text = text.unwrap_or(&it.text);
        let by_others = passes && ["wave", "policy"].contains(&it.label.as_str());
        let is_lifted = passes && node.is_some_and(|node| node.why.is_none());
        let remedy = match is_passed || by_others || is_lifted {
            true => String::new(),
            // Who is down does not come back by itself.
            false if node.is_some_and(|it| it.rank == Rank::Blocked) => {
                remedy(&it.label, text.split(policy::PASSES).next().unwrap_or(text))
            }
            false => remedy(&it.label, text),
        };
        let lasts = lasts(&it.since);
        format!("{}{lasts}: {text}{remedy}", it.gate)
    });
    let said = standing.said.as_ref();
    let said = said.map(|said| format!("health script: {said}"));
    [
        ("state", Tone::Plain, Some(state)),
        ("required", Tone::Notice, required),
        ("blocked by", tone, blocked),
        ("is at", Tone::Notice, standing.doing.clone()),
        ("hampered", Tone::Bad, standing.hampered.clone()),
        ("said", Tone::Plain, said),
    ]
}

/// What stands in the queue, at this place.
fn of_claim(view: &View, survey: &Survey, place: usize, now: Timestamp) -> [Row; 4] {
    let (node, found) = &survey.claims[place];
    let began = view.reader(now).began(found);
    let lasts = began.map_or_else(String::new, |at| for_span(now, at));
    let claim = format!("{}{lasts}: {}", phase(found), reasons(found));
    let before = (!committed(found)).then(|| names(named(&survey.claims[..place])));
    let before = before.filter(|it| !it.is_empty());
    let ahead = forecast(view, Some(node), now);
    let ahead = ahead.map(|it| format!("{} before it, {}", it.left, it.text));
    [
        ("claim", Tone::Notice, Some(claim)),
        ("before it", Tone::Notice, before),
        ("forecast", Tone::Plain, ahead),
        ("waits for", Tone::Notice, domains::waits(survey, place)),
    ]
}

#[cfg(test)]
mod tests;
