//! `simulate`: detectors, and the health script if asked for, once and without etcd.

use std::path::Path;

use serde_json::{Value, json};

use super::cluster::{invalid, loaded};
use super::exit::Exit;
use super::output::print;
use crate::config::variables::environment;
use crate::core::facts::{DetectorReport, ScriptReport};
use crate::core::{Refusal, judge_detectors};
use crate::detect;
use crate::escape::line;
use crate::process::Cancel;
use crate::scripts;

/// Runs the detectors of the configuration once.
pub(super) fn simulate(path: &Path, with_health: bool, json: bool) -> Result<Exit, Exit> {
    let config = loaded(path, invalid)?.config;
    let cancel = Cancel::new();
    let env = environment(&config, "pre-lock", None);
    let reports = detect::run_all(&config.detectors, &env, &cancel);
    let health = with_health
        .then(|| scripts::check(&config.health_script, config.health_timeout, &env, &cancel));
    let verdict = judge_detectors(&reports);
    print(&match json {
        true => as_json(&reports, health.as_ref(), &verdict).to_string(),
        false => as_text(&reports, health.as_ref(), &verdict),
    });
    Ok(match (&verdict, &health) {
        (Err(Refusal::Unknown(_)), _) => Exit::DETECTOR_FAILED,
        (_, Some(report)) if !report.outcome.success() => Exit::HEALTH,
        _ => Exit::DONE,
    })
}

/// What requires a reboot, or why none is required.
type Verdict = Result<Vec<String>, Refusal>;

fn conclusion(verdict: &Verdict) -> String {
    match verdict {
        Ok(reasons) => format!("a reboot is required: {}", reasons.join(", ")),
        Err(refusal) => refusal.text(),
    }
}

fn as_text(reports: &[DetectorReport], health: Option<&ScriptReport>, verdict: &Verdict) -> String {
    let width = reports.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for report in reports {
        let (name, took) = (&report.name, report.took.as_millis());
        let (result, detail) = report.result.words();
        let text = format!("{name:<width$}  {result:<8}  {took:>5} ms  {detail}");
        lines.push(text.trim_end().to_owned());
    }
    lines.push(conclusion(verdict));
    if let Some(report) = health {
        let (outcome, took) = (&report.outcome, report.took.as_millis());
        lines.push(format!("health script: {outcome} after {took} ms"));
        for (name, output) in [("output", &report.stdout), ("errors", &report.stderr)] {
            let printed = output.text.lines();
            lines.extend(printed.map(|text| format!("  | {}", line(text))));
            if output.dropped > 0 {
                let bytes = output.dropped;
                lines.push(format!("  (its {name} was cut at …: {bytes} bytes)"));
            }
        }
    }
    lines.join("\n")
}

fn as_json(reports: &[DetectorReport], health: Option<&ScriptReport>, verdict: &Verdict) -> Value {
    let detectors = reports.iter().map(|report| {
        let (result, detail) = report.result.words();
        json!({"name": report.name, "result": result, "detail": detail, "duration_ms": report.took.as_millis()})
    });
    let health = health.map(|report| {
        json!({
            "healthy": report.outcome.success(),
            "outcome": report.outcome.to_string(),
            "duration_ms": report.took.as_millis(),
            "stdout": report.stdout.text,
            "stderr": report.stderr.text,
            "stdout_cut_bytes": report.stdout.dropped,
            "stderr_cut_bytes": report.stderr.dropped,
        })
    });
    json!({
        "required": verdict.is_ok(),
        "conclusion": conclusion(verdict),
        "detectors": detectors.collect::<Vec<_>>(),
        "health": health,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::{Captured, ScriptOutcome};
    use std::time::Duration;

    #[test]
    fn what_a_script_prints_is_cleaned_and_said_to_be_cut() {
        let captured = |text: &str, dropped| Captured {
            text: text.to_owned(),
            dropped,
        };
        let report = ScriptReport {
            outcome: ScriptOutcome::Exited(1),
            took: Duration::from_millis(3),
            stdout: captured("fine\n\u{1b}]0;owned\u{7}\u{1b}[31mred\rover\n", 7),
            stderr: captured("why\n", 0),
        };
        let text = as_text(&[], Some(&report), &Ok(vec!["kernel".to_owned()]));
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r']), "{text:?}");
        assert!(text.contains("  | fine\n  | "), "{text}");
        assert!(text.contains("red"), "{text}");
        assert!(
            text.contains("  (its output was cut at …: 7 bytes)"),
            "{text}"
        );
        assert!(text.ends_with("  | why"), "{text}");
        let json = as_json(&[], Some(&report), &Ok(Vec::new()));
        assert_eq!(json["health"]["stdout_cut_bytes"], 7);
        assert_eq!(json["health"]["stderr_cut_bytes"], 0);
    }
}
