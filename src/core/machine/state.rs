//! The states of a machine, each with what it holds.

use std::time::Duration;

use super::{Ending, Entry, Gates, Noting, Pending, Stage, TakingAway, Verify};
use crate::core::Refusal;
use crate::lock::{Claim, Held, NodeRecord, Permit};

/// Where the node is in its life.
#[derive(Debug)]
pub enum State {
    /// Making sure that the server understands guards.
    SelfTest,
    /// Reading the own claim and registration.
    ReadOwn,
    /// Writing the own registration.
    Registering(Box<NodeRecord>),
    /// Taking away what stands registered under former names; why the last pass ended.
    Unregistering(Refusal),
    /// Deleting a claim that a dead process left.
    Removing(Box<Held>),
    /// Nothing to do until the timer; why the last pass ended.
    Idle(Option<Refusal>),
    /// Judging the gates.
    Gates(Gates),
    /// Writing the own boot into a request, or deleting one that is satisfied; then the judgement goes on.
    Noting(Box<Noting>),
    /// Creating the session lease.
    Granting(Entry, Grant),
    /// Writing the place in the queue.
    Entering(Entry, Box<Claim>),
    /// Counting who is before.
    Counting,
    /// In the queue.
    Queued,
    /// Taking away the claim of a node that never returned.
    TakingAway(TakingAway),
    /// The same by a node that such a claim keeps out of the queue; why its pass ended.
    Clearing(TakingAway, Refusal),
    /// Giving up the place: revoking this lease until it is known to be gone.
    Leaving(i64, After),
    /// The lease is gone and the place with it, unless a copy of a commit took effect before: reading what stands there, before
    /// the pass ends for this reason.
    Left(Refusal),
    /// The commit was sent.
    Committing(Box<Pending>),
    /// The commit's outcome is unknown and is being decided.
    Fencing(Box<Pending>),
    /// Committed; the drain hook runs.
    Draining(Permit),
    /// Committed; the claim is moved to its next phase.
    Moving(Permit, Box<Claim>),
    /// Committed; the last look at the kill switch.
    LastLook(Permit),
    /// The reboot command runs or ran. `failed` says why it is thought to have failed.
    Rebooting {
        /// When the wait for the host to go down ends.
        until: Duration,
        /// Why the command is thought to have failed.
        failed: Option<String>,
    },
    /// The claim is held because its node cannot go on: the line stops. With a stage the gates are judged again later.
    Holding(Option<Stage>, Refusal),
    /// Back from a reboot or from an attempt that was called off, proving health.
    Verifying(Verify),
    /// Giving the claim back.
    Ending(Box<Ending>),
    /// Stopping: the lease is being revoked.
    Stopping,
    /// Over.
    Stopped,
}

/// A grant under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) id: i64,
    /// What it is asked for, however often: a lease that is there already has what it was asked for first.
    pub(super) ttl: Duration,
    pub(super) first_sent: Option<Duration>,
}

/// What follows when the place is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The pass ends for this reason.
    Block(Refusal),
    /// Read the own claim again.
    Start,
}
