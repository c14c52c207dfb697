//! What the machine is told of the configuration, and how etcd is reached.

use std::fs;
use std::time::Duration;

use super::super::setup;
use super::lab::Lab;
use crate::config::variables;
use crate::core::Mode;
use crate::etcd;

const ONCE: Mode = Mode::Once {
    wait: Duration::ZERO,
};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn every_field_reaches_the_machine() {
    let mut lab = Lab::new();
    for (field, value) in [
        ("etcd_namespace", "/ns"),
        ("max_concurrent_reboots", "3"),
        ("check_interval_sec", "61"),
        ("health_publish_interval_sec", "62"),
        ("backoff_min_sec", "4"),
        ("backoff_max_sec", "63"),
        ("min_reboot_interval_sec", "64"),
        ("lock_ttl_sec", "65"),
        ("hold_timeout_sec", "9000"),
        ("reboot_timeout_sec", "66"),
        ("post_boot_settle_sec", "67"),
        ("max_reboots_without_clearing", "5"),
        ("cluster_policies", "{min_healthy_absolute: 2}"),
        ("windows", "{allow: [\"* 01:00-02:00\"]}"),
        ("dry_run", "true"),
    ] {
        lab.set(field, value);
    }
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let settings = setup::settings(&config, Mode::Daemon).unwrap();
    assert_eq!(settings.node, "a");
    assert_eq!(settings.node_id, "id-of-a");
    let boot_id = fs::read_to_string(lab.path("boot-id")).unwrap();
    assert_eq!(settings.boot_id, boot_id.trim());
    assert_eq!(settings.keys.claim("a"), "/ns/rc/claims/a");
    assert_eq!(settings.max_concurrent_reboots, 3);
    assert_eq!(settings.check_interval, seconds(61.0));
    assert_eq!(settings.health_publish_interval, Some(seconds(62.0)));
    assert_eq!(settings.backoff_min, seconds(4.0));
    assert_eq!(settings.backoff_max, seconds(63.0));
    assert_eq!(settings.min_reboot_interval, seconds(64.0));
    assert_eq!(settings.lock_ttl, seconds(65.0));
    assert_eq!(settings.etcd_timeout, seconds(5.0));
    assert_eq!(settings.hold_timeout, Some(seconds(9000.0)));
    assert_eq!(settings.reboot_timeout, seconds(66.0));
    assert_eq!(settings.drain_timeout, Some(seconds(30.0)));
    assert!(settings.undoes);
    assert_eq!(settings.undo_timeout, seconds(31.0));
    assert_eq!(settings.post_boot_settle, seconds(67.0));
    assert_eq!(settings.max_reboots_without_clearing, 5);
    assert_eq!(settings.policies.unwrap().min_healthy_absolute, Some(2));
    let windows = settings.windows.unwrap();
    assert_eq!(windows.allow().collect::<Vec<_>>(), ["* 01:00-02:00"]);
    assert!(settings.dry_run);
    assert_eq!(settings.mode, Mode::Daemon);
    // One pass reports nothing.
    let once = setup::settings(&config, ONCE).unwrap();
    assert_eq!(once.health_publish_interval, None);
    fs::remove_file(lab.path("boot-id")).unwrap();
    let why = setup::settings(&config, ONCE).unwrap_err();
    assert!(why.contains("boot_id_file"), "{why}");
}

/// Detectors one after the other, the health script, two reads, a look at the host and one at its name and zone: later than that
/// the first is too old.
#[test]
fn the_gates_together_take_what_each_may_take() {
    let mut lab = Lab::new();
    let file = |name: &str, limit: u32| {
        let path = lab.path(name).display().to_string();
        format!("{{name: {name}, type: file, path: {path:?}, timeout_sec: {limit}}}")
    };
    let detectors = format!("[{}, {}]", file("one", 7), file("two", 8));
    lab.set("reboot_required_detectors", &detectors);
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let settings = setup::settings(&config, Mode::Daemon).unwrap();
    assert_eq!(
        settings.gates_limit,
        seconds(7.0 + 8.0 + 10.0 + 2.0 * 5.0 + 2.0 * 5.0)
    );
}

#[test]
fn a_password_is_read_without_the_line_end_and_from_the_file_as_it_is_now() {
    let mut lab = Lab::new();
    let file = lab.path("password");
    fs::write(&file, "secret\n").unwrap();
    let auth = format!(
        "{{username: root, password_file: {:?}}}",
        file.display().to_string()
    );
    lab.set("etcd_auth", &auth);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).unwrap();
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let options = etcd::options(&config).unwrap();
    assert_eq!(options.endpoints, [lab.etcd.url()]);
    assert_eq!(options.timeout, seconds(5.0));
    assert_eq!(options.auth, Some(("root".to_owned(), "secret".to_owned())));
    assert!(options.tls.is_none());
    fs::write(&file, "another").unwrap();
    let options = etcd::options(&config).unwrap();
    assert_eq!(
        options.auth,
        Some(("root".to_owned(), "another".to_owned()))
    );
    fs::remove_file(&file).unwrap();
    let why = etcd::options(&config).err().unwrap();
    assert!(why.contains(&file.display().to_string()), "{why}");
}

/// Lease and session ids come from it: two processes with one number, as of containers, must not meet.
#[test]
fn the_seed_is_another_one_each_time() {
    let seeds: Vec<u64> = (0..4).map(|_| etcd::seed().unwrap()).collect();
    assert!(seeds.windows(2).all(|pair| pair[0] != pair[1]), "{seeds:?}");
}

#[test]
fn scripts_are_told_of_a_dry_run_and_where_the_metrics_are() {
    let mut lab = Lab::new();
    let told = |lab: &Lab| {
        let env = variables::environment(&lab.loaded(Mode::Daemon, false).0, "pre-lock", None);
        let value = |name| env.iter().find(|it| it.0 == name).unwrap().1.clone();
        ["RC_DRY_RUN", "RC_METRICS_ENDPOINT"].map(value)
    };
    assert_eq!(told(&lab), ["false", ""]);
    lab.set("dry_run", "true");
    lab.set("metrics", "{enabled: true, listen: \"127.0.0.1:9100\"}");
    assert_eq!(told(&lab), ["true", "127.0.0.1:9100"]);
}

#[test]
fn the_certificates_of_all_authorities_fit_into_a_file_and_nothing_much_larger_is_read() {
    let lab = Lab::new();
    let ca = lab.path("ca.crt");
    let files = crate::config::Tls {
        ca_file: Some(ca.clone()),
        client: None,
        insecure_skip_verify: false,
    };
    for (mebibytes, fits) in [(3, true), (5, false)] {
        let text = vec![b'\n'; mebibytes << 20];
        fs::write(&ca, &text).unwrap();
        let read = etcd::tls(&files);
        assert_eq!(read.is_ok(), fits, "{:?}", read.err());
        assert!(read.is_ok_and(|read| read.ca_pem == Some(text)) == fits);
    }
}
