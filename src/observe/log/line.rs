//! A record as a line. Pure.

use std::fmt::Write;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use crate::escape::{is_hidden, line};

/// The longest line. journald cuts lines of more than 48 KiB in two, and half a JSON object is of no use.
pub(crate) const LINE_LIMIT: usize = 40 * 1024;

/// The longest value, as written: enough of a script's output to see why it failed.
pub(crate) const VALUE_LIMIT: usize = 8 * 1024;

/// Room kept for the note that something is missing.
const RESERVE: usize = 64;

/// What a line of text looks like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Colours, for terminals.
    pub(crate) colour: bool,
    /// A level in front that journald understands.
    pub(crate) journal: bool,
}

/// One JSON object: `ts`, `level`, `node`, `event`, `msg`, then the event's own fields in their order.
///
/// A field with a name that is taken gets underscores behind it. `"cut":true` says that fields are missing.
pub(crate) fn json(record: &Record<'_>, node: &str, ts: &str) -> String {
    let (event, others) = fields(record);
    let text = |name: &str, text: String| (name.to_string(), (text, false));
    let first = [
        text("ts", ts.into()),
        text("level", record.level().as_str().to_ascii_lowercase()),
        text("node", node.into()),
        text("event", event),
        text("msg", record.args().to_string()),
    ];
    let mut out = String::new();
    let mut names: Vec<String> = Vec::new();
    for (mut name, field) in first.into_iter().chain(others) {
        while names.contains(&name) {
            name.push('_');
        }
        let pair = format!("{}:{}", quoted(&name), as_json(&field));
        let end = if names.is_empty() { '{' } else { ',' };
        if out.len() + pair.len() > LINE_LIMIT - RESERVE {
            out.push_str(r#","cut":true"#);
            break;
        }
        out.push(end);
        out.push_str(&pair);
        names.push(name);
    }
    out + "}\n"
}

/// `TIME LEVEL message event=… key=value`, with everything escaped that a terminal or a reader of lines would take for
/// something else.
pub(crate) fn text(record: &Record<'_>, ts: &str, style: Style) -> String {
    let (event, others) = fields(record);
    let mut out = String::new();
    let (priority, colour) = marks(record.level());
    if style.journal {
        let _ = write!(out, "<{priority}>");
    }
    let (colour, plain) = match style.colour {
        true => (colour, "\x1b[0m"),
        false => ("", ""),
    };
    let message = escaped(&shortened(&record.args().to_string(), text_cost));
    let level = record.level().as_str().to_ascii_lowercase();
    let _ = write!(out, "{ts} {colour}{level:<5}{plain} {message}");
    for (name, field) in std::iter::once(("event".to_string(), (event, false))).chain(others) {
        let pair = format!(" {}={}", escaped(&name), as_text(&field));
        if out.len() + pair.len() > LINE_LIMIT - RESERVE {
            out.push_str(" cut=true");
            break;
        }
        out.push_str(&pair);
    }
    out + "\n"
}

/// The name of the event, which is the module when it has none, and the other key-values.
fn fields(record: &Record<'_>) -> (String, Vec<(String, Field)>) {
    let mut collect = Collect(Vec::new());
    // Nothing in the visitor fails.
    let _ = record.key_values().visit(&mut collect);
    let mut fields = collect.0;
    let named = fields
        .iter()
        .position(|(name, (_, literal))| name == "event" && !literal);
    let event = match named.map(|at| fields.remove(at)) {
        Some((_, (event, _))) => event,
        None => record.target().to_string(),
    };
    (event, fields)
}

/// A value, and whether JSON writes it as it is: a number or a boolean.
type Field = (String, bool);

fn field(value: &Value<'_>) -> Field {
    let whole = value.to_i128().is_some() || value.to_u128().is_some();
    // JSON has no infinity and no NaN.
    let number = whole || value.to_f64().is_some_and(f64::is_finite);
    (value.to_string(), number || value.to_bool().is_some())
}

fn as_json((text, literal): &Field) -> String {
    match literal {
        true => text.clone(),
        false => quoted(&shortened(text, json_cost)),
    }
}

fn as_text((text, literal): &Field) -> String {
    let short = shortened(text, text_cost);
    let special = |c: char| c.is_whitespace() || needs_escape(c) || c == '=';
    match short.is_empty() || short.contains(special) {
        true if !literal => format!("\"{}\"", escaped(&short)),
        _ => short,
    }
}

/// Collects the fields of a record.
struct Collect(Vec<(String, Field)>);

impl<'kvs> VisitSource<'kvs> for Collect {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.as_str().into(), field(&value)));
        Ok(())
    }
}

/// As much of the text as fits into [`VALUE_LIMIT`] bytes when written, with a note of how much is missing.
fn shortened(text: &str, cost: fn(char) -> usize) -> String {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += cost(c);
        if used > VALUE_LIMIT {
            return format!("{}… ({} more bytes)", &text[..at], text.len() - at);
        }
    }
    text.into()
}

/// At least the bytes that a character takes in a JSON string.
fn json_cost(c: char) -> usize {
    if is_hidden(c) {
        6 * c.len_utf16()
    } else {
        c.len_utf8() + usize::from(matches!(c, '"' | '\\'))
    }
}

/// At least the bytes that a character takes in a line of text.
fn text_cost(c: char) -> usize {
    if needs_escape(c) {
        c.escape_default().len()
    } else {
        c.len_utf8()
    }
}

fn quoted(text: &str) -> String {
    // journald takes a line with C1 characters for a blob and hides it.
    line(&serde_json::to_string(text).expect("a string can always be written as JSON"))
}

/// Control characters end lines and drive terminals; the directional ones reorder what people read.
fn needs_escape(c: char) -> bool {
    is_hidden(c) || matches!(c, '"' | '\\')
}

fn escaped(text: &str) -> String {
    let escape = |c: char| match needs_escape(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Its number for syslog, and its colour.
fn marks(level: Level) -> (u8, &'static str) {
    match level {
        Level::Error => (3, "\x1b[31m"),
        Level::Warn => (4, "\x1b[33m"),
        Level::Info => (6, "\x1b[32m"),
        Level::Debug | Level::Trace => (7, "\x1b[2m"),
    }
}

#[cfg(test)]
mod tests;
