//! Runs the test binary once for each mutant.

use std::collections::BTreeMap;
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

/// Runs them all; tells of each that is missed at once.
pub(crate) fn all(binary: &Path, mutants: &[&Mutant], jobs: usize) -> BTreeMap<usize, Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = one(binary, mutant.id);
                    if verdict != Verdict::Caught {
                        println!("{verdict:?}: {}", mutant.name);
                    }
                    let mut verdicts = verdicts.lock().expect("no thread panics");
                    verdicts.insert(mutant.id, verdict);
                }
            });
        }
    });
    verdicts.into_inner().expect("no thread panics")
}

/// First the quick tests, then the histories. Mutant 0 is none.
pub(crate) fn one(binary: &Path, id: usize) -> Verdict {
    let slow = ["histories::"];
    match tests(binary, id, &["--skip", slow[0]]) {
        Verdict::Missed => tests(binary, id, &slow),
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
