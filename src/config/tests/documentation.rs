//! The documentation and the example hold every field, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::fields::FIELDS;
use super::super::tree::{Place, Value, join};
use super::super::variables::names;
use super::super::yaml;
use super::secrets::tls_files;
use super::*;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../docs/examples/config.yaml");

#[test]
fn the_reference_documents_every_field_with_its_default() {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.splitn(3, " | ");
        let (field, default) = (cells.next()?.strip_suffix('`')?, cells.next()?);
        // The table of window entries has two columns.
        cells.next().map(|_| (field.to_owned(), default.to_owned()))
    };
    let documented: BTreeSet<_> = REFERENCE.lines().filter_map(row).collect();
    let known: BTreeSet<_> = FIELDS
        .iter()
        .map(|(path, default)| ((*path).to_owned(), (*default).to_owned()))
        .collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let surplus: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "not documented: {missing:#?}\nunknown or with another default: {surplus:#?}"
    );
}

#[test]
fn the_reference_lists_every_variable() {
    for variable in names() {
        assert!(REFERENCE.contains(&format!("`{variable}`")), "{variable}");
    }
}

fn collect(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = join(path, key);
                collect(&node.value, &path, found);
                found.insert(path);
            }
        }
        Value::List(items) => items
            .iter()
            .for_each(|item| collect(&item.value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_example_holds_every_field() {
    let mut found = BTreeSet::new();
    let example = yaml::parse(EXAMPLE, &Place::file(Path::new(""))).unwrap();
    collect(&example.value, "", &mut found);
    let known: BTreeSet<String> = FIELDS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn the_example_is_valid() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    fixture.file("password", "secret\n", 0o600);
    let text = EXAMPLE
        .replace("/usr/local/sbin/reboot-health", "DIR/health.sh")
        .replace("/etc/reboot-coordinator/tls/", "DIR/")
        .replace("/etc/reboot-coordinator/password", "DIR/password");
    let loaded = fixture
        .load(&text)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.config.node_name, "web-1.example.com");
    // Its programs are not on this host, and the certificate of the tests has a common name.
    let elsewhere = |warning: &&super::super::Problem| {
        !["does not exist on this host", "has a common name"]
            .iter()
            .any(|known| warning.message.contains(known))
    };
    assert_eq!(loaded.warnings.iter().find(elsewhere), None);
}

const SHIPPED: &str = include_str!("../../../debian/config.yaml");

/// What the packages install is valid as it is, and only says what it would do.
#[test]
fn the_shipped_configuration_is_valid_and_safe() {
    let fixture = Fixture::new();
    let script = "/etc/reboot-coordinator/health.sh";
    assert!(SHIPPED.contains(script));
    let loaded = fixture
        .load(&SHIPPED.replace(script, "DIR/health.sh"))
        .unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.config.dry_run);
    assert_eq!(loaded.config.node_name, "web-1.example.com");
    assert_eq!(loaded.config.max_concurrent_reboots, 1);
}
