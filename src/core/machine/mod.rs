//! One node's life as a state machine.
//!
//! ```text
//!  SelfTest ─ ReadOwn ─┬─ none ──────────► Idle ◄───────────────────────────────┐
//!                      ├─ queued ────────► Entering (take over) / Removing      │
//!                      ├─ draining ──────► Gates(Resume)                        │
//!                      ├─ rebooting ─────► Rebooting (wait, then Gates(Retry))  │
//!                      └─ other boot ────► Verifying ─ Ending ──────────────────┤
//!                                                                               │
//!  Idle ─ Gates(PreLock) ─ Granting ─ Entering ─ Counting ─ Queued ─┐           │
//!     ▲         │                                 ▲    Gates(Waiting)│           │
//!     │      refused                              └──────────────────┤ turn      │
//!     │         ▼                                                    ▼           │
//!     └── (blocked) ◄ Left ◄ Leaving ◄── refused, lost ─── Gates(PostLock)       │
//!                                                                    │           │
//!                Committing ─ (unknown) Fencing ◄────────────────────┘           │
//!                    │ committed: the permit                                     │
//!                    ▼                                                           │
//!        Draining ─ Moving ─ LastLook ─ Rebooting ─ (the host goes down)         │
//!            │ failed           │ kill switch  │ failed, or nothing happens      │
//!            └──────────────────┴──────────────┴─► Verifying (undo) ─ Ending ────┘
//!                                              └─► Holding (stuck: the line stops)
//! ```
//!
//! Where the machine waits for etcd, a failed request is repeated after a growing pause; a state whose request is a write to
//! the claim is left only when the fate of that write is known. Where a permit is needed and has grown old the machine goes back
//! to the gates, to Gates(Resume) before the drain and to Gates(Retry) after it, unless this was the claim's last commit.

mod asking;
mod closed;
mod commit;
mod conflict;
mod down;
mod end;

mod gates;
mod joining;
mod judge;
mod lease;
mod leaving;
mod line;
mod marking;
mod members;
mod queue;
mod registration;
mod release;
mod reload;
mod report;
mod requests;
mod sight;
mod stage;
mod standing;
mod start;
mod state;
mod taking_away;
mod verify;
mod view;
mod waiting;
mod waves;

use std::collections::VecDeque;
use std::time::Duration;

use super::health_report::Reporter;
use super::io::{Action, Input, Now, ScriptFacts, Ticket};
use super::rng::Rng;
use super::settings::Settings;
use super::{Memory, Note};
use crate::lock::{Claim, Held, History, NodeRecord};

use asking::{answer, grant_request, nonsense, words};
pub use commit::Pending;
use down::Down;
use judge::Judging;
pub use judge::{judge_cooldown, judge_detectors, judge_pause, target};
use lease::Lease;
use members::Fleet;
pub use queue::{Entry, Queue};
pub use release::Ending;
pub use requests::{DETECTOR, Noting};
use sight::Sight;
pub use stage::{Gates, Stage};
use standing::Shown;
pub use state::{After, Grant, State};
pub use taking_away::TakingAway;
pub use verify::{Outcome, Verify};
pub use view::{Commitment, View};

/// How often `--once` repeats a request to etcd before it gives up.
const ONCE_TRIES: u32 = 3;

/// One node's life. See the [module](self).
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    session: String,
    rng: Rng,
    now: Now,
    started: Duration,
    out: VecDeque<Action>,
    last_ticket: u64,
    /// The request under way and when it was sent.
    asked: Option<(Ticket, Duration)>,
    /// The script, detectors or look at the host under way.
    task: Option<Ticket>,
    watch: Option<Ticket>,
    timer: Option<Duration>,
    /// When what keeps an idle node opens, or ends, by the wall clock, which may be set.
    opens: Option<jiff::Timestamp>,
    /// Repetitions of the current state's request.
    retries: u32,
    /// Passes in a row that failed.
    failures: u32,
    lease: Option<Lease>,
    registration: Option<(i64, NodeRecord)>,
    held: Option<Held>,
    queue: Option<Queue>,
    sight: Sight,
    /// The judgement of the gates that is under way, or was the last.
    judging: Judging,
    /// What follows a commit.
    down: Down,
    attempts: u32,
    reporter: Option<Reporter>,
    /// Leases that are being revoked at the end.
    farewells: usize,
    fleet: Fleet,
    /// Whether the last look at the cluster found it paused.
    paused: bool,
    /// Since when no request but renewals was answered, and until when that was seen.
    cut_off: Option<(Duration, Duration)>,
    /// What is said of this node.
    shown: Shown,
    /// Settings with another name or other keys, which wait until nothing of the present ones stands.
    next: Option<Box<Settings>>,
    /// Attempts in a row that were called off.
    called_off: u32,
    /// What the history says of them, with the time in its key and its lease, when they are all alike.
    last_entry: Option<(History, String, i64)>,
    /// What this host remembers of itself.
    memory: Memory,
    /// Whether it has a record of its past, or what that could have said has been seen to.
    recorded: bool,
    /// The cluster and its revision when this process asked it first.
    began: Option<(u64, i64)>,
    /// The revision of the last registration seen that says this boot: no earlier boot can write it any more.
    signed: Option<i64>,
    /// This process went by another name, or by other keys, before.
    renamed: bool,
    /// Its name is another machine's, and it waits for one of its own.
    nameless: bool,
    /// What stands registered under names that it had before, with its mod revision. It goes when a new name is registered.
    former: Vec<(i64, NodeRecord)>,
    /// How much of the budget it had used up in the group that it was of before, until that is registered.
    used_elsewhere: u32,
    state: State,
}

impl Machine {
    /// A machine at the start of a process. `seed` must differ between processes: lease and session ids come from it.
    pub fn new(settings: Settings, seed: u64, now: Now) -> Machine {
        let mut rng = Rng(seed);
        let session = format!("{:016x}{:016x}", rng.next(), rng.next());
        let mut machine = Machine {
            recorded: settings.memory.is_some(),
            memory: settings.memory.clone().unwrap_or_default(),
            began: None,
            signed: None,
            renamed: false,
            nameless: false,
            former: Vec::new(),
            used_elsewhere: 0,
            called_off: 0,
            last_entry: None,
            settings,
            session,
            rng,
            now,
            started: now.mono,
            out: VecDeque::new(),
            last_ticket: 0,
            asked: None,
            task: None,
            watch: None,
            timer: None,
            opens: None,
            retries: 0,
            failures: 0,
            lease: None,
            registration: None,
            held: None,
            queue: None,
            sight: Sight::default(),
            attempts: 0,
            reporter: None,
            farewells: 0,
            fleet: Fleet::default(),
            paused: false,
            cut_off: None,
            next: None,
            judging: Judging {
                since: now.mono,
                ..Judging::default()
            },
            down: Down::default(),
            shown: Shown::default(),
            state: State::Stopped,
        };
        machine.go(State::SelfTest);
        machine
    }

    /// Takes one input. Afterwards every action is to be [fetched](Machine::next_action).
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = Now {
            mono: now.mono.max(self.now.mono),
            wall: now.wall,
        };
        match input {
            Input::Tick => {}
            Input::Etcd(ticket, result) => self.on_etcd(ticket, result),
            Input::Renewed(ticket, result) => self.on_renewed(ticket, result),
            Input::Farewell => self.on_farewell(),
            Input::Detected(ticket, reports) if self.finished(ticket) => self.on_detected(&reports),
            Input::Script(ticket, report) if self.finished(ticket) => self.on_script(&report),
            Input::Host(ticket, refusal) if self.finished(ticket) => self.on_host(refusal),
            Input::RebootCommand(ticket, report) if self.finished(ticket) => {
                self.on_reboot_command(&report);
            }
            Input::RebootCommand(ticket, report) if self.down.unanswered == Some(ticket) => {
                self.on_late_answer(&report);
            }
            Input::Watch(ticket, event) if self.watch == Some(ticket) => self.on_watch(event),
            // Nobody waits for it any more.
            Input::Detected(..)
            | Input::Script(..)
            | Input::Host(..)
            | Input::RebootCommand(..)
            | Input::Watch(..) => {}
            Input::Reported(ticket, result) => self.on_reported(ticket, result),
            Input::Monitored(ticket, report) => self.on_monitored(ticket, &report),
            Input::Hampered(why) => self.shown.hampered = why,
            Input::Reload(reload) => self.reload(*reload),
            Input::Stop => self.stop(),
        }
        self.on_time();
        self.say_unasked();
        self.stand();
        self.report();
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due at the latest, monotonic.
    pub fn wake_at(&self) -> Option<Duration> {
        let lease = self.lease.as_ref().filter(|_| self.state.needs_lease());
        let lease = lease.map(|lease| match lease.renewing {
            Some(_) => lease.deadline,
            None => lease.deadline.min(lease.renew_at),
        });
        let reports = self.reporter.as_ref().and_then(Reporter::wake_at);
        let all = [self.timer, lease, reports];
        all.into_iter().flatten().min()
    }

    /// Whether it waits for a moment of the wall clock: then a tick now and then shows it that somebody set that.
    pub fn waits_for_wall(&self) -> bool {
        self.opens.is_some()
    }

    /// Where the node is in its life.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The own claim, as far as this process knows.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn claim(&self) -> Option<&Claim> {
        Some(&self.held.as_ref()?.claim)
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn begin_task(&mut self, action: impl FnOnce(Ticket) -> Action) {
        let ticket = self.ticket();
        self.task = Some(ticket);
        self.out.push_back(action(ticket));
    }

    fn finished(&mut self, ticket: Ticket) -> bool {
        self.task.take_if(|task| *task == ticket).is_some()
    }

    /// Ends a running script, unless it is the reboot command, which is left alone.
    fn cancel_task(&mut self) {
        if self.task.take().is_some() && !matches!(self.state, State::Rebooting { .. }) {
            self.out.push_back(Action::CancelScripts);
        }
    }

    /// Notes what must outlive this process.
    fn remember(&mut self, change: impl FnOnce(&mut Memory)) {
        let before = self.memory.clone();
        change(&mut self.memory);
        let first = !std::mem::replace(&mut self.recorded, true);
        if first || self.memory != before {
            self.out.push_back(Action::Remember(self.memory.clone()));
        }
    }

    fn unwatch(&mut self) {
        if self.watch.take().is_some() {
            self.out.push_back(Action::Watch(None));
        }
    }

    fn note(&mut self, note: Note) {
        self.out.push_back(Action::Note(note));
    }

    fn script_facts(&self) -> ScriptFacts {
        ScriptFacts {
            held: self.held.is_some(),
            attempts: self.attempts,
            reasons: self.judging.reasons.clone(),
            members: self.fleet.members.all.clone(),
            healthy: self.fleet.members.healthy.clone(),
        }
    }
}
