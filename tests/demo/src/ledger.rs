//! What etcd says about the claims, in the order of its revisions: who waits, who may be down, and what must never be seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Event, EventKind};

use crate::Options;

/// How far a claim has come, as this reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In the queue; the claim ends with its lease.
    Queued,
    /// Past the point of no return.
    Committed,
    /// Back, and proving that it is healthy.
    Verifying,
}

/// A claim as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) stage: Stage,
    /// Its place: lower goes first.
    pub(crate) create_revision: i64,
    queued_at: Instant,
}

/// A step of a claim, worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Queued,
    Committed,
    Verifying,
    Released,
    /// Gone without having been committed.
    Left,
}

/// A commit or a release.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) node: String,
    pub(crate) revision: i64,
    /// When the watch brought it.
    pub(crate) at: Instant,
    /// Since when this node was in the queue.
    waiting_since: Instant,
}

/// Everything that happened to the claims.
pub(crate) struct Ledger {
    limit: usize,
    options: Options,
    claims: BTreeMap<String, Claim>,
    pub(crate) commits: Vec<Turn>,
    pub(crate) releases: Vec<Turn>,
    /// The most claims that were committed at once.
    pub(crate) most_at_once: usize,
    /// The most of one rack.
    pub(crate) most_of_a_rack: usize,
    /// What must not happen.
    pub(crate) broken: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(options: &Options) -> Ledger {
        Ledger {
            limit: options.limit,
            options: options.clone(),
            most_of_a_rack: 0,
            claims: BTreeMap::new(),
            commits: Vec::new(),
            releases: Vec::new(),
            most_at_once: 0,
            broken: Vec::new(),
        }
    }

    pub(crate) fn claim(&self, node: &str) -> Option<&Claim> {
        self.claims.get(node)
    }

    pub(crate) fn committed(&self) -> usize {
        let past = |claim: &&Claim| claim.stage != Stage::Queued;
        self.claims.values().filter(past).count()
    }

    /// The place of a waiting node among those that wait; 1 is next.
    pub(crate) fn place(&self, node: &str) -> Option<usize> {
        let own = self.claims.get(node).filter(|c| c.stage == Stage::Queued)?;
        let before = |claim: &&Claim| {
            claim.stage == Stage::Queued && claim.create_revision < own.create_revision
        };
        Some(self.claims.values().filter(before).count() + 1)
    }

    /// Takes an event of `node`'s claim, which the watch brought `at`.
    pub(crate) fn take(&mut self, node: &str, event: &Event, at: Instant) -> Option<Step> {
        let revision = event.kv.mod_revision;
        match event.kind {
            EventKind::Delete => {
                let gone = self.claims.remove(node)?;
                if gone.stage == Stage::Queued {
                    return Some(Step::Left);
                }
                self.releases.push(turn(node, revision, at, &gone));
                Some(Step::Released)
            }
            EventKind::Put => self.written(node, event, at),
        }
    }

    fn written(&mut self, node: &str, event: &Event, at: Instant) -> Option<Step> {
        let Some(stage) = stage(&event.kv.value) else {
            let text = String::from_utf8_lossy(&event.kv.value);
            self.broken
                .push(format!("{node}'s claim is not readable: {text}"));
            return None;
        };
        if stage != Stage::Queued && event.kv.lease != 0 {
            self.broken.push(format!(
                "{node} committed with a lease: its claim would run out while it is down"
            ));
        }
        let before = self.claims.get(node).cloned();
        let claim = Claim {
            stage,
            create_revision: event.kv.create_revision,
            queued_at: before.as_ref().map_or(at, |claim| claim.queued_at),
        };
        self.claims.insert(node.to_owned(), claim.clone());
        let before = before.map(|claim| claim.stage);
        if before == Some(stage) {
            return None;
        }
        match stage {
            Stage::Queued => Some(Step::Queued),
            Stage::Verifying => Some(Step::Verifying),
            Stage::Committed => {
                self.commits
                    .push(turn(node, event.kv.mod_revision, at, &claim));
                self.count();
                self.count_rack(node);
                self.check_order(node, &claim);
                Some(Step::Committed)
            }
        }
    }

    fn count(&mut self) {
        let now = self.committed();
        self.most_at_once = self.most_at_once.max(now);
        if now > self.limit {
            let limit = self.limit;
            self.broken.push(format!(
                "{now} claims were committed at once, the limit is {limit}"
            ));
        }
    }

    /// With racks: how many of the same one are committed.
    fn count_rack(&mut self, node: &str) {
        let rack_of = |node: &str| {
            let number = node.strip_prefix("node-")?.parse().ok()?;
            self.options.rack(number)
        };
        let Some(rack) = rack_of(node) else { return };
        let committed = self.claims.iter();
        let committed = committed.filter(|(_, claim)| claim.stage != Stage::Queued);
        let now = committed
            .filter(|(node, _)| rack_of(node) == Some(rack))
            .count();
        self.most_of_a_rack = self.most_of_a_rack.max(now);
        let limit = self.options.rack_limit;
        if now > limit {
            self.broken.push(format!(
                "{now} of rack r{rack} were committed at once, the limit is {limit}"
            ));
        }
    }

    /// Nobody commits while as many as the limit allows came before and are not done.
    fn check_order(&mut self, node: &str, claim: &Claim) {
        let before = |other: &&Claim| other.create_revision < claim.create_revision;
        let elders = self.claims.values().filter(before).count();
        // Who waits for its rack is passed.
        if elders >= self.limit && self.options.racks.is_none() {
            self.broken.push(format!(
                "{node} committed out of its turn, with {elders} before it"
            ));
        }
    }

    /// How long each freed place stayed empty while the node that took it was waiting: from the event that freed it to the
    /// commit that used it. With a limit of K, the first K commits used places that were free, and from then on the n-th
    /// release makes room for the (n+K)-th commit.
    pub(crate) fn handovers(&self) -> Vec<Duration> {
        self.releases
            .iter()
            .zip(self.commits.iter().skip(self.limit))
            .filter(|(release, commit)| commit.waiting_since <= release.at)
            .map(|(release, commit)| commit.at.saturating_duration_since(release.at))
            .collect()
    }
}

fn turn(node: &str, revision: i64, at: Instant, claim: &Claim) -> Turn {
    Turn {
        node: node.to_owned(),
        revision,
        at,
        waiting_since: claim.queued_at,
    }
}

fn stage(value: &[u8]) -> Option<Stage> {
    let record: serde_json::Value = serde_json::from_slice(value).ok()?;
    match record.get("phase")?.as_str()? {
        "queued" => Some(Stage::Queued),
        "draining" | "rebooting" => Some(Stage::Committed),
        "verifying" => Some(Stage::Verifying),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etcd_rs_sync::KeyValue;

    use super::*;

    struct Story {
        ledger: Ledger,
        start: Instant,
        revision: i64,
    }

    impl Story {
        fn new(limit: usize) -> Story {
            Story {
                ledger: Ledger::new(&Options {
                    limit,
                    ..Options::new("daemon".into())
                }),
                start: Instant::now(),
                revision: 0,
            }
        }

        fn event(&mut self, ms: u64, node: &str, phase: Option<&str>, lease: i64) -> Option<Step> {
            self.revision += 1;
            let create = self.ledger.claim(node).map(|c| c.create_revision);
            let kv = KeyValue {
                value: phase.map_or(Vec::new(), |p| format!("{{\"phase\":\"{p}\"}}").into()),
                create_revision: create.unwrap_or(self.revision),
                mod_revision: self.revision,
                lease,
                ..KeyValue::default()
            };
            let kind = phase.map_or(EventKind::Delete, |_| EventKind::Put);
            let event = Event {
                kind,
                kv,
                prev_kv: None,
            };
            let at = self.start + Duration::from_millis(ms);
            self.ledger.take(node, &event, at)
        }
    }

    #[test]
    fn a_turn_is_queued_committed_verified_and_released() {
        let mut story = Story::new(1);
        assert_eq!(story.event(0, "a", Some("queued"), 7), Some(Step::Queued));
        assert_eq!(story.event(1, "b", Some("queued"), 8), Some(Step::Queued));
        assert_eq!(story.ledger.place("b"), Some(2));
        assert_eq!(
            story.event(2, "a", Some("rebooting"), 0),
            Some(Step::Committed)
        );
        assert_eq!(story.ledger.place("b"), Some(1));
        assert_eq!(
            story.event(3, "a", Some("verifying"), 0),
            Some(Step::Verifying)
        );
        assert_eq!(story.event(4, "a", None, 0), Some(Step::Released));
        assert_eq!(
            story.event(9, "b", Some("rebooting"), 0),
            Some(Step::Committed)
        );
        assert_eq!(story.ledger.handovers(), [Duration::from_millis(5)]);
        assert_eq!(story.ledger.most_at_once, 1);
        assert!(story.ledger.broken.is_empty());
    }

    #[test]
    fn a_broken_limit_and_a_claim_that_could_expire_are_seen() {
        let mut story = Story::new(1);
        story.event(0, "a", Some("rebooting"), 0);
        story.event(1, "b", Some("rebooting"), 5);
        assert_eq!(story.ledger.most_at_once, 2);
        let broken = story.ledger.broken.join("\n");
        assert!(broken.contains("2 claims were committed at once, the limit is 1"));
        assert!(broken.contains("b committed with a lease"));
    }

    #[test]
    fn who_overtakes_is_seen() {
        let mut story = Story::new(1);
        story.event(0, "a", Some("queued"), 7);
        story.event(1, "b", Some("queued"), 8);
        story.event(2, "b", Some("rebooting"), 0);
        let broken = story.ledger.broken.join("\n");
        assert!(broken.contains("b committed out of its turn"), "{broken}");
    }

    #[test]
    fn each_release_enables_one_commit() {
        let mut story = Story::new(2);
        for (at, node) in ["a", "b", "c", "d"].into_iter().enumerate() {
            story.event(at as u64, node, Some("queued"), 1);
        }
        story.event(10, "a", Some("rebooting"), 0);
        story.event(11, "b", Some("rebooting"), 0);
        story.event(20, "b", None, 0);
        story.event(21, "a", None, 0);
        story.event(24, "c", Some("rebooting"), 0);
        story.event(27, "d", Some("rebooting"), 0);
        let expected = [4, 6].map(Duration::from_millis);
        assert_eq!(story.ledger.handovers(), expected);
    }

    #[test]
    fn a_node_that_came_later_was_not_waiting() {
        let mut story = Story::new(1);
        story.event(0, "a", Some("rebooting"), 0);
        story.event(1, "a", None, 0);
        story.event(500, "b", Some("queued"), 1);
        story.event(510, "b", Some("rebooting"), 0);
        assert!(story.ledger.handovers().is_empty());
    }
}
