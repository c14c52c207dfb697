//! What an answer from etcd means.
//!
//! An answer that does not have the shape the request demands is [`Malformed`]; for a write its outcome is unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_rs_sync::{Error, KeyValue, OpReply, RangeReply, Reply, TxnReply};

use super::keys::shown;
use super::line::{Failure, Known, Line};
use super::record::{self, Claim, Cooldown, NodeRecord, Pause, RecordError, Report, decode};
use super::requests::{self, Seen};
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

    /// The claim with its revisions, when `session` wrote it.
    pub fn held_by(&self, session: &str) -> Option<Held> {
        let claim = self.claim.as_ref().ok()?;
        (claim.session == session).then(|| Held {
            create: self.create,
            modified: self.modified,
            claim: claim.clone(),
        })
    }
}

/// How long a look at the host may take: its kill switch and its configuration file.
pub const HOST_LIMIT: Duration = Duration::from_secs(5);

/// The requests in a permit's [life](Permit::life): the commit, and one for everything else until the next act.
const LIFE_REQUESTS: u32 = 2;

/// The permission to disrupt this node. Made only by a successful [commit](super::request::commit), or by proof that one
/// succeeded; consumed by the one who reboots.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    since: Duration,
}

impl Permit {
    /// When its commit was sent, at once after the gates were judged; after a drain, when that ended. Monotonic.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// How long a permit may lie before the act that it allows, when a request to etcd may take `etcd_timeout`. Past it an answer
    /// came late, or the process was stopped or starved: what the gates said is old, and the claim may have been taken away.
    pub fn life(etcd_timeout: Duration) -> Duration {
        etcd_timeout * LIFE_REQUESTS + HOST_LIMIT
    }

    /// Uses the permit up, at once before the reboot command.
    ///
    /// # Errors
    /// Why the command must not run: the permit is older than `life`.
    pub fn redeem(self, now: Duration, life: Duration) -> Result<(), String> {
        let age = now.saturating_sub(self.since);
        if age <= life {
            return Ok(());
        }
        Err(format!(
            "{} ms passed between the gates or the drain and the command, {} are allowed",
            age.as_millis(),
            life.as_millis()
        ))
    }

    /// One that no commit gave, for tests of who uses it.
    #[cfg(test)]
    pub(crate) fn of_test(since: Duration) -> Permit {
        Permit { since }
    }

    /// The permit again, after the drain that it allowed ended in its time.
    #[must_use]
    pub fn drained(self, ended: Duration) -> Permit {
        Permit { since: ended }
    }
}

/// What became of a guarded write to the own claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// It was done at this revision.
    Done(i64),
    /// The guard failed; the claim as it is now, if there is one.
    Refused(Option<Box<Found>>),
}

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub enum Commit {
    /// The node may disrupt itself.
    Committed(Permit, Held),
    /// The claim is still the one seen; something else forbids.
    Refused(Box<GateRead>),
    /// The claim is gone, or says what this process did not write: what stands there.
    Lost(Option<Box<Found>>),
    /// It says what it said before the commit, at another mod revision: a fence of ours moved it.
    Moved(Held),
}

/// What the gates judge, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRead {
    /// The store's revision.
    pub revision: i64,
    /// The cluster-wide kill switch. One that cannot be read is still one.
    pub pause: Option<Result<Pause, RecordError>>,
    /// The cooldown.
    pub cooldown: Option<Result<Cooldown, RecordError>>,
    /// The own claim.
    pub claim: Option<Found>,
    /// The own registration with its mod revision.
    pub registration: Registered,
    /// An operator's request for this node.
    pub request: Seen,
    /// What is known of failures.
    pub line: Line,
    /// The claims that are committed or cannot be read, by node, as far as claims were asked for.
    pub claims: Vec<(String, Found)>,
    /// The members, when they were asked for.
    pub members: Option<Members>,
}

/// The members at one revision of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Every registered member.
    pub all: Vec<String>,
    /// Those whose report exists and says that they are healthy.
    pub healthy: Vec<String>,
    /// Those with a claim that is committed, or that cannot be read: they are down, or may be.
    pub down: Vec<String>,
    /// A key among them that names no node.
    pub foreign: Option<String>,
}

impl Members {
    /// How many members are healthy, and how many are not or are not known to be.
    pub fn counts(&self) -> (usize, usize) {
        let reported: BTreeSet<&String> = self.healthy.iter().collect();
        let is_healthy = |name: &&String| reported.contains(name);
        let healthy = self.all.iter().filter(is_healthy).count();
        (healthy, self.all.len() - healthy)
    }
}

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

/// A registration with its mod revision, when there is one.
pub type Registered = Option<(i64, Result<NodeRecord, RecordError>)>;

/// The own claim and registration.
pub type Own = (Option<Found>, Registered);

/// What [`super::request::read_own`] found.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn own(reply: Reply) -> Result<Own, Malformed> {
    let txn = txn(reply)?;
    if !txn.succeeded {
        return Err(Malformed("an unguarded read did not succeed"));
    }
    let [claim, node] = ranges(&txn)?;
    Ok((
        single(claim)?.map(Found::of),
        single(node)?.map(|kv| (kv.mod_revision, decode(&kv.value))),
    ))
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

/// What [`super::request::gate_read`] found.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn gate_read(reply: Reply, keys: &Keys) -> Result<GateRead, Malformed> {
    let txn = txn(reply)?;
    if !txn.succeeded {
        return Err(Malformed("an unguarded read did not succeed"));
    }
    let all: Vec<&RangeReply> = reads(&txn);
    let Some((own, others)) = all.split_first_chunk::<7>() else {
        return Err(Malformed("a txn answered another number of reads"));
    };
    let (members, claims) = match others {
        [] => (None, &[][..]),
        [claims] => (None, &claims.kvs[..]),
        [nodes, alive, claims] => (Some(members(keys, nodes, alive, claims)), &claims.kvs[..]),
        _ => return Err(Malformed("a txn answered another number of reads")),
    };
    let prefix = keys.claims();
    let claims = claims
        .iter()
        .filter_map(|kv| Some((Keys::node_of(&prefix, &kv.key)?.to_owned(), Found::of(kv))));
    let [.., go_on, failed] = own;
    Ok(GateRead {
        line: line(keys, failed, single(go_on)?),
        claims: claims.filter(may_be_down).collect(),
        members,
        ..gates(txn.header.revision, own)?
    })
}

/// What became of a commit of `claim` over `seen`, sent at `sent_at`.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn commit(
    reply: Reply,
    seen: &Held,
    claim: &Claim,
    sent_at: Duration,
) -> Result<Commit, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        let revision = txn.header.revision;
        if revision <= seen.modified || txn.replies.len() < 2 {
            return Err(Malformed("a commit was answered without its writes"));
        }
        let held = Held {
            create: seen.create,
            modified: revision,
            claim: claim.clone(),
        };
        return Ok(Commit::Committed(permit(sent_at), held));
    }
    let read = gates(txn.header.revision, &reads(&txn))?;
    let unchanged = read
        .claim
        .as_ref()
        .is_some_and(|found| found.create == seen.create && found.modified == seen.modified);
    if unchanged {
        return Ok(Commit::Refused(Box::new(read)));
    }
    Ok(moved(read.claim.as_ref(), seen, claim, sent_at))
}

/// What the fence of a commit of `claim` over `seen` found. The commit's fate is then known.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: still unknown.
pub fn fence(
    reply: Reply,
    seen: &Held,
    claim: &Claim,
    sent_at: Duration,
) -> Result<Commit, Malformed> {
    match write(reply)? {
        Write::Done(revision) => Ok(Commit::Moved(Held {
            modified: revision,
            ..seen.clone()
        })),
        Write::Refused(found) => Ok(moved(found.as_deref(), seen, claim, sent_at)),
    }
}

/// What a claim that is not at the revision seen any more tells of a commit of `claim` over `seen`. The two differ, because
/// each commit counts its attempt.
fn moved(found: Option<&Found>, seen: &Held, claim: &Claim, sent_at: Duration) -> Commit {
    let lost = || Commit::Lost(found.cloned().map(Box::new));
    let Some(found) = found else {
        return lost();
    };
    let Ok(stands) = &found.claim else {
        return lost();
    };
    let held = Held {
        create: found.create,
        modified: found.modified,
        claim: stands.clone(),
    };
    if found.create != seen.create {
        lost()
    } else if *stands == *claim {
        Commit::Committed(permit(sent_at), held)
    } else if *stands == seen.claim {
        Commit::Moved(held)
    } else {
        lost()
    }
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
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(Released::Now(txn.header.revision));
    }
    let [claim, node] = ranges(&txn)?;
    Ok(Released::Refused(
        single(claim)?.map(Found::of).map(Box::new),
        single(node)?.and_then(|kv| Some((kv.mod_revision, Box::new(decode(&kv.value).ok()?)))),
    ))
}

/// Whether a health report says that its node is healthy, and its mod revision, 0 for none.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn health(reply: Reply) -> Result<(bool, i64), Malformed> {
    let Reply::Range(range) = reply else {
        return Err(Malformed("a range was answered by something else"));
    };
    if range.header.revision <= 0 {
        return Err(Malformed("a range was answered without a revision"));
    }
    Ok(single(&range)?.map_or((false, 0), |kv| (is_healthy(kv), kv.mod_revision)))
}

fn is_healthy(kv: &KeyValue) -> bool {
    decode::<Report>(&kv.value).is_ok_and(|report: Report| report.healthy)
}

/// What [`super::request::register`] did: the mod revision of the registration, or the other one that stands there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn register(reply: Reply) -> Result<Result<i64, Option<KeyValue>>, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(Ok(txn.header.revision));
    }
    let [node] = ranges(&txn)?;
    Ok(Err(single(node)?.cloned()))
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
    let Reply::Range(range) = reply else {
        return Err(Malformed("a range was answered by something else"));
    };
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

fn permit(sent_at: Duration) -> Permit {
    Permit { since: sent_at }
}

fn gates(revision: i64, own: &[&RangeReply]) -> Result<GateRead, Malformed> {
    let [pause, cooldown, claim, node, request, _, _] = own else {
        return Err(Malformed("a txn answered another number of reads"));
    };
    Ok(GateRead {
        revision,
        pause: single(pause)?.map(|kv| decode(&kv.value)),
        cooldown: single(cooldown)?.map(|kv| record::cooldown(&kv.value, kv.lease)),
        claim: single(claim)?.map(Found::of),
        registration: single(node)?.map(|kv| (kv.mod_revision, decode(&kv.value))),
        request: single(request)?.map(requests::of),
        line: Line::default(),
        claims: Vec::new(),
        members: None,
    })
}

/// What the failures and the operator's word say.
pub(super) fn line(keys: &Keys, failed: &RangeReply, go_on: Option<&KeyValue>) -> Line {
    let prefix = keys.failures();
    let known = |kv: &KeyValue| {
        let node = Keys::node_of(&prefix, &kv.key)?.to_owned();
        let failure: Result<Failure, RecordError> = decode(&kv.value);
        Some(Known {
            node,
            id: failure.as_ref().map_or(kv.mod_revision, |it| it.claim),
            failure,
        })
    };
    Line {
        failures: failed.kvs.iter().filter_map(known).collect(),
        more: failed.more,
        go_on: go_on.map(|kv| (kv.mod_revision, decode(&kv.value))),
    }
}

/// A report that cannot be read says nothing good; a claim that cannot be read may be of a node that is down.
fn members(keys: &Keys, nodes: &RangeReply, alive: &RangeReply, claims: &RangeReply) -> Members {
    let down = |kv: &KeyValue| {
        decode::<Claim>(&kv.value).map_or(true, |claim: Claim| claim.phase.committed())
    };
    let mut foreign = None;
    let mut named = |prefix: String, range: &RangeReply, counts: &dyn Fn(&KeyValue) -> bool| {
        let mut names = Vec::new();
        for kv in &range.kvs {
            match Keys::node_of(&prefix, &kv.key) {
                Some(name) if counts(kv) => names.push(name.to_owned()),
                Some(_) => {}
                None => foreign = Some(shown(&kv.key)),
            }
        }
        names
    };
    Members {
        all: named(keys.nodes(), nodes, &|_| true),
        healthy: named(keys.alives(), alive, &is_healthy),
        down: named(keys.claims(), claims, &down),
        foreign,
    }
}

fn may_be_down((_, found): &(String, Found)) -> bool {
    let committed = |claim: &Claim| claim.phase.committed();
    found.claim.as_ref().map_or(true, committed)
}

pub(super) fn txn(reply: Reply) -> Result<TxnReply, Malformed> {
    match reply {
        Reply::Txn(txn) => Ok(txn),
        _ => Err(Malformed("a txn was answered by something else")),
    }
}

pub(super) fn ranges<const N: usize>(txn: &TxnReply) -> Result<[&RangeReply; N], Malformed> {
    reads(txn)
        .try_into()
        .map_err(|_| Malformed("a txn answered another number of reads"))
}

fn reads(txn: &TxnReply) -> Vec<&RangeReply> {
    let replies = txn.replies.iter();
    replies
        .filter_map(|reply| match reply {
            OpReply::Range(range) => Some(range),
            OpReply::Put(_) | OpReply::Delete(_) | OpReply::Txn(_) => None,
        })
        .collect()
}

pub(super) fn single(range: &RangeReply) -> Result<Option<&KeyValue>, Malformed> {
    match range.kvs.as_slice() {
        [] => Ok(None),
        [kv] => Ok(Some(kv)),
        _ => Err(Malformed("one key was answered with several")),
    }
}
