//! Out of the queue: the lease is revoked, or left to run out, and what follows is decided by what was found.

use etcd_rs_sync::{Error, Reply};

use super::{After, Entry, Machine, State, words};
use crate::core::Refusal;

impl Machine {
    /// Gives up the place because another claim of this node stands there, and looks again.
    pub(super) fn start_over(&mut self, lease: i64) {
        self.leave_lease(lease, After::Start);
    }

    /// Gives up the place: the pass ends for `refusal`.
    pub(super) fn leave(&mut self, refusal: Refusal) {
        self.cancel_task();
        let takes_over = matches!(self.state, State::Entering(Entry::TakeOver(_), _));
        match self.lease.as_ref().map(|lease| lease.id) {
            Some(id) if takes_over => self.leave_lease(id, After::Start),
            Some(id) => self.leave_lease(id, After::Block(refusal)),
            None => {
                self.forget_place();
                self.block(refusal);
            }
        }
    }

    pub(super) fn leave_lease(&mut self, id: i64, after: After) {
        self.forget_place();
        self.go(State::Leaving(id, after));
    }

    pub(super) fn forget_place(&mut self) {
        self.unwatch();
        self.lease = None;
        self.queue = None;
        self.held = None;
    }

    /// The lease is gone. A commit that was refused is no proof that no copy of it is on its way: one that arrived before the
    /// revoke has made the claim durable, and it would stop the line for ever if it were forgotten.
    pub(super) fn on_left(&mut self, result: Result<Reply, Error>) {
        match result {
            Ok(Reply::Revoke(_)) | Err(Error::LeaseNotFound) => {}
            Ok(_) => return self.retry("a revoke was answered by something else"),
            Err(error) => return self.retry(&words(&error)),
        }
        match &self.state {
            State::Leaving(_, After::Block(refusal)) => {
                self.go(State::Left(refusal.clone()));
            }
            _ => self.look_again(&Refusal::Lost(
                "another claim of this node stands there, or its registration is gone".to_owned(),
            )),
        }
    }

    /// Reads the own claim again after a pause. A place that an earlier process left may not be forgotten: its commit may
    /// still be on its way.
    pub(super) fn look_again(&mut self, refusal: &Refusal) {
        self.note_refusal(refusal);
        let pause = self.failure_pause();
        self.state = State::ReadOwn;
        self.retries = 0;
        self.timer = Some(self.now.mono + pause);
    }
}
