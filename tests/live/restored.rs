//! An etcd that is not what it was.

use rustix::process::Signal;

use crate::host::Host;
use crate::store::Store;

/// The same flags, and so the same cluster id, but an empty store: claims of nodes that are down are gone with it.
#[test]
fn a_store_that_lost_its_data_reboots_nobody_until_the_daemon_is_restarted() {
    let (cluster, store) = Store::single();
    // So that what the daemon itself writes to the empty store does not bring it back to where it was.
    for _ in 0..20 {
        store.put("/rc/other", &serde_json::json!({}));
    }
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.touch("disable");
    host.start();
    host.wait_blocked("kill_switch");
    cluster.lose_data(0);
    host.remove("disable");
    let said = host.wait_event("etcd_went_back");
    let message = said["msg"].as_str().unwrap();
    assert!(message.contains("then restart this program"), "{message}");
    // A reload is no restart.
    host.set("check_interval_sec", "0.35");
    host.write_config();
    host.signal(Signal::HUP);
    host.wait_event("reloaded");
    // The self-test is refused.
    host.wait_event("etcd_error");
    assert!(!host.has_event("queued"), "{}", host.log());
    host.stop();
    assert_eq!(host.reboots(), 0);
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
}
