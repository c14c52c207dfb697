//! The documents, held beside the program: what they tell a reader to type works, and what they name exists.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

mod commands;
mod interface;
mod links;
mod monitoring;
mod names;
mod packaging;
mod prose;
mod secure;
mod systemd_unit;
mod typed;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document for people, relative to the root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["docs", "crates/etcd-rs-sync", ".github"] {
        collect(&root().join(folder), "md", &mut found);
    }
    let top = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    found.extend(top.filter(|path| path.extension().is_some_and(|it| it == "md")));
    let relative = found
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_owned());
    relative.collect()
}

/// The files of a kind in a folder and below it, in order.
fn collect(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, kind, found);
        } else if path.extension().is_some_and(|it| it == kind) {
            found.push(path);
        }
    }
}

/// A block of code: the language that stands at its fence, the number of its first line, and its lines. Indented blocks
/// have no language.
struct Block {
    language: String,
    line: usize,
    lines: Vec<String>,
}

/// The blocks of code of a document, fenced or indented after an empty line.
fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut fenced, mut indented, mut empty) = (false, false, true);
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fenced = !fenced;
            if fenced {
                let (language, lines) = (language.trim().to_owned(), Vec::new());
                let line = number + 2;
                found.push(Block {
                    language,
                    line,
                    lines,
                });
            }
        } else if fenced {
            found.last_mut().unwrap().lines.push(line.to_owned());
        } else if line.starts_with("    ") && (empty || indented) {
            if !indented {
                let (language, lines) = (String::new(), Vec::new());
                let line = number + 1;
                found.push(Block {
                    language,
                    line,
                    lines,
                });
            }
            indented = true;
            found.last_mut().unwrap().lines.push(line[4..].to_owned());
        } else if !line.is_empty() {
            indented = false;
        }
        empty = line.is_empty();
    }
    found
}
