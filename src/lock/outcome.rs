//! What an answer from etcd means.
//!
//! An answer that does not have the shape the request demands is [`Malformed`]; for a write its outcome is unknown.

use etcd_rs_sync::{Error, KeyValue, OpReply, Reply};

use super::Keys;
use super::keys::shown;
use super::record::{NodeRecord, decode};

pub use super::answer::{Found, Malformed, Registered, Write, write};
use super::answer::{dated, guarded, range, ranges, reads, single, txn, unguarded};
pub use super::commit::{Commit, HOST_LIMIT, Permit, commit, fence};
use super::read::is_healthy;
pub use super::read::{GateRead, Members, gate_read};

/// What is before a claim in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The revision of the store at which it was counted.
    pub revision: i64,
    /// Claims created earlier, nearest first.
    pub claims: Vec<(String, Found)>,
    /// Whether there are more than these.
    pub more: bool,
    /// How many claims there are, those after it among them.
    pub all: u32,
    /// Keys in between that name no node.
    pub foreign: Vec<String>,
}

/// Whether every guard of the [self-test](super::request::self_test) failed, as it must.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn self_test(reply: Reply) -> Result<bool, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(false);
    }
    if txn.replies.len() != 4 {
        return Err(Malformed("the self-test answered not all of its parts"));
    }
    for part in &txn.replies {
        match part {
            OpReply::Txn(nested) if !nested.succeeded => {}
            OpReply::Txn(_) => return Ok(false),
            OpReply::Range(_) | OpReply::Put(_) | OpReply::Delete(_) => {
                return Err(Malformed("the self-test was answered by another operation"));
            }
        }
    }
    Ok(true)
}

/// The own claim and registration.
pub type Own = (Option<Found>, Registered);

/// What [`super::request::read_own`] found.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn own(reply: Reply) -> Result<Own, Malformed> {
    let txn = unguarded(reply)?;
    let [claim, node] = ranges(&txn)?;
    Ok((single(claim)?.map(Found::of), single(node)?.map(dated)))
}

/// How many claims there are after a [join](super::request::join), this one among them; 0 when the answer does not say.
pub fn queued(reply: &Reply) -> u32 {
    let Reply::Txn(txn) = reply else { return 0 };
    let count = reads(txn).first().map_or(0, |range| range.count);
    u32::try_from(count).unwrap_or_default()
}

/// How many members there are, by the answer to [`super::request::size`].
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn size(reply: &Reply) -> Result<u32, Malformed> {
    match reply {
        Reply::Range(range) => Ok(u32::try_from(range.count).unwrap_or(u32::MAX)),
        _ => Err(Malformed("a count was answered with something else")),
    }
}

/// The create revisions of the two claims that were [looked at](super::request::look_at), as far as they are there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn looked_at(reply: Reply) -> Result<(Option<i64>, Option<i64>), Malformed> {
    let txn = txn(reply)?;
    let [own, other] = ranges(&txn)?;
    let create = |range| single(range).map(|kv| kv.map(|kv: &KeyValue| kv.create_revision));
    Ok((create(own)?, create(other)?))
}

/// What became of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Now, at this revision.
    Now(i64),
    /// The claim was gone or changed: what stands there, and the registration with its mod revision.
    Refused(Option<Box<Found>>, Option<(i64, Box<NodeRecord>)>),
}

/// What [`super::request::release`] did.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn release(reply: Reply) -> Result<Released, Malformed> {
    Ok(match guarded(reply)? {
        Ok(revision) => Released::Now(revision),
        Err([claim, node]) => Released::Refused(
            claim.map(|kv| Box::new(Found::of(&kv))),
            node.and_then(|kv| Some((kv.mod_revision, Box::new(decode(&kv.value).ok()?)))),
        ),
    })
}

/// Whether a health report says that its node is healthy, and its mod revision, 0 for none.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn health(reply: Reply) -> Result<(bool, i64), Malformed> {
    let range = range(reply)?;
    if range.header.revision <= 0 {
        return Err(Malformed("a range was answered without a revision"));
    }
    Ok(single(&range)?.map_or((false, 0), |kv| (is_healthy(kv), kv.mod_revision)))
}

/// What [`super::request::register`] did: the mod revision of the registration, or the other one that stands there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn register(reply: Reply) -> Result<Result<i64, Option<KeyValue>>, Malformed> {
    Ok(guarded(reply)?.map_err(|[node]| node))
}

/// Which of the `former` registrations, taken away at the end of the txn, stand as they did: a claim or a failure of that name keeps
/// them. Of one whose answer is missing nothing is known, and it is kept.
pub fn refused(reply: &Reply, former: Vec<(i64, NodeRecord)>) -> Vec<(i64, NodeRecord)> {
    let nested = match reply {
        Reply::Txn(txn) if txn.succeeded => {
            &txn.replies[txn.replies.len().saturating_sub(former.len())..]
        }
        _ => &[],
    };
    let stands = |modified: i64, answer: Option<&OpReply>| match answer {
        Some(OpReply::Txn(txn)) if txn.succeeded => false,
        Some(OpReply::Txn(txn)) => match reads(txn).first() {
            Some(range) => range.kvs.iter().any(|kv| kv.mod_revision == modified),
            None => true,
        },
        _ => true,
    };
    let former = former.into_iter().enumerate();
    former
        .filter(|(nth, (modified, _))| stands(*modified, nested.get(*nth)))
        .map(|(_, kept)| kept)
        .collect()
}

/// What [`super::request::recount`] found: `None` when the own claim is not the first, so that the place is lost.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn recount(
    reply: Reply,
    keys: &Keys,
    node: &str,
    create: i64,
) -> Result<Option<Ahead>, Malformed> {
    let range = range(reply)?;
    let own = keys.claim(node);
    let Some((first, ahead)) = range.kvs.split_first() else {
        return Ok(None);
    };
    if first.key != own.as_bytes() || first.create_revision != create {
        return Ok(None);
    }
    let prefix = keys.claims();
    let (mut claims, mut foreign) = (Vec::new(), Vec::new());
    for kv in ahead {
        match Keys::node_of(&prefix, &kv.key) {
            Some(name) => claims.push((keys.claim(name), Found::of(kv))),
            None => foreign.push(shown(&kv.key)),
        }
    }
    if ahead.iter().any(|kv| kv.create_revision >= create) {
        return Err(Malformed("the queue was answered out of order"));
    }
    Ok(Some(Ahead {
        revision: range.header.revision,
        claims,
        more: range.more,
        all: u32::try_from(range.count).unwrap_or_default(),
        foreign,
    }))
}

/// The TTL of a lease whose id the asker drew at random, seconds. That it exists is what a second copy of the request is told: the
/// client sends a grant again by itself, and so may whatever lies between.
///
/// # Errors
/// The failure; whether the lease is there is unknown unless [`Error::is_definite`].
pub fn granted(result: Result<Reply, Error>, asked_sec: i64) -> Result<i64, Error> {
    match result {
        Ok(Reply::Grant(granted)) if granted.ttl_sec > 0 => Ok(granted.ttl_sec),
        Ok(_) => Err(Error::OutcomeUnknown {
            detail: "a grant was answered by something else".to_owned(),
        }),
        Err(Error::LeaseExists) => Ok(asked_sec),
        Err(error) => Err(error),
    }
}
