//! What the operator's commands send to etcd, and what the answers mean.
//!
//! Each of these transactions is safe to repeat until an answer is known: a copy that arrives later finds its guard broken, and
//! the refusal carries what tells whether an earlier copy was the one that broke it.

use etcd_rs_sync::{Delete, Keys as Span, Op, OpReply, Put, Range, Reply, Txn};

use super::answer::{Found, Malformed, ranges, single, txn};
use super::compare::{absent, read, same, unchanged};
use super::line::{self, GoOn};
use super::record::{History, Pause, RecordError, decode, encode};
use super::{Keys, waves};

/// What is to be taken away from among the claims, with the revisions that were shown to the operator.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Its key, which need not be that of a claim.
    pub key: &'a [u8],
    /// The revision that created the claim.
    pub create: i64,
    /// The revision that last wrote it.
    pub modified: i64,
}

/// Take a claim away and say so in the history. When it is not the one shown, answer it as it is, and the history entry in
/// case an earlier copy of this request wrote it.
pub fn release(keys: &Keys, shown: Shown<'_>, history: (&History, i64, &str)) -> Txn {
    let span = || Span::one(shown.key);
    let entry = keys.history(history.2, &history.0.node);
    Txn {
        compares: same(shown.key, shown.create, shown.modified),
        success: vec![
            Op::Delete(Delete::of(span())),
            line::forget(keys, &history.0.node),
            Op::Put(Put::new(entry.clone(), encode(history.0), history.1)),
        ],
        failure: vec![Op::Range(Range::of(span())), read(entry)],
    }
}

/// What became of a [`release`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// The claim is gone, and the history says who took it.
    Done,
    /// It was gone already.
    Gone,
    /// It is another one now, or has moved on.
    Changed(Box<Found>),
}

/// Reads the answer to a [`release`] that writes `history`.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn released(reply: Reply, history: &History) -> Result<Released, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(Released::Done);
    }
    let [claim, entry] = ranges(&txn)?;
    if single(entry)?.is_some_and(|kv| decode(&kv.value).as_ref() == Ok(history)) {
        return Ok(Released::Done);
    }
    Ok(match single(claim)? {
        Some(kv) => Released::Changed(Box::new(Found::of(kv))),
        None => Released::Gone,
    })
}

/// A pause that stands in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The revision that last wrote it.
    pub modified: i64,
    /// What it says. One that cannot be read still pauses.
    pub pause: Result<Pause, RecordError>,
}

/// Pause the cluster, or change the pause that has the mod revision seen (0: when there is none). `lease` 0 for none.
/// Otherwise answer the pause that is there.
pub fn pause(keys: &Keys, pause: &Pause, lease: i64, seen_modified: i64) -> Txn {
    Txn {
        compares: vec![unchanged(keys.pause(), seen_modified)],
        success: vec![Op::Put(Put::new(keys.pause(), encode(pause), lease))],
        failure: vec![read(keys.pause())],
    }
}

/// Lift the pause that has the mod revision seen. Otherwise answer the pause that is there.
pub fn resume(keys: &Keys, seen_modified: i64) -> Txn {
    Txn {
        compares: vec![unchanged(keys.pause(), seen_modified)],
        success: vec![Op::Delete(Delete::of(Span::one(keys.pause())))],
        failure: vec![read(keys.pause())],
    }
}

/// What became of a [`pause`] or [`resume`]: `Ok` when it was done, else the pause that stands there now.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn paused(reply: Reply) -> Result<Result<(), Option<Standing>>, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(Ok(()));
    }
    let [found] = ranges(&txn)?;
    Ok(Err(single(found)?.map(|kv| Standing {
        modified: kv.mod_revision,
        pause: decode(&kv.value),
    })))
}

/// Remove the cooldown that has the mod revision seen. Otherwise answer the one that is there.
pub fn end_cooldown(keys: &Keys, seen_modified: i64) -> Txn {
    Txn {
        compares: vec![unchanged(keys.cooldown(), seen_modified)],
        success: vec![Op::Delete(Delete::of(Span::one(keys.cooldown())))],
        failure: vec![read(keys.cooldown())],
    }
}

/// Whether nothing is left of the cooldown that an [`end_cooldown`] saw.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn cooldown_ended(reply: Reply) -> Result<bool, Malformed> {
    let txn = txn(reply)?;
    Ok(txn.succeeded || {
        let [found] = ranges(&txn)?;
        single(found)?.is_none()
    })
}

/// Let the line go on in spite of known failures, over the word with the mod revision seen (0: none). Otherwise answer the one
/// that is there.
pub fn go_on(keys: &Keys, word: &GoOn, seen_modified: i64) -> Txn {
    Txn {
        compares: vec![unchanged(keys.go_on(), seen_modified)],
        success: vec![line::write(keys, word)],
        failure: vec![read(keys.go_on())],
    }
}

/// Whether [`go_on`] was done: its word stands there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn goes_on(reply: Reply, word: &GoOn) -> Result<bool, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(true);
    }
    let [found] = ranges(&txn)?;
    // A commit may have counted it down since.
    let ours = |found: GoOn| {
        let left = word.left;
        GoOn { left, ..found } == *word
    };
    Ok(single(found)?.is_some_and(|kv| decode(&kv.value).is_ok_and(ours)))
}

/// Write a registration whose budget is whole again over the one with the mod revision seen, and say so in the history. When it
/// is another one by now, answer it, and the history entry in case an earlier copy of this request wrote it.
pub fn reset_budget(
    keys: &Keys,
    node: &str,
    (registration, seen_modified): (Vec<u8>, i64),
    (history, lease, time): (&History, i64, &str),
) -> Txn {
    let key = keys.node(node);
    let entry = keys.history(time, node);
    Txn {
        compares: vec![unchanged(key.clone(), seen_modified)],
        success: vec![
            Op::Put(Put::new(key.clone(), registration, 0)),
            Op::Put(Put::new(entry.clone(), encode(history), lease)),
            line::forget(keys, node),
        ],
        failure: vec![read(key), read(entry)],
    }
}

/// Whether a [`reset_budget`] that writes `history` was done.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn was_reset(reply: Reply, history: &History) -> Result<bool, Malformed> {
    let txn = txn(reply)?;
    if txn.succeeded {
        return Ok(true);
    }
    let [_, entry] = ranges(&txn)?;
    Ok(single(entry)?.is_some_and(|kv| decode(&kv.value).as_ref() == Ok(history)))
}

/// Remove everything that is known of a member, unless it holds a claim; then answer the claim.
pub fn forget(keys: &Keys, node: &str) -> Txn {
    let remove = |key: String| {
        Op::Delete(Delete {
            keys: Span::one(key),
            prev_kv: false,
        })
    };
    Txn {
        compares: vec![absent(keys.claim(node))],
        success: vec![
            remove(keys.node(node)),
            remove(keys.alive(node)),
            remove(keys.request(node)),
            remove(keys.standing(node)),
            line::forget(keys, node),
            waves::unnamed(keys, node),
            // Who was refused the name says so again when it is started again.
            Op::Delete(Delete::of(Span::prefix(keys.refused(node, "")))),
        ],
        failure: vec![read(keys.claim(node))],
    }
}

/// What became of a [`forget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// These were removed, as far as they existed.
    Done {
        /// Something: its registration, its report, what it said of itself, its failure, its wave, a request, or what machines say
        /// that were refused its name.
        removed: bool,
        /// Its health report: something still reports for it.
        report: bool,
    },
    /// It holds a claim.
    Claimed(Box<Found>),
}

/// Reads the answer to a [`forget`].
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn forgotten(reply: Reply) -> Result<Forgotten, Malformed> {
    let txn = txn(reply)?;
    if !txn.succeeded {
        let [claim] = ranges(&txn)?;
        return match single(claim)? {
            Some(kv) => Ok(Forgotten::Claimed(Box::new(Found::of(kv)))),
            None => Err(Malformed("a claim forbade it and was not answered")),
        };
    }
    let deleted: Vec<bool> = (txn.replies.iter())
        .filter_map(|reply| match reply {
            OpReply::Delete(reply) => Some(reply.deleted > 0),
            OpReply::Range(_) | OpReply::Put(_) | OpReply::Txn(_) => None,
        })
        .collect();
    match deleted[..] {
        [_, report, _, _, _, _, _] => Ok(Forgotten::Done {
            removed: deleted.contains(&true),
            report,
        }),
        _ => Err(Malformed("a removal answered another number of deletes")),
    }
}
