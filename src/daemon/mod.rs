//! The driver: performs what the [machine](crate::core::Machine) asks for and tells it what came of it.
//!
//! ```text
//!   signals ──┐                    ┌── etcd      one request at a time
//!   watch   ──┤   bounded inbox    ├── renew     the keepalive, on its own connection
//!   lanes   ──┼────────────────► main thread ──► task      detectors, scripts, hooks
//!   tasks   ──┘                 (owns the machine) └ watch  the keys that are followed
//! ```
//!
//! Only the main thread touches the machine. It blocks on the inbox until something arrives or the machine's next moment
//! comes; when nothing is to be done it sleeps for the whole check interval.

mod certificates;
mod clock;
mod end;
mod endpoints;
mod event_hook;
mod host_gate;
mod inbox;
mod kept;
mod lanes;
mod lookout;
mod observer;
mod pages;
mod parting;
mod reload;
mod setup;
mod signals;
mod take_over;
mod tasks;
mod threads;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clock::Clock;
use etcd_rs_sync::Client;
use event_hook::Events;
use inbox::{Event, INBOX, Inbox};
use lanes::Lanes;
use observer::Observer;
use rustix::process::geteuid;
use take_over::Reading;
use tasks::Tasks;

use crate::config::Config;
use crate::core::{Action, Commitment, Input, Machine, Mode, Note};
use crate::etcd;
use crate::host::{HELD, InstanceLock};
use crate::observe::hold_back::HoldBack;
use crate::observe::log::emit;
use crate::observe::notify::Environment;

/// Exit code for "another instance runs here".
const EXIT_ANOTHER_INSTANCE: u8 = 75;

/// Exit code for a failure at run time.
const EXIT_FAILURE: u8 = 1;

/// How long the answer to what was just asked is waited for before the machine is shown: what follows at once is shown once, and
/// a commit does not wait for words about the steps before it.
const SOON: Duration = Duration::from_millis(20);

/// After this the machine is shown however fast answers come: signs of life are given with it.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// How the program was started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The configuration file, read again on SIGHUP.
    pub path: PathBuf,
    /// The daemon or one pass.
    pub mode: Mode,
    /// `--dry-run` was given, which holds whatever the file says.
    pub dry_run: bool,
}

fn lock_remedy(why: ErrorKind, is_root: bool) -> &'static str {
    match why {
        ErrorKind::PermissionDenied if !is_root => "run it as root",
        _ => "check run_dir",
    }
}

/// Runs until the end and returns the exit code.
pub fn run(config: Config, start: Start) -> u8 {
    let lock = match InstanceLock::acquire(&config.run_dir) {
        Ok(lock) => lock,
        Err(error) if error.kind() == HELD => {
            log::error!(event = "another_instance"; "{error}");
            return EXIT_ANOTHER_INSTANCE;
        }
        Err(error) => {
            let remedy = lock_remedy(error.kind(), geteuid().is_root());
            log::error!(event = "no_instance_lock"; "the instance lock cannot be taken: {error}; {remedy}");
            return EXIT_FAILURE;
        }
    };
    let (sender, events) = sync_channel(INBOX);
    if let Err(error) = signals::listen(sender.clone(), start.mode) {
        log::error!(event = "no_signals"; "signals cannot be received: {error}");
        return EXIT_FAILURE;
    }
    let mut daemon = match Daemon::start(config, start, sender) {
        Ok(daemon) => daemon,
        Err(why) => {
            log::error!(event = "no_start"; "{why}");
            return EXIT_FAILURE;
        }
    };
    daemon.lock = Some(lock);
    daemon.greet();
    daemon.main_loop(&events)
}

struct Daemon {
    config: Config,
    start: Start,
    inbox: Inbox,
    clock: Clock,
    observer: Observer,
    machine: Machine,
    lanes: Lanes,
    tasks: Tasks,
    /// What the operator's program is told.
    told: Events,
    reading: Reading,
    hold_back: HoldBack,
    /// What the machine knows of what does not work here.
    hampered: Option<String>,
    /// What the host has to remember and could not be written.
    unwritten: Option<String>,
    /// That this is the only daemon of this host; nothing where another way sees to that.
    lock: Option<InstanceLock>,
    /// What was written last of the own claim.
    commitment: Option<Commitment>,
    /// Answers that were there at once: the main thread must not wait for room in its own inbox.
    immediate: VecDeque<Input>,
    /// Something was asked since the machine was shown last.
    asked: bool,
    /// Until when what was shown stood.
    shown: Duration,
    exit: Option<u8>,
    /// When the first signal to stop came.
    stopped_at: Option<Duration>,
}

impl Daemon {
    fn start(
        mut config: Config,
        start: Start,
        sender: SyncSender<Event>,
    ) -> Result<Daemon, String> {
        config.dry_run |= start.dry_run;
        let clock = Clock::start();
        let client = Client::new(etcd::options(&config)?).map_err(|error| error.to_string())?;
        // Read before anybody is served: whose connections take all descriptors must not end the start.
        let (settings, seed) = (setup::settings(&config, start.mode)?, etcd::seed()?);
        let observer =
            Observer::start((&config, &client), start.mode, clock, &Environment::read())?;
        let inbox = Inbox(sender);
        let machine = Machine::new(settings, seed, clock.now());
        let unwritten = kept::unwritten(&config.run_dir);
        let shown = (observer.metrics(), Arc::clone(&observer.shown.endpoints));
        Ok(Daemon {
            lanes: Lanes::start(client, &config, inbox.clone(), shown)?,
            tasks: Tasks::new((&config, &start), inbox.clone(), clock, observer.metrics()),
            told: Events::new(&config, observer.metrics()),
            observer,
            config,
            start,
            inbox,
            clock,
            machine,
            reading: Reading::No,
            hold_back: HoldBack::default(),
            hampered: None,
            unwritten,
            lock: None,
            commitment: None,
            immediate: VecDeque::new(),
            asked: false,
            shown: clock.now().mono,
            exit: None,
            stopped_at: None,
        })
    }

    fn greet(&self) {
        // Whoever forgot it would wait for reboots that never come.
        let dry = "; dry_run is set: this node will not reboot";
        let (level, dry) = match self.config.dry_run {
            true => (log::Level::Warn, dry),
            false => (log::Level::Info, ""),
        };
        log::log!(
            level,
            event = "started",
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            dry_run = self.config.dry_run;
            "reboot-coordinator {} for node {}{dry}",
            env!("CARGO_PKG_VERSION"),
            self.config.node_name,
        );
    }

    fn main_loop(&mut self, events: &Receiver<Event>) -> u8 {
        loop {
            self.observer.works();
            self.perform();
            if let Some(code) = self.exit {
                // What it came to is for the commands of this host, too.
                self.observer.rests(&self.machine);
                self.observer.notify.stopping();
                self.leave(events);
                self.wait_until_told(events);
                self.wait_for_children(events);
                return code;
            }
            if let Some(input) = self.immediate.pop_front() {
                self.machine.handle(self.clock.now(), input);
                continue;
            }
            let Some(event) = self.soon(events).or_else(|| self.rest(events)) else {
                continue;
            };
            self.observer.works();
            match event {
                Ok(Event::Machine(input)) => self.machine.handle(self.clock.now(), input),
                Ok(Event::Stop) => {
                    self.observer.notify.stopping();
                    self.stopped_at.get_or_insert(self.clock.now().mono);
                    self.machine.handle(self.clock.now(), Input::Stop);
                    self.tasks.cancel_monitor();
                }
                Ok(Event::Reload) => self.read_again(),
                Ok(Event::Configuration(found)) => self.on_configuration(found),
                Ok(Event::Host(found)) => self.on_host(*found),
                Err(RecvTimeoutError::Timeout) => {
                    self.machine.handle(self.clock.now(), Input::Tick);
                }
                Err(RecvTimeoutError::Disconnected) => return EXIT_FAILURE,
            }
        }
    }

    /// What comes at once of what was asked.
    fn soon(&mut self, events: &Receiver<Event>) -> Option<Result<Event, RecvTimeoutError>> {
        let now = self.clock.now().mono;
        let due = self.machine.wake_at();
        let due = due.map_or(SOON, |at| at.saturating_sub(now));
        let asked = std::mem::take(&mut self.asked);
        if !asked || due < SOON || now >= self.shown + SHOWN_EVERY {
            return None;
        }
        events.recv_timeout(SOON).ok().map(Ok)
    }

    /// Shows what the machine is at, and waits until something arrives or its next moment comes. None when the machine hears of
    /// something first.
    fn rest(&mut self, events: &Receiver<Event>) -> Option<Result<Event, RecvTimeoutError>> {
        let (wake, hampered) = self.observer.rests(&self.machine);
        if self.hampered != hampered {
            self.hampered.clone_from(&hampered);
            let input = Input::Hampered(hampered);
            self.machine.handle(self.clock.now(), input);
            return None;
        }
        let event = match wake {
            Some(at) => events.recv_timeout(at.saturating_sub(self.clock.now().mono)),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        self.shown = self.clock.now().mono;
        Some(event)
    }

    /// Performs everything the machine asks for.
    fn perform(&mut self) {
        self.write_claim();
        while let Some(action) = self.machine.next_action() {
            self.asked |= matches!(
                action,
                Action::Etcd(..) | Action::Detect(_) | Action::Health(..) | Action::LookAtHost(_)
            );
            let lanes = &mut self.lanes;
            let answer = match action {
                Action::Etcd(ticket, request) => lanes.send(&lanes.main, ticket, request),
                Action::Renew(ticket, request) => lanes.send(&lanes.keepalive, ticket, request),
                Action::Report(ticket, request) => lanes.send(&lanes.reports, ticket, request),
                Action::Monitor(ticket, facts) => self.tasks.monitor(ticket, &facts),
                Action::Farewell(request) => lanes.farewell(request),
                Action::Watch(watch) => lanes.watch(watch),
                Action::Detect(ticket) => self.tasks.detect(ticket),
                Action::Health(ticket, phase, facts) => self.tasks.health(ticket, phase, &facts),
                Action::Hook(ticket, hook, facts) => self.tasks.hook(ticket, hook, &facts),
                Action::LookAtHost(ticket) => {
                    self.tasks.boot_id = Some(self.machine.settings().boot_id.clone());
                    self.look_at_host(ticket)
                }
                Action::Reboot(ticket, permit, facts) => self.tasks.reboot(ticket, permit, &facts),
                Action::CancelScripts => self.tasks.cancel(),
                Action::RecordCompleted(json) => self.record_completed(&json),
                Action::Remember(memory) => self.remember(&memory),
                Action::Note(note) => self.tell(&note),
                Action::Exit(code) => {
                    self.exit = Some(code);
                    None
                }
            };
            self.immediate.extend(answer);
        }
    }

    fn tell(&mut self, note: &Note) -> Option<Input> {
        self.observer.note(note);
        self.told.note(note);
        if note.level > log::max_level() {
            return None;
        }
        let now = self.clock.now().mono;
        let due = !note.repeats || self.hold_back.should_log(&note.key(), note.same(), now);
        if note.is_outcome() {
            self.hold_back.outcome(&note.key(), due, now);
        }
        if due {
            emit(note);
        }
        None
    }
}

#[cfg(test)]
mod tests;
