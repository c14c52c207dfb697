//! Every request of a node's life, held back over the death of its process and brought to etcd before every single action of
//! the next one: a write may still arrive between the moment a claim is read and the moment something is done about it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::SECOND;
use crate::crash::{self, LIVES, Life};
use crate::plan::{Fault, Plan, Trouble, When};
use crate::planted::Planted;
use crate::run::play;

/// What becomes of the process that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives on.
    Lives,
    /// SIGKILL, and another process soon.
    Killed,
    /// SIGKILL, another process soon, whose first write to a claim is held back as well, and that dies too.
    KilledTwice,
    /// The power fails.
    Power,
    /// SIGTERM.
    Stopped,
    /// SIGKILL, and an operator takes the claim away before the next process starts.
    Released,
    /// SIGKILL, and the detectors ask for nothing any more.
    Flaps,
}

/// All of them.
pub const FATES: [Fate; 7] = [
    Fate::Lives,
    Fate::Killed,
    Fate::KilledTwice,
    Fate::Power,
    Fate::Stopped,
    Fate::Released,
    Fate::Flaps,
];

/// What becomes of the request itself, when what arrives late is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// It is what arrives late.
    Late,
    /// It arrives at once, as always.
    Arrives,
    /// It is refused.
    Refused,
}

/// How many actions of the next process are tried: from its start to its place in the queue, or to its release.
const REACH: u64 = 40;

/// A case: in this life, what action `sent` sends arrives before the `later`-th action after it; itself or a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The kind of life.
    pub life: Life,
    /// The action that sends.
    pub sent: u64,
    /// How many actions later it arrives.
    pub later: u64,
    /// What becomes of the original.
    pub original: Original,
    /// What happens right after it was sent.
    pub fate: Fate,
}

/// The history of a case.
pub fn plan(case: Case) -> Plan {
    let before = When::Before(0, case.sent);
    let after = When::After(0, case.sent);
    let copy = case.original != Original::Late;
    let mut faults = vec![(before, Fault::Late(0, case.later, copy))];
    if case.original == Original::Refused {
        faults.push((before, Fault::Network(0, Trouble::Denied, 1000, 1)));
    }
    match case.fate {
        Fate::Lives => {}
        Fate::Killed => faults.push((after, Fault::Kill(0, SECOND))),
        Fate::KilledTwice => {
            // The fourth action of a process is its first after it has read its claim, and the fifth writes the place.
            faults.push((after, Fault::Kill(0, SECOND)));
            let write = case.sent + 4;
            faults.push((When::Before(0, write), Fault::Late(0, case.later, false)));
            faults.push((When::After(0, write), Fault::Kill(0, SECOND)));
        }
        Fate::Power => faults.push((after, Fault::PowerLoss(0, 5 * SECOND))),
        Fate::Stopped => faults.push((after, Fault::Stop(0, SECOND))),
        Fate::Released => {
            faults.push((after, Fault::Kill(0, SECOND)));
            faults.push((after, Fault::OperatorRelease(0)));
        }
        Fate::Flaps => {
            faults.push((after, Fault::Kill(0, SECOND)));
            faults.push((after, Fault::Flap(0, 100 * SECOND)));
        }
    }
    crash::plan(case.life, faults)
}

/// Every case, or of the actions between only every `stride`-th.
pub fn cases(stride: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for life in LIVES {
        for sent in 1..=crash::actions(life) {
            for fate in FATES {
                for later in 1..=REACH {
                    for original in [Original::Late, Original::Arrives, Original::Refused] {
                        cases.push(Case {
                            life,
                            sent,
                            later,
                            original,
                            fate,
                        });
                    }
                }
            }
        }
    }
    cases.into_iter().step_by(stride.max(1)).collect()
}

/// Runs cases, with a fault planted into the protocol or none; what failed.
pub fn all(cases: &[Case], jobs: usize, planted: Option<Planted>) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(violation) = play(plan(*case), planted).violation {
                        let line = format!("{case:?}: {violation:?}");
                        failed.lock().expect("no thread panics").push(line);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no thread panics")
}
