//! Requests to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{MAX_REPLY_BYTES, SMALL_REPLY_BYTES};
use crate::items::WatchRequest;
use crate::{Compare, Delete, Is, Op, Order, Put, Range, Request, Target, Txn};

/// Where a request is posted, for etcd 3.4 and later.
pub(crate) fn path(request: &Request) -> &'static str {
    match request {
        Request::Range(_) => "/v3/kv/range",
        Request::Put(_) => "/v3/kv/put",
        Request::Delete(_) => "/v3/kv/deleterange",
        Request::Txn(_) => "/v3/kv/txn",
        Request::Grant { .. } => "/v3/lease/grant",
        Request::Revoke { .. } => "/v3/lease/revoke",
        Request::KeepAlive { .. } => "/v3/lease/keepalive",
        Request::TimeToLive { .. } => "/v3/lease/timetolive",
        Request::Compact { .. } => "/v3/kv/compaction",
        Request::Status => "/v3/maintenance/status",
        Request::Members => "/v3/cluster/member/list",
    }
}

/// The most bytes of an answer that are read. A page of a fleet's records is the largest; most answers are a few hundred bytes.
pub(crate) fn longest_reply(request: &Request) -> u64 {
    match request {
        Request::Range(_) | Request::Txn(_) | Request::Delete(_) => MAX_REPLY_BYTES,
        Request::TimeToLive { keys: true, .. } | Request::Members | Request::Put(_) => {
            2 * 1024 * 1024
        }
        _ => SMALL_REPLY_BYTES,
    }
}

/// A request's body.
pub(crate) fn body(request: &Request) -> Value {
    match request {
        Request::Range(range) => encode_range(range),
        Request::Put(put) => encode_put(put),
        Request::Delete(delete) => encode_delete(delete),
        Request::Txn(txn) => encode_txn(txn),
        // Upper case, as the protobuf fields are.
        Request::Grant { id, ttl_sec } => object([("TTL", int(*ttl_sec)), ("ID", int(*id))]),
        Request::Revoke { id } | Request::KeepAlive { id } => json!({"ID": id.to_string()}),
        Request::TimeToLive { id, keys } => object([("ID", int(*id)), ("keys", flag(*keys))]),
        Request::Compact { revision } => json!({"revision": revision.to_string()}),
        Request::Status | Request::Members => json!({}),
    }
}

/// The body that opens a watch at `start_revision`; 0 for "from now on".
pub(crate) fn watch(request: &WatchRequest, start_revision: i64) -> Value {
    let create = object([
        ("key", bytes(&request.keys.key)),
        ("range_end", some_bytes(&request.keys.range_end)),
        ("start_revision", int(start_revision)),
        ("prev_kv", flag(request.prev_kv)),
        ("progress_notify", flag(request.progress_notify)),
    ]);
    json!({"create_request": create})
}

/// The body that asks for a token.
pub(crate) fn authenticate(user: &str, password: &str) -> Value {
    json!({"name": user, "password": password})
}

fn encode_range(range: &Range) -> Value {
    let (target, direction) = match range.order {
        Order::Key => (None, None), // what etcd does by itself
        Order::CreateRevision => (Some("CREATE"), Some("ASCEND")),
        Order::CreateRevisionDescending => (Some("CREATE"), Some("DESCEND")),
        Order::ModRevision => (Some("MOD"), Some("ASCEND")),
    };
    object([
        ("key", bytes(&range.keys.key)),
        ("range_end", some_bytes(&range.keys.range_end)),
        ("limit", int(range.limit)),
        ("revision", int(range.revision)),
        ("serializable", flag(range.serializable)),
        ("keys_only", flag(range.keys_only)),
        ("count_only", flag(range.count_only)),
        ("max_create_revision", int(range.max_create_revision)),
        ("sort_target", target.into()),
        ("sort_order", direction.into()),
    ])
}

fn encode_put(put: &Put) -> Value {
    object([
        ("key", bytes(&put.key)),
        ("value", some_bytes(&put.value)),
        ("lease", int(put.lease)),
        ("prev_kv", flag(put.prev_kv)),
        ("ignore_lease", flag(put.ignore_lease)),
        ("ignore_value", flag(put.ignore_value)),
    ])
}

fn encode_delete(delete: &Delete) -> Value {
    object([
        ("key", bytes(&delete.keys.key)),
        ("range_end", some_bytes(&delete.keys.range_end)),
        ("prev_kv", flag(delete.prev_kv)),
    ])
}

fn encode_txn(txn: &Txn) -> Value {
    json!({
        "compare": txn.compares.iter().map(encode_compare).collect::<Vec<_>>(),
        "success": txn.success.iter().map(encode_op).collect::<Vec<_>>(),
        "failure": txn.failure.iter().map(encode_op).collect::<Vec<_>>(),
    })
}

fn encode_compare(compare: &Compare) -> Value {
    let result = match compare.result {
        Is::Equal => "EQUAL",
        Is::Greater => "GREATER",
        Is::Less => "LESS",
        Is::NotEqual => "NOT_EQUAL",
    };
    // The value is written even when it is zero: it is one of several alternatives, and its presence says which.
    let (target, field, value) = match &compare.target {
        Target::CreateRevision(n) => ("CREATE", "create_revision", n.to_string().into()),
        Target::ModRevision(n) => ("MOD", "mod_revision", n.to_string().into()),
        Target::Version(n) => ("VERSION", "version", n.to_string().into()),
        Target::Lease(n) => ("LEASE", "lease", n.to_string().into()),
        Target::Value(value) => ("VALUE", "value", bytes(value)),
    };
    object([
        ("key", bytes(&compare.keys.key)),
        ("range_end", some_bytes(&compare.keys.range_end)),
        ("result", result.into()),
        ("target", target.into()),
        (field, value),
    ])
}

fn encode_op(op: &Op) -> Value {
    match op {
        Op::Range(range) => json!({"request_range": encode_range(range)}),
        Op::Put(put) => json!({"request_put": encode_put(put)}),
        Op::Delete(delete) => json!({"request_delete_range": encode_delete(delete)}),
        Op::Txn(txn) => json!({"request_txn": encode_txn(txn)}),
    }
}

/// An object of the fields that hold something. Null, which zero and false are written as, is what absence means.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let held = fields.into_iter().filter(|(_, value)| !value.is_null());
    held.map(|(field, value)| (field.to_owned(), value))
        .collect()
}

/// Integers go as strings: a JSON number is exact only up to 2^53 for some readers.
fn int(n: i64) -> Value {
    Some(n.to_string()).filter(|_| n != 0).into()
}

fn flag(on: bool) -> Value {
    on.then_some(true).into()
}

fn bytes(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

fn some_bytes(some: &[u8]) -> Value {
    Some(bytes(some)).filter(|_| !some.is_empty()).into()
}

#[cfg(test)]
mod tests;
