//! `status --watch`: what fits a terminal, so that the headline never scrolls away.

use jiff::Timestamp;

use super::View;
use super::headline::headline;
use super::node_state::node_states;
use super::text::{TOLD, headline_lines, members, own_lines, text};
use crate::escape::uncoloured;

/// A terminal, in rows and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Size {
    /// A line that is too long takes more than one row.
    pub(crate) fn fits(self, text: &str) -> bool {
        let text = uncoloured(text);
        let rows = |line: &str| line.chars().count().div_ceil(self.columns.max(1)).max(1);
        text.lines().map(rows).sum::<usize>() <= self.rows
    }
}

/// What more there is.
const MORE: &str = "More: a higher terminal, or `reboot-coordinator status`.";

/// Not more than fits. All of it where there is room; else the headline, then the members, those first that matter most, and then
/// what blocks this node.
pub(super) fn screen(view: &View, now: Timestamp, size: Size) -> String {
    let all = text(view, now);
    if size.fits(&all) {
        return all;
    }
    let parts = headline(view, now);
    let states = view
        .known()
        .map(|survey| (survey, node_states(survey, &view.reader(now))));
    let shown = |told: usize, listed: usize| {
        let mut lines = headline_lines(&parts, told);
        if let Some((survey, states)) = states.as_ref().filter(|_| listed > 0) {
            lines.extend(members(survey, states, now, listed));
        }
        lines
    };
    let whole = |lines: &[String]| format!("{}\n{MORE}", lines.join("\n"));
    let fits = |lines: &Vec<String>| size.fits(&whole(lines));
    let listed = (1..=size.rows).rev().map(|listed| shown(TOLD, listed));
    let told = (1..=TOLD).rev().map(|told| shown(told, 0));
    let mut tries = listed.chain(told);
    let mut lines = tries.find(fits).unwrap_or_else(|| shown(1, 0));
    let blocks = view.gates.iter().filter(|gate| gate.blocks()).cloned();
    let own = own_lines(view, &blocks.collect::<Vec<_>>());
    let with_own = [lines.clone(), own].concat();
    if fits(&with_own) {
        lines = with_own;
    }
    while !fits(&lines) && lines.len() > 1 {
        lines.pop();
    }
    match fits(&lines) {
        true => whole(&lines),
        false => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::lock::survey::{Said, Survey};
    use crate::status::fixtures::{found, local, member, now, view};

    /// Sixty nodes: one is down, some wait, some are ill, most are well.
    fn fleet() -> Survey {
        let name = |n: usize| format!("node-{n:02}");
        let said = |n: usize| Said {
            healthy: Some(n < 50),
            reason: (n >= 50).then(|| "exit code 1: disk sda1 is full".to_owned()),
            since: None,
        };
        Survey {
            claims: (0..12)
                .map(|n| {
                    let phase = if n == 0 {
                        Phase::Rebooting
                    } else {
                        Phase::Queued
                    };
                    found(&name(n), phase, n as i64 + 1, "11:00")
                })
                .collect(),
            nodes: (0..60).map(|n| member(&name(n), None, 0)).collect(),
            reports: (0..60).map(|n| (name(n), said(n))).collect(),
            ..Survey::default()
        }
    }

    fn of(rows: usize, columns: usize) -> Size {
        Size { rows, columns }
    }

    /// Six of which one is down: where there is room after them, this node follows.
    #[test]
    fn this_node_is_shown_where_there_is_room() {
        let mut survey = fleet();
        survey.nodes.truncate(6);
        survey.claims.truncate(6);
        survey.reports.truncate(6);
        let view = view(local(), survey);
        let shown = uncoloured(&screen(&view, now(), of(24, 80)));
        assert!(shown.contains("This node  node-c"), "{shown}");
        assert!(shown.contains("turn    blocks"), "{shown}");
        let shown = uncoloured(&screen(&view, now(), of(12, 80)));
        assert!(!shown.contains("This node"), "{shown}");
    }

    #[test]
    fn the_headline_and_what_matters_fit_every_terminal() {
        let view = view(local(), fleet());
        let whole = uncoloured(&text(&view, now()));
        for (rows, columns) in [2, 5, 10, 23, 39, 60]
            .map(|rows| [(rows, 80), (rows, 40)])
            .concat()
        {
            let coloured = screen(&view, now(), of(rows, columns));
            let shown = uncoloured(&coloured);
            let taken = shown
                .lines()
                .map(|line| line.len().div_ceil(columns).max(1));
            assert!(taken.sum::<usize>() <= rows, "{rows} {columns}:\n{shown}");
            assert_eq!(coloured.lines().count(), shown.lines().count());
            assert_eq!(shown.lines().next(), whole.lines().next(), "{rows}");
        }
        let shown = uncoloured(&screen(&view, now(), of(23, 80)));
        let at = |text: &str| {
            shown
                .find(text)
                .unwrap_or_else(|| panic!("{text}:\n{shown}"))
        };
        assert!(at("has not come back") < at("release node-00"));
        assert!(at("60, 38 with nothing to do") < at("  node-01"), "{shown}");
        assert!(
            !shown.contains("node-20"),
            "those that are well are counted\n{shown}"
        );
        assert!(shown.lines().last().unwrap().starts_with("More: "));
        let high = uncoloured(&screen(&view, now(), of(500, 80)));
        assert_eq!(high, whole);
    }
}
