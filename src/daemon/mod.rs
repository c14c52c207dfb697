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
mod endpoints;
mod events;
mod host_gate;
mod lanes;
mod lookout;
mod observer;
mod parting;
mod reload;
mod setup;
mod signals;
mod tasks;
mod threads;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clock::Clock;
use etcd_rs_sync::Client;
use events::Events;
use lanes::Lanes;
use observer::Observer;
use reload::Found;
pub(crate) use setup::script_context;
use signals::Signal;
use tasks::Tasks;

use crate::config::Config;
use crate::core::{Action, Commitment, Input, Machine, Memory, Mode, Note, Reload, State};
use crate::host::{InstanceLock, LockError};
use crate::lock::Keys;
use crate::observe::hold_back::HoldBack;
use crate::observe::log::emit;
use crate::store;

/// Exit code for "another instance runs here".
const EXIT_ANOTHER_INSTANCE: u8 = 75;

/// Exit code for a failure at run time.
const EXIT_FAILURE: u8 = 1;

/// How many events may wait for the main thread. Every sender has one thing under way at a time, except a watch during a
/// storm of events, which then waits for the main thread.
const INBOX: usize = 64;

/// How long after a signal to stop, or after the end when there was none, a script's process group may take to be killed.
/// The whole stop is to take less than a second.
const CHILDREN_GRACE: Duration = Duration::from_millis(900);

/// How long the answer to what was just asked is waited for before the machine is shown: what follows at once is shown once, and
/// a commit does not wait for words about the steps before it.
const SOON: Duration = Duration::from_millis(20);

/// After this the machine is shown however fast answers come: signs of life are given with it.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// What reaches the main thread.
enum Event {
    /// For the machine.
    Machine(Input),
    /// A signal came.
    Signal(Signal),
    /// The configuration was read again; `None` when it cannot be used.
    Configuration(Option<Box<Found>>),
    /// The host has another name or time zone, and the configuration goes by it.
    Host(Box<Found>),
}

/// Where answers go.
#[derive(Clone)]
struct Inbox(SyncSender<Event>);

impl Inbox {
    /// Hands an input to the machine.
    fn send(&self, input: Input) {
        self.hand_over(Event::Machine(input));
    }

    /// When the main thread is gone, the program is ending and nobody needs it.
    fn hand_over(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

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

/// Runs until the end and returns the exit code.
pub fn run(config: Config, start: Start) -> u8 {
    let _lock = match InstanceLock::acquire(&config.run_dir) {
        Ok(lock) => lock,
        Err(error @ LockError::Held { .. }) => {
            log::error!(event = "another_instance"; "{error}");
            return EXIT_ANOTHER_INSTANCE;
        }
        Err(error @ LockError::Io { .. }) => {
            log::error!(event = "no_instance_lock"; "the instance lock cannot be taken: {error}; check run_dir");
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
    daemon.greet();
    daemon.main_loop(&events)
}

/// Whether the configuration is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    No,
    Once,
    /// And once more when that has ended.
    Again,
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
        let client = Client::new(store::options(&config)?).map_err(|error| error.to_string())?;
        let observer = Observer::start(&config, &client, start.mode, clock)?;
        let inbox = Inbox(sender);
        let machine = Machine::new(
            setup::settings(&config, start.mode)?,
            crate::store::seed()?,
            clock.now(),
        );
        Ok(Daemon {
            lanes: Lanes::start(
                client,
                &config,
                inbox.clone(),
                (observer.metrics(), observer.endpoints()),
            )?,
            tasks: Tasks::new((&config, &start), inbox.clone(), clock, observer.metrics())?,
            told: Events::new(&config, observer.metrics()),
            observer,
            config,
            start,
            inbox,
            clock,
            machine,
            reading: Reading::No,
            hold_back: HoldBack::new(),
            hampered: None,
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
        let level = if self.config.dry_run {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        log::log!(
            level,
            event = "started",
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            dry_run = self.config.dry_run;
            "reboot-coordinator {} for node {}{}",
            env!("CARGO_PKG_VERSION"),
            self.config.node_name,
            if self.config.dry_run { "; dry_run is set: this node will not reboot" } else { "" },
        );
    }

    fn main_loop(&mut self, events: &Receiver<Event>) -> u8 {
        loop {
            self.observer.works();
            self.perform();
            if let Some(code) = self.exit {
                self.observer.stopping();
                self.leave();
                self.wait_until_told(events);
                self.wait_for_children(events);
                return code;
            }
            if let Some(input) = self.immediate.pop_front() {
                self.machine.handle(self.clock.now(), input);
                continue;
            }
            let event = match self.soon(events) {
                Some(event) => Ok(event),
                None => match self.rest(events) {
                    Some(event) => event,
                    None => continue,
                },
            };
            self.observer.works();
            match event {
                Ok(Event::Machine(input)) => self.machine.handle(self.clock.now(), input),
                Ok(Event::Signal(Signal::Stop)) => {
                    self.observer.stopping();
                    self.stopped_at.get_or_insert(self.clock.now().mono);
                    self.machine.handle(self.clock.now(), Input::Stop);
                }
                Ok(Event::Signal(Signal::Reload)) => self.read_again(),
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
    fn soon(&mut self, events: &Receiver<Event>) -> Option<Event> {
        let now = self.clock.now().mono;
        let due = self.machine.wake_at();
        let due = due.map_or(SOON, |at| at.saturating_sub(now));
        let asked = std::mem::take(&mut self.asked);
        if !asked || due < SOON || now >= self.shown + SHOWN_EVERY {
            return None;
        }
        events.recv_timeout(SOON).ok()
    }

    /// Shows what the machine is at, and waits until something arrives or its next moment comes. None when the machine hears of
    /// something first.
    fn rest(&mut self, events: &Receiver<Event>) -> Option<Result<Event, RecvTimeoutError>> {
        let wake = self.observer.rests(&self.machine);
        if self.hampered.as_ref() != self.observer.hampered() {
            self.hampered = self.observer.hampered().cloned();
            let input = Input::Hampered(self.hampered.clone());
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
            let answer = match action {
                Action::Etcd(ticket, request) => self.lanes.etcd(ticket, request),
                Action::Renew(ticket, request) => self.lanes.renew(ticket, request),
                Action::Report(ticket, request) => self.lanes.report(ticket, request),
                Action::Monitor(ticket, facts) => self.tasks.monitor(ticket, &facts),
                Action::Farewell(request) => self.lanes.farewell(request),
                Action::Watch(watch) => self.lanes.watch(watch),
                Action::Detect(ticket) => self.tasks.detect(ticket),
                Action::Health(ticket, phase, facts) => self.tasks.health(ticket, phase, &facts),
                Action::Hook(ticket, hook, facts) => self.tasks.hook(ticket, hook, &facts),
                Action::LookAtHost(ticket) => self.tasks.look_at_host(ticket),
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
        if due && note.is_outcome() {
            self.hold_back.forget_others(&note.key());
        }
        if due {
            emit(note);
        }
        None
    }

    /// Says whether a reboot is under way, before anything is sent that could begin one.
    fn write_claim(&mut self) {
        let commitment = self.machine.commitment();
        if commitment.is_none() || commitment == self.commitment {
            return;
        }
        let word = commitment.map_or("", Commitment::as_str);
        if let Err(error) = crate::host::write_claim(&self.config.run_dir, word) {
            let now = self.clock.now().mono;
            if self.hold_back.should_log("claim_not_written", "", now) {
                log::warn!(event = "claim_not_written"; "what packages have to know before they restart this daemon could not be written: {error}; check run_dir");
            }
        }
        self.commitment = commitment;
    }

    fn remember(&self, memory: &Memory) -> Option<Input> {
        let json = serde_json::to_string(memory).expect("a memory is plain data");
        if let Err(error) = crate::host::write_memory(&self.config.run_dir, &json) {
            log::warn!(event = "memory_not_written"; "what this host has to remember of its reboots could not be written, so its next start runs post_boot_hook once: {error}");
        }
        None
    }

    fn record_completed(&self, json: &str) -> Option<Input> {
        if let Err(error) = crate::host::write_completed(&self.config.run_dir, json) {
            log::warn!(event = "marker_not_written"; "the marker of the completed reboot could not be written: {error}");
        }
        None
    }

    /// SIGHUP. One that comes while the file is being read makes it be read once more, since it may have changed after that.
    fn read_again(&mut self) {
        self.observer.reloading();
        if self.reading != Reading::No {
            self.reading = Reading::Again;
            return;
        }
        match reload::read(&self.start, self.inbox.clone()) {
            Ok(()) => self.reading = Reading::Once,
            Err(why) => self.keep_old(&why),
        }
    }

    fn on_configuration(&mut self, found: Option<Box<Found>>) {
        if std::mem::replace(&mut self.reading, Reading::No) == Reading::Again {
            return self.read_again();
        }
        match found.map_or(Ok(()), |found| self.follow(*found)) {
            Ok(()) => self.observer.reloaded(),
            Err(why) => self.keep_old(&why),
        }
    }

    /// Nobody waits for it. A file that is being read knows the host as well.
    fn on_host(&mut self, found: Found) {
        if self.reading != Reading::No {
            return;
        }
        let zone = found.config.windows.as_ref();
        let zone = zone.and_then(|windows| windows.zone().iana_name());
        log::warn!(
            event = "host_changed",
            node_name = found.config.node_name.as_str();
            "this host has another name or time zone than before: node_name is {} and windows are judged in {} from now on",
            found.config.node_name,
            zone.unwrap_or("the zone of /etc/localtime"),
        );
        if let Err(why) = self.follow(found) {
            self.keep_old(&why);
        }
    }

    fn keep_old(&mut self, why: &str) {
        log::error!(event = "reload_refused"; "the new configuration cannot be used, keeping the old one: {why}");
        self.observer.reloaded();
    }

    /// From here on nothing is decided, run or asked by the old configuration.
    fn follow(&mut self, found: Found) -> Result<(), String> {
        let Found {
            config,
            settings,
            options,
        } = found;
        if config.run_dir != self.config.run_dir {
            return Err("run_dir holds the instance lock and cannot change while the program runs: restart it".to_owned());
        }
        // A node that keeps its claim tries again all the same, as it tells whoever repaired it.
        let holds = matches!(self.machine.state(), State::Holding(..));
        if config == self.config && self.lanes.are_made_of(&options) && !holds {
            log::info!(event = "reloaded"; "the configuration is the same as before");
            return Ok(());
        }
        let lanes = self.lanes.successor(
            options,
            &config,
            self.machine.commitment() == Some(Commitment::Committed),
        )?;
        self.observer.follow(&config, lanes.client())?;
        crate::observe::log::init(config.log.level, config.log.format, &config.node_name);
        let drains_otherwise = config.pre_reboot_hook != self.config.pre_reboot_hook;
        self.lanes = lanes;
        self.tasks.follow(&config);
        self.told.follow(&config);
        self.hold_back = HoldBack::new();
        self.config = config;
        log::info!(event = "reloaded"; "the new configuration is in effect");
        let reload = Box::new(Reload {
            settings,
            drains_otherwise,
        });
        self.machine.handle(self.clock.now(), Input::Reload(reload));
        Ok(())
    }

    /// What a pass came to is there for whoever looks before the next one.
    fn leave(&self) {
        let Some(standing) = self.machine.parting().filter(|_| self.stopped_at.is_none()) else {
            return;
        };
        let keys = Keys::new(&self.config.etcd.namespace, &self.config.lock_key);
        if let Err(why) = parting::leave(self.lanes.client(), &keys, standing) {
            log::warn!(event = "standing_not_left"; "what this pass came to could not be left in etcd, so `status` shows this node as silent: {why}");
        }
    }

    /// A pass that is over lets its event hook come to an end; a stop does not.
    fn wait_until_told(&mut self, events: &Receiver<Event>) {
        const SLICE: Duration = Duration::from_millis(100);
        let until = self.clock.now().mono + self.told.patience();
        while self.start.mode != Mode::Daemon
            && self.stopped_at.is_none()
            && self.clock.now().mono < until
            && !self.told.is_idle_within(SLICE)
        {
            if let Ok(Event::Signal(Signal::Stop)) = events.try_recv() {
                self.stopped_at = Some(self.clock.now().mono);
            }
        }
        self.told.stop();
    }

    /// Leaves no script behind: its group is being killed, and the answer says that it is.
    fn wait_for_children(&mut self, events: &Receiver<Event>) {
        let since = self.stopped_at.unwrap_or(self.clock.now().mono);
        let until = since + CHILDREN_GRACE;
        let left = |daemon: &Daemon| until.saturating_sub(daemon.clock.now().mono);
        while self.tasks.running() {
            if left(self).is_zero() {
                return;
            }
            let _ = events.recv_timeout(left(self)); // whatever it is, one may have ended
        }
        self.told.is_idle_within(left(self));
    }
}

#[cfg(test)]
mod tests;
