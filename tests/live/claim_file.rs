//! `claim` in the run_dir, by which the scripts of packages know whether they may restart the daemon.

use std::fs;

use etcd_test_server::{Action, Gate, Proxy};

use crate::host::{Host, wait};
use crate::store::{Store, first_commit, is_commit};

/// The word that stands there, when it is of the daemon that runs.
fn word(host: &Host) -> String {
    let text = fs::read_to_string(host.path("run/claim")).unwrap_or_default();
    match text.trim_end().split_once(' ') {
        Some((word, pid)) if text.ends_with('\n') && pid == host.pid().to_string() => word.into(),
        _ => format!("not of this daemon: {text:?}"),
    }
}

fn wait_word(host: &Host, wanted: &str) {
    host.wait_until(wanted, || word(host) == wanted);
}

#[test]
fn it_says_committed_from_before_the_commit_until_the_release() {
    let (cluster, store) = Store::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let gate = Gate::new();
    proxy.rule(first_commit(Action::HoldUntil(gate.clone())));
    let mut host = Host::new("node-a", &[proxy.url()]).with("etcd_timeout_sec", "20");
    host.touch("block-pre-lock");
    host.touch("block-post-lock");
    host.start();
    host.wait_reached("pre-lock");
    assert_eq!(word(&host), "none");
    host.remove("block-pre-lock");
    host.wait_reached("post-lock");
    assert_eq!(word(&host), "queued");
    host.remove("block-post-lock");
    assert!(wait(|| proxy.requests().iter().any(is_commit)));
    // etcd has not seen the commit yet.
    assert_eq!(word(&host), "committed");
    gate.open();
    host.wait_reached("reboot");

    host.touch("block-post-boot");
    host.reboot();
    host.wait_reached("post-boot");
    assert_eq!(word(&host), "committed");
    let pid = host.pid();
    host.kill();
    // What a dead process said stays, with its number.
    let text = fs::read_to_string(host.path("run/claim")).unwrap();
    assert_eq!(text, format!("committed {pid}\n"));
    host.start();
    host.wait_reached("post-boot");
    wait_word(&host, "committed");
    host.remove("block-post-boot");
    store.wait_gone("node-a");
    wait_word(&host, "none");
    host.stop();
}

#[test]
fn it_says_unknown_while_etcd_has_not_been_asked() {
    let mut host = Host::new("node-a", &["http://127.0.0.1:1".to_owned()]);
    host.start();
    host.wait_event("etcd_error");
    assert_eq!(word(&host), "unknown");
    host.stop();
}
