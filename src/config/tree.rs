//! The merged configuration tree: YAML values that remember the file and line they come from.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::load::public;
use super::problem::Problem;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) line: Option<usize>,
}

impl Place {
    /// A file as a whole.
    pub(super) fn file(file: &Path) -> Place {
        Place {
            file: Arc::from(file),
            line: None,
        }
    }

    /// A line of the same file.
    pub(super) fn in_line(&self, line: usize) -> Place {
        let mut place = self.clone();
        place.line = Some(line);
        place
    }

    /// A problem here.
    pub(super) fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.display().to_string(),
            line: self.line,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// A value with its place. Keys of a map are unique.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    /// Any other number, and how it is written.
    Float(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Value {
    /// What it is, in the words of a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(_, written) => written.clone(),
            Value::Text(text) => format!("the text {:?}", public(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// A key that a map of one file has twice is a problem; its first value is kept, so that it causes no second one.
pub(super) fn refuse_twice(node: &mut Node, path: &str, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                refuse_twice(item, &format!("{path}[{index}]"), problems);
            }
        }
        Value::Map(entries) => {
            let mut seen = HashMap::new();
            entries.retain_mut(|(key, node)| {
                let path = join(path, key);
                if let Some(Some(first)) = seen.get(key) {
                    let message =
                        format!("is written twice, first in line {first}; keep one of them");
                    problems.push(node.at.problem(&path, message));
                    return false;
                }
                seen.insert(key.clone(), node.at.line);
                refuse_twice(node, &path, problems);
                true
            });
        }
        _ => {}
    }
}

/// Lays `over` on `base`: maps are merged key by key, anything else is replaced.
pub(super) fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            for (key, node) in above {
                match below.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, old)) => merge(old, node),
                    None => below.push((key, node)),
                }
            }
        }
        (_, value) => *base = Node { at: over.at, value },
    }
}

/// The path of `key` inside of `parent`.
pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}
