//! SIGHUP in every state: once the new configuration is accepted, nothing is decided, run or asked by the old one.

use etcd_test_server::Cluster;
use rustix::process::Signal;

use crate::host::Host;
use crate::store::Store;

impl Host {
    /// Reloads and waits until the new file is in force.
    pub(crate) fn reload(&self) {
        let before = self.count("reloaded");
        self.write_config();
        self.signal(Signal::HUP);
        self.wait_until("the reload", || self.count("reloaded") > before);
    }

    fn count(&self, event: &str) -> usize {
        let events = self.events();
        events.iter().filter(|line| line["event"] == event).count()
    }
}

/// A node that waits behind another one.
fn waiting() -> (Cluster, Store, Host) {
    let (cluster, store) = Store::single();
    store.claim_of_another("node-0");
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start();
    host.wait_event("queued");
    (cluster, store, host)
}

#[test]
fn a_waiting_node_goes_by_the_file_that_was_reloaded() {
    for (field, value, reason) in [
        ("dry_run", "true", "dry_run"),
        (
            "windows",
            "{timezone: UTC, deny: [\"* 00:00-24:00\"]}",
            "window",
        ),
        ("health_script", "/bin/false", "health"),
        (
            "reboot_required_detectors",
            "[{type: file, path: /nonexistent/marker}]",
            "not_required",
        ),
    ] {
        let (_cluster, store, mut host) = waiting();
        host.set(field, value);
        host.reload();
        store.delete("/rc/claims/node-0");
        host.wait_until(reason, || {
            let events = host.events();
            events.iter().any(|line| line["reason"] == reason)
        });
        store.wait_gone("node-a");
        assert!(!host.has_event("committed"), "{field}: {}", host.log());
        assert_eq!(host.reboots(), 0, "{field}");
        host.stop();
    }
}

#[test]
fn a_place_in_the_queue_is_kept_through_reloads_and_shows_the_new_limit() {
    let (_cluster, store, mut host) = waiting();
    let before = store.claim("node-a").unwrap();
    host.set("check_interval_sec", "0.2");
    host.reload();
    host.set("max_concurrent_reboots", "2");
    host.touch("block-drain");
    host.reload();
    // The other one is still down: with a limit of two it is this node's turn.
    host.wait_reached("drain");
    let after = store.claim("node-a").unwrap();
    assert_eq!(after["limit"], 2, "{after} {}", host.log());
    assert_eq!(after["since"], before["since"], "the same place");
    host.remove("block-drain");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn what_a_reload_mends_takes_effect_at_once_while_a_node_proves_its_health() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.set("health_script", "/bin/false");
    host.write_config();
    host.reboot();
    host.wait_event("not_healthy");
    host.set("health_script", "/bin/true");
    host.reload();
    host.wait_event("released");
    store.wait_gone("node-a");
}

#[test]
fn a_held_node_tries_again_when_its_command_is_mended() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with("reboot_timeout_sec", "0.2");
    host.set("reboot_command", "[/bin/true]");
    host.start();
    let held = host.wait_event("holding");
    let said = held["msg"].as_str().unwrap().to_owned();
    for way in ["reload", "release"] {
        assert!(said.contains(way), "{said}");
    }
    let command = format!("[{:?}, reboot]", host.path("script").display().to_string());
    host.set("reboot_command", &command);
    host.reload();
    host.wait_until("the mended command", || host.reboots() > 0);
}

#[test]
fn a_drain_that_hangs_is_stopped_for_the_hook_of_the_new_file() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    host.set("pre_reboot_hook", "{command: [/bin/true]}");
    host.reload();
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// After the boot it would look for its claim under that, and the line would stop.
#[test]
fn a_name_or_key_that_is_loaded_during_the_drain_calls_the_attempt_off() {
    for (field, other) in [("lock_key", "/elsewhere"), ("node_name", "node-b")] {
        let (cluster, store) = Store::single();
        let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
        host.touch("block-drain");
        host.start();
        host.wait_reached("drain");
        host.set(field, other);
        host.reload();
        host.remove("block-drain");
        let aborted = host.wait_event("aborted");
        assert!(
            aborted["reason"].as_str().unwrap().contains(field),
            "{aborted}"
        );
        assert!(!host.has_event("rebooting"), "{}", host.log());
        store.wait_gone("node-a");
    }
}

#[test]
fn a_dry_run_that_begins_during_the_drain_gives_the_claim_back() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    host.set("dry_run", "true");
    host.reload();
    host.remove("block-drain");
    store.wait_gone("node-a");
    assert_eq!(host.reboots(), 0);
    assert!(host.actions().iter().any(|act| act == "undo"));
}

#[test]
fn mended_endpoints_are_used_at_once_before_the_first_answer_and_with_a_claim() {
    let (cluster, store) = Store::single();
    let nowhere = "[\"http://127.0.0.1:1\"]";
    let right = format!("{:?}", cluster.endpoints());
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.set("backoff_min_sec", "3600");
    host.set("backoff_max_sec", "3600");
    host.set("etcd_endpoints", nowhere);
    host.start();
    host.wait_event("etcd_error");
    host.set("etcd_endpoints", &right);
    host.reload();
    host.wait_until("the reboot command", || host.reboots() == 1);
    // The node is back, and its file leads nowhere.
    host.set("etcd_endpoints", nowhere);
    host.write_config();
    host.remove("required");
    host.reboot();
    host.wait_event("etcd_error");
    host.set("etcd_endpoints", &right);
    host.reload();
    host.wait_event("released");
    store.wait_gone("node-a");
}

/// After the boot the node would be in another cluster: its claim here would stop the line.
#[test]
fn endpoints_that_are_changed_and_not_reloaded_forbid_the_commit() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("post-lock");
    let right = format!("{:?}", cluster.endpoints());
    host.set("etcd_endpoints", "[\"http://127.0.0.1:1\"]");
    host.write_config();
    host.remove("block-post-lock");
    let blocked = host.wait_blocked("configuration");
    assert!(blocked["msg"].as_str().unwrap().contains("etcd_endpoints"));
    store.wait_gone("node-a");
    host.set("etcd_endpoints", &right);
    host.write_config();
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// Two signals at once, the second while the file is read: the last content counts.
#[test]
fn the_file_is_read_again_when_a_signal_comes_while_it_is_read() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    for count in 0..20 {
        host.set("check_interval_sec", &format!("{}", 100 + count));
        host.write_config();
        host.signal(Signal::HUP);
    }
    host.touch("required");
    host.set("check_interval_sec", "0.1");
    host.write_config();
    host.signal(Signal::HUP);
    host.wait_until("the reboot command", || host.reboots() == 1);
}
