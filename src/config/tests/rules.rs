//! Defaults, and every rule with the line it is refused with.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{DetectorKind, LogFormat};
use super::*;

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let fixture = Fixture::new();
    let loaded = fixture.load(LEAST).unwrap();
    let config = loaded.config;
    let seconds = Duration::from_secs;
    assert_eq!(config.node_name, "node-a");
    assert_eq!(config.node_id, "0123456789abcdef0123456789abcdef");
    assert_eq!(config.detectors[0].name, "file:/var/run/reboot-required");
    assert_eq!(config.detectors[0].timeout, seconds(30));
    assert_eq!(config.health_timeout, seconds(30));
    assert_eq!(config.health_publish_interval, seconds(60));
    assert_eq!(config.check_interval, seconds(60));
    assert_eq!(
        (config.backoff_min, config.backoff_max),
        (seconds(5), seconds(60))
    );
    assert_eq!(config.min_reboot_interval, Duration::ZERO);
    assert_eq!(config.max_concurrent_reboots, 1);
    assert_eq!(config.lock_ttl, seconds(90));
    assert_eq!(config.hold_timeout, None);
    assert_eq!(config.etcd.endpoints, ["http://127.0.0.1:2379"]);
    assert_eq!(config.etcd.namespace, "");
    assert_eq!(config.etcd.tls, None);
    assert_eq!(config.etcd.auth, None);
    assert_eq!(config.etcd.timeout, seconds(5));
    assert_eq!(
        config.reboot_command,
        ["/sbin/shutdown", "-r", "now", "coordinated kernel reboot"]
    );
    assert_eq!(config.reboot_timeout, seconds(600));
    assert_eq!(
        (config.pre_reboot_hook, config.post_boot_hook),
        (None, None)
    );
    assert_eq!(config.post_boot_settle, Duration::ZERO);
    assert_eq!(config.max_reboots_without_clearing, 1);
    assert_eq!(config.cluster_policies, None);
    assert_eq!(config.windows, None);
    assert_eq!(
        config.kill_switch_file,
        PathBuf::from("/etc/reboot-coordinator/disable")
    );
    assert_eq!(config.metrics, None);
    assert_eq!(
        (config.log.level, config.log.format),
        (log::LevelFilter::Info, None)
    );
    assert!(!config.dry_run);
    assert_eq!(config.run_dir, PathBuf::from("/run/reboot-coordinator"));
    assert_eq!(
        config.boot_id_file,
        PathBuf::from("/proc/sys/kernel/random/boot_id")
    );
}

/// Each row: fields laid over [`LEAST`], and what the single line that answers them must contain.
const REFUSED: &[(&str, &str)] = &[
    // Names and identity.
    ("node_name: \"\"", "node_name: is required"),
    ("node_name: null", "node_name: is required"),
    ("node_name: a/b", "node_name: \"a/b\" is not a node name"),
    ("node_name: 'a b'", "is not a node name"),
    (
        "node_name: true",
        "must be text, not true; put it in quotes",
    ),
    ("node_name: [a]", "must be text, not a list"),
    ("node_name: '%m'", "`%m` is not known"),
    ("node_id: {a: 1}", "node_id: must be text"),
    // Detectors.
    (
        "reboot_required_detectors: []",
        "reboot_required_detectors: is required",
    ),
    (
        "reboot_required_detectors: file",
        "must be a list, not the text \"file\"",
    ),
    (
        "reboot_required_detectors: [file]",
        "reboot_required_detectors[0]: must be a map",
    ),
    (
        "reboot_required_detectors: [{}]",
        "reboot_required_detectors[0].type: is required",
    ),
    (
        "reboot_required_detectors: [{typ: kernel}]",
        "[0].typ: unknown key; did you mean `type`?",
    ),
    (
        "reboot_required_detectors: [{type: fiel}]",
        "did you mean `file`?",
    ),
    (
        "reboot_required_detectors: [{type: apt}]",
        "use file, command or kernel",
    ),
    (
        "reboot_required_detectors: [{type: http, url: x}]",
        "`http` is not supported yet",
    ),
    (
        "reboot_required_detectors: [{type: etcd}]",
        "always watched; remove this entry",
    ),
    (
        "reboot_required_detectors: [{type: file}]",
        "[0].path: is required",
    ),
    (
        "reboot_required_detectors: [{type: file, path: a}]",
        "[0].path: \"a\" must be an absolute path",
    ),
    (
        "reboot_required_detectors: [{type: command}]",
        "[0].cmd: is required",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: /bin/true}]",
        "[0].cmd: must be a list",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: [nothing-like-it]}]",
        "[0].cmd[0]: \"nothing-like-it\" must be an absolute path",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: [/bin/true], success_exit_codes: [256]}]",
        "[0].success_exit_codes[0]: must be a whole number from 0 to 255, not 256",
    ),
    (
        "reboot_required_detectors: [{type: kernel, path: /x}]",
        "[0].path: belongs to detectors of type file, not kernel",
    ),
    (
        "reboot_required_detectors: [{type: kernel, timeout_sec: -1}]",
        "[0].timeout_sec: must not be negative",
    ),
    (
        "reboot_required_detectors: [{type: kernel}, {type: kernel}]",
        "[1]: the name \"kernel\" is taken by reboot_required_detectors[0]",
    ),
    // Numbers.
    (
        "health_timeout_sec: 0",
        "health_timeout_sec: must be greater than 0",
    ),
    (
        "health_publish_interval_sec: -5",
        "must not be negative, but is -5",
    ),
    ("check_interval_sec: .nan", "must be a number of seconds"),
    (
        "check_interval_sec: .inf",
        "must be at most 315360000 seconds (10 years)",
    ),
    ("check_interval_sec: 1e300", "must be at most 315360000"),
    (
        "check_interval_sec: 99999999999999999999",
        "must be at most 315360000",
    ),
    (
        "check_interval_sec: '60'",
        "must be a number of seconds, without quotes or unit, not the text \"60\"",
    ),
    ("check_interval_sec: 60s", "without quotes or unit"),
    (
        "backoff_min_sec: 0",
        "backoff_min_sec: must be greater than 0",
    ),
    (
        "backoff_min_sec: 61",
        "backoff_min_sec (61) must not exceed backoff_max_sec (60)",
    ),
    ("min_reboot_interval_sec: -1", "must not be negative"),
    (
        "max_concurrent_reboots: 0",
        "must be a whole number from 1 to 4294967295, not 0",
    ),
    ("max_concurrent_reboots: 1.5", "must be a whole number"),
    (
        "max_reboots_without_clearing: 0",
        "must be a whole number from 1",
    ),
    (
        "hold_timeout_sec: 0",
        "hold_timeout_sec: must be greater than 0",
    ),
    (
        "etcd_timeout_sec: 0",
        "etcd_timeout_sec: must be greater than 0",
    ),
    (
        "reboot_timeout_sec: 0",
        "reboot_timeout_sec: must be greater than 0",
    ),
    ("post_boot_settle_sec: -0.1", "must not be negative"),
    // The lock.
    (
        "lock_key: cluster/lock",
        "must be absolute; begin it with /",
    ),
    ("lock_key: /", "must not be / alone"),
    ("lock_key: /a//b", "must not contain //"),
    ("lock_key: '/a b'", "must not contain spaces"),
    ("lock_key:", "lock_key: is required"),
    ("lock_ttl_sec: 0", "lock_ttl_sec: must be greater than 0"),
    (
        "lock_ttl_sec: 45",
        "plus the renewal interval, a third of the TTL; use at least 46",
    ),
    (
        "health_timeout_sec: 60",
        "lock_ttl_sec: 90 must exceed health_timeout_sec (60)",
    ),
    // etcd.
    ("etcd_endpoints: []", "etcd_endpoints: is required"),
    ("etcd_endpoints: a:1", "etcd_endpoints: must be a list"),
    ("etcd_endpoints: [etcd]", "needs a port"),
    ("etcd_endpoints: ['etcd:0']", "needs a port from 1 to 65535"),
    (
        "etcd_endpoints: ['etcd:65536']",
        "needs a port from 1 to 65535",
    ),
    (
        "etcd_endpoints: ['::1:2379']",
        "an IPv6 address is written [::1]:2379",
    ),
    (
        "etcd_endpoints: ['https://etcd:2379']",
        "is https although etcd_tls is not enabled",
    ),
    (
        "etcd_endpoints: ['unix:///run/etcd']",
        "the scheme \"unix\" is not known",
    ),
    (
        "etcd_endpoints: ['http://etcd:2379/v3']",
        "must not have a path",
    ),
    ("etcd_endpoints: ['']", "etcd_endpoints[0]"),
    // Commands.
    (
        "reboot_command: /sbin/shutdown -r now",
        "must be a list, since no shell reads it; write [/sbin/shutdown, -r, now]",
    ),
    (
        "reboot_command: [needs-restarting]",
        "must be an absolute path; use DIR/bin/needs-restarting",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE}']",
        "reboot_command[1]: `${RC_NODE}` is not a known variable",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE_NAMES}']",
        "did you mean `${RC_NODE_NAME}`?",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE_NAME']",
        "does not close it",
    ),
    (
        "reboot_command: [/bin/true, {a: 1}]",
        "reboot_command[1]: must be text",
    ),
    (
        "pre_reboot_hook: {}",
        "pre_reboot_hook.command: is required",
    ),
    (
        "pre_reboot_hook: {command: [drain]}",
        "pre_reboot_hook.command[0]: \"drain\" must be an absolute path",
    ),
    (
        "post_boot_hook: {command: [/bin/true], timeout_sec: 0}",
        "post_boot_hook.timeout_sec: must be greater than 0",
    ),
    (
        "post_boot_hook: [/bin/true]",
        "post_boot_hook: must be a map of fields, not a list",
    ),
    // Policies, windows, the rest.
    (
        "cluster_policies: {min_healthy_fraction: 0}",
        "must be above 0 and at most 1, but is 0",
    ),
    (
        "cluster_policies: {min_healthy_fraction: 1.01}",
        "must be above 0 and at most 1, but is 1.01",
    ),
    (
        "cluster_policies: {min_healthy_fraction: half}",
        "must be a number above 0 and up to 1",
    ),
    (
        "cluster_policies: {min_healthy_absolute: -1}",
        "must be a whole number from 0",
    ),
    (
        "cluster_policies: {fallback_nodes: [a, 'b c']}",
        "cluster_policies.fallback_nodes[1]: \"b c\" is not a node name",
    ),
    (
        "cluster_policies: {min_healthy: 1}",
        "cluster_policies.min_healthy: unknown key",
    ),
    (
        "windows: {deny: ['Fry 10:00-11:00']}",
        "windows.deny[0]: \"Fry 10:00-11:00\": \"Fry\" is not a day",
    ),
    (
        "windows: {allow: ['* 10:00-11:00', '10-11']}",
        "windows.allow[1]: \"10-11\": has no time",
    ),
    (
        "windows: {timezone: Europe/Berlim}",
        "windows.timezone: \"Europe/Berlim\" is not in this host's time zone database",
    ),
    (
        "windows: {allow: '* 10:00-11:00'}",
        "windows.allow: must be a list",
    ),
    (
        "kill_switch_file: disable",
        "kill_switch_file: \"disable\" must be an absolute path",
    ),
    (
        "metrics: {enabled: true}",
        "metrics.enabled: `true` is not supported yet",
    ),
    (
        "metrics: {listen: example.com:1}",
        "metrics.listen: \"example.com:1\" must be an IP address and a port",
    ),
    (
        "metrics: {enabled: maybe}",
        "metrics.enabled: must be true or false",
    ),
    ("log: {level: loud}", "log.level: \"loud\" is no level"),
    ("log: {format: xml}", "log.format: \"xml\" is no format"),
    ("dry_run: 1", "dry_run: must be true or false, not 1"),
    ("run_dir: run", "run_dir: \"run\" must be an absolute path"),
    ("boot_id_file: [x]", "boot_id_file: must be text"),
    // Keys.
    (
        "helth_timeout_sec: 1",
        "helth_timeout_sec: unknown key; did you mean `health_timeout_sec`?",
    ),
    (
        "ca_file: /x",
        "ca_file: unknown key; did you mean `etcd_tls.ca_file`?",
    ),
    ("zzz: 1", "zzz: unknown key; remove it"),
    (
        "log: {colour: 1}",
        "log.colour: unknown key; known here: level, format",
    ),
    (
        "dry_run: true\ndry_run: false",
        "is written twice, first in line",
    ),
    (
        "log: {level: info, level: warn}",
        "log.level: is written twice",
    ),
];

#[test]
fn every_rule_answers_with_one_line() {
    let fixture = Fixture::new();
    for (fields, expected) in REFUSED {
        let expected = expected.replace("DIR/", "");
        let problems = fixture.problems(&with(fields));
        assert_eq!(problems.len(), 1, "{fields}\n{problems:#?}");
        assert!(
            problems[0].contains(&expected),
            "{fields}\n{}\ndoes not contain\n{expected}",
            problems[0]
        );
        assert!(problems[0].starts_with("config.yaml:"), "{}", problems[0]);
    }
}

#[test]
fn each_missing_field_is_named() {
    let fixture = Fixture::new();
    let problems = fixture.problems("");
    let missing = [
        "node_name",
        "reboot_required_detectors",
        "health_script",
        "lock_key",
        "etcd_endpoints",
    ];
    assert_eq!(problems.len(), missing.len(), "{problems:#?}");
    for (problem, name) in problems.iter().zip(missing) {
        assert!(
            problem.contains(&format!(" {name}: is required;")),
            "{problem}"
        );
    }
}

/// Each row: fields laid over [`LEAST`] that are accepted without a warning.
#[test]
fn unusual_but_valid_forms_are_accepted() {
    let fixture = Fixture::new();
    for fields in [
        "node_name: '%H'",
        "node_name: node-%l",
        "node_name: 42",
        "check_interval_sec: 0.2",
        "check_interval_sec: 60.0",
        "min_reboot_interval_sec: 0",
        "max_concurrent_reboots: 2.0",
        "dry_run: yes",
        "dry_run: Off",
        "etcd_tls: {enabled: false, ca_file: '', cert_file: '', key_file: ''}",
        "cluster_policies: {min_healthy_fraction: 1}",
        "cluster_policies: null",
        "windows: {}",
        "windows: {deny: [], allow: []}",
        "metrics: {enabled: false, listen: ':9090'}",
        "metrics: {listen: 'localhost:9090'}",
        "log: {level: WARN, format: text}",
        "pre_reboot_hook: {command: [/bin/sh, -c, '']}",
        "reboot_command: [/bin/sh, '${RC_NODE_NAME} for ${RC_REASONS}']",
        "reboot_required_detectors: [{type: kernel, name: a}, {type: kernel, name: b}]",
    ] {
        let loaded = fixture
            .load(&with(fields))
            .unwrap_or_else(|problems| panic!("{fields}\n{problems}"));
        assert_eq!(loaded.warnings, [], "{fields}");
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let fixture = Fixture::new();
    let text = with(
        "node_name: node-%l\nlock_key: /cluster/lock/\netcd_endpoints: [ETCD.example.com:2379, 'http://[::1]:2379/']\n\
         log: {level: debug, format: json}\nhold_timeout_sec: 3600\ncheck_interval_sec: 0.2\n\
         pre_reboot_hook: {command: [/bin/true, x]}\n\
         cluster_policies: {min_healthy_fraction: 0.5, min_healthy_absolute: 2, fallback_nodes: [a, b]}\n\
         windows: {timezone: Europe/Berlin, allow: ['Sat 02:00-04:00']}\n\
         reboot_required_detectors: [{type: command, cmd: [needs-restarting, -r], success_exit_codes: [1, 2], timeout_sec: 7}]\n",
    );
    let config = fixture.load(&text).unwrap().config;
    assert_eq!(config.node_name, "node-web-1");
    assert_eq!(config.lock_key, "/cluster/lock");
    assert_eq!(
        config.etcd.endpoints,
        ["http://ETCD.example.com:2379", "http://[::1]:2379"]
    );
    assert_eq!(
        (config.log.level, config.log.format),
        (log::LevelFilter::Debug, Some(LogFormat::Json))
    );
    assert_eq!(config.hold_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(config.check_interval, Duration::from_millis(200));
    assert_eq!(
        config.pre_reboot_hook.unwrap().timeout,
        Duration::from_secs(300)
    );
    let policies = config.cluster_policies.unwrap();
    assert_eq!(
        (policies.min_healthy_fraction, policies.min_healthy_absolute),
        (Some(0.5), Some(2))
    );
    assert_eq!(policies.fallback_nodes, ["a", "b"]);
    let windows = config.windows.unwrap();
    assert_eq!(
        (windows.timezone(), windows.allow().collect::<Vec<_>>()),
        ("Europe/Berlin", vec!["Sat 02:00-04:00"])
    );
    let detector = &config.detectors[0];
    assert_eq!(
        (detector.name.as_str(), detector.timeout),
        ("command:needs-restarting -r", Duration::from_secs(7))
    );
    let program = fixture.path("bin/needs-restarting").display().to_string();
    let expected = DetectorKind::Command {
        cmd: vec![program, "-r".to_owned()],
        success_exit_codes: vec![1, 2],
    };
    assert_eq!(detector.kind, expected);
}

#[test]
fn six_mistakes_are_answered_with_six_lines() {
    let fixture = Fixture::new();
    let problems = fixture.problems(
        "node_nam: node-a
reboot_required_detectors:
  - type: file
    path: relative
  - type: command
    cmd: [/bin/true]
    sucess_exit_codes: [1]
health_script: DIR/health.sh
health_timeout_sec: -3
lock_key: /a
etcd_endpoints:
  - a:2379
  - b
windows:
  allow:
    - Sat 02:00-25:00
",
    );
    let places = [
        "config.yaml:1: node_nam:",
        "config.yaml:4: reboot_required_detectors[0].path:",
        "config.yaml:7: reboot_required_detectors[1].sucess_exit_codes:",
        "config.yaml:9: health_timeout_sec:",
        "config.yaml:13: etcd_endpoints[1]:",
        "config.yaml:16: windows.allow[0]:",
    ];
    assert_eq!(problems.len(), 6, "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(place), "{problem}\nis not at\n{place}");
    }
}

#[test]
fn warnings_do_not_keep_a_configuration_from_loading() {
    let fixture = Fixture::new();
    for (fields, expected) in [
        (
            "hold_timeout_sec: 60",
            "hold_timeout_sec: is shorter than reboot_timeout_sec",
        ),
        (
            "etcd_endpoints: [a:1, a:1]",
            "etcd_endpoints[1]: http://a:1 is listed twice",
        ),
        (
            "reboot_command: [/nowhere/reboot]",
            "/nowhere/reboot does not exist on this host",
        ),
        (
            "reboot_command: [/bin/true, '${HOME}']",
            "`${HOME}` is passed on as it is",
        ),
        (
            "reboot_required_detectors: [{type: kernel, timeout_sec: 0}]",
            "is 0, so the default of 30 seconds holds",
        ),
    ] {
        let warnings = fixture.load(&with(fields)).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{fields}: {warnings:?}");
        assert!(
            warnings[0].to_string().contains(expected),
            "{}",
            warnings[0]
        );
    }
}

#[test]
fn a_host_without_a_machine_id_needs_a_node_id() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("machine-id")).unwrap();
    let problems = fixture.problems(LEAST);
    assert!(
        problems.len() == 1
            && problems[0].contains("node_id: is not set and there is no machine id"),
        "{problems:?}"
    );
    assert_eq!(
        fixture.load(&with("node_id: me")).unwrap().config.node_id,
        "me"
    );
}

#[test]
fn a_syntax_error_shows_its_place_and_line() {
    let problems = Fixture::new().problems("node_name: a\nlock_key: [1, 2\nhealth_script: b\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("config.yaml:"), "{}", problems[0]);
    assert!(
        problems[0].contains("column ") && problems[0].contains("the line reads: "),
        "{}",
        problems[0]
    );
}

#[test]
fn a_missing_file_and_a_wrong_kind_of_file_are_explained() {
    let fixture = Fixture::new();
    let load =
        |name: &str| fixture.lines(&load_on(&fixture.path(name), &fixture.host()).unwrap_err());
    assert!(
        load("nothing.yaml")[0].contains("nothing.yaml: cannot be read: No such file"),
        "{:?}",
        load("nothing.yaml")
    );
    assert!(
        load("bin")[0].contains("is not a regular file"),
        "{:?}",
        load("bin")
    );
    assert!(fixture.problems("- a\n- b\n")[0].contains("must be a map of fields, not a list"));
}
