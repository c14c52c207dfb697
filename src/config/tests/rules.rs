//! Defaults, and every rule with the line it is refused with.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{DetectorKind, LogFormat};
use super::*;
use crate::host::InstanceLock;

#[test]
fn labels_and_their_limits_are_words_and_numbers() {
    let fixture = Fixture::new();
    let text = with("max_concurrent_reboots: 4\nlabels: {rack: r12, row: 7}\nlimits: {rack: 1}");
    let loaded = fixture.load(&text).unwrap();
    assert_eq!(loaded.warnings, []);
    let domains = loaded.config.domains;
    let labels: Vec<_> = domains.labels.iter().collect();
    assert_eq!(format!("{labels:?}"), r#"[("rack", "r12"), ("row", "7")]"#);
    assert_eq!(domains.limits.get("rack"), Some(&1));
    for empty in ["labels:", "labels: {}\nlimits: {}"] {
        let loaded = fixture.load(&with(empty)).unwrap();
        assert_eq!(loaded.config.domains, crate::lock::Domains::default());
    }
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let fixture = Fixture::new();
    let loaded = fixture.load(LEAST).unwrap();
    let config = loaded.config;
    let seconds = Duration::from_secs;
    assert_eq!(config.node_name, "node-a");
    assert_eq!(config.node_id, "fcc73eb3b76a4e28a0c80e1b1fc245f4");
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
    assert_eq!(config.domains, crate::lock::Domains::default());
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
        (
            config.pre_reboot_hook,
            config.post_boot_hook,
            config.event_hook
        ),
        (None, None, None)
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
        "dry_run: True",
        "lock_key: /rc/pause",
        "lock_key: /claims",
        "etcd_tls: {enabled: false, ca_file: '', cert_file: '', key_file: ''}",
        "cluster_policies: {min_healthy_fraction: 0.99}",
        "check_interval_sec: 3600\nwindows: {timezone: UTC, allow: ['Sat 02:00-03:00', '2020-01-01 02:00-04:00']}",
        "windows: {timezone: UTC, deny: ['Mon 00:00-24:00'], allow: ['* 02:00-04:00']}",
        "cluster_policies: null",
        "windows: {}",
        "windows: {deny: [], allow: []}",
        "metrics: {enabled: false, listen: ':9090'}",
        "metrics: {enabled: true, listen: 'localhost:9090'}",
        "log: {level: WARN, format: text}",
        "pre_reboot_hook: {command: [/bin/sh, -c, '']}",
        "reboot_command: [/bin/true, -r, '${RC_NODE_NAME} for ${RC_REASONS}']",
        "event_hook: {command: [/bin/sh, -c, 'echo \"${1:-none} ${HOME}\"', sh, '${RC_EVENT_TEXT} ${RC_PHASE}']}",
        "pre_reboot_hook: {command: [/usr/bin/timeout, 5, /bin/true, '${RC_REASONS}']}",
        "pre_reboot_hook: {command: [/usr/bin/env, LANG=C, /bin/true, '${RC_REASONS}']}",
        "reboot_command: [/bin/sh, -c, 'echo \"$RC_REASONS $1\"', sh, '${RC_REASONS}']",
        "reboot_command: [/bin/true, /sbin/init, 6]",
        "reboot_command: [/bin/true, reboot, -f]",
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
        ("command:needs-restarting", Duration::from_secs(7))
    );
    let program = fixture.path("bin/needs-restarting").display().to_string();
    let cmd = vec![program, "-r".to_owned()];
    let expected = DetectorKind::Command(cmd, vec![1, 2]);
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
            "hold_timeout_sec: is shorter than the drain, the reboot",
        ),
        (
            "lock_key: /rc/standing/",
            "lock_key: is where a group with the lock_key /rc has its own keys (standing)",
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
        (
            "reboot_required_detectors: [{type: command, cmd: [/bin/true], success_exit_codes: [255, 127]}]",
            "success_exit_codes[1]: 127 is how a shell says that it could not start a program",
        ),
        // What is no reboot.
        (
            "reboot_command: [/bin/true, /sbin/init, 0]",
            "reboot_command[1]: this leaves the host down until somebody starts it",
        ),
        (
            "reboot_command: [/bin/sh, -c, 'sync; telinit 0']",
            "reboot_command[2]: this leaves the host down",
        ),
        (
            "reboot_command: [/bin/true, systemctl, isolate, runlevel0.target]",
            "reboot_command[3]: this leaves the host down",
        ),
        (
            "reboot_command: [/bin/true, systemctl, halt]",
            "reboot_command[2]: this leaves the host down",
        ),
        (
            "reboot_command: [/bin/true, reboot, -fp]",
            "reboot_command[1]: reboot with -p leaves the host down",
        ),
        (
            "reboot_command: [/bin/true, reboot, --poweroff]",
            "reboot_command[2]: this leaves the host down",
        ),
        (
            "reboot_command: [/bin/true, shutdown, -h, now]",
            "reboot_command[1]: shutdown without -r leaves the host down",
        ),
        // What can never happen.
        (
            "windows: {timezone: UTC, allow: ['2020-01-01 02:00-04:00', '2020-02-01 02:00-04:00']}",
            "windows.allow[0]: this node can never reboot, because every entry of windows.allow is over",
        ),
        (
            "windows: {timezone: UTC, deny: ['Sat 00:00-24:00'], allow: ['Sat 02:00-04:00']}",
            "windows.deny[0]: this node can never reboot, because windows.deny covers every entry",
        ),
        (
            "windows: {timezone: UTC, deny: ['* 00:00-12:00', '* 12:00-24:00']}",
            "windows.deny[0]: this node can never reboot, because windows.deny covers every time",
        ),
        (
            "labels: {rack: a}\nlimits: {rack: 1}",
            "limits.rack: holds nobody up: max_concurrent_reboots (1) lets no more than 1 go at once",
        ),
        (
            "cluster_policies: {min_healthy_fraction: 1}",
            "min_healthy_fraction: this node can never reboot, because it counts as not healthy",
        ),
        (
            "cluster_policies: {min_healthy_fraction: 0.9999}",
            "only in a cluster of at least 10000 members",
        ),
        (
            "max_concurrent_reboots: 600\ncluster_policies: {min_healthy_fraction: 0.5}",
            "max_concurrent_reboots: 600 nodes go at once only in a cluster of at least 1200 members",
        ),
        (
            "cluster_policies: {min_healthy_absolute: 4000000000}",
            "only in a cluster of at least 4000000001 members",
        ),
        (
            "check_interval_sec: 7200\nwindows: {timezone: UTC, allow: ['Sat 02:00-03:00', 'Sun 02:00-02:30']}",
            "check_interval_sec: 7200 is longer than the longest window, 3600 s",
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
    let load = |name: &str| {
        fixture.lines(&load_on(&fixture.path(name), &fixture.host(), &fixture.last).unwrap_err())
    };
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

#[test]
fn metrics_are_served_where_they_should_be() {
    let fixture = Fixture::new();
    for (fields, address) in [
        ("metrics: {enabled: true}", "127.0.0.1:9746"),
        ("metrics: {enabled: true, listen: ':9090'}", "[::]:9090"),
        (
            "metrics: {enabled: true, listen: 'localhost:0'}",
            "127.0.0.1:0",
        ),
        ("metrics: {enabled: true, listen: '[::1]:1'}", "[::1]:1"),
    ] {
        let loaded = fixture.load(&with(fields)).unwrap();
        assert_eq!(
            loaded.config.metrics,
            Some(address.parse().unwrap()),
            "{fields}"
        );
    }
}

#[test]
fn a_link_that_leads_nowhere_is_refused_where_its_target_was_meant() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("localtime")).unwrap();
    let windows = with("windows: {allow: ['* 02:00-04:00']}");
    let loaded = fixture.load(&windows).unwrap();
    let warnings = loaded.warnings;
    assert!(
        warnings[0].to_string().contains("so local time is UTC"),
        "{warnings:?}"
    );
    // As written, since the file may come.
    assert_eq!(loaded.config.windows.unwrap().timezone(), "local");
    let link = |name: &str| std::os::unix::fs::symlink("nowhere", fixture.path(name)).unwrap();
    link("localtime");
    let problems = fixture.problems(&windows);
    assert!(
        problems.len() == 1
            && problems[0].contains("windows.timezone: is the local one, and")
            && problems[0].contains("is a link to a zone that is not there"),
        "{problems:?}"
    );
    fixture
        .load(&with("windows: {timezone: UTC, allow: ['* 02:00-04:00']}"))
        .unwrap();
    link("config.d");
    let problems = fixture.problems(LEAST);
    assert!(
        problems.len() == 1
            && problems[0].starts_with("config.d: cannot be read")
            && problems[0].ends_with("correct or remove the link"),
        "{problems:?}"
    );
}

#[test]
fn a_command_is_called_by_its_program_and_a_number_and_not_by_its_arguments() {
    let fixture = Fixture::new();
    let text = "reboot_required_detectors:
- {type: command, cmd: [/bin/sh, -c, 'exit 1 # token=secret']}
- {type: command, cmd: [/bin/sh, -c, 'exit 2']}
- {type: command, cmd: [/bin/true, --password=secret]}";
    let config = fixture.load(&with(text)).unwrap().config;
    let names: Vec<&str> = config.detectors.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["command:sh", "command:sh#2", "command:true"]);
}

/// Whoever does what is written is not refused again.
#[test]
fn remedies_for_lists_and_names_are_accepted_themselves() {
    for (text, remedy) in [
        (
            with("etcd_endpoints: 127.0.0.1:2379,127.0.0.1:2380"),
            "write [\"127.0.0.1:2379\", \"127.0.0.1:2380\"]",
        ),
        (
            with("reboot_required_detectors: [{type: command, cmd: needs-restarting -r}]"),
            "write [\"needs-restarting\", \"-r\"]",
        ),
        (
            with("reboot_required_detectors: [{type: command, cmd: [not-there]}]"),
            "no program of this name is in the system's folders; install it",
        ),
        (with("run_dir: /proc/version"), "is no folder"),
        (
            with("reboot_required_detectors: [{type: file, path: /f, name: \"a\\e[31m\"}]"),
            "holds what cannot be seen",
        ),
    ] {
        let problems = Fixture::new().problems(&text).join("\n");
        assert!(problems.contains(remedy), "{problems}");
    }
    for (field, doubt) in [
        (
            "boot_id_file: /proc/nothing",
            "No such file or directory (os error 2); nothing runs without it",
        ),
        (
            "metrics: {names: [\"http://n7.example.com/\"]}",
            "without scheme, port and path",
        ),
        (
            "metrics: {names: [\"n7.example.com:9746\"]}",
            "without scheme, port and path",
        ),
    ] {
        let doubts = Fixture::new().load(&with(field)).unwrap().warnings;
        let doubts = format!("{doubts:?}");
        assert!(doubts.contains(doubt), "{doubts}");
    }
}

/// In the words of the start itself, which nothing is made for.
#[test]
fn what_keeps_a_node_from_its_start_or_from_every_reboot_is_told() {
    let fixture = Fixture::new();
    let fifo = fixture.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for (name, mode) in [("open", 0o777), ("sticky", 0o1777)] {
        fs::create_dir(fixture.path(name)).unwrap();
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", fixture.path("link")).unwrap();
    let long = format!("kill_switch_file: /{}", "a".repeat(300));
    for (field, doubt) in [
        ("boot_id_file: DIR/fifo", "is not a regular file"),
        ("boot_id_file: /dev/zero", "is not a regular file"),
        (
            "kill_switch_file: DIR/health.sh/off",
            "cannot reboot while this cannot be checked: ",
        ),
        (&long, "File name too long"),
        ("run_dir: DIR/open", "can be changed by its group or others"),
        (
            "run_dir: DIR/sticky",
            "can be changed by its group or others",
        ),
        ("run_dir: DIR/link", "is a link that leads nowhere"),
        ("run_dir: DIR/link/below", "is a link that leads nowhere"),
        ("run_dir: DIR/health.sh/below", "is not a folder"),
    ] {
        let warnings = fixture.load(&with(field)).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{field}: {warnings:?}");
        assert!(warnings[0].message.contains(doubt), "{}", warnings[0]);
        if let Some(name) = field.strip_prefix("run_dir: DIR/") {
            let refused = InstanceLock::acquire(&fixture.path(name)).unwrap_err();
            assert!(refused.to_string().contains(doubt), "{refused}");
        }
    }
    let fresh = with("run_dir: DIR/fresh/below");
    assert_eq!(fixture.load(&fresh).unwrap().warnings, []);
    assert!(!fixture.path("fresh").exists() && !fixture.path("nowhere").exists());
}
