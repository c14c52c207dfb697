//! Replies that get lost, requests that come late, and servers that cannot be reached.

use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Compare, Error, Etcd, Keys, Op, Put, Range, Txn};
use etcd_test_server::{Action, Cluster, Gate, Proxy, Rule};

use crate::support::{LIMIT, client, client_of, each_version, eventually, single};

fn behind_proxy(cluster: &Cluster, timeout: Duration) -> (Proxy, Client) {
    let proxy = Proxy::new(cluster.client_address(0));
    let etcd = client_of(&[proxy.url()], timeout);
    eventually("an answer within its short time", || etcd.status().ok());
    (proxy, etcd)
}

fn claim(value: &str) -> Txn {
    Txn {
        compares: vec![Compare::create_revision(Keys::one("claim"), 0)],
        success: vec![Op::Put(Put::new("claim", value, 0))],
        failure: vec![Op::Range(Range::of(Keys::one("claim")))],
    }
}

#[test]
fn a_write_is_sent_once_and_a_lost_reply_is_an_unknown_outcome() {
    each_version(|version| {
        let cluster = single(version);
        let direct = client(&cluster);
        let proxy = Proxy::new(cluster.client_address(0));
        // A second endpoint that works is no reason to send a write again.
        let etcd = client_of(&[proxy.url(), cluster.client_url(0).to_owned()], LIMIT);
        etcd.status().unwrap();
        proxy.rule(Rule::on("kv/txn", Action::CutReply));
        let lost = etcd.txn(claim("a"));
        assert!(
            matches!(lost, Err(Error::OutcomeUnknown { .. })),
            "{lost:?}"
        );
        assert_eq!(proxy.count("kv/txn"), 1);
        assert_eq!(
            direct.range(Range::of(Keys::one("claim"))).unwrap().kvs[0].version,
            1
        );

        let etcd = client_of(&[proxy.url(), cluster.client_url(0).to_owned()], LIMIT);
        etcd.status().unwrap();
        proxy.rule(Rule::on("kv/put", Action::CutRequest));
        let lost = etcd.put(Put::new("never", "x", 0));
        assert!(
            matches!(lost, Err(Error::OutcomeUnknown { .. })),
            "{lost:?}"
        );
        assert_eq!(proxy.count("kv/put"), 1);
        assert_eq!(
            direct.range(Range::of(Keys::one("never"))).unwrap().count,
            0
        );
    });
}

#[test]
fn what_may_be_repeated_is_repeated_at_the_next_endpoint() {
    each_version(|version| {
        let cluster = single(version);
        let proxy = Proxy::new(cluster.client_address(0));
        proxy.rule(Rule::on("/v3/", Action::CutReply));
        let etcd = || client_of(&[proxy.url(), cluster.client_url(0).to_owned()], LIMIT);
        assert_eq!(etcd().range(Range::of(Keys::one("k"))).unwrap().count, 0);
        // The first one took effect.
        let grant = etcd().grant(3, 60);
        assert!(matches!(grant, Err(Error::LeaseExists)), "{grant:?}");
        assert_eq!(etcd().keep_alive(3).unwrap().ttl_sec, Some(60));
        let revoke = etcd().revoke(3);
        assert!(matches!(revoke, Err(Error::LeaseNotFound)), "{revoke:?}");
        // Without an id of our own a second grant would be a second lease.
        let grant = etcd().grant(0, 60);
        assert!(
            matches!(grant, Err(Error::OutcomeUnknown { .. })),
            "{grant:?}"
        );
    });
}

#[test]
fn a_definite_refusal_after_a_lost_reply_does_not_make_the_first_attempt_definite() {
    each_version(|version| {
        let cluster = single(version);
        let (lossy, refusing) = (
            Proxy::new(cluster.client_address(0)),
            Proxy::new(cluster.client_address(0)),
        );
        lossy.rule(Rule::on("lease/grant", Action::CutReply));
        let body = r#"{"message":"etcdserver: permission denied","code":7}"#;
        let reply = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        refusing.rule(Rule::on("lease/grant", Action::Answer(reply.into_bytes())));
        let etcd = client_of(&[lossy.url(), refusing.url()], LIMIT);
        let grant = etcd.grant(3, 60).unwrap_err();
        assert!(matches!(grant, Error::OutcomeUnknown { .. }), "{grant:?}");
    });
}

#[test]
fn a_refused_connection_is_not_sent_and_quick() {
    each_version(|version| {
        let cluster = single(version);
        let (proxy, etcd) = behind_proxy(&cluster, LIMIT);
        proxy.refuse();
        let started = Instant::now();
        let error = etcd.put(Put::new("k", "1", 0)).unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
        assert!(started.elapsed() < LIMIT / 4);
        proxy.accept();
        etcd.put(Put::new("k", "1", 0)).unwrap();
    });
}

#[test]
fn a_connection_closed_while_idle_is_noticed_before_a_write_is_sent() {
    each_version(|version| {
        let cluster = single(version);
        let (proxy, etcd) = behind_proxy(&cluster, LIMIT);
        for n in 0..5 {
            etcd.put(Put::new("k", format!("{n}"), 0)).unwrap();
            proxy.cut_all();
        }
    });
}

/// As a firewall does that has forgotten the connection: it says so to the next request.
#[test]
fn a_connection_forgotten_while_idle_costs_what_may_be_repeated_nothing() {
    let cluster = Cluster::single();
    let (proxy, etcd) = behind_proxy(&cluster, LIMIT);
    etcd.grant(8, 60).unwrap();
    let cut = |path: &str, action: Action| proxy.rule(Rule::on(path, action).times(1));
    for path in ["kv/range", "lease/keepalive", "lease/revoke"] {
        cut(path, Action::CutRequest);
    }
    etcd.range(Range::of(Keys::one("k"))).unwrap();
    etcd.keep_alive(8).unwrap();
    etcd.revoke(8).unwrap();
    cut("kv/put", Action::CutRequest);
    let lost = etcd.put(Put::new("k", "v", 0)).unwrap_err();
    assert!(!lost.is_definite(), "{lost}");
    assert_eq!(proxy.count("kv/put"), 1);
    // What the second one is told is no verdict on the first.
    etcd.status().unwrap();
    cut("lease/grant", Action::CutReply);
    let denied = br#"{"message":"etcdserver: permission denied","code":7}"#;
    let mut reply = format!(
        "HTTP/1.1 403 No\r\nContent-Length: {}\r\n\r\n",
        denied.len()
    )
    .into_bytes();
    reply.extend(denied);
    cut("lease/grant", Action::Answer(reply));
    let grant = etcd.grant(9, 60).unwrap_err();
    assert!(matches!(grant, Error::OutcomeUnknown { .. }), "{grant:?}");
    // A new connection that is closed is no idle one.
    etcd.status().unwrap();
    let before = proxy.count("kv/range");
    proxy.rule(Rule::on("kv/range", Action::CutRequest));
    etcd.range(Range::of(Keys::one("k"))).unwrap_err();
    assert_eq!(proxy.count("kv/range"), before + 2);
}

#[test]
fn requests_one_after_another_share_a_connection() {
    each_version(|version| {
        let cluster = single(version);
        let (proxy, etcd) = behind_proxy(&cluster, LIMIT);
        etcd.grant(8, 60).unwrap();
        for _ in 0..50 {
            etcd.keep_alive(8).unwrap();
            etcd.range(Range::of(Keys::one("k"))).unwrap();
            assert!(etcd.put(Put::new("k", "x", 404)).is_err());
        }
        assert_eq!(proxy.connections(), 1);
    });
}

#[test]
fn a_write_that_comes_late_takes_effect_after_its_error() {
    each_version(|version| {
        let cluster = single(version);
        let direct = client(&cluster);
        let (proxy, etcd) = behind_proxy(&cluster, Duration::from_secs(1));
        let gate = Gate::new();
        proxy.rule(Rule::on("kv/txn", Action::HoldUntil(gate.clone())));
        let started = Instant::now();
        let lost = etcd.txn(claim("late"));
        assert!(
            matches!(lost, Err(Error::OutcomeUnknown { .. })),
            "{lost:?}"
        );
        assert!(started.elapsed() < LIMIT / 2);
        assert_eq!(
            direct.range(Range::of(Keys::one("claim"))).unwrap().count,
            0
        );
        gate.open();
        proxy.wait_released(1, LIMIT);
        // Its `Grpc-Timeout` counts from when the server sees it.
        eventually("the late write", || {
            (direct.range(Range::of(Keys::one("claim"))).unwrap().count == 1).then_some(())
        });
    });
}

#[test]
fn a_server_that_ignores_guards_is_what_a_guard_that_must_fail_finds() {
    each_version(|version| {
        let cluster = single(version);
        let (proxy, etcd) = behind_proxy(&cluster, LIMIT);
        proxy.rule(Rule {
            matches: Box::new(|request| request.contains("compare")),
            action: Action::Rewrite("\"compare\"".into(), "\"komparr\"".into()),
            times: None,
        });
        let impossible = Txn {
            compares: vec![Compare::create_revision(Keys::one("k"), i64::MAX)],
            ..Txn::default()
        };
        assert!(
            etcd.txn(impossible.clone()).unwrap().succeeded,
            "the field is unknown, so it is ignored"
        );
        proxy.clear();
        assert!(!etcd.txn(impossible).unwrap().succeeded);
    });
}

#[test]
fn a_network_that_swallows_everything_is_waited_for_within_the_bound() {
    each_version(|version| {
        let cluster = single(version);
        let (proxy, etcd) = behind_proxy(&cluster, Duration::from_millis(500));
        proxy.freeze();
        let requests = [
            etcd.put(Put::new("k", "1", 0)).err(),
            etcd.range(Range::of(Keys::one("k"))).err(),
        ];
        assert!(
            matches!(
                requests,
                // After a failure it is asked for its version before anything is sent.
                [
                    Some(Error::OutcomeUnknown { .. }),
                    Some(Error::NotSent { .. })
                ]
            ),
            "{requests:?}"
        );
        // A client that has never reached the server has sent nothing that could have an effect.
        let fresh = client_of(&[proxy.url()], Duration::from_millis(500));
        let started = Instant::now();
        let error = fresh.put(Put::new("k", "1", 0)).unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(3));
        proxy.thaw();
    });
}
