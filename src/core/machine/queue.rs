//! What a node knows of the queue before it, and how it counts. It is joined in `joining.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_rs_sync::{Error, Keys as Span, Reply, Request, Txn};

use super::{Machine, State, answer};
use crate::core::io::Action;
use crate::core::settings::Mode;
use crate::core::{Note, Refusal};
use crate::lock::domains::Older;
use crate::lock::outcome::{self, Ahead};
use crate::lock::{Claim, Domains, Held, request};

/// How long a waiting node relies on its watch alone before it counts again.
const RECOUNT: Duration = Duration::from_secs(600);

/// So many claims are a crowd: etcd sorts all of them for each count, so that a node far back in `n` crowds counts `n` times more seldom.
const CROWD: u32 = 1000;

/// However many keys stand there, somebody else's among them: as if they were no more crowds than these.
const MOST_CROWDS: u32 = 10;

/// How the node comes into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// At its end.
    Join,
    /// In the place that an earlier process of this host left.
    TakeOver(Box<Held>),
}

/// What a waiting node knows of the queue before it.
#[derive(Debug, Default)]
pub struct Queue {
    /// The claims before this one: all of them when `near`, else only the nearest.
    pub(super) ahead: BTreeMap<String, Place>,
    /// Whether all of them are known and followed.
    pub(super) near: bool,
    /// Whether something happened that only a new count can tell.
    stale: bool,
    /// When the gates are judged again.
    pub(super) check_at: Duration,
    /// When the queue is looked at again whatever the watch says: far back, whether the claim is there that this node follows.
    pub(super) recount_at: Duration,
    /// When all of it is counted, whatever is found there.
    count_at: Duration,
    /// Since when the watch does not stand.
    pub(super) blind: Option<Duration>,
    /// When it was counted last.
    pub(super) counted_at: Duration,
    /// The turn is here, but a gate that closes for everybody is closed; until when it is left alone.
    pub(super) retry_at: Option<Duration>,
    /// A gate may be closed only because of what this node saw, which it forgets when it leaves.
    pub(super) suspects: bool,
    pub(super) held: Option<Refusal>,
    pub(super) since: Duration,
}

/// Another node's claim before this one.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) create: i64,
    /// What it says of its failure domains, when it is readable.
    pub(super) domains: Option<Domains>,
}

impl Queue {
    /// Nothing of it is known yet, and everything is due now.
    pub(super) fn unknown(now: Duration) -> Queue {
        Queue {
            stale: true,
            since: now,
            ..Queue::default()
        }
    }

    /// Of the claims before this one the furthest known.
    fn furthest(&self) -> Option<(&str, i64)> {
        let ahead = self.ahead.iter();
        ahead
            .map(|(key, place)| (key.as_str(), place.create))
            .min_by_key(|(_, create)| *create)
    }

    /// How many claims are known to be before this one, and whether there may be more.
    pub(super) fn ahead(&self) -> (usize, bool) {
        (self.ahead.len(), !self.near)
    }

    /// What is known of the queue, and what was judged at its head, is to be found out again.
    pub(super) fn begin_anew(&mut self) {
        self.count_anew(Duration::ZERO);
        self.retry_at = None;
        self.held = None;
    }

    /// What the watch told is not all that happened: it is counted at this time at the latest.
    pub(super) fn count_anew(&mut self, at: Duration) {
        self.stale = true;
        self.recount_at = self.recount_at.min(at);
    }

    /// Whether it is the turn of the claim that says `own`, under a limit in all.
    pub(super) fn turn(&self, own: &Domains, limit: u32, claims: &str) -> Result<(), String> {
        if !self.near {
            return Err(format!("{} or more before it", self.ahead.len()));
        }
        let node = |key| str::strip_prefix(key, claims).unwrap_or(key);
        let older = self.ahead.iter();
        let older: Vec<Older<'_>> = older
            .map(|(key, place)| (node(key.as_str()), place.domains.as_ref()))
            .collect();
        own.turn(limit, &older).map_err(|waits| waits.text)
    }
}

impl Machine {
    pub(super) fn entering_request(&self, entry: &Entry, claim: &Claim) -> Option<Txn> {
        let (keys, member) = (&self.settings.keys, self.settings.mode == Mode::Daemon);
        // A place hangs on a lease, or it is not written.
        let lease = self.lease.as_ref()?.id;
        Some(match entry {
            Entry::Join => request::join(keys, claim, lease, member),
            Entry::TakeOver(seen) => request::rewrite(keys, seen, claim, lease),
        })
    }

    pub(super) fn counting_request(&self) -> Option<Request> {
        let (keys, node) = (&self.settings.keys, &self.settings.node);
        let queue = self.queue.as_ref()?;
        let far = !queue.near && !queue.stale && self.now.mono < queue.count_at;
        if let (true, Some((followed, _))) = (far, queue.furthest()) {
            return Some(Request::Txn(request::look_at(keys, node, followed)));
        }
        let (create, window) = (self.held.as_ref()?.create, self.window());
        let recount = request::recount(keys, create, window, self.sight.foreign);
        Some(Request::Range(recount))
    }

    /// A key below `lock_key` that names no node. Nothing of ours wrote it.
    pub(super) fn note_foreign(&mut self, key: &str) {
        self.note(
            Note::warn(
                "foreign_key",
                format!(
                    "the key {key} in etcd is no record of this group: a tool wrote it, or a group whose lock_key lies below this one; \
                     it is ignored. Give that group another lock_key, or delete the key"
                ),
            )
            .repeating(),
        );
    }

    pub(super) fn on_counted(&mut self, result: Result<Reply, Error>) {
        let Some(create) = self.held.as_ref().map(|held| held.create) else {
            return;
        };
        if let Ok(Reply::Txn(_)) = result {
            return self.on_looked(result, create);
        }
        let (keys, node) = (&self.settings.keys, &self.settings.node);
        match answer(result, |reply| outcome::recount(reply, keys, node, create)) {
            Ok(Some(ahead)) => self.counted(ahead),
            Ok(None) => self.leave(Refusal::Lost("the claim was deleted".to_owned())),
            Err(why) => self.retry(&why),
        }
    }

    /// A proxy may keep to itself what a watch tells. The nearer the turn, the more often that is looked at.
    fn look_next(&self, before: usize) -> Duration {
        let limit = self.settings.max_concurrent_reboots.max(1);
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let blind = |queue: &Queue| queue.blind.is_some();
        let rounds = match self.queue.as_ref().is_some_and(blind) {
            true => 1,
            false => (before / limit).max(1),
        };
        self.now.mono + self.settings.lock_ttl.saturating_mul(rounds)
    }

    /// Far back: whether the own claim and the one that is followed are there.
    fn on_looked(&mut self, result: Result<Reply, Error>, create: i64) {
        let (own, followed) = match answer(result, outcome::looked_at) {
            Ok(looked) => looked,
            Err(why) => return self.retry(&why),
        };
        if own != Some(create) {
            return self.leave(Refusal::Lost("the claim was deleted".to_owned()));
        }
        let now = self.now.mono;
        let Some(queue) = &mut self.queue else { return };
        let stands = queue.furthest().map(|(_, create)| create) == followed;
        let watched = !queue.stale && queue.blind.is_none();
        if !stands {
            queue.count_anew(now);
        } else if !queue.stale {
            let (known, count_at) = (queue.ahead.len(), queue.count_at);
            let at = self.look_next(known).min(count_at);
            if let Some(queue) = &mut self.queue {
                queue.recount_at = at;
            }
        }
        if !stands && watched {
            self.note_blind("it did not tell that a claim is gone");
        }
        self.go(State::Queued);
    }

    fn counted(&mut self, counted: Ahead) {
        let now = self.now.mono;
        let recount_at = self.look_next(counted.claims.len());
        let times = match counted.more {
            true => crowds(counted.all).max(1),
            false => 1,
        };
        let count_at = now + self.rng.jitter(RECOUNT) * times;
        let claims = self.settings.keys.claims();
        let furthest = counted.claims.last().map(|(key, _)| key.clone());
        if let Some(key) = counted.foreign.first() {
            self.note_foreign(key);
        }
        let Some(queue) = &mut self.queue else { return };
        if counted.more && self.sight.must_widen(counted.foreign.len()) {
            return self.go(State::Counting);
        }
        let first = queue.stale && queue.ahead.is_empty();
        let watched = !queue.stale && queue.blind.is_none();
        queue.near = !counted.more;
        queue.stale = false;
        (queue.recount_at, queue.counted_at) = (recount_at.min(count_at), now);
        queue.count_at = count_at;
        let mut before = std::mem::take(&mut queue.ahead);
        for (key, found) in counted.claims {
            self.sight.look(&key, &found, now);
            before.remove(&key);
            let domains = found.claim.ok().map(|claim| claim.domains);
            let create = found.create;
            queue.ahead.insert(key, Place { create, domains });
        }
        let (known, near) = (queue.ahead.len(), queue.near);
        if watched && !before.is_empty() {
            self.note_blind("it did not tell that a claim is gone");
        }
        let span = match furthest {
            Some(key) if !near => Span::one(key),
            _ => Span::prefix(claims),
        };
        let ticket = self.ticket();
        self.watch = Some(ticket);
        self.out
            .push_back(Action::Watch(Some((ticket, span, counted.revision + 1))));
        if first {
            let more = if near { "" } else { " or more" };
            self.note(
                Note::info(
                    "queued",
                    format!("in the queue, {known}{more} before this node"),
                )
                .with("ahead", known)
                .repeating(),
            );
        }
        self.go(State::Queued);
    }
}

pub(super) fn crowds(all: u32) -> u32 {
    (all / CROWD).min(MOST_CROWDS)
}
