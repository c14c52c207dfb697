//! What the configuration takes from the host, its time zone and its name: when the host has another one, nobody sends a signal.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use etcd_test_server::Cluster;
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use crate::host::Host;
use crate::store::Store;

/// A host whose daemon sees a copy of `/etc` and a host name of its own. `None` without root, who alone can make that.
pub(crate) fn apart(name: &str, cluster: &Cluster) -> Option<Host> {
    let tried = Command::new("unshare")
        .args(["--mount", "--uts", "true"])
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut host = Host::new(name, &cluster.endpoints());
    fs::create_dir(host.path("etc")).unwrap();
    let script = format!(
        "mount --bind {}/etc /etc && hostname localhost && exec \"$@\"",
        host.path("").display()
    );
    let words = ["unshare", "--mount", "--uts", "sh", "-c", &script, "sh"];
    host.wrap(words.map(str::to_owned).to_vec());
    Some(host)
}

fn set_zone(host: &Host, zone: &str) {
    let link = host.path("etc/localtime");
    let _ = fs::remove_file(&link); // there is none at first
    if !zone.is_empty() {
        symlink(format!("/usr/share/zoneinfo/{zone}"), link).unwrap();
    }
}

fn set_name(host: &Host, name: &str) {
    let pid = host.pid().to_string();
    let named = Command::new("nsenter")
        .args(["--uts", "--target", &pid, "hostname", name])
        .status();
    assert!(named.unwrap().success());
}

/// Open now in a zone so far ahead, and closed in the other of UTC and nine hours ahead.
fn open_at(hours_ahead: i8) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(hours_ahead));
    let there = Timestamp::now().to_zoned(zone);
    let clock = |minutes| {
        let at = &there + SignedDuration::from_mins(minutes);
        at.strftime("%H:%M").to_string()
    };
    format!("* {}-{}", clock(-60), clock(60))
}

#[test]
fn another_time_zone_of_the_host_counts_at_the_next_look() {
    // A host without the file is in UTC.
    for (before, after, ahead) in [
        ("Etc/UTC", "Etc/GMT-9", 9),
        ("", "Etc/GMT-9", 9),
        ("Etc/GMT-9", "", 0),
    ] {
        let cluster = Cluster::single();
        let Some(mut host) = apart("node-a", &cluster) else {
            return;
        };
        let window = format!("{{allow: [{:?}]}}", open_at(ahead));
        host.set("windows", &window);
        set_zone(&host, before);
        host.start();
        host.wait_blocked("window");
        assert_eq!(host.reboots(), 0);
        set_zone(&host, after);
        host.wait_event("host_changed");
        host.wait_until("the reboot command", || host.reboots() == 1);
    }
}

#[test]
fn the_new_file_of_a_zone_that_is_named_counts_at_the_next_look() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    let folder = host.path("zones");
    fs::create_dir(&folder).unwrap();
    let becomes = |zone: &str| {
        let new = folder.join("new");
        fs::copy(format!("/usr/share/zoneinfo/{zone}"), &new).unwrap();
        fs::rename(new, folder.join("Here")).unwrap();
    };
    let words = ["env".to_owned(), format!("TZDIR={}", folder.display())];
    host.wrap(words.to_vec());
    becomes("Etc/UTC");
    let window = format!("{{timezone: Here, allow: [{:?}]}}", open_at(9));
    host.set("windows", &window);
    host.start();
    host.wait_blocked("window");
    assert_eq!(host.reboots(), 0);
    becomes("Etc/GMT-9");
    host.wait_event("host_changed");
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_host_that_gets_its_name_late_is_a_member_under_that_name_only() {
    let (cluster, store) = Store::single();
    let Some(mut host) = apart("node-a", &cluster) else {
        return;
    };
    host.remove("required");
    host.set("node_name", "\"%H\"");
    host.set("health_publish_interval_sec", "0.3");
    set_zone(&host, "Etc/UTC");
    let members = |host: &Host, wanted: &[&str]| {
        host.wait_until(&format!("the members {wanted:?}"), || {
            let all = [store.list("/rc/nodes/"), store.list("/rc/alive/")];
            all.iter().all(|found| {
                let names = found.iter().map(|(key, _)| key.rsplit('/').next().unwrap());
                names.collect::<Vec<_>>() == wanted
            })
        });
    };
    host.start();
    members(&host, &["localhost"]);
    set_name(&host, "web-1");
    members(&host, &["web-1"]);
    // A place in the queue is given up and taken anew.
    store.claim_of_another("other");
    host.touch("required");
    store.wait_phase("web-1", "queued");
    set_name(&host, "web-2");
    store.wait_phase("web-2", "queued");
    assert_eq!(store.claims(), ["other", "web-2"]);
    members(&host, &["web-2"]);
    // What was committed goes on under its name.
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
    set_name(&host, "web-3");
    host.signal(Signal::HUP);
    host.wait_event("reload_waits");
    assert_eq!(store.claims(), ["web-2"]);
}

#[test]
fn a_name_that_changes_while_a_node_proves_its_health_is_said_at_once_and_taken_over_afterwards() {
    let (cluster, store) = Store::single();
    let Some(mut host) = apart("node-a", &cluster) else {
        return;
    };
    host.set("node_name", "\"%H\"");
    set_zone(&host, "Etc/UTC");
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.set("health_script", "/bin/false");
    host.write_config();
    host.reboot();
    host.wait_event("not_healthy");
    set_name(&host, "web-1");
    host.wait_event("host_changed");
    host.wait_event("reload_waits");
    assert_eq!(store.claims(), ["localhost"]);
    host.set("health_script", "/bin/true");
    host.reload();
    host.wait_event("released");
    host.wait_until("the new name", || {
        let all = store.list("/rc/nodes/");
        all.iter()
            .map(|(key, _)| key.as_str())
            .eq(["/rc/nodes/web-1"])
    });
}

#[test]
fn a_file_that_was_changed_and_not_reloaded_is_not_read_for_the_name_of_the_host() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    host.set("node_name", "node-b");
    host.write_config();
    host.touch("required");
    host.wait_blocked("configuration");
    assert!(!host.has_event("host_changed"), "{}", host.log());
}
