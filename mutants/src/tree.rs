//! The package that is mutated: `core` and `lock` with the simulation as one crate, so that a single binary holds every test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::list::Mutant;
use crate::weave::weave;

/// Tests of the simulation that are quick. Those of `core` and `lock` come with them.
const TESTS: [&str; 4] = ["regressions", "scenarios", "machine", "operators"];

/// What the one crate begins with; the names of the two crates that it is made of still work.
const HEAD: &str = "\
#![allow(warnings)]
extern crate self as reboot_coordinator;
extern crate self as simulation;
pub mod core;
pub mod lock;
#[cfg(test)]
mod histories;
";

/// Whether this mutant is the one that is on.
const SWITCH: &str = "
/// Whether this mutant is the one that is on.
pub fn mutant(id: usize) -> bool {
    use std::sync::OnceLock;
    static ON: OnceLock<usize> = OnceLock::new();
    let on = ON.get_or_init(|| std::env::var(\"MUTANT\").ok().and_then(|text| text.parse().ok()).unwrap_or(0));
    *on == id
}
";

/// A copy of the sources below `target/mutants`.
pub(crate) struct Tree {
    root: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Tree {
    pub(crate) fn lay(root: &Path) -> Result<Tree, String> {
        let folder = root.join("target/mutants/tree");
        let tree = Tree {
            root: root.to_owned(),
            folder,
        };
        let source = tree.folder.join("src");
        let _ = fs::remove_dir_all(&source); // there may be none
        copy(&root.join("crates/simulation/src"), &source)?;
        for part in ["core", "lock"] {
            copy(&root.join("src").join(part), &source.join(part))?;
        }
        let mut lib = HEAD.to_owned();
        for test in TESTS {
            let file = root.join(format!("crates/simulation/tests/{test}.rs"));
            if file.exists() {
                let to = source.join(format!("{test}.rs"));
                fs::copy(&file, to).map_err(|e| format!("{}: {e}", file.display()))?;
                lib += &format!("#[cfg(test)]\nmod {test};\n");
            }
        }
        write(
            &source.join("histories.rs"),
            include_str!("histories.rs.in"),
        )?;
        let simulation = read(&source.join("lib.rs"))?;
        let rest = simulation
            .lines()
            .filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
        lib += &rest.collect::<Vec<_>>().join("\n");
        lib += SWITCH;
        write(&source.join("lib.rs"), &lib)?;
        let _ = fs::remove_file(source.join("main.rs")); // the command line of the simulation is not needed
        write(
            &tree.folder.join("Cargo.toml"),
            include_str!("tree.toml.in"),
        )?;
        fs::copy(root.join("Cargo.lock"), tree.folder.join("Cargo.lock"))
            .map_err(|e| format!("Cargo.lock: {e}"))?;
        Ok(tree)
    }

    /// Puts the mutants into the files, but for these.
    pub(crate) fn weave(&self, mutants: &[Mutant], out: &BTreeSet<usize>) -> Result<(), String> {
        let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
        for file in files {
            let here: Vec<&Mutant> = mutants
                .iter()
                .filter(|mutant| mutant.file == file && !out.contains(&mutant.id))
                .collect();
            let source = read(&self.root.join(file))?;
            write(&self.folder.join(file), &weave(&source, &here))?;
        }
        Ok(())
    }

    /// Compiles; the mutants that the compiler complains about, or the test binary.
    pub(crate) fn compile(&self, check: bool) -> Result<Result<PathBuf, BTreeSet<usize>>, String> {
        let how = if check {
            &["check"][..]
        } else {
            &["test", "--no-run"]
        };
        let output = Command::new("cargo")
            .args(how)
            .args(["--lib", "--profile", "mutants", "--message-format=json"])
            .arg("--target-dir")
            .arg(self.root.join("target/mutants/build"))
            .args(if check { &["--tests"][..] } else { &[] })
            .current_dir(&self.folder)
            .output()
            .map_err(|e| format!("cargo cannot be run: {e}"))?;
        let mut binary = None;
        let mut complaints = BTreeSet::new();
        let mut words = String::new();
        for line in output.stdout.split(|b| *b == b'\n') {
            let Ok(message) = serde_json::from_slice::<Value>(line) else {
                continue;
            };
            if let Some(path) = message["executable"].as_str() {
                binary = Some(PathBuf::from(path));
            }
            let diagnostic = &message["message"];
            if diagnostic["level"] == "error" {
                words += diagnostic["rendered"].as_str().unwrap_or_default();
                self.blame(diagnostic, &mut complaints)?;
            }
        }
        if output.status.success() {
            return Ok(Ok(binary.unwrap_or_default()));
        }
        if complaints.is_empty() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the tree does not compile:\n{words}\n{why}"));
        }
        Ok(Err(complaints))
    }

    /// The mutants that stand before the places an error names.
    fn blame(&self, diagnostic: &Value, blamed: &mut BTreeSet<usize>) -> Result<(), String> {
        for span in diagnostic["spans"].as_array().into_iter().flatten() {
            let (Some(file), Some(start)) =
                (span["file_name"].as_str(), span["byte_start"].as_u64())
            else {
                continue;
            };
            let path = self.folder.join(file);
            if span["is_primary"] != true || !path.starts_with(self.folder.join("src")) {
                continue;
            }
            let text = read(&path)?;
            // The question itself may be what is wrong.
            let after = "(if crate::mutant(1000)".len();
            let end = text.floor_char_boundary(start as usize + after);
            let id = text[..end]
                .rsplit_once("crate::mutant(")
                .map(|(_, rest)| rest);
            let id = id.and_then(|rest| rest.split(')').next()?.parse::<usize>().ok());
            blamed.extend(id);
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let error = |e: std::io::Error| format!("{}: {e}", from.display());
    fs::create_dir_all(to).map_err(error)?;
    for entry in fs::read_dir(from).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(error)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
