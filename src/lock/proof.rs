//! What etcd's history proves: that no limit, domain, turn, pause, cooldown or wave was violated. Events go in, in the order of
//! their revisions, and findings come out; what is held meanwhile grows with what stands, and not with the history.
//!
//! A commit carries guards, so that a finding proves a foreign writer or a fault. What cannot be judged is said, and is no yes.

use std::collections::BTreeMap;

use etcd_rs_sync::{Event, EventKind, KeyValue};
use serde::Serialize;

use super::Keys;
use super::outcome::Found;
use super::record::{NodeRecord, decode};

mod rules;
#[cfg(test)]
mod tests;

/// How many findings and reasons are kept; the findings beyond are counted.
const MOST: usize = 100;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which revision.
    pub revision: i64,
    /// When its claim was committed, by the clock of its node, as far as it says so.
    pub committed_at: Option<String>,
    /// Which: `limit`, `domain`, `turn`, `pause`, `cooldown`, `wave`, or `claim` for one that is written as no node writes it.
    pub rule: &'static str,
    /// By whose claim, and whose others bear on it.
    pub nodes: Vec<String>,
    /// What was seen, for people.
    pub text: String,
}

/// A rule that was broken, whose claims bear on it beside the own, and what was seen.
type Said = (&'static str, Vec<String>, String);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Events that were judged.
    pub events: u64,
    /// Claims that were seen to commit.
    pub commits: u64,
    /// When the first of them was, by the clock of its node.
    pub first_commit: Option<String>,
    /// The last.
    pub last_commit: Option<String>,
    /// The most that were committed at once.
    pub most_committed: usize,
    /// Whose claims were committed before the first event: they count, and their turn is not judged.
    pub committed_before: Vec<String>,
    /// How many promises were broken.
    pub violations: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// Why it cannot be told whether all was well.
    pub unknown: Vec<String>,
}

/// What is known of etcd at one revision, and what was found so far.
#[derive(Clone, Debug)]
pub struct Proof {
    keys: Keys,
    stands: BTreeMap<Vec<u8>, KeyValue>,
    claims: BTreeMap<String, Found>,
    /// Whose claims are committed, each with the largest `max_concurrent_reboots` it may have been committed under.
    down: BTreeMap<String, u32>,
    /// The wave of each member, and the revision since which it has been this one.
    waves: BTreeMap<String, (i32, i64)>,
    /// What was found.
    pub told: Told,
}

impl Proof {
    /// Nothing is known yet.
    pub fn new(keys: Keys) -> Proof {
        Proof {
            keys,
            stands: BTreeMap::new(),
            claims: BTreeMap::new(),
            down: BTreeMap::new(),
            waves: BTreeMap::new(),
            told: Told::default(),
        }
    }

    /// Whether what stands are these keys, each last written by this revision.
    pub fn leads_to(&self, end: &BTreeMap<Vec<u8>, i64>) -> bool {
        let stands = self.stands.iter().map(|(key, it)| (key, &it.mod_revision));
        stands.eq(end)
    }

    /// A pair that stood before the first event.
    pub fn stood(&mut self, pair: &KeyValue) {
        self.put(pair);
        let Some(node) = Keys::node_of(&self.keys.claims(), &pair.key) else {
            return;
        };
        if let Some(Ok(claim)) = self.claims.get(node).map(|it| &it.claim)
            && claim.phase.committed()
        {
            let known = claim.attempts <= 1;
            let limit = if known { claim.limit } else { u32::MAX };
            self.down.insert(node.to_owned(), limit);
            self.told.committed_before.push(node.to_owned());
            if !known {
                self.unknown(format!(
                    "the claim of {node} had committed more than once, and under which limit at first is not known"
                ));
            }
        }
    }

    /// All that stood at `revision` is known: events follow.
    pub fn begin(&mut self, revision: i64) {
        let before = self.told.committed_before.clone();
        self.count(revision, &before);
    }

    /// All events of one revision. A commit is judged on what stood before it, as its guards are.
    pub fn revision(&mut self, revision: i64, events: &[Event]) {
        self.told.events += events.len() as u64;
        let prefix = self.keys.claims();
        let claims = events
            .iter()
            .filter_map(|it| Some((Keys::node_of(&prefix, &it.kv.key)?, it)));
        let judged: Vec<_> = claims
            .map(|(node, event)| (node, self.judge(node, event, events)))
            .collect();
        for event in events {
            match event.kind {
                EventKind::Put => self.put(&event.kv),
                EventKind::Delete => self.deleted(&event.kv.key),
            }
        }
        let mut commits = Vec::new();
        for (node, judged) in judged {
            if let Some(limit) = judged.limit {
                let most = self.down.entry(node.to_owned()).or_insert(limit);
                *most = limit.max(*most);
            }
            if judged.first {
                commits.push(node.to_owned());
                self.told.commits += 1;
                let at = self.committed_at(node);
                self.told.first_commit = self.told.first_commit.take().or(at.clone());
                self.told.last_commit = at.or(self.told.last_commit.take());
            }
            judged
                .said
                .into_iter()
                .for_each(|it| self.found(revision, node, it));
        }
        self.count(revision, &commits);
    }

    fn put(&mut self, pair: &KeyValue) {
        let revision = pair.mod_revision;
        self.stands.insert(pair.key.clone(), pair.clone());
        if let Some(node) = Keys::node_of(&self.keys.claims(), &pair.key) {
            let found = Found::of(pair);
            if let Err(error) = &found.claim {
                self.unknown(format!(
                    "the claim of {node} at revision {revision} cannot be judged: {error}"
                ));
            }
            self.claims.insert(node.to_owned(), found);
        } else if let Some(node) = Keys::node_of(&self.keys.nodes(), &pair.key) {
            match decode::<NodeRecord>(&pair.value).map(|record| record.wave) {
                Ok(wave) if self.waves.get(node).is_some_and(|it| it.0 == wave) => {}
                Ok(wave) => drop(self.waves.insert(node.to_owned(), (wave, revision))),
                Err(error) => {
                    self.waves.remove(node);
                    self.unknown(format!(
                        "the wave of {node} at revision {revision} is not known: {error}"
                    ));
                }
            }
        }
    }

    fn deleted(&mut self, key: &[u8]) {
        self.stands.remove(key);
        if let Some(node) = Keys::node_of(&self.keys.claims(), key) {
            self.claims.remove(node);
            self.down.remove(node);
        } else if let Some(node) = Keys::node_of(&self.keys.nodes(), key) {
            self.waves.remove(node);
        }
    }

    fn committed_at(&self, node: &str) -> Option<String> {
        let claim = self.claims.get(node)?.claim.as_ref().ok()?;
        claim.committed_at.clone()
    }

    fn found(&mut self, revision: i64, node: &str, (rule, others, text): Said) {
        self.told.violations += 1;
        if self.told.findings.len() < MOST {
            let nodes = std::iter::once(node.to_owned()).chain(others);
            self.told.findings.push(Finding {
                revision,
                committed_at: self.committed_at(node),
                rule,
                nodes: nodes.take(MOST).collect(),
                text,
            });
        }
    }

    /// Keeps why it cannot be told whether all was well.
    pub fn unknown(&mut self, why: String) {
        if self.told.unknown.len() < MOST {
            self.told.unknown.push(why);
        }
    }
}
