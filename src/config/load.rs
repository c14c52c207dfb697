//! Reads the configuration file and the drop-ins beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Config;
use super::host::Host;
use super::problem::{Problem, Problems};
use super::reader::Sink;
use super::syntax::SyntaxError;
use super::tree::{Node, Place, Value, merge, refuse_twice};
use super::validate;
use super::yaml;
use crate::trust;

/// No configuration is longer; a larger file is the wrong file.
const MAX_BYTES: u64 = 128 * 1024;

/// A valid configuration, with what is doubtful about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Doubts that do not keep it from being used.
    pub warnings: Vec<Problem>,
    /// The files it was read from, in the order in which they were merged.
    pub files: Vec<PathBuf>,
}

/// The content of the files, and what it means before anything is looked up on the host.
pub(super) struct Read {
    contents: Vec<(PathBuf, Vec<u8>)>,
    tree: Node,
}

/// What was read last. Before each commit the files are read again, and hardly ever say something else.
static LAST: Last = Mutex::new(None);

pub(super) type Last = Mutex<Option<Arc<Read>>>;

/// Loads `path` and `config.d/*.yaml` beside it, which are merged over it in name order: maps key by key, anything else replaced.
///
/// # Errors
/// Everything that is wrong, at once. Only when a file cannot be read or is no YAML, that is reported alone, since the rest
/// cannot be judged.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    load_on(path, &Host::this(), &LAST)
}

/// [`load`], on a host that tests may make up.
pub(super) fn load_on(path: &Path, host: &Host, last: &Last) -> Result<Loaded, Problems> {
    let sink = Sink::default();
    let mut files = vec![path.to_path_buf()];
    let mut unreadable = Vec::new();
    match drop_ins(path, &sink) {
        Ok(more) => files.extend(more),
        Err(problem) => unreadable.push(problem),
    }
    let mut contents = Vec::new();
    let remedy = "create it or name another with --config";
    for file in &files {
        match trust::read(file, MAX_BYTES) {
            Ok(bytes) => contents.push((file.clone(), bytes)),
            Err(error) => unreadable.push(unusable(file, error, remedy)),
        }
    }
    let known = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let tree = match known.filter(|known| known.contents == contents) {
        Some(known) => known,
        None => {
            let tree = merged(path, &contents, &sink, &mut unreadable);
            Arc::new(Read { contents, tree })
        }
    };
    if !unreadable.is_empty() {
        return Err(Problems(unreadable));
    }
    if sink.problems.borrow().is_empty() {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tree));
    }
    let Some(config) = validate::config(&tree.tree, host, &sink) else {
        return Err(Problems(sink.problems.into_inner()));
    };
    Ok(Loaded {
        config,
        warnings: sink.warnings.into_inner(),
        files,
    })
}

/// What the files hold together. What is no YAML, or is no map in a drop-in, is left out, and why is told.
fn merged(
    path: &Path,
    contents: &[(PathBuf, Vec<u8>)],
    sink: &Sink,
    unreadable: &mut Vec<Problem>,
) -> Node {
    let mut tree = Node {
        at: Place::file(path),
        value: Value::Null,
    };
    for (file, bytes) in contents {
        match parse(file, bytes, sink) {
            Ok(node) if matches!(node.value, Value::Null) => {}
            Ok(node) if file != path && !matches!(node.value, Value::Map(_)) => {
                let what = node.value.describe();
                let message = format!("must hold fields, not {what}; write name: value");
                unreadable.push(node.at.problem("", message));
            }
            // The first file with content begins the tree.
            Ok(node) if matches!(tree.value, Value::Null) => tree.value = node.value,
            Ok(node) => merge(&mut tree, node),
            Err(problem) => unreadable.push(problem),
        }
    }
    tree
}

/// How names end that were meant to be read. What package managers and editors leave (`.dpkg-old`, `.rpmsave`, `.bak`, `~`) was not.
const MISTAKEN: [&str; 6] = [".yaml", ".yml", ".json", ".conf", ".yaml.txt", ".yml.txt"];

/// The drop-in files, in name order. A file that looks like one and is not taken is worth a warning.
fn drop_ins(config: &Path, sink: &Sink) -> Result<Vec<PathBuf>, Problem> {
    let folder = config.parent().unwrap_or(Path::new("")).join("config.d");
    let remedy = "make it readable or remove it";
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // A link that leads nowhere was meant to lead to drop-ins.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_symlink() => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unusable(&folder, error, remedy)),
    };
    trust::folder(&folder).map_err(|error| unusable(&folder, error, remedy))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unusable(&folder, error, remedy))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".yaml") {
            found.push(path);
        } else if MISTAKEN
            .iter()
            .any(|end| name.to_lowercase().ends_with(end))
        {
            let message = "is not read, since its name does not end in .yaml; rename it";
            let warning = Place::file(&path).problem("", message);
            sink.warnings.borrow_mut().push(warning);
        }
    }
    found.sort();
    Ok(found)
}

fn parse(path: &Path, bytes: &[u8], sink: &Sink) -> Result<Node, Problem> {
    let at = Place::file(path);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let message = "is not text in UTF-8; save the file as UTF-8";
        at.in_line(line).problem("", message)
    })?;
    // An editor's byte order mark is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut node = yaml::parse(text, &at).map_err(|error| syntax(&at, text, &error))?;
    refuse_twice(&mut node, "", &mut sink.problems.borrow_mut());
    yaml::merge_keys(&mut node);
    Ok(node)
}

fn syntax(at: &Place, text: &str, error: &SyntaxError) -> Problem {
    let Some((line, column)) = error.place else {
        return at.problem("", format!("is not valid YAML: {}", error.message));
    };
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let mut shown = public(shown.trim());
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    let why = public(&error.message);
    let message = format!("column {column}: is not valid YAML: {why}; the line reads: {shown}");
    at.in_line(line).problem("", message)
}

/// How many characters of a line are shown.
const SHOWN: usize = 160;

/// Words behind which a secret may stand, unless they are of the name of a file and a path, a tag or a template is there.
const TELLING: &str = "key_file password passwd secret token api_key apikey authorization bearer";

/// A line that is no YAML, a text in a wrong place, or advice made of it, without what may be a secret in it: what an address carries of
/// users and queries, and what follows a word that says so.
pub(super) fn public(line: &str) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    // A user, a colon and a password, which may hold whatever else ends an address.
    let colon = |(before, _): &(&str, &str)| {
        let mut colons = before.match_indices(':').map(|(at, _)| at);
        colons.find(|at| before[at + 1..].starts_with(|c: char| !c.is_whitespace()))
    };
    if let Some(parts) = line.rsplit_once('@')
        && let Some(at) = colon(&parts)
    {
        let begins = |c: char| c.is_whitespace() || "\"'[{,".contains(c);
        let start = line[..at].trim_end_matches(|c| !begins(c)).len();
        shown.extend([&line[..start], "…@"]);
        rest = parts.1;
    }
    let ends = |c: char| c.is_whitespace() || "\"',]}".contains(c);
    for word in rest.split_inclusive(ends) {
        let (text, end) = word.split_at(word.find(ends).unwrap_or(word.len()));
        match text.find(['?', '#']).filter(|at| *at > 0) {
            Some(at) => shown.extend([&text[..at], "…", end]),
            None => shown.push_str(word),
        }
    }
    let lower = shown.to_ascii_lowercase();
    let end = |word: &str| {
        let mut found = lower.match_indices(word).map(|(at, _)| at + word.len());
        found.find(|end| {
            let behind = &lower[*end..];
            let file = behind.strip_prefix("_file");
            let file = file.or(Some(behind).filter(|_| word.ends_with("_file")));
            let value = file.map(|it| it.trim_start_matches([':', ' ', '"', '\'']));
            value.is_none_or(|value| !value.is_empty() && !value.starts_with(['/', '%', '!', '{']))
        })
    };
    if let Some(end) = TELLING.split(' ').filter_map(end).min() {
        shown.truncate(end);
        shown.push_str(" …");
    }
    shown
}

fn unusable(path: &Path, error: io::Error, remedy: &str) -> Problem {
    let remedy = match error.kind() {
        _ if path.is_symlink() => {
            "what the link names must be there and readable; correct or remove the link"
        }
        io::ErrorKind::PermissionDenied => "make it readable, or be root",
        _ => remedy,
    };
    let message = trust::words(error, |error| format!("cannot be read: {error}; {remedy}"));
    // The place says already which file it is.
    let own = message.strip_prefix(&format!("{} ", path.display()));
    Place::file(path).problem("", own.unwrap_or(&message))
}
