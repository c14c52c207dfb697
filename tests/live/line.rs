//! A failed reboot stops everybody else, whatever the limit.

use crate::host::Host;
use crate::store::Store;

#[test]
fn a_failed_reboot_stops_the_others_under_any_limit_until_an_operator_or_the_node_itself_ends_that()
{
    let (cluster, store) = Store::single();
    let host = |name: &str| {
        Host::new(name, &cluster.endpoints())
            .with("max_concurrent_reboots", "3")
            .with("reboot_timeout_sec", "4")
    };
    let (mut first, mut second, mut third) = (host("first"), host("second"), host("third"));
    first.start();
    first.wait_until("the reboot command", || first.reboots() == 1);
    first.touch("fail-post-boot");
    first.reboot();
    store.wait("the mark", || store.get("/rc/line/failed/first").is_some());
    second.start();
    let blocked = second.wait_blocked("line");
    let text = blocked["msg"].as_str().unwrap();
    assert!(
        text.contains("the line stands") && text.contains("first"),
        "{text}"
    );
    let explained = second.command(&["explain"]).output().unwrap();
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("reboot-coordinator go-on"),
        "{explained}"
    );
    assert_eq!(second.reboots(), 0);
    // One may go in spite of that, and no second one.
    let word = ["go-on", "--reason", "its disk is broken", "--nodes", "1"];
    let done = second.command(&word).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    second.wait_until("the reboot command", || second.reboots() == 1);
    assert_eq!(store.get("/rc/line/go-on").unwrap()["left"], 0);
    second.reboot();
    second.wait_event("released");
    third.start();
    third.wait_blocked("line");
    assert_eq!(third.reboots(), 0);
    // The node's own success ends it.
    first.remove("fail-post-boot");
    first.wait_event("released");
    third.wait_until("the reboot command", || third.reboots() == 1);
    assert_eq!(store.get("/rc/line/failed/first"), None);
}

/// The first never comes back. Whoever waits behind it says so once its claim has stood still for too long.
#[test]
fn a_node_that_never_comes_back_is_told_by_those_who_wait() {
    let (cluster, store) = Store::single();
    let host = |name: &str, limit: &str| {
        Host::new(name, &cluster.endpoints())
            .with("max_concurrent_reboots", limit)
            .with("reboot_timeout_sec", "3")
    };
    let (mut gone, mut waits) = (host("gone", "1"), host("waits", "1"));
    gone.start();
    gone.wait_until("the reboot command", || gone.reboots() == 1);
    gone.kill();
    waits.start();
    waits.wait_event("queued");
    store.wait("the mark", || store.get("/rc/line/failed/gone").is_some());
    let mark = store.get("/rc/line/failed/gone").unwrap();
    assert_eq!(mark["by"], "waits");
    // One with a larger limit does not pass it.
    let mut large = host("large", "5");
    large.start();
    large.wait_blocked("line");
    assert_eq!((waits.reboots(), large.reboots()), (0, 0));
    // Who releases the claim has seen to it.
    let command = ["release", "gone", "--yes", "--reason", "its disk is gone"];
    let done = large.command(&command).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(store.get("/rc/line/failed/gone"), None);
    for host in [&waits, &large] {
        host.wait_until("the reboot command", || host.reboots() == 1);
    }
}
