//! Configuration files written for the Go daemon `clusterrebootd` load unchanged.

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
    let DetectorKind::Command {
        success_exit_codes, ..
    } = &config.detectors[1].kind
    else {
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
