//! The line: which reboots are known to have failed, and the word of an operator to go on in spite of them.

use std::collections::BTreeMap;

use etcd_rs_sync::{Keys as Span, Range};
use serde::{Deserialize, Serialize};

use super::Keys;
use super::record::RecordError;

/// The most failures that are read. A line with more of them stands.
const MOST: i64 = 500;

/// How a reboot failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Its claim did not move for longer than it said it would.
    NotBack,
    /// It is back and its health does not pass.
    Unhealthy,
    /// Its reboot command did nothing, and may still take it down.
    Stuck,
    /// It is back and healthy, and its detectors still ask or cannot tell.
    NotCleared,
}

/// A reboot that failed, until its node succeeds or an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The version of the record.
    pub v: u32,
    /// Whose reboot.
    pub node: String,
    /// The create revision of the claim that it was made under: which failure it is.
    pub claim: i64,
    /// How it failed.
    pub kind: FailureKind,
    /// What was seen, for people.
    pub detail: String,
    /// Why the reboot was asked for.
    pub reasons: Vec<String>,
    /// The kernel that was to be booted, where a detector knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When it was noticed, RFC 3339. For people only.
    pub since: String,
    /// Who noticed, when not the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An operator's word that the line goes on in spite of failures that he knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoOn {
    /// The version of the record.
    pub v: u32,
    /// Who said it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, RFC 3339.
    pub since: String,
    /// How many more commits it allows; without it, all until the next failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// The failures it is about: the [id](Known::id) of each node's.
    pub known: BTreeMap<String, i64>,
}

impl GoOn {
    /// What is left of it after one more commit, when it counts them.
    pub fn spent(&self) -> Option<GoOn> {
        let mut spent = self.clone();
        spent.left = Some(self.left?.saturating_sub(1));
        Some(spent)
    }
}

/// A failure that is known of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose reboot.
    pub node: String,
    /// Which failure it is: the create revision of its claim; of a record that cannot be read, its mod revision.
    pub id: i64,
    /// What is known. A record that cannot be read still counts.
    pub failure: Result<Failure, RecordError>,
}

/// What is known of failures, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The failures.
    pub failures: Vec<Known>,
    /// Keys among them that name no node, every byte of them seen.
    pub foreign: Vec<String>,
    /// Whether there are more than were read.
    pub more: bool,
    /// The operator's word, with its mod revision.
    pub go_on: Option<(i64, Result<GoOn, RecordError>)>,
}

/// All failures.
pub fn failures(keys: &Keys) -> Range {
    Range {
        limit: MOST,
        ..Range::of(Span::prefix(keys.failures()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_failures_are_read_than_a_judge_needs() {
        let range = failures(&Keys::new("", "/rc"));
        assert_eq!(range.keys, Span::prefix("/rc/line/failed/"));
        assert_eq!(range.limit, MOST);
    }
}
