//! `validate-config`: everything that can be known from files.

use std::path::Path;

use serde_json::{Value, json};

use super::exit::Exit;
use super::{complain, print};
use crate::config::{self, Config, Loaded, Problem};
use crate::lock::Keys;

/// Checks the configuration and says what it found.
pub(super) fn validate_config(path: &Path, json: bool) -> Exit {
    match config::load(path) {
        Ok(loaded) if json => {
            print(&report(true, &[], &loaded.warnings).to_string());
            Exit::Done
        }
        Ok(loaded) => {
            print(&summary(&loaded));
            Exit::Done
        }
        Err(problems) => {
            if json {
                print(&report(false, &problems.0, &[]).to_string());
            } else {
                complain(&problems.to_string());
            }
            Exit::InvalidConfiguration
        }
    }
}

fn report(valid: bool, problems: &[Problem], warnings: &[Problem]) -> Value {
    let list = |problems: &[Problem]| problems.iter().map(as_json).collect::<Vec<_>>();
    json!({ "valid": valid, "problems": list(problems), "warnings": list(warnings) })
}

fn as_json(problem: &Problem) -> Value {
    json!({ "file": problem.file, "line": problem.line, "field": problem.path, "message": problem.message })
}

fn summary(loaded: &Loaded) -> String {
    let mut lines: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .collect();
    lines.push("configuration is valid".to_owned());
    let files: Vec<String> = loaded
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    lines.push(format!("  files      {}", files.join(", ")));
    lines.extend(facts(&loaded.config));
    if loaded.config.dry_run {
        lines.push("  dry_run    is on: this node will not reboot".to_owned());
    }
    lines.join("\n")
}

/// What an operator wants to see at a glance. No secret is among the fields of a configuration.
fn facts(config: &Config) -> Vec<String> {
    let detectors: Vec<&str> = config
        .detectors
        .iter()
        .map(|detector| detector.name.as_str())
        .collect();
    let limit = match config.max_concurrent_reboots {
        1 => "one node at a time".to_owned(),
        limit => format!("up to {limit} nodes at a time"),
    };
    let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
    let mut facts = vec![
        format!("  node       {}", config.node_name),
        format!("  lock       {}, {limit}", keys.prefix()),
        format!("  etcd       {}", config.etcd.endpoints.join(", ")),
        format!("  detectors  {}", detectors.join(", ")),
        format!("  health     {}", config.health_script.display()),
    ];
    if let Some(windows) = &config.windows {
        let entries = |title: &str, texts: Vec<&str>| {
            if texts.is_empty() {
                String::new()
            } else {
                format!("; {title} {}", texts.join(" | "))
            }
        };
        let (deny, allow) = (
            entries("deny", windows.deny().collect()),
            entries("allow", windows.allow().collect()),
        );
        facts.push(format!(
            "  windows    {} time{deny}{allow}",
            windows.timezone()
        ));
    }
    facts
}
