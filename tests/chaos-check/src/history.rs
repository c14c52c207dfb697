//! etcd's history: every put and delete below one prefix, in the order of the revisions.

use std::fmt;

use serde_json::Value;

/// A put or a delete.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) revision: i64,
    pub(crate) key: String,
    pub(crate) deleted: bool,
    /// The revision at which the key came into being; of a delete, 0.
    pub(crate) create: i64,
    /// 0 for none.
    pub(crate) lease: i64,
    pub(crate) value: String,
}

/// Reads one event a line, and insists on their order: a history that was cut or mixed up must not be judged.
pub(crate) fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut events: Vec<Event> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let event = event(line).map_err(|why| format!("history, line {}: {why}", index + 1))?;
        if events
            .last()
            .is_some_and(|before| before.revision > event.revision)
        {
            return Err(format!(
                "history, line {}: revision {} comes after a later one",
                index + 1,
                event.revision
            ));
        }
        events.push(event);
    }
    Ok(events)
}

fn event(line: &str) -> Result<Event, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let number = |field: &str| {
        value[field]
            .as_i64()
            .ok_or_else(|| format!("no number {field}"))
    };
    let text = |field: &str| {
        let text = value[field].as_str();
        text.map(str::to_owned)
            .ok_or_else(|| format!("no text {field}"))
    };
    Ok(Event {
        revision: number("revision")?,
        key: text("key")?,
        deleted: value["deleted"].as_bool().ok_or("no flag deleted")?,
        create: number("create")?,
        lease: number("lease")?,
        value: text("value")?,
    })
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd revision {}: ", self.revision)?;
        if self.deleted {
            return write!(f, "{} deleted", self.key);
        }
        write!(
            f,
            "{} created at {}, lease {}: {}",
            self.key, self.create, self.lease, self.value
        )
    }
}
