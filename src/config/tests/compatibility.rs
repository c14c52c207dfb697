//! Configuration files written for the Go daemon `clusterrebootd` load, but for the documented differences.

use std::time::Duration;

use super::super::DetectorKind;
use super::secrets::tls_files;
use super::*;

/// Every field of that daemon, in the forms its documentation uses.
const FULL: &str = include_str!("clusterrebootd.yaml");

#[test]
fn every_field_of_clusterrebootd_loads_with_its_meaning() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    let loaded = fixture.load(FULL).unwrap();
    let config = loaded.config;
    let seconds = Duration::from_secs;
    assert_eq!(config.node_name, "db-3");
    assert_eq!(config.detectors.len(), 3);
    assert_eq!(config.detectors[1].timeout, seconds(12));
    assert_eq!(config.detectors[2].name, "file:/run/needs-reboot");
    let DetectorKind::Command(_, success_exit_codes) = &config.detectors[1].kind else {
        panic!("no command")
    };
    assert_eq!(*success_exit_codes, [1, 100]);
    assert_eq!(config.health_timeout, seconds(40));
    assert_eq!(config.health_publish_interval, seconds(20));
    assert_eq!(
        (config.backoff_min, config.backoff_max),
        (seconds(3), seconds(90))
    );
    assert_eq!(config.min_reboot_interval, seconds(900));
    assert_eq!(
        (config.lock_key.as_str(), config.lock_ttl),
        ("/fleet/db/lock", seconds(150))
    );
    assert_eq!(config.etcd.namespace, "/fleet/db");
    assert_eq!(
        config.etcd.endpoints,
        [
            "https://192.0.2.1:2379",
            "https://192.0.2.2:2379",
            "https://etcd-3.example.com:2379"
        ]
    );
    let tls = config.etcd.tls.unwrap();
    assert!(tls.ca_file.is_some() && tls.client.is_some() && !tls.insecure_skip_verify);
    assert_eq!(config.reboot_command[3], "reboot of ${RC_NODE_NAME}");
    let policies = config.cluster_policies.unwrap();
    assert_eq!(
        (policies.min_healthy_fraction, policies.min_healthy_absolute),
        (Some(0.75), Some(2))
    );
    assert!(policies.forbid_if_only_fallback_left);
    assert_eq!(policies.fallback_nodes, ["db-1", "db-2"]);
    let windows = config.windows.unwrap();
    assert_eq!((windows.deny().count(), windows.allow().count()), (3, 4));
    assert_eq!(windows.timezone(), "local");
    assert_eq!(
        config.kill_switch_file,
        PathBuf::from("/etc/clusterrebootd/disable")
    );
    assert_eq!(config.metrics, None);
    assert!(config.dry_run);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings
            .iter()
            .all(|warning| warning.contains("does not exist on this host")),
        "{warnings:?}"
    );
}

#[test]
fn a_template_whose_optional_fields_are_left_empty_loads() {
    let fixture = Fixture::new();
    let text = with(
        "etcd_namespace: \"\"
etcd_tls:
  enabled: false
  ca_file: \"\"
  cert_file: \"\"
  key_file: \"\"
  insecure_skip_verify: false
cluster_policies:
  min_healthy_fraction: null
  min_healthy_absolute: null
  forbid_if_only_fallback_left: false
  fallback_nodes: []
windows:
  deny: []
  allow: []
metrics:
  enabled: false
  listen: 127.0.0.1:9090
kill_switch_file: \"\"
reboot_command: []
",
    );
    let loaded = fixture.load(&text).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config, fixture.load(LEAST).unwrap().config);
}

#[test]
fn an_unfilled_template_names_exactly_what_is_to_be_filled_in() {
    let problems = Fixture::new().problems(
        "dry_run: true\nnode_name: \"\"\nreboot_required_detectors: []\nhealth_script: \"\"\netcd_endpoints: []\nlock_key: \"\"\n",
    );
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert!(
        problems
            .iter()
            .all(|problem| problem.contains("is required")),
        "{problems:#?}"
    );
}

/// Each row: how a line of the documentation's list begins, fields that the other daemon takes, and what is said to them here;
/// or, with a leading `=`, that they are taken.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("unknown and duplicate keys", "colour: red", "unknown key"),
    (
        "unknown and duplicate keys",
        "dry_run: true\ndry_run: true",
        "is written twice",
    ),
    (
        "a program by its name",
        "reboot_command: [needs-restarting]",
        "must be an absolute path",
    ),
    (
        "a program by its name",
        "pre_reboot_hook: {command: [drain]}",
        "must be an absolute path",
    ),
    (
        "a program by its name",
        "reboot_required_detectors: [{type: command, cmd: [needs-restarting, -r]}]",
        "=",
    ),
    (
        "any owner and mode",
        "health_script: DIR/group.sh",
        "can be changed by its group or others",
    ),
    (
        "a key file or password file",
        "etcd_auth: {username: u, password_file: DIR/secret}",
        "run chmod 600",
    ),
    (
        "a key file or password file",
        "etcd_tls: {enabled: true, ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/node-640.key}",
        "run chmod 600",
    ),
    (
        "a client certificate of version 1",
        "etcd_tls: {enabled: true, ca_file: DIR/ca.crt, cert_file: DIR/v1.crt, key_file: DIR/v1.key}",
        "etcd_tls",
    ),
    (
        "an https endpoint",
        "etcd_endpoints: ['https://a:1']",
        "etcd_tls is not enabled",
    ),
    ("`yes`, `no`", "dry_run: yes", "write true, without quotes"),
    ("`0x1f`", "node_name: 0x1f", "put it in quotes"),
    (
        "two detectors",
        "reboot_required_detectors: [{type: command, cmd: [/bin/true]}, {type: command, cmd: [/bin/true]}]",
        "give each its own `name`",
    ),
    (
        "exit codes outside",
        "reboot_required_detectors: [{type: command, cmd: [/bin/true], success_exit_codes: [-1]}]",
        "from 0 to 255",
    ),
    (
        "an exit code from 126",
        "reboot_required_detectors: [{type: command, cmd: [/bin/true], success_exit_codes: [127]}]",
        "=",
    ),
    (
        "a window `2:5",
        "windows: {allow: ['2:5-4:5']}",
        "write \"02:05-04:05\"",
    ),
    (
        "node names with a space",
        "node_name: db 3",
        "is not a node name",
    ),
    ("`lock_key` is", "lock_key: ''", "lock_key: is required"),
    ("`kill_switch_file` is", "kill_switch_file: ''", "="),
    (
        "`health_publish_interval_sec`",
        "health_publish_interval_sec: null",
        "=",
    ),
    ("`metrics.listen` is", "metrics: {enabled: true}", "="),
    (
        "`lock_ttl_sec` must",
        "lock_ttl_sec: 31",
        "a third of the TTL",
    ),
    (
        "`0` means",
        "check_interval_sec: 0",
        "must be greater than 0",
    ),
    (
        "`0` means",
        "reboot_required_detectors: [{type: kernel, timeout_sec: 0}]",
        "=",
    ),
];

#[test]
fn the_documented_differences_are_complete_and_each_is_so() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    fixture.file("v1.crt", include_str!("tls/v1.crt"), 0o644);
    fixture.file("v1.key", include_str!("tls/v1.key"), 0o600);
    fixture.file("node-640.key", include_str!("tls/node.key"), 0o640);
    fixture.file("secret", "x\n", 0o640);
    fixture.file("group.sh", "#!/bin/sh\n", 0o775);
    let text = include_str!("../../../docs/configuration.md");
    let (_, section) = text.split_once("## Coming from clusterrebootd").unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .skip(2)
        .collect();
    for row in &rows {
        assert!(
            DIFFERENCES
                .iter()
                .any(|(begin, _, _)| row.starts_with(begin)),
            "not tried: {row}"
        );
    }
    for (begin, fields, said) in DIFFERENCES {
        assert!(
            rows.iter().any(|row| row.starts_with(begin)),
            "not documented: {begin}"
        );
        if *said == "=" {
            fixture.load(&with(fields)).unwrap();
        } else {
            let problems = fixture.problems(&with(fields));
            assert!(
                problems.len() == 1 && problems[0].contains(said),
                "{fields}\n{problems:?}"
            );
        }
    }
}
