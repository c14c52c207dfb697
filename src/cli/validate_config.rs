//! `validate-config`: everything that can be known from files.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::cluster::{invalid, loaded};
use super::exit::Exit;
use super::output::print;
use crate::config::Loaded;
use crate::core::windows::Windows;
use crate::escape::line;
use crate::lock::Keys;
use crate::status::times::clock;

/// Checks the configuration and says what it found.
pub(super) fn validate_config(path: &Path, openings: usize, json: bool) -> Result<Exit, Exit> {
    let loaded = loaded(path, |problems| {
        if json {
            let report = json!({ "valid": false, "problems": problems.0, "warnings": [] });
            print(&report.to_string());
            return Exit::INVALID_CONFIGURATION;
        }
        invalid(problems)
    })?;
    let (windows, now) = (loaded.config.windows.as_ref(), Timestamp::now());
    if json {
        let mut report = json!({ "valid": true, "problems": [], "warnings": loaded.warnings });
        if let Some(windows) = windows.filter(|_| openings > 0) {
            let opening = |(start, end): (Timestamp, Option<Timestamp>)| json!({"start": start.to_string(), "end": end.map(|end| end.to_string())});
            report["openings"] = windows.openings(now).take(openings).map(opening).collect();
        }
        print(&report.to_string());
        return Ok(Exit::DONE);
    }
    print(&summary(&loaded));
    if openings > 0 {
        print(&upcoming(windows, openings, now));
    }
    Ok(Exit::DONE)
}

fn summary(loaded: &Loaded) -> String {
    let warnings = loaded.warnings.iter();
    let mut lines: Vec<String> = warnings.map(|it| format!("warning: {it}")).collect();
    lines.push("configuration is valid".to_owned());
    let facts = facts(loaded).into_iter();
    lines.extend(facts.map(|(name, text)| format!("  {name:<9}  {}", line(&text))));
    lines.join("\n")
}

/// What an operator wants to see at a glance. No secret is among the fields of a configuration.
fn facts(loaded: &Loaded) -> Vec<(&'static str, String)> {
    let config = &loaded.config;
    let files = loaded.files.iter().map(|file| file.display().to_string());
    let detectors = config.detectors.iter().map(|it| it.name.as_str());
    let limit = match config.max_concurrent_reboots {
        1 => "one node at a time".to_owned(),
        limit => format!("up to {limit} nodes at a time"),
    };
    let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
    let mut facts = vec![
        ("files", files.collect::<Vec<_>>().join(", ")),
        ("node", config.node_name.clone()),
        ("lock", format!("{}, {limit}", keys.prefix())),
        ("etcd", config.etcd.endpoints.join(", ")),
        ("detectors", detectors.collect::<Vec<_>>().join(", ")),
        ("health", config.health_script.display().to_string()),
    ];
    for (label, limit) in &config.domains.limits {
        let value = config.domains.labels.get(label).map_or("", String::as_str);
        facts.push(("domain", format!("{label} {value}, {limit} at a time")));
    }
    if let Some(windows) = &config.windows {
        let mut text = format!("{} time", windows.timezone());
        let (deny, allow): (Vec<_>, Vec<_>) = (windows.deny().collect(), windows.allow().collect());
        for (title, entries) in [("deny", deny), ("allow", allow)] {
            if !entries.is_empty() {
                text = format!("{text}; {title} {}", entries.join(" | "));
            }
        }
        facts.push(("windows", text));
    }
    if config.dry_run {
        facts.push(("dry_run", "is on: this node will not reboot".to_owned()));
    }
    facts
}

/// The next openings, as the clock in the windows' zone shows them.
fn upcoming(windows: Option<&Windows>, openings: usize, now: Timestamp) -> String {
    let Some(windows) = windows else {
        return "no windows are set: a reboot may begin at any time".to_owned();
    };
    let mut lines = vec![format!("the next openings ({})", windows.timezone())];
    for (start, end) in windows.openings(now).take(openings) {
        let from = clock(start, windows.zone());
        let begun = if start == now { " (open now)" } else { "" };
        lines.push(match end {
            Some(end) => {
                let minutes = end.duration_since(start).as_secs() / 60;
                let (hours, minutes) = (minutes / 60, minutes % 60);
                let until = clock(end, windows.zone());
                format!("  {from} to {until}, {hours} h {minutes:02} min{begun}")
            }
            None => format!("  {from}, without an end{begun}"),
        });
    }
    match lines.len() {
        1 => format!("no window opens any more ({})", windows.timezone()),
        _ => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_shown_by_the_clock_of_their_zone_with_their_length() {
        let windows = |deny: &[&str], allow: &[&str]| {
            let texts = |entries: &[&str]| {
                entries
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()
            };
            Windows::parse("Europe/Berlin", &texts(deny), &texts(allow)).unwrap()
        };
        let now: Timestamp = "2026-10-24T23:00:00Z".parse().unwrap();
        // The night in which the clock goes back.
        let shown = upcoming(Some(&windows(&[], &["Sun 00:30-03:30"])), 2, now);
        assert_eq!(
            shown,
            "the next openings (Europe/Berlin)\n  Sun 2026-10-25 01:00 CEST to Sun 2026-10-25 03:30 CET, 3 h 30 min (open now)\n  Sun 2026-11-01 00:30 CET to Sun 2026-11-01 03:30 CET, 3 h 00 min"
        );
        let never = windows(&["* 00:00-24:00"], &[]);
        assert_eq!(
            upcoming(Some(&never), 3, now),
            "no window opens any more (Europe/Berlin)"
        );
        let over = windows(&["2026-10-01 00:00-2026-10-25 02:00"], &[]);
        assert!(
            upcoming(Some(&over), 3, now).ends_with("Sun 2026-10-25 02:00 CEST, without an end")
        );
        assert!(upcoming(None, 3, now).starts_with("no windows are set"));
    }
}
