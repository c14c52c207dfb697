//! The health report: the script as monitor, its verdict in etcd under a lease, written only when it changes.
//!
//! No report means unknown, which counts as unhealthy: so a node that dies, hangs or is cut off is unhealthy within the TTL.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};

use super::budget::backoff;
use super::facts::{ScriptOutcome, ScriptReport};
use super::io::{Now, Ticket};
use super::rng::Rng;
use super::settings::Settings;
use super::text::{describe, rfc3339, said, seconds};
use crate::lock::outcome;
use crate::lock::reboot_requests::Shown;
use crate::lock::record::{RECORD_VERSION, Report, Standing, decode};
use crate::lock::request;

mod said;
use said::Said;

/// What the reporter asks for.
#[derive(Debug)]
pub enum Ask {
    /// Run the health script in phase `monitor`.
    Check,
    /// Send this.
    Send(Request),
}

/// What a request under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Grant(i64),
    /// With the verdict that it carries.
    Put(bool),
    /// What the node says of itself.
    Standing,
    KeepAlive,
}

impl Sent {
    /// What it means that it failed, and the key that it was for.
    fn means(self, settings: &Settings) -> (&'static str, String) {
        let (keys, node) = (&settings.keys, settings.node.as_str());
        match self {
            Sent::Grant(_) | Sent::Put(_) => (
                "the health report of this node is not in etcd, so that it counts as not healthy",
                keys.alive(node),
            ),
            Sent::KeepAlive => (
                "the health report of this node cannot be renewed; once its lease ends the node counts as not healthy",
                keys.alive(node),
            ),
            Sent::Standing => (
                "what this node says of itself is not in etcd, so that others see what it said before",
                keys.standing(node),
            ),
        }
    }
}

#[derive(Debug)]
struct Lease {
    id: i64,
    ttl: Duration,
    renewed: Duration,
}

impl Lease {
    /// From when on the renewal goes along with whatever else wakes the node: a fleet costs etcd one wake-up instead of two.
    fn may_renew_at(&self) -> Duration {
        self.renewed + self.ttl / 2
    }

    /// By when it is renewed in any case. A third of the TTL is left for what may go wrong; a report that ends too early makes
    /// the node unknown, which nobody takes for healthy.
    fn renew_at(&self) -> Duration {
        self.renewed + self.ttl * 2 / 3
    }
}

/// One node's reports. See the [module](self).
#[derive(Debug, Default)]
pub struct Reporter {
    interval: Duration,
    check_at: Option<Duration>,
    checking: Option<Ticket>,
    /// The newest verdict, with what was told first of it.
    verdict: Option<Report>,
    /// How the script ended last, with its words but for what it counts: another reason is told, and not written.
    told: Option<(ScriptOutcome, Option<String>)>,
    /// What stands in etcd, as far as is known: nothing from when a write was sent until it is known to be done.
    published: Option<bool>,
    /// The mod revision of the report in etcd, 0 for none; each write compares it, so that a late one cannot undo a newer.
    modified: i64,
    said: Said,
    lease: Option<Lease>,
    asked: Option<(Ticket, Sent, Duration)>,
    retry_at: Option<Duration>,
    failures: u32,
    /// Whether the last write of the report, and that of the standing, found another one there.
    overtaken: [bool; 2],
    /// Whether the node may be drained with no claim that says so: then it is not healthy, whatever its script says.
    drained: bool,
}

impl Reporter {
    /// A reporter that checks at once and then every `interval`.
    pub fn new(interval: Duration, now: Duration) -> Reporter {
        Reporter {
            interval,
            check_at: Some(now),
            ..Reporter::default()
        }
    }

    /// What the node says of itself now, and whether it may be drained with no claim that says so.
    pub(super) fn stands(&mut self, standing: Option<&Standing>, drained: bool, now: Duration) {
        self.drained = drained;
        if let Some(standing) = standing {
            self.said.now(standing, now);
        }
    }

    /// When something is due to be asked at the latest.
    pub fn wake_at(&self) -> Option<Duration> {
        let renew = self.lease.as_ref().map(Lease::renew_at);
        let etcd = match self.asked {
            Some(_) => None,
            None => self.retry_at.or(renew),
        };
        [self.check_at, etcd].into_iter().flatten().min()
    }

    /// A new configuration: its script is run now, and what was sent over connections that are gone is sent again.
    pub(super) fn reload(&mut self, interval: Duration, now: Duration) {
        self.interval = interval;
        self.check_at = Some(now);
        self.checking = None;
        self.asked = None;
        self.retry_at = None;
        self.failures = 0;
    }

    /// The lease to revoke when the program stops: a node whose daemon is gone is not known to be healthy.
    pub fn lease(&self) -> Option<i64> {
        match (&self.lease, self.asked) {
            (Some(lease), _) => Some(lease.id),
            (None, Some((_, Sent::Grant(id), _))) => Some(id),
            (None, _) => None,
        }
    }

    /// Whether this node's script passed last.
    pub fn healthy(&self) -> Option<bool> {
        self.verdict.as_ref().map(|report| report.healthy)
    }

    /// What is due now, one thing a call, under this ticket.
    pub(super) fn next(
        &mut self,
        settings: &Settings,
        rng: &mut Rng,
        ticket: Ticket,
        now: Duration,
    ) -> Option<Ask> {
        if self.checking.is_none() && self.check_at.is_some_and(|at| at <= now) {
            self.check_at = None;
            self.checking = Some(ticket);
            return Some(Ask::Check);
        }
        if self.asked.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        // Also when nothing is left to be tried again: a moment that is over would be waited for without end.
        self.retry_at = None;
        let (sent, request) = self.due(settings, rng, now)?;
        self.published = self.published.filter(|_| !matches!(sent, Sent::Put(_)));
        self.asked = Some((ticket, sent, now));
        Some(Ask::Send(request))
    }

    /// The lease comes first, then what is not in etcd yet, then the renewal. One that was not renewed for its TTL has ended: what
    /// answers to its id may be a late copy of its grant, under which nothing stands.
    fn due(
        &mut self,
        settings: &Settings,
        rng: &mut Rng,
        now: Duration,
    ) -> Option<(Sent, Request)> {
        if (self.lease.as_ref()).is_some_and(|lease| lease.renewed + lease.ttl <= now) {
            self.lost();
        }
        let Some(lease) = &self.lease else {
            if self.verdict.is_none() && self.said.standing.is_none() {
                return None;
            }
            let id = rng.lease_id();
            let ttl_sec = seconds(settings.lock_ttl);
            return Some((Sent::Grant(id), Request::Grant { id, ttl_sec }));
        };
        // A write that is refused again and again, as by a full database, must not cost the lease.
        let renewal = (Sent::KeepAlive, Request::KeepAlive { id: lease.id });
        if lease.renew_at() <= now {
            return Some(renewal);
        }
        let mut verdict = self.verdict.clone();
        if let Some(said) = verdict.as_mut().filter(|it| self.drained && it.healthy) {
            let why = "it may be drained: what undoes that has not succeeded yet";
            (said.healthy, said.reason) = (false, Some(why.to_owned()));
        }
        if let Some(verdict) = verdict.filter(|it| self.published != Some(it.healthy)) {
            let txn = request::report(&settings.keys, &verdict, lease.id, self.modified);
            return Some((Sent::Put(verdict.healthy), Request::Txn(txn)));
        }
        if let Some(txn) = self.said.due(&settings.keys, lease.id) {
            return Some((Sent::Standing, Request::Txn(txn)));
        }
        (lease.may_renew_at() <= now).then_some(renewal)
    }

    /// The script has ended, with what is news. Anything but success is unhealthy.
    pub(super) fn checked(
        &mut self,
        settings: &Settings,
        ticket: Ticket,
        now: Now,
        report: &ScriptReport,
    ) -> Option<bool> {
        self.checking.take_if(|asked| *asked == ticket)?;
        if report.outcome == ScriptOutcome::Cancelled {
            // Another script was to be stopped and this one with it: that says nothing.
            self.check_at = Some(now.mono);
            return None;
        }
        self.check_at = Some(now.mono + self.interval);
        let words = said(report).map(|words| words.replace(char::is_numeric, ""));
        let told = Some((report.outcome.clone(), words));
        if self.told == told {
            return None;
        }
        self.told = told;
        let healthy = report.outcome.success();
        if self.healthy() != Some(healthy) {
            self.verdict = Some(Report {
                v: RECORD_VERSION,
                node: settings.node.clone(),
                node_id: settings.node_id.clone(),
                healthy,
                reason: (!healthy).then(|| describe(report)),
                since: rfc3339(now.wall),
            });
        }
        Some(healthy)
    }

    /// etcd answered, or not; then what that means, the key, and why.
    pub(super) fn answered(
        &mut self,
        settings: &Settings,
        rng: &mut Rng,
        ticket: Ticket,
        now: Duration,
        result: Result<Reply, Error>,
    ) -> Option<(&'static str, String, String)> {
        let (_, sent, sent_at) = self.asked.take_if(|(asked, ..)| *asked == ticket)?;
        let done = match (sent, result) {
            (Sent::Grant(id), result) => {
                let granted = outcome::granted(result, seconds(settings.lock_ttl));
                granted.map_err(|error| error.to_string()).map(|ttl| {
                    let ttl = Duration::from_secs(ttl.unsigned_abs());
                    let renewed = sent_at;
                    self.lease = Some(Lease { id, ttl, renewed });
                })
            }
            (Sent::KeepAlive, Ok(Reply::KeepAlive(answer))) => {
                match (&mut self.lease, answer.ttl_sec) {
                    (Some(lease), Some(ttl)) if ttl > 0 => lease.renewed = sent_at,
                    _ => self.lost(),
                }
                Ok(())
            }
            (Sent::Put(healthy), Ok(reply)) => self.written(healthy, reply),
            (Sent::Standing, Ok(reply)) => self.stands_in_etcd(reply),
            (Sent::Put(_) | Sent::Standing, Err(error @ Error::LeaseNotFound)) => {
                self.lost();
                Err(error.to_string())
            }
            (Sent::KeepAlive, Ok(_)) => Err("a renewal was answered by something else".to_owned()),
            (Sent::Put(_) | Sent::Standing | Sent::KeepAlive, Err(error)) => Err(error.to_string()),
        };
        if done.is_ok() {
            self.failures = 0;
            return None;
        }
        let pause = backoff(self.failures, settings.backoff_min, settings.backoff_max);
        self.failures += 1;
        let again = now + rng.jitter(pause);
        let renew = self.lease.as_ref().map(Lease::renew_at);
        self.retry_at = match sent {
            Sent::Put(_) | Sent::Standing => renew.into_iter().chain([again]).min(),
            Sent::Grant(_) | Sent::KeepAlive => Some(again),
        };
        let (means, key) = sent.means(settings);
        done.err().map(|why| (means, key, why))
    }

    fn written(&mut self, healthy: bool, reply: Reply) -> Result<(), String> {
        let report = |value: &[u8]| decode(value).ok();
        let ours = |value: &[u8]| report(value).is_some() && report(value) == self.verdict;
        let (stands, done) = self.came_to(reply, ours)?;
        self.modified = stands;
        if done {
            self.published = Some(healthy);
        }
        self.not_overtaken(0, done)
    }

    fn stands_in_etcd(&mut self, reply: Reply) -> Result<(), String> {
        let (stands, done) = self.came_to(reply, |value| self.said.is_sent(value))?;
        self.said.written(stands, done);
        self.not_overtaken(1, done)
    }

    /// The mod revision of what stands there after a write, and whether that is the write: the copy of one whose answer was lost is
    /// as good.
    fn came_to(&self, reply: Reply, ours: impl Fn(&[u8]) -> bool) -> Result<(i64, bool), String> {
        let lease = self.lease.as_ref().map(|lease| lease.id);
        let written = outcome::register(reply).map_err(|why| why.0.to_owned())?;
        let (stands, ours) = match written {
            Ok(revision) => (revision, true),
            Err(None) => (0, false),
            Err(Some(kv)) => (kv.mod_revision, lease == Some(kv.lease) && ours(&kv.value)),
        };
        Ok((stands, ours && stands > 0))
    }

    /// Once, an earlier process's record may stand there: compare with that one, at once.
    fn not_overtaken(&mut self, key: usize, done: bool) -> Result<(), String> {
        if std::mem::replace(&mut self.overtaken[key], !done) && !done {
            return Err("another program writes it at the same time".to_owned());
        }
        Ok(())
    }

    /// What stands of it in etcd. Another machine of this name, a tool or a hand may have written over it or deleted it, while its
    /// lease stands: then it is written again.
    pub(super) fn saw(&mut self, shown: Shown) {
        if shown.revision >= self.modified && shown.report != self.modified {
            self.published = None;
            self.modified = shown.report;
        }
        self.said.saw(shown);
    }

    /// What was written was deleted, though its lease stands.
    pub(super) fn forgotten(&mut self) {
        self.published = None;
        self.modified = 0;
        self.said.forgotten();
    }

    fn lost(&mut self) {
        self.lease = None;
        self.forgotten();
    }
}
