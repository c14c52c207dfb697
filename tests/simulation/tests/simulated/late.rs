//! What a process sent arrives after its death, before each action of the next one, and every property holds.

use simulation::late::{all, cases, plan};
use simulation::planted::Planted;
use simulation::run::play;

/// `scripts/simulate --crashes` runs them all.
#[test]
fn a_request_may_arrive_at_any_later_moment() {
    let some = cases(17);
    assert!(some.len() > 5000, "{} cases", some.len());
    let failed = all(&some, 2, None);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The same cases notice when what is written is not guarded against what arrives late.
#[test]
fn a_request_that_arrives_late_is_dangerous_without_its_guards() {
    let some = cases(17);
    for planted in [
        Planted::CommitUnguarded,
        Planted::FenceDropsLease,
        Planted::JoinOverwrites,
        Planted::TakeOverUnguarded,
    ] {
        let noticed = |case| play(plan(case), Some(planted)).violation.is_some();
        assert!(
            some.iter().copied().any(noticed),
            "{planted:?} was not noticed"
        );
    }
}
