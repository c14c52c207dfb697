//! The session lease that guards the place in the queue.

use etcd_rs_sync::{Error, Reply, Request};
use std::time::Duration;

use super::{LEASE_MARGIN, Machine, Stage, State};
use crate::core::Refusal;
use crate::core::io::{Action, Ticket};

impl Machine {
    /// Whether the place still hangs on the lease, so that its end must be acted on.
    pub(super) fn needs_lease(&self) -> bool {
        match &self.state {
            State::Entering(..) | State::Counting | State::Queued | State::TakingAway(_) => true,
            State::Gates(gates) => matches!(gates.stage(), Stage::Waiting | Stage::PostLock),
            State::Noting(noting) => {
                matches!(noting.gates.stage(), Stage::Waiting | Stage::PostLock)
            }
            State::SelfTest
            | State::ReadOwn
            | State::Registering(_)
            | State::Removing(_)
            | State::Idle(_)
            | State::Granting(..)
            | State::Leaving(..)
            | State::Left(_)
            | State::Committing(_)
            | State::Fencing(_)
            | State::Draining(_)
            | State::Moving(..)
            | State::LastLook(_)
            | State::Rebooting { .. }
            | State::Holding(..)
            | State::Verifying(_)
            | State::Ending(_)
            | State::Stopping
            | State::Stopped => false,
        }
    }

    pub(super) fn on_lease_time(&mut self) {
        if !self.needs_lease() {
            return;
        }
        let now = self.now.mono;
        let Some(lease) = &self.lease else { return };
        if lease.deadline <= now {
            return self.leave(Refusal::Lost(
                "the lease was not renewed in time".to_owned(),
            ));
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

    /// The answer is a hint: it moves the local deadline, counted from when the request was sent, and proves nothing.
    pub(super) fn on_renewed(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let now = self.now.mono;
        let Some(lease) = &mut self.lease else { return };
        let Some((expected, sent_at)) = lease.renewing else {
            return;
        };
        if expected != ticket {
            return;
        }
        lease.renewing = None;
        match result {
            Ok(Reply::KeepAlive(answer)) => match answer.ttl_sec.filter(|ttl| *ttl > 0) {
                Some(ttl) => {
                    let ttl = Duration::from_secs(ttl.unsigned_abs()).min(lease.ttl);
                    lease.deadline = lease.deadline.max(sent_at + ttl - ttl / LEASE_MARGIN);
                    lease.renew_at = sent_at + ttl / 3;
                }
                None if self.needs_lease() => {
                    self.leave(Refusal::Lost("the lease is gone".to_owned()));
                }
                None => {}
            },
            Ok(_) | Err(_) => lease.renew_at = now + lease.ttl / LEASE_MARGIN,
        }
    }
}
