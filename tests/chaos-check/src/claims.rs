//! What etcd's history alone shows: who was permitted, in which order, and how many at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Verdict;
use crate::history::Event;
use crate::ledger::{Ledger, Setup, What};

/// A committed claim, from its first commit to its end.
pub(crate) struct Span {
    pub(crate) node: String,
    /// The boot during which it was committed.
    pub(crate) boot: String,
    pub(crate) committed: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) evidence: Vec<String>,
}

/// A claim as it stands.
struct Claim {
    create: i64,
    /// Its index among the spans, once it is committed.
    span: Option<usize>,
    attempts: i64,
    event: String,
}

struct Follower<'a> {
    setup: &'a Setup,
    /// Who has had a committed claim: from then on the others know its wave.
    known: BTreeSet<String>,
    claims: BTreeMap<String, Claim>,
    spans: Vec<Span>,
    /// What forbids every commit while it exists, by key: the pause and the cooldown.
    closed: BTreeMap<String, String>,
    verdict: &'a mut Verdict,
}

/// Follows the claims through all revisions.
pub(crate) fn follow(events: &[Event], ledger: &Ledger, verdict: &mut Verdict) -> Vec<Span> {
    let setup = &ledger.setup;
    let claims = format!("{}/claims/", setup.lock_key);
    let closes = ["pause", "cooldown"].map(|name| format!("{}/{name}", setup.lock_key));
    let mut follower = Follower {
        setup,
        known: BTreeSet::new(),
        claims: BTreeMap::new(),
        spans: Vec::new(),
        closed: BTreeMap::new(),
        verdict,
    };
    for event in events {
        if closes.contains(&event.key) {
            follower.closed.remove(&event.key);
            if !event.deleted {
                let (key, text) = (event.key.clone(), event.to_string());
                follower.closed.insert(key, text);
            }
        } else if let Some(node) = event.key.strip_prefix(&claims) {
            match event.deleted {
                true => follower.deleted(node, event),
                false => follower.written(node, event),
            }
        }
    }
    if matches!(ledger.lines.last(), Some(last) if last.what == What::End) {
        follower.left_over();
    }
    follower.spans
}

impl Follower<'_> {
    fn written(&mut self, node: &str, event: &Event) {
        let record: Value = serde_json::from_str(&event.value).unwrap_or_default();
        let (Some(phase), Some(boot)) = (record["phase"].as_str(), record["boot_id"].as_str())
        else {
            let what = format!("{node}'s claim cannot be read");
            return self.verdict.accuse("P1", what, vec![event.to_string()]);
        };
        let attempts = record["attempts"].as_i64().unwrap_or_default();
        let before = self.claims.remove(node);
        let mut claim = Claim {
            create: event.create,
            span: before.as_ref().and_then(|before| before.span),
            attempts,
            event: event.to_string(),
        };
        if phase == "queued" {
            if claim.span.is_some() {
                let what = format!("{node} is back in the queue without having released");
                let evidence = vec![claim.event.clone()];
                self.verdict.accuse("P1", what, evidence);
            }
            self.claims.insert(node.to_owned(), claim);
            return;
        }
        if event.lease != 0 {
            let what =
                format!("{node} committed with a lease: its claim can run out while it is down");
            self.verdict.accuse("P1", what, vec![event.to_string()]);
        }
        let again = before.map_or(0, |before| before.attempts);
        for (key, closing) in self.closed.iter().filter(|_| attempts > again) {
            let what = format!("{node} committed while {key} stood");
            let evidence = vec![closing.clone(), event.to_string()];
            self.verdict.accuse("P2", what, evidence);
        }
        match claim.span {
            Some(span) => self.spans[span].evidence.push(event.to_string()),
            None => {
                claim.span = Some(self.spans.len());
                self.commit(node, boot, event);
            }
        }
        self.claims.insert(node.to_owned(), claim);
        self.count(event);
    }

    /// The node's own claim is not among the claims now.
    fn commit(&mut self, node: &str, boot: &str, event: &Event) {
        self.verdict.figures.commits += 1;
        self.spans.push(Span {
            node: node.to_owned(),
            boot: boot.to_owned(),
            committed: event.revision,
            ended: None,
            evidence: vec![event.to_string()],
        });
        self.turn(node, event);
        self.racks(node, event);
        self.waves(node, event);
        self.known.insert(node.to_owned());
    }

    /// Of the older claims, all with their racks full, fewer than the limit can be committed.
    fn turn(&mut self, node: &str, event: &Event) {
        let setup = self.setup;
        let older = self.claims.iter().filter(|(_, c)| c.create < event.create);
        let mut evidence = Vec::new();
        let mut racks: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for (other, claim) in older {
            evidence.push(claim.event.clone());
            *racks.entry(setup.rack(other)).or_default() += 1;
        }
        let within = |(rack, count): (&Option<&str>, &usize)| match rack {
            Some(_) => setup.rack_limit.min(*count),
            None => *count,
        };
        let most: usize = racks.iter().map(within).sum();
        let rack = setup.rack(node);
        let own = rack.and_then(|_| racks.get(&rack)).copied().unwrap_or(0);
        if most < setup.limit && own < setup.rack_limit {
            return;
        }
        let what = format!(
            "{node} committed before its turn: {} older claims, {own} of its rack, and {most} could go at once, the limit is {}",
            evidence.len(),
            setup.limit
        );
        evidence.push(event.to_string());
        self.verdict.accuse("P5", what, evidence);
    }

    /// No more of one rack than its limit.
    fn racks(&mut self, node: &str, event: &Event) {
        let setup = self.setup;
        let Some(rack) = setup.rack(node) else { return };
        let of_rack = |(other, claim): &(&String, &Claim)| {
            claim.span.is_some() && setup.rack(other) == Some(rack)
        };
        let others = self.claims.iter().filter(of_rack);
        let mut evidence: Vec<String> = others.map(|(_, claim)| claim.event.clone()).collect();
        evidence.push(event.to_string());
        if evidence.len() > setup.rack_limit {
            let what = format!("{} claims of rack {rack} are committed", evidence.len());
            self.verdict.accuse("P1", what, evidence);
        }
    }

    /// Nobody commits while one of a lower wave has a claim, once that one is known.
    fn waves(&mut self, node: &str, event: &Event) {
        let setup = self.setup;
        let first = |(other, _): &(&String, &Claim)| {
            self.known.contains(*other) && setup.wave(other) < setup.wave(node)
        };
        let Some((other, claim)) = self.claims.iter().find(first) else {
            return;
        };
        let what = format!("{node} committed while {other}, of a lower wave, had a claim");
        let evidence = vec![claim.event.clone(), event.to_string()];
        self.verdict.accuse("P2", what, evidence);
    }

    fn count(&mut self, event: &Event) {
        let committed = self.claims.values().filter(|claim| claim.span.is_some());
        let evidence: Vec<String> = committed.map(|claim| claim.event.clone()).collect();
        let most = &mut self.verdict.figures.most_committed;
        let rises = evidence.len() > *most;
        *most = evidence.len().max(*most);
        // Once for each new height: the same claims stand for many revisions.
        if evidence.len() > self.setup.limit && rises {
            let what = format!(
                "{} claims are committed at revision {}, the limit is {}",
                evidence.len(),
                event.revision,
                self.setup.limit
            );
            self.verdict.accuse("P1", what, evidence);
        }
    }

    fn deleted(&mut self, node: &str, event: &Event) {
        if let Some(span) = self.claims.remove(node).and_then(|claim| claim.span) {
            self.spans[span].ended = Some(event.revision);
            self.spans[span].evidence.push(event.to_string());
        }
    }

    fn left_over(&mut self) {
        for (node, claim) in &self.claims {
            let what = format!("{node}'s claim is left over at the end");
            self.verdict.accuse("P5", what, vec![claim.event.clone()]);
        }
    }
}
