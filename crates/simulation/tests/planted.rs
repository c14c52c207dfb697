//! The properties notice a fault in the protocol. These faults show quickly; `scripts/simulate --faults` looks for all of them.

use simulation::planted::Planted;
use simulation::run::history;

#[test]
fn a_planted_fault_is_found() {
    let quick = [
        Planted::CommitKeepsLease,
        Planted::UnknownCommitIsSuccess,
        Planted::ReleaseWithoutCooldown,
        Planted::JoinWithoutLease,
        Planted::HoldTimeoutTooShort,
        Planted::CountSeesNobody,
        Planted::CountForgetsOne,
        Planted::WatchIsDeaf,
        Planted::ServerIgnoresGuards,
        Planted::ProofIgnored,
        Planted::UndoSkipped,
        Planted::SettleIgnored,
        Planted::KillSwitchIgnored,
        Planted::WindowIgnored,
        Planted::DetectorsIgnored,
        Planted::UnknownIsYes,
        Planted::BudgetIgnored,
        Planted::NoGrace,
        Planted::SignalIsFailure,
        Planted::BootIdChanges,
        Planted::BootIdConstant,
        Planted::RebootTimeoutForever,
        Planted::PermitUsedTwice,
        Planted::RequestNotedWrongly,
    ];
    for planted in quick {
        let found = (1..1000).find(|seed| history(*seed, Some(planted)).violation.is_some());
        assert!(found.is_some(), "{planted:?} was not noticed");
    }
}
