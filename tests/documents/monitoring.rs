//! The alert rules and the dashboard in `docs/monitoring`, against the metrics there are. Their own tools judge them in
//! `scripts/check-monitoring`; this needs none.

use std::collections::{BTreeMap, BTreeSet};

use reboot_coordinator::observe::metrics::Metrics;
use serde_json::Value;

const ALERTS: &str = include_str!("../../docs/monitoring/alerts.yml");
const RULES: &str = include_str!("../../docs/monitoring/rules.yml");
const TESTS: &str = include_str!("../../docs/monitoring/tests.yml");
const DASHBOARD: &str = include_str!("../../docs/monitoring/dashboard.json");

/// Every series of a daemon that has just started: names, and label values by label.
fn series() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let metrics = Metrics::new("1.2.3", "abc", ["kernel", "marker"]);
    let mut known: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for line in metrics
        .render()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (name, labels) = split(line.rsplit_once(' ').unwrap().0);
        let entry = known.entry(name.to_owned()).or_default();
        for (label, _, value) in matchers(labels) {
            entry.entry(label).or_default().insert(value);
        }
    }
    known
}

fn split(series: &str) -> (&str, &str) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    (name, labels.trim_end_matches('}'))
}

/// Label, operator and value of each matcher between braces.
fn matchers(inside: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = inside;
    while let Some((label, after)) = rest.split_once('"') {
        let (value, after) = after.split_once('"').unwrap();
        let label = label.trim_start_matches([',', ' ']);
        let operator = label.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        let name = label.strip_suffix(operator).unwrap();
        found.push((name.to_owned(), operator.to_owned(), value.to_owned()));
        rest = after;
    }
    found
}

/// Every selector of our metrics in an expression: name and what is between its braces.
fn selectors(expression: &str) -> Vec<(String, String)> {
    const PREFIX: &str = "reboot_coordinator_";
    let mut found = Vec::new();
    for (at, _) in expression.match_indices(PREFIX) {
        let text = &expression[at..];
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        found.push((
            name.to_owned(),
            inside.map_or("", |(inside, _)| inside).to_owned(),
        ));
    }
    found
}

/// Labels that Prometheus itself adds.
const ADDED: [&str; 2] = ["instance", "job"];

/// Whether each selector names a metric, labels and label values that the daemon has.
fn check(expression: &str) {
    let known = series();
    for (name, inside) in selectors(expression) {
        let labels = known
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is no metric: {expression}"));
        for (label, operator, value) in matchers(&inside) {
            if ADDED.contains(&label.as_str()) || value.starts_with('$') {
                continue;
            }
            let values = labels
                .get(&label)
                .unwrap_or_else(|| panic!("{name} has no label {label}: {expression}"));
            assert!(
                ["=", "!=", "=~", "!~"].contains(&operator.as_str()),
                "{operator}: {expression}"
            );
            for value in value.split('|') {
                assert!(
                    values.contains(value),
                    "{name} is never {label}={value:?}: {expression}"
                );
            }
        }
    }
}

#[test]
fn every_alert_names_metrics_that_there_are() {
    let rules: Value = serde_yaml::from_str(ALERTS).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 7);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        check(rule["expr"].as_str().unwrap());
        assert!(
            ["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        let section = format!("runbook.md#{}", name.to_lowercase());
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&section), "{name}: {url}");
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].is_string(),
                "{name} has no {text}"
            );
        }
        assert!(
            TESTS.contains(&format!("alertname: {name}\n")),
            "{name} has no unit test"
        );
    }
    let tests: Value = serde_yaml::from_str(TESTS).unwrap();
    for test in tests["tests"].as_array().unwrap() {
        for input in test["input_series"].as_array().unwrap() {
            check(input["series"].as_str().unwrap());
        }
    }
}

#[test]
fn every_recording_rule_names_metrics_that_there_are() {
    let rules: Value = serde_yaml::from_str(RULES).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let (name, expression) = (&rule["record"], rule["expr"].as_str().unwrap());
        check(expression);
        // LEVEL:METRIC:OPERATION, as Prometheus' own advice has it.
        assert_eq!(name.as_str().unwrap().split(':').count(), 3, "{name}");
    }
}

#[test]
fn every_panel_names_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    for field in [
        "title",
        "uid",
        "schemaVersion",
        "time",
        "templating",
        "refresh",
    ] {
        assert!(!dashboard[field].is_null(), "{field}");
    }
    assert_eq!(dashboard["id"], Value::Null, "an id belongs to one Grafana");
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(number("x") + number("w") <= 24, "{title} is too wide");
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(cells.insert((x, y)), "{title} lies on another panel");
            }
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        let mut letters = BTreeSet::new();
        for target in targets {
            assert!(letters.insert(target["refId"].as_str().unwrap()), "{title}");
            let expression = target["expr"].as_str().unwrap();
            let brackets =
                |open, close| expression.matches(open).count() == expression.matches(close).count();
            assert!(
                brackets('(', ')') && brackets('{', '}') && brackets('[', ']'),
                "{expression}"
            );
            check(expression);
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let named = variables
        .iter()
        .any(|variable| variable["name"] == "datasource");
    assert!(named, "the variable of the data source");
}

/// Every metric is of use to somebody: it is in an alert, on the dashboard, or named here with the reason why not.
#[test]
fn every_metric_is_watched() {
    let watched: BTreeSet<String> = selectors(ALERTS)
        .into_iter()
        .chain(selectors(&DASHBOARD.replace("\\\"", "\"")))
        .map(|(name, _)| name)
        .collect();
    let unwatched = [
        // How often a gate was judged; blocked{reason} tells which is closed now.
        "reboot_coordinator_reboot_blocked_total",
    ];
    for name in series().into_keys() {
        if name.ends_with("_sum") || name.ends_with("_count") {
            continue;
        }
        let is_watched = watched.contains(&name);
        assert!(
            is_watched != unwatched.contains(&name.as_str()),
            "{name}: watched is {is_watched}"
        );
    }
}

#[test]
fn a_wrong_name_label_or_value_is_found() {
    for expression in [
        "reboot_coordinator_queue_len > 0",
        "reboot_coordinator_state{status=\"idle\"}",
        "reboot_coordinator_state{state=\"sleeping\"}",
        "sum(reboot_coordinator_health_checks_total{result=~\"passed|timedout\"})",
    ] {
        assert!(
            std::panic::catch_unwind(|| check(expression)).is_err(),
            "{expression}"
        );
    }
    check("reboot_coordinator_state{state=~\"idle|queued\", instance=\"a\"} == 1");
}
