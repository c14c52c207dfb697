//! Reads fields, lists and maps out of the tree; single values are in [`values`]. Every read that fails leaves a problem and goes on, so that one pass finds all of them.

use std::cell::{Cell, RefCell};

use super::fields::{FIELDS, elsewhere, is_in, names_in};
use super::load::public;
use super::nearest::nearest;
use super::problem::Problem;
use super::tree::{Node, Place, Value, join};

mod values;

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) problems: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// Fields proposed in place of unknown keys: their absence is the same mistake and not reported again.
    proposed: RefCell<Vec<String>>,
    /// Something could not be read, so that there is no configuration, whatever stands in its place.
    unread: Cell<bool>,
}

impl Sink {
    /// What was read of a field, or what stands in its place until the problem that this left is shown.
    pub(super) fn read<T: Default>(&self, value: Option<T>) -> T {
        self.unread.set(self.unread.get() || value.is_none());
        value.unwrap_or_default()
    }

    /// Whether all was read and nothing is wrong.
    pub(super) fn is_clean(&self) -> bool {
        !self.unread.get() && self.problems.borrow().is_empty()
    }
}

/// The whole configuration, a field of a map or an item of a list, present or not.
pub(super) struct Field<'a> {
    pub(super) node: Option<&'a Node>,
    /// Where it stands, or what it is missing from.
    at: &'a Place,
    pub(super) path: String,
    sink: &'a Sink,
}

/// How many unknown keys are compared with the known ones.
const MOST_ADVICE: usize = 100;

impl<'a> Field<'a> {
    /// The whole configuration; unknown keys are reported at once.
    pub(super) fn top(root: &'a Node, sink: &'a Sink) -> Field<'a> {
        let top = Field::new(Some(root), &root.at, String::new(), sink);
        top.map();
        top
    }

    /// `null` counts as absent. It is pointed at too: it may be what takes the value of another file away.
    fn new(node: Option<&'a Node>, around: &'a Place, path: String, sink: &'a Sink) -> Field<'a> {
        Field {
            node: node.filter(|node| !matches!(node.value, Value::Null)),
            at: node.map_or(around, |node| &node.at),
            path,
            sink,
        }
    }

    /// What stands in it under `name`; absent too when it is no map.
    pub(super) fn field(&self, name: &str) -> Field<'a> {
        let entries = match self.node.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let found = entries.iter().find(|(key, _)| key == name);
        let node = found.map(|(_, node)| node);
        Field::new(node, self.at, join(&self.path, name), self.sink)
    }

    /// What the table says of it when it is absent.
    pub(super) fn default(&self) -> &'static str {
        let path = pattern(&self.path);
        let found = FIELDS.iter().find(|(known, _)| *known == path);
        found.map_or("", |(_, default)| default.trim_matches('`'))
    }

    /// Whether it has a value.
    pub(super) fn is_set(&self) -> bool {
        self.node.is_some()
    }

    /// Whether there is something in it. An empty value, as a template writes it, asks for nothing.
    pub(super) fn is_given(&self) -> bool {
        self.node.is_some_and(|node| match &node.value {
            Value::Null => false,
            Value::Text(text) => !text.trim().is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            Value::Bool(_) | Value::Int(_) | Value::Float(..) => true,
        })
    }

    /// Whether this map is in use, as its `enabled` says. Who fills it and does not say so may have forgotten it.
    pub(super) fn enabled(&self) -> bool {
        let switch = self.field("enabled");
        if self.is_given() && !switch.is_set() {
            self.warning("is not used, as nothing in it says so; write `enabled: true` in it, or `enabled: false` to keep it for later");
        }
        switch.bool()
    }

    /// What was read of it; it is missing when nothing is given.
    pub(super) fn or_missing<T>(&self, read: Option<T>, remedy: &str) -> Option<T> {
        read.or_else(|| self.required(remedy).and(None))
    }

    /// Itself, when something is given.
    pub(super) fn required(&self, remedy: &str) -> Option<&Field<'a>> {
        match self.is_given() {
            true => Some(self),
            false => self.missing(remedy),
        }
    }

    /// What was made of it; else why not is a problem.
    pub(super) fn accept<T>(&self, made: Result<T, String>) -> Option<T> {
        made.map_err(|why| self.problem(why)).ok()
    }

    /// Reports a problem with it, for which there is no value.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.problem(message);
        None
    }

    /// Reports a problem with it.
    pub(super) fn problem(&self, message: impl Into<String>) {
        let problem = self.at.problem(&self.path, message);
        self.sink.problems.borrow_mut().push(problem);
    }

    /// Reports a doubt about it.
    pub(super) fn warning(&self, message: impl Into<String>) {
        let warning = self.at.problem(&self.path, message);
        self.sink.warnings.borrow_mut().push(warning);
    }

    /// Reports that it is missing, unless a mistyped key already stands for it.
    pub(super) fn missing<T>(&self, remedy: &str) -> Option<T> {
        if !self.sink.proposed.borrow().contains(&self.path) {
            self.problem(format!("is required; {remedy}"));
        }
        None
    }

    /// Reports that it holds something else than what is wanted.
    pub(super) fn wrong<T>(&self, node: &Node, wanted: &str) -> Option<T> {
        self.refuse(format!("must be {wanted}, not {}", self.describe(node)))
    }

    /// What it holds, in the words of a message.
    fn describe(&self, node: &Node) -> String {
        match node.value {
            Value::List(_) | Value::Map(_) => node.value.describe(),
            _ if self.is_near_secret() => "what stands there".to_owned(),
            _ => node.value.describe(),
        }
    }

    /// Whether a secret is written here where its file should be, when this is no path; or all of it is the file of a secret.
    fn is_near_secret(&self) -> bool {
        let fields = [
            "",
            "etcd_auth",
            "etcd_auth.password_file",
            "etcd_tls.key_file",
        ];
        fields.contains(&self.path.as_str())
    }

    /// The entries of the map it holds, whatever their keys are.
    pub(super) fn entries(&self) -> Option<&'a [(String, Node)]> {
        let node = self.node?;
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => self.refuse(format!(
                "must be a map of fields, not {}; write each as `name: value`",
                self.describe(node)
            )),
        }
    }

    /// Itself, when it holds a map; its keys are checked.
    pub(super) fn map(&self) -> Option<&Field<'a>> {
        let inside = pattern(&self.path);
        for (key, node) in self.entries()? {
            if is_in(&inside, key) {
                continue;
            }
            // What stands behind a colon may be a password.
            let name = key.split(':').next().unwrap_or_default();
            // Who made so many mistakes has another file in hand; each search takes its time.
            let advice = if self.sink.problems.borrow().len() >= MOST_ADVICE {
                "remove it".to_owned()
            } else if name != key {
                self.sink.proposed.borrow_mut().push(join(&self.path, name));
                format!("a space is missing behind the colon; write `{name}: value`")
            } else if let Some(name) = nearest(key, names_in(&inside)) {
                self.sink.proposed.borrow_mut().push(join(&self.path, name));
                format!("did you mean `{name}`?")
            } else if let Some(path) = elsewhere(key) {
                format!("did you mean `{path}`?")
            } else if self.path.is_empty() {
                "remove it; every field is described in docs/configuration.md".to_owned()
            } else {
                let known: Vec<&str> = names_in(&inside).collect();
                format!("known here: {}", known.join(", "))
            };
            Field::new(Some(node), &node.at, join(&self.path, name), self.sink)
                .problem(format!("unknown key; {advice}"));
        }
        Some(self)
    }

    /// What was most likely meant by a text in the place of a list.
    fn items_of(&self, text: &str) -> String {
        let items: Vec<&str> = match self.path.rsplit('.').next() {
            Some("cmd") => text.split_whitespace().collect(),
            Some("etcd_endpoints") => text.split([',', ' ']).filter(|it| !it.is_empty()).collect(),
            Some("reboot_required_detectors") if text.starts_with('/') => {
                return format!("{{type: file, path: {text}}}");
            }
            Some("reboot_required_detectors") => return format!("{{type: {text}}}"),
            _ => vec![text],
        };
        let quoted = items.iter().map(|item| format!("{item:?}"));
        quoted.collect::<Vec<_>>().join(", ")
    }

    /// The items of the list it holds; `None` if it is absent, empty or no list.
    pub(super) fn list(&self) -> Option<Vec<Field<'a>>> {
        let items = match &self.node?.value {
            Value::List(items) => items,
            Value::Text(text) => {
                let text = public(text);
                let remedy = self.items_of(&text);
                return self.refuse(format!(
                    "must be a list, not the text {text:?}; write [{remedy}]"
                ));
            }
            other => {
                let what = other.describe();
                return self.refuse(format!(
                    "must be a list, not {what}; begin each of its entries with `- `"
                ));
            }
        };
        let item = |(index, node): (usize, &'a Node)| Field {
            node: Some(node),
            at: &node.at,
            path: format!("{}[{index}]", self.path),
            sink: self.sink,
        };
        let items: Vec<_> = items.iter().enumerate().map(item).collect();
        Some(items).filter(|items| !items.is_empty())
    }
}

/// A concrete path as the table of fields writes it: indices are dropped.
fn pattern(path: &str) -> String {
    let mut parts = path.split('[');
    let before = parts.next().unwrap_or_default().to_owned();
    parts.fold(before, |pattern, part| {
        let end = part.find(']').unwrap_or(part.len());
        pattern + "[" + &part[end..]
    })
}
