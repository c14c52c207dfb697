//! `simulate`: runs histories of a simulated fleet and checks the promise of the protocol in each.

use simulation::{Plan, World};

fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap_or(0))
        .collect();
    let (first, count) = (
        args.first().copied().unwrap_or(1),
        args.get(1).copied().unwrap_or(1000),
    );
    let story = args.len() > 2;
    let begun = std::time::Instant::now();
    let mut stats = simulation::world::Stats::default();
    let mut failed = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for seed in first..first + count {
        let mut world = World::new(Plan::of_seed(seed));
        if story {
            println!("{:#?}", world.plan.faults);
            world.story = Some(Vec::new());
            while !world.over() {
                world.step();
            }
            for (at, line) in world.story.take().unwrap_or_default() {
                println!("{:>10.3}  {line}", at as f64 / 1e6);
            }
        }
        let outcome = world.finish();
        stats.add(&outcome.stats);
        if let Some(v) = outcome.violation {
            let e = failed
                .entry(format!(
                    "{} {}",
                    v.property,
                    v.detail.replace(|c: char| c.is_ascii_digit(), "#")
                ))
                .or_insert((0, seed));
            e.0 += 1;
        }
    }
    for (what, (n, seed)) in &failed {
        println!("{n:>6} x, first seed {seed}: {what}");
    }
    println!(
        "{} histories {} steps {} commits {} reboots, coverage {:?}, {:?}",
        stats.histories,
        stats.steps,
        stats.commits,
        stats.reboots,
        stats.coverage.pairs(),
        begun.elapsed()
    );
}
