//! A field read as one value of a kind: text, a path, `true` or `false`.

use std::path::PathBuf;

use super::Field;
use crate::config::tree::Value;

/// What other programs would replace by a name or a value.
const PLACEHOLDERS: &[&str] = &["%H", "%h", "%l", "%m", "%i", "%n", "${", "$(", "{{"];

impl<'a> Field<'a> {
    /// Text; whole numbers count as text, empty text as absent. A placeholder that nobody fills in is refused.
    pub(in crate::config) fn text(&self) -> Option<String> {
        let text = self.any_text()?;
        match PLACEHOLDERS.iter().find(|mark| text.contains(**mark)) {
            Some(mark) => self.refuse(format!(
                "{mark:?} is not replaced here, only %H and %l in node_name; write out what is meant"
            )),
            None => Some(text),
        }
    }

    /// [`Field::text`], or what holds without one.
    pub(in crate::config) fn text_or_default(&self) -> String {
        self.text().unwrap_or_else(|| self.default().to_owned())
    }

    /// As [`Field::text`], in which any character may stand.
    pub(in crate::config) fn any_text(&self) -> Option<String> {
        let node = self.node?;
        let advice = match &node.value {
            Value::Text(text) if text.trim().is_empty() => return None,
            Value::Text(text) if text.contains('\0') => {
                return self.refuse("must not contain a NUL character; remove it");
            }
            Value::Text(text) => return Some(text.clone()),
            Value::Int(number) => return Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Float(..) => "put it in quotes",
            Value::List(_) => "write one text, without brackets and dashes",
            Value::Map(_) => "write one text, in quotes if a colon belongs to it",
        };
        self.refuse(format!(
            "must be text, not {}; {advice}",
            self.describe(node)
        ))
    }

    /// A text, a number or a truth value, as JSON has it.
    pub(in crate::config) fn scalar(&self) -> Option<serde_json::Value> {
        let node = self.node?;
        // JSON knows numbers as they are read by everybody: exactly up to 2^53.
        match &node.value {
            Value::Text(text) => Some(text.as_str().into()),
            Value::Bool(value) => Some((*value).into()),
            Value::Int(value) if value.unsigned_abs() <= 1 << 53 => {
                i64::try_from(*value).ok().map(serde_json::Value::from)
            }
            Value::Float(value, _) if value.abs() < 9e15 => Some((*value).into()),
            Value::Int(_) | Value::Float(..) => self.refuse(format!(
                "{} is too large a number to be compared; use one up to 9007199254740992, or write a text in quotes",
                node.value.describe()
            )),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong(node, "a text, a number, true or false")
            }
        }
    }

    /// The text it holds; unlike [`Field::text`] other values are no problem.
    pub(in crate::config) fn plain_text(&self) -> Option<&'a str> {
        match &self.node?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list of texts, `None` if it is absent or empty. Items that are no text are reported and left out.
    pub(in crate::config) fn texts(&self) -> Option<Vec<(Field<'a>, String)>> {
        let items = self.list()?;
        let text = |item: Field<'a>| {
            let text = match (&item.node?.value, item.any_text()) {
                (_, Some(text)) => text,
                // An empty argument of a command means something, unlike an empty field.
                (Value::Text(text), None) if !text.contains('\0') => text.clone(),
                (_, None) => return None,
            };
            Some((item, text))
        };
        Some(items.into_iter().filter_map(text).collect())
    }

    /// An absolute path.
    pub(in crate::config) fn absolute_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if let Some(name) = text.strip_prefix("%d/") {
            return Some(credentials().join(name));
        }
        match text.starts_with('/') {
            true => Some(PathBuf::from(text)),
            false if self.is_near_secret() => {
                self.refuse("must be the absolute path of a file; begin it with /")
            }
            false => self.refuse(format!(
                "{text:?} must be an absolute path; begin it with /"
            )),
        }
    }

    /// [`Field::absolute_path`], or what holds without one.
    pub(in crate::config) fn path_or_default(&self) -> PathBuf {
        let path = self.absolute_path();
        path.unwrap_or_else(|| self.default().into())
    }

    /// `true` or `false`, which holds when it is absent. Other spellings are refused, since the parser cannot tell `no` from `"no"`.
    pub(in crate::config) fn bool(&self) -> bool {
        let Some(node) = self.node else {
            return false;
        };
        if let Value::Bool(value) = node.value {
            return value;
        }
        let meant = match &node.value {
            Value::Text(text) => text.trim().to_ascii_lowercase(),
            other => other.describe(),
        };
        let remedy = match meant.as_str() {
            "true" | "yes" | "y" | "on" | "1" => "write true, without quotes",
            "false" | "no" | "n" | "off" | "0" => "write false, without quotes",
            _ => "write one of them, without quotes",
        };
        self.problem(format!(
            "must be true or false, not {}; {remedy}",
            node.value.describe()
        ));
        false
    }
}

/// The folder of systemd's credentials, `%d` in units. Outside of the unit it is where that of the running daemon is.
fn credentials() -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY").map_or_else(
        || PathBuf::from("/run/credentials/reboot-coordinator.service"),
        PathBuf::from,
    )
}
