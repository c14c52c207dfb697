//! What the checks remember of what they saw.

use std::collections::{BTreeMap, BTreeSet};

use reboot_coordinator::lock::{Claim, GoOn};

use crate::Time;

/// What stands in etcd for one node.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The revision that created it.
    pub create: i64,
    /// The claim.
    pub claim: Claim,
    /// The revision that wrote it last.
    pub modified: i64,
    /// When that was.
    pub written_at: Time,
    /// The machine that wrote it.
    pub holder: usize,
    /// The process that wrote it.
    pub pid: u64,
    /// The limit under which it was first committed.
    pub granted: Option<usize>,
    /// When fewer than its limit were before it for the first time.
    pub turn_at: Option<Time>,
}

/// What the report of a node in etcd says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// That it is healthy.
    Healthy,
    /// That it is not, or nothing.
    Unhealthy,
    /// It said that it is healthy and went away then.
    GoneAt(Time),
}

/// What the checks remember.
#[derive(Debug)]
pub struct Checker {
    /// Claims in etcd, by node.
    pub claims: Vec<Option<Standing>>,
    /// Claims that were taken away from outside, with the time.
    pub taken: BTreeMap<i64, Time>,
    /// What the reports say.
    pub reports: Vec<Reported>,
    /// In which boot of its node each standing request was made.
    pub requests: Vec<Option<u32>>,
    /// When the newest of them was sent.
    pub(super) reported: Vec<Time>,
    /// When what a node says of itself changed last.
    pub(super) said_at: Vec<Time>,
    /// When it registered, first or again after it was forgotten.
    pub(crate) member_since: Vec<Time>,
    /// Since when its registration says its wave.
    pub(crate) wave_since: Vec<Time>,
    /// When the last completed reboot was released, and how long nobody goes after it.
    pub(super) last_completed: Option<(Time, Time)>,
    pub(super) seen: usize,
    /// What is known of failures.
    pub line: Line,
    /// Since when the line stands, after everything was repaired.
    pub line_since: Option<Time>,
    /// Writes by nodes.
    pub node_writes: u64,
    /// Since when everything is as it should be in the end.
    pub goal_since: Option<(Time, Option<u64>)>,
    /// Whether a node paused since all faults ended, after attempts that were called off.
    pub pauses: bool,
    /// Claims whose operator was called.
    pub called: BTreeSet<i64>,
}

impl Checker {
    pub(crate) fn new(nodes: usize) -> Checker {
        Checker {
            claims: vec![None; nodes],
            reports: vec![Reported::Unhealthy; nodes],
            requests: vec![None; nodes],
            reported: vec![0; nodes],
            said_at: vec![0; nodes],
            member_since: vec![0; nodes],
            wave_since: vec![0; nodes],
            taken: BTreeMap::new(),
            last_completed: None,
            seen: 0,
            line: Line::default(),
            line_since: None,
            node_writes: 0,
            goal_since: None,
            pauses: false,
            called: BTreeSet::new(),
        }
    }
}

/// What the checks know of the line.
#[derive(Debug, Default)]
pub struct Line {
    /// The failures that are in etcd: for which claim of which node, and the kernel.
    pub(crate) failed: BTreeMap<usize, (i64, Option<String>)>,
    /// The operator's word as it was given, and how many commits needed it.
    pub(crate) word: Option<(GoOn, u32)>,
}

impl Line {
    /// Whether a failure of this name is in etcd.
    pub(crate) fn failed(&self, name: usize) -> bool {
        self.failed.contains_key(&name)
    }
}
