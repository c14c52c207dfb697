//! `simulate`: runs histories of a simulated fleet and checks the promise of the protocol in each.

use std::process::ExitCode;
use std::time::Instant;

use simulation::coverage::{INPUTS, STATES};
use simulation::crash::all_pairs;
use simulation::planted::Planted;
use simulation::run::{Report, history, many, search};
use simulation::story::{shrink, tell};
use simulation::{Plan, late};

const HELP: &str = "\
Runs histories of a simulated fleet and checks the promise of the protocol after every step.

Usage: scripts/simulate [--histories N] [--seed S] [--jobs J] [--story] [--faults] [--fault NAME] [--crashes] [--coverage]

  --histories N  how many histories (default 100000; with --faults, for each fault: 3000)
  --seed S       the first seed (default 1)
  --jobs J       threads (default 2)
  --story        tell what happened in the first history that fails, made as small as it gets; when none fails, in the first
  --faults       plant one fault after another into the protocol; every one must be found
  --fault NAME   only this one, or all whose name begins so
  --crashes      kill one node before and after every action of its life, and at every pair of such points
  --coverage     which inputs met the machine in which states
";

/// How far the search for a planted fault goes when the first histories do not show it.
const SEARCH: u64 = 200_000;

struct Options {
    histories: Option<u64>,
    seed: u64,
    jobs: usize,
    story: bool,
    faults: Option<String>,
    crashes: bool,
    coverage: bool,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(64);
        }
    };
    let good = if let Some(name) = &options.faults {
        faults(&options, name)
    } else if options.crashes {
        crashes(options.jobs)
    } else {
        histories(&options)
    };
    ExitCode::from(u8::from(!good))
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        histories: None,
        seed: 1,
        jobs: 2,
        story: false,
        faults: None,
        crashes: false,
        coverage: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("histories") => options.histories = Some(parser.value()?.parse()?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("jobs") => options.jobs = parser.value()?.parse()?,
            Long("story") => options.story = true,
            Long("faults") => options.faults = Some(String::new()),
            Long("fault") => options.faults = Some(parser.value()?.string()?),
            Long("crashes") => options.crashes = true,
            Long("coverage") => options.coverage = true,
            Short('h') | Long("help") => return Ok(None),
            Short(_) | Long(_) | Value(_) => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

fn histories(options: &Options) -> bool {
    let begun = Instant::now();
    let count = options.histories.unwrap_or(100_000);
    let report = many(options.seed, count, options.jobs, None);
    print_report(&report, begun);
    if options.coverage {
        print_coverage(&report);
    }
    for (seed, violation) in &report.failed {
        println!(
            "seed {seed}: {} does not hold: {}",
            violation.property, violation.detail
        );
        println!("  scripts/simulate --seed {seed} --histories 1 --story");
    }
    if options.story {
        let seed = report.failed.keys().next().copied().unwrap_or(options.seed);
        print_story(seed, None);
    }
    report.failures == 0
}

fn print_story(seed: u64, planted: Option<Planted>) {
    let plan = Plan::of_seed(seed);
    let plan = match history(seed, planted).violation {
        Some(violation) => shrink(&plan, violation.property, planted),
        None => plan,
    };
    println!("the story of seed {seed}");
    for line in tell(plan, planted) {
        println!("{line}");
    }
}

fn print_report(report: &Report, begun: Instant) {
    let stats = &report.stats;
    let seconds = begun.elapsed().as_secs_f64();
    let (seen, of) = stats.coverage.pairs();
    println!("histories            {}", stats.histories);
    println!("steps                {}", stats.steps);
    println!("commits              {}", stats.commits);
    println!("reboots              {}", stats.reboots);
    println!("claims taken away    {}", stats.taken);
    println!("state × input pairs  {seen} of {of} (not all can happen)");
    println!("time                 {seconds:.1} s");
    println!("failures             {}", report.failures);
    println!("faults");
    for (name, count) in &stats.faults {
        println!("  {name:<20} {count}");
    }
}

fn print_coverage(report: &Report) {
    for (state, row) in STATES.iter().zip(&report.stats.coverage.0) {
        let met: Vec<String> = INPUTS
            .iter()
            .zip(row)
            .filter(|(_, count)| **count > 0)
            .map(|(input, count)| format!("{input} {count}"))
            .collect();
        println!("{state}: {}", met.join(", "));
    }
}

fn crashes(jobs: usize) -> bool {
    let begun = Instant::now();
    let (runs, failed) = all_pairs(jobs);
    for what in &failed {
        println!("{what}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{runs} deaths and pairs of deaths, {} failures, {seconds:.1} s",
        failed.len()
    );
    let begun = Instant::now();
    let cases = late::cases(1);
    let stranded = late::all(&cases, jobs, None);
    for what in &stranded {
        println!("{what}");
    }
    println!(
        "{} requests that arrive late, {} failures, {:.1} s",
        cases.len(),
        stranded.len(),
        begun.elapsed().as_secs_f64()
    );
    failed.is_empty() && stranded.is_empty()
}

fn faults(options: &Options, name: &str) -> bool {
    let count = options.histories.unwrap_or(3000);
    let mut missed = 0;
    println!(
        "{:<26} {:>6} of {:<7} {:<9} {:>6}  first",
        "fault", "found", "seeds", "property", "time"
    );
    let all = Planted::ALL.iter();
    let all: Vec<_> = all
        .filter(|(planted, _)| format!("{planted:?}").starts_with(name))
        .collect();
    for (planted, text) in &all {
        let begun = Instant::now();
        let search = search(*planted, options.seed, count, SEARCH, options.jobs);
        let shown = search.first.as_ref().map_or_else(
            || "NOT FOUND".to_owned(),
            |(seed, _)| format!("seed {seed} (without the fault: no violation)"),
        );
        println!(
            "{:<26} {:>6} of {:<7} {:<9} {:>4.1} s  {shown}: {}",
            format!("{planted:?}"),
            search.found,
            search.searched,
            search.first.as_ref().map_or("", |(_, property)| property),
            begun.elapsed().as_secs_f64(),
            text.trim(),
        );
        match search.first {
            Some((seed, _)) if options.story => print_story(seed, Some(*planted)),
            Some(_) => {}
            None => missed += 1,
        }
    }
    let all = all.len();
    println!(
        "{} of {all} found, each by a property that is about it, in a seed that passes without it",
        all - missed
    );
    missed == 0
}
