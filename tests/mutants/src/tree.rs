//! The package that is mutated: a copy of the sources of a part, as one crate, so that a single binary holds every test.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::list::Mutant;
use crate::part::Part;
use crate::weave::{Constants, constants, weave};

/// Tests of the simulation that say nothing of `core` and `lock`, or that the histories come with in a shorter form. Every other
/// comes along, and those of `core` and `lock` with their sources.
const OTHER_TESTS: [&str; 7] = [
    "crash_points",
    "differential",
    "etcd",
    "headline",
    "histories",
    "late",
    "planted",
];

/// What the one crate begins with; the names of the two crates that it is made of still work.
const HEAD: &str = "\
#![allow(warnings)]
extern crate self as reboot_coordinator;
extern crate self as simulation;
pub mod core;
mod identity;
pub mod lock;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod it;
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

/// The sources, to be put below `target/mutants/tree`.
pub(crate) struct Tree {
    pub(crate) folder: PathBuf,
    /// What is copied from.
    package: PathBuf,
    target: PathBuf,
    part: Part,
    /// By path in the folder, without a mutant in them.
    plain: BTreeMap<PathBuf, String>,
}

impl Tree {
    pub(crate) fn of(root: &Path, part: Part) -> Result<Tree, String> {
        let mut plain = match part {
            Part::Core => core(root)?,
            Part::Driver => driver(root)?,
            Part::Client => client(root)?,
        };
        plain.insert("Cargo.lock".into(), read(&root.join("Cargo.lock"))?);
        let target = root.join("target/mutants").join(part.name());
        Ok(Tree {
            folder: target.join("tree"),
            package: root.join(part.folder()),
            target,
            part,
            plain,
        })
    }

    /// Lays the tree with the mutants in it, but for those that are out. Which are in, and what tells this tree from any other.
    pub(crate) fn lay(
        &self,
        mutants: &[Mutant],
        out: &BTreeSet<usize>,
    ) -> Result<(BTreeSet<usize>, u64), String> {
        let mut files = self.plain.clone();
        let mut placed = BTreeSet::new();
        let of = |path: &Path| -> Vec<&Mutant> {
            let file = self.part.folder().join(path);
            let here =
                |mutant: &&Mutant| Path::new(&mutant.file) == file && !out.contains(&mutant.id);
            mutants.iter().filter(here).collect()
        };
        let mut found = Constants::new();
        for (path, source) in files.iter().filter(|(path, _)| self.is_mutated(path)) {
            constants(source, &of(path), &mut found);
        }
        for (path, source) in files.iter_mut().filter(|(path, _)| self.is_mutated(path)) {
            let here = of(path);
            *source = weave(source, &here, &found);
            placed.extend(source.split("crate::mutant(").skip(1).filter_map(number));
        }
        if self.part != Part::Core {
            self.link()?;
        }
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        // What is the same stays as it is, so that it is not compiled again.
        let mut stale = BTreeMap::new();
        if self.folder.join("src").exists() {
            read_all(&self.folder.join("src"), Path::new("src"), &mut stale)?;
        }
        for path in stale.keys().filter(|path| !files.contains_key(*path)) {
            let _ = fs::remove_file(self.folder.join(path)); // the tree compiles with it as well
        }
        for (path, text) in &files {
            if fs::read_to_string(self.folder.join(path)).ok().as_ref() != Some(text)
                && !(path == Path::new("Cargo.lock") && self.folder.join(path).exists())
            {
                write(&self.folder.join(path), text)?;
            }
        }
        Ok((placed, hasher.finish()))
    }

    /// Whatever else the sources and tests read of the package: it is where they look for it, and as it is.
    fn link(&self) -> Result<(), String> {
        let error = |e: std::io::Error| format!("{}: {e}", self.folder.display());
        fs::create_dir_all(&self.folder).map_err(error)?;
        for entry in fs::read_dir(&self.package).map_err(error)? {
            let (path, name) = entry
                .map(|entry| (entry.path(), entry.file_name()))
                .map_err(error)?;
            let link = self.folder.join(&name);
            let copied = [
                "src",
                "Cargo.toml",
                "Cargo.lock",
                "target",
                ".git",
                ".cargo",
            ];
            if copied.iter().all(|copied| name != *copied) && fs::symlink_metadata(&link).is_err() {
                symlink(path, link).map_err(error)?;
            }
        }
        Ok(())
    }

    fn is_mutated(&self, path: &Path) -> bool {
        let file = self.part.folder().join(path);
        self.part.holds(&file.to_string_lossy())
    }

    /// The mutants that did not compile the last time, in files that have not changed since.
    pub(crate) fn refused(&self, mutants: &[Mutant]) -> BTreeSet<usize> {
        let known = fs::read_to_string(self.target.join("refused")).unwrap_or_default();
        let known: BTreeSet<&str> = known.lines().collect();
        let again = |mutant: &&Mutant| known.contains(self.line(mutant).as_str());
        mutants.iter().filter(again).map(|m| m.id).collect()
    }

    pub(crate) fn remember(
        &self,
        mutants: &[Mutant],
        refused: &BTreeSet<usize>,
    ) -> Result<(), String> {
        let out = mutants.iter().filter(|m| refused.contains(&m.id));
        let lines: Vec<String> = out.map(|mutant| self.line(mutant)).collect();
        write(&self.target.join("refused"), &lines.join("\n"))
    }

    /// A mutant with what tells its file from any other.
    fn line(&self, mutant: &Mutant) -> String {
        let mut hasher = DefaultHasher::new();
        self.plain
            .get(self.part.within(&mutant.file))
            .hash(&mut hasher);
        include_str!("weave.rs").hash(&mut hasher); // another way to put it there may compile
        format!("{:016x} {}", hasher.finish(), mutant.name)
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
            .arg(self.target.with_file_name("build"))
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
            let id = id.and_then(number);
            blamed.extend(id);
        }
        Ok(())
    }
}

/// `core` and `lock` with the simulation.
fn core(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut plain = BTreeMap::new();
    read_all(
        &root.join("tests/simulation/src"),
        Path::new("src"),
        &mut plain,
    )?;
    for part in ["core", "lock"] {
        read_all(
            &root.join("src").join(part),
            &Path::new("src").join(part),
            &mut plain,
        )?;
    }
    plain.remove(Path::new("src/main.rs")); // the command line of the simulation
    let identity = Path::new("src/identity.rs");
    plain.insert(identity.to_owned(), read(&root.join(identity))?);
    let mut tests = BTreeMap::new();
    let from = root.join("tests/simulation/tests/simulated");
    read_all(&from, Path::new("src/it"), &mut tests)?;
    let is_other = |path: &Path| {
        let within = path.strip_prefix("src/it").unwrap_or(path);
        let name = within
            .iter()
            .next()
            .map(Path::new)
            .and_then(Path::file_stem);
        OTHER_TESTS
            .iter()
            .any(|other| name == Some(OsStr::new(other)))
    };
    let docs = format!("include_str!(\"{}/docs/", root.display());
    for (path, text) in tests.into_iter().filter(|(path, _)| !is_other(path)) {
        let text = text.replace("include_str!(\"../../../../docs/", &docs);
        plain.insert(path, text);
    }
    let main = plain
        .remove(Path::new("src/it/main.rs"))
        .unwrap_or_default();
    let other = |line: &&str| {
        OTHER_TESTS
            .iter()
            .any(|name| **line == format!("mod {name};"))
    };
    let these: Vec<&str> = main.lines().filter(|line| !other(line)).collect();
    plain.insert("src/it/mod.rs".into(), these.join("\n"));
    let mut lib = HEAD.to_owned();
    plain.insert(
        "src/histories.rs".into(),
        include_str!("histories.rs.in").to_owned(),
    );
    let simulation = plain.remove(Path::new("src/lib.rs")).unwrap_or_default();
    let rest = simulation
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    lib += &rest.collect::<Vec<_>>().join("\n");
    lib += SWITCH;
    plain.insert("src/lib.rs".into(), lib);
    let manifest = concat!(
        include_str!("tree.toml.in"),
        include_str!("profile.toml.in")
    );
    plain.insert("Cargo.toml".into(), manifest.to_owned());
    Ok(plain)
}

/// The whole program, with the hosts that its kernel detector is shown.
fn driver(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut plain = BTreeMap::new();
    read_all(&root.join("src"), Path::new("src"), &mut plain)?;
    plain.insert(
        "src/hosts.rs".into(),
        read(&root.join("tests/hosts/main.rs"))?,
    );
    let more = "extern crate self as reboot_coordinator;\n#[cfg(test)]\nmod hosts;\n";
    switch(&mut plain, more);
    let manifest = read(&root.join("Cargo.toml"))?;
    plain.insert("Cargo.toml".into(), own_manifest(&manifest, root));
    Ok(plain)
}

/// The client, with all of its tests.
fn client(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let from = root.join(Part::Client.folder());
    let mut plain = BTreeMap::new();
    read_all(&from.join("src"), Path::new("src"), &mut plain)?;
    // What its tests read of the repository.
    let above = format!("include_str!(\"{}/", root.display());
    for text in plain.values_mut() {
        *text = text.replace("include_str!(\"../../../", &above);
    }
    let mut tests = BTreeMap::new();
    read_all(&from.join("tests/it"), Path::new("src/it"), &mut tests)?;
    for (path, text) in tests {
        let path = match path.ends_with("main.rs") {
            true => path.with_file_name("mod.rs"),
            false => path,
        };
        plain.insert(path, text.replace("crate::support", "crate::it::support"));
    }
    let more = "extern crate self as etcd_rs_sync;\n#[cfg(test)]\nmod it;\n";
    switch(&mut plain, more);
    let manifest = read(&root.join("Cargo.toml"))?;
    let workspace = manifest.split("[package]").next().unwrap_or_default();
    let manifest = read(&from.join("Cargo.toml"))?;
    let manifest = own_manifest(&format!("{workspace}{manifest}"), &from);
    plain.insert("Cargo.toml".into(), manifest);
    Ok(plain)
}

/// Lets the crate ask which mutant is on, and adds to what it is made of. At the end: mutants know their places by offsets.
fn switch(plain: &mut BTreeMap<PathBuf, String>, more: &str) {
    if let Some(lib) = plain.get_mut(Path::new("src/lib.rs")) {
        *lib = format!("{lib}\n{more}{SWITCH}");
    }
}

/// A manifest that stands by itself: a workspace of one package, without the tests' own packages but for the one that starts etcd.
fn own_manifest(manifest: &str, from: &Path) -> String {
    let mut section = "";
    let mut own = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let of_tests = section == "[dev-dependencies]" && line.contains("path = ");
        let of_tests = of_tests && !line.starts_with("etcd-test-server");
        if line.starts_with("members = ") || of_tests {
            continue;
        }
        let elsewhere = format!("path = \"{}/", from.display());
        own += &line.replace("path = \"", &elsewhere);
        own.push('\n');
        if line == "[package]" {
            own += "autotests = false\nautobins = false\nautoexamples = false\n";
        }
    }
    own + include_str!("profile.toml.in")
}

/// The number that this text begins with.
fn number(text: &str) -> Option<usize> {
    text.split(')').next()?.parse().ok()
}

fn read_all(from: &Path, to: &Path, files: &mut BTreeMap<PathBuf, String>) -> Result<(), String> {
    let error = |e: std::io::Error| format!("{}: {e}", from.display());
    for entry in fs::read_dir(from).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            read_all(&path, &target, files)?;
        } else {
            files.insert(target, read(&path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
