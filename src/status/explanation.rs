//! Why one node does not reboot now: its own words, what the cluster knows of it, and, on its own host, gate by gate.

use jiff::Timestamp;
use serde_json::json;

use super::View;
use super::describe::{named, names, of_node, phase, reasons, rebooted, request_text};
use super::domains;
use super::forecast::forecast;
use super::gates::next_opening;
use super::headline::{Part, headline};
use super::json::{part, readable};
use super::plight::{Plight, plights};
use super::table::{Style, Table, Tone, cell, folded};
use super::text::{gate_table, part_rows};
use super::times::since_text;
use crate::core::{Refusal, Verdict, Word};
use crate::lock::survey::Survey;

/// Whether anything is known under this name.
pub(crate) fn knows(survey: &Survey, node: &str) -> bool {
    of_node(&survey.nodes, node).is_some()
        || of_node(&survey.claims, node).is_some()
        || of_node(&survey.standings, node).is_some()
        || of_node(&survey.requests, node).is_some()
}

/// For people. The first line is the headline of `status`; `other` is another node than this.
pub(crate) fn text(view: &View, other: Option<&str>, now: Timestamp) -> String {
    let style = Style::of_stdout();
    let node = other.unwrap_or(&view.local.node);
    let parts = headline(view, now);
    let mut table = Table::new(0);
    for part in parts.iter().take(1) {
        part_rows(&mut table, part);
    }
    let own = own_part(view, node, now);
    if let Some(own) = own.filter(|own| {
        parts
            .first()
            .is_none_or(|first| !first.fact.contains(&own.fact))
    }) {
        part_rows(&mut table, &own);
    }
    let mut lines = table.lines(style);
    lines.extend(facts(view, node, now).lines(style));
    if other.is_none() {
        let begun = has_begun(view, node);
        lines.push(folded(&if begun {
            format!("{node} has begun its reboot and waits for none of these; the kill switch can still stop it before the reboot command runs.")
        } else {
            summary(node, &view.gates)
        }));
        lines.extend(gate_table(&view.local, &view.gates).lines(style));
        let zone = view.local.zone();
        let opening = next_opening(&view.gates, now, &zone).filter(|_| !begun);
        lines.extend(opening.map(|text| folded(&text)));
    }
    lines.join("\n")
}

/// Whether its claim is committed: then no gate is what it waits for.
fn has_begun(view: &View, node: &str) -> bool {
    let claim = view.known().and_then(|it| of_node(&it.claims, node));
    let claim = claim.and_then(|found| found.claim.as_ref().ok());
    claim.is_some_and(|claim| claim.phase.committed())
}

/// The gates in one sentence.
fn summary(node: &str, gates: &[Verdict]) -> String {
    let with = |word: Word| {
        let those = gates.iter().filter(|gate| gate.verdict == word);
        those
            .map(|gate| gate.gate.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let not_required = Some("not_required");
    if gates
        .iter()
        .any(|gate| gate.reason.as_deref() == not_required)
    {
        return format!("{node} does not reboot now: no reboot is required.");
    }
    match (
        with(Word::Blocks),
        with(Word::Unknown),
        with(Word::NotAsked),
    ) {
        (blocks, _, _) if !blocks.is_empty() => {
            format!("{node} does not reboot now; what blocks: {blocks}.")
        }
        (_, unknown, _) if !unknown.is_empty() => {
            format!("{node} does not reboot now; unknown, which counts as no: {unknown}.")
        }
        (_, _, not_asked) => {
            format!("Nothing that can be seen keeps {node} from rebooting; not asked: {not_asked}.")
        }
    }
}

/// For programs, on one line.
pub(crate) fn json(view: &View, other: Option<&str>, now: Timestamp) -> String {
    let node = other.unwrap_or(&view.local.node);
    let standing = view.known().and_then(|it| of_node(&it.standings, node));
    let own = view.own.as_ref().filter(|_| other.is_none());
    json!({
        "node": node,
        "headline": headline(view, now).iter().map(part).collect::<Vec<_>>(),
        "what": own_part(view, node, now).as_ref().map(part),
        "standing": standing.map(readable),
        "daemon": own,
        "forecast": forecast(view, Some(node), now),
        "gates": other.is_none().then_some(&view.gates),
    })
    .to_string()
}

/// What is the matter with this node.
fn own_part(view: &View, node: &str, now: Timestamp) -> Option<Part> {
    plight(view, node, now).map(|plight| Part {
        tone: plight.tone,
        fact: format!("{}.", plight.fact),
        more: None,
        command: plight.command,
    })
}

fn plight(view: &View, node: &str, now: Timestamp) -> Option<Plight> {
    let mut all = plights(view.known()?, &view.reader(now)).into_iter();
    all.find(|plight| plight.node == node)
}

/// What to do where other nodes are the reason, from wherever one looks. What is wrong on its own host is told there.
fn remedy(label: &str) -> String {
    let of_others = [Refusal::Line, Refusal::Wave].map(|refusal| refusal(String::new()));
    let refusal = of_others.iter().find(|refusal| refusal.label() == label);
    refusal.map_or_else(String::new, |refusal| format!("; {}", refusal.remedy()))
}

/// What the cluster knows of it.
fn facts(view: &View, node: &str, now: Timestamp) -> Table {
    let mut table = Table::new(2);
    let mut row = |name: &str, tone: Tone, text: String| {
        table.row([cell(Tone::Dim, name), cell(tone, text)]);
    };
    let Some(survey) = view.known() else {
        return table;
    };
    if let Some(Ok(standing)) = of_node(&survey.standings, node) {
        let once = if standing.once {
            ", as its last pass left it"
        } else {
            ""
        };
        let since = since_text(now, &standing.since);
        row(
            "state",
            Tone::Plain,
            format!("{} for {since}{once}", standing.state),
        );
        if let Some(required) = &standing.required {
            let since = since_text(now, &required.since);
            row(
                "required",
                Tone::Notice,
                format!("for {since}: {}", required.by.join(", ")),
            );
        }
        if let Some(blocked) = &standing.blocked {
            let since = since_text(now, &blocked.since);
            row(
                "blocked by",
                Tone::Bad,
                format!(
                    "{} for {since}: {}{}",
                    blocked.gate,
                    blocked.text,
                    remedy(&blocked.label)
                ),
            );
        }
        if let Some(doing) = &standing.doing {
            row("is at", Tone::Notice, doing.clone());
        }
        if let Some(why) = &standing.hampered {
            row("hampered", Tone::Bad, why.clone());
        }
        if let Some(said) = &standing.said {
            row("said", Tone::Plain, format!("health script: {said}"));
        }
    }
    if let Some(place) = survey.claims.iter().position(|(name, _)| name == node) {
        let found = &survey.claims[place].1;
        let text = format!(
            "{} for {}: {}",
            phase(found),
            view.reader(now).age(found),
            reasons(found)
        );
        row("claim", Tone::Notice, text);
        let before = names(named(&survey.claims[..place]));
        if !before.is_empty() {
            row("before it", Tone::Notice, before);
        }
        if let Some(ahead) = forecast(view, Some(node), now) {
            let text = format!("{} before it, {}", ahead.left, ahead.text);
            row("forecast", Tone::Plain, text);
        }
        if let Some(waits) = domains::waits(survey, place) {
            row("waits for", Tone::Notice, waits);
        }
    }
    if let Some(request) = of_node(&survey.requests, node) {
        row("requested", Tone::Notice, request_text(request, now));
    }
    if let Some(Ok(record)) = of_node(&survey.nodes, node) {
        row("last", Tone::Plain, rebooted(record, now));
    }
    table
}
