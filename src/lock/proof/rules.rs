//! What a claim that is written or deleted is judged by.

use std::collections::BTreeMap;

use etcd_rs_sync::{Event, EventKind};

use super::super::Domains;
use super::super::outcome::Found;
use super::super::record::{self, Claim, NodeRecord, decode};
use super::{Proof, Said};

/// What no node does with its claim.
const DELETED: &str = "its committed claim was deleted, and no entry of the history says so: whether it was still down, etcd does not say";
const CHANGED: &str =
    "its labels or limits were changed while the claim stood, and the turns of others rest on them";
const BACK: &str =
    "it is back in the queue without a release: its node may be down, and the claim can run out";
const OUT_OF_NOTHING: &str = "it is committed from the start: no place in the queue came before it";
const LEASED: &str = "it is committed and hangs on a lease: it can run out while its node is down";

fn odd(text: &str) -> Said {
    ("claim", vec![], text.to_owned())
}

/// What one event makes of a claim.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) said: Vec<Said>,
    /// The limit that it is committed under, when it is.
    pub(super) limit: Option<u32>,
    /// It committed now.
    pub(super) first: bool,
}

impl Proof {
    /// Judges an event of a claim on what stands before it.
    pub(super) fn judge(&self, node: &str, event: &Event, events: &[Event]) -> Judged {
        let down = self.down.contains_key(node);
        let mut judged = Judged::default();
        if event.kind == EventKind::Delete {
            let prefix = self.keys.histories();
            // Whoever gives a committed one back, or takes it away, says so in the history, in the same transaction.
            let told =
                |it: &Event| it.kind == EventKind::Put && it.kv.key.starts_with(prefix.as_bytes());
            if down && !events.iter().any(told) {
                judged.said.push(odd(DELETED));
            }
            return judged;
        }
        let found = Found::of(&event.kv);
        let Ok(claim) = &found.claim else {
            return judged;
        };
        let before = self.claims.get(node);
        let was = before.and_then(|it| it.claim.as_ref().ok());
        // One that could not be read before may have committed then, under whatever limit.
        let unread = before.is_some() && was.is_none();
        if was.is_some_and(|was| was.domains != claim.domains) {
            judged.said.push(odd(CHANGED));
        }
        if !claim.phase.committed() {
            judged.said.extend(down.then(|| odd(BACK)));
            return judged;
        }
        judged.limit = Some(if unread { u32::MAX } else { claim.limit });
        judged.first = !unread && !down;
        judged
            .said
            .extend(before.is_none().then(|| odd(OUT_OF_NOTHING)));
        if found.lease != 0 && !(down && before.is_some_and(|it| it.lease != 0)) {
            judged.said.push(odd(LEASED));
        }
        if judged.first {
            judged.said.extend(self.turn(node, found.create, claim));
            judged.said.extend(self.wave(node, found.create, events));
        }
        if judged.first || was.is_some_and(|was| claim.attempts > was.attempts) {
            judged.said.extend(self.closed(node, claim));
        }
        judged
    }

    /// The pause and the cooldown that a commit passed. Only an urgent request passes a cooldown, and the claim says so.
    fn closed(&self, node: &str, claim: &Claim) -> Vec<Said> {
        let request = self.stands.get(self.keys.request(node).as_bytes());
        let request = request.and_then(|it| record::request(&it.value, it.lease).ok());
        let urgent = request.is_some_and(|it| it.urgent_until.is_some())
            && claim.passed.iter().any(|it| it == "cooldown");
        let gates = [
            ("pause", self.keys.pause(), "was paused"),
            ("cooldown", self.keys.cooldown(), "cooled down"),
        ];
        let gates = gates.into_iter().filter_map(|(rule, key, what)| {
            let since = self.stands.get(key.as_bytes())?.mod_revision;
            let text = format!("it committed while the cluster {what}, since revision {since}");
            (rule == "pause" || !urgent).then_some((rule, vec![], text))
        });
        gates.collect()
    }

    /// Why it was not its turn. What is older only goes away, so that a turn once seen lasts.
    fn turn(&self, node: &str, create: i64, claim: &Claim) -> Option<Said> {
        let older = self.claims.iter();
        let older = older.filter(|(name, found)| *name != node && found.create < create);
        let older: Vec<(&str, Option<&Domains>)> = older
            .map(|(name, found)| {
                let said = found.claim.as_ref().ok();
                (name.as_str(), said.map(|claim| &claim.domains))
            })
            .collect();
        let waits = claim.domains.turn(claim.limit, &older).err()?;
        let text = format!(
            "it committed before its turn, with max_concurrent_reboots {}: {}",
            claim.limit, waits.text
        );
        let older = older.iter().map(|(name, _)| (*name).to_owned());
        Some(("turn", older.collect(), text))
    }

    /// Which member of a lower wave had a claim. Only one whose wave has been known since before the claim that commits: its node
    /// read the members after that, and the commit compares that no claim and no registration was written since.
    fn wave(&self, node: &str, create: i64, events: &[Event]) -> Option<Said> {
        let key = self.keys.node(node);
        let own = match events.iter().find(|it| it.kv.key == key.as_bytes()) {
            Some(event) => decode::<NodeRecord>(&event.kv.value).ok()?.wave,
            None if self.stands.contains_key(key.as_bytes()) => self.waves.get(node)?.0,
            None => 0,
        };
        let lower = self.claims.keys().filter_map(|name| {
            let (wave, since) = *self.waves.get(name)?;
            (name != node && wave < own && since < create).then_some((wave, name))
        });
        let (wave, name) = lower.min()?;
        let text =
            format!("it is in wave {own}, and committed while {name} (wave {wave}) had a claim");
        Some(("wave", vec![name.clone()], text))
    }

    /// Judges how many are committed at once, in all and of each domain, as far as one of `fresh` is among them.
    pub(super) fn count(&mut self, revision: i64, fresh: &[String]) {
        self.told.most_committed = self.told.most_committed.max(self.down.len());
        // The limit's name, whose it is, and each claim with what it says of it; one that says nothing heeds none.
        let mut bounds: BTreeMap<_, Vec<(String, u32)>> = BTreeMap::new();
        for (node, limit) in &self.down {
            let mut counts =
                |bound, limit| bounds.entry(bound).or_default().push((node.clone(), limit));
            let all = ("limit", "max_concurrent_reboots".to_owned(), String::new());
            counts(all, *limit);
            let said = self.claims.get(node).and_then(|it| it.claim.as_ref().ok());
            let Some(Domains { labels, limits }) = said.map(|it| &it.domains) else {
                continue;
            };
            for (label, value) in labels {
                let (name, of) = (format!("limit of {label}"), format!(" of {label} {value}"));
                let limit = limits.get(label).copied().unwrap_or(u32::MAX);
                counts(("domain", name, of), limit);
            }
        }
        for ((rule, name, of), mut claims) in bounds {
            let count = claims.len();
            // The largest in use holds.
            let most = claims.iter().map(|it| it.1).max().unwrap_or(u32::MAX);
            let newest = claims.iter().position(|it| fresh.contains(&it.0));
            let Some(newest) =
                newest.filter(|_| count > usize::try_from(most).unwrap_or(usize::MAX))
            else {
                continue;
            };
            let (node, _) = claims.swap_remove(newest);
            let text = format!(
                "{count} claims{of} are committed at once, and the largest {name} that one of them says is {most}"
            );
            let others = claims.into_iter().map(|it| it.0).collect();
            self.found(revision, &node, (rule, others, text));
        }
    }
}
