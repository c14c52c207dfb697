//! What the machine tells the operator: the source of log lines and of metrics.

use serde_json::Value;

/// The key of everything that says how a pass ended.
const OUTCOME: &str = "outcome";

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// How loud.
    pub level: log::Level,
    /// Which event, a fixed name: `reboot_required`, `turn`, `committed`, …
    pub event: &'static str,
    /// A sentence.
    pub msg: String,
    /// The event's own fields.
    pub fields: Vec<(&'static str, Value)>,
    /// Whether an unchanged repetition is held back.
    pub repeats: bool,
    /// What it comes down to, when its words change although nothing else does. Then one cause is one line, however often others
    /// come between.
    pub cause: Option<String>,
}

impl Note {
    /// A note at level info.
    pub fn info(event: &'static str, msg: impl Into<String>) -> Note {
        Note::new(log::Level::Info, event, msg)
    }

    /// A note at level warn.
    pub fn warn(event: &'static str, msg: impl Into<String>) -> Note {
        Note::new(log::Level::Warn, event, msg)
    }

    /// A note at level error.
    pub fn error(event: &'static str, msg: impl Into<String>) -> Note {
        Note::new(log::Level::Error, event, msg)
    }

    /// A note at level debug.
    pub fn debug(event: &'static str, msg: impl Into<String>) -> Note {
        Note::new(log::Level::Debug, event, msg)
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Note {
        self.fields.push((name, value.into()));
        self
    }

    /// Marks an outcome that is judged again and again: an unchanged one is logged once and then at most every hour.
    #[must_use]
    pub fn repeating(mut self) -> Note {
        self.repeats = true;
        self
    }

    /// Whether it says how a pass ended, or that etcd is back: then everything else is news again.
    pub fn is_outcome(&self) -> bool {
        self.key() == OUTCOME || self.event == "etcd_back"
    }

    /// Notes with one key take each other's place: the outcomes of a pass, or what one detector says.
    pub fn key(&self) -> String {
        if matches!(
            self.event,
            "blocked" | "not_required" | "dry_run" | "holding" | "not_healthy" | "released"
        ) {
            return OUTCOME.to_owned();
        }
        // Several detectors may fail at a time; each is said once.
        let detector = self.fields.iter().find(|(name, _)| *name == "detector");
        let detector = detector.and_then(|(_, value)| value.as_str());
        let cause = self.cause.as_deref().unwrap_or_default();
        format!("{} {}{cause}", self.event, detector.unwrap_or_default())
    }

    /// What makes it the same as the last one of its key.
    pub fn same(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.msg)
    }

    /// Marks it as [repeating](Note::repeating), and told apart by this and not by its words.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Note {
        self.cause = Some(cause.into());
        self.repeating()
    }

    fn new(level: log::Level, event: &'static str, msg: impl Into<String>) -> Note {
        Note {
            level,
            event,
            msg: msg.into(),
            fields: Vec::new(),
            repeats: false,
            cause: None,
        }
    }
}
