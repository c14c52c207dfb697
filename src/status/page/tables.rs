//! The parts of the page that are tables.

use jiff::Timestamp;

use super::html::Html;
use crate::core::Word;
use crate::lock::survey::Survey;
use crate::status::View;
use crate::status::describe::{
    by_node, committed, ending, outcome_tone, phase, reasons, rebooted, request_text,
};
use crate::status::node_state::{Rank, node_states};
use crate::status::table::Tone;
use crate::status::text::{gate_tone, told_of};
use crate::status::times::ago_text;

/// How many rows a table has; the commands list all.
const LISTED: usize = 200;

type Cells = Vec<(Tone, String)>;

/// A heading and, when there are rows, a table. The first column names the row; columns marked with `-` are for wide screens.
fn table(title: &str, columns: &[&str], rows: &[Cells]) -> String {
    let mut html = Html::new();
    html.raw("<h2>").text(title).raw("</h2>");
    if rows.is_empty() {
        return html.done();
    }
    html.raw("<table><thead><tr>");
    for column in columns {
        let wide = if column.starts_with('-') {
            " class=\"wide\""
        } else {
            ""
        };
        html.raw("<th scope=\"col\"")
            .raw(wide)
            .raw(">")
            .text(column.trim_start_matches('-'))
            .raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for row in rows.iter().take(LISTED) {
        html.raw("<tr>");
        for (index, ((tone, words), column)) in row.iter().zip(columns).enumerate() {
            let (open, close) = match index {
                0 => ("<th scope=\"row\">", "</th>"),
                _ if column.starts_with('-') => ("<td class=\"wide\">", "</td>"),
                _ => ("<td>", "</td>"),
            };
            html.raw(open).toned(*tone, words).raw(close);
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table>");
    if rows.len() > LISTED {
        html.raw("<p>and ").raw(&(rows.len() - LISTED).to_string());
        html.raw(" more (<code>reboot-coordinator status --json</code> lists all)</p>");
    }
    html.done()
}

fn plain(words: impl Into<String>) -> (Tone, String) {
    (Tone::Plain, words.into())
}

/// Who is between the commit and a proven return.
pub(crate) fn down(survey: &Survey, view: &View, now: Timestamp) -> String {
    let reader = view.reader(now);
    let down = survey.claims.iter().filter(|(_, found)| committed(found));
    let rows: Vec<Cells> = down
        .map(|(node, found)| {
            let tone = if reader.is_late(found) {
                Tone::Bad
            } else {
                Tone::Notice
            };
            vec![
                plain(node),
                (tone, phase(found).to_owned()),
                (tone, reader.age(found)),
                plain(reasons(found)),
            ]
        })
        .collect();
    let title = match rows.len() {
        0 => "Rebooting: nobody".to_owned(),
        count => format!("Rebooting: {count}"),
    };
    table(&title, &["Node", "Phase", "For", "Why"], &rows)
}

/// Who waits, first come first.
pub(crate) fn queue(survey: &Survey, view: &View, now: Timestamp) -> String {
    let reader = view.reader(now);
    let waiting = survey.claims.iter().filter(|(_, found)| !committed(found));
    let rows: Vec<Cells> = waiting
        .enumerate()
        .map(|(index, (node, found))| {
            vec![
                plain(node),
                plain((index + 1).to_string()),
                plain(reader.age(found)),
                plain(reasons(found)),
            ]
        })
        .collect();
    let title = match rows.len() {
        0 => "Queue: empty".to_owned(),
        count => format!("Queue: {count}"),
    };
    table(&title, &["Node", "Place", "Waits for", "Why"], &rows)
}

/// Whose reboot is requested; nothing when nobody's is.
pub(crate) fn requests(survey: &Survey, now: Timestamp) -> String {
    let rows: Vec<Cells> = survey
        .requests
        .iter()
        .map(|(node, request)| vec![plain(node), plain(request_text(request, now))])
        .collect();
    match rows.len() {
        0 => String::new(),
        count => table(&format!("Requests: {count}"), &["Node", "Requested"], &rows),
    }
}

/// The members; what matters comes first.
pub(crate) fn members(survey: &Survey, view: &View, now: Timestamp) -> String {
    let node_states = node_states(survey, &view.reader(now));
    let fine = node_states
        .iter()
        .filter(|it| it.rank == Rank::Fine)
        .count();
    let records = by_node(&survey.nodes);
    let rows: Vec<Cells> = node_states
        .iter()
        .map(|state| {
            let (last, version) = match records.get(state.node.as_str()) {
                Some(Ok(record)) => (plain(rebooted(record, now)), record.version.clone()),
                Some(Err(error)) => ((Tone::Bad, error.to_string()), "?".to_owned()),
                None => (plain("not registered"), "?".to_owned()),
            };
            vec![
                plain(&state.node),
                (state.tone, told_of(state).to_owned()),
                plain(state.age(now)),
                last,
                plain(version),
            ]
        })
        .collect();
    let title = match rows.len() {
        0 => "Members: none registered yet".to_owned(),
        count => format!("Members: {count}, {fine} with nothing to do"),
    };
    table(
        &title,
        &["Node", "What", "-For", "-Last reboot", "-Version"],
        &rows,
    )
}

/// The last attempts that ended.
pub(crate) fn recent(survey: &Survey, now: Timestamp) -> String {
    let rows: Vec<Cells> = survey
        .recent
        .iter()
        .map(|entry| {
            let outcome = (outcome_tone(entry), entry.outcome.clone());
            vec![
                plain(&entry.node),
                plain(ago_text(now, &entry.ended_at)),
                outcome,
                plain(ending(entry)),
            ]
        })
        .collect();
    let title = if rows.is_empty() {
        "Last reboots: none in 30 days"
    } else {
        "Last reboots"
    };
    table(title, &["Node", "Ended", "Outcome", "Why"], &rows)
}

/// The node whose page this is, and what of its gates can be seen from outside of a pass.
pub(crate) fn node(view: &View) -> String {
    let gates = view
        .gates
        .iter()
        .filter(|gate| gate.verdict != Word::NotAsked);
    let rows: Vec<Cells> = gates
        .map(|gate| {
            let tone = gate_tone(gate);
            vec![
                plain(&gate.gate),
                (tone, gate.verdict.as_str().to_owned()),
                plain(&gate.text),
            ]
        })
        .collect();
    let text = view.own.as_ref().map_or("", |own| own.text.as_str());
    table(
        &format!("{}: {text}", view.local.node),
        &["Gate", "Verdict", "Why"],
        &rows,
    )
}
