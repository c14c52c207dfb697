//! Judges a chaos run by two records that the program under test does not write:
//!
//! - **the history**: every revision of etcd, read back by a plain HTTP client after the run, one JSON object a line;
//! - **the ledger**: one file to which the hosts' own scripts (drain, undo, reboot command, health) and their power supplies
//!   append, stamped with the time since the machine's boot.
//!
//! A revision carries no time. So the run writes its clock into etcd, some ten times a second, and each revision lies between
//! two of those stamps: see `clock.rs`. Where the two records are compared, a run is accused only if no order of
//! events inside those bounds could be innocent.
//!
//! This crate depends on nothing of the project. What a claim looks like is taken from `docs/protocol.md`, not from the code.

mod acts;
mod claims;
mod clock;
mod history;
mod ledger;
mod rounds;
mod stall;

use std::collections::BTreeMap;
use std::fmt;

pub use ledger::Setup;

/// How far a stamp of the ledger may lie before the moment it was taken: `/proc/uptime` counts hundredths of a second, cut off.
const STAMP_ERROR: f64 = 0.02;

/// What the name of a machine ends in that has the name of another one in the cluster.
pub const COPY: &str = "copy";

/// The node that a machine is in the cluster.
fn node_of(machine: &str) -> &str {
    machine.strip_suffix(COPY).unwrap_or(machine)
}

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Broken promises, with their evidence.
    pub violations: Vec<Violation>,
    /// What happened.
    pub figures: Figures,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one, as `docs/protocol.md` numbers them.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
    /// The lines that show it.
    pub evidence: Vec<String>,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Faults that began, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Rounds of "everyone needs a reboot" that were begun.
    pub rounds: usize,
    /// Reboots by a reboot command that took effect.
    pub reboots: usize,
    /// Hosts that lost their power without being asked.
    pub power_losses: usize,
    /// Attempts that were committed, counting each claim once.
    pub commits: usize,
    /// The most committed claims at once, by etcd's revisions.
    pub most_committed: usize,
    /// The most hosts at once between their first disruptive act and their return, by the ledger.
    pub most_out: usize,
    /// The longest time, in seconds, without progress though there was work, no fault in force and no host down; and when it ended.
    pub longest_stall: (f64, f64),
    /// Revisions of etcd that were judged.
    pub revisions: usize,
    /// Lines of the ledger that were judged.
    pub lines: usize,
}

/// Judges a run.
///
/// # Errors
/// A record that cannot be read; then nothing can be said about the run.
pub fn judge(history: &str, ledger: &str) -> Result<Verdict, String> {
    let events = history::parse(history)?;
    let ledger = ledger::parse(ledger)?;
    let clock = clock::Clock::of(&events, &ledger.setup)?;
    let mut verdict = Verdict::default();
    verdict.figures.revisions = events.len();
    verdict.figures.lines = ledger.lines.len();
    let claims = claims::follow(&events, &ledger, &mut verdict);
    acts::judge(&ledger, &claims, &clock, &mut verdict);
    rounds::judge(&ledger, &mut verdict);
    stall::measure(&ledger, &mut verdict.figures);
    Ok(verdict)
}

impl Verdict {
    fn accuse(&mut self, promise: &'static str, what: String, evidence: Vec<String>) {
        self.violations.push(Violation {
            promise,
            what,
            evidence,
        });
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)?;
        for line in &self.evidence {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}
