//! The exact spelling of every request. These strings are the contract with the server, which checks no spelling itself.

use super::*;
use crate::Keys;

fn text(request: Request) -> String {
    body(&request).to_string()
}

fn guard(result: Is, target: Target) -> String {
    encode_compare(&Compare {
        keys: Keys::one("k"),
        result,
        target,
    })
    .to_string()
}

#[test]
fn every_guard_is_spelt_exactly() {
    let cases = [
        (
            Target::CreateRevision(0),
            r#"{"create_revision":"0","key":"aw==","result":"EQUAL","target":"CREATE"}"#,
        ),
        (
            Target::ModRevision(7),
            r#"{"key":"aw==","mod_revision":"7","result":"EQUAL","target":"MOD"}"#,
        ),
        (
            Target::Version(0),
            r#"{"key":"aw==","result":"EQUAL","target":"VERSION","version":"0"}"#,
        ),
        (
            Target::Lease(i64::MAX),
            r#"{"key":"aw==","lease":"9223372036854775807","result":"EQUAL","target":"LEASE"}"#,
        ),
        (
            Target::Value(b"v".to_vec()),
            r#"{"key":"aw==","result":"EQUAL","target":"VALUE","value":"dg=="}"#,
        ),
        (
            Target::Value(Vec::new()),
            r#"{"key":"aw==","result":"EQUAL","target":"VALUE","value":""}"#,
        ),
    ];
    for (target, expected) in cases {
        assert_eq!(guard(Is::Equal, target), expected);
    }
    for (result, word) in [
        (Is::Equal, "EQUAL"),
        (Is::Greater, "GREATER"),
        (Is::Less, "LESS"),
        (Is::NotEqual, "NOT_EQUAL"),
    ] {
        assert_eq!(
            guard(result, Target::ModRevision(1)),
            format!(r#"{{"key":"aw==","mod_revision":"1","result":"{word}","target":"MOD"}}"#)
        );
    }
}

#[test]
fn a_guard_over_a_range_carries_its_end() {
    let compare = Compare::mod_revision(Keys::prefix("a/"), 0);
    assert_eq!(
        encode_compare(&compare).to_string(),
        r#"{"key":"YS8=","mod_revision":"0","range_end":"YTA=","result":"EQUAL","target":"MOD"}"#
    );
}

#[test]
fn a_transaction_is_spelt_exactly() {
    let txn = Txn {
        compares: vec![Compare::create_revision(Keys::one("k"), 0)],
        success: vec![
            Op::Put(Put::new("k", "v", 12)),
            Op::Delete(Delete::of(Keys::one("k"))),
            Op::Txn(Txn::default()),
        ],
        failure: vec![Op::Range(Range::of(Keys::one("k")))],
    };
    assert_eq!(
        text(Request::Txn(txn)),
        concat!(
            r#"{"compare":[{"create_revision":"0","key":"aw==","result":"EQUAL","target":"CREATE"}],"#,
            r#""failure":[{"request_range":{"key":"aw=="}}],"#,
            r#""success":[{"request_put":{"key":"aw==","lease":"12","value":"dg=="}},"#,
            r#"{"request_delete_range":{"key":"aw=="}},"#,
            r#"{"request_txn":{"compare":[],"failure":[],"success":[]}}]}"#
        )
    );
}

#[test]
fn every_other_request_is_spelt_exactly() {
    let range = Range {
        limit: 5,
        revision: 9,
        serializable: true,
        keys_only: true,
        count_only: true,
        order: Order::CreateRevision,
        max_create_revision: 4,
        ..Range::of(Keys::prefix(""))
    };
    let by_mod = Range {
        order: Order::ModRevision,
        ..Range::of(Keys::one("k"))
    };
    let put = Put {
        prev_kv: true,
        ignore_lease: true,
        ignore_value: true,
        ..Put::new("k", "", 0)
    };
    let delete = Delete {
        keys: Keys::prefix("a"),
        prev_kv: true,
    };
    let cases = [
        (
            Request::Range(range),
            concat!(
                r#"{"count_only":true,"key":"AA==","keys_only":true,"limit":"5","max_create_revision":"4","#,
                r#""range_end":"AA==","revision":"9","serializable":true,"sort_order":"ASCEND","sort_target":"CREATE"}"#
            ),
        ),
        (
            Request::Range(by_mod),
            r#"{"key":"aw==","sort_order":"ASCEND","sort_target":"MOD"}"#,
        ),
        (
            Request::Put(put),
            r#"{"ignore_lease":true,"ignore_value":true,"key":"aw==","prev_kv":true}"#,
        ),
        (
            Request::Delete(delete),
            r#"{"key":"YQ==","prev_kv":true,"range_end":"Yg=="}"#,
        ),
        (
            Request::Grant {
                id: 77,
                ttl_sec: 60,
            },
            r#"{"ID":"77","TTL":"60"}"#,
        ),
        (Request::Grant { id: 0, ttl_sec: 60 }, r#"{"TTL":"60"}"#),
        (Request::Revoke { id: 77 }, r#"{"ID":"77"}"#),
        (Request::KeepAlive { id: 77 }, r#"{"ID":"77"}"#),
        (
            Request::TimeToLive { id: 77, keys: true },
            r#"{"ID":"77","keys":true}"#,
        ),
        (Request::Compact { revision: 3 }, r#"{"revision":"3"}"#),
        (Request::Status, "{}"),
        (Request::Members, "{}"),
    ];
    for (request, expected) in cases {
        assert_eq!(text(request), expected);
    }
    let mut request = WatchRequest::new(Keys::one("k"));
    request.prev_kv = true;
    request.progress_notify = true;
    assert_eq!(
        watch(&request, 8).to_string(),
        r#"{"create_request":{"key":"aw==","prev_kv":true,"progress_notify":true,"start_revision":"8"}}"#
    );
}
