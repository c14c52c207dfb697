//! When the gates are judged, and what there is to find out then.

use super::Commitment;

/// When the gates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before joining the queue.
    PreLock,
    /// Now and then while waiting in it.
    Waiting,
    /// At its head, before the commit.
    PostLock,
    /// Before the drain, when it was interrupted by the start of a process or what was judged before is too old by now.
    Resume,
    /// Before the reboot command, when an earlier one did nothing or what was judged before is too old by now.
    Retry,
}

/// One thing to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Detect,
    /// Whether an operator asks; looked up when no detector does, because what is read later says it too, and where it may be
    /// urgent before that.
    Request,
    Host,
    Read,
    Health,
}

impl Step {
    /// The gates that it answers, in the order in which they are judged.
    pub(super) fn gates(self) -> &'static [&'static str] {
        match self {
            // Another may still ask: the last of the two steps tells.
            Step::Detect => &[],
            Step::Request => &["detectors"],
            Step::Host => &["kill switch", "configuration", "window"],
            Step::Read => &[
                "etcd",
                "detectors",
                "pause",
                "cooldown",
                "budget",
                "line",
                "policies",
                "wave",
            ],
            Step::Health => &["health"],
        }
    }
}

/// A judgement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    pub(super) stage: Stage,
    pub(super) step: usize,
}

impl Gates {
    /// A judgement at its beginning.
    pub fn at(stage: Stage) -> Gates {
        Gates { stage, step: 0 }
    }

    /// A judgement that begins with what etcd says: what came before was judged a moment ago.
    pub(super) fn reading(stage: Stage) -> Gates {
        let fresh = Gates::at(stage);
        let read = fresh.steps().iter().position(|step| *step == Step::Read);
        Gates {
            step: read.unwrap_or(0),
            ..fresh
        }
    }

    /// When the gates are judged.
    pub fn stage(self) -> Stage {
        self.stage
    }

    /// What a state tells of itself that judges them.
    pub(super) fn told(self) -> (&'static str, Commitment, bool) {
        match self.stage {
            Stage::PreLock => ("checking", Commitment::None, false),
            Stage::Waiting => ("queued", Commitment::Queued, true),
            Stage::PostLock => ("turn", Commitment::Queued, true),
            Stage::Resume => ("draining", Commitment::Committed, false),
            Stage::Retry => ("rebooting", Commitment::Committed, false),
        }
    }

    /// What there is to find out. The quick and the local come first before the queue; under the claim the kill switch
    /// comes last, next to the commit.
    pub(super) fn steps(self) -> &'static [Step] {
        match self.stage {
            Stage::PreLock => &[
                Step::Detect,
                Step::Request,
                Step::Host,
                Step::Read,
                Step::Health,
            ],
            Stage::Waiting => &[Step::Detect, Step::Request, Step::Host],
            Stage::PostLock | Stage::Resume | Stage::Retry => &[
                Step::Detect,
                Step::Request,
                Step::Health,
                Step::Read,
                Step::Host,
            ],
        }
    }

    /// Whether the next thing to find out is an operator's request.
    pub(super) fn asks_for_request(self) -> bool {
        self.steps().get(self.step) == Some(&Step::Request)
    }

    /// Whether a commit has been made already, so that the budget counts this very attempt.
    pub(super) fn committed(self) -> bool {
        matches!(self.stage, Stage::Resume | Stage::Retry)
    }
}
