//! An etcd of one process and virtual time: the same answers as the real one, and its known weaknesses on demand.

mod lease;
mod store;
mod valid;

use std::collections::BTreeMap;
use std::sync::Mutex;

use etcd_rs_sync::{Error, Etcd, Header, KeyValue, Reply, Request};

pub use lease::Lease;

use crate::Time;

/// One key's change, in the order of revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision that made it.
    pub revision: i64,
    /// The key.
    pub key: Vec<u8>,
    /// The pair before, if there was one.
    pub before: Option<KeyValue>,
    /// The pair after; `None` for a deletion.
    pub after: Option<KeyValue>,
}

/// The store with its leases. Time is an argument of every call.
#[derive(Clone, Debug)]
pub struct FakeEtcd {
    keys: BTreeMap<Vec<u8>, KeyValue>,
    leases: BTreeMap<i64, Lease>,
    revision: i64,
    compacted: i64,
    log: Vec<Change>,
    /// Whether the database is full: grants and transactions that could put are refused.
    pub no_space: bool,
    /// How many of those are applied all the same, as the write is with which the real one becomes full.
    pub applied_in_full: u32,
    /// Whether guards are not understood: every transaction runs its success branch.
    pub ignores_guards: bool,
    /// The least TTL granted, seconds.
    pub min_ttl_sec: i64,
    term: u64,
}

impl Default for FakeEtcd {
    fn default() -> FakeEtcd {
        FakeEtcd {
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            revision: 1,
            compacted: -1, // so that a first compaction at 0 is taken, as by the real one
            log: Vec::new(),
            no_space: false,
            applied_in_full: 0,
            ignores_guards: false,
            min_ttl_sec: 2,
            term: 2,
        }
    }
}

impl FakeEtcd {
    /// Performs a request at this moment.
    ///
    /// # Errors
    /// As the real one.
    pub fn apply(&mut self, now: Time, request: &Request) -> Result<Reply, Error> {
        valid::check(request)?;
        if self.no_space && needs_space(request) {
            if self.applied_in_full > 0 {
                self.applied_in_full -= 1;
                self.perform(now, request)?;
            }
            return Err(rejected(
                429,
                8,
                "etcdserver: mvcc: database space exceeded",
            ));
        }
        self.perform(now, request)
    }

    fn perform(&mut self, now: Time, request: &Request) -> Result<Reply, Error> {
        match request {
            Request::Range(range) => self.range(range).map(Reply::Range),
            Request::Put(put) => self.put_request(put).map(Reply::Put),
            Request::Delete(delete) => Ok(Reply::Delete(self.delete_request(delete))),
            Request::Txn(txn) => self.txn_request(txn).map(Reply::Txn),
            Request::Grant { id, ttl_sec } => self.grant(now, *id, *ttl_sec),
            Request::Revoke { id } => self.revoke(*id),
            Request::KeepAlive { id } => Ok(self.keep_alive(now, *id)),
            Request::TimeToLive { id, keys } => Ok(self.time_to_live(now, *id, *keys)),
            Request::Compact { revision } => self.compact(*revision),
            Request::Status => Ok(self.status()),
            Request::Members => Ok(Reply::Members(etcd_rs_sync::MembersReply {
                header: self.header(),
                members: Vec::new(),
            })),
        }
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The pair at a key.
    pub fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.keys.get(key)
    }

    /// All pairs, by key.
    pub fn pairs(&self) -> impl Iterator<Item = &KeyValue> {
        self.keys.values()
    }

    /// All changes from a revision on; `None` when some of them were compacted.
    pub fn changes_from(&self, revision: i64) -> Option<&[Change]> {
        if revision <= self.compacted {
            return None;
        }
        let first = self
            .log
            .partition_point(|change| change.revision < revision);
        Some(&self.log[first..])
    }

    /// How many changes the log holds. An index into it, to see later what came since.
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// The changes from an index of the log on.
    pub fn log_since(&self, index: usize) -> &[Change] {
        &self.log[index.min(self.log.len())..]
    }

    fn header(&self) -> Header {
        Header {
            cluster_id: 1,
            member_id: 1,
            revision: self.revision,
            raft_term: self.term,
        }
    }

    fn status(&self) -> Reply {
        Reply::Status(etcd_rs_sync::StatusReply {
            header: self.header(),
            version: "3.5.16".to_owned(),
            db_size: 0,
            leader: 1,
        })
    }

    fn compact(&mut self, revision: i64) -> Result<Reply, Error> {
        if revision <= self.compacted {
            return Err(store::gone("has been compacted"));
        }
        if revision > self.revision {
            return Err(store::gone("is a future revision"));
        }
        self.compacted = revision;
        Ok(Reply::Compact(self.header()))
    }
}

/// The same behind the client's trait, at a time that stands still unless it is set: for tests against the real one.
#[derive(Debug, Default)]
pub struct SharedEtcd(Mutex<(Time, FakeEtcd)>);

impl SharedEtcd {
    /// Lets time pass, and leases expire.
    pub fn advance(&self, by: Time) {
        let mut inner = self.0.lock().expect("no call panics");
        inner.0 += by;
        let now = inner.0;
        inner.1.expire_all(now);
    }
}

impl Etcd for SharedEtcd {
    fn call(&self, request: &Request) -> Result<Reply, Error> {
        let mut inner = self.0.lock().expect("no call panics");
        let now = inner.0;
        inner.1.apply(now, request)
    }
}

fn needs_space(request: &Request) -> bool {
    match request {
        Request::Put(_) | Request::Grant { .. } => true,
        Request::Txn(txn) => store::puts(txn),
        Request::Range(_)
        | Request::Delete(_)
        | Request::Revoke { .. }
        | Request::KeepAlive { .. }
        | Request::TimeToLive { .. }
        | Request::Compact { .. }
        | Request::Status
        | Request::Members => false,
    }
}

fn rejected(http_status: u16, code: i64, message: &str) -> Error {
    Error::Rejected {
        http_status,
        code,
        message: message.to_owned(),
    }
}
