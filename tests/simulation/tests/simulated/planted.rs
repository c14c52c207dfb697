//! The properties notice a fault in the protocol: one that is about it fails, in a history that passes without the fault.

use simulation::planted::Planted;
use simulation::run::history;

/// These show in one of some thousand histories only; `scripts/simulate --faults` looks for all of them.
const RARE: [Planted; 16] = [
    Planted::ClockStopsInSleep,
    Planted::CommitComparesCreateOnly,
    Planted::CommitIgnoresCooldown,
    Planted::CommitIgnoresEndedReports,
    Planted::CommitIgnoresMembers,
    Planted::CommitIgnoresWaves,
    Planted::DeadlineFromReceipt,
    Planted::DrainNeverTooLong,
    Planted::ForeignNameIsOwn,
    Planted::GatesNeverTooOld,
    Planted::PermitNeverExpires,
    Planted::RemoveUnguarded,
    Planted::TakeAwayUnguarded,
    Planted::TakeOverComparesCreateOnly,
    Planted::TakeOverUnguarded,
    Planted::ZoneIgnored,
];

#[test]
fn a_planted_fault_is_found() {
    let often = Planted::ALL.iter().map(|(planted, _)| *planted);
    for planted in often.filter(|it| !RARE.contains(it)) {
        let noticed = |seed: &u64| {
            let violation = history(*seed, Some(planted)).violation;
            violation.is_some_and(|violation| planted.about().contains(&violation.property))
        };
        let found = (1..2000).find(noticed);
        let seed = found.unwrap_or_else(|| panic!("{planted:?} was not noticed"));
        assert_eq!(history(seed, None).violation, None, "seed {seed}");
    }
}
