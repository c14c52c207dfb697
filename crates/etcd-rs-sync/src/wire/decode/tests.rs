//! Replies of both dialects, and what must never pass for one.

use super::*;
use crate::{Compare, Delete, Keys, Put, Range};

const HEADER: &str = r#""header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"5","raft_term":"2"}"#;

fn read(request: &Request, fields: &str) -> Shape<Reply> {
    reply(request, format!("{{{HEADER}{fields}}}").as_bytes())
}

fn requests() -> Vec<Request> {
    let guarded = Txn {
        compares: vec![Compare::create_revision(Keys::one("k"), 0)],
        success: vec![Op::Put(Put::new("k", "v", 0))],
        failure: vec![Op::Range(Range::of(Keys::one("k")))],
    };
    vec![
        Request::Range(Range::of(Keys::one("k"))),
        Request::Put(Put::new("k", "v", 0)),
        Request::Delete(Delete::of(Keys::one("k"))),
        Request::Txn(guarded),
        Request::Grant { id: 7, ttl_sec: 60 },
        Request::Revoke { id: 7 },
        Request::KeepAlive { id: 7 },
        Request::TimeToLive { id: 7, keys: true },
        Request::Compact { revision: 3 },
        Request::Status,
        Request::Members,
    ]
}

#[test]
fn nothing_odd_passes_for_a_reply() {
    let odd = [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "true",
        "\"ok\"",
        "{\"header\":{}}",
        "{\"header\":null}",
        "{\"header\":[]}",
        "{\"header\":{\"member_id\":\"x\"}}",
        "{\"header\":{\"member_id\":\"2\",\"revision\":\"9223372036854775807\"},\"count\":\"0\"}",
        "{\"error\":\"x\",\"code\":3}",
        "{\"error\":{\"code\":14}}",
        "{\"result\":{}}",
        "<html>",
        "{\"header\":{\"member_id\":\"2\"",
    ];
    for request in requests() {
        for body in odd {
            assert!(
                reply(&request, body.as_bytes()).is_err(),
                "{request:?} {body}"
            );
        }
    }
}

#[test]
fn trailing_garbage_is_an_error() {
    for request in requests() {
        if !matches!(request, Request::KeepAlive { .. }) {
            assert!(reply(&request, format!("{{{HEADER}}} x").as_bytes()).is_err());
        }
    }
}

#[test]
fn a_bare_header_is_enough_only_where_every_field_may_be_zero() {
    for request in requests() {
        let enough = matches!(
            request,
            Request::Range(_)
                | Request::Put(_)
                | Request::Delete(_)
                | Request::Revoke { .. }
                | Request::Compact { .. }
                | Request::Status
                | Request::Members
        );
        assert_eq!(read(&request, "").is_ok(), enough, "{request:?}");
    }
}

#[test]
fn a_transaction_reply_must_fit_the_branch_that_ran() {
    let Some(request) = requests()
        .into_iter()
        .find(|r| matches!(r, Request::Txn(_)))
    else {
        unreachable!("the list has a transaction");
    };
    let put = r#"{"response_put":{"header":{"revision":"5"}}}"#;
    let range = r#"{"response_range":{"header":{"revision":"5"}}}"#;
    let won = read(
        &request,
        &format!(r#","succeeded":true,"responses":[{put}]"#),
    )
    .unwrap();
    assert!(matches!(
        won,
        Reply::Txn(TxnReply {
            succeeded: true,
            ..
        })
    ));
    let lost = read(&request, &format!(r#", "responses":[{range}]"#)).unwrap();
    assert!(matches!(
        lost,
        Reply::Txn(TxnReply {
            succeeded: false,
            ..
        })
    ));
    for odd in [
        r#","succeeded":true"#.to_owned(),
        format!(r#","succeeded":true,"responses":[{put},{put}]"#),
        format!(r#","succeeded":true,"responses":[{range}]"#),
        format!(r#","responses":[{put}]"#),
        format!(r#","succeeded":"true","responses":[{put}]"#),
        format!(r#","succeeded":1,"responses":[{put}]"#),
        r#","succeeded":true,"responses":[{}]"#.to_owned(),
        r#","succeeded":true,"responses":{}"#.to_owned(),
    ] {
        assert!(read(&request, &odd).is_err(), "{odd}");
    }
    let unguarded = Request::Txn(Txn::default());
    assert!(read(&unguarded, r#","succeeded":true"#).is_ok());
    assert!(read(&unguarded, "").is_err());
}

#[test]
fn pairs_need_a_key_and_possible_revisions() {
    let request = Request::Range(Range::of(Keys::one("k")));
    let good = r#"{"key":"aw==","create_revision":"2","mod_revision":3,"version":"2","value":"dg==","lease":"-9"}"#;
    let Reply::Range(reply) = read(&request, &format!(r#","kvs":[{good}],"count":"1""#)).unwrap()
    else {
        panic!("a range is answered with a range");
    };
    let pair = &reply.kvs[0];
    assert_eq!(
        (pair.create_revision, pair.mod_revision, pair.lease),
        (2, 3, -9)
    );
    for odd in [
        "{}",
        r#"{"key":"aw=="}"#,
        r#"{"key":"aw","create_revision":"2","mod_revision":"3","version":"2"}"#,
        r#"{"key":"aw==","create_revision":"4","mod_revision":"3","version":"2"}"#,
        "7",
    ] {
        assert!(
            read(&request, &format!(r#","kvs":[{odd}],"count":"1""#)).is_err(),
            "{odd}"
        );
    }
    assert!(
        read(&request, &format!(r#","kvs":[{good}]"#)).is_err(),
        "no count"
    );
}

#[test]
fn a_lease_answer_must_be_about_the_lease_asked_for() {
    let grant = Request::Grant { id: 7, ttl_sec: 60 };
    assert!(read(&grant, r#","ID":"7","TTL":"60""#).is_ok());
    assert!(read(&grant, r#","ID":"8","TTL":"60""#).is_err());
    assert!(read(&grant, r#","ID":"7""#).is_err());
    assert!(read(&grant, r#","ID":"7","TTL":"60","error":"x""#).is_err());

    let keep = Request::KeepAlive { id: 7 };
    let renewed = |fields: &str| {
        reply(
            &keep,
            format!("{{\"result\":{{{HEADER}{fields}}}}}\n").as_bytes(),
        )
    };
    let ttl = |shape: Shape<Reply>| {
        let Reply::KeepAlive(reply) = shape.unwrap() else {
            panic!("a renewal is answered with a renewal");
        };
        reply.ttl_sec
    };
    assert_eq!(ttl(renewed(r#","ID":"7","TTL":"60""#)), Some(60));
    assert_eq!(ttl(renewed(r#","ID":"7""#)), None);
    assert!(renewed(r#","ID":"8","TTL":"60""#).is_err());
    assert!(renewed("").is_err());

    let left = Request::TimeToLive { id: 7, keys: false };
    let ttl = |fields: &str| {
        let Reply::TimeToLive(reply) = read(&left, fields).unwrap() else {
            panic!("a time to live is answered with one");
        };
        reply.ttl_sec
    };
    assert_eq!(ttl(r#","ID":"7","TTL":"3","grantedTTL":"9""#), Some(3));
    assert_eq!(ttl(r#","ID":"7","grantedTTL":"9""#), Some(0));
    assert_eq!(ttl(r#","ID":"7","TTL":"-1""#), None);
}

#[test]
fn a_token_must_be_fit_for_a_header() {
    assert_eq!(auth_token(br#"{"token":"a.b"}"#).unwrap(), "a.b");
    for odd in [
        r#"{}"#,
        r#"{"token":""}"#,
        r#"{"token":"a\r\nb"}"#,
        r#"{"token":7}"#,
        "x",
    ] {
        assert!(auth_token(odd.as_bytes()).is_err(), "{odd}");
    }
}
