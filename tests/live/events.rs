//! What the event hook and the log are told of: the node's own transitions, and endpoints of etcd that fail.

use std::fs;
use std::path::Path;
use std::time::Duration;

use etcd_test_server::{Cluster, Proxy};

use crate::host::Host;

#[test]
fn the_event_hook_is_told_of_a_reboot_and_nobody_waits_for_it() {
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    let told = host.path("told");
    // It never ends when it is told of the commit.
    let hook = format!(
        "echo \"$RC_EVENT_NAME\" >>{0}; cat >>{0}.json; [ \"$RC_EVENT_NAME\" != committed ] || sleep 600",
        told.display()
    );
    host.set(
        "event_hook",
        &format!("{{command: [/bin/sh, -c, {hook:?}]}}"),
    );
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    let names = || fs::read_to_string(&told).unwrap_or_default();
    host.wait_until("the first event", || names() == "committed\n");
    host.reboot();
    host.wait_event("released");
    host.wait_until("the last event", || {
        names() == "committed\nback\nreleased\n"
    });
    host.stop();
    let json = fs::read_to_string(told.with_extension("json")).unwrap();
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["outcome"]),
        (&"released".into(), &"completed".into())
    );
    // A new file counts at once, and a program that is not there is told of and holds up nothing.
    host.set("event_hook", "{command: [/nowhere/hook]}");
    host.touch("required");
    host.start();
    host.wait_until("another reboot command", || host.reboots() == 2);
    assert_eq!(
        host.wait_event("event_hook_failed")["result"],
        "not_started"
    );
}

/// A host whose event hook takes its time: it says that it began, waits while `block-event` is there, and says that it ended.
fn told_slowly(cluster: &Cluster) -> Host {
    let mut host = Host::new("node-a", &cluster.endpoints());
    let hook = format!(
        "cd {}; echo $$ >began; while [ -e block-event ]; do sleep 0.05; done; sleep 2; echo \"$RC_EVENT_NAME\" >>ended",
        host.path("").display()
    );
    host.set(
        "event_hook",
        &format!("{{command: [/bin/sh, -c, {hook:?}]}}"),
    );
    host
}

#[test]
fn a_stop_ends_the_event_hook_and_does_not_wait_for_it() {
    let cluster = Cluster::single();
    let mut host = told_slowly(&cluster);
    host.touch("block-event");
    host.start();
    host.wait_until("the hook", || {
        fs::read_to_string(host.path("began")).is_ok_and(|pid| pid.ends_with('\n'))
    });
    let pid = fs::read_to_string(host.path("began")).unwrap();
    let took = host.stop();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "{pid}");
    assert!(!host.exists("ended"));
}

#[test]
fn a_single_pass_waits_for_its_event_hook() {
    let cluster = Cluster::single();
    let mut host = told_slowly(&cluster);
    host.start_with(&["run", "--once"]);
    host.wait_exit();
    assert_eq!(host.reboots(), 1);
    let ended = fs::read_to_string(host.path("ended")).unwrap_or_default();
    assert_eq!(ended, "committed\n", "{}", host.log());
}

#[test]
fn an_endpoint_that_is_passed_over_is_named_once_and_shown() {
    let cluster = Cluster::single();
    let (first, second) = (
        Proxy::new(cluster.client_address(0)),
        Proxy::new(cluster.client_address(0)),
    );
    let urls = [first.url(), second.url()];
    let mut host =
        Host::new("node-a", &urls).with("metrics", "{enabled: true, listen: '127.0.0.1:0'}");
    host.remove("required");
    host.start();
    host.wait_event("healthy");
    let verbose = || {
        let output = host.command(&["status", "--verbose"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let works = format!("{} works etcd {}", urls[0], cluster.version());
    host.wait_until("an endpoint that works", || verbose().contains(&works));
    first.refuse();
    first.cut_all();
    host.wait_event("etcd_endpoint");
    host.wait_until("one that fails", || {
        verbose().contains(&format!("{} fails failed", urls[0]))
    });
    assert!(
        verbose().contains("as the daemon of this node finds them"),
        "{}",
        verbose()
    );
    // Whatever comes after that, it is one line a cause.
    let passes = |host: &Host| {
        host.events()
            .iter()
            .filter(|it| it["event"] == "detector")
            .count()
    };
    let seen = passes(&host);
    host.wait_until("some passes", || passes(&host) > seen + 10);
    let lines: Vec<String> = host
        .events()
        .iter()
        .filter(|line| line["event"] == "etcd_endpoint")
        .map(|line| line["cause"].as_str().unwrap().to_owned())
        .collect();
    let mut causes = lines.clone();
    causes.sort();
    causes.dedup();
    assert_eq!(causes.len(), lines.len(), "{lines:?}");
}
