//! The promise of the protocol holds in many simulated histories. `scripts/simulate` runs many more.

/// Half a minute without optimization on two cores.
const HISTORIES: u64 = 20_000;

#[test]
fn the_promise_holds_in_twenty_thousand_histories() {
    let report = simulation::run::many(1, HISTORIES, 2, None);
    let stats = &report.stats;
    println!(
        "{} steps, {} commits, {} reboots",
        stats.steps, stats.commits, stats.reboots
    );
    for (seed, violation) in &report.failed {
        println!("scripts/simulate --seed {seed} --histories 1 --story   # {violation:?}");
    }
    assert_eq!(report.failures, 0);
    assert!(stats.reboots > HISTORIES, "hardly anything happened");
}

#[test]
fn a_history_repeats_exactly() {
    for seed in 1..50 {
        let first = simulation::run::history(seed, None);
        let second = simulation::run::history(seed, None);
        assert_eq!(first.stats, second.stats, "seed {seed}");
    }
}
