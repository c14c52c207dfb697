//! What became of a commit, and the permit that nothing but its success gives.

use std::time::Duration;

use etcd_rs_sync::Reply;

use super::answer::{Found, Malformed, Write, reads, txn, write};
use super::read::{GateRead, gates};
use super::{Claim, Held};

/// How long a look at the host may take: its kill switch and its configuration file.
pub const HOST_LIMIT: Duration = Duration::from_secs(5);

/// The requests in a permit's [life](Permit::life): the commit, and one for everything else until the next act.
const LIFE_REQUESTS: u32 = 2;

/// The permission to disrupt this node. Made only by a successful [commit](super::request::commit), or by proof that one
/// succeeded; consumed by the one who reboots.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit(Duration);

impl Permit {
    /// When its commit was sent, at once after the gates were judged; after a drain, when that ended. Monotonic.
    pub fn since(&self) -> Duration {
        self.0
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
        let age = now.saturating_sub(self.0);
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
        Permit(since)
    }

    /// The permit again, after the drain that it allowed ended in its time.
    #[must_use]
    pub fn drained(self, ended: Duration) -> Permit {
        Permit(ended)
    }
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
        return Ok(Commit::Committed(Permit(sent_at), held));
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
    let held = found.and_then(Found::held);
    match held.filter(|held| held.create == seen.create) {
        Some(held) if held.claim == *claim => Commit::Committed(Permit(sent_at), held),
        Some(held) if held.claim == seen.claim => Commit::Moved(held),
        _ => Commit::Lost(found.cloned().map(Box::new)),
    }
}
