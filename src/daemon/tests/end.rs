//! The end of one pass.

use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lab::{LIMIT, Lab};
use crate::core::Mode;

/// etcd answers no more when the pass leaves what came of it.
#[test]
fn a_stop_does_not_wait_for_what_a_pass_leaves_and_nobody_waits_for_ever() {
    let mut lab = Lab::new();
    lab.remove("required");
    lab.set("etcd_timeout_sec", "15");
    let standing = STANDARD.encode("/rc/standing/a");
    let (asked, is_asked) = channel();
    let (release, hangs) = channel::<()>();
    lab.etcd.before(move |path, body| {
        if path.ends_with("/range") && body["key"] == standing {
            let _ = asked.send(());
            let _ = hangs.recv();
        }
        true
    });
    let wait = Duration::ZERO;
    lab.start_as(Mode::Once { wait }, false);
    is_asked.recv_timeout(LIMIT).unwrap();
    let took = lab.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(release);
    lab.set("etcd_timeout_sec", "0.2");
    let (mut daemon, events) = lab.daemon();
    let (_never, left) = channel();
    let why = daemon.wait_until_left(&left, &events).unwrap_err();
    assert!(why.contains("etcd_timeout_sec"), "{why}");
    assert!(daemon.stopped_at.is_none());
}
