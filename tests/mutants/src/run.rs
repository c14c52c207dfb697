//! Runs the test binary for each mutant: the tests that take no time first, and no further than to the first that fails.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::Mutant;
use crate::part::Part;

/// What the tests said of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test failed, or the binary died.
    Caught,
    /// They did not end.
    Hung,
    Missed,
}

/// Tests that are run together, since they take about the same time.
pub(crate) struct Stage {
    tests: Vec<String>,
    /// How long they take without a mutant.
    takes: Duration,
}

/// Tests that take less than this are run together with all others that do; the rest in groups by doubled limits.
const QUICK: Duration = Duration::from_millis(20);

/// Tests that take longer than this are run by themselves.
const SLOW: Duration = Duration::from_millis(500);

/// A run without a mutant takes this long at most.
const LONGEST: Duration = Duration::from_secs(600);

/// How much longer a stage may take with a mutant than without, when a mutant makes more of a history.
const PATIENCE: u32 = 10;

/// How many times that is waited for a test that computes only, and has not had so much of a busy machine.
const STARVED: u32 = 20;

/// Memory of a run in KiB: a mutant that fills it is not to take others with it. Address space says nothing: etcd maps 10 GiB.
const MEMORY_KIB: u32 = 4_000_000;

/// The binary that holds the mutants and the tests.
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
    /// The only version of etcd that the tests find: the others would take the time and see the same.
    etcd: PathBuf,
}

impl Binary {
    /// `folder` is for what the tests need.
    pub(crate) fn new(
        path: &Path,
        part: Part,
        root: &Path,
        folder: &Path,
    ) -> Result<Binary, String> {
        let etcd = folder.join("etcd");
        let versions = fs::read_dir(root.join("target/etcd")).into_iter().flatten();
        let names = versions.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = names.max_by_key(|name| -> Vec<u32> {
            name.split('.')
                .filter_map(|part| part.parse().ok())
                .collect()
        });
        if let Some(name) = newest {
            let error = |e: std::io::Error| format!("{}: {e}", etcd.display());
            let _ = fs::remove_dir_all(&etcd); // it may not be there
            fs::create_dir_all(&etcd).map_err(error)?;
            symlink(root.join("target/etcd").join(&name), etcd.join(name)).map_err(error)?;
        }
        let path = path.to_owned();
        Ok(Binary { path, part, etcd })
    }
}

/// Runs every test that can see something without a mutant, and orders them by what they take.
pub(crate) fn stages(binary: &Binary) -> Result<Vec<Stage>, String> {
    let mut took: Vec<(Duration, String)> = Vec::new();
    let tests = tests(binary)?;
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    let tests: Vec<&str> = tests
        .into_iter()
        .filter(|test| binary.part.runs(test))
        .collect();
    let mut last = Instant::now();
    let verdict = run(binary, 0, &tests, LONGEST, &mut |name| {
        took.push((last.elapsed(), name.to_owned()));
        last = Instant::now();
    });
    if verdict != Verdict::Missed {
        let after = took.last().map_or("none", |(_, name)| name.as_str());
        return Err(format!("the tests fail without any mutant, after {after}"));
    }
    took.sort();
    let mut stages: Vec<Stage> = Vec::new();
    let mut limit = QUICK;
    for (takes, name) in took {
        let together = takes < limit && limit <= SLOW && !stages.is_empty();
        while takes >= limit && limit <= SLOW {
            limit *= 2;
        }
        match stages.last_mut().filter(|_| together) {
            Some(stage) => {
                stage.tests.push(name);
                stage.takes += takes;
            }
            None => stages.push(Stage {
                tests: vec![name],
                takes,
            }),
        }
    }
    Ok(stages)
}

/// The names of all tests.
fn tests(Binary { path, .. }: &Binary) -> Result<Vec<String>, String> {
    let output = Command::new(path)
        .arg("--list")
        .output()
        .map_err(|e| format!("{}: {e}", path.display()))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// What the stages are, in words.
pub(crate) fn describe(stages: &[Stage]) -> String {
    let words = stages.iter().map(|stage| match stage.tests.as_slice() {
        [one] => format!("{one} ({:.1} s)", stage.takes.as_secs_f64()),
        many => format!("{} tests ({:.1} s)", many.len(), stage.takes.as_secs_f64()),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Runs them all, but for those whose verdict is among these results already: one stage after the other, for each mutant that
/// no stage before has caught. Verdicts by name.
pub(crate) fn all(
    binary: &Binary,
    stages: &[Stage],
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
    let note = |mutant: &Mutant, verdict: Verdict| {
        let mut file = file.lock().expect("no thread panics");
        // A verdict that is not kept is found again.
        let _ = writeln!(file, "{verdict:?} {}", mutant.name);
        let mut verdicts = verdicts.lock().expect("no thread panics");
        verdicts.insert(mutant.name.clone(), verdict);
    };
    let (old, mut left): (Vec<&Mutant>, Vec<&Mutant>) = mutants
        .iter()
        .partition(|mutant| known.contains_key(mutant.name.as_str()));
    for mutant in old {
        let mut verdicts = verdicts.lock().expect("no thread panics");
        verdicts.insert(mutant.name.clone(), known[mutant.name.as_str()]);
    }
    for stage in stages {
        let limit = stage.takes * PATIENCE + Duration::from_secs(5);
        let tests = |mutant: &Mutant| -> Vec<&str> {
            let tests = stage.tests.iter().map(String::as_str);
            tests
                .filter(|test| {
                    binary
                        .part
                        .concerns(test, stage.tests.len() == 1, &mutant.file)
                })
                .collect()
        };
        let (asked, mut rest): (Vec<&Mutant>, Vec<&Mutant>) =
            left.iter().partition(|mutant| !tests(mutant).is_empty());
        let missed = Mutex::new(Vec::new());
        let begun = Instant::now();
        each(&asked, jobs, &|mutant| match run(
            binary,
            mutant.id,
            &tests(mutant),
            limit,
            &mut |_| {},
        ) {
            Verdict::Missed => missed.lock().expect("no thread panics").push(mutant),
            verdict => note(mutant, verdict),
        });
        let missed = missed.into_inner().expect("no thread panics");
        let (caught, all) = (asked.len() - missed.len(), asked.len());
        let words = describe(std::slice::from_ref(stage));
        eprintln!(
            "mutants: {words} caught {caught} of {all} in {} s",
            begun.elapsed().as_secs()
        );
        rest.extend(missed);
        left = rest;
    }
    for mutant in left {
        note(mutant, Verdict::Missed);
    }
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

/// Runs these tests (all, when none is named) with this mutant on; mutant 0 is none. Each that passed is told.
fn run(
    binary: &Binary,
    id: usize,
    tests: &[&str],
    limit: Duration,
    passed: &mut dyn FnMut(&str),
) -> Verdict {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -d \"$1\"; shift; exec \"$@\"", "sh"])
        .arg(MEMORY_KIB.to_string())
        .arg(&binary.path)
        .args(["--test-threads", "1", "--exact"])
        .args(tests)
        .env("ETCD_TEST_VERSIONS_DIR", &binary.etcd)
        .env("MUTANT", id.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a binary that was just built can be run");
    let lines = child.stdout.take().map(lines);
    // What waits for others uses no time of the processor.
    let computes = binary.part == Part::Core;
    let pid = child.id();
    let starves = || computes && used(pid).is_some_and(|used| used < limit);
    let verdict = lines.map_or(Verdict::Hung, |lines| {
        listen(&lines, limit, &starves, passed)
    });
    end(&mut child, verdict)
}

/// The lines that a child prints, read by a thread of their own so that waiting for the next can have a limit.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The time of the processor that a process has had, in hundredths of a second in its status.
fn used(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Option<Vec<u64>> = ticks.map(|ticks| ticks.parse().ok()).collect();
    Some(Duration::from_millis(ticks?.iter().sum::<u64>() * 10))
}

/// Until a test fails, the output ends, or the time is over. `Missed` means that the exit status decides.
fn listen(
    lines: &Receiver<String>,
    limit: Duration,
    starves: &dyn Fn() -> bool,
    passed: &mut dyn FnMut(&str),
) -> Verdict {
    let begun = Instant::now();
    let mut until = limit;
    loop {
        match lines.recv_timeout(until.saturating_sub(begun.elapsed())) {
            Ok(line) => match line
                .strip_prefix("test ")
                .and_then(|l| l.split_once(" ... "))
            {
                Some((_, "FAILED")) => return Verdict::Caught,
                Some((name, _)) => passed(name),
                None => {}
            },
            Err(RecvTimeoutError::Disconnected) => return Verdict::Missed,
            Err(RecvTimeoutError::Timeout) if until < limit * STARVED && starves() => {
                until += limit;
            }
            Err(RecvTimeoutError::Timeout) => return Verdict::Hung,
        }
    }
}

fn end(child: &mut Child, verdict: Verdict) -> Verdict {
    if verdict != Verdict::Missed {
        let _ = child.kill(); // it may have ended just now
    }
    match child.wait() {
        Ok(status) if status.success() || verdict != Verdict::Missed => verdict,
        Ok(_) | Err(_) => Verdict::Caught,
    }
}
