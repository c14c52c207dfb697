//! What can be seen of a machine from outside.

use super::{Entry, Machine, Queue, State};
use crate::core::Refusal;
use crate::core::text::rfc3339;
use crate::core::verdict::Verdict;
use crate::lock::Phase;
use crate::lock::record::Standing;

/// What can be seen of a machine from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The key below which its cluster has its records.
    pub key: String,
    /// The state's name.
    pub state: &'static str,
    /// Why the last pass ended, or why the claim is held.
    pub refusal: Option<Refusal>,
    /// What this node says of itself.
    pub standing: Option<Standing>,
    /// What each gate said when it was asked last.
    pub verdicts: Vec<Verdict>,
    /// Since when, RFC 3339, and why etcd cannot be used.
    pub etcd_trouble: Option<(String, String)>,
    /// The phase of the own claim.
    pub phase: Option<Phase>,
    /// How many claims are known to be before this one, and whether there may be more.
    pub ahead: Option<(usize, bool)>,
    /// Whether the last look at the cluster found it paused.
    pub paused: bool,
    /// When the own claim was committed, as its record says.
    pub committed_at: Option<String>,
    /// When the last completed reboot of this node ended, as its registration says.
    pub last_reboot: Option<String>,
    /// How many members were healthy and how many were not at the last look, which is taken for cluster policies only.
    pub members: (usize, usize),
}

impl Machine {
    /// What can be seen from outside.
    pub fn view(&self) -> View {
        View {
            key: self.settings.keys.prefix().to_owned(),
            state: self.state.name(),
            refusal: match &self.state {
                State::Idle(refusal) => refusal.clone(),
                State::Holding(_, refusal) => Some(refusal.clone()),
                _ => self.queue.as_ref().and_then(|queue| queue.held.clone()),
            },
            standing: self.standing().cloned(),
            verdicts: self.verdicts().to_vec(),
            etcd_trouble: self
                .etcd_trouble()
                .map(|(since, why)| (rfc3339(*since), why.clone())),
            phase: self.claim().map(|claim| claim.phase),
            ahead: self.queue.as_ref().map(Queue::ahead),
            paused: self.paused,
            committed_at: self.claim().and_then(|claim| claim.committed_at.clone()),
            last_reboot: self
                .registration
                .as_ref()
                .and_then(|(_, record)| record.last_reboot.as_ref())
                .map(|last| last.at.clone()),
            members: self.fleet.counted,
        }
    }
}

impl Machine {
    /// Whether a reboot is under way; `None` where the last answer stays true.
    pub fn commitment(&self) -> Option<Commitment> {
        let held = self.held.as_ref();
        let copies = held.is_some_and(|held| self.down.refused == Some(held.modified));
        match self.state.commitment() {
            Some(Commitment::Queued) if copies => Some(Commitment::Unknown),
            word => word,
        }
    }
}

/// Whether a reboot of this node is under way, for those who must not get in its way: the scripts of packages, which restart
/// daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// This node has no claim, or none that could be committed.
    None,
    /// It waits for its turn.
    Queued,
    /// Its claim is committed, or will be when the request that is next is answered, and has not been given back.
    Committed,
    /// Nobody can say: etcd has not been asked yet, or what was asked of it may still take effect.
    Unknown,
}

impl Commitment {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Commitment::None => "none",
            Commitment::Queued => "queued",
            Commitment::Committed => "committed",
            Commitment::Unknown => "unknown",
        }
    }
}

impl State {
    /// Its name, the same as far as the state alone tells, and whether the place hangs on the lease.
    fn told(&self) -> (&'static str, Option<Commitment>, bool) {
        use Commitment::{Committed, Queued, Unknown};
        let of = |entry: &Entry| match entry {
            Entry::Join => Queued,
            // A commit of the process before may still be on its way.
            Entry::TakeOver(_) => Unknown,
        };
        let (name, commitment, leased) = match self {
            State::SelfTest | State::ReadOwn | State::Registering(_) | State::Removing(_) => {
                ("starting", Unknown, false)
            }
            State::Idle(_) | State::Unregistering(_) | State::Clearing(..) => {
                ("idle", Commitment::None, false)
            }
            State::Gates(gates) => gates.told(),
            State::Noting(noting) => noting.gates.told(),
            State::Granting(entry, _) => ("joining", of(entry), false),
            State::Entering(entry, _) => ("joining", of(entry), true),
            State::Counting | State::Queued | State::TakingAway(_) => ("queued", Queued, true),
            // So may a copy of one that was refused.
            State::Leaving(..) | State::Left(_) => ("leaving", Unknown, false),
            State::Committing(_) => ("committing", Committed, false),
            State::Fencing(_) => ("fencing", Committed, false),
            State::Draining(_) => ("draining", Committed, false),
            State::Moving(..) | State::LastLook(_) => ("committed", Committed, false),
            State::Rebooting { .. } => ("rebooting", Committed, false),
            State::Holding(..) => ("holding", Committed, false),
            State::Verifying(_) => ("verifying", Committed, false),
            State::Ending(_) => ("releasing", Committed, false),
            State::Stopping | State::Stopped => return ("stopping", None, false),
        };
        (name, Some(commitment), leased)
    }

    /// Every [name](State::name) there is, so that metrics can name them all from the start.
    pub const NAMES: [&str; 16] = [
        "starting",
        "idle",
        "checking",
        "joining",
        "queued",
        "turn",
        "leaving",
        "committing",
        "fencing",
        "draining",
        "committed",
        "rebooting",
        "holding",
        "verifying",
        "releasing",
        "stopping",
    ];

    /// A fixed name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        self.told().0
    }

    fn commitment(&self) -> Option<Commitment> {
        self.told().1
    }

    /// Whether the place still hangs on the lease, so that its end must be acted on.
    pub(super) fn needs_lease(&self) -> bool {
        self.told().2
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gates, Stage};
    use super::*;
    use crate::core::Refusal;

    #[test]
    fn whether_a_reboot_is_under_way_is_known_or_said_to_be_unknown() {
        let at = |stage| State::Gates(Gates::at(stage));
        let rebooting = State::Rebooting {
            until: std::time::Duration::ZERO,
            failed: None,
        };
        for (state, commitment) in [
            (State::SelfTest, Some(Commitment::Unknown)),
            (State::ReadOwn, Some(Commitment::Unknown)),
            (State::Idle(None), Some(Commitment::None)),
            (at(Stage::PreLock), Some(Commitment::None)),
            (State::Queued, Some(Commitment::Queued)),
            (at(Stage::PostLock), Some(Commitment::Queued)),
            (at(Stage::Resume), Some(Commitment::Committed)),
            (at(Stage::Retry), Some(Commitment::Committed)),
            (rebooting, Some(Commitment::Committed)),
            (
                State::Holding(None, Refusal::DryRun),
                Some(Commitment::Committed),
            ),
            (State::Left(Refusal::DryRun), Some(Commitment::Unknown)),
            // What was true before the stop is true after it.
            (State::Stopping, None),
        ] {
            assert_eq!(state.commitment(), commitment, "{state:?}");
        }
    }
}
