//! The start of a process: the self-test, and what becomes of a claim that is already there (adoption).

use std::time::Duration;

use etcd_rs_sync::{Error, Op, Reply, Txn};

use super::{Entry, Gates, Machine, Outcome, Stage, State, Verify, answer};
use crate::core::settings::Mode;
use crate::core::{Note, Refusal};
use crate::identity::is_same;
use crate::lock::outcome::{self, Found, Registered};
use crate::lock::record::decode;
use crate::lock::{Claim, Held, NodeRecord, Phase, request};

/// How often one claim is committed before the node gives up: it calls the attempt off, or holds the claim when a reboot command
/// ran.
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// So many attempts that were called off in a row are followed by the longest pause, whatever the shortest is.
const LONG: u32 = 24;

impl Machine {
    pub(super) fn own_request(&self) -> Txn {
        let mut txn = request::read_own(&self.settings.keys, &self.settings.node);
        if self.nameless {
            txn.success.extend(self.unregistrations(false));
        }
        txn
    }

    pub(super) fn registering_request(&self, record: &NodeRecord) -> Txn {
        let mut txn = request::register(&self.settings.keys, record, self.registered_as());
        // The reboot that failed under an old name has been made good.
        let is_whole = record.budget_used == 0 && self.record().budget_used > 0;
        txn.success.extend(self.unregistrations(is_whole));
        txn
    }

    pub(super) fn unregistering_request(&self) -> Txn {
        Txn {
            success: self.unregistrations(false).collect(),
            ..Txn::default()
        }
    }

    /// Nobody is there any more under a former name, and policies would count it for ever.
    fn unregistrations(&self, is_whole: bool) -> impl Iterator<Item = Op> {
        let (keys, former) = (&self.settings.keys, self.former.iter());
        former
            .map(move |(modified, it)| Op::Txn(request::unregister(keys, it, *modified, is_whole)))
    }

    /// What a claim or a failure kept is tried again with the next check, and so is what etcd did not answer.
    pub(super) fn on_unregistered(&mut self, refusal: Refusal, reply: Result<Reply, Error>) {
        if let Ok(reply) = reply {
            self.former = outcome::refused(&reply, std::mem::take(&mut self.former));
        }
        self.block(refusal);
    }

    pub(super) fn on_self_test(&mut self, result: Result<Reply, Error>) {
        let asked = match &result {
            Ok(Reply::Txn(txn)) => (txn.header.cluster_id, txn.header.revision),
            _ => (0, 0),
        };
        match answer(result, outcome::self_test) {
            Ok(true) => self.tested(asked),
            Ok(false) => self.refuse_server(),
            Err(why) => self.retry(&why),
        }
    }

    pub(super) fn on_own(&mut self, result: Result<Reply, Error>) {
        if let (true, State::ReadOwn, Ok(reply)) = (self.nameless, &self.state, &result) {
            self.former = outcome::refused(reply, std::mem::take(&mut self.former));
        }
        match answer(result, outcome::own) {
            Ok((claim, registration)) => self.adopt(claim, registration),
            Err(why) => self.retry(&why),
        }
    }

    pub(super) fn on_removed(&mut self, result: Result<Reply, Error>) {
        match answer(result, outcome::write) {
            Ok(_) => self.go(State::ReadOwn),
            Err(why) => self.retry(&why),
        }
    }

    fn tested(&mut self, (cluster, revision): (u64, i64)) {
        let boot = self.settings.boot_id.clone();
        match self.began {
            Some((known, began)) if known == cluster && began <= revision => {}
            _ => self.began = Some((cluster, revision)),
        }
        if self.recorded {
            self.remember(|memory| memory.asked(&boot, cluster, revision));
        } else {
            // Written once what a lost record could have said has been seen to.
            self.memory.asked(&boot, cluster, revision);
        }
        self.go(State::ReadOwn);
    }

    fn refuse_server(&mut self) {
        self.note(Note::error(
            "self_test_failed",
            "etcd let a transaction pass whose guard must fail: it, or a proxy before it, does not understand the guards \
             this program's safety rests on; refusing to run. Connect to etcd 3.4 or later directly",
        ));
        self.exit(1);
    }

    /// The table of adoption.
    fn adopt(&mut self, claim: Option<Found>, registration: Registered) {
        match registration {
            Some((modified, Ok(record))) => self.registration = Some((modified, record)),
            Some((_, Err(error))) => return self.refuse_record("registration", &error.to_string()),
            None => self.registration = None,
        }
        if let Some(why) = self.restored() {
            return self.retry(&why);
        }
        let Some(found) = claim else {
            return self.adopt_nothing();
        };
        if let State::Left(refusal) = &self.state {
            // Why the place was given up is said all the same; what stands there is another story.
            self.note_refusal(&refusal.clone());
        }
        let (create, modified) = (found.create, found.modified);
        let held = match found.claim {
            Ok(claim) => Held {
                create,
                modified,
                claim,
            },
            Err(error) => return self.refuse_record("claim", &error.to_string()),
        };
        if !is_same(&held.claim.node_id, &self.settings.node_id) {
            return self.refuse_name("claim", &held.claim.node_id);
        }
        if self.foreign_registration() {
            return;
        }
        if held.claim.phase == Phase::Queued {
            return self.adopt_queued(held);
        }
        self.judging.reasons.clone_from(&held.claim.reasons);
        let other_boot = held.claim.boot_id != self.settings.boot_id;
        let why = match other_boot {
            true => self.memory.is_not_ours(&held.claim.boot_id, held.create),
            false => self.is_another_process(&held),
        };
        if let Some(why) = why {
            return self.refuse_copy("claim", &held.claim.boot_id, why);
        }
        let phase = held.claim.phase;
        self.note(adopted(&held.claim, other_boot));
        self.held = Some(held);
        // Where the host has no record, what it remembers from now on says so, too, until it is undone.
        self.memory.begun = true;
        if other_boot {
            return self.go(State::Verifying(Verify::new(Outcome::Completed)));
        }
        if phase != Phase::Rebooting && self.attempts_made() >= MAX_ATTEMPTS {
            // What ended those before may end this process, too, which alone knows how often it called attempts off: the pause
            // after this one is the longest.
            self.called_off = LONG;
        }
        match phase {
            Phase::Queued | Phase::Draining => self.adopt_draining(),
            Phase::Rebooting => self.adopt_rebooting(),
            Phase::Verifying => self.go(State::Verifying(Verify::new(Outcome::Aborted(
                "an earlier process called the attempt off, and its log says why".to_owned(),
            )))),
        }
    }

    /// Why a committed claim of this boot is none that an earlier process of this host left. Only one runs at a time, and it has the
    /// answer to its join before it commits.
    fn is_another_process(&self, held: &Held) -> Option<&'static str> {
        let since = held.claim.session != self.session
            && self.began.is_some_and(|(_, began)| held.create > began);
        since.then_some("another program made it after this one had begun to use etcd")
    }

    fn adopt_nothing(&mut self) {
        if self.foreign_registration() {
            return;
        }
        if let Some(outcome) = self.begun_before() {
            return self.go(State::Verifying(Verify::new(outcome)));
        }
        if !self.settings.dry_run {
            self.remember(|_| {});
        }
        if let State::Left(refusal) = &self.state {
            return self.block(refusal.clone());
        }
        if self.next.is_some() {
            return self.start_afresh();
        }
        let mut record = self.record();
        record.version.clone_from(&self.settings.version);
        record.boot_id = Some(self.settings.boot_id.clone());
        let stands = self.registration.as_ref().map(|(_, stands)| stands);
        let known = stands == Some(&record) && self.former.is_empty();
        // A pass of `--once` registers where others wait for its wave, or would wait for the one it had.
        let waves = stands.is_some_and(|it| it.wave != record.wave) || record.wave < 0;
        if known || self.settings.mode != Mode::Daemon && !waves {
            return self.go(State::Gates(Gates::at(Stage::PreLock)));
        }
        self.go(State::Registering(Box::new(record)));
    }

    /// Whether something of an earlier attempt may have to be undone though no claim stands: as what it ended.
    fn begun_before(&mut self) -> Option<Outcome> {
        if let Some(attempt) = self.record().attempt {
            self.note(
                Note::warn(
                    "claim_gone",
                    format!(
                        "this node committed to a reboot at {}, and its claim was taken away since (released by an operator, or \
                         hold_timeout_sec passed); {}",
                        attempt.committed_at,
                        self.what_follows()
                    ),
                )
                .with("outcome", "taken-away"),
            );
            return Some(Outcome::TakenAway);
        }
        if self.memory.begun {
            let (name, next) = (&self.settings.node, self.what_follows());
            let what = format!(
                "this host remembers that it committed to a reboot, and under the name {name} etcd knows nothing of it (released and \
                 forgotten, its data was lost, or the host had another name, lock_key or etcd_namespace then); {next}"
            );
            self.note(Note::warn("claim_gone", what).with("outcome", "taken-away"));
            return Some(Outcome::TakenAway);
        }
        if !self.recorded && self.settings.undoes && !self.settings.dry_run {
            self.note(Note::info(
                "no_record",
                "this host has no record of what it began: running the hook that undoes a drain once, in case it was drained",
            ));
            return Some(Outcome::Unrecorded);
        }
        None
    }

    /// A queued claim of an earlier process on this host, which the instance lock proves dead.
    fn adopt_queued(&mut self, held: Held) {
        let same_boot = held.claim.boot_id == self.settings.boot_id;
        if same_boot {
            // Whoever joined had seen to what was left undone. A place of another boot may be a copy's.
            self.remember(|_| {});
        }
        let same_place = held.claim.domains == self.settings.domains;
        // Who is forgotten registers before it waits: those before it may wait for one more healthy member.
        let member = self.settings.mode == Mode::Daemon && self.registration.is_some();
        if same_boot && same_place && member && self.next.is_none() {
            self.judging.reasons.clone_from(&held.claim.reasons);
            self.note(Note::info(
                "adopted",
                "found this node's place in the queue, left by an earlier process; keeping it",
            ));
            self.enter_queue(Entry::TakeOver(Box::new(held)));
        } else {
            self.note(Note::info(
                "adopted",
                "found this node's place in the queue, left by an earlier process; giving it up",
            ));
            self.go(State::Removing(Box::new(held)));
        }
    }

    fn adopt_draining(&mut self) {
        let attempts = self.attempts_made();
        if attempts >= MAX_ATTEMPTS {
            return self.abort(format!("{attempts} commits of it have led to no reboot"));
        }
        // A claim that still drains after its first commit has seen no reboot command.
        self.down.unordered = attempts == 1;
        self.go(State::Gates(Gates::at(Stage::Resume)));
    }

    /// The reboot was issued or about to be. The wall clock only shortens the wait: the claim is held all the while. A commit
    /// far in the future says that the clock went back, and not how long ago it was: the wait is over, lest `--once`, which
    /// has no other clock, finds the reboot under way for ever.
    fn adopt_rebooting(&mut self) {
        let timeout = self.settings.reboot_timeout;
        let once = self.settings.mode != Mode::Daemon;
        let at = self.claim().and_then(|claim| claim.committed_at.as_ref());
        let committed_at = at.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let left = committed_at.map_or(timeout, |at| {
            let waited = self.now.wall.duration_since(at);
            match Duration::try_from(waited) {
                Ok(waited) => timeout.saturating_sub(waited),
                Err(_) if once && waited.unsigned_abs() > timeout => Duration::ZERO,
                Err(_) => timeout,
            }
        });
        if once && !left.is_zero() {
            self.note(Note::info(
                "reboot_under_way",
                "a reboot of this host is under way already; nothing to do",
            ));
            return self.exit(0);
        }
        let held = self.held.as_ref().filter(|_| !once);
        let tries = self.memory.tries_from;
        let tries = tries.filter(|(create, _)| held.is_some_and(|it| it.create == *create));
        self.down.tries_from = tries.map_or(0, |(_, from)| from);
        self.go(State::Rebooting {
            until: self.now.mono + left,
            failed: None,
        });
    }

    pub(super) fn on_registered(&mut self, record: NodeRecord, result: Result<Reply, Error>) {
        let reply = result.as_ref().ok();
        let refused = reply.map(|reply| outcome::refused(reply, self.former.clone()));
        match answer(result, outcome::register) {
            Ok(Ok(modified)) => {
                self.former = refused.unwrap_or_default();
                self.registered(record, modified);
            }
            // A repeated write whose first copy took effect.
            Ok(Err(Some(kv))) if decode(&kv.value).as_ref() == Ok(&record) => {
                self.registered(record, kv.mod_revision);
            }
            Ok(Err(_)) => self.go(State::ReadOwn),
            Err(why) => self.retry(&why),
        }
    }

    fn registered(&mut self, record: NodeRecord, modified: i64) {
        let of_this_boot = record.boot_id.as_ref() == Some(&self.settings.boot_id);
        self.signed = of_this_boot.then_some(modified);
        self.registration = Some((modified, record));
        // What was used up under them is in the new registration now.
        self.used_elsewhere = 0;
        for (_, former) in &mut self.former {
            former.budget_used = 0;
        }
        if self.next.is_some() {
            return self.start_afresh();
        }
        self.go(State::Gates(Gates::at(Stage::PreLock)));
    }
}

/// What is told of a committed claim that an earlier process left.
fn adopted(claim: &Claim, other_boot: bool) -> Note {
    let at = claim.committed_at.as_deref();
    let happened = match other_boot {
        true => "the reboot happened",
        false => "the host has not rebooted",
    };
    let phase = claim.phase.as_str();
    Note::info(
        "adopted",
        format!(
            "found this node's claim, committed {}, in phase {phase}; {happened}",
            at.unwrap_or("at an unknown time"),
        ),
    )
    .with("phase", phase)
    .with("boot_before", claim.boot_id.clone())
}
