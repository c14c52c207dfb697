//! `status --watch`: what fits a terminal, so that the headline never scrolls away.

use jiff::Timestamp;

use super::View;
use super::table::Style;
use super::text::{TOLD, headline_lines, members, text};

/// At most so many lines. All of it where there is room; else the headline, and then the members, those first that matter most.
pub(super) fn screen(view: &View, now: Timestamp, style: Style, room: usize) -> String {
    let all = text(view, now, style);
    if all.lines().count() <= room {
        return all;
    }
    // A line is left to say that there is more.
    let room = room.saturating_sub(1);
    let shown = |told: usize, listed: usize| {
        let mut lines = headline_lines(view, now, style, told);
        if let Some(survey) = view.known().filter(|_| listed > 0) {
            lines.extend(members(view, survey, now, style, listed));
        }
        lines
    };
    let mut tries = (1..=room).rev().map(|listed| (TOLD, listed));
    let fits = |(told, listed)| Some(shown(told, listed)).filter(|lines| lines.len() <= room);
    let mut lines = tries
        .find_map(fits)
        .or_else(|| (1..=TOLD).rev().find_map(|told| fits((told, 0))))
        .unwrap_or_else(|| shown(1, 0));
    lines.truncate(room);
    lines.push("More: a higher terminal, or `reboot-coordinator status`.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::lock::survey::{Said, Survey};
    use crate::status::fixtures::{found, local, member, now, view};

    const PLAIN: Style = Style { colour: false };

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

    #[test]
    fn the_headline_and_what_matters_fit_every_terminal() {
        let view = view(local(), fleet());
        let whole = text(&view, now(), PLAIN);
        for rows in [2, 5, 10, 23, 39, 60] {
            let shown = screen(&view, now(), PLAIN, rows);
            assert!(shown.lines().count() <= rows, "{rows}:\n{shown}");
            assert_eq!(shown.lines().next(), whole.lines().next(), "{rows}");
        }
        let shown = screen(&view, now(), PLAIN, 23);
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
        let high = screen(&view, now(), PLAIN, 500);
        assert_eq!(high, whole);
    }
}
