//! What this node says of itself: made where the decisions are, and rendered everywhere.

use std::time::Duration;

use jiff::Timestamp;

use super::start::MAX_ATTEMPTS;
use super::{Gates, Machine, Outcome, Stage, State, Verify};
use crate::core::Refusal;
use crate::core::settings::Mode;
use crate::core::text::{bounded, rfc3339};
use crate::core::verdict::{Verdict, Verdicts};
use crate::identity::is_same;
use crate::lock::record::{Blocked, RECORD_VERSION, Required, Standing};

/// What this node says of itself, and what it is made of.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) verdicts: Verdicts,
    pub(super) standing: Option<Standing>,
    /// What held it up last, and when that was said last.
    pub(super) blocked: Option<(Duration, Blocked)>,
    /// That was at its turn, which is taken anew to see whether it still does.
    pub(super) at_turn: bool,
    /// Since when a reboot is required, and the same by the monotonic clock.
    pub(super) required: Option<(String, Duration)>,
    /// Since when and why etcd cannot be used.
    pub(super) etcd_trouble: Option<(Timestamp, String)>,
    /// Why the proof of health does not succeed.
    pub(super) ill: Option<String>,
    /// What the health script said last when it failed.
    pub(super) said: Option<String>,
    /// What does not work on this host, though it goes on.
    pub(super) hampered: Option<String>,
    /// What is left for others because the name is another machine's.
    pub(super) refused_name: Option<Standing>,
}

impl Machine {
    /// What the node says of itself; `None` before it knows anything.
    pub fn standing(&self) -> Option<&Standing> {
        self.shown.standing.as_ref()
    }

    /// What a pass that is over leaves behind, unless etcd could not be asked, and what a machine does whose name another one has.
    pub fn parting(&self) -> Option<&Standing> {
        if self.shown.refused_name.is_some() {
            return self.shown.refused_name.as_ref();
        }
        let registered = self.registration.as_ref();
        let ours =
            registered.is_none_or(|(_, record)| is_same(&record.node_id, &self.settings.node_id));
        let asked = |standing: &&Standing| standing.label() != Some("etcd");
        let standing = self.shown.standing.as_ref().filter(asked);
        standing.filter(|standing| standing.once && ours)
    }

    /// The name is another machine's: for whoever looks from elsewhere.
    pub(super) fn refused_name(&self, label: &str, why: &str) -> Standing {
        let since = rfc3339(self.now.wall);
        Standing {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            node_id: self.settings.node_id.clone(),
            state: Standing::REFUSED.to_owned(),
            since: since.clone(),
            blocked: Some(Blocked {
                gate: "name".to_owned(),
                label: label.to_owned(),
                text: bounded(why),
                since,
            }),
            once: true,
            ..Standing::default()
        }
    }

    /// What each gate said when it was asked last.
    pub fn verdicts(&self) -> &[Verdict] {
        self.shown.verdicts.all()
    }

    /// Why etcd cannot be used, and since when.
    pub fn etcd_trouble(&self) -> Option<&(Timestamp, String)> {
        self.shown.etcd_trouble.as_ref()
    }

    /// Says it anew. What only passes by, such as a look at the gates, leaves what was said.
    pub(super) fn stand(&mut self) {
        let now = self.now.wall;
        self.require(now);
        let Some((state, refusal, doing)) = self.stands() else {
            return;
        };
        let doing = doing.map(|text| bounded(&text));
        let blocked = refusal.map(|refusal| Blocked {
            gate: refusal.gate().to_owned(),
            label: refusal.label().to_owned(),
            text: bounded(&self.shown.ill.clone().unwrap_or_else(|| refusal.text())),
            since: String::new(),
        });
        let mut standing = Standing {
            v: RECORD_VERSION,
            node: self.settings.node.clone(),
            node_id: self.settings.node_id.clone(),
            state: state.to_owned(),
            since: String::new(),
            required: self.required(),
            blocked,
            doing,
            said: self.shown.said.clone(),
            hampered: self.shown.hampered.as_deref().map(bounded),
            once: self.settings.mode != Mode::Daemon,
        };
        let before = self.shown.standing.take();
        let since = |kept: Option<String>| kept.unwrap_or_else(|| rfc3339(now));
        let same = before.as_ref().filter(|before| before.same(&standing));
        standing.since = since(same.map(|before| before.since.clone()));
        let held_up_still = before.and_then(|before| before.blocked);
        if let Some(blocked) = &mut standing.blocked {
            let before = held_up_still.or_else(|| self.held_up_lately());
            let same = before.filter(|before| before.label == blocked.label);
            blocked.since = since(same.map(|before| before.since));
            self.shown.blocked = Some((self.now.mono, blocked.clone()));
        } else if state != "queued" {
            (self.shown.blocked, self.shown.at_turn) = (None, false);
        }
        self.shown.standing = Some(standing);
    }

    /// What held the node up before it came as far as the queue again, where that was no longer than a pass takes: what is refused
    /// at the turn is refused in each of them.
    fn held_up_lately(&self) -> Option<Blocked> {
        let pass = self.settings.check_interval * 3 + self.settings.gates_limit;
        let (at, blocked) = self.shown.blocked.as_ref()?;
        (self.now.mono.saturating_sub(*at) <= pass).then(|| blocked.clone())
    }

    /// Since when a reboot is required, as far as this process knows.
    fn require(&mut self, now: Timestamp) {
        if !self.judging.reasons.is_empty() {
            let begins = || (rfc3339(now), self.now.mono);
            self.shown.required.get_or_insert_with(begins);
        } else if let State::Idle(_) = self.state {
            self.shown.required = None;
        }
    }

    fn required(&self) -> Option<Required> {
        let (since, _) = self.shown.required.clone()?;
        let by = self.judging.reasons.iter();
        let by = by.map(|reason| bounded(reason)).collect();
        Some(Required { since, by })
    }

    /// The state, what holds it up, and what it is at.
    fn stands(&self) -> Option<(&'static str, Option<Refusal>, Option<String>)> {
        let at = |gates: &Gates| match gates.stage() {
            // What comes of it is said, and that a drain goes on after a restart is said by its claim.
            Stage::PreLock | Stage::Resume => None,
            // It looks again, as it says: not each look is news.
            Stage::Retry if self.is_said_to_hold() => None,
            Stage::Waiting | Stage::PostLock => self.waiting(),
            Stage::Retry => Some(("retrying", None, Some(self.still_up()))),
        };
        match &self.state {
            State::SelfTest
            | State::ReadOwn
            | State::Registering(_)
            | State::Unregistering(_)
            | State::Clearing(..)
            | State::Removing(_)
            | State::Leaving(..)
            | State::Left(_)
            | State::Idle(None)
            | State::Committing(_)
            | State::Fencing(_)
            | State::Stopping
            | State::Stopped => None,
            State::Idle(Some(Refusal::NotRequired)) => Some(("idle", None, None)),
            State::Idle(Some(refusal)) => Some(("blocked", Some(refusal.clone()), None)),
            State::Gates(gates) => at(gates),
            State::Noting(noting) => at(&noting.gates),
            State::Granting(..)
            | State::Entering(..)
            | State::Counting
            | State::Queued
            | State::TakingAway(_) => self.waiting(),
            State::Draining(_) => Some(("draining", None, Some(self.drain_text()))),
            State::Moving(..) | State::LastLook(_) => {
                Some(("rebooting", None, Some(self.command_text(&None))))
            }
            State::Rebooting { failed, .. } => {
                Some(("rebooting", None, Some(self.command_text(failed))))
            }
            State::Holding(_, refusal) => {
                let doing = match self.down.may_go_down {
                    true => "is still up and may yet go down",
                    false => "keeps its claim and looks again",
                };
                Some(("holding", Some(refusal.clone()), Some(doing.to_owned())))
            }
            State::Verifying(verify) => {
                let ill = self.shown.ill.clone().map(Refusal::Health);
                Some(("verifying", ill, Some(self.proof_text(verify))))
            }
            State::Ending(_) => Some(("verifying", None, Some("gives its claim back".to_owned()))),
        }
    }

    fn is_said_to_hold(&self) -> bool {
        let said = self.shown.standing.as_ref();
        said.is_some_and(|standing| standing.state == "holding")
    }

    /// What was refused at the turn a pass ago is most likely refused again: it stands until that is known.
    fn waiting(&self) -> Option<(&'static str, Option<Refusal>, Option<String>)> {
        let held = self.queue.as_ref().and_then(|queue| queue.held.clone());
        let looks_again = self.shown.at_turn && self.held_up_lately().is_some();
        (held.is_some() || !looks_again).then_some(("queued", held, None))
    }

    fn drain_text(&self) -> String {
        match self.settings.drain_timeout {
            Some(limit) => format!("the drain hook runs, at most {} s", limit.as_secs()),
            None => self.command_text(&None),
        }
    }

    /// True before, while and after the command runs: nothing is written any more while the host goes down.
    fn command_text(&self, failed: &Option<String>) -> String {
        match failed {
            Some(why) => format!("the reboot command failed ({why}); it may go down all the same"),
            None => format!(
                "the reboot command is run, and again when the host is still up {} s after it",
                self.settings.reboot_timeout.as_secs()
            ),
        }
    }

    fn still_up(&self) -> String {
        // A process that has just started counts anew what the one before it held.
        let led = match self.tries() {
            0 => String::new(),
            made => format!(": {made} of {MAX_ATTEMPTS} attempts led to no reboot"),
        };
        format!("never went down{led}; judges its gates and tries again")
    }

    fn proof_text(&self, verify: &Verify) -> String {
        let what = match &verify.outcome {
            Outcome::Completed => "is back".to_owned(),
            Outcome::Aborted(why) => format!("called its attempt off ({why})"),
            Outcome::TakenAway => "lost its claim to an operator or hold_timeout_sec".to_owned(),
            Outcome::Unrecorded => {
                "has no record of what it began, and undoes a drain once".to_owned()
            }
        };
        let settle = self.held.as_ref().map(|_| self.settings.post_boot_settle);
        match (&self.shown.ill, settle.unwrap_or_default().as_secs()) {
            (Some(_), _) => what,
            (None, 0) => format!("{what} and has to prove that it is healthy"),
            (None, long) => format!("{what} and has to prove that it is healthy for {long} s"),
        }
    }

    /// The gates that no judgement asks.
    pub(super) fn say_unasked(&mut self) {
        for said in [self.turn_verdict(), self.attempt_verdict()] {
            self.shown.verdicts.say(said, self.now.wall);
        }
    }

    /// The gate of the queue: the place tells.
    fn turn_verdict(&self) -> Verdict {
        let Some(queue) = &self.queue else {
            return Verdict::not_asked("turn", "not in the queue");
        };
        let (ahead, more) = queue.ahead();
        if queue.held.is_some() || ahead == 0 && !more {
            return Verdict::ok("turn", "its turn is here");
        }
        let or_more = if more { " or more" } else { "" };
        let turn = Refusal::NotTurn(format!("{ahead}{or_more} before it"));
        Verdict::refused("turn", &turn)
    }

    /// An attempt that failed or lost its place, until it is tried again.
    fn attempt_verdict(&self) -> Verdict {
        let failed = match &self.state {
            State::Idle(Some(refusal @ (Refusal::Aborted(_) | Refusal::Lost(_))))
            | State::Holding(_, refusal) => Verdict::refused("attempt", refusal),
            _ => return Verdict::not_asked("attempt", ""),
        };
        let before = self.shown.verdicts.of("attempt");
        let changes_at = match before.filter(|before| before.blocks()) {
            Some(before) => before.changes_at.clone(),
            None if matches!(self.state, State::Idle(_)) => {
                let left = self.timer.map(|at| at.saturating_sub(self.now.mono));
                left.map(|left| rfc3339(after(self.now.wall, left)))
            }
            None => None,
        };
        Verdict {
            changes_at,
            ..failed
        }
    }
}

/// The moment after a span.
pub(super) fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
