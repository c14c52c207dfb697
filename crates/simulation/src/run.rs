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
                    own.take(seed, history(seed, planted));
                }
                report.lock().expect("no thread panics").add(own);
            });
        }
    });
    report.into_inner().expect("no thread panics")
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
