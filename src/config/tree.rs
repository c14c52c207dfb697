//! The merged configuration tree: YAML values that remember the file and line they come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lines::Lines;
use super::problem::Problem;
use super::yaml::Yaml;

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

    /// A problem here.
    pub(super) fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: PathBuf::from(&*self.file),
            line: self.line,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// A value with its place. Keys of a map are unique.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
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
            Value::Text(text) => format!("the text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Gives every value of one file its place. A duplicate key is a problem; its first value is kept, so that it causes no second one.
pub(super) fn locate(yaml: Yaml, file: &Path, lines: &Lines, problems: &mut Vec<Problem>) -> Node {
    let mut locator = Locator {
        file: Arc::from(file),
        lines,
        problems,
    };
    locator.node(yaml, "")
}

struct Locator<'a> {
    file: Arc<Path>,
    lines: &'a Lines,
    problems: &'a mut Vec<Problem>,
}

impl Locator<'_> {
    fn node(&mut self, yaml: Yaml, path: &str) -> Node {
        let at = Place {
            file: self.file.clone(),
            line: self.lines.find(path, 0),
        };
        let value = match yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(value),
            Yaml::Int(value) => Value::Int(value),
            Yaml::Float(value, written) => Value::Float(value, written),
            Yaml::Text(text) => Value::Text(text),
            Yaml::List(items) => Value::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| self.node(item, &format!("{path}[{index}]")))
                    .collect(),
            ),
            Yaml::Map(entries) => Value::Map(self.entries(entries, path)),
        };
        Node { at, value }
    }

    fn entries(&mut self, entries: Vec<(String, Yaml)>, path: &str) -> Vec<(String, Node)> {
        let mut unique: Vec<(String, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (key, yaml) in entries {
            let path = join(path, &key);
            let times = seen.entry(key.clone()).or_default();
            let earlier = *times;
            *times += 1;
            if earlier == 0 {
                let node = self.node(yaml, &path);
                unique.push((key, node));
                continue;
            }
            let at = Place {
                file: self.file.clone(),
                line: self.lines.find(&path, earlier),
            };
            let first = self
                .lines
                .find(&path, 0)
                .map_or(String::new(), |line| format!(" in line {line}"));
            self.problems.push(at.problem(
                &path,
                format!("is written twice, first{first}; keep one of them"),
            ));
        }
        unique
    }
}

/// Lays `over` on `base`: maps are merged key by key, anything else is replaced.
pub(super) fn merge(base: Node, over: Node) -> Node {
    match (base, over) {
        (
            Node {
                at,
                value: Value::Map(mut below),
            },
            Node {
                value: Value::Map(above),
                ..
            },
        ) => {
            for (key, node) in above {
                match below.iter().position(|(known, _)| *known == key) {
                    Some(index) => {
                        let (key, old) = below.remove(index);
                        below.insert(index, (key, merge(old, node)));
                    }
                    None => below.push((key, node)),
                }
            }
            Node {
                at,
                value: Value::Map(below),
            }
        }
        (_, over) => over,
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
