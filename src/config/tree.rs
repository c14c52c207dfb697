//! The merged configuration tree: YAML values that remember the file and line they come from.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::lines::Lines;
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

/// Gives every value of one file its line. A duplicate key is a problem; its first value is kept, so that it causes no second one.
pub(super) fn locate(node: &mut Node, path: &str, lines: &Lines, problems: &mut Vec<Problem>) {
    node.at.line = lines.find(path, 0);
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                locate(item, &format!("{path}[{index}]"), lines, problems);
            }
        }
        Value::Map(entries) => {
            let mut seen: HashMap<String, usize> = HashMap::new();
            entries.retain_mut(|(key, node)| {
                let path = join(path, key);
                let times = seen.entry(key.clone()).or_default();
                *times += 1;
                if *times == 1 {
                    locate(node, &path, lines, problems);
                    return true;
                }
                node.at.line = lines.find(&path, *times - 1);
                let first = lines.find(&path, 0);
                let first = first.map_or(String::new(), |line| format!(" in line {line}"));
                let message = format!("is written twice, first{first}; keep one of them");
                problems.push(node.at.problem(&path, message));
                false
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
