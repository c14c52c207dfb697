//! Many histories: on several threads, with what failed and the command that shows it again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Plan;
use crate::planted::Planted;
use crate::world::{Outcome, Stats, Violation, World};

/// How many failing seeds are kept.
const KEPT: usize = 20;

/// What many histories came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The sum of all.
    pub stats: Stats,
    /// The first seeds that failed.
    pub failed: BTreeMap<u64, Violation>,
    /// How many failed.
    pub failures: u64,
}

/// Runs the history of one seed. A panic counts as a violation.
pub fn history(seed: u64, planted: Option<Planted>) -> Outcome {
    play(Plan::of_seed(seed), planted)
}

/// Runs a plan. A panic counts as a violation.
pub fn play(plan: Plan, planted: Option<Planted>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(plan);
        world.plant(planted);
        world.finish()
    }))
    .unwrap_or_else(|_| Outcome {
        violation: Some(Violation {
            property: "panic",
            detail: "the program panicked".to_owned(),
            at: 0,
        }),
        stats: Stats::default(),
    })
}

/// Runs `count` histories from seed `first` on.
pub fn many(first: u64, count: u64, jobs: usize, planted: Option<Planted>) -> Report {
    run_all(first, count, jobs, |seed| history(seed, planted))
}

fn run_all(first: u64, count: u64, jobs: usize, run: impl Fn(u64) -> Outcome + Sync) -> Report {
    let next = AtomicU64::new(first);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                let mut own = Report::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    own.take(seed, run(seed));
                }
                report.lock().expect("no thread panics").add(own);
            });
        }
    });
    report.into_inner().expect("no thread panics")
}

/// What a search for a planted fault came to.
#[derive(Debug)]
pub struct Search {
    /// How many histories failed by a property that is about the fault.
    pub found: u64,
    /// How many were run.
    pub searched: u64,
    /// The first of them that passes without the fault, and the property.
    pub first: Option<(u64, &'static str)>,
}

/// Looks for a planted fault in `count` histories from `first` on, and when none shows it in more, `most` at the most. Found
/// is what breaks a property that is about the fault, in a history that is without violation when the fault is not there.
pub fn search(planted: Planted, first: u64, count: u64, most: u64, jobs: usize) -> Search {
    let mut searched = 0;
    let mut batch = count;
    loop {
        let report = many_about(first + searched, batch, jobs, planted);
        searched += batch;
        let sound = report
            .failed
            .iter()
            .find(|(seed, _)| history(**seed, None).violation.is_none());
        let first_found = sound.map(|(seed, violation)| (*seed, violation.property));
        if first_found.is_some() || searched >= most {
            return Search {
                found: report.failures,
                searched,
                first: first_found,
            };
        }
        batch = searched;
    }
}

/// As [`many`], but only what a property says that is about the fault counts as a failure.
fn many_about(first: u64, count: u64, jobs: usize, planted: Planted) -> Report {
    run_all(first, count, jobs, |seed| {
        let mut outcome = history(seed, Some(planted));
        outcome.violation = outcome
            .violation
            .filter(|violation| planted.about().contains(&violation.property));
        outcome
    })
}

impl Report {
    fn take(&mut self, seed: u64, outcome: Outcome) {
        self.stats.add(&outcome.stats);
        if let Some(violation) = outcome.violation {
            self.failures += 1;
            if self.failed.len() < KEPT {
                self.failed.insert(seed, violation);
            }
        }
    }

    fn add(&mut self, other: Report) {
        self.stats.add(&other.stats);
        self.failures += other.failures;
        self.failed.extend(other.failed);
        while self.failed.len() > KEPT {
            self.failed.pop_last();
        }
    }
}
