//! The session lease that guards the place in the queue.

use etcd_rs_sync::{Error, Reply, Request};
use std::time::Duration;

use super::Machine;
use crate::core::io::{Action, Ticket};
use crate::core::{Note, Refusal};

/// The part of the lease's life that is given away to clocks that differ and requests that travel.
pub(super) const LEASE_MARGIN: u32 = 8;

/// The session lease.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: i64,
    pub(super) ttl: Duration,
    /// Past this the place counts as lost.
    pub(super) deadline: Duration,
    pub(super) renew_at: Duration,
    pub(super) renewing: Option<(Ticket, Duration)>,
}

impl Machine {
    pub(super) fn on_lease_time(&mut self) {
        if !self.state.needs_lease() {
            return;
        }
        let now = self.now.mono;
        let Some(lease) = &self.lease else { return };
        if lease.deadline <= now {
            return self.leave(Refusal::Lost(
                "the lease was not renewed in time".to_owned(),
            ));
        }
        if let Some((since, seen)) = self.cut_off
            && seen.saturating_sub(since) >= self.settings.lock_ttl
        {
            let silence = (seen - since).as_secs();
            return self.leave(Refusal::Lost(format!(
                "for {silence} s every request of this node but renewals failed: it could not use its turn, and others wait behind it"
            )));
        }
        if lease.renew_at <= now && lease.renewing.is_none() {
            let id = lease.id;
            let ticket = self.ticket();
            if let Some(lease) = &mut self.lease {
                lease.renewing = Some((ticket, now));
            }
            self.out
                .push_back(Action::Renew(ticket, Request::KeepAlive { id }));
        }
    }

    /// Whether the machine's own requests get through, which travel on other connections than renewals. A node that hears nothing
    /// may not keep a place for ever that it cannot use.
    pub(super) fn note_answer(&mut self, answered: bool) {
        let now = self.now.mono;
        if answered {
            self.cut_off = None;
            return;
        }
        let since = self.cut_off.map_or(now, |(since, _)| since);
        self.cut_off = Some((since, now));
        // One failure alone may be an accident. Another request tells, soon.
        self.count_again_within(self.settings.lock_ttl / 3);
    }

    /// The watch does not stand. Until it does the queue is counted every TTL.
    pub(super) fn on_watch_failing(&mut self, why: &str) {
        let (now, ttl) = (self.now.mono, self.settings.lock_ttl);
        let Some(queue) = &mut self.queue else { return };
        let since = *queue.blind.get_or_insert(now);
        let blind = now.saturating_sub(since);
        self.count_again_within(if blind.is_zero() { ttl / 3 } else { ttl });
        if blind >= ttl {
            return self.note_blind(why);
        }
        let every = ttl.as_secs();
        self.note(
            Note::warn(
                "watch_failing",
                format!("the watch of the queue is interrupted, so that it is counted every {every} s until it stands: {why}"),
            )
            .caused_by(etcd_rs_sync::cause(why)),
        );
    }

    /// What is seen of the queue comes from counting it.
    pub(super) fn note_blind(&mut self, why: &str) {
        let every = self.settings.lock_ttl.as_secs();
        self.note(
            Note::warn(
                "watch_blind",
                format!(
                    "this node cannot watch the queue, so that it learns of its turn up to {every} s late: {why}; a proxy before etcd has \
                     to pass on what is streamed, at once (for nginx, proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h)"
                ),
            )
            .caused_by(""),
        );
    }

    fn count_again_within(&mut self, span: Duration) {
        let at = self.now.mono + self.rng.jitter(span);
        if let Some(queue) = &mut self.queue {
            queue.recount_at = queue.recount_at.min(at);
        }
    }

    /// The answer is a hint: it moves the local deadline, counted from when the request was sent, and proves nothing.
    pub(super) fn on_renewed(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let now = self.now.mono;
        let Some(lease) = &mut self.lease else { return };
        let Some((_, sent_at)) = lease.renewing.take_if(|(asked, _)| *asked == ticket) else {
            return;
        };
        match result {
            Ok(Reply::KeepAlive(answer)) => match answer.ttl_sec.filter(|ttl| *ttl > 0) {
                Some(ttl) => {
                    let ttl = Duration::from_secs(ttl.unsigned_abs()).min(lease.ttl);
                    lease.deadline = lease.deadline.max(sent_at + ttl - ttl / LEASE_MARGIN);
                    lease.renew_at = sent_at + ttl / 3;
                }
                None if self.state.needs_lease() => {
                    self.leave(Refusal::Lost("the lease is gone".to_owned()));
                }
                None => {}
            },
            Ok(_) | Err(_) => lease.renew_at = now + lease.ttl / LEASE_MARGIN,
        }
    }
}
