//! The event hook: the operator's program, told of each transition of this node.
//!
//! It decides nothing and holds nothing up. One run at a time, in a thread that exists while there is something to tell; a few
//! events wait, and when the program is too slow for them the oldest is dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::threads::{lock, spawn};
use crate::config::{Config, Hook, variables};
use crate::core::Note;
use crate::core::facts::ScriptReport;
use crate::core::io::ScriptFacts;
use crate::core::text::describe;
use crate::observe::hold_back::HoldBack;
use crate::observe::metrics::{Metrics, ending};
use crate::process::{self, Cancel, Command};
use crate::scripts;
use crate::status::times::rfc3339;

/// How many events may wait.
const WAITING: usize = 16;

/// The longest text of an event.
const LONGEST: usize = 4096;

/// Owned by the main thread.
pub(super) struct Events {
    config: Config,
    /// What was told last of what holds this node up.
    stands: Option<&'static str>,
    queue: Arc<Queue>,
}

/// What is to be told.
struct Queue {
    metrics: Arc<Metrics>,
    began: Instant,
    waiting: Mutex<Waiting>,
    /// The thread has ended.
    idle: Condvar,
}

#[derive(Default)]
struct Waiting {
    runs: VecDeque<Command>,
    works: bool,
    cancel: Cancel,
    hold_back: HoldBack,
}

impl Events {
    pub(super) fn new(config: &Config, metrics: Arc<Metrics>) -> Events {
        Events {
            config: config.clone(),
            stands: None,
            queue: Arc::new(Queue {
                metrics,
                began: Instant::now(),
                waiting: Mutex::default(),
                idle: Condvar::new(),
            }),
        }
    }

    /// A new configuration. What waits is told as it was to be.
    pub(super) fn follow(&mut self, config: &Config) {
        self.config = config.clone();
    }

    /// The machine told something. When it is a transition, the hook is to know.
    pub(super) fn note(&mut self, note: &Note) {
        let Some(name) = self.transition(note) else {
            return;
        };
        let Some(Hook { command, timeout }) = &self.config.event_hook else {
            return;
        };
        let (env, event) = told(name, note, &self.config);
        let run = Command {
            stdin: Some(event),
            ..Command::new(scripts::expand(command, &env), env, *timeout)
        };
        Queue::push(&self.queue, run);
    }

    /// What changed, if something did. What stands is told when it begins.
    fn transition(&mut self, note: &Note) -> Option<&'static str> {
        let passing = match note.event {
            "committed" | "back" | "aborted" | "released" => Some(note.event),
            "claim_gone" => Some("taken_away"),
            _ => None,
        };
        if passing.is_some() {
            self.stands = None;
            return passing;
        }
        let reason = text(note, "reason");
        let stands = match (note.event, reason.as_str()) {
            ("not_healthy", _) if field(note, "keeps_claim") != Some(&Value::Bool(true)) => None,
            ("holding" | "not_healthy", _) => Some("held"),
            ("reboot_failed", _) | ("blocked", "line") => Some("line_stopped"),
            ("blocked", "paused") => Some("paused"),
            ("blocked", "budget") => Some("budget_used_up"),
            // While etcd is away nobody knows what has changed.
            ("blocked", "etcd" | "lost") => return None,
            ("blocked" | "not_required" | "dry_run", _) => None,
            _ => return None,
        };
        let before = std::mem::replace(&mut self.stands, stands);
        stands.filter(|_| before != stands)
    }

    /// How long a run may take.
    pub(super) fn patience(&self) -> Duration {
        let hook = self.config.event_hook.as_ref();
        hook.map_or(Duration::ZERO, |hook| hook.timeout)
    }

    /// Waits for what is to be told, for a moment; whether all of it is.
    pub(super) fn is_idle_within(&self, limit: Duration) -> bool {
        let waiting = lock(&self.queue.waiting);
        let works = |waiting: &mut Waiting| waiting.works;
        let waited = self.queue.idle.wait_timeout_while(waiting, limit, works);
        !waited.unwrap_or_else(PoisonError::into_inner).0.works
    }

    /// Ends what runs, and tells no more.
    pub(super) fn stop(&self) {
        let mut waiting = lock(&self.queue.waiting);
        waiting.runs.clear();
        waiting.cancel.cancel();
    }
}

/// A transition, as it is told: the variables of the hook, and the same as JSON on one line.
fn told(name: &str, note: &Note, config: &Config) -> (Vec<(String, String)>, String) {
    let reasons = field(note, "reasons").and_then(Value::as_array);
    let reasons = reasons.map_or(&[][..], Vec::as_slice).iter();
    let reasons: Vec<String> = reasons.filter_map(Value::as_str).map(bounded).collect();
    let time = rfc3339(Timestamp::now());
    let words = bounded(&note.msg);
    let (reason, outcome) = (text(note, "reason"), text(note, "outcome"));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let event = json!({
        "event": name,
        "node": config.node_name,
        "time": time,
        "text": words,
        "reason": some(&reason),
        "reasons": reasons,
        "outcome": some(&outcome),
    });
    let reasons_listed = reasons.join(",");
    let values = [
        name,
        &config.node_name,
        &time,
        &words,
        &reason,
        &reasons_listed,
        &outcome,
    ];
    let facts = ScriptFacts {
        reasons,
        ..ScriptFacts::default()
    };
    let mut env = variables::environment(config, "event", Some(&facts));
    let told = scripts::EVENT.iter().zip(values);
    env.extend(told.map(|(name, value)| ((*name).to_owned(), value.to_owned())));
    (env, format!("{event}\n"))
}

impl Queue {
    fn push(this: &Arc<Queue>, run: Command) {
        let mut waiting = lock(&this.waiting);
        if waiting.runs.len() >= WAITING {
            waiting.runs.pop_front();
            let why = "it is too slow: the oldest event that waited for it is dropped";
            this.failed(&mut waiting, "dropped", why);
        }
        waiting.runs.push_back(run);
        if waiting.works {
            return;
        }
        waiting.works = true;
        let queue = Arc::clone(this);
        if let Err(error) = spawn("events", move || queue.work()) {
            waiting.works = false;
            waiting.runs.clear();
            let why = format!("no thread could be started: {error}");
            this.failed(&mut waiting, "not_started", &why);
        }
    }

    /// Tells what waits, one after the other.
    fn work(&self) {
        let mut waiting = lock(&self.waiting);
        while let Some(run) = waiting.runs.pop_front() {
            let cancel = waiting.cancel.clone();
            drop(waiting);
            let report = process::run(&run, &cancel);
            waiting = lock(&self.waiting);
            self.ended(&mut waiting, &report);
        }
        waiting.works = false;
        self.idle.notify_all();
    }

    fn ended(&self, waiting: &mut Waiting, report: &ScriptReport) {
        let result = match ending(&report.outcome) {
            "passed" => return self.metrics.event_hook("passed"),
            "cancelled" => return,
            result => result,
        };
        self.failed(waiting, result, &describe(report));
    }

    /// Counted each time, and told once an hour by what it comes down to.
    fn failed(&self, waiting: &mut Waiting, result: &str, why: &str) {
        self.metrics.event_hook(result);
        if waiting
            .hold_back
            .should_log(result, "", self.began.elapsed())
        {
            log::warn!(event = "event_hook_failed", result; "the event hook: {why}; whom it tells does not know");
        }
    }
}

fn field<'a>(note: &'a Note, name: &str) -> Option<&'a Value> {
    let mut fields = note.fields.iter();
    fields
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn text(note: &Note, name: &str) -> String {
    field(note, name)
        .and_then(Value::as_str)
        .map_or_else(String::new, bounded)
}

/// One line of bounded length: some of it was written by others.
fn bounded(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
