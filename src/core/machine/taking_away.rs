//! The claim of a node that never returned: looked at, taken away, with an entry of the history.

use std::time::Duration;

use etcd_rs_sync::{Error, Keys as Span, Range, Reply, Request};

use super::{Machine, State, answer, grant_request, words};
use crate::core::Note;
use crate::core::text::{rfc3339, seconds};
use crate::lock::outcome::{self, Write};
use crate::lock::record::HISTORY_TTL;
use crate::lock::{Held, History, Keys, request};

/// Taking away a claim: first the lease of the history entry, then one transaction. Or saying that its node failed.
#[derive(Clone, Debug)]
pub struct TakingAway {
    pub(super) key: String,
    pub(super) held: Box<Held>,
    pub(super) end: End,
}

/// What is done about a claim that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its failure is told: it was seen standing still for so long.
    Told(Duration),
    /// To be taken away: its node's report is looked at.
    Look,
    /// The report with this mod revision (0: there is none) does not say that it is healthy. The lease of the history entry is
    /// asked for.
    Grant { report: i64, lease: i64 },
    /// The same, and it is taken away.
    Take { report: i64, lease: i64 },
}

impl TakingAway {
    /// The key decides whose claim it is; the record is only what somebody wrote there.
    pub(super) fn node(&self, keys: &Keys) -> &str {
        let name = self.key.strip_prefix(&keys.claims());
        name.unwrap_or(&self.key)
    }
}

impl Machine {
    /// What goes on after it: the queue, or the pass that was ended already by what closed a gate. There nothing is repeated: the
    /// next look tells whether it is still to be done.
    pub(super) fn looked_after(&mut self, queue: State) {
        match &self.state {
            State::Clearing(_, refusal) => self.block(refusal.clone()),
            _ => self.go(queue),
        }
    }

    pub(super) fn not_looked_after(&mut self, why: &str) {
        match &self.state {
            State::Clearing(..) => self.looked_after(State::Queued),
            _ => self.retry(why),
        }
    }

    pub(super) fn take_away_request(&self, away: &TakingAway) -> Request {
        let keys = &self.settings.keys;
        let node = away.node(keys).to_owned();
        let (report, lease) = match away.end {
            End::Told(waited) => return self.tell_request(away, waited),
            End::Look => return Request::Range(Range::of(Span::one(keys.alive(&node)))),
            End::Grant { lease, .. } => return grant_request(lease, HISTORY_TTL),
            End::Take { report, lease } => (report, lease),
        };
        let now = rfc3339(self.now.wall);
        let history = History {
            node: node.clone(),
            outcome: "taken-away".to_owned(),
            detail: "hold_timeout_sec passed, and the node neither moved its claim nor said that it is healthy".to_owned(),
            ended_at: now.clone(),
            by: Some(self.settings.node.clone()),
            ..History::of(&away.held.claim)
        };
        Request::Txn(request::take_away(
            keys,
            (&node, &away.held, report),
            (&history, lease, &now),
        ))
    }

    /// The report of a node whose claim stood still for `hold_timeout_sec`.
    fn on_report_seen(&mut self, away: &TakingAway, result: Result<Reply, Error>) {
        match answer(result, outcome::health) {
            Ok((false, modified)) => {
                let lease = self.rng.lease_id();
                self.take_on(End::Grant {
                    report: modified,
                    lease,
                });
            }
            // Up and healthy: it drains, or settles, or its reboot may still come. Its time begins anew.
            Ok((true, _)) => {
                self.sight.well(&away.key, self.now.mono);
                self.looked_after(State::Queued);
            }
            Err(why) => self.not_looked_after(&why),
        }
    }

    fn take_on(&mut self, next: End) {
        if let State::TakingAway(away) | State::Clearing(away, _) = &mut self.state {
            away.end = next;
        }
        self.begin();
    }

    pub(super) fn on_taken_away(&mut self, away: &TakingAway, result: Result<Reply, Error>) {
        match away.end {
            End::Told(_) => return self.on_told_of(away, result),
            End::Look => return self.on_report_seen(away, result),
            End::Grant { report, lease } => match outcome::granted(result, seconds(HISTORY_TTL)) {
                Ok(_) => return self.take_on(End::Take { report, lease }),
                Err(error) => return self.not_looked_after(&words(&error)),
            },
            End::Take { .. } => {}
        }
        let node = away.node(&self.settings.keys).to_owned();
        match answer(result, outcome::write) {
            Ok(Write::Done(_)) => self.note(
                Note::warn(
                    "taken_away",
                    format!(
                        "took the claim of {node} away: hold_timeout_sec passed, and it neither moved nor said that it is healthy"
                    ),
                )
                .with("taken_from", node),
            ),
            Ok(Write::Refused(_)) => {}
            Err(why) => return self.not_looked_after(&why),
        }
        // Taken away or not, what was known of it is not so any more.
        self.sight.forget(&away.key);
        let now = self.now.mono;
        if let Some(queue) = &mut self.queue {
            queue.count_anew(now);
        }
        self.looked_after(State::Counting);
    }
}
