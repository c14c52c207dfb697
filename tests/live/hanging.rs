//! A path that the operator named and that hangs, as on a dead network file system: nothing waits for it without a limit, and
//! no answer is a "no".

use std::path::Path;
use std::process::Command;

use etcd_test_server::Cluster;

use crate::host::Host;
use crate::policies::healthy;
use crate::store::Store;

/// A member whose `file` hangs while `dead` exists.
fn member(name: &str, cluster: &Cluster, file: &str) -> Host {
    let mut host = Host::new(name, &cluster.endpoints())
        .with("health_timeout_sec", "1")
        .with("lock_ttl_sec", "3")
        .with("health_publish_interval_sec", "0.3");
    let library = host.path("hang.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/hang.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .args(["-ldl"])
        .status();
    assert!(built.unwrap().success(), "cc builds {}", source.display());
    host.set_env("LD_PRELOAD", library.display().to_string());
    host.set_env("HANGING_PATH", host.path(file).display().to_string());
    host.set_env("HANGING_WHILE", host.path("dead").display().to_string());
    host
}

fn count(host: &Host, event: &str) -> usize {
    let events = host.events().into_iter();
    events.filter(|line| line["event"] == event).count()
}

#[test]
fn a_health_script_that_hangs_is_not_healthy_and_its_turn_goes_to_the_next() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut first = member("first", &cluster, "script");
    let mut second = Host::new("second", &cluster.endpoints());
    first.start();
    first.wait_event("queued");
    second.start();
    second.wait_event("queued");
    store.wait("a good report", || healthy(&store, "first") == Some(true));
    first.touch("dead");
    store.wait("the end of the good report", || {
        healthy(&store, "first") != Some(true)
    });
    store.delete("/rc/claims/other");
    // It has the turn, or would have it, and cannot use it.
    let blocked = first.wait_event("blocked");
    let said = blocked["msg"].as_str().unwrap();
    assert!(
        said.contains("timed out") || said.contains("no answer about"),
        "{said}"
    );
    second.wait_until("the reboot command", || second.reboots() == 1);
    assert_eq!(first.reboots(), 0);
    let seen = first.events().len();
    second.reboot();
    store.wait_gone("second");
    assert_ne!(healthy(&store, "first"), Some(true));
    // Whoever reads the log is told, and not in every pass.
    first.wait_until("more passes", || first.events().len() > seen);
    // That it takes too long, and that earlier starts still hang.
    let told = count(&first, "unhealthy");
    assert!((1..=2).contains(&told), "{}", first.log());
    first.remove("dead");
    first.wait_until("the reboot command", || first.reboots() == 1);
}
