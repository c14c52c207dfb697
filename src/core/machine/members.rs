//! The members of the cluster, as its policies see them, and when they are read.
//!
//! Each look at them reads them all. So in a large fleet they are read where that decides, before the commit and after it, and
//! before the queue only by a node whom the policies have refused, the more seldom the more members there are.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply};

use super::{Machine, Stage, State, answer};
use crate::core::policy;
use crate::core::settings::Mode;
use crate::core::text::rfc3339;
use crate::core::{Refusal, Verdict};
use crate::lock::outcome::{self, Members};
use crate::lock::request::Others;

/// However many there are said to be, as if they were so many times [`Settings::many_members`](super::Settings::many_members).
const MOST_CROWDS: u32 = 10;

/// What is known of the members.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Those of the last look.
    pub(super) members: Members,
    /// How many of them were healthy and how many were not.
    pub(super) counted: (usize, usize),
    /// The revision of that look.
    pub(super) judged_at: Option<i64>,
    /// How many there are, once that is known.
    size: Option<u32>,
    /// What they were found to forbid before the queue.
    pub(super) refused: Option<Refused>,
}

/// A refusal that stands, unread, for a time.
#[derive(Debug)]
pub(super) struct Refused {
    why: String,
    until: Duration,
    /// The mod revision of the operator's request then: another one is worth a look.
    request: i64,
}

impl Machine {
    /// Whose claims the gates need beside the own one: all that can be committed are among the oldest, also under a limit that is
    /// a little larger than this node's. Without a place in the queue they are nobody's to judge.
    pub(super) fn others(&self) -> Others {
        let looks = self.queue.is_some() || self.looks_from_outside();
        match &self.settings.policies {
            Some(_) if self.reads_members() => Others::Members,
            None if looks => Others::Oldest(self.window().saturating_add(self.sight.foreign)),
            Some(_) | None => Others::Nobody,
        }
    }

    /// Whether it is not known yet how many members there are, where that says whether they are read.
    pub(super) fn asks_for_size(&self) -> bool {
        self.settings.policies.is_some() && self.before_the_queue() && self.fleet.size.is_none()
    }

    pub(super) fn on_size(&mut self, result: Result<Reply, Error>) {
        match answer(result, |reply| outcome::size(&reply)) {
            Ok(size) => {
                self.fleet.size = Some(size);
                self.ask();
            }
            Err(why) => self.judged(Err(Refusal::Etcd(why))),
        }
    }

    pub(super) fn judge_policies(
        &mut self,
        revision: i64,
        members: Option<Members>,
    ) -> Result<(), Refusal> {
        let Some(policies) = &self.settings.policies else {
            return Ok(());
        };
        let Some(members) = members else {
            return self.judge_unread();
        };
        let judged = policy::judge(policies, &members, &self.settings.node);
        self.fleet.counted = members.counts();
        self.fleet.size = Some(u32::try_from(members.all.len()).unwrap_or(u32::MAX));
        self.fleet.members = members;
        self.fleet.judged_at = Some(revision);
        self.fleet.refused = None;
        judged.map_err(|why| Refusal::Policy(self.refused_for_a_time(why)))
    }

    /// The members were not asked for.
    fn judge_unread(&self) -> Result<(), Refusal> {
        match &self.fleet.refused {
            _ if !self.before_the_queue() => {
                Err(Refusal::Policy("the members are not known".to_owned()))
            }
            Some(refused) => Err(Refusal::Policy(refused.why.clone())),
            None => Ok(()),
        }
    }

    /// Why the policies refuse, and in a large fleet when they are asked again.
    fn refused_for_a_time(&mut self, why: String) -> String {
        let many = self.settings.many_members.max(1);
        let crowds = (self.fleet.size.unwrap_or(0) / many).min(MOST_CROWDS);
        if crowds == 0 || !self.waits_to_read() {
            return why;
        }
        let longest = self.settings.check_interval * crowds * crowds;
        let pause = self.rng.jitter(longest);
        let again = self.now.wall.checked_add(pause);
        let why = format!(
            "{why}; there are so many members that this node reads them again at {}, or when its reboot is requested",
            rfc3339(again.unwrap_or(self.now.wall))
        );
        self.fleet.refused = Some(Refused {
            why: why.clone(),
            until: self.now.mono + pause,
            request: self.judging.request_modified,
        });
        why
    }

    /// After a commit the members are read at each look, and a pass of `--once` does not look again.
    fn waits_to_read(&self) -> bool {
        let committed = matches!(&self.state, State::Gates(gates) if gates.committed());
        self.settings.mode == Mode::Daemon && !committed
    }

    /// Before the queue the members of a small fleet are read, and those of a large one when they were found to forbid it and
    /// that is some time ago.
    fn reads_members(&self) -> bool {
        if !self.before_the_queue() {
            return true;
        }
        match &self.fleet.refused {
            Some(refused) => {
                refused.until <= self.now.mono || refused.request != self.judging.request_modified
            }
            None => (self.fleet.size).is_some_and(|size| size < self.settings.many_members),
        }
    }

    fn before_the_queue(&self) -> bool {
        matches!(&self.state, State::Gates(gates) if gates.stage() == Stage::PreLock)
    }

    /// Where the gates let this node pass without the members, what is left open.
    pub(super) fn unread(&self) -> Option<Verdict> {
        let left = self.settings.policies.is_some() && !self.reads_members();
        let size = self.fleet.size.unwrap_or(0);
        left.then(|| {
            Verdict::not_asked(
                "policies",
                format!("judged at the head of the queue, because there are {size} members"),
            )
        })
    }
}
