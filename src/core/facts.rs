//! What the host and the operator's scripts reported, as plain data. The vocabulary between `core` and the parts that do I/O.

use std::time::Duration;

/// One detector's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorReport {
    /// The detector's name, unique in the configuration.
    pub name: String,
    /// What it says.
    pub result: DetectorResult,
    /// What the host would boot that it does not run, where the detector knows: the release of a kernel.
    pub target: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a detector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectorResult {
    /// A reboot is required; why, in words.
    Required(String),
    /// No reboot is required.
    Clear,
    /// It could not tell; why, in words. Never the same as [`DetectorResult::Clear`].
    Failed(String),
}

impl DetectorResult {
    /// It in a word, and in the detector's own.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            DetectorResult::Required(detail) => ("required", detail),
            DetectorResult::Clear => ("clear", ""),
            DetectorResult::Failed(why) => ("failed", why),
        }
    }
}

/// How a script or hook ended, with what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptReport {
    /// How it ended.
    pub outcome: ScriptOutcome,
    /// How long it ran.
    pub took: Duration,
    /// Standard output, as text, cut at the limit.
    pub stdout: Captured,
    /// Standard error, as text, cut at the limit.
    pub stderr: Captured,
}

/// How a child process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It ran past its limit and its process group was killed.
    TimedOut,
    /// It could not be started; why.
    NotStarted(String),
    /// The caller stopped it.
    Cancelled,
}

impl ScriptOutcome {
    /// Exit code 0, the only success.
    pub fn success(&self) -> bool {
        *self == ScriptOutcome::Exited(0)
    }
}

impl std::fmt::Display for ScriptOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScriptOutcome::Exited(code) => write!(f, "exit code {code}"),
            ScriptOutcome::Signalled(signal) => write!(f, "killed by signal {signal}"),
            ScriptOutcome::TimedOut => write!(f, "timed out"),
            ScriptOutcome::NotStarted(why) => write!(f, "could not be started: {why}"),
            ScriptOutcome::Cancelled => write!(f, "stopped"),
        }
    }
}

/// Output of a child, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes, invalid UTF-8 replaced. Where some were dropped, a line ends with `…` and the next begins with one.
    pub text: String,
    /// How many bytes were read and dropped.
    pub dropped: u64,
}

/// Why a script runs, as `RC_PHASE` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthPhase {
    /// Before joining the queue.
    PreLock,
    /// At the head of the queue, before the commit.
    PostLock,
    /// Regular report of a member's health.
    Monitor,
    /// After a reboot, before the release.
    PostBoot,
}

impl HealthPhase {
    /// The value of `RC_PHASE`.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthPhase::PreLock => "pre-lock",
            HealthPhase::PostLock => "post-lock",
            HealthPhase::Monitor => "monitor",
            HealthPhase::PostBoot => "post-boot",
        }
    }
}
