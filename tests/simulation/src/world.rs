//! The world of one history: virtual time, the queue of what is to come, and the loop.

mod power;
mod process;
mod surroundings;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use etcd_rs_sync::{Error, Reply};
use reboot_coordinator::core::{Input, Ticket, WatchEvent};

use crate::Time;
use crate::check::known::Checker;
use crate::coverage::Coverage;
use crate::etcd::FakeEtcd;
use crate::host::{Channel, Host};
use crate::network::message::{Message, Watcher};
use crate::plan::{Fault, Plan, Rewrite, When};
use crate::planted::Planted;
use crate::rng::Rng;

/// More events than a history of a few nodes needs: one that has more is a busy loop.
const MAX_EVENTS: u64 = 400_000;

/// More actions in a second than any machine needs: one that has more is a busy loop.
const MAX_ACTIONS_A_SECOND: u32 = 150;

/// How often in a row a machine may ask to be woken at once.
const MAX_OVERDUE: u32 = 20;

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, a fixed name.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
    /// When.
    pub at: Time,
}

/// What became of a history.
#[derive(Debug)]
pub struct Outcome {
    /// The property that failed, if one did.
    pub violation: Option<Violation>,
    /// What was counted.
    pub stats: Stats,
}

/// Counts of one history, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Histories.
    pub histories: u64,
    /// Machines.
    pub nodes: u64,
    /// Events.
    pub steps: u64,
    /// Commits that took effect.
    pub commits: u64,
    /// Times a host went down by its reboot command.
    pub reboots: u64,
    /// Claims released or taken away by operators and by hold_timeout.
    pub taken: u64,
    /// Reboots that were found to have failed.
    pub failed: u64,
    /// Faults that struck, by kind.
    pub faults: std::collections::BTreeMap<&'static str, u64>,
    /// Inputs met in states.
    pub coverage: Coverage,
}

impl Stats {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Stats) {
        self.histories += other.histories;
        self.nodes += other.nodes;
        self.steps += other.steps;
        self.commits += other.commits;
        self.reboots += other.reboots;
        self.taken += other.taken;
        self.failed += other.failed;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.coverage.add(&other.coverage);
    }
}

/// Something that is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    Wake(usize, u64),
    Deliver(usize, u64, Input),
    Answer(usize, u64, Channel, Ticket, Result<Reply, Error>),
    Detected(usize, u64, Ticket),
    Looked(usize, u64, Ticket),
    Health(usize, u64, Ticket, bool),
    Hook(usize, u64, Ticket, bool),
    Monitored(usize, u64, Ticket),
    Arrive(Box<Message>),
    WatchOpens(usize, u64, Ticket, etcd_rs_sync::Keys, i64),
    WatchSays(usize, u64, Ticket, WatchEvent),
    LeaseDue(i64),
    Start(usize, u32),
    Cron(usize),
    Unpause(usize, u64),
    SigTerm(usize, u64),
    KillProcess(usize, u64),
    Down(usize, u32, i64),
    Up(usize, u32),
    Required(usize),
    Strike(usize),
    OperatorResumes,
    Reload(usize, Rewrite),
    Quiet,
    Inspect,
    TurnMustBeTaken(usize, u64, i64),
    FilesStillHang(usize, Time),
}

#[derive(Debug)]
struct Scheduled {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A fleet with its etcd, from the first moment to the last.
#[derive(Debug)]
pub struct World {
    /// What was planned.
    pub plan: Plan,
    /// The time.
    pub now: Time,
    /// The store.
    pub etcd: FakeEtcd,
    /// The machines.
    pub hosts: Vec<Host>,
    /// What is counted.
    pub stats: Stats,
    /// What happened, when it is written down.
    pub story: Option<Vec<(Time, String)>>,
    /// Whether everything was repaired.
    pub quiet: bool,
    /// The fault planted into the protocol, when the properties themselves are on trial.
    pub(crate) planted: Option<Planted>,
    pub(crate) check: Checker,
    pub(crate) rng: Rng,
    pub(crate) watchers: Vec<Watcher>,
    /// Requests that are held back: until this node performs this action.
    pub(crate) held_back: Vec<(usize, u64, Message)>,
    pub(crate) server_down_until: Time,
    pub(crate) false_renewals_until: Time,
    pub(crate) no_space_until: Time,
    pub(crate) next_pid: u64,
    pub(crate) last_word: u64,
    pub(crate) violation: Option<Violation>,
    pub(crate) done: bool,
    at_actions: Vec<(When, Fault)>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl World {
    /// The world of a plan, at its beginning.
    pub fn new(plan: Plan) -> World {
        let hosts: Vec<Host> = plan.nodes.iter().cloned().map(Host::new).collect();
        let mut world = World {
            now: 0,
            etcd: FakeEtcd::default(),
            stats: Stats::default(),
            story: None,
            quiet: false,
            planted: None,
            check: Checker::new(plan.names()),
            rng: Rng::new(plan.seed, 2),
            watchers: Vec::new(),
            held_back: Vec::new(),
            server_down_until: 0,
            false_renewals_until: 0,
            no_space_until: 0,
            next_pid: 1,
            last_word: 0,
            violation: None,
            done: false,
            at_actions: Vec::new(),
            queue: BinaryHeap::new(),
            scheduled: 0,
            hosts,
            plan,
        };
        world.prepare();
        world
    }

    /// Plants a fault into the protocol, before anything happens.
    pub fn plant(&mut self, planted: Option<Planted>) {
        self.planted = planted;
        self.etcd.ignores_guards = planted == Some(Planted::ServerIgnoresGuards);
    }

    /// Runs a plan to its end.
    pub fn run(plan: Plan) -> Outcome {
        World::new(plan).finish()
    }

    /// Runs to the end.
    pub fn finish(mut self) -> Outcome {
        while !self.over() {
            self.step();
        }
        self.stats.histories = 1;
        Outcome {
            violation: self.violation,
            stats: self.stats,
        }
    }

    /// Whether a property failed or the goal is reached.
    pub fn over(&self) -> bool {
        self.done || self.violation.is_some()
    }

    /// The property that failed, if one did.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Lets the next thing happen.
    pub fn step(&mut self) {
        let Some(Reverse(next)) = self.queue.pop() else {
            return self.fail("P5", "nothing is left to happen".to_owned());
        };
        self.now = next.at;
        self.stats.steps += 1;
        if self.stats.steps > MAX_EVENTS * (1 + self.stats.nodes / 6) {
            return self.fail("busy", "more events than any history needs".to_owned());
        }
        self.happen(next.event);
    }

    fn prepare(&mut self) {
        self.stats.nodes = u64::try_from(self.hosts.len()).unwrap_or(0);
        for index in 0..self.hosts.len() {
            let plan = self.hosts[index].plan.clone();
            if let Some(at) = plan.required_at {
                self.at(at, Event::Required(index));
            }
            self.at(plan.starts_at, Event::Start(index, 0));
            if plan.settings.mode != reboot_coordinator::core::Mode::Daemon {
                self.at(plan.starts_at + plan.cron, Event::Cron(index));
            }
        }
        let faults = self.plan.faults.clone();
        for (index, (when, fault)) in faults.iter().enumerate() {
            match when {
                When::At(at) => self.at(*at, Event::Strike(index)),
                When::Before(..) | When::After(..) | When::Sending(..) | When::Sent(..) => {
                    self.at_actions.push((*when, *fault))
                }
            }
        }
        self.at(self.plan.quiet_at, Event::Quiet);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(host, pid) => self.wake(host, pid),
            Event::Deliver(host, pid, input) => self.deliver(host, pid, input),
            Event::Answer(host, pid, channel, ticket, result) => {
                self.answer(host, pid, channel, ticket, result);
            }
            Event::Detected(host, pid, ticket) => self.detected(host, pid, ticket),
            Event::Looked(host, pid, ticket) => self.looked(host, pid, ticket),
            Event::Health(host, pid, ticket, proof) => self.health(host, pid, ticket, proof),
            Event::Hook(host, pid, ticket, drain) => self.hook(host, pid, ticket, drain),
            Event::Monitored(host, pid, ticket) => self.monitored(host, pid, ticket),
            Event::Arrive(message) => self.arrive(*message),
            Event::WatchOpens(host, pid, ticket, keys, from) => {
                self.watch_opens(host, pid, ticket, keys, from);
            }
            Event::WatchSays(host, pid, ticket, event) => self.watch_says(host, pid, ticket, event),
            Event::LeaseDue(id) => self.lease_due(id),
            Event::Start(host, boot) => self.start(host, boot),
            Event::Cron(host) => self.cron(host),
            Event::Unpause(host, pid) => self.unpause(host, pid),
            Event::SigTerm(host, pid) => self.deliver(host, pid, Input::Stop),
            Event::KillProcess(host, pid) => {
                if self.hosts[host].process(pid).is_some() {
                    self.kill(host);
                }
            }
            Event::Down(host, boot, claim) => self.goes_down(host, boot, claim),
            Event::Up(host, boot) => self.comes_up(host, boot),
            Event::Required(host) => self.hosts[host].required = true,
            Event::Strike(index) => {
                let fault = self.plan.faults[index].1;
                self.strike(fault);
            }
            Event::Reload(host, rewrite) => self.reloaded(host, rewrite),
            Event::OperatorResumes => self.operator_resumes(),
            Event::Quiet => self.calm(),
            Event::Inspect => self.inspect(),
            Event::TurnMustBeTaken(host, pid, create) => self.turn_must_be_taken(host, pid, create),
            Event::FilesStillHang(host, since) => self.files_still_hang(host, since),
        }
    }

    /// Schedules an event.
    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled {
            at: at.max(self.now),
            number: self.scheduled,
            event,
        }));
    }

    /// Schedules an event after a while.
    pub(crate) fn after(&mut self, pause: Time, event: Event) {
        self.at(self.now + pause, event);
    }

    /// A property does not hold. The first one counts.
    pub(crate) fn fail(&mut self, property: &'static str, detail: String) {
        if self.violation.is_none() {
            self.tell(|| format!("VIOLATION of {property}: {detail}"));
            self.violation = Some(Violation {
                property,
                detail,
                at: self.now,
            });
        }
    }

    /// Adds to the story, when it is written down.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push((self.now, line()));
        }
    }
}
