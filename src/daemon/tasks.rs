//! What is done on the host: detectors, health script, hooks, the look at the kill switch, the reboot command. Each in a thread
//! of its own while it lasts, so that the main thread never waits for the operator's scripts. A task that could not be begun
//! returns its answer at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Start;
use super::clock::Clock;
use super::host_gate::{PATIENCE, follow_host, forbids};
use super::inbox::Inbox;
use super::threads::{lock, spawn};
use crate::config::{Config, Detector, variables};
use crate::core::facts::{
    Captured, DetectorReport, DetectorResult, HealthPhase, ScriptOutcome, ScriptReport,
};
use crate::core::io::ScriptFacts;
use crate::core::text::millis;
use crate::core::{Hook, Input, Refusal, Ticket};
use crate::lock::Permit;
use crate::lock::outcome::HOST_LIMIT;
use crate::observe::hold_back::HoldBack;
use crate::observe::metrics::Metrics;
use crate::process::{self, Cancel, Command};
use crate::scripts;
use crate::{config, detect};

/// What is added to the time limit of an act that the machine has just judged, because a thread has to be started for it.
const THREAD_START: Duration = Duration::from_secs(1);

/// Runs one machine's tasks.
pub(super) struct Tasks {
    config: Arc<Config>,
    /// How that is read again.
    start: Start,
    inbox: Inbox,
    clock: Clock,
    /// The boot in which the machine commits, once it has asked for a look at the host.
    pub(super) boot_id: Option<String>,
    /// For how long a look at the host reads a configuration that cannot be used.
    pub(super) patience: Duration,
    cancel: Cancel,
    /// Of the health script as monitor, which runs beside others.
    monitor: Cancel,
    running: Arc<AtomicUsize>,
    /// Held by the hook that runs: one that is being ended must not undo what the next one does.
    one_hook: Arc<Mutex<()>>,
    /// How scripts ended.
    said: Arc<Mutex<HoldBack>>,
    metrics: Arc<Metrics>,
}

impl Tasks {
    pub(super) fn new(
        (config, start): (&Config, &Start),
        inbox: Inbox,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Tasks {
        Tasks {
            config: Arc::new(config.clone()),
            start: start.clone(),
            inbox,
            clock,
            boot_id: None,
            patience: PATIENCE,
            cancel: Cancel::new(),
            monitor: Cancel::new(),
            running: Arc::new(AtomicUsize::new(0)),
            one_hook: Arc::default(),
            said: Arc::default(),
            metrics,
        }
    }

    /// A new configuration. What runs goes on as it was started.
    pub(super) fn follow(&mut self, config: &Config) {
        self.config = Arc::new(config.clone());
        self.said = Arc::default();
    }

    /// Whether a task has not ended yet. The reboot command does not count: it is left alone.
    pub(super) fn running(&self) -> bool {
        self.running.load(Ordering::Acquire) > 0
    }

    /// Ends what runs, by process group.
    pub(super) fn cancel(&mut self) -> Option<Input> {
        std::mem::take(&mut self.cancel).cancel();
        self.cancel_monitor();
        None
    }

    /// The machine forgets the one that runs when it stops, and when it asks for another.
    pub(super) fn cancel_monitor(&mut self) {
        std::mem::take(&mut self.monitor).cancel();
    }

    pub(super) fn detect(&self, ticket: Ticket) -> Option<Input> {
        let config = Arc::clone(&self.config);
        let env = self.environment("pre-lock", &ScriptFacts::default());
        let cancel = self.cancel.clone();
        let metrics = Arc::clone(&self.metrics);
        self.spawn(
            move || {
                let reports = detect::run_all(&config.detectors, &env, &cancel);
                log_detectors(&reports);
                // Those that were stopped report failures that are none.
                if !cancel.is_cancelled() {
                    metrics.detected(&reports);
                }
                Input::Detected(ticket, reports)
            },
            // A turn does not wait for it; a name that a claim goes by is looked at again before the commit.
            self.follow_host(),
            |why| Input::Detected(ticket, all_failed(&self.config.detectors, &why)),
        )
    }

    pub(super) fn health(
        &self,
        ticket: Ticket,
        phase: HealthPhase,
        facts: &ScriptFacts,
    ) -> Option<Input> {
        let (check, follow_host) = (self.check(phase, facts), self.follow_host());
        self.spawn_script(ticket, "health_check", phase.as_str(), move || {
            // A proof may last for days, and no detector is asked meanwhile.
            if phase == HealthPhase::PostBoot {
                follow_host();
            }
            check()
        })
    }

    /// The health script as monitor.
    pub(super) fn monitor(&mut self, ticket: Ticket, facts: &ScriptFacts) -> Option<Input> {
        self.cancel_monitor();
        let check = self.check(HealthPhase::Monitor, facts);
        self.spawn(
            move || Input::Monitored(ticket, check()),
            || {},
            |why| Input::Monitored(ticket, not_started(&why)),
        )
    }

    /// A run of the health script, to be done in a thread of its own.
    fn check(
        &self,
        phase: HealthPhase,
        facts: &ScriptFacts,
    ) -> impl FnOnce() -> ScriptReport + Send + use<> {
        let config = Arc::clone(&self.config);
        let env = self.environment(phase.as_str(), facts);
        let cancel = match phase {
            HealthPhase::Monitor => self.monitor.clone(),
            _ => self.cancel.clone(),
        };
        let metrics = Arc::clone(&self.metrics);
        move || {
            let limit = config.health_timeout;
            let report = scripts::check(&config.health_script, limit, &env, &cancel);
            metrics.health_checked(phase, &report);
            report
        }
    }

    /// A look at what this host is called, to be taken in a thread of its own.
    fn follow_host(&self) -> impl FnOnce() + Send + use<> {
        let (start, config) = (self.start.clone(), Arc::clone(&self.config));
        let (inbox, cancel) = (self.inbox.clone(), self.cancel.clone());
        move || follow_host(&start, &config, &inbox, &cancel)
    }

    pub(super) fn hook(&self, ticket: Ticket, hook: Hook, facts: &ScriptFacts) -> Option<Input> {
        let (phase, configured) = match hook {
            Hook::Drain { .. } => ("pre-reboot", &self.config.pre_reboot_hook),
            Hook::Undo => ("post-boot", &self.config.post_boot_hook),
        };
        let Some(config::Hook { command, timeout }) = configured.clone() else {
            let report = not_started("no such hook is configured");
            return Some(Input::Script(ticket, report));
        };
        let env = self.environment(phase, facts);
        let begins_within = match hook {
            Hook::Drain { .. } => HOST_LIMIT,
            Hook::Undo => timeout,
        };
        let spec = Command {
            begins_within,
            ..Command::new(scripts::expand(&command, &env), env, timeout)
        };
        let cancel = self.cancel.clone();
        let (clock, one_hook) = (self.clock, Arc::clone(&self.one_hook));
        self.spawn_script(ticket, "hook", phase, move || {
            let _until_its_end = lock(&one_hook);
            match hook {
                Hook::Drain { until } if clock.now().mono > until + THREAD_START => {
                    not_started("too much time passed since the gates were judged")
                }
                Hook::Drain { .. } | Hook::Undo => process::run(&spec, &cancel),
            }
        })
    }

    /// What is looked at before a commit, or all that still counts after it.
    pub(super) fn look_at_host(&self, ticket: Ticket, committed: bool) -> Option<Input> {
        let config = Arc::clone(&self.config);
        let (file, boot_id) = (self.start.path.clone(), self.boot_id.clone());
        let (patience, cancel) = (self.patience, self.cancel.clone());
        self.spawn(
            move || {
                let refusal = forbids(&file, config, boot_id, committed, patience, &cancel);
                Input::Host(ticket, refusal)
            },
            || {},
            |why| Input::Host(ticket, Some(Refusal::KillSwitch(why))),
        )
    }

    /// Uses the permit up. The command outlives this program.
    pub(super) fn reboot(
        &self,
        ticket: Ticket,
        permit: Permit,
        facts: &ScriptFacts,
    ) -> Option<Input> {
        let env = self.environment("pre-reboot", facts);
        let argv = scripts::expand(&self.config.reboot_command, &env);
        let spec = Command {
            detach: true,
            begins_within: HOST_LIMIT,
            ..Command::new(argv, env, self.config.reboot_timeout)
        };
        let cancel = self.cancel.clone();
        let inbox = self.inbox.clone();
        let clock = self.clock;
        let life = Permit::life(self.config.etcd.timeout) + THREAD_START;
        let work = move || {
            let report = match permit.redeem(clock.now().mono, life) {
                Ok(()) => process::run(&spec, &cancel),
                Err(why) => not_started(&why),
            };
            log_script("reboot_command", "pre-reboot", &report, true);
            inbox.send(Input::RebootCommand(ticket, report));
        };
        let error = spawn("reboot", work).err()?;
        let report = not_started(&error.to_string());
        Some(Input::RebootCommand(ticket, report))
    }

    fn environment(&self, phase: &str, facts: &ScriptFacts) -> Vec<(String, String)> {
        variables::environment(&self.config, phase, Some(facts))
    }

    fn spawn_script(
        &self,
        ticket: Ticket,
        event: &'static str,
        phase: &'static str,
        run: impl FnOnce() -> ScriptReport + Send + 'static,
    ) -> Option<Input> {
        let (said, clock) = (Arc::clone(&self.said), self.clock);
        self.spawn(
            move || {
                let report = run();
                let (key, how) = (format!("{event} {phase}"), report.outcome.to_string());
                let is_news = lock(&said).should_log(&key, &how, clock.now().mono);
                log_script(event, phase, &report, is_news);
                Input::Script(ticket, report)
            },
            || {},
            |why| Input::Script(ticket, not_started(&why)),
        )
    }

    /// Does `work` in a thread and hands its answer to the machine, then does `after`; when no thread can be had, returns the answer of
    /// `otherwise`.
    fn spawn(
        &self,
        work: impl FnOnce() -> Input + Send + 'static,
        after: impl FnOnce() + Send + 'static,
        otherwise: impl FnOnce(String) -> Input,
    ) -> Option<Input> {
        let inbox = self.inbox.clone();
        let running = Arc::clone(&self.running);
        running.fetch_add(1, Ordering::AcqRel);
        let body = move || {
            let input = work();
            running.fetch_sub(1, Ordering::AcqRel);
            inbox.send(input);
            after();
        };
        let error = spawn("task", body).err()?;
        self.running.fetch_sub(1, Ordering::AcqRel);
        Some(otherwise(format!("no thread could be started: {error}")))
    }
}

fn all_failed(detectors: &[Detector], why: &str) -> Vec<DetectorReport> {
    let failed = |detector: &Detector| DetectorReport {
        name: detector.name.clone(),
        result: DetectorResult::Failed(why.to_owned()),
        target: None,
        took: Duration::ZERO,
    };
    detectors.iter().map(failed).collect()
}

fn not_started(why: &str) -> ScriptReport {
    ScriptReport {
        outcome: ScriptOutcome::NotStarted(why.to_owned()),
        took: Duration::ZERO,
        stdout: Captured::default(),
        stderr: Captured::default(),
    }
}

fn log_detectors(reports: &[DetectorReport]) {
    for report in reports {
        let (result, detail) = report.result.words();
        log::debug!(
            event = "detector",
            detector = report.name.as_str(),
            result,
            duration_ms = millis(report.took);
            "detector {}: {result} {detail}", report.name
        );
    }
}

/// A script that fails is worth a line; one that succeeds, or fails as it did, only for who looks closely.
fn log_script(event: &'static str, phase: &'static str, report: &ScriptReport, is_news: bool) {
    let level = match report.outcome.success() || !is_news {
        true => log::Level::Debug,
        false => log::Level::Warn,
    };
    let exit_code = match report.outcome {
        ScriptOutcome::Exited(code) => Some(code),
        _ => None,
    };
    log::log!(
        level,
        event,
        phase,
        exit_code,
        duration_ms = millis(report.took),
        stdout = report.stdout.text.as_str(),
        stderr = report.stderr.text.as_str();
        "{event} {phase}: {}", report.outcome
    );
}

#[cfg(test)]
mod tests;
