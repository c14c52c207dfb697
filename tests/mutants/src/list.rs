//! The mutants that cargo-mutants finds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::part::Part;

/// One change to one place of one file.
pub(crate) struct Mutant {
    /// From 1; 0 is no mutant.
    pub(crate) id: usize,
    /// As cargo-mutants prints it.
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) file: String,
    /// What kind of change.
    pub(crate) genre: String,
    /// The offset in bytes of what it changes.
    pub(crate) start: usize,
    /// Where that ends.
    pub(crate) end: usize,
    /// What it puts there.
    pub(crate) replacement: String,
    /// What the function returns, with the arrow; empty outside of one.
    pub(crate) returns: String,
}

/// Every mutant of a part, but for those that `.cargo/mutants.toml` leaves out, with its reasons.
pub(crate) fn list(root: &Path, part: Part) -> Result<Vec<Mutant>, String> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "--workspace"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo cannot be run: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{why}\ncargo install cargo-mutants installs what is missing"
        ));
    }
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("the list of mutants is not readable: {e}"))?;
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let mut mutants = Vec::new();
    for (index, value) in listed.iter().enumerate() {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let file = text("file");
        if !part.holds(&file) {
            continue;
        }
        if !sources.contains_key(&file) {
            let source =
                fs::read_to_string(root.join(&file)).map_err(|e| format!("{file}: {e}"))?;
            sources.insert(file.clone(), source);
        }
        let place = |side: &str| {
            let number = |field: &str| value["span"][side][field].as_u64().unwrap_or(1) as usize;
            offset(&sources[&file], number("line"), number("column"))
        };
        let returns = value["function"]["return_type"].as_str();
        mutants.push(Mutant {
            id: index + 1,
            name: text("name"),
            genre: text("genre"),
            start: place("start"),
            end: place("end"),
            replacement: text("replacement"),
            returns: returns.unwrap_or_default().to_owned(),
            file,
        });
    }
    Ok(mutants)
}

/// What `.cargo/mutants.toml` leaves out, with the reasons that stand above each.
pub(crate) fn left_out(root: &Path) -> Result<Vec<String>, String> {
    let path = root.join(".cargo/mutants.toml");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let list = text
        .lines()
        .skip_while(|line| !line.starts_with("exclude_re"));
    let lines = list.skip(1).take_while(|line| *line != "]");
    Ok(lines.map(|line| line.trim().to_owned()).collect())
}

/// Lines and columns count from 1, columns in characters.
fn offset(source: &str, line: usize, column: usize) -> usize {
    let before: usize = source
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = &source[before..];
    before
        + rest
            .char_indices()
            .nth(column - 1)
            .map_or(rest.len(), |(at, _)| at)
}
