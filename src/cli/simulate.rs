//! `simulate`: detectors, and the health script if asked for, once and without etcd.

use std::path::Path;

use serde_json::{Value, json};

use super::exit::Exit;
use super::{complain, print};
use crate::config::{self, Config};
use crate::core::facts::{DetectorReport, DetectorResult, ScriptReport};
use crate::core::{Refusal, judge_detectors};
use crate::detect;
use crate::health::{self, ScriptContext};
use crate::process::Cancel;

/// Runs the detectors of the configuration once.
pub(super) fn simulate(path: &Path, with_health: bool, json: bool) -> Exit {
    let config = match config::load(path) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            complain(&problems.to_string());
            return Exit::InvalidConfiguration;
        }
    };
    let cancel = Cancel::new();
    let env = environment(&config);
    let reports = detect::run_all(&config.detectors, &env, &cancel);
    let health = with_health
        .then(|| health::check(&config.health_script, config.health_timeout, &env, &cancel));
    let verdict = judge_detectors(&reports);
    if json {
        print(&as_json(&reports, health.as_ref(), &verdict).to_string());
    } else {
        print(&as_text(&reports, health.as_ref(), &verdict));
    }
    match (&verdict, &health) {
        (Err(Refusal::Unknown(_)), _) => Exit::DetectorFailed,
        (_, Some(report)) if !report.outcome.success() => Exit::HealthOrPolicy,
        _ => Exit::Done,
    }
}

fn environment(config: &Config) -> Vec<(String, String)> {
    health::environment(&ScriptContext {
        phase: "pre-lock".to_owned(),
        lock_enabled: false,
        ..crate::daemon::script_context(config)
    })
}

fn words(result: &DetectorResult) -> (&'static str, &str) {
    match result {
        DetectorResult::Required(detail) => ("required", detail),
        DetectorResult::Clear => ("clear", ""),
        DetectorResult::Failed(why) => ("failed", why),
    }
}

fn conclusion(verdict: &Result<Vec<String>, Refusal>) -> String {
    match verdict {
        Ok(reasons) => format!("a reboot is required: {}", reasons.join(", ")),
        Err(refusal) => refusal.text(),
    }
}

fn as_text(
    reports: &[DetectorReport],
    health: Option<&ScriptReport>,
    verdict: &Result<Vec<String>, Refusal>,
) -> String {
    let width = reports.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = reports
        .iter()
        .map(|report| {
            let (result, detail) = words(&report.result);
            let took = report.took.as_millis();
            format!(
                "{:<width$}  {result:<8}  {took:>5} ms  {detail}",
                report.name
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    lines.push(conclusion(verdict));
    if let Some(report) = health {
        lines.push(format!(
            "health script: {} after {} ms",
            report.outcome,
            report.took.as_millis()
        ));
        for line in report.stdout.text.lines().chain(report.stderr.text.lines()) {
            lines.push(format!("  | {line}"));
        }
    }
    lines.join("\n")
}

fn as_json(
    reports: &[DetectorReport],
    health: Option<&ScriptReport>,
    verdict: &Result<Vec<String>, Refusal>,
) -> Value {
    let detectors: Vec<Value> = reports
        .iter()
        .map(|report| {
            let (result, detail) = words(&report.result);
            json!({"name": report.name, "result": result, "detail": detail, "duration_ms": report.took.as_millis()})
        })
        .collect();
    let health = health.map(|report| {
        json!({
            "healthy": report.outcome.success(),
            "outcome": report.outcome.to_string(),
            "duration_ms": report.took.as_millis(),
            "stdout": report.stdout.text,
            "stderr": report.stderr.text,
        })
    });
    json!({
        "required": verdict.is_ok(),
        "conclusion": conclusion(verdict),
        "detectors": detectors,
        "health": health,
    })
}
