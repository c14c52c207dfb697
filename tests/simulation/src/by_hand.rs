//! One machine by hand: its actions are performed one after the other, each as the test wants it.
//!
//! The third driver of the state machine, for what a history cannot show: single answers, pauses, and the words of records and
//! notes.

use std::time::Duration;

use etcd_rs_sync::{Error, KeyValue, Keys, Put, Reply, Request};
use reboot_coordinator::core::facts::{
    Captured, DetectorReport, DetectorResult, ScriptOutcome, ScriptReport,
};
use reboot_coordinator::core::io::ScriptFacts;
use reboot_coordinator::core::{
    Action, Input, Machine, Memory, Note, Now, Refusal, Reload, Settings, Ticket,
};
use reboot_coordinator::lock::record::{RECORD_VERSION, decode, encode};
use reboot_coordinator::lock::{Claim, Domains, NodeRecord, Phase};

use crate::etcd::FakeEtcd;
use crate::plan::plain_settings;

/// No test needs more actions than this; a machine that spins does.
const MOST: u32 = 2000;

/// A machine with an etcd, on a host where everything succeeds unless it is told otherwise.
pub struct Node {
    /// The machine.
    pub machine: Machine,
    /// Its etcd, which answers at once. Leases in it last until they are revoked.
    pub etcd: FakeEtcd,
    /// The monotonic clock.
    pub now: Duration,
    /// What was noted so far.
    pub notes: Vec<Note>,
    /// Names of the actions that were performed.
    pub done: Vec<&'static str>,
    /// How many were performed.
    count: u32,
    /// What scripts and hooks were told.
    pub told: Vec<(&'static str, ScriptFacts)>,
    /// The watch that stands.
    pub watch: Option<(Ticket, Keys, i64)>,
    /// What the detectors say.
    pub detectors: Vec<DetectorReport>,
    /// How health scripts end.
    pub health: ScriptOutcome,
    /// How hooks end.
    pub hook: ScriptOutcome,
    /// Why the kill switch forbids.
    pub kill_switch: Option<String>,
    /// The exit code, once there is one.
    pub exit: Option<u8>,
    /// What the host remembers of itself.
    pub memory: Option<Memory>,
    /// Whether every request reaches etcd twice, and the second copy's answer is the one that comes back.
    pub doubled: bool,
}

impl Node {
    /// A process at its start.
    pub fn new(settings: Settings) -> Node {
        Node::at(settings, FakeEtcd::default(), Duration::from_secs(1000))
    }

    /// A process that starts at this time and finds this etcd.
    pub fn at(settings: Settings, etcd: FakeEtcd, now: Duration) -> Node {
        Node {
            memory: settings.memory.clone(),
            machine: Machine::new(settings, 7 + etcd.revision().unsigned_abs(), time(now)),
            etcd,
            now,
            notes: Vec::new(),
            done: Vec::new(),
            count: 0,
            told: Vec::new(),
            watch: None,
            detectors: vec![asks("kernel")],
            health: ScriptOutcome::Exited(0),
            hook: ScriptOutcome::Exited(0),
            kill_switch: None,
            exit: None,
            doubled: false,
        }
    }

    /// This process dies; the next one starts a second later with these settings, and what the host remembers.
    #[must_use]
    pub fn followed_by(self, settings: Settings) -> Node {
        let settings = Settings {
            memory: self.memory,
            ..settings
        };
        Node::at(settings, self.etcd, self.now + Duration::from_secs(1))
    }

    /// Tells the machine something, now.
    pub fn give(&mut self, input: Input) {
        self.machine.handle(time(self.now), input);
    }

    /// Lets time pass, and tells the machine.
    pub fn wait(&mut self, span: Duration) {
        self.now += span;
        self.give(Input::Tick);
    }

    /// The next action that is more than a note or a thing to remember, if there is one now.
    pub fn due(&mut self) -> Option<Action> {
        loop {
            match self.machine.next_action()? {
                Action::Note(note) => self.notes.push(note),
                Action::Remember(memory) => self.memory = Some(memory),
                action => return Some(action),
            }
        }
    }

    /// The next action that is more than a note; waits until there is one.
    pub fn next_action(&mut self) -> Action {
        for _ in 0..1000 {
            if let Some(action) = self.due() {
                return action;
            }
            self.now = self.machine.wake_at().expect("something is waited for");
            self.give(Input::Tick);
        }
        panic!("nothing happens: {:?}", self.machine.state());
    }

    /// Waits for the next action and performs it.
    pub fn step(&mut self) {
        let action = self.next_action();
        self.perform(action);
    }

    /// Goes on until the program ends.
    pub fn until_exit(&mut self) {
        while self.exit.is_none() {
            self.step();
        }
    }

    /// A new configuration of the same cluster is in force.
    pub fn reload(&mut self, settings: Settings) {
        self.give(Input::Reload(Box::new(Reload {
            settings,
            drains_otherwise: false,
            elsewhere: false,
        })));
    }

    /// Performs actions until one of this name; that one is left to the caller.
    pub fn until(&mut self, wanted: &str) -> Action {
        for _ in 0..400 {
            let action = self.next_action();
            if name(&action) == wanted {
                return action;
            }
            self.perform(action);
        }
        panic!("no {wanted} after {:?}", self.done);
    }

    /// Performs actions until a request is to be sent in this state; that one is left to the caller.
    pub fn until_sending(&mut self, state: &str) -> (Ticket, Request) {
        for _ in 0..400 {
            match self.until("etcd") {
                Action::Etcd(ticket, request) if self.machine.view().state == state => {
                    return (ticket, request);
                }
                other => self.perform(other),
            }
        }
        panic!("no request in {state}");
    }

    /// Performs what is to be done now, and no more.
    pub fn settle(&mut self) {
        while let Some(action) = self.due() {
            self.perform(action);
        }
    }

    /// Performs actions, and lets time pass, until the machine is in this state and nothing is to be done.
    pub fn until_state(&mut self, state: &str) {
        for _ in 0..400 {
            self.settle();
            if self.machine.view().state == state {
                return;
            }
            self.step();
        }
        panic!("not {state} but {:?}", self.machine.state());
    }

    /// Performs one action.
    pub fn perform(&mut self, action: Action) {
        let kind = name(&action);
        self.done.push(kind);
        self.count += 1;
        assert!(self.count < MOST, "it goes on for ever: {action:?}");
        match action {
            Action::Etcd(ticket, request) => {
                let reply = self.ask(&request);
                self.give(Input::Etcd(ticket, reply));
            }
            Action::Renew(ticket, request) => {
                let reply = self.ask(&request);
                self.give(Input::Renewed(ticket, reply));
            }
            Action::Report(ticket, request) => {
                let reply = self.ask(&request);
                self.give(Input::Reported(ticket, reply));
            }
            Action::Farewell(request) => {
                let _ = self.ask(&request); // a lease that is gone is as good
                self.give(Input::Farewell);
            }
            Action::Detect(ticket) => self.give(Input::Detected(ticket, self.detectors.clone())),
            Action::Health(ticket, _, facts) => {
                self.told.push((kind, facts));
                self.give(Input::Script(ticket, ended(self.health.clone())));
            }
            Action::Hook(ticket, _, facts) => {
                self.told.push((kind, facts));
                self.give(Input::Script(ticket, ended(self.hook.clone())));
            }
            Action::Monitor(ticket, facts) => {
                self.told.push((kind, facts));
                self.give(Input::Monitored(ticket, ended(self.health.clone())));
            }
            Action::LookAtHost(ticket) => {
                let refusal = self.kill_switch.clone().map(Refusal::KillSwitch);
                self.give(Input::Host(ticket, refusal));
            }
            Action::Watch(watch) => self.watch = watch,
            Action::Exit(code) => self.exit = Some(code),
            Action::CancelScripts | Action::RecordCompleted(_) => {}
            other => panic!("{other:?} was not expected"),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        if self.doubled {
            let _ = self.etcd.apply(0, request); // the first copy, of which nobody hears
        }
        self.etcd.apply(0, request)
    }

    /// Answers a request of the machine.
    pub fn answer(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        self.give(Input::Etcd(ticket, result));
    }

    /// The request has its effect, and its answer is lost.
    pub fn lose(&mut self, (ticket, request): (Ticket, Request)) {
        let _ = self.etcd.apply(0, &request); // nobody hears of it
        self.answer(ticket, Err(unknown()));
    }

    /// The answer that the request gets.
    pub fn pass(&mut self, (ticket, request): (Ticket, Request)) {
        self.perform(Action::Etcd(ticket, request));
    }

    /// How long the machine waits from now, when nothing comes.
    pub fn pause(&self) -> Duration {
        let wake = self.machine.wake_at().expect("something is waited for");
        wake.saturating_sub(self.now)
    }

    /// Whether a note of this event contains these words.
    pub fn said(&self, event: &str, words: &str) -> bool {
        let of_event = |note: &&Note| note.event == event;
        self.notes
            .iter()
            .filter(of_event)
            .any(|note| note.msg.contains(words))
    }

    /// The last note of this event.
    pub fn last(&self, event: &str) -> &Note {
        let last = self.notes.iter().rfind(|note| note.event == event);
        last.unwrap_or_else(|| panic!("{event} was not noted"))
    }

    /// Writes into etcd, by another hand; the revision.
    pub fn put(&mut self, key: &str, value: impl Into<Vec<u8>>) -> i64 {
        // What a daemon says of itself hangs on a lease.
        let lease = i64::from(key.starts_with("/r/alive/") || key.starts_with("/r/standing/"));
        let (id, ttl_sec) = (lease, 1_000_000);
        let granted = self.etcd.apply(0, &Request::Grant { id, ttl_sec });
        drop(granted); // there may be one already
        let put = Put::new(key, value, lease);
        let written = self.etcd.apply(0, &Request::Put(put));
        written.expect("a plain write succeeds");
        self.etcd.revision()
    }

    /// Deletes from etcd, by another hand.
    pub fn delete(&mut self, key: &str) {
        let delete = etcd_rs_sync::Delete::of(Keys::one(key));
        let deleted = self.etcd.apply(0, &Request::Delete(delete));
        deleted.expect("a plain deletion succeeds");
    }

    /// What stands in etcd.
    pub fn stands(&self, key: &str) -> Option<&KeyValue> {
        self.etcd.get(key.as_bytes())
    }

    /// This node's registration as it stands in etcd.
    pub fn registration(&self) -> NodeRecord {
        let kv = self.stands("/r/nodes/n0").expect("it is registered");
        decode(&kv.value).expect("it is readable")
    }

    /// This node's claim as it stands in etcd.
    pub fn claim(&self) -> Option<Claim> {
        let kv = self.stands("/r/claims/n0")?;
        Some(decode(&kv.value).expect("it is readable"))
    }

    /// Every value the claim of `node` had.
    pub fn claims(&self, node: &str) -> Vec<Claim> {
        let key = format!("/r/claims/{node}");
        let changes = self.etcd.changes_from(1).expect("nothing is compacted");
        changes
            .iter()
            .filter(|change| change.key == key.as_bytes())
            .filter_map(|change| change.after.as_ref())
            .map(|kv| decode(&kv.value).expect("it is readable"))
            .collect()
    }

    /// Another node's claim, before ours unless we have one; its revision.
    pub fn elder(&mut self, node: &str, phase: Phase) -> i64 {
        let claim = Claim {
            v: RECORD_VERSION,
            node: node.to_owned(),
            node_id: format!("machine-{node}"),
            boot_id: "b".to_owned(),
            session: "s".to_owned(),
            phase,
            limit: 1,
            domains: Domains::default(),
            reasons: vec!["libc".to_owned()],
            since: "since".to_owned(),
            committed_at: phase.committed().then(|| "committed".to_owned()),
            attempts: u32::from(phase.committed()),
            patience_sec: None,
            drain_sec: None,
            passed: Vec::new(),
            target: None,
            version: "0".to_owned(),
        };
        self.put(&format!("/r/claims/{node}"), encode(&claim))
    }
}

/// The time of a monotonic clock.
pub fn time(mono: Duration) -> Now {
    Now {
        mono,
        wall: jiff::Timestamp::from_second(1_784_000_000)
            .expect("it is in the calendar")
            .saturating_add(mono)
            .expect("so is this"),
    }
}

/// What kind of action it is.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::Etcd(..) => "etcd",
        Action::Renew(..) => "renew",
        Action::Report(..) => "report",
        Action::Farewell(_) => "farewell",
        Action::Detect(_) => "detect",
        Action::Health(..) => "health",
        Action::Monitor(..) => "monitor",
        Action::Hook(..) => "hook",
        Action::CancelScripts => "cancel",
        Action::LookAtHost(_) => "look",
        Action::Reboot(..) => "reboot",
        Action::Watch(Some(_)) => "watch",
        Action::Watch(None) => "unwatch",
        Action::RecordCompleted(_) => "marker",
        Action::Remember(_) => "remember",
        Action::Note(_) => "note",
        Action::Exit(_) => "exit",
    }
}

/// A detector that asks for a reboot.
pub fn asks(why: &str) -> DetectorReport {
    detector(DetectorResult::Required(why.to_owned()))
}

/// A detector that says this.
pub fn detector(result: DetectorResult) -> DetectorReport {
    DetectorReport {
        name: "kernel".to_owned(),
        result,
        target: None,
        took: Duration::ZERO,
    }
}

/// A script that ended so and printed nothing.
pub fn ended(outcome: ScriptOutcome) -> ScriptReport {
    ScriptReport {
        outcome,
        took: Duration::ZERO,
        stdout: Captured::default(),
        stderr: Captured::default(),
    }
}

/// No answer came.
pub fn unknown() -> Error {
    Error::OutcomeUnknown {
        detail: "no answer".to_owned(),
    }
}

/// Nothing was sent.
pub fn unreachable() -> Error {
    Error::NotSent {
        detail: "nobody listens".to_owned(),
    }
}

/// etcd refuses for certain.
pub fn denied() -> Error {
    Error::PermissionDenied {
        detail: "not yours".to_owned(),
    }
}

/// Settings without anything special: hooks, no window, a limit of one.
pub fn settings() -> Settings {
    Settings {
        boot_id: "boot-1".to_owned(),
        max_concurrent_reboots: 1,
        ..plain_settings(0)
    }
}
