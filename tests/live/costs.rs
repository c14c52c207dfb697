//! What a turn and a reboot cost etcd, counted: that does not depend on how busy the machine is.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use etcd_test_server::{HttpRequest, Proxy};

use crate::host::Host;
use crate::store::Store;

/// From the release before it to the reboot command: the gates' read and the commit; beside them, at times, its health report.
const TURN: usize = 3;
/// From the start of the daemon to the release, as docs/performance.md says.
const REBOOT: usize = 21;

/// Without what follows the clock: renewals, looks at etcd's version, and what the node says of itself on a line of its own.
fn coordination(requests: &[HttpRequest]) -> Vec<String> {
    let own_words = BASE64_STANDARD.encode("/rc/standing/node-a");
    let aside = |it: &HttpRequest| {
        it.path == "/version" || it.path == "/v3/lease/keepalive" || it.contains(&own_words)
    };
    let counted = requests.iter().filter(|request| !aside(request));
    counted.map(|request| request.path.clone()).collect()
}

#[test]
fn a_turn_and_a_reboot_cost_no_more_requests_than_agreed() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let proxy = Proxy::new(cluster.client_address(0));
    // As by default: it does not look again meanwhile.
    let mut host = Host::new("node-a", &[proxy.url()])
        .with("check_interval_sec", "60")
        .with("lock_ttl_sec", "60");
    host.start();
    host.wait_event("queued");
    store.wait("its word that it waits", || {
        let standing = store.get("/rc/standing/node-a");
        standing.is_some_and(|standing| standing.to_string().contains("queued"))
    });
    let queued = coordination(&proxy.requests()).len();
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
    let turn = coordination(&proxy.requests()).split_off(queued);
    host.reboot();
    host.wait_event("released");
    // Whether it requires another one is looked at once afterwards.
    let requests = proxy.requests();
    let history = BASE64_STANDARD.encode("/rc/history/");
    let release = requests.iter().rposition(|it| it.contains(&history));
    let reboot = coordination(&requests[..=release.expect("it was released")]);
    println!("a turn: {}, a reboot: {}", turn.len(), reboot.len());
    assert!((2..=TURN).contains(&turn.len()), "{turn:#?}");
    assert!(reboot.len() <= REBOOT, "{reboot:#?}");
    let document = include_str!("../../docs/performance.md");
    assert!(document.contains(&format!("at most {REBOOT} requests")));
}

fn threads(host: &Host) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
    // One that has ended meanwhile has no name any more.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn a_thread_begins_with_what_it_is_for() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    store.wait("its word that it idles", || {
        let standing = store.get("/rc/standing/node-a");
        standing.is_some_and(|standing| standing.to_string().contains("idle"))
    });
    let idle = threads(&host);
    assert!(idle.contains(&"etcd".to_owned()), "{idle:?}");
    for missing in ["keepalive", "watch", "certificates", "http"] {
        assert!(!idle.contains(&missing.to_owned()), "{idle:?}");
    }
    host.touch("required");
    host.wait_event("queued");
    host.wait_until("a watch and a renewed lease", || {
        let waiting = threads(&host);
        ["keepalive", "watch"]
            .iter()
            .all(|name| waiting.contains(&(*name).to_owned()))
    });
}
