//! The properties P1..P6, checked after every step from what is really true: the store, the hosts, the scripts. Written
//! from the specification, apart from the code under test.
//!
//! The rule of exemption: a disruption that was begun under a claim which an operator released or `hold_timeout_sec` took
//! away does not count against the limit, and only that one. A claim is known by its create revision.

mod acts;
mod domains;
pub mod known;
mod permission;
mod waves;

use etcd_rs_sync::KeyValue;
use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Commitment, Input, State};
use reboot_coordinator::lock::record::decode;
use reboot_coordinator::lock::{Claim, History, NodeRecord, Phase};

use self::known::Standing;
use crate::etcd::Change;
use crate::host::Truth;
use crate::network::message::{Message, Operator, Sender};
use crate::plan::FOREIGN;
use crate::world::{Event, World};
use crate::{SECOND, Time};

/// How much later than its rule allows something may be seen, for what travels and for clocks that differ.
const SLACK: Time = 2 * SECOND;

/// Whether these are answers of detectors of which none asks and none fails.
pub fn all_clear(input: &Input) -> bool {
    match input {
        Input::Detected(_, reports) => reports
            .iter()
            .all(|report| report.result == DetectorResult::Clear),
        _ => false,
    }
}

impl World {
    /// Looks at what a request did.
    pub(crate) fn stored(&mut self, message: &Message) {
        self.look_at_changes(Some(message));
    }

    /// Looks at what an expired lease did.
    pub(crate) fn expired(&mut self) {
        self.look_at_changes(None);
    }

    fn look_at_changes(&mut self, by: Option<&Message>) {
        let changes = self.etcd.log_since(self.check.seen).to_vec();
        if changes.is_empty() {
            return;
        }
        self.check.seen = self.etcd.log_len();
        let from_node = by.is_some_and(|message| matches!(message.sender, Sender::Node { .. }));
        if from_node {
            self.check.node_writes += 1;
        }
        // A transaction is one step: what it wrote to the history explains what it did to the claim.
        let so = |so: &str| changes.iter().any(|change| ended(change, so));
        let (completed, aborted) = (so("completed"), so("aborted"));
        for change in &changes {
            self.tell_change(change, by);
            if from_node && FOREIGN.iter().any(|key| key.as_bytes() == change.key) {
                let key = String::from_utf8_lossy(&change.key);
                self.fail("foreign", format!("a node touches {key}"));
            }
            if let Some(node) = node_of(&change.key, b"/r/claims/n") {
                self.claim_changed(node, change, by, completed);
            } else if let Some(node) = node_of(&change.key, b"/r/alive/n") {
                self.report_changed(node, change, by);
            } else if let Some(node) = node_of(&change.key, b"/r/standing/n") {
                self.check.said_at[node] = self.now;
            } else if let Some(node) = node_of(&change.key, b"/r/requests/n") {
                self.request_changed(node, change, by);
            } else if let Some(node) = node_of(&change.key, b"/r/line/failed/n") {
                self.failure_changed(node, change, by);
            } else if change.key == b"/r/line/go-on" {
                self.word_changed(change, by);
            } else if let Some(node) = node_of(&change.key, b"/r/nodes/n") {
                self.member_changed(node, change, by);
            }
        }
        if completed {
            // The cooldown begins with the release, as its node sent it.
            self.check.last_completed =
                by.map(|message| (message.sent_at, message.truth.rules.cooldown));
        }
        // Its host may have another name by now.
        let gone = |of: &[u8]| {
            let mut gone = changes.iter().filter(|change| change.after.is_none());
            gone.find_map(|change| node_of(&change.key, of))
        };
        let unmarked = gone(b"/r/line/failed/n").is_some();
        let released = gone(b"/r/claims/n").filter(|_| completed || aborted && unmarked);
        if let Some(node) = released.filter(|_| from_node) {
            self.check_failure_kept(node);
        }
        self.turns();
        self.check_limit();
        self.tell_watchers(&changes);
    }

    fn tell_change(&mut self, change: &Change, by: Option<&Message>) {
        self.tell(|| {
            let key = String::from_utf8_lossy(&change.key);
            let who = match by.map(|message| message.sender) {
                Some(Sender::Node { host, pid, .. }) => format!("n{host} (process {pid})"),
                Some(Sender::Operator(_)) => "an operator".to_owned(),
                None => "an expired lease".to_owned(),
            };
            match &change.after {
                Some(kv) => {
                    let claim = decode::<Claim>(&kv.value).ok();
                    let what = claim.map_or(String::new(), |claim| {
                        format!(
                            ", {} attempt {}, created at {}",
                            claim.phase.as_str(),
                            claim.attempts,
                            kv.create_revision
                        )
                    });
                    format!("etcd {}: {who} wrote {key}{what}", change.revision)
                }
                None => format!("etcd {}: {who} removed {key}", change.revision),
            }
        });
    }

    fn member_changed(&mut self, node: usize, change: &Change, by: Option<&Message>) {
        let sender = by.map(|message| message.sender);
        match (sender, &change.after) {
            // It goes by another name.
            (Some(Sender::Node { .. }), None) => {}
            (_, None) => self.forgotten(node),
            (sender, Some(_)) => {
                if change.before.is_none() {
                    self.check.member_since[node] = self.now;
                }
                let wave = |kv: &Option<KeyValue>| {
                    let record = kv.as_ref().map(|kv| decode::<NodeRecord>(&kv.value));
                    record.and_then(Result::ok).map(|record| record.wave)
                };
                if wave(&change.before) != wave(&change.after) {
                    self.check.wave_since[node] = self.now;
                }
                // On its way for long, from a process that is gone or has another name since.
                if let Some(Sender::Node { host, .. }) = sender
                    && self.home(host) != node
                {
                    self.leaves(host, node);
                }
            }
        }
    }

    fn forgotten(&mut self, node: usize) {
        // Its next process may go by another name, and nothing tells it what was used up under this one.
        let had = self.hosts.iter_mut();
        had.filter(|host| host.names.contains(&node))
            .for_each(|host| host.fruitless = 0);
        let Some(node) = self.host_named(node) else {
            return;
        };
        self.hosts[node].forgotten = true;
        if self.quiet {
            self.restart_forgotten(node);
        }
    }

    // ---- what happens to claims ----

    fn claim_changed(
        &mut self,
        node: usize,
        change: &Change,
        by: Option<&Message>,
        completed: bool,
    ) {
        let before = self.check.claims[node].take();
        let Some(kv) = &change.after else {
            if let Some(before) = before {
                self.claim_removed(node, &before, by, completed);
            }
            return;
        };
        let Ok(claim) = decode::<Claim>(&kv.value) else {
            return self.fail("records", format!("the claim of n{node} is unreadable"));
        };
        let Some(host) = self.sent_by(node, by) else {
            return self.fail(
                "P3",
                format!("the claim of n{node} was written by somebody else"),
            );
        };
        if let Some(before) = &before
            && before.holder != host
            && before.claim.phase.committed()
        {
            self.check_copies((host, by), before);
        }
        self.check_lease(node, &claim, kv);
        let same = before
            .as_ref()
            .filter(|before| before.create == kv.create_revision);
        let turn_at = same.and_then(|before| before.turn_at);
        let was = same.map(|before| (before.claim.phase, before.claim.attempts));
        self.check_step(node, was, &claim);
        let domains = same.map(|before| &before.claim.domains);
        if domains.is_some_and(|domains| *domains != claim.domains) {
            self.fail("domains", format!("the claim of n{node} moved"));
        }
        let same = before
            .as_ref()
            .filter(|before| before.create == kv.create_revision);
        let granted = same.and_then(|before| before.granted);
        let granted = granted.or(claim.phase.committed().then(|| limit(&claim)));
        self.check.claims[node] = Some(Standing {
            create: kv.create_revision,
            claim: claim.clone(),
            modified: kv.mod_revision,
            holder: host,
            granted,
            written_at: self.now,
            pid: by.map_or(0, Message::pid),
            turn_at,
        });
        self.check_commitment(host);
        let commits = matches!(claim.phase, Phase::Draining | Phase::Rebooting)
            && was.is_some_and(|(phase, attempts)| {
                phase == Phase::Queued || attempts != claim.attempts
            });
        if commits && let Some(message) = by {
            let first = was.is_some_and(|(phase, _)| phase == Phase::Queued);
            self.committed((host, node), message, first);
        }
    }

    /// The machine of this name that sent it.
    fn sent_by(&self, node: usize, by: Option<&Message>) -> Option<usize> {
        match by.map(|message| message.sender) {
            Some(Sender::Node { host, .. }) if self.hosts[host].names.contains(&node) => Some(host),
            Some(Sender::Node { .. } | Sender::Operator(_)) | None => None,
        }
    }

    /// What a process says for the scripts of packages: while it says that no reboot has begun, its claim is not committed.
    pub(crate) fn check_commitment(&mut self, node: usize) {
        let standing = self.claim_of(node);
        let committed = standing.is_some_and(|standing| standing.claim.phase.committed());
        let said = self.hosts[node].process.as_ref().map(|it| it.commitment);
        if committed && let Some(said @ (Commitment::None | Commitment::Queued)) = said {
            self.fail(
                "commitment",
                format!("n{node} says {said:?} while its claim is committed"),
            );
        }
    }

    /// P4 and P3: a place hangs on a lease, a commitment does not.
    fn check_lease(&mut self, node: usize, claim: &Claim, kv: &KeyValue) {
        if claim.phase.committed() && kv.lease != 0 {
            self.fail(
                "P3",
                format!("the committed claim of n{node} hangs on a lease"),
            );
        }
        if !claim.phase.committed() && self.etcd.lease(kv.lease).is_none() {
            self.fail("P4", format!("the place of n{node} hangs on no lease"));
        }
    }

    fn check_step(&mut self, node: usize, was: Option<(Phase, u32)>, claim: &Claim) {
        let allowed = match (was.map(|(phase, _)| phase), claim.phase) {
            (None | Some(Phase::Queued), Phase::Queued)
            | (Some(Phase::Queued | Phase::Draining | Phase::Rebooting), Phase::Rebooting)
            | (Some(Phase::Queued | Phase::Draining), Phase::Draining)
            | (Some(Phase::Draining | Phase::Rebooting | Phase::Verifying), Phase::Verifying) => {
                true
            }
            (Some(Phase::Draining | Phase::Rebooting | Phase::Verifying), Phase::Queued)
            | (None | Some(Phase::Verifying), Phase::Rebooting)
            | (None | Some(Phase::Rebooting | Phase::Verifying), Phase::Draining)
            | (None | Some(Phase::Queued), Phase::Verifying) => false,
        };
        if !allowed {
            let from = was.map_or("nothing", |(phase, _)| phase.as_str());
            let to = claim.phase.as_str();
            self.fail(
                "P3",
                format!("the claim of n{node} went from {from} to {to}"),
            );
        }
    }

    fn claim_removed(
        &mut self,
        node: usize,
        before: &Standing,
        by: Option<&Message>,
        completed: bool,
    ) {
        if !before.claim.phase.committed() {
            if by.is_none() {
                self.check_reliance(before.holder, before);
            }
            return;
        }
        match by.map(|message| message.sender) {
            None => self.fail("P3", format!("the committed claim of n{node} expired")),
            Some(Sender::Operator(Operator::Release(_))) => self.taken_away(node, before),
            Some(Sender::Operator(_)) => {
                self.fail("P3", format!("the committed claim of n{node} went away"));
            }
            // Under another name it waits for its own claim as everybody does.
            Some(Sender::Node { host, .. })
                if host == before.holder
                    && by.is_some_and(|message| message.truth.name == node) =>
            {
                let sent = by.map(|message| (message.sent_at, message.truth));
                self.check_return(host, before, sent, completed);
            }
            Some(Sender::Node { host, .. })
                if by.is_some_and(|message| message.truth.name == node) =>
            {
                self.check_copies((host, by), before);
            }
            Some(Sender::Node { host, .. }) => {
                let hold = by.and_then(|message| message.truth.rules.hold);
                self.check_hold_timeout(node, (host, hold), before);
            }
        }
    }

    fn taken_away(&mut self, node: usize, before: &Standing) {
        self.stats.taken += 1;
        let key = format!("/r/nodes/n{node}");
        // Not registered, or forgotten and registered anew since it joined: nothing is left that could remember.
        let registered = self.etcd.get(key.as_bytes());
        if registered.is_none_or(|it| it.create_revision > before.create) {
            self.hosts[before.holder].fruitless = 0;
        }
        self.check.taken.insert(before.create, self.now);
    }

    fn check_hold_timeout(
        &mut self,
        node: usize,
        (taker, hold): (usize, Option<Time>),
        before: &Standing,
    ) {
        let waited = self.now - before.written_at;
        if self.drains_well(before, hold) {
            self.fail(
                "hold",
                format!("n{taker} took the claim of n{node} away while that one drains as it may"),
            );
        }
        // By the clock of who waits, as the limit is.
        let said = before.claim.patience(std::time::Duration::ZERO);
        let said = self.hosts[taker].span(said);
        let hold = hold.map(|hold| hold.max(said));
        if hold.is_none_or(|hold| hold > waited + SLACK / 20) {
            self.fail(
                "P3",
                format!(
                    "n{taker} took the claim of n{node} away after {} s",
                    waited / SECOND
                ),
            );
        }
        self.taken_away(node, before);
    }

    /// Whether a node has drained for as long as its claim stands still, and could have shown that it does: it wants to be left
    /// alone for no longer than the other one waits, it ran all the time, and etcd answered.
    fn drains_well(&self, claim: &Standing, hold: Option<Time>) -> bool {
        let host = &self.hosts[claim.holder];
        let Some(process) = &host.process else {
            return false;
        };
        let own = host.truth().rules.hold;
        let since = claim.written_at;
        let held = process.machine.held();
        matches!(process.machine.state(), State::Draining(_))
            && held.is_some_and(|held| held.create == claim.create)
            && own.is_some_and(|own| Some(own) <= hold)
            && process.unanswered < since
            && process.reloaded < since
            && process.paused_until.is_none()
            && process.gates.stood_still < since
    }

    /// P1 and P3: a node gives its claim back only when it is back and healthy. What was true when it said so counts, unless
    /// it was disrupted again since.
    fn check_return(
        &mut self,
        node: usize,
        before: &Standing,
        sent: Option<(Time, Truth)>,
        completed: bool,
    ) {
        let host = &mut self.hosts[node];
        let (at, truth) = match sent {
            Some((at, truth)) if truth.acts == host.acts => (at, truth),
            _ => (self.now, host.truth()),
        };
        // What it did under another name has a claim of its own, which stands.
        let stands = |claim: &i64| {
            let mut claims = self.check.claims.iter().flatten();
            *claim != before.create && claims.any(|it| it.create == *claim)
        };
        let going_down = host
            .going_down
            .iter()
            .any(|claim| !self.check.taken.contains_key(claim) && !stands(claim));
        let disrupted = host.disrupted == Some(before.create);
        let wrong = match truth.healthy_since {
            _ if !disrupted => None,
            _ if !truth.up => Some("while it was down"),
            _ if going_down => Some("while a reboot was under way"),
            _ if truth.drained => Some("while it was drained"),
            None => Some("without a proof of health"),
            Some(since) if at - since + SLACK / 20 < truth.rules.settle => {
                Some("before it settled")
            }
            Some(_) => None,
        };
        if disrupted {
            host.disrupted = None;
        }
        if completed && !disrupted && before.claim.boot_id == host.boot_id() {
            self.fail(
                "P3",
                format!("n{node} calls a reboot complete that did not happen"),
            );
        }
        if let Some(wrong) = wrong {
            self.fail("P3", format!("n{node} gave its claim back {wrong}"));
        }
    }

    fn turns(&mut self) {
        for node in 0..self.check.claims.len() {
            let Some(standing) = &self.check.claims[node] else {
                continue;
            };
            let create = standing.create;
            if standing.turn_at.is_some() || self.waits(standing).is_some() {
                continue;
            }
            let holder = standing.holder;
            let now = self.now;
            if let Some(standing) = &mut self.check.claims[node] {
                standing.turn_at = Some(now);
            }
            self.turn_begins(holder, create);
        }
    }

    /// P5: who waits in the queue and can be told learns of its turn at once.
    fn turn_begins(&mut self, node: usize, create: i64) {
        let now = self.now;
        let quiet = self.quiet;
        let watched = self.watchers.iter().any(|watcher| watcher.host == node);
        let mute = self.hosts[node].mute_until > now;
        let Some(process) = &self.hosts[node].process else {
            return;
        };
        let waits = matches!(process.machine.state(), State::Queued);
        // Who is too far back to see all older claims follows one of them, and learns of its turn by that one or a recount.
        if process.machine.view().ahead.is_some_and(|(_, more)| more) {
            return;
        }
        if quiet && watched && !mute && waits && process.paused_until.is_none() {
            let pid = process.pid;
            self.after(SLACK, Event::TurnMustBeTaken(node, pid, create));
        }
    }

    pub(crate) fn turn_must_be_taken(&mut self, node: usize, pid: u64, create: i64) {
        let stands = self
            .claim_of(node)
            .is_some_and(|standing| standing.create == create);
        let Some(process) = self.hosts[node].process(pid) else {
            return;
        };
        let judged = process
            .gates
            .detect
            .is_some_and(|(at, _)| at + SLACK >= self.now);
        let waits = matches!(process.machine.state(), State::Queued);
        if stands && waits && !judged {
            self.fail("P5", format!("n{node} did not notice its turn"));
        }
    }
}

fn limit(claim: &Claim) -> usize {
    usize::try_from(claim.limit).unwrap_or(usize::MAX)
}

fn node_of(key: &[u8], prefix: &[u8]) -> Option<usize> {
    std::str::from_utf8(key.strip_prefix(prefix)?)
        .ok()?
        .parse()
        .ok()
}

/// Whether that is said of an attempt in the history.
fn ended(change: &Change, so: &str) -> bool {
    let Some(kv) = &change.after else {
        return false;
    };
    kv.key.starts_with(b"/r/history/")
        && decode::<History>(&kv.value).is_ok_and(|history| history.outcome == so)
}
