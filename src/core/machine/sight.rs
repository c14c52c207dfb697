//! What this node saw of the committed claims of others, in the queue and out of it: which of them stand still, and since when.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::stands;
use super::taking_away::{End, TakingAway};
use super::{Machine, State};
use crate::core::line::Still;
use crate::core::settings::Mode;
use crate::core::{Refusal, Verdict};
use crate::lock::outcome::{Found, GateRead};
use crate::lock::request::Others;
use crate::lock::waves::Member;
use crate::lock::{Claim, Held};

/// The committed claims of others, by key, as they were read or told last.
#[derive(Debug, Default)]
pub(super) struct Sight {
    claims: BTreeMap<String, Seen>,
    /// For how many keys that are no claims there is place in what is read.
    pub(super) foreign: u32,
}

/// Another node's claim past its commit.
#[derive(Debug)]
pub(super) struct Seen {
    held: Box<Held>,
    /// Since when it is known at this mod revision.
    since: Duration,
    /// When its node was last found healthy though it stood still; `since` when never.
    well_at: Duration,
    /// Whether its failure was told.
    told: bool,
}

impl Seen {
    /// When it stood still for as long as it may; `own` is what this node allows itself, for a claim that does not say.
    fn late_at(&self, own: Duration) -> Duration {
        self.since + self.held.claim.patience(own)
    }
}

impl Sight {
    /// Takes note of a claim as it was found.
    pub(super) fn look(&mut self, key: &str, found: &Found, now: Duration) {
        let Some(held) = found.held().filter(|held| held.claim.phase.committed()) else {
            return self.forget(key);
        };
        let known = self.claims.get(key);
        if !known.is_some_and(|seen| stands(&seen.held, Some(found))) {
            self.insert(key, held, now);
        }
    }

    fn insert(&mut self, key: &str, held: Held, now: Duration) {
        let seen = Seen {
            held: Box::new(held),
            since: now,
            well_at: now,
            told: false,
        };
        self.claims.insert(key.to_owned(), seen);
    }

    /// A claim that was known, or has the place of this create revision in the queue, was written.
    pub(super) fn written(
        &mut self,
        key: &str,
        (create, modified): (Option<i64>, i64),
        claim: Option<&Claim>,
        now: Duration,
    ) {
        let known = self.claims.remove(key).map(|seen| seen.held.create);
        let claim = claim.filter(|claim| claim.phase.committed());
        if let (Some(create), Some(claim)) = (create.or(known), claim) {
            let claim = claim.clone();
            self.insert(
                key,
                Held {
                    create,
                    modified,
                    claim,
                },
                now,
            );
        }
    }

    /// It is gone, or says nothing that counts here.
    pub(super) fn forget(&mut self, key: &str) {
        self.claims.remove(key);
    }

    /// The failure of a claim that still is what it was is told.
    pub(super) fn told(&mut self, key: &str, modified: i64) {
        let seen = self.claims.get_mut(key);
        if let Some(seen) = seen.filter(|seen| seen.held.modified == modified) {
            seen.told = true;
        }
    }

    /// Its node is up and healthy: its time begins anew.
    pub(super) fn well(&mut self, key: &str, now: Duration) {
        if let Some(seen) = self.claims.get_mut(key) {
            seen.well_at = now;
        }
    }

    /// Whether more has to be read, as so many keys that are no claims took the places of claims in an answer.
    pub(super) fn must_widen(&mut self, displaced: usize) -> bool {
        let displaced = u32::try_from(displaced).unwrap_or(u32::MAX);
        let widens = displaced > self.foreign;
        if widens {
            self.foreign = displaced.saturating_mul(2);
        }
        widens
    }

    /// Those that were seen standing still for longer than they said.
    pub(super) fn still(&self, now: Duration, own: Duration, claims: &str) -> Vec<Still> {
        let late = self.claims.iter();
        let late = late.filter(|(_, seen)| seen.late_at(own) <= now);
        late.map(|(key, seen)| Still {
            node: key.strip_prefix(claims).unwrap_or(key).to_owned(),
            claim: seen.held.create,
            target: seen.held.claim.target.clone(),
            why: stands_still(&seen.held.claim, now.saturating_sub(seen.since)),
        })
        .collect()
    }

    /// One of them that is to be told.
    pub(super) fn to_tell(&self, now: Duration, own: Duration) -> Option<TakingAway> {
        let mut claims = self.claims.iter();
        let (key, seen) = claims.find(|(_, seen)| !seen.told && seen.late_at(own) <= now)?;
        Some(seen.ended(key, End::Told(now.saturating_sub(seen.since))))
    }

    /// When the next one will be.
    pub(super) fn next_to_tell(&self, own: Duration) -> Option<Duration> {
        let untold = self.claims.values().filter(|seen| !seen.told);
        untold.map(|seen| seen.late_at(own)).min()
    }

    /// The claim to be taken away next, and when: not before its `limit` is over, nor the time that it says it may stand still, as
    /// its node's configuration may be another one; `own` is what this node allows itself, for a claim that does not say.
    pub(super) fn next_expiry(
        &self,
        limit: Duration,
        own: Duration,
    ) -> Option<(Duration, TakingAway)> {
        let at = |seen: &Seen| seen.well_at + limit.max(seen.held.claim.patience(own));
        let (key, seen) = self.claims.iter().min_by_key(|(_, seen)| at(seen))?;
        Some((at(seen), seen.ended(key, End::Look)))
    }
}

impl Seen {
    fn ended(&self, key: &str, end: End) -> TakingAway {
        TakingAway {
            key: key.to_owned(),
            held: self.held.clone(),
            end,
        }
    }
}

pub(super) fn stands_still(claim: &Claim, waited: Duration) -> String {
    format!(
        "{} and not moved for {} s",
        claim.phase.as_str(),
        waited.as_secs()
    )
}

impl Machine {
    /// Takes note of the claims that may be down, whatever the gates say otherwise. What was not asked for is known as before.
    pub(super) fn look_at_others(&mut self, read: &GateRead) {
        if self.others() == Others::Nobody {
            return;
        }
        let (keys, own) = (&self.settings.keys, &self.settings.node);
        let others = read.claims.iter().filter(|(node, _)| node != own);
        let found: BTreeMap<String, &Found> = others
            .map(|(node, found)| (keys.claim(node), found))
            .collect();
        let ahead = self.queue.as_ref().map(|queue| &queue.ahead);
        let is_ahead = |key: &String| ahead.is_some_and(|ahead| ahead.contains_key(key));
        let claims = &mut self.sight.claims;
        claims.retain(|key, _| found.contains_key(key) || is_ahead(key));
        for (key, found) in &found {
            self.sight.look(key, found, self.now.mono);
        }
    }

    /// The same of those who may be first in the order of the waves.
    pub(super) fn look_at_first(&mut self, members: &[Member]) {
        for member in members.iter().filter(|it| it.node != self.settings.node) {
            let key = self.settings.keys.claim(&member.node);
            match &member.claim {
                Some(found) => self.sight.look(&key, found, self.now.mono),
                None => self.sight.forget(&key),
            }
        }
    }

    /// Whether a node that is kept out of the queue has to see for how long others stand still: nobody may be in it who does.
    pub(super) fn looks_from_outside(&self) -> bool {
        let stops = self.shown.verdicts.of("line").is_some_and(Verdict::blocks);
        self.settings.mode == Mode::Daemon && self.settings.hold_timeout.is_some() && stops
    }

    /// What is to be done about others by a node that they keep out of the queue.
    pub(super) fn due_outside(&self, refusal: &Refusal) -> Option<State> {
        let kept_out = matches!(
            refusal,
            Refusal::Line(_) | Refusal::Policy(_) | Refusal::Wave(_)
        );
        let waits = kept_out && self.settings.mode == Mode::Daemon && !self.settings.dry_run;
        let (now, own) = (self.now.mono, self.patience());
        let due = self.sight.to_tell(now, own).or_else(|| {
            let limit = self.settings.hold_timeout?;
            let next = self.sight.next_expiry(limit, own);
            next.filter(|(at, _)| *at <= now).map(|(_, away)| away)
        });
        due.filter(|_| waits)
            .map(|away| State::Clearing(away, refusal.clone()))
    }
}
