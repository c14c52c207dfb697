//! Leases: granted with an id of the client's choosing, expiring late but never early.

use std::collections::BTreeSet;

use etcd_rs_sync::{Error, GrantReply, KeepAliveReply, Reply, TimeToLiveReply};

use super::FakeEtcd;
use crate::{SECOND, Time};

/// The longest TTL granted, seconds.
const LONGEST_TTL_SEC: i64 = 9_000_000_000;

/// A lease as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Seconds it was granted for.
    pub ttl_sec: i64,
    /// When it runs out unless renewed.
    pub expires_at: Time,
    pub(super) keys: BTreeSet<Vec<u8>>,
}

impl FakeEtcd {
    /// A lease, unless it is gone.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// Every lease that exists.
    pub fn lease_ids(&self) -> Vec<i64> {
        self.leases.keys().copied().collect()
    }

    /// Ends a lease that has run out; false when it lives on.
    pub fn expire(&mut self, now: Time, id: i64) -> bool {
        if self.lease(id).is_some_and(|lease| lease.expires_at > now) {
            return false;
        }
        self.end(id);
        true
    }

    /// A new leader restarts every lease with its full time, after an election. Until then nothing expires.
    pub fn change_leader(&mut self, now: Time, election: Time) {
        self.term += 1;
        for lease in self.leases.values_mut() {
            lease.expires_at = now + election + ttl(lease.ttl_sec);
        }
    }

    pub(super) fn expire_all(&mut self, now: Time) {
        for id in self.lease_ids() {
            self.expire(now, id);
        }
    }

    pub(super) fn grant(&mut self, now: Time, id: i64, ttl_sec: i64) -> Result<Reply, Error> {
        if ttl_sec > LONGEST_TTL_SEC {
            // By its code the client takes it for a revision out of range.
            return Err(Error::Compacted {
                detail: "etcdserver: too large lease TTL".to_owned(),
            });
        }
        if self.leases.contains_key(&id) {
            return Err(Error::LeaseExists);
        }
        let ttl_sec = ttl_sec.max(self.min_ttl_sec);
        self.leases.insert(
            id,
            Lease {
                ttl_sec,
                expires_at: now + ttl(ttl_sec),
                keys: BTreeSet::new(),
            },
        );
        Ok(Reply::Grant(GrantReply {
            header: self.header(),
            id,
            ttl_sec,
        }))
    }

    pub(super) fn revoke(&mut self, id: i64) -> Result<Reply, Error> {
        if !self.leases.contains_key(&id) {
            return Err(Error::LeaseNotFound);
        }
        self.end(id);
        Ok(Reply::Revoke(self.header()))
    }

    pub(super) fn keep_alive(&mut self, now: Time, id: i64) -> Reply {
        let header = self.header();
        let ttl_sec = self.leases.get_mut(&id).map(|lease| {
            lease.expires_at = lease.expires_at.max(now + ttl(lease.ttl_sec));
            lease.ttl_sec
        });
        Reply::KeepAlive(KeepAliveReply {
            header,
            id,
            ttl_sec,
        })
    }

    pub(super) fn time_to_live(&self, now: Time, id: i64, keys: bool) -> Reply {
        let lease = self.leases.get(&id);
        Reply::TimeToLive(TimeToLiveReply {
            header: self.header(),
            id,
            ttl_sec: lease.map(|lease| {
                i64::try_from(lease.expires_at.saturating_sub(now) / SECOND).unwrap_or(i64::MAX)
            }),
            granted_ttl_sec: lease.map_or(0, |lease| lease.ttl_sec),
            keys: lease
                .filter(|_| keys)
                .map(|lease| lease.keys.iter().cloned().collect())
                .unwrap_or_default(),
        })
    }

    fn end(&mut self, id: i64) {
        let Some(lease) = self.leases.remove(&id) else {
            return;
        };
        if lease.keys.is_empty() {
            return;
        }
        let revision = self.revision + 1;
        for key in lease.keys {
            self.remove(&key, revision);
        }
        self.revision = revision;
    }
}

fn ttl(seconds: i64) -> Time {
    seconds.unsigned_abs() * SECOND
}
