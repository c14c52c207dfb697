//! The line: what this node saw of others that do not come back, what it says of that, and whether it goes all the same.

use std::time::Duration;

use etcd_rs_sync::{Error, Reply, Request};
use jiff::Timestamp;

use super::judge::stands;
use super::sight::stands_still;
use super::taking_away::TakingAway;
use super::{Machine, State, answer};
use crate::core::line::{self, HaltScope, Still};
use crate::core::text::rfc3339;
use crate::core::{Note, Refusal};
use crate::lock::outcome::{self, Found, GateRead, Write};
use crate::lock::record::RECORD_VERSION;
use crate::lock::{Failure, FailureKind, Held, request};

/// The share of `reboot_timeout_sec` for which a node that is back may be ill before it says so.
const ILLNESS: u32 = 4;

impl Machine {
    /// How long a claim of this node may stand still, but for the drain.
    pub(super) fn patience(&self) -> Duration {
        self.settings.reboot_timeout + self.settings.post_boot_settle
    }

    /// How long this node may be ill after its return before it says that its reboot failed.
    pub(super) fn may_be_ill(&self) -> Duration {
        self.settings.reboot_timeout / ILLNESS
    }

    /// Whether failed reboots of others stop this node. What somebody saw for long enough is in etcd, or known here; at the head
    /// of the queue the clocks of those who committed count too, because a process that has just started has seen nothing: they
    /// can only close this gate.
    pub(super) fn judge_line(&mut self, read: &GateRead) -> Result<(), Refusal> {
        let mut still = Vec::new();
        if self.queue.is_some() {
            let now = self.now.mono;
            still = self
                .sight
                .still(now, self.patience(), &self.settings.keys.claims());
            let known: Vec<String> = still.iter().map(|still| still.node.clone()).collect();
            let old = read.claims.iter().filter_map(|(node, found)| {
                let new = !known.contains(node);
                new.then(|| looks_old((node, found), self.patience(), self.now.wall))
                    .flatten()
            });
            still.extend(old);
        }
        let (halt_after, node) = (self.settings.halt_after, self.settings.node.clone());
        let target = match self.settings.halt_scope {
            HaltScope::All => None,
            HaltScope::Target => self.judging.target.clone(),
        };
        let target = target.as_deref();
        let judge = |still: &[Still]| line::judge(halt_after, &node, target, &read.line, still);
        let known = judge(&[]).is_err();
        if let Some(queue) = &mut self.queue {
            queue.suspects = !known;
        }
        let word = judge(&still).map_err(Refusal::Line)?;
        self.judging.line = (halt_after > 0).then_some((read.revision, word));
        Ok(())
    }

    /// Whether the line stands only because of what this node saw itself.
    pub(super) fn suspects(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.suspects)
    }

    /// What is to be said of the own claim, once: that it is held after a reboot command ran, or that its node is back and ill.
    /// With the claim that must still stand so.
    pub(super) fn failure_to_tell(&self) -> Option<(&Held, Failure)> {
        let held = self
            .held
            .as_ref()
            .filter(|held| held.create != self.down.told)?;
        let (kind, detail) = if let State::Verifying(verify) = &self.state {
            (FailureKind::Unhealthy, verify.illness.clone()?)
        } else if let (State::Holding(_, refusal), true) = (&self.state, self.down.may_go_down) {
            (FailureKind::Stuck, refusal.text())
        } else {
            return None;
        };
        let failure = self.failure(&self.settings.node, held, kind, &detail);
        Some((held, failure))
    }

    /// That the reboot of this claim failed.
    pub(super) fn failure(
        &self,
        node: &str,
        held: &Held,
        kind: FailureKind,
        detail: &str,
    ) -> Failure {
        let own = &self.settings.node;
        Failure {
            v: RECORD_VERSION,
            node: node.to_owned(),
            claim: held.create,
            kind,
            detail: detail.to_owned(),
            reasons: held.claim.reasons.clone(),
            target: held.claim.target.clone(),
            since: rfc3339(self.now.wall),
            by: (node != own).then(|| own.clone()),
        }
    }

    /// What a look at the own claim, or saying that its reboot failed, found. Somebody else may have said so.
    pub(super) fn told_own(&mut self, write: Write) -> Write {
        let Some(held) = &self.held else { return write };
        let known = match &write {
            Write::Done(_) => true,
            Write::Refused(found) => stands(held, found.as_deref()),
        };
        if !known {
            return write;
        }
        let (create, modified) = (held.create, held.modified);
        if self.failure_to_tell().is_some() {
            self.down.told = create;
        }
        Write::Done(modified)
    }

    pub(super) fn tell_request(&self, away: &TakingAway, waited: Duration) -> Request {
        let node = away.node(&self.settings.keys);
        let why = stands_still(&away.held.claim, waited);
        let failure = self.failure(node, &away.held, FailureKind::NotBack, &why);
        Request::Txn(request::mark(&self.settings.keys, &away.held, &failure))
    }

    /// That another node failed was told, or need not be told any more: it moved, or somebody else told it.
    pub(super) fn on_told_of(&mut self, away: &TakingAway, result: Result<Reply, Error>) {
        let node = away.node(&self.settings.keys).to_owned();
        match answer(result, outcome::write) {
            Ok(Write::Done(_)) => self.note(
                Note::error(
                    "reboot_failed",
                    format!(
                        "{node} does not come back: its claim does not move; it counts as a failed reboot until it recovers \
                         or an operator decides"
                    ),
                )
                .with("failed", node),
            ),
            Ok(Write::Refused(_)) => {}
            Err(why) => return self.not_looked_after(&why),
        }
        self.sight.told(&away.key, away.held.modified);
        self.looked_after(State::Queued);
    }
}

/// A claim that was committed so long ago, by the clocks of its node and of this one, that it must have moved since; `own` is what
/// this node allows itself, for one that does not say.
fn looks_old((node, found): (&str, &Found), own: Duration, now: Timestamp) -> Option<Still> {
    let claim = found.claim.as_ref().ok()?;
    let at: Timestamp = claim.committed_at.as_ref()?.parse().ok()?;
    let age = Duration::try_from(now.duration_since(at)).ok()?;
    (age > claim.patience_since_commit(own)).then(|| Still {
        node: node.to_owned(),
        claim: found.create,
        target: claim.target.clone(),
        why: format!(
            "it is {}, and was committed {} s ago by its clock",
            claim.phase.as_str(),
            age.as_secs()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sight::Sight;
    use super::*;
    use crate::lock::Claim;
    use crate::lock::Phase;

    const OWN: Duration = Duration::from_secs(50);

    fn sec(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn found(phase: Phase, patience_sec: Option<u64>, drain_sec: Option<u64>) -> Found {
        let claim = Claim {
            v: RECORD_VERSION,
            node: "b".to_owned(),
            node_id: "b".to_owned(),
            boot_id: "b".to_owned(),
            session: "b".to_owned(),
            phase,
            limit: 1,
            domains: crate::lock::Domains::default(),
            reasons: Vec::new(),
            since: String::new(),
            committed_at: Some("2026-01-01T00:00:00Z".to_owned()),
            attempts: 1,
            patience_sec,
            drain_sec,
            passed: Vec::new(),
            target: Some("6.1".to_owned()),
            version: String::new(),
        };
        Found {
            create: 3,
            modified: 4,
            lease: 0,
            claim: Ok(claim),
        }
    }

    #[test]
    fn a_claim_may_stand_still_for_as_long_as_it_says_and_longer_while_it_drains() {
        for (phase, says, drain, allowed) in [
            (Phase::Draining, Some(100), Some(30), 130),
            (Phase::Rebooting, Some(100), Some(30), 100),
            (Phase::Draining, Some(100), None, 100),
            (Phase::Rebooting, None, None, 50),
            // A record may say anything.
            (Phase::Rebooting, Some(u64::MAX), None, u64::from(u32::MAX)),
        ] {
            let found = found(phase, says, drain);
            assert_eq!(found.claim.unwrap().patience(OWN), sec(allowed));
        }
    }

    #[test]
    fn those_that_stand_still_are_known_and_told_one_after_the_other() {
        let late = || found(Phase::Rebooting, Some(100), None);
        let mut sight = Sight::default();
        for (key, at) in [
            ("/rc/claims/b", 10),
            ("/rc/claims/c", 20),
            ("/rc/claims/b", 30),
        ] {
            sight.look(key, &late(), sec(at));
        }
        sight.look("/rc/claims/d", &found(Phase::Queued, Some(1), None), sec(0));
        let still = |now: u64| sight.still(sec(now), OWN, "/rc/claims/");
        assert_eq!(still(109), []);
        let first = Still {
            node: "b".to_owned(),
            claim: 3,
            target: Some("6.1".to_owned()),
            why: "rebooting and not moved for 105 s".to_owned(),
        };
        assert_eq!(still(115), [first]);
        assert_eq!(still(120).len(), 2);
        assert_eq!(sight.next_to_tell(OWN), Some(sec(110)));
        sight.told("/rc/claims/b", 4);
        sight.told("/rc/claims/c", 5);
        assert_eq!(sight.next_to_tell(OWN), Some(sec(120)));
    }

    #[test]
    fn a_claim_looks_old_when_it_had_all_its_time_by_the_clocks() {
        let found = found(Phase::Rebooting, Some(100), Some(30));
        let at = |second: i64| {
            let now = Timestamp::from_second(1_767_225_600 + second).unwrap();
            looks_old(("b", &found), OWN, now)
        };
        assert_eq!(at(130), None);
        let still = Still {
            node: "b".to_owned(),
            claim: 3,
            target: Some("6.1".to_owned()),
            why: "it is rebooting, and was committed 131 s ago by its clock".to_owned(),
        };
        assert_eq!(at(131), Some(still));
        assert_eq!(at(-1), None);
    }
}
