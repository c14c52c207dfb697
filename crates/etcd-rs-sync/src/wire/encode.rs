//! Requests to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{MAX_REPLY_BYTES, SMALL_REPLY_BYTES};
use crate::items::WatchRequest;
use crate::{Compare, Delete, Is, Keys, Op, Order, Put, Range, Request, Target, Txn};

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
        Request::Grant { id, ttl_sec } => {
            // Upper case, as the protobuf fields are.
            let mut fields = Fields::default();
            fields.int("TTL", *ttl_sec);
            fields.int("ID", *id);
            fields.done()
        }
        Request::Revoke { id } | Request::KeepAlive { id } => json!({"ID": id.to_string()}),
        Request::TimeToLive { id, keys } => {
            let mut fields = Fields::default();
            fields.int("ID", *id);
            fields.flag("keys", *keys);
            fields.done()
        }
        Request::Compact { revision } => json!({"revision": revision.to_string()}),
        Request::Status | Request::Members => json!({}),
    }
}

/// The body that opens a watch at `start_revision`; 0 for "from now on".
pub(crate) fn watch(request: &WatchRequest, start_revision: i64) -> Value {
    let mut fields = Fields::default();
    fields.keys(&request.keys);
    fields.int("start_revision", start_revision);
    fields.flag("prev_kv", request.prev_kv);
    fields.flag("progress_notify", request.progress_notify);
    json!({"create_request": fields.done()})
}

/// The body that asks for a token.
pub(crate) fn authenticate(user: &str, password: &str) -> Value {
    json!({"name": user, "password": password})
}

fn encode_range(range: &Range) -> Value {
    let mut fields = Fields::default();
    fields.keys(&range.keys);
    fields.int("limit", range.limit);
    fields.int("revision", range.revision);
    fields.flag("serializable", range.serializable);
    fields.flag("keys_only", range.keys_only);
    fields.flag("count_only", range.count_only);
    fields.int("max_create_revision", range.max_create_revision);
    let order = match range.order {
        Order::Key => None, // what etcd does by itself
        Order::CreateRevision => Some(("CREATE", "ASCEND")),
        Order::CreateRevisionDescending => Some(("CREATE", "DESCEND")),
        Order::ModRevision => Some(("MOD", "ASCEND")),
    };
    if let Some((target, direction)) = order {
        fields.set("sort_target", target);
        fields.set("sort_order", direction);
    }
    fields.done()
}

fn encode_put(put: &Put) -> Value {
    let mut fields = Fields::default();
    fields.bytes("key", &put.key);
    if !put.value.is_empty() {
        fields.bytes("value", &put.value);
    }
    fields.int("lease", put.lease);
    fields.flag("prev_kv", put.prev_kv);
    fields.flag("ignore_lease", put.ignore_lease);
    fields.flag("ignore_value", put.ignore_value);
    fields.done()
}

fn encode_delete(delete: &Delete) -> Value {
    let mut fields = Fields::default();
    fields.keys(&delete.keys);
    fields.flag("prev_kv", delete.prev_kv);
    fields.done()
}

fn encode_txn(txn: &Txn) -> Value {
    json!({
        "compare": txn.compares.iter().map(encode_compare).collect::<Vec<_>>(),
        "success": txn.success.iter().map(encode_op).collect::<Vec<_>>(),
        "failure": txn.failure.iter().map(encode_op).collect::<Vec<_>>(),
    })
}

fn encode_compare(compare: &Compare) -> Value {
    let mut fields = Fields::default();
    fields.keys(&compare.keys);
    fields.set(
        "result",
        match compare.result {
            Is::Equal => "EQUAL",
            Is::Greater => "GREATER",
            Is::Less => "LESS",
            Is::NotEqual => "NOT_EQUAL",
        },
    );
    // The value is written even when it is zero: it is one of several alternatives, and its presence says which.
    let (target, field, value) = match &compare.target {
        Target::CreateRevision(n) => ("CREATE", "create_revision", n.to_string()),
        Target::ModRevision(n) => ("MOD", "mod_revision", n.to_string()),
        Target::Version(n) => ("VERSION", "version", n.to_string()),
        Target::Lease(n) => ("LEASE", "lease", n.to_string()),
        Target::Value(bytes) => ("VALUE", "value", STANDARD.encode(bytes)),
    };
    fields.set("target", target);
    fields.set(field, &value);
    fields.done()
}

fn encode_op(op: &Op) -> Value {
    match op {
        Op::Range(range) => json!({"request_range": encode_range(range)}),
        Op::Put(put) => json!({"request_put": encode_put(put)}),
        Op::Delete(delete) => json!({"request_delete_range": encode_delete(delete)}),
        Op::Txn(txn) => json!({"request_txn": encode_txn(txn)}),
    }
}

/// An object under construction. Zero and false are left out, as they are what absence means.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &str, text: &str) {
        self.0.insert(field.to_owned(), text.into());
    }

    /// Integers go as strings: a JSON number is exact only up to 2^53 for some readers.
    fn int(&mut self, field: &str, n: i64) {
        if n != 0 {
            self.set(field, &n.to_string());
        }
    }

    fn flag(&mut self, field: &str, on: bool) {
        if on {
            self.0.insert(field.to_owned(), true.into());
        }
    }

    fn bytes(&mut self, field: &str, bytes: &[u8]) {
        self.set(field, &STANDARD.encode(bytes));
    }

    fn keys(&mut self, keys: &Keys) {
        self.bytes("key", &keys.key);
        if !keys.range_end.is_empty() {
            self.bytes("range_end", &keys.range_end);
        }
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests;
