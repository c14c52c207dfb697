//! Everything etcd answers, as plain data; see the requests.

use crate::Bytes;

/// What etcd answered; the variant matches the request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`crate::Request::Range`].
    Range(RangeReply),
    /// To [`crate::Request::Put`].
    Put(PutReply),
    /// To [`crate::Request::Delete`].
    Delete(DeleteReply),
    /// To [`crate::Request::Txn`].
    Txn(TxnReply),
    /// To [`crate::Request::Grant`].
    Grant(GrantReply),
    /// To [`crate::Request::Revoke`].
    Revoke(Header),
    /// To [`crate::Request::KeepAlive`].
    KeepAlive(KeepAliveReply),
    /// To [`crate::Request::TimeToLive`].
    TimeToLive(TimeToLiveReply),
    /// To [`crate::Request::Compact`].
    Compact(Header),
    /// To [`crate::Request::Status`].
    Status(StatusReply),
    /// To [`crate::Request::Members`].
    Members(MembersReply),
}

impl Reply {
    /// Who answered, and at which revision of the store.
    pub fn header(&self) -> &Header {
        match self {
            Reply::Range(reply) => &reply.header,
            Reply::Put(reply) => &reply.header,
            Reply::Delete(reply) => &reply.header,
            Reply::Txn(reply) => &reply.header,
            Reply::Grant(reply) => &reply.header,
            Reply::Revoke(header) | Reply::Compact(header) => header,
            Reply::KeepAlive(reply) => &reply.header,
            Reply::TimeToLive(reply) => &reply.header,
            Reply::Status(reply) => &reply.header,
            Reply::Members(reply) => &reply.header,
        }
    }
}

/// Who answered, and at which revision of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster.
    pub cluster_id: u64,
    /// The member.
    pub member_id: u64,
    /// The store's revision when the request was applied.
    pub revision: i64,
    /// The member's raft term.
    pub raft_term: u64,
}

/// A key with its value and revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key.
    pub create_revision: i64,
    /// The revision that last wrote it.
    pub mod_revision: i64,
    /// Writes since creation, from 1.
    pub version: i64,
    /// The attached lease, or 0.
    pub lease: i64,
}

/// Pairs read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeReply {
    /// Who answered. Inside a transaction only the revision is set.
    pub header: Header,
    /// The pairs.
    pub kvs: Vec<KeyValue>,
    /// Whether `limit` cut the list.
    pub more: bool,
    /// How many keys the range holds.
    pub count: i64,
}

/// A put's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutReply {
    /// Who answered.
    pub header: Header,
    /// The pair as it was before, when asked for.
    pub prev_kv: Option<KeyValue>,
}

/// A delete's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteReply {
    /// Who answered.
    pub header: Header,
    /// How many keys went away.
    pub deleted: i64,
    /// The pairs as they were, when asked for.
    pub prev_kvs: Vec<KeyValue>,
}

/// A transaction's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnReply {
    /// Who answered.
    pub header: Header,
    /// Whether all compares held, so that `success` ran.
    pub succeeded: bool,
    /// One reply an operation of the branch that ran, in its order.
    pub replies: Vec<OpReply>,
}

/// One operation's answer inside a [`TxnReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpReply {
    /// To [`crate::Op::Range`].
    Range(RangeReply),
    /// To [`crate::Op::Put`].
    Put(PutReply),
    /// To [`crate::Op::Delete`].
    Delete(DeleteReply),
    /// To [`crate::Op::Txn`].
    Txn(TxnReply),
}

/// A granted lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantReply {
    /// Who answered.
    pub header: Header,
    /// The lease.
    pub id: i64,
    /// The TTL the server set, seconds; it may be more than was asked.
    pub ttl_sec: i64,
}

/// A renewal's answer. **A hint, not a proof**: after a leader change it can be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAliveReply {
    /// Who answered.
    pub header: Header,
    /// The lease.
    pub id: i64,
    /// Seconds to live; `None` when the lease is gone.
    pub ttl_sec: Option<i64>,
}

/// A lease's remaining life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeToLiveReply {
    /// Who answered.
    pub header: Header,
    /// The lease.
    pub id: i64,
    /// Seconds left, 0 in the last second; `None` when the lease is gone.
    pub ttl_sec: Option<i64>,
    /// The TTL it was granted with.
    pub granted_ttl_sec: i64,
    /// Its keys, when asked for.
    pub keys: Vec<Bytes>,
}

/// A member's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusReply {
    /// Who answered.
    pub header: Header,
    /// Server version, such as `3.5.16`.
    pub version: String,
    /// Size of its database, bytes.
    pub db_size: i64,
    /// The leader's member id, 0 for none.
    pub leader: u64,
}

/// The cluster's members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersReply {
    /// Who answered.
    pub header: Header,
    /// The members.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name; empty before it first started.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Where members reach it.
    pub peer_urls: Vec<String>,
}
