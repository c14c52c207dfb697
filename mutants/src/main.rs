//! `mutants`: how many of the changes that cargo-mutants makes to `core` and `lock` the tests notice.
//!
//! cargo-mutants compiles every mutant by itself, which takes hours here. Its list is taken, and all of its mutants are put into
//! one copy of the sources, each behind a question of its own; one build then serves them all, and a mutant costs only the time
//! of the tests that catch it.

mod list;
mod run;
mod tree;
mod weave;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use list::Mutant;
use run::Verdict;
use tree::Tree;

const HELP: &str = "\
Changes core and lock in every way that cargo-mutants knows, and runs the tests against each change.

Usage: scripts/mutants [WORDS] [--jobs J] [--least PERCENT]

  WORDS            only the mutants whose name contains this, such as src/lock/ or on_granted
  --jobs J         how many run at once (default 2)
  --least PERCENT  fail below this score (default 95)

A mutant that no test notices is printed as it is found. At the end: how many were caught of those that compile, and the list of
those that do not compile when put into one binary. Mutants that are left out on purpose, with the reason, are in
.cargo/mutants.toml. Everything is written below target/mutants.
";

fn main() -> ExitCode {
    match parse().and_then(|options| options.map_or(Ok(true), |options| score(&options))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("mutants: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    words: String,
    jobs: usize,
    least: f64,
}

fn parse() -> Result<Option<Options>, String> {
    use lexopt::prelude::*;
    let mut options = Options {
        words: String::new(),
        jobs: 2,
        least: 95.0,
    };
    let mut parser = lexopt::Parser::from_env();
    let mut arguments = || -> Result<bool, lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Long("jobs") => options.jobs = parser.value()?.parse()?,
                Long("least") => options.least = parser.value()?.parse()?,
                Short('h') | Long("help") => return Ok(false),
                Value(words) => options.words = words.string()?,
                Short(_) | Long(_) => return Err(arg.unexpected()),
            }
        }
        Ok(true)
    };
    if arguments().map_err(|error| format!("{error}; see --help"))? {
        return Ok(Some(options));
    }
    print!("{HELP}");
    Ok(None)
}

fn score(options: &Options) -> Result<bool, String> {
    let begun = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root
        .canonicalize()
        .map_err(|e| format!("{}: {e}", root.display()))?;
    let mutants = list::list(&root)?;
    let tree = Tree::lay(&root)?;
    let (binary, unviable) = build(&tree, &mutants)?;
    println!(
        "{} mutants, {} of them compile",
        mutants.len(),
        mutants.len() - unviable.len()
    );
    if run::one(&binary, 0) != Verdict::Missed {
        return Err("the tests fail without any mutant".to_owned());
    }
    let asked: Vec<&Mutant> = mutants
        .iter()
        .filter(|mutant| !unviable.contains(&mutant.id) && mutant.name.contains(&options.words))
        .collect();
    let verdicts = run::all(&binary, &asked, options.jobs.max(1));
    let count = |verdict| verdicts.values().filter(|other| **other == verdict).count();
    let (caught, hung, missed) = (
        count(Verdict::Caught),
        count(Verdict::Hung),
        count(Verdict::Missed),
    );
    for mutant in mutants
        .iter()
        .filter(|mutant| unviable.contains(&mutant.id))
    {
        println!("Does not compile: {}", mutant.name);
    }
    let percent = 100.0 * (caught + hung) as f64 / asked.len().max(1) as f64;
    println!(
        "{percent:.1} % caught: {caught} failed a test, {hung} did not end, {missed} were missed, of {} viable; {} s",
        asked.len(),
        begun.elapsed().as_secs()
    );
    Ok(percent >= options.least)
}

/// The test binary with every mutant that compiles, and those that do not.
fn build(tree: &Tree, mutants: &[Mutant]) -> Result<(PathBuf, BTreeSet<usize>), String> {
    let mut unviable = BTreeSet::new();
    loop {
        tree.weave(mutants, &unviable)?;
        let before = unviable.len();
        match tree.compile(true)? {
            Err(complaints) => unviable.extend(complaints),
            Ok(_) => match tree.compile(false)? {
                Ok(binary) => return Ok((binary, unviable)),
                Err(complaints) => unviable.extend(complaints),
            },
        }
        if unviable.len() == before {
            return Err("the compiler keeps complaining about mutants that are out".to_owned());
        }
        eprintln!("mutants: {} do not compile so far", unviable.len());
    }
}
