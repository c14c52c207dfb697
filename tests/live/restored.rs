//! An etcd that is not what it was.

use std::fs;

use etcd_test_server::Cluster;
use rustix::process::Signal;

use crate::host::Host;

/// The same flags, and so the same cluster id, but an empty store: claims of nodes that are down are gone with it.
#[test]
fn a_store_that_lost_its_data_reboots_nobody_until_the_daemon_is_restarted() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.touch("disable");
    host.start();
    host.wait_blocked("kill_switch");
    cluster.stop(0);
    for entry in fs::read_dir(cluster.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.join("member").is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    cluster.start(0);
    host.remove("disable");
    let said = host.wait_event("etcd_went_back");
    let message = said["msg"].as_str().unwrap();
    assert!(message.contains("then restart this program"), "{message}");
    // A reload is no restart.
    let errors = || {
        host.events()
            .iter()
            .filter(|event| event["event"] == "etcd_error")
            .count()
    };
    host.signal(Signal::HUP);
    host.wait_event("reloaded");
    host.wait_until("the self-test to be refused", || errors() > 0);
    assert!(!host.has_event("queued"), "{}", host.log());
    host.stop();
    assert_eq!(host.reboots(), 0);
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
}
