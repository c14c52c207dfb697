//! How long a claim has stood, by this host's own clock. What another host wrote is by that host's clock, and the two are never
//! subtracted where something is decided by it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::describe::began;
use super::times::{instant, since};
use crate::lock::Phase;
use crate::lock::outcome::Found;
use crate::lock::record::Standing;

/// How many revisions are kept, and how many of them fall into the time after which a silent node is late.
const KEPT: usize = 16;
const EACH: u32 = 8;

/// Since this host was started, suspended or not.
pub(crate) fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Revisions of the store, each with when this host learnt that it had come so far, in seconds since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revisions(Vec<(i64, u64)>);

impl Revisions {
    /// An answer was given at this revision. Few are kept, as many as `patience` needs.
    pub fn saw(&mut self, revision: i64, at: Duration, patience: Duration) {
        let apart = (patience / EACH).as_secs().max(1);
        // A second begun is not one that has passed.
        let at = at.as_secs() + u64::from(at.subsec_nanos() > 0);
        match self.0.last() {
            Some((known, when))
                if revision == *known || (revision > *known && at < when + apart) =>
            {
                return;
            }
            // Another store: what was learnt of the old one says nothing.
            Some((known, _)) if revision < *known => self.0.clear(),
            _ => {}
        }
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push((revision, at));
    }

    /// Whether it stood here already before the first that is kept.
    fn forgot(&self, revision: i64) -> bool {
        let first = self.0.first().filter(|_| self.0.len() == KEPT);
        first.is_some_and(|(known, _)| *known >= revision)
    }

    /// How long at least, and at most, what was written at this revision has stood.
    fn stood(&self, revision: i64, now: Duration) -> (Duration, Option<Duration>) {
        let ago = |(_, at): &(i64, u64)| now.saturating_sub(Duration::from_secs(*at));
        let there = self.0.iter().find(|(known, _)| *known >= revision);
        let not_yet = self.0.iter().rfind(|(known, _)| *known < revision);
        // The times are rounded up.
        let longest = |entry| ago(entry) + Duration::from_secs(1);
        (there.map_or(Duration::ZERO, ago), not_yet.map(longest))
    }
}

/// Who reads, and what is known here of time.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// By etcd's clock, as far as that is known.
    pub now: Timestamp,
    /// After how much time a node that says nothing is one to worry about.
    pub patience: Duration,
    /// What the daemon of this host knows, and the time since the host was started; nothing where none runs.
    pub seen: Option<(&'a Revisions, Duration)>,
    /// What is known here of the node of this host; nothing where that is not told apart from others.
    pub here: Option<Here<'a>>,
    /// How many may be down at once, as this host is configured.
    pub limit: u32,
    /// How many failed reboots stop it, of whatever kernel; 0: none.
    pub halt_after: u32,
}

/// What a host knows of its own node beside etcd.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    pub(crate) node: &'a str,
    /// What it says of itself, or the pass that ended last: its process writes that here before it sends it anywhere.
    pub(crate) word: Option<&'a Standing>,
    /// Whether no daemon runs.
    pub(crate) is_left: bool,
    /// Whether etcd does not answer.
    pub(crate) is_away: bool,
    /// Since when, and why, it could not use etcd by then.
    pub(crate) etcd: Option<&'a (String, String)>,
    /// How far its claim had come by then, where etcd cannot be asked.
    pub(crate) phase: Option<Phase>,
    /// Whether its daemon has not learnt from etcd yet whether it has a claim.
    pub(crate) starts: bool,
    /// Whether a detector that only looks requires a reboot now.
    pub(crate) required: bool,
}

impl Reader<'_> {
    /// Whether a node that says nothing has been away for longer than its claim allows. Where nobody watches here, the clocks of both
    /// tell, and so they do of a claim that may stand for longer than what is kept here reaches back.
    pub(crate) fn is_late(&self, found: &Found) -> bool {
        let claim = found.claim.as_ref().ok();
        let patience = claim.map_or(self.patience, |it| it.patience(self.patience));
        let since_commit = claim.map_or(patience, |it| it.patience_since_commit(self.patience));
        let by_clocks = || {
            let began = instant(began(found)).map_or(self.now, |at| at.min(self.now));
            let age = Duration::try_from(self.now.duration_since(began));
            age.is_ok_and(|age| age > since_commit)
        };
        self.seen.map_or_else(by_clocks, |(revisions, now)| {
            let stood = revisions.stood(found.modified, now).0;
            stood > patience || revisions.forgot(found.modified) && by_clocks()
        })
    }

    /// When a claim came into its present state: as its record says, but not where this host knows better.
    pub(crate) fn began(&self, found: &Found) -> Option<Timestamp> {
        let said = instant(began(found))?;
        let Some((revisions, now)) = self.seen else {
            return Some(said);
        };
        let before = |age: Duration| {
            let age = SignedDuration::try_from(age).ok()?;
            self.now.checked_sub(age).ok()
        };
        // Its commit came after it was created, and before it was written last.
        let least = revisions.stood(found.modified, now).0;
        let most = revisions.stood(found.create, now).1;
        let earliest = most.and_then(before).unwrap_or(Timestamp::MIN);
        let latest = before(least)
            .filter(|_| !least.is_zero())
            .unwrap_or(Timestamp::MAX);
        Some(said.max(earliest).min(latest))
    }

    /// How long a claim has been in its present state; empty when that cannot be read.
    pub(crate) fn age(&self, found: &Found) -> String {
        let began = self.began(found);
        began.map(|at| since(self.now, at)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixtures;

    const PATIENCE: Duration = Duration::from_secs(600);

    fn sec(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One look every ten seconds while the store goes on by one revision a second.
    fn watched(from: u64, to: u64) -> Revisions {
        let mut revisions = Revisions::default();
        for at in (from..=to).step_by(10) {
            revisions.saw(i64::try_from(at).unwrap(), sec(at), PATIENCE);
        }
        revisions
    }

    #[test]
    fn what_was_written_has_stood_for_as_long_as_this_host_has_seen_it() {
        let revisions = watched(1000, 9000);
        assert!(revisions.0.len() <= KEPT, "{revisions:?}");
        for age in [0, 5, 100, 500, 660, 700, 1000, 5000] {
            let (least, most) = revisions.stood(i64::try_from(9000 - age).unwrap(), sec(9000));
            let true_age = sec(age);
            assert!(least <= true_age, "{age}: {least:?}");
            assert!(most.is_none_or(|most| most >= true_age), "{age}: {most:?}");
            // Not much later than the patience it is known.
            let known = PATIENCE + PATIENCE / EACH + sec(10);
            assert!(true_age < known || least > PATIENCE, "{age}: {least:?}");
        }
    }

    #[test]
    fn an_idle_store_adds_nothing_and_another_store_begins_anew() {
        let mut revisions = watched(1000, 1000);
        for at in (1000..90_000).step_by(60) {
            revisions.saw(1000, sec(at), PATIENCE);
        }
        assert_eq!(revisions, Revisions(vec![(1000, 1000)]));
        assert_eq!(revisions.stood(7, sec(90_000)).0, sec(89_000));
        revisions.saw(3, sec(90_000), PATIENCE);
        assert_eq!(revisions.stood(3, sec(90_000)).0, Duration::ZERO);
    }

    /// What the reader allows itself says nothing of another node's drain.
    #[test]
    fn a_silent_node_is_late_by_what_its_claim_allows() {
        let revisions = watched(1000, 9000);
        for (phase, age, by_sight, by_clocks) in [
            (Phase::Draining, 1100, false, false),
            (Phase::Draining, 1900, true, true),
            // The clocks do not tell when the drain ended.
            (Phase::Rebooting, 450, true, false),
            (Phase::Rebooting, 1300, true, true),
        ] {
            let (_, mut found) = fixtures::found("a", phase, 9000 - age, "11:00");
            found.modified = found.create;
            let claim = found.claim.as_mut().unwrap();
            (claim.patience_sec, claim.drain_sec) = (Some(300), Some(900));
            let now = instant(claim.committed_at.as_ref().unwrap()).unwrap();
            let reader = |seen| Reader {
                now: now.checked_add(SignedDuration::from_secs(age)).unwrap(),
                patience: sec(10),
                seen,
                here: None,
                limit: 1,
                halt_after: 1,
            };
            let late = |seen| reader(seen).is_late(&found);
            let told = (late(Some((&revisions, sec(9000)))), late(None));
            assert_eq!(told, (by_sight, by_clocks), "{phase:?} {age}");
        }
    }

    /// The clock of the node that is down is wrong by three hours, either way.
    #[test]
    fn a_wrong_clock_makes_nobody_late_and_nobody_early() {
        let now = fixtures::now();
        for said in ["09:00", "11:59", "15:00"] {
            let (_, mut found) = fixtures::found("a", Phase::Rebooting, 8899, said);
            for (age, late) in [(100, false), (1000, true)] {
                found.modified = 9000 - age;
                found.create = found.modified - 1;
                let revisions = watched(1000, 9000);
                let reader = Reader {
                    now,
                    patience: PATIENCE,
                    seen: Some((&revisions, sec(9000))),
                    here: None,
                    limit: 1,
                    halt_after: 1,
                };
                assert_eq!(reader.is_late(&found), late, "{said} {age}");
                let began = reader.began(&found).unwrap();
                let told = now.duration_since(began).as_secs();
                assert!((told - age).abs() <= 160, "{said} {age}: {told}");
            }
        }
    }
}
