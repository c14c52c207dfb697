//! The shape of an answer, and what it says of one claim.

use etcd_rs_sync::{KeyValue, OpReply, RangeReply, Reply, TxnReply};
use serde::de::DeserializeOwned;

use super::record::{Claim, NodeRecord, RecordError, decode};
use super::{Held, Keys};

/// An answer that cannot be what etcd meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// A claim found in etcd. One that cannot be read still counts in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The revision that created it.
    pub create: i64,
    /// The revision that last wrote it.
    pub modified: i64,
    /// The lease it hangs on, 0 for none.
    pub lease: i64,
    /// What it says.
    pub claim: Result<Claim, RecordError>,
}

impl Found {
    /// The claim in this pair.
    pub fn of(kv: &KeyValue) -> Found {
        Found {
            create: kv.create_revision,
            modified: kv.mod_revision,
            lease: kv.lease,
            claim: decode(&kv.value),
        }
    }

    /// The claim with its revisions, when it can be read.
    pub fn held(&self) -> Option<Held> {
        Some(Held {
            create: self.create,
            modified: self.modified,
            claim: self.claim.clone().ok()?,
        })
    }

    /// The same, when `session` wrote it.
    pub fn held_by(&self, session: &str) -> Option<Held> {
        self.held().filter(|held| held.claim.session == session)
    }
}

/// A registration with its mod revision, when there is one.
pub type Registered = Option<(i64, Result<NodeRecord, RecordError>)>;

/// What became of a guarded write to the own claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// It was done at this revision.
    Done(i64),
    /// The guard failed; the claim as it is now, if there is one.
    Refused(Option<Box<Found>>),
}

/// What became of a join, a rewrite, a removal or a [confirmation](super::request::confirm).
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn write(reply: Reply) -> Result<Write, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return match txn.header.revision {
            revision if revision > 0 => Ok(Write::Done(revision)),
            _ => Err(Malformed("a write was answered without a revision")),
        };
    }
    let Some(OpReply::Range(range)) = txn.replies.first() else {
        return Err(Malformed("a refused write did not answer the key"));
    };
    Ok(Write::Refused(single(range)?.map(Found::of).map(Box::new)))
}

pub(super) fn txn(reply: Reply) -> Result<TxnReply, Malformed> {
    match reply {
        Reply::Txn(txn) => Ok(txn),
        _ => Err(Malformed("a txn was answered by something else")),
    }
}

pub(super) fn range(reply: Reply) -> Result<RangeReply, Malformed> {
    match reply {
        Reply::Range(range) => Ok(range),
        _ => Err(Malformed("a range was answered by something else")),
    }
}

/// A read without guards.
pub(super) fn unguarded(reply: Reply) -> Result<TxnReply, Malformed> {
    let txn = txn(reply)?;
    if !txn.succeeded {
        return Err(Malformed("an unguarded read did not succeed"));
    }
    Ok(txn)
}

/// A guarded write: the revision at which it was done, or the keys that it answers when it was refused.
pub(super) fn guarded<const N: usize>(
    reply: Reply,
) -> Result<Result<i64, [Option<KeyValue>; N]>, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(Ok(txn.header.revision));
    }
    let mut found = [const { None }; N];
    for (place, range) in found.iter_mut().zip(ranges::<N>(&txn)?) {
        *place = single(range)?.cloned();
    }
    Ok(Err(found))
}

pub(super) fn ranges<const N: usize>(txn: &TxnReply) -> Result<[&RangeReply; N], Malformed> {
    reads(txn)
        .try_into()
        .map_err(|_| Malformed("a txn answered another number of reads"))
}

pub(super) fn reads(txn: &TxnReply) -> Vec<&RangeReply> {
    let replies = txn.replies.iter();
    replies
        .filter_map(|reply| match reply {
            OpReply::Range(range) => Some(range),
            OpReply::Put(_) | OpReply::Delete(_) | OpReply::Txn(_) => None,
        })
        .collect()
}

/// What these pairs below `prefix` say, by the node that each names.
pub(super) fn named<T>(
    prefix: &str,
    pairs: &[KeyValue],
    of: impl Fn(&KeyValue) -> T,
) -> Vec<(String, T)> {
    let pairs = pairs.iter();
    pairs
        .filter_map(|kv| Some((Keys::node_of(prefix, &kv.key)?.to_owned(), of(kv))))
        .collect()
}

/// What this pair says, with its mod revision.
pub(super) fn dated<T: DeserializeOwned>(kv: &KeyValue) -> (i64, Result<T, RecordError>) {
    (kv.mod_revision, decode(&kv.value))
}

pub(super) fn single(range: &RangeReply) -> Result<Option<&KeyValue>, Malformed> {
    match range.kvs.as_slice() {
        [] => Ok(None),
        [kv] => Ok(Some(kv)),
        _ => Err(Malformed("one key was answered with several")),
    }
}
