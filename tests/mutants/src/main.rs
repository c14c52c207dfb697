//! `mutants`: how many of the changes that cargo-mutants makes to a part of the program its tests notice: to `core` and `lock`, to
//! the driver and what it runs on the host, or to the client of etcd.
//!
//! cargo-mutants compiles every mutant by itself, which takes hours here. Its list is taken, and all of its mutants are put into
//! one copy of the sources, each behind a question of its own; one build then serves them all, and a mutant costs only the time
//! of the tests that catch it.

mod list;
mod part;
mod run;
mod tree;
mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use list::Mutant;
use part::Part;
use run::{Binary, Verdict};
use tree::Tree;

const HELP: &str = "\
Changes core and lock in every way that cargo-mutants knows, and runs the tests against each change.

Usage: scripts/mutants [--driver | --client] [WORDS] [--missed] [--jobs J] [--least PERCENT]

  --driver         the driver and what it runs on the host: daemon, detect, etcd, host, process, scripts
  --client         the client of etcd, against real servers of the newest version there is, and against made-up ones
  WORDS            only the mutants whose name contains this, such as src/lock/ or on_granted
  --missed         only those that the last run missed
  --jobs J         how many run at once (default 2)
  --least PERCENT  fail below this score (default 95, or 90 for driver and client)

At the end: the mutants that could not be put into one binary (they do not compile by themselves either), those that no test
noticed, what is left out on purpose, and how many were caught of those in the binary, for each room. A run that was stopped goes on where it was, as long as the sources are
the same. What is left out on purpose, with the reason, is in .cargo/mutants.toml. Everything is written below
target/mutants.
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
    part: Part,
    words: String,
    missed: bool,
    jobs: usize,
    least: Option<f64>,
}

fn parse() -> Result<Option<Options>, String> {
    use lexopt::prelude::*;
    let mut options = Options {
        part: Part::Core,
        words: String::new(),
        missed: false,
        jobs: 2,
        least: None,
    };
    let mut parser = lexopt::Parser::from_env();
    let mut arguments = || -> Result<bool, lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Long("driver") => options.part = Part::Driver,
                Long("client") => options.part = Part::Client,
                Long("missed") => options.missed = true,
                Long("jobs") => options.jobs = parser.value()?.parse()?,
                Long("least") => options.least = Some(parser.value()?.parse()?),
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root
        .canonicalize()
        .map_err(|e| format!("{}: {e}", root.display()))?;
    let part = options.part;
    let mutants = list::list(&root, part)?;
    let built = build(&Tree::of(&root, part)?, &mutants)?;
    println!(
        "{} mutants, {} of them in the binary",
        mutants.len(),
        built.placed.len()
    );
    let folder = root.join("target/mutants").join(part.name());
    let binary = Binary::new(&built.binary, part, &root, &folder)?;
    let stages = run::stages(&binary)?;
    println!("The tests, in this order: {}", run::describe(&stages));
    let last = folder.join("missed");
    let missed = fs::read_to_string(&last).unwrap_or_default();
    let missed: BTreeSet<&str> = missed.lines().collect();
    let asked: Vec<&Mutant> = mutants
        .iter()
        .filter(|mutant| built.placed.contains(&mutant.id) && mutant.name.contains(&options.words))
        .filter(|mutant| !options.missed || missed.contains(mutant.name.as_str()))
        .collect();
    let results = folder.join(format!("results-{:016x}", built.hash));
    let jobs = options.jobs.max(1);
    let verdicts = run::all(&binary, &stages, &asked, jobs, &results)?;
    for mutant in &mutants {
        if !built.placed.contains(&mutant.id) {
            println!("Not in the binary: {}", mutant.name);
        }
    }
    let still = verdicts.iter().filter(|(_, v)| **v == Verdict::Missed);
    let still: Vec<&str> = still.map(|(name, _)| name.as_str()).collect();
    for name in &still {
        println!("Missed: {name}");
    }
    fs::write(&last, still.join("\n")).map_err(|e| format!("{}: {e}", last.display()))?;
    for line in list::left_out(&root)? {
        println!("Left out: {line}");
    }
    for room in part.rooms() {
        println!("{room}: {}", Score::of(&verdicts, room).words());
    }
    let all = Score::of(&verdicts, "");
    println!("all: {}; {} s", all.words(), begun.elapsed().as_secs());
    Ok(all.percent() >= options.least.unwrap_or(part.least()))
}

/// How many mutants had which verdict.
struct Score {
    caught: usize,
    hung: usize,
    missed: usize,
}

impl Score {
    fn of(verdicts: &BTreeMap<String, Verdict>, part: &str) -> Score {
        let count = |verdict| {
            let named = verdicts.iter().filter(|(name, _)| name.starts_with(part));
            named.filter(|(_, other)| **other == verdict).count()
        };
        Score {
            caught: count(Verdict::Caught),
            hung: count(Verdict::Hung),
            missed: count(Verdict::Missed),
        }
    }

    fn all(&self) -> usize {
        self.caught + self.hung + self.missed
    }

    /// A mutant with which the tests do not end is caught as well: whoever runs them notices.
    fn percent(&self) -> f64 {
        100.0 * (self.caught + self.hung) as f64 / self.all().max(1) as f64
    }

    fn words(&self) -> String {
        format!(
            "{:.1} % caught ({} failed a test, {} did not end) of {}, {} missed",
            self.percent(),
            self.caught,
            self.hung,
            self.all(),
            self.missed
        )
    }
}

/// One binary for all mutants.
struct Built {
    binary: PathBuf,
    /// The mutants in it.
    placed: BTreeSet<usize>,
    /// What tells these sources from any others.
    hash: u64,
}

/// Builds with every mutant, then without those that the compiler complains about, until it does not. Those are remembered as
/// long as their file is the same.
fn build(tree: &Tree, mutants: &[Mutant]) -> Result<Built, String> {
    let mut out = tree.refused(mutants);
    loop {
        let (placed, hash) = tree.lay(mutants, &out)?;
        let before = out.len();
        match tree.compile(true)? {
            Err(complaints) => out.extend(complaints),
            Ok(_) => match tree.compile(false)? {
                Ok(binary) => {
                    tree.remember(mutants, &out)?;
                    return Ok(Built {
                        binary,
                        placed,
                        hash,
                    });
                }
                Err(complaints) => out.extend(complaints),
            },
        }
        if out.len() == before {
            return Err("the compiler keeps complaining about mutants that are out".to_owned());
        }
        eprintln!("mutants: {} do not compile so far", out.len());
    }
}
