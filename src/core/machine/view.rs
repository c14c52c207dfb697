//! What can be seen of a machine from outside.

use super::{Machine, Queue, State};
use crate::core::Refusal;
use crate::lock::Phase;

/// What can be seen of a machine from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The state's name.
    pub state: &'static str,
    /// Why the last pass ended, or why the claim is held.
    pub refusal: Option<Refusal>,
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
            state: self.state.name(),
            refusal: match &self.state {
                State::Idle(refusal) => refusal.clone(),
                State::Holding(_, refusal) => Some(refusal.clone()),
                _ => self.queue.as_ref().and_then(|queue| queue.held.clone()),
            },
            phase: self.held.as_ref().map(|held| held.claim.phase),
            ahead: self.queue.as_ref().map(Queue::ahead),
            paused: self.paused,
            committed_at: self
                .held
                .as_ref()
                .and_then(|held| held.claim.committed_at.clone()),
            last_reboot: self
                .registration
                .as_ref()
                .and_then(|(_, record)| record.last_reboot.as_ref())
                .map(|last| last.at.clone()),
            members: self.counted,
        }
    }
}

impl State {
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
        match self {
            State::SelfTest | State::ReadOwn | State::Registering(_) | State::Removing(_) => {
                "starting"
            }
            State::Idle(_) => "idle",
            State::Gates(gates) => gates.name(),
            State::Noting(noting) => noting.gates.name(),
            State::Granting(..) | State::Entering(..) => "joining",
            State::Counting | State::Queued | State::TakingAway(_) => "queued",
            State::Leaving(..) | State::Left(_) => "leaving",
            State::Committing(_) => "committing",
            State::Fencing(_) => "fencing",
            State::Draining(_) => "draining",
            State::Moving(..) | State::LastLook(_) | State::Confirming(_) => "committed",
            State::Rebooting { .. } => "rebooting",
            State::Holding(..) => "holding",
            State::Verifying(_) => "verifying",
            State::Ending(_) => "releasing",
            State::Stopping | State::Stopped => "stopping",
        }
    }
}
