//! Runs the test binary once for each mutant.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::Mutant;

/// Far longer than all tests take.
const LIMIT: Duration = Duration::from_secs(120);

/// What the tests said of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Caught,
    /// They did not end.
    Hung,
    Missed,
}

/// Runs them all, but for those whose verdict is among these results already: first the quick tests for each, then the
/// histories for what is left. Verdicts by name.
pub(crate) fn all(
    binary: &Path,
    mutants: &[&Mutant],
    jobs: usize,
    results: &Path,
) -> Result<BTreeMap<String, Verdict>, String> {
    let known = fs::read_to_string(results).unwrap_or_default();
    let known: BTreeMap<&str, Verdict> = known.lines().filter_map(line).collect();
    let error = |e: std::io::Error| format!("{}: {e}", results.display());
    let file = File::options().append(true).create(true).open(results);
    let file = Mutex::new(file.map_err(error)?);
    let verdicts: Mutex<BTreeMap<String, Verdict>> = Mutex::default();
    let done = |mutant: &Mutant, verdict: Verdict| {
        let mut verdicts = verdicts.lock().expect("no thread panics");
        verdicts.insert(mutant.name.clone(), verdict);
    };
    let note = |mutant: &Mutant, verdict: Verdict| {
        let mut file = file.lock().expect("no thread panics");
        // A verdict that is not kept is found again.
        let _ = writeln!(file, "{verdict:?} {}", mutant.name);
        done(mutant, verdict);
    };
    let (old, new): (Vec<&Mutant>, Vec<&Mutant>) = mutants
        .iter()
        .partition(|mutant| known.contains_key(mutant.name.as_str()));
    for mutant in old {
        done(mutant, known[mutant.name.as_str()]);
    }
    let left = Mutex::new(Vec::new());
    each(
        &new,
        jobs,
        &|mutant| match tests(binary, mutant.id, &QUICK) {
            Verdict::Missed => left.lock().expect("no thread panics").push(mutant),
            verdict => note(mutant, verdict),
        },
    );
    let left = left.into_inner().expect("no thread panics");
    eprintln!(
        "mutants: {} of {} get past the quick tests",
        left.len(),
        new.len()
    );
    each(&left, jobs, &|mutant| {
        note(mutant, tests(binary, mutant.id, &SLOW))
    });
    drop(file);
    Ok(verdicts.into_inner().expect("no thread panics"))
}

fn each<'a>(mutants: &[&'a Mutant], jobs: usize, run: &(dyn Fn(&'a Mutant) + Sync)) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(mutant);
                }
            });
        }
    });
}

/// A line of the results.
fn line(text: &str) -> Option<(&str, Verdict)> {
    let (word, name) = text.split_once(' ')?;
    let verdicts = [Verdict::Caught, Verdict::Hung, Verdict::Missed];
    let verdict = verdicts
        .into_iter()
        .find(|verdict| format!("{verdict:?}") == word)?;
    Some((name, verdict))
}

const SLOW: [&str; 1] = ["histories::"];
const QUICK: [&str; 2] = ["--skip", "histories::"];

/// First the quick tests, then the histories. Mutant 0 is none.
pub(crate) fn one(binary: &Path, id: usize) -> Verdict {
    match tests(binary, id, &QUICK) {
        Verdict::Missed => tests(binary, id, &SLOW),
        verdict => verdict,
    }
}

fn tests(binary: &Path, id: usize, which: &[&str]) -> Verdict {
    let mut child = Command::new(binary)
        .args(which)
        .args(["--test-threads", "1", "-q"])
        .env("MUTANT", id.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a binary that was just built can be run");
    let begun = Instant::now();
    loop {
        match child
            .try_wait()
            .expect("a child can be asked for its state")
        {
            Some(status) if status.success() => return Verdict::Missed,
            Some(_) => return Verdict::Caught,
            None if begun.elapsed() > LIMIT => {
                let _ = child.kill(); // it may have ended just now
                let _ = child.wait();
                return Verdict::Hung;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}
