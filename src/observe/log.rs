//! The log: one event a line on standard error, as JSON for programs or as text for people.
//!
//! An event is a record of the `log` crate with key-values; the key `event` names it:
//!
//! ```
//! log::info!(event = "health_check", phase = "pre-lock", exit_code = 0; "health script passed");
//! ```
//!
//! A write that fails, because the pipe is closed, the disk is full or the file at its limit, loses that line and nothing else. (The
//! signal SIGPIPE is ignored by the standard library's start code, and SIGXFSZ caught by ours.)

pub(crate) mod line;

use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{PoisonError, RwLock};

use log::LevelFilter;
use log::kv::Value;

use crate::config::LogFormat;
use crate::core::Note;
use crate::core::text::rfc3339;
use line::{Style, json, text};

/// What can change while the program runs.
struct Settings {
    format: LogFormat,
    node: String,
    style: Style,
}

static SETTINGS: RwLock<Settings> = RwLock::new(Settings {
    format: LogFormat::Text,
    node: String::new(),
    style: Style {
        colour: false,
        journal: false,
    },
});

/// Starts logging, or changes how it is done: the same call serves the start and a reload.
///
/// Without a format it is text on a terminal and JSON otherwise.
pub fn init(level: LevelFilter, format: Option<LogFormat>, node: &str) {
    let terminal = std::io::stderr().is_terminal();
    let by_default = match terminal {
        true => LogFormat::Text,
        false => LogFormat::Json,
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let settings = Settings {
        format: format.unwrap_or(by_default),
        node: node.into(),
        style: Style {
            colour: terminal && !no_color,
            journal: is_journal(),
        },
    };
    *SETTINGS.write().unwrap_or_else(PoisonError::into_inner) = settings;
    // All of our own passes the logger's own filter, which cannot be changed later; the maximum level of `log` can. What
    // libraries log, headers and addresses among it, is nobody's business here. That it was installed before is what
    // happens at a reload.
    let _ = env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module("reboot_coordinator", LevelFilter::Trace)
        .format(|out, record| {
            let line = render(record);
            #[cfg(test)]
            tests::hear(&line);
            out.write_all(line.as_bytes())
        })
        .try_init();
    log::set_max_level(level);
}

/// Logs what the machine has to tell.
pub fn emit(note: &Note) {
    let values = note.fields.iter().map(|(name, value)| (*name, flat(value)));
    let values: Vec<(&str, serde_json::Value)> = values.collect();
    let mut fields = vec![("event", Value::from(note.event))];
    fields.extend(values.iter().map(|(name, value)| (*name, scalar(value))));
    log::logger().log(
        &log::Record::builder()
            .level(note.level)
            .target("reboot_coordinator")
            .key_values(&fields.as_slice())
            .args(format_args!("{}", note.msg))
            .build(),
    );
}

/// A list as one text, and anything else as it is.
fn flat(value: &serde_json::Value) -> serde_json::Value {
    let Some(list) = value.as_array() else {
        return value.clone();
    };
    let texts: Vec<&str> = list.iter().filter_map(|text| text.as_str()).collect();
    texts.join(", ").into()
}

fn scalar(value: &serde_json::Value) -> Value<'_> {
    if let Some(text) = value.as_str() {
        Value::from(text)
    } else if let Some(flag) = value.as_bool() {
        Value::from(flag)
    } else if let Some(number) = value.as_u64() {
        Value::from(number)
    } else if let Some(number) = value.as_i64() {
        Value::from(number)
    } else {
        Value::from(value.as_f64().unwrap_or_default())
    }
}

fn render(record: &log::Record<'_>) -> String {
    let settings = SETTINGS.read().unwrap_or_else(PoisonError::into_inner);
    let now = rfc3339(jiff::Timestamp::now());
    match settings.format {
        LogFormat::Json => json(record, &settings.node, &now),
        LogFormat::Text => text(record, &now, settings.style),
    }
}

/// Whether standard error goes to the journal. The variable alone does not say that: it is inherited, also by a program
/// whose output goes elsewhere, so it names the device and inode that it is about.
fn is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    named
        .zip(stderr)
        .is_some_and(|(named, stderr)| named == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// For tests of what is logged.
#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;

    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    pub(super) fn hear(line: &str) {
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(line.to_owned());
    }

    /// What was logged in JSON since the last time.
    pub(crate) fn heard() -> Vec<serde_json::Value> {
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *heard).into_iter();
        lines
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }
}
