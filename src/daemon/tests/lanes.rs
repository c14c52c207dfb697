//! The connections to etcd, one by one.

use std::time::Duration;

use etcd_rs_sync::{Keys, Reply, Request, TlsOptions};
use serde_json::json;

use super::lab::{Lab, input, wait};
use crate::core::{Input, Mode, Ticket, WatchEvent};
use crate::etcd;

#[test]
fn each_lane_answers_as_itself() {
    let lab = Lab::new();
    let (daemon, events) = lab.daemon();
    let grant = Request::Grant { id: 7, ttl_sec: 60 };
    let lanes = &daemon.lanes;
    assert!(lanes.send(&lanes.main, Ticket(1), grant).is_none());
    let found = input(&events);
    assert!(
        matches!(found, Input::Etcd(Ticket(1), Ok(Reply::Grant(_)))),
        "{found:?}"
    );
    let renewal = || Request::KeepAlive { id: 7 };
    let sent = lanes.send(&lanes.keepalive, Ticket(2), renewal());
    assert!(sent.is_none());
    let found = input(&events);
    assert!(
        matches!(found, Input::Renewed(Ticket(2), Ok(Reply::KeepAlive(_)))),
        "{found:?}"
    );
    let sent = lanes.send(&lanes.reports, Ticket(3), renewal());
    assert!(sent.is_none());
    let found = input(&events);
    assert!(
        matches!(found, Input::Reported(Ticket(3), Ok(Reply::KeepAlive(_)))),
        "{found:?}"
    );
}

#[test]
fn a_watch_begins_where_it_is_told_is_opened_anew_when_it_is_silent_and_ends_with_its_lanes() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    lab.etcd.put("/rc/x", &json!("before"));
    let from = |revision| Some((Ticket(1), Keys::one("/rc/x"), revision));
    assert!(daemon.lanes.watch(from(2)).is_none());
    let told = [input(&events), input(&events)];
    assert!(
        matches!(&told[1], Input::Watch(Ticket(1), WatchEvent::Written(key, 2, _)) if key == b"/rc/x"),
        "{told:?}"
    );
    let opened = || lab.etcd.watches().1;
    assert_eq!(opened(), 1);
    daemon.lanes.silence_limit = Duration::from_millis(50);
    daemon.lanes.watch(from(0));
    wait("a third stream", || (opened() >= 3).then_some(()));
    // One that silence does not end: it is there until somebody ends it.
    daemon.lanes.silence_limit = Duration::from_secs(3600);
    daemon.lanes.watch(from(0));
    wait("the last one alone", || {
        (lab.etcd.watches().0 == 1).then_some(())
    });
    drop(daemon);
    wait("the end of the watch", || {
        (lab.etcd.watches().0 == 0).then_some(())
    });
}

#[test]
fn lanes_know_by_what_they_go() {
    let lab = Lab::new();
    let (daemon, _events) = lab.daemon();
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let mut options = etcd::options(&config).unwrap();
    assert!(daemon.lanes.go_by(&options));
    // Certificates that were replaced on disk are in use without a reload.
    let ca = include_str!("../../config/tests/tls/ca.crt");
    let replaced = TlsOptions {
        ca_pem: Some(ca.into()),
        client_pem: None,
        insecure_skip_verify: false,
    };
    daemon.lanes.client.set_tls(replaced.clone()).unwrap();
    assert!(!daemon.lanes.go_by(&options));
    options.tls = Some(replaced);
    assert!(daemon.lanes.go_by(&options));
    options.timeout *= 2;
    assert!(!daemon.lanes.go_by(&options));
}
