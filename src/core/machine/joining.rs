//! Into the queue: a lease, then the claim, or the one that an earlier process left.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply};

use super::lease::{LEASE_MARGIN, Lease};
use super::queue::{Entry, Queue, crowds};
use super::{After, Grant, Machine, State, nonsense, words};
use crate::core::Refusal;
use crate::core::text::{rfc3339, seconds};
use crate::lock::outcome::{self, Write};
use crate::lock::record::RECORD_VERSION;
use crate::lock::{Claim, Held, Phase};

/// For each crowd there is, within what time those that join count for the first time.
const SPREAD: Duration = Duration::from_secs(60);

/// How many grants are tried before the lease id is given up.
const GRANT_TRIES: u32 = 3;

impl Machine {
    pub(super) fn enter_queue(&mut self, entry: Entry) {
        self.attempts += 1;
        let grant = Grant {
            id: self.rng.lease_id(),
            ttl: self.settings.lock_ttl,
            first_sent: None,
        };
        self.go(State::Granting(entry, grant));
    }

    pub(super) fn on_granted(
        &mut self,
        entry: Entry,
        mut grant: Grant,
        sent_at: Duration,
        result: Result<Reply, Error>,
    ) {
        let first_sent = grant.first_sent.unwrap_or(sent_at);
        let ttl = match outcome::granted(result, seconds(grant.ttl)) {
            Ok(ttl) => Duration::from_secs(ttl.unsigned_abs()),
            Err(error) if error.is_definite() && grant.first_sent.is_none() => {
                let refusal = Refusal::Etcd(words(&error));
                return match entry {
                    Entry::Join => self.block(refusal),
                    Entry::TakeOver(_) => self.look_again(&refusal),
                };
            }
            Err(error) => {
                grant.first_sent = Some(first_sent);
                return self.grant_unknown(entry, grant, &words(&error));
            }
        };
        self.lease = Some(Lease {
            id: grant.id,
            ttl,
            deadline: first_sent + ttl - ttl / LEASE_MARGIN,
            renew_at: first_sent + ttl / 3,
            renewing: None,
        });
        let claim = self.new_claim(&entry);
        self.go(State::Entering(entry, Box::new(claim)));
    }

    pub(super) fn grant_unknown(&mut self, entry: Entry, grant: Grant, why: &str) {
        if self.retries >= GRANT_TRIES {
            let after = match entry {
                Entry::Join => After::Block(Refusal::Etcd(why.to_owned())),
                Entry::TakeOver(_) => After::Start,
            };
            return self.leave_lease(grant.id, after);
        }
        self.state = State::Granting(entry, grant);
        self.retry(why);
    }

    pub(super) fn new_claim(&self, entry: &Entry) -> Claim {
        let now = rfc3339(self.now.wall);
        let (since, domains) = match entry {
            Entry::Join => (now, self.settings.domains.clone()),
            Entry::TakeOver(seen) => (seen.claim.since.clone(), seen.claim.domains.clone()),
        };
        Claim {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            node_id: self.settings.node_id.clone(),
            boot_id: self.settings.boot_id.clone(),
            session: self.session.clone(),
            phase: Phase::Queued,
            limit: self.settings.max_concurrent_reboots,
            domains,
            reasons: self.judging.reasons.clone(),
            since,
            committed_at: None,
            attempts: 0,
            patience_sec: Some(self.patience().as_secs()),
            drain_sec: self.settings.drain_timeout.map(|drain| drain.as_secs()),
            passed: Vec::new(),
            target: None,
            version: self.settings.version.clone(),
        }
    }

    pub(super) fn on_entered(&mut self, entry: &Entry, claim: Claim, result: Result<Reply, Error>) {
        let Some(lease) = self.lease.as_ref().map(|lease| lease.id) else {
            return;
        };
        let all = result.as_ref().map_or(0, outcome::queued);
        let write = match result {
            Ok(reply) => outcome::write(reply),
            Err(Error::LeaseNotFound) => {
                return self.leave(Refusal::Lost("the lease ran out while joining".to_owned()));
            }
            Err(error) if error.is_definite() && self.retries == 0 => {
                return self.leave(Refusal::Etcd(words(&error)));
            }
            Err(error) => return self.retry(&words(&error)),
        };
        match write {
            Ok(Write::Done(revision)) => {
                let create = match entry {
                    Entry::Join => revision,
                    Entry::TakeOver(seen) => seen.create,
                };
                let modified = revision;
                self.entered(
                    Held {
                        create,
                        modified,
                        claim,
                    },
                    all,
                );
            }
            // The copy of a join whose answer was lost.
            Ok(Write::Refused(Some(found))) if found.lease == lease => {
                match found.held_by(&self.session) {
                    Some(held) => self.entered(held, all),
                    None => self.start_over(lease),
                }
            }
            Ok(Write::Refused(_)) => self.start_over(lease),
            Err(malformed) => self.retry(&nonsense(&malformed)),
        }
    }

    /// In the queue, as one of `all` as far as the answer says.
    fn entered(&mut self, held: Held, all: u32) {
        // Whoever had the place before cannot commit it any more.
        self.began = self
            .began
            .map(|(cluster, began)| (cluster, began.min(held.create - 1)));
        self.held = Some(held);
        if self.writes_place_anew() {
            return;
        }
        let now = self.now.mono;
        // Those that come in crowds do not all count at once.
        let put_off = match SPREAD * crowds(all) {
            Duration::ZERO => Duration::ZERO,
            spread => self.rng.jitter(2 * spread) - spread,
        };
        let mut queue = Queue::unknown(now);
        queue.recount_at = now + put_off;
        // What let this node join may have been judged by a configuration that is gone.
        if !self.judging.outdated {
            queue.check_at = now + self.settings.check_interval;
        }
        self.queue = Some(queue);
        self.go(State::Queued);
    }

    /// When the record of the place says what a reload has changed since, it is written anew as that of a dead process is, on
    /// another lease. The one it leaves runs out.
    pub(super) fn writes_place_anew(&mut self) -> bool {
        let limit = self.settings.max_concurrent_reboots;
        let Some(held) = self.held.take_if(|held| held.claim.limit != limit) else {
            return false;
        };
        self.forget_place();
        self.enter_queue(Entry::TakeOver(Box::new(held)));
        true
    }
}
