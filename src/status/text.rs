//! `status` for people.

use std::iter::once;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::View;
use super::describe::{
    committed, cooldown_text, ending, gate_row, holder_row, last, limits, of_node, outcome,
    paused_text, reasons, request_text,
};
use super::domains;
use super::forecast::forecast;
use super::headline::{Part, headline};
use super::node_state::{NodeState, Rank, node_states};
use super::table::{Cell, Tone, cell, paint, plain, table};
use super::times::{ago_text, zone};
use crate::core::Verdict;
use crate::lock::History;
use crate::lock::survey::Survey;

/// How many members and waiting nodes are listed; `--json` has them all.
const LISTED: usize = 20;

/// How many parts of the headline are told before the tables.
pub(super) const TOLD: usize = 4;

/// The whole of it.
pub(crate) fn text(view: &View, now: Timestamp) -> String {
    let mut lines = headline_lines(&headline(view, now), TOLD);
    match &view.survey {
        Ok(survey) => cluster(&mut lines, view, survey, now),
        Err(trouble) => {
            let key = [cell(Tone::Heading, "Cluster"), plain(&view.lock_key)];
            let trouble = [cell(Tone::Heading, "etcd"), cell(Tone::Bad, &trouble.text)];
            lines.extend(table(0, [key, trouble]));
        }
    }
    lines.extend(own_lines(view, &view.gates));
    lines.join("\n")
}

/// This node, gate by gate, after an empty line.
pub(super) fn own_lines(view: &View, gates: &[Verdict]) -> Vec<String> {
    let heading = paint(Tone::Heading, "This node");
    let mut lines = vec![String::new(), format!("{heading}  {}", view.local.node())];
    lines.extend(gate_table(view, gates));
    lines
}

/// The one sentence that somebody on call needs, and what to type; the rows below say more.
pub(super) fn headline_lines(parts: &[Part], told: usize) -> Vec<String> {
    let mut rows: Vec<[Cell; 1]> = parts.iter().take(told).flat_map(part_rows).collect();
    if parts.len() > told {
        rows.push([plain(format!("and {} more below", parts.len() - told))]);
    }
    rows.push([plain("")]);
    table(0, rows)
}

/// A part of the headline, and what to type.
pub(crate) fn part_rows(part: &Part) -> impl Iterator<Item = [Cell; 1]> {
    let typed = |(when, words): &_| [plain(format!("{when} reboot-coordinator {words}"))];
    let fact = [cell(part.tone, &part.fact)];
    once(fact).chain(part.command.as_ref().map(typed))
}

/// The gates of a node, and whether a daemon judges them.
pub(crate) fn gate_table(view: &View, gates: &[Verdict]) -> Vec<String> {
    let (tone, runs, text) = match &view.local.daemon {
        Ok(Some(pid)) => match &view.doubt {
            None => (Tone::Good, "runs", format!("process id {pid}")),
            Some(why) => (Tone::Bad, "runs", format!("process id {pid}: {why}")),
        },
        Err(why) => (Tone::Notice, "unknown", why.clone()),
        Ok(None) => (
            Tone::Notice,
            "none",
            "no daemon runs here (its journal says why, or a timer runs `run --once`)".to_owned(),
        ),
    };
    let daemon = [plain("daemon"), cell(tone, runs), plain(text)];
    table(2, once(daemon).chain(gates.iter().map(gate_row)))
}

/// As wide as the longest of these headings is.
fn headed(text: &str, said: Cell) -> Vec<String> {
    let heading = cell(Tone::Heading, format!("{text:<9}"));
    table(0, [[heading, said]])
}

/// A heading, how many there are, and the first of them; nothing where nothing is said.
fn listed<R: Into<Vec<Cell>>>(
    lines: &mut Vec<String>,
    (text, cell): (&str, Cell),
    rows: impl ExactSizeIterator<Item = R>,
) {
    let count = rows.len();
    if cell.text.is_empty() {
        return;
    }
    lines.extend(headed(text, cell));
    lines.extend(table(2, rows.take(LISTED)));
    more(lines, count, LISTED);
}

fn cluster(lines: &mut Vec<String>, view: &View, survey: &Survey, now: Timestamp) {
    let claims = survey.claims.iter();
    let (holders, queue): (Vec<_>, Vec<_>) = claims.partition(|(_, found)| committed(found));
    let (reader, zone) = (view.reader(now), zone(&view.local.config));
    let version = view.version.as_deref().unwrap_or("?");
    let cluster = plain(format!("{}, etcd {version}", view.lock_key));
    for (name, cell) in [
        ("Cluster", cluster),
        ("Pause", pause(survey, now, &zone)),
        ("Cooldown", cooldown(survey, now, &zone)),
        ("Limit", limit(view, survey)),
        ("Rebooting", amount(holders.len(), "none")),
    ] {
        lines.extend(headed(name, cell));
    }
    let down = holders.iter();
    let down = down.map(|(node, found)| holder_row(node, found, reader.age(found)));
    lines.extend(table(2, down));
    for (number, domain) in domains::in_use(survey).iter().take(LISTED).enumerate() {
        let name = if number == 0 { "Domains" } else { "" };
        let tone = match domain.full() {
            true => Tone::Notice,
            false => Tone::Plain,
        };
        lines.extend(headed(name, cell(tone, domain.text())));
    }
    let waiting = queue.iter().enumerate().map(|(index, (node, found))| {
        let (age, why) = (plain(reader.age(found)), plain(reasons(found)));
        [plain((index + 1).to_string()), plain(node), age, why]
    });
    let head = ("Queue", amount(queue.len(), "empty"));
    listed(lines, head, waiting);
    if let Some(forecast) = forecast(view, None, now) {
        let text = format!("{} left, {}", forecast.left, forecast.text);
        lines.extend(headed("Forecast", plain(text)));
    }
    requests(lines, survey, now);
    foreign(lines, survey);
    let states = node_states(survey, &reader);
    lines.extend(members(survey, &states, now, LISTED));
    recent(lines, &survey.recent, now);
}

fn amount(count: usize, none: &str) -> Cell {
    match count {
        0 => plain(none),
        count => cell(Tone::Notice, count.to_string()),
    }
}

fn pause(survey: &Survey, now: Timestamp, zone: &TimeZone) -> Cell {
    match &survey.pause {
        None => plain("none"),
        Some(pause) => cell(Tone::Bad, paused_text(pause, now, zone)),
    }
}

fn cooldown(survey: &Survey, now: Timestamp, zone: &TimeZone) -> Cell {
    match &survey.cooldown {
        None => plain("none"),
        Some(Ok(cooldown)) => cell(Tone::Notice, cooldown_text(cooldown, now, zone)),
        Some(Err(error)) => cell(Tone::Bad, error.to_string()),
    }
}

/// The limit, and every other one in use while a configuration rolls out.
fn limit(view: &View, survey: &Survey) -> Cell {
    let own = view.local.config.max_concurrent_reboots;
    let others = limits(survey);
    if others.iter().all(|limit| *limit == own) {
        return plain(format!("{own} at a time"));
    }
    let list: Vec<String> = others.iter().map(u32::to_string).collect();
    let list = list.join(", ");
    let text =
        format!("{own} at a time here, but claims were made with {list}; each goes by its own");
    cell(Tone::Notice, text)
}

fn more(lines: &mut Vec<String>, count: usize, listed: usize) {
    if count > listed {
        let left = count - listed;
        lines.push(format!("  and {left} more (status --json lists all)"));
    }
}

/// Who is asked to reboot and has not yet; nothing when nobody is.
fn requests(lines: &mut Vec<String>, survey: &Survey, now: Timestamp) {
    let rows = survey.requests.iter().map(|(node, request)| {
        let unseen = match request {
            Ok(request) if request.boot_id.is_none() => " (not seen by the node yet)",
            _ => "",
        };
        let text = format!("{}{unseen}", request_text(request, now));
        [plain(node), plain(text)]
    });
    let head = ("Requests", amount(rows.len(), ""));
    listed(lines, head, rows);
}

/// Keys that are no records of this group, so that who looks for a cause sees what is ignored; nothing when there are none.
fn foreign(lines: &mut Vec<String>, survey: &Survey) {
    let keys = &survey.foreign;
    if keys.is_empty() {
        return;
    }
    let whose = "ignored: of a tool, or of a group whose lock_key lies below";
    let count = cell(Tone::Notice, format!("{}, {whose}", keys.len()));
    let rows = keys.iter().map(|key| [plain(key)]);
    listed(lines, ("Foreign", count), rows);
}

/// What matters first; those with nothing the matter are only counted when they are many.
pub(super) fn members(
    survey: &Survey,
    states: &[NodeState],
    now: Timestamp,
    listed: usize,
) -> Vec<String> {
    const FEW: usize = 6;
    let heading = paint(Tone::Heading, "Members");
    let mut lines = vec![format!("{heading}    {}", counted(states))];
    let all = states.len() <= FEW;
    let states = states.iter().filter(|it| all || it.rank != Rank::Fine);
    let states: Vec<&NodeState> = states.collect();
    let rows = states.iter().take(listed).map(|state| {
        let last = last(of_node(&survey.nodes, &state.node), now).text;
        let text = cell(state.rank.tone(), format!("{}; {last}", told_of(state)));
        [plain(&state.node), plain(state.age(now)), text]
    });
    lines.extend(table(2, rows));
    more(&mut lines, states.len(), listed);
    lines
}

/// How many members there are, in words.
pub(crate) fn counted(states: &[NodeState]) -> String {
    let fine = states.iter().filter(|it| it.rank == Rank::Fine).count();
    match states.len() {
        0 => "none registered yet".to_owned(),
        count => format!("{count}, {fine} with nothing to do"),
    }
}

/// The fact without the name that stands before it.
pub(crate) fn told_of(state: &NodeState) -> &str {
    let rest = state.fact.strip_prefix(state.node.as_str());
    rest.map_or(state.fact.as_str(), str::trim_start)
}

fn recent(lines: &mut Vec<String>, recent: &[History], now: Timestamp) {
    if recent.is_empty() {
        return;
    }
    lines.push(paint(Tone::Heading, "Recent"));
    let rows = recent.iter().map(|entry| {
        let (ended, why) = (ago_text(now, &entry.ended_at), ending(entry));
        [plain(ended), plain(&entry.node), outcome(entry), plain(why)]
    });
    lines.extend(table(2, rows));
}

#[cfg(test)]
mod tests;
