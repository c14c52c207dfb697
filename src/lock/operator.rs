//! What the operator's commands send to etcd, and what the answers mean.
//!
//! Each of these transactions is safe to repeat until an answer is known: a copy that arrives later finds its guard broken, and
//! the refusal carries what tells whether an earlier copy was the one that broke it.

use etcd_rs_sync::{Delete, KeyValue, Keys as Span, Op, OpReply, Put, Range, Reply, Txn};

use super::Keys;
use super::answer::{Found, Malformed, guarded, ranges, single, txn};
use super::compare::{absent, delete, over, put, read, same};
use super::line::GoOn;
use super::record::{self, History, Pause, RecordError, Standing as Refused, decode};

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
            delete(keys.failed(&history.0.node)),
            put(entry.clone(), history.0, history.1),
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
    Ok(match guarded(reply)? {
        Ok(_) => Released::Done,
        Err([_, entry]) if is_entry(entry.as_ref(), history) => Released::Done,
        Err([Some(claim), _]) => Released::Changed(Box::new(Found::of(&claim))),
        Err([None, _]) => Released::Gone,
    })
}

/// A pause that stands in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingPause {
    /// The revision that last wrote it.
    pub modified: i64,
    /// What it says. One that cannot be read still pauses.
    pub pause: Result<Pause, RecordError>,
}

/// Pause the cluster, or change the pause that has the mod revision seen (0: when there is none). `lease` 0 for none.
/// Otherwise answer the pause that is there.
pub fn pause(keys: &Keys, pause: &Pause, lease: i64, seen_modified: i64) -> Txn {
    over(keys.pause(), seen_modified, put(keys.pause(), pause, lease))
}

/// Lift the pause that has the mod revision seen. Otherwise answer the pause that is there.
pub fn resume(keys: &Keys, seen_modified: i64) -> Txn {
    over(keys.pause(), seen_modified, delete(keys.pause()))
}

/// What became of a [`pause`] or [`resume`]: `Ok` when it was done, else the pause that stands there now.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn paused(reply: Reply) -> Result<Result<(), Option<StandingPause>>, Malformed> {
    let standing = |kv: KeyValue| StandingPause {
        modified: kv.mod_revision,
        pause: record::pause(&kv),
    };
    let written = guarded(reply)?;
    Ok(written.map(drop).map_err(|[found]| found.map(standing)))
}

/// Remove the cooldown that has the mod revision seen. Otherwise answer the one that is there.
pub fn end_cooldown(keys: &Keys, seen_modified: i64) -> Txn {
    over(keys.cooldown(), seen_modified, delete(keys.cooldown()))
}

/// Whether nothing is left of the cooldown that an [`end_cooldown`] saw.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn cooldown_ended(reply: Reply) -> Result<bool, Malformed> {
    Ok(!matches!(guarded(reply)?, Err([Some(_)])))
}

/// Let the line go on in spite of known failures, over the word with the mod revision seen (0: none). Otherwise answer the one
/// that is there.
pub fn go_on(keys: &Keys, word: &GoOn, seen_modified: i64) -> Txn {
    over(keys.go_on(), seen_modified, put(keys.go_on(), word, 0))
}

/// Whether [`go_on`] was done: its word stands there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn goes_on(reply: Reply, word: &GoOn) -> Result<bool, Malformed> {
    // A commit may have counted it down since.
    let ours = |found: GoOn| {
        let left = word.left;
        GoOn { left, ..found } == *word
    };
    Ok(match guarded(reply)? {
        Ok(_) => true,
        Err([found]) => found.is_some_and(|kv| decode(&kv.value).is_ok_and(ours)),
    })
}

/// Write a registration whose budget is whole again over the one with the mod revision seen, and say so in the history. When it
/// is another one by now, answer it, and the history entry in case an earlier copy of this request wrote it.
pub fn reset_budget(
    keys: &Keys,
    node: &str,
    (registration, seen_modified): (Vec<u8>, i64),
    (history, lease, time): (&History, i64, &str),
) -> Txn {
    let write = Op::Put(Put::new(keys.node(node), registration, 0));
    let mut txn = over(keys.node(node), seen_modified, write);
    let entry = keys.history(time, node);
    txn.success.push(put(entry.clone(), history, lease));
    txn.success.push(delete(keys.failed(node)));
    txn.failure.push(read(entry));
    txn
}

/// Whether a [`reset_budget`] that writes `history` was done.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn was_reset(reply: Reply, history: &History) -> Result<bool, Malformed> {
    Ok(match guarded(reply)? {
        Ok(_) => true,
        Err([_, entry]) => is_entry(entry.as_ref(), history),
    })
}

fn is_entry(found: Option<&KeyValue>, history: &History) -> bool {
    found.is_some_and(|kv| decode(&kv.value).as_ref() == Ok(history))
}

/// How many machines that were refused a name are forgotten with it. etcd takes 128 operations in one transaction.
const MOST_REFUSED: usize = 100;

/// Remove everything that is known of a member, unless it holds a claim; then answer the claim. Of those that were `refused` a
/// name, the ones that were refused this one: each by its key, since below the name there may be another group.
pub fn forget(keys: &Keys, node: &str, refused: &[Refused]) -> Txn {
    let of_node = refused.iter().filter(|refused| refused.node == node);
    let mut gone = vec![
        keys.node(node),
        keys.alive(node),
        keys.request(node),
        keys.standing(node),
        keys.failed(node),
        keys.wave(node),
    ];
    // Who was refused the name says so again when it is started again.
    gone.extend(of_node.take(MOST_REFUSED).map(|refused| refused.key(keys)));
    Txn {
        compares: vec![absent(keys.claim(node))],
        success: gone.into_iter().map(delete).collect(),
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
        [_, report, ..] => Ok(Forgotten::Done {
            removed: deleted.contains(&true),
            report,
        }),
        _ => Err(Malformed("a removal answered another number of deletes")),
    }
}
