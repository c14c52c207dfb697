//! `status` for people.

use jiff::Timestamp;

use super::View;
use super::describe::{
    committed, cooldown_text, ending, holder_row, limits, of_node, outcome, paused_text, reasons,
    rebooted, request_text,
};
use super::domains;
use super::forecast::forecast;
use super::headline::{Part, headline};
use super::local::Local;
use super::node_state::{NodeState, Rank, node_states};
use super::stood::Reader;
use super::table::{Cell, Style, Table, Tone, cell, plain};
use super::times::ago_text;
use crate::core::{Verdict, Word};
use crate::lock::History;
use crate::lock::outcome::Found;
use crate::lock::survey::Survey;

/// How many members and waiting nodes are listed; `--json` has them all.
const LISTED: usize = 20;

/// How many parts of the headline are told before the tables.
pub(super) const TOLD: usize = 4;

/// The whole of it.
pub(crate) fn text(view: &View, now: Timestamp, style: Style) -> String {
    let mut lines = headline_lines(view, now, style, TOLD);
    match &view.survey {
        Ok(survey) => cluster(&mut lines, view, survey, now, style),
        Err(trouble) => {
            let mut table = Table::new(0);
            table.row([heading("Cluster"), plain(&view.lock_key)]);
            table.row([heading("etcd"), cell(Tone::Bad, &trouble.text)]);
            lines.extend(table.lines(style));
        }
    }
    lines.extend(own_lines(view, &view.gates, style));
    lines.join("\n")
}

/// This node, gate by gate, after an empty line.
pub(super) fn own_lines(view: &View, gates: &[Verdict], style: Style) -> Vec<String> {
    let heading = style.paint(Tone::Heading, "This node");
    let mut lines = vec![String::new(), format!("{heading}  {}", view.local.node)];
    lines.extend(gate_table(&view.local, gates).lines(style));
    lines
}

/// The one sentence that somebody on call needs, and what to type; the rows below say more.
pub(super) fn headline_lines(
    view: &View,
    now: Timestamp,
    style: Style,
    told: usize,
) -> Vec<String> {
    let parts = headline(view, now);
    let mut table = Table::new(0);
    for part in parts.iter().take(told) {
        part_rows(&mut table, part);
    }
    if parts.len() > told {
        table.row([plain(format!("and {} more below", parts.len() - told))]);
    }
    table.row([plain("")]);
    table.lines(style)
}

/// How its word is coloured: that no reboot is required is no fault.
pub(crate) fn gate_tone(gate: &Verdict) -> Tone {
    match gate.verdict {
        Word::Ok => Tone::Good,
        Word::Blocks if gate.reason.as_deref() == Some("not_required") => Tone::Plain,
        Word::Blocks => Tone::Bad,
        Word::Unknown => Tone::Notice,
        Word::NotAsked => Tone::Dim,
    }
}

/// A part of the headline, and what to type.
pub(crate) fn part_rows(table: &mut Table, part: &Part) {
    table.row([cell(part.tone, &part.fact)]);
    if let Some((when, command)) = &part.command {
        table.row([plain(format!("{when} reboot-coordinator {command}"))]);
    }
}

/// The gates of a node, and whether a daemon judges them.
pub(crate) fn gate_table(local: &Local, gates: &[Verdict]) -> Table {
    let mut table = Table::new(2);
    let (tone, runs, text) = match &local.daemon {
        Ok(Some(pid)) => (Tone::Good, "runs", format!("process id {pid}")),
        Err(why) => (Tone::Notice, "unknown", why.clone()),
        Ok(None) => (
            Tone::Notice,
            "none",
            "no daemon runs here (its journal says why, or a timer runs `run --once`)".to_owned(),
        ),
    };
    table.row([plain("daemon"), cell(tone, runs), plain(text)]);
    for gate in gates {
        let tone = gate_tone(gate);
        table.row([
            plain(&gate.gate),
            cell(tone, gate.verdict.as_str()),
            plain(&gate.text),
        ]);
    }
    table
}

fn heading(text: &str) -> Cell {
    cell(Tone::Heading, text)
}

fn headed(text: &str, cell: Cell, style: Style) -> Vec<String> {
    let mut table = Table::new(0);
    table.row([heading(text), cell]);
    table.lines(style)
}

fn cluster(lines: &mut Vec<String>, view: &View, survey: &Survey, now: Timestamp, style: Style) {
    let (holders, queue): (Vec<_>, Vec<_>) = survey
        .claims
        .iter()
        .partition(|(_, found)| committed(found));
    let mut table = Table::new(0);
    let version = view.version.as_deref().unwrap_or("?");
    table.row([
        heading("Cluster"),
        plain(format!("{}, etcd {version}", view.lock_key)),
    ]);
    table.row([heading("Pause"), pause(view, survey, now)]);
    table.row([heading("Cooldown"), cooldown(view, survey, now)]);
    table.row([heading("Limit"), limit(view, survey)]);
    table.row([heading("Rebooting"), amount(holders.len(), "none")]);
    lines.extend(table.lines(style));
    let mut rows = Table::new(2);
    for (node, found) in &holders {
        rows.row(holder_row(node, found, view.reader(now).age(found)));
    }
    lines.extend(rows.lines(style));
    let mut table = Table::new(0);
    for (number, domain) in domains::in_use(survey).iter().take(LISTED).enumerate() {
        let name = if number == 0 { "Domains" } else { "" };
        let tone = if domain.full() {
            Tone::Notice
        } else {
            Tone::Plain
        };
        table.row([heading(name), cell(tone, domain.text())]);
    }
    table.row([heading("Queue    "), amount(queue.len(), "empty")]);
    lines.extend(table.lines(style));
    lines.extend(waiting(&queue, &view.reader(now)).lines(style));
    more(lines, queue.len(), LISTED);
    if let Some(forecast) = forecast(view, None, now) {
        let text = format!("{} left, {}", forecast.left, forecast.text);
        lines.extend(headed("Forecast ", plain(text), style));
    }
    requests(lines, survey, now, style);
    foreign(lines, survey, style);
    lines.extend(members(view, survey, now, style, LISTED));
    recent(lines, &survey.recent, now, style);
}

fn amount(count: usize, none: &str) -> Cell {
    match count {
        0 => plain(none),
        count => cell(Tone::Notice, count.to_string()),
    }
}

fn pause(view: &View, survey: &Survey, now: Timestamp) -> Cell {
    match &survey.pause {
        None => plain("none"),
        Some(pause) => cell(Tone::Bad, paused_text(pause, now, &view.local.zone())),
    }
}

fn cooldown(view: &View, survey: &Survey, now: Timestamp) -> Cell {
    match &survey.cooldown {
        None => plain("none"),
        Some(Ok(cooldown)) => cell(
            Tone::Notice,
            cooldown_text(cooldown, now, &view.local.zone()),
        ),
        Some(Err(error)) => cell(Tone::Bad, error.to_string()),
    }
}

/// The limit, and every other one in use: while a configuration rolls out, the largest holds.
fn limit(view: &View, survey: &Survey) -> Cell {
    let own = view.local.limit;
    let others = limits(survey);
    if others.iter().all(|limit| *limit == own) {
        return plain(format!("{own} at a time"));
    }
    let list: Vec<String> = others.iter().map(u32::to_string).collect();
    cell(
        Tone::Notice,
        format!(
            "{own} at a time here, but claims were made with {}; the largest in use holds",
            list.join(", ")
        ),
    )
}

fn waiting(queue: &[&(String, Found)], reader: &Reader<'_>) -> Table {
    let mut rows = Table::new(2);
    for (index, (node, found)) in queue.iter().take(LISTED).enumerate() {
        rows.row([
            plain((index + 1).to_string()),
            plain(node),
            plain(reader.age(found)),
            plain(reasons(found)),
        ]);
    }
    rows
}

fn more(lines: &mut Vec<String>, count: usize, listed: usize) {
    if count > listed {
        let left = count - listed;
        lines.push(format!("  and {left} more (status --json lists all)"));
    }
}

/// Who is asked to reboot and has not yet; nothing when nobody is.
fn requests(lines: &mut Vec<String>, survey: &Survey, now: Timestamp, style: Style) {
    if survey.requests.is_empty() {
        return;
    }
    let count = cell(Tone::Notice, survey.requests.len().to_string());
    lines.extend(headed("Requests ", count, style));
    let mut rows = Table::new(2);
    for (node, request) in survey.requests.iter().take(LISTED) {
        let unseen = matches!(request, Ok(request) if request.boot_id.is_none());
        let unseen = if unseen {
            " (not seen by the node yet)"
        } else {
            ""
        };
        rows.row([
            plain(node),
            plain(format!("{}{unseen}", request_text(request, now))),
        ]);
    }
    lines.extend(rows.lines(style));
    more(lines, survey.requests.len(), LISTED);
}

/// Keys that are no records of this group, so that who looks for a cause sees what is ignored; nothing when there are none.
fn foreign(lines: &mut Vec<String>, survey: &Survey, style: Style) {
    let keys = &survey.foreign;
    if keys.is_empty() {
        return;
    }
    let whose = "ignored: of a tool, or of a group whose lock_key lies below";
    let count = cell(Tone::Notice, format!("{}, {whose}", keys.len()));
    lines.extend(headed("Foreign  ", count, style));
    let mut rows = Table::new(2);
    for key in keys.iter().take(LISTED) {
        rows.row([plain(key)]);
    }
    lines.extend(rows.lines(style));
    more(lines, keys.len(), LISTED);
}

/// What matters first; those with nothing the matter are only counted when they are many.
pub(super) fn members(
    view: &View,
    survey: &Survey,
    now: Timestamp,
    style: Style,
    listed: usize,
) -> Vec<String> {
    const FEW: usize = 6;
    let node_states = node_states(survey, &view.reader(now));
    let fine = node_states
        .iter()
        .filter(|it| it.rank == Rank::Fine)
        .count();
    let few = node_states.len() <= FEW;
    let heading = style.paint(Tone::Heading, "Members");
    let mut lines = vec![match node_states.len() {
        0 => format!("{heading}    none registered yet"),
        count => format!("{heading}    {count}, {fine} with nothing to do"),
    }];
    let told: Vec<&NodeState> = node_states
        .iter()
        .filter(|state| few || state.rank != Rank::Fine)
        .collect();
    let mut rows = Table::new(2);
    for state in told.iter().take(listed) {
        let last = match of_node(&survey.nodes, &state.node) {
            Some(Ok(record)) => rebooted(record, now),
            Some(Err(error)) => error.to_string(),
            None => "not registered".to_owned(),
        };
        rows.row([
            plain(&state.node),
            plain(state.age(now)),
            cell(state.tone, format!("{}; {last}", told_of(state))),
        ]);
    }
    lines.extend(rows.lines(style));
    more(&mut lines, told.len(), listed);
    lines
}

/// The fact without the name that stands before it.
pub(crate) fn told_of(state: &NodeState) -> &str {
    let rest = state.fact.strip_prefix(state.node.as_str());
    rest.map_or(state.fact.as_str(), str::trim_start)
}

fn recent(lines: &mut Vec<String>, recent: &[History], now: Timestamp, style: Style) {
    if recent.is_empty() {
        return;
    }
    lines.push(style.paint(Tone::Heading, "Recent"));
    let mut rows = Table::new(2);
    for entry in recent {
        rows.row([
            plain(ago_text(now, &entry.ended_at)),
            plain(&entry.node),
            outcome(entry),
            plain(ending(entry)),
        ]);
    }
    lines.extend(rows.lines(style));
}

#[cfg(test)]
mod tests;
