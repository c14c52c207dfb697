//! What the program names, its documents name, and the reverse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use reboot_coordinator::config::{self, variables::environment};
use reboot_coordinator::core::Refusal;
use reboot_coordinator::core::facts::HealthPhase;
use reboot_coordinator::core::io::ScriptFacts;
use reboot_coordinator::observe::metrics::Metrics;
use serde_json::Value;

use crate::{collect, read, root};

/// What stands between backquotes in the first column of a document's tables.
fn first_column(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    cells.flat_map(quoted).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').enumerate();
    parts
        .filter(|(at, _)| at % 2 == 1)
        .map(|(_, it)| it.to_owned())
        .collect()
}

/// A document's part below a heading, up to the next one of the same depth or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let depth = heading.chars().take_while(|c| *c == '#').count();
    let start = text
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let body = &text[start + heading.len() + 2..];
    let ends = (1..=depth).filter_map(|depth| body.find(&format!("\n{} ", "#".repeat(depth))));
    &body[..ends.min().unwrap_or(body.len())]
}

fn same(what: &str, named: &BTreeSet<String>, exist: &BTreeSet<String>) {
    let missing: Vec<&String> = exist.difference(named).collect();
    assert!(missing.is_empty(), "{what}: not documented: {missing:?}");
    let gone: Vec<&String> = named.difference(exist).collect();
    assert!(
        gone.is_empty(),
        "{what}: documented, but not there: {gone:?}"
    );
}

/// The sources that run, without tests.
fn sources() -> String {
    let mut files = Vec::new();
    collect(&root().join("src"), "rs", &mut files);
    let of_tests =
        |path: &std::path::PathBuf| path.components().any(|it| it.as_os_str() == "tests");
    files.retain(|path| !of_tests(path) && !path.ends_with("tests.rs"));
    let texts = files.iter().map(|path| {
        let text = read(path);
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let lines = text[..end].lines();
        let code: Vec<&str> = lines
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        code.join("\n")
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The text in quotes that follows each occurrence of a mark, with nothing but spaces between.
fn after(text: &str, mark: &str) -> BTreeSet<String> {
    let places = text.match_indices(mark);
    let found = places.filter_map(|(at, _)| {
        let rest = text[at + mark.len()..].trim_start().strip_prefix('"')?;
        Some(rest.split('"').next()?.to_owned())
    });
    found.collect()
}

#[test]
fn every_event_of_the_log_is_documented() {
    let sources = sources();
    let marks = [
        "Note::info(",
        "Note::warn(",
        "Note::error(",
        "Note::debug(",
        "event =",
        "log_script(",
        "spawn_script(ticket,",
    ];
    let exist: BTreeSet<String> = marks
        .into_iter()
        .flat_map(|mark| after(&sources, mark))
        .collect();
    assert!(exist.len() > 50, "{exist:?}");
    let text = read("docs/reference/events.md");
    let named = first_column(&text[text.find("## One reboot").unwrap()..]);
    same("events", &named, &exist);
}

#[test]
fn every_metric_is_documented_with_its_type_and_labels() {
    let rendered = Metrics::new("1.2.3", "abc", ["kernel"]).render();
    let text = read("docs/reference/metrics.md");
    let kinds: BTreeMap<&str, &str> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `reboot_coordinator_"))
        .collect();
    let named = rows.iter().map(|row| quoted(row)[0].clone()).collect();
    let exist = kinds.keys().map(|name| (*name).to_owned()).collect();
    same("metrics", &named, &exist);
    for row in rows {
        let name = &quoted(row)[0];
        assert!(
            row.contains(&format!("| {} |", kinds[name.as_str()])),
            "{row}"
        );
        for series in rendered
            .lines()
            .filter(|it| it.starts_with(&format!("{name}{{")))
        {
            let inside = series.split_once('{').unwrap().1.split_once('}').unwrap().0;
            let words: Vec<&str> = inside.split('"').collect();
            for (label, value) in words
                .chunks_exact(2)
                .map(|it| (it[0].trim_matches([',', '=']), it[1]))
            {
                assert!(
                    row.contains(&format!("`{label}`")),
                    "{name} has a label {label}"
                );
                // Some values are those of a section, some of the configuration or the build.
                let known = match label {
                    "reason" => section(&text, "## reasons"),
                    "state" => section(&text, "## states"),
                    "detector" | "version" | "revision" => continue,
                    _ => row,
                };
                assert!(
                    known.contains(&format!("`{value}`")),
                    "{name}: {label}={value}"
                );
            }
        }
    }
    let reasons = first_column(section(&text, "## reasons"));
    same(
        "reasons",
        &reasons,
        &Refusal::all().map(|it| it.label().to_owned()).into(),
    );
}

#[test]
fn every_exit_code_is_documented_as_the_help_has_it() {
    let help = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
        .arg("help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let codes = help.split_once("Exit codes:\n").unwrap().1.lines();
    let exist = codes
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let text = read("docs/reference/exit-codes.md");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let numbered = cells.filter(|row| row[1].parse::<u8>().is_ok());
    let named = numbered
        .map(|row| format!("{} {}", row[1], row[2]))
        .collect();
    same("exit codes", &named, &exist);
}

#[test]
fn every_variable_and_phase_of_scripts_is_documented() {
    let long = vec!["n".repeat(90_000); 2];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let least = "{node_name: a, lock_key: /a, etcd_endpoints: [a:1], reboot_required_detectors: [{type: kernel}], health_script: /bin/true}";
    fs::write(&file, least).unwrap();
    let config = config::load(&file).unwrap().config;
    let facts = ScriptFacts {
        members: long,
        ..ScriptFacts::default()
    };
    let variables = environment(&config, "pre-lock", Some(&facts));
    let exist = variables
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name != "PATH")
        .collect();
    let text = read("docs/scripts.md");
    same(
        "variables",
        &first_column(section(&text, "## Environment")),
        &exist,
    );
    let phases = [
        HealthPhase::PreLock,
        HealthPhase::PostLock,
        HealthPhase::Monitor,
        HealthPhase::PostBoot,
    ];
    let mut exist: BTreeSet<String> = phases.map(|phase| phase.as_str().to_owned()).into();
    // Of the drain hook and the reboot command; that of the undo is `post-boot`.
    exist.insert("pre-reboot".to_owned());
    exist.insert("event".to_owned());
    let rows = section(&text, "## When what runs")
        .lines()
        .filter(|line| line.starts_with('|'));
    let named = rows.filter_map(|row| quoted(row.split('|').nth(2)?).pop());
    same(
        "phases",
        &named.filter(|it| it != "RC_PHASE").collect(),
        &exist,
    );
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let rules: Value = serde_yaml::from_str(&read("docs/monitoring/alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let exist = rules
        .filter_map(|rule| rule["alert"].as_str())
        .map(str::to_owned)
        .collect();
    let text = read("docs/runbook.md");
    let headings = section(&text, "## Alerts")
        .lines()
        .filter_map(|line| line.strip_prefix("### "));
    same("alerts", &headings.map(str::to_owned).collect(), &exist);
}

#[test]
fn every_field_of_a_record_is_documented() {
    let text = read("docs/reference/records.md");
    let files = ["record", "record/standing", "line", "domains", "waves"]
        .map(|file| read(format!("src/lock/{file}.rs")));
    let source = files.concat();
    let fields_of = |name: &str| -> BTreeSet<String> {
        let start = format!("pub struct {name} {{\n");
        let body = source.split_once(&start).unwrap().1;
        let body = body.split_once("\n}").unwrap().0;
        let fields = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
        fields.map(|(field, _)| field.to_owned()).collect()
    };
    let structs = [
        ("Claim", "claims"),
        ("Pause", "pause"),
        ("Cooldown", "cooldown"),
        ("NodeRecord", "nodes"),
        ("Report", "alive"),
        ("Standing", "standing"),
        ("RebootRequest", "requests"),
        ("History", "history"),
        ("Failure", "line/failed"),
        ("GoOn", "line/go-on"),
        ("Below", "waves"),
    ];
    for (name, heading) in structs {
        let mut exist = fields_of(name);
        if exist.remove("domains") {
            exist.extend(fields_of("Domains"));
        }
        same(
            heading,
            &first_column(section(&text, &format!("## {heading}"))),
            &exist,
        );
    }
    let keys = read("src/lock/keys.rs");
    let named: BTreeSet<String> = structs
        .map(|(_, heading)| heading.split('/').next().unwrap().to_owned())
        .into();
    let exist = keys.match_indices(" = \"/").filter_map(|(at, mark)| {
        let word = keys[at + mark.len()..].split(['/', '"']).next()?;
        Some(word.to_owned())
    });
    same("keys", &named, &exist.collect());
}

#[test]
fn every_key_of_the_json_is_documented() {
    let text = read("docs/reference/json.md");
    let words: BTreeSet<String> = quoted(&text)
        .iter()
        .flat_map(|it| {
            it.split(['.', '…', ' '])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let sources = [
        "src/status/json.rs",
        "src/status/explanation.rs",
        "src/cli/simulate.rs",
        "src/cli/check_etcd.rs",
        "src/cli/validate_config.rs",
        "src/cli/version.rs",
    ];
    // Its names are those of fields.
    let proof = read("src/lock/proof.rs");
    let told = proof.split_once("pub struct Finding").unwrap().1;
    let told = told.split_once("pub struct Proof").unwrap().0;
    let fields = told
        .lines()
        .filter_map(|it| it.strip_prefix("    pub ")?.split_once(':'));
    let section = section(&text, "## verify-history");
    for (field, _) in fields {
        assert!(
            section.contains(&format!("{field}`")),
            "verify-history: {field}"
        );
    }
    for file in sources {
        let source = read(file);
        for (at, _) in source.match_indices("\":") {
            let key = source[..at].rsplit('"').next().unwrap();
            if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                assert!(words.contains(key), "{file}: {key}");
            }
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "crates"] {
        collect(&root().join(folder), "rs", &mut files);
    }
    let code: String = files.iter().map(read).collect();
    let text = read("docs/security.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let named: Vec<String> = rows
        .filter_map(|row| row.split('|').rev().nth(1))
        .flat_map(quoted)
        .filter(|name| name.matches('_').count() > 2)
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(code.contains(&format!("fn {name}()")), "no test {name}");
    }
}
