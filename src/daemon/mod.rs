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

mod clock;
mod lanes;
mod lookout;
mod observer;
mod setup;
mod signals;
mod tasks;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clock::Clock;
use lanes::Lanes;
use observer::Observer;
pub(crate) use setup::script_context;
use signals::Signal;
use tasks::Tasks;

use crate::config::{self, Config};
use crate::core::{Action, Commitment, Input, Machine, Mode, Note};
use crate::host::{InstanceLock, LockError};
use crate::observe::hold_back::HoldBack;
use crate::observe::log::emit;

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

/// What reaches the main thread.
enum Event {
    /// For the machine; the number tells for which, because a reload makes a new one.
    Machine(u32, Input),
    /// A signal came.
    Signal(Signal),
}

/// Where an answer goes: the inbox, marked with the machine it is for.
#[derive(Clone)]
struct Inbox {
    sender: SyncSender<Event>,
    generation: u32,
}

impl Inbox {
    /// Hands an input over. When the main thread is gone, the program is ending and nobody needs it.
    fn send(&self, input: Input) {
        let _ = self.sender.send(Event::Machine(self.generation, input));
    }
}

/// How the program was started.
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

struct Daemon {
    config: Config,
    start: Start,
    sender: SyncSender<Event>,
    clock: Clock,
    observer: Observer,
    machine: Machine,
    lanes: Lanes,
    tasks: Tasks,
    generation: u32,
    /// A configuration that waits for the pass to end.
    reload: Option<Config>,
    hold_back: HoldBack,
    /// What was written last of the own claim.
    commitment: Option<Commitment>,
    /// Answers that were there at once: the main thread must not wait for room in its own inbox.
    immediate: VecDeque<Input>,
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
        let observer = Observer::start(&config, start.mode, clock)?;
        let inbox = Inbox {
            sender: sender.clone(),
            generation: 0,
        };
        let machine = Machine::new(
            setup::settings(&config, start.mode)?,
            crate::store::seed()?,
            clock.now(),
        );
        Ok(Daemon {
            lanes: Lanes::start(&config, inbox.clone(), observer.metrics(), None)?,
            tasks: Tasks::new((&config, &start.path), inbox, clock, observer.metrics())?,
            observer,
            config,
            start,
            sender,
            clock,
            machine,
            generation: 0,
            reload: None,
            hold_back: HoldBack::new(),
            commitment: None,
            immediate: VecDeque::new(),
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
                self.wait_for_children(events);
                return code;
            }
            if self.reload.is_some() && self.machine.between_passes() {
                self.apply_reload();
                continue;
            }
            if let Some(input) = self.immediate.pop_front() {
                self.machine.handle(self.clock.now(), input);
                continue;
            }
            let event = match self.observer.rests(&self.machine) {
                Some(at) => events.recv_timeout(at.saturating_sub(self.clock.now().mono)),
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.observer.works();
            match event {
                Ok(Event::Machine(generation, input)) if generation == self.generation => {
                    self.machine.handle(self.clock.now(), input);
                }
                Ok(Event::Machine(..)) => {}
                Ok(Event::Signal(Signal::Stop)) => {
                    self.observer.stopping();
                    self.stopped_at.get_or_insert(self.clock.now().mono);
                    self.machine.handle(self.clock.now(), Input::Stop);
                }
                Ok(Event::Signal(Signal::Reload)) => self.read_again(),
                Err(RecvTimeoutError::Timeout) => {
                    self.machine.handle(self.clock.now(), Input::Tick);
                }
                Err(RecvTimeoutError::Disconnected) => return EXIT_FAILURE,
            }
        }
    }

    /// Performs everything the machine asks for.
    fn perform(&mut self) {
        self.write_claim();
        while let Some(action) = self.machine.next_action() {
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
        if note.level > log::max_level() {
            return None;
        }
        let now = self.clock.now().mono;
        let due = !note.repeats || self.hold_back.should_log(&note.key(), &note.msg, now);
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

    fn record_completed(&self, json: &str) -> Option<Input> {
        if let Err(error) = crate::host::write_completed(&self.config.run_dir, json) {
            log::warn!(event = "marker_not_written"; "the marker of the completed reboot could not be written: {error}");
        }
        None
    }

    /// SIGHUP: an invalid file changes nothing.
    fn read_again(&mut self) {
        self.observer.reloading();
        match config::load(&self.start.path) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    log::warn!(event = "configuration"; "{warning}");
                }
                let mut config = loaded.config;
                config.dry_run |= self.start.dry_run;
                self.reload = Some(config);
                if !self.machine.between_passes() {
                    log::info!(event = "reload_pending"; "the new configuration takes effect when this pass has ended");
                    // A pass can last as long as the queue is, and whoever asked for the reload should not wait for that.
                    self.observer.reloaded();
                }
            }
            Err(problems) => {
                for problem in &problems.0 {
                    log::error!(event = "configuration"; "{problem}");
                }
                log::error!(event = "reload_refused"; "the configuration has {} problems; keeping the old one", problems.0.len());
                self.observer.reloaded();
            }
        }
    }

    /// Starts over with the new configuration: new connections and a new machine, which finds whatever is in etcd.
    fn apply_reload(&mut self) {
        if let Some(config) = self.reload.take() {
            self.start_over(config);
            self.observer.reloaded();
        }
    }

    fn start_over(&mut self, config: Config) {
        if config.run_dir != self.config.run_dir {
            log::error!(event = "reload_refused"; "run_dir holds the instance lock and cannot change while the program runs: restart it");
            return;
        }
        let inbox = Inbox {
            sender: self.sender.clone(),
            generation: self.generation + 1,
        };
        let parts = setup::settings(&config, self.start.mode).and_then(|settings| {
            let machine = Machine::new(settings, crate::store::seed()?, self.clock.now());
            Ok((
                machine,
                Lanes::start(
                    &config,
                    inbox.clone(),
                    self.observer.metrics(),
                    Some(&self.lanes),
                )?,
                Tasks::new(
                    (&config, &self.start.path),
                    inbox,
                    self.clock,
                    self.observer.metrics(),
                )?,
            ))
        });
        // Last, because it takes effect.
        let parts = parts.and_then(|parts| self.observer.follow(&config).map(|()| parts));
        match parts {
            Ok((machine, lanes, tasks)) => {
                crate::observe::log::init(config.log.level, config.log.format, &config.node_name);
                (self.machine, self.lanes, self.tasks) = (machine, lanes, tasks);
                self.generation += 1;
                self.hold_back = HoldBack::new();
                self.config = config;
                log::info!(event = "reloaded"; "the new configuration is in effect");
            }
            Err(why) => {
                log::error!(event = "reload_refused"; "the new configuration cannot be used, keeping the old one: {why}");
            }
        }
    }

    /// Leaves no script behind: its group is being killed, and the answer says that it is.
    fn wait_for_children(&mut self, events: &Receiver<Event>) {
        let since = self.stopped_at.unwrap_or(self.clock.now().mono);
        let until = since + CHILDREN_GRACE;
        while self.tasks.running() {
            let left = until.saturating_sub(self.clock.now().mono);
            if left.is_zero() || events.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
