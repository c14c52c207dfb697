//! The parts of the page that are tables.

use jiff::Timestamp;

use super::html::Html;
use crate::core::{Verdict, Word};
use crate::lock::survey::Survey;
use crate::status::View;
use crate::status::describe::{
    by_node, committed, ending, gate_row, holder_row, last, outcome, reasons, request_text,
};
use crate::status::node_state::node_states;
use crate::status::table::{Cell, Tone, cell, plain};
use crate::status::text::{counted, told_of};
use crate::status::times::ago_text;

/// How many rows a table has; the commands list all.
const LISTED: usize = 200;

/// A heading that may say how many rows there are, and these, when there are any. The first column names the row; columns marked
/// with `-` are for wide screens.
fn table<R: Into<Vec<Cell>>>(
    title: impl FnOnce(usize) -> String,
    columns: &[&str],
    rows: impl Iterator<Item = R>,
) -> String {
    let rows: Vec<Vec<Cell>> = rows.map(Into::into).collect();
    let mut html = Html::default();
    html.raw("<h2>").text(&title(rows.len())).raw("</h2>");
    if rows.is_empty() {
        return html.0;
    }
    html.raw("<table><thead><tr>");
    for column in columns {
        match column.strip_prefix('-') {
            Some(wide) => html.raw("<th scope=\"col\" class=\"wide\">").text(wide),
            None => html.raw("<th scope=\"col\">").text(column),
        }
        .raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for row in rows.iter().take(LISTED) {
        html.raw("<tr>");
        for (index, (cell, column)) in row.iter().zip(columns).enumerate() {
            let (open, close) = match index {
                0 => ("<th scope=\"row\">", "</th>"),
                _ if column.starts_with('-') => ("<td class=\"wide\">", "</td>"),
                _ => ("<td>", "</td>"),
            };
            html.raw(open).toned(cell.tone, &cell.text).raw(close);
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table>");
    if rows.len() > LISTED {
        html.raw("<p>and ").raw(&(rows.len() - LISTED).to_string());
        html.raw(" more (<code>reboot-coordinator status --json</code> lists all)</p>");
    }
    html.0
}

/// A heading with how many there are, or that there are none.
fn amount(what: &str, count: usize, none: &str) -> String {
    match count {
        0 => format!("{what}: {none}"),
        count => format!("{what}: {count}"),
    }
}

/// Who is between the commit and a proven return.
pub(crate) fn down(survey: &Survey, view: &View, now: Timestamp) -> String {
    let reader = view.reader(now);
    let down = survey.claims.iter().filter(|(_, found)| committed(found));
    let rows = down.map(|(node, found)| {
        let mut row = holder_row(node, found, reader.age(found));
        let tone = match reader.is_late(found) {
            true => Tone::Bad,
            false => Tone::Notice,
        };
        (row[1].tone, row[2].tone) = (tone, tone);
        row
    });
    let title = |count| amount("Rebooting", count, "nobody");
    table(title, &["Node", "Phase", "For", "Why"], rows)
}

/// Who waits, first come first.
pub(crate) fn queue(survey: &Survey, view: &View, now: Timestamp) -> String {
    let reader = view.reader(now);
    let waiting = survey.claims.iter().filter(|(_, found)| !committed(found));
    let rows = waiting.zip(1_usize..).map(|((node, found), place)| {
        let (age, why) = (plain(reader.age(found)), plain(reasons(found)));
        [plain(node), plain(place.to_string()), age, why]
    });
    let title = |count| amount("Queue", count, "empty");
    table(title, &["Node", "Place", "Waits for", "Why"], rows)
}

/// Whose reboot is requested; nothing when nobody's is.
pub(crate) fn requests(survey: &Survey, now: Timestamp) -> String {
    if survey.requests.is_empty() {
        return String::new();
    }
    let requests = survey.requests.iter();
    let rows = requests.map(|(node, it)| [plain(node), plain(request_text(it, now))]);
    let title = |count| amount("Requests", count, "");
    table(title, &["Node", "Requested"], rows)
}

/// The members; what matters comes first.
pub(crate) fn members(survey: &Survey, view: &View, now: Timestamp) -> String {
    let states = node_states(survey, &view.reader(now));
    let records = by_node(&survey.nodes);
    let rows = states.iter().map(|state| {
        let record = records.get(state.node.as_str()).copied();
        let version = record.and_then(|it| Some(it.as_ref().ok()?.version.as_str()));
        [
            plain(&state.node),
            cell(state.rank.tone(), told_of(state)),
            plain(state.age(now)),
            last(record, now),
            plain(version.unwrap_or("?")),
        ]
    });
    let title = |_| format!("Members: {}", counted(&states));
    let columns = ["Node", "What", "-For", "-Last reboot", "-Version"];
    table(title, &columns, rows)
}

/// The last attempts that ended.
pub(crate) fn recent(survey: &Survey, now: Timestamp) -> String {
    let rows = survey.recent.iter().map(|entry| {
        let (ended, why) = (ago_text(now, &entry.ended_at), ending(entry));
        [plain(&entry.node), plain(ended), outcome(entry), plain(why)]
    });
    let title = |count| match count {
        0 => "Last reboots: none in 30 days".to_owned(),
        _ => "Last reboots".to_owned(),
    };
    table(title, &["Node", "Ended", "Outcome", "Why"], rows)
}

/// The node whose page this is, and what of its gates can be seen from outside of a pass.
pub(crate) fn node(view: &View) -> String {
    let asked = |gate: &&Verdict| gate.verdict != Word::NotAsked;
    let rows = view.gates.iter().filter(asked).map(gate_row);
    let text = view.own().map_or("", |own| own.text.as_str());
    let title = |_| format!("{}: {text}", view.local.node());
    table(title, &["Gate", "Verdict", "Why"], rows)
}
