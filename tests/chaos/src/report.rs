//! What a person sees: progress while it runs, figures and evidence at the end.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chaos_check::Figures;
use etcd_test_server::Version;

use crate::options::Options;
use crate::plan::{KINDS, Settings};
use crate::run::Run;

/// Between two lines of progress: on a terminal, and elsewhere.
const SHOW_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

pub(crate) fn announce(options: &Options, settings: &Settings, version: &Version) {
    let yes = |is: bool| if is { "yes" } else { "no" };
    println!(
        "chaos: seed {}, {:.1} minutes, {} hosts, three members of etcd {version}\n\
         \x20      limit {}, drain hooks: {}, policies: {}, cooldown {} s, settle {} s, failures stop the line: {}, racks: {}, waves: {}",
        options.seed,
        options.length.as_secs_f64() / 60.0,
        options.nodes,
        settings.limit,
        yes(settings.hooks),
        yes(settings.policies),
        settings.cooldown_sec,
        settings.settle_sec,
        yes(settings.halts),
        settings.racks,
        yes(settings.waves),
    );
}

impl Run {
    /// A line of progress, when it is time for one.
    pub(crate) fn show(&mut self) {
        let now = Instant::now();
        if now < self.shown.next {
            return;
        }
        let (terminal, elsewhere) = SHOW_EVERY;
        self.shown.next = now
            + if self.shown.terminal {
                terminal
            } else {
                elsewhere
            };
        let done = self.hosts.iter().filter(|host| host.is_done());
        let down = self.hosts.iter().filter(|host| !host.is_on()).count();
        let view = self.observer.view();
        let committed = view
            .claims
            .iter()
            .filter(|(_, committed)| *committed)
            .count();
        let faults: Vec<&str> = self.active.iter().map(|active| active.fault.name).collect();
        let line = format!(
            "{:5.0} s  round {}: {} of {} done, {down} down, {committed} committed, {} queued; {} faults; now: {}",
            self.seconds(),
            self.shown.round,
            done.count(),
            self.hosts.len(),
            view.claims.len() - committed,
            self.struck,
            if faults.is_empty() {
                "calm".to_owned()
            } else {
                faults.join(", ")
            }
        );
        let (before, after) = if self.shown.terminal {
            ("\r\x1b[K", "")
        } else {
            ("", "\n")
        };
        // Nobody may be looking any more.
        let mut out = io::stdout();
        let _ = write!(out, "{before}{line}{after}").and_then(|()| out.flush());
    }
}

/// Judges the records in a folder once more.
pub(crate) fn judge_again(folder: &Path) -> io::Result<ExitCode> {
    judge(folder)
}

/// Judges the records in a folder, and tells.
pub(crate) fn judge(folder: &Path) -> io::Result<ExitCode> {
    let history = fs::read_to_string(folder.join("history"))?;
    let ledger = fs::read_to_string(folder.join("ledger"))?;
    let verdict = chaos_check::judge(&history, &ledger).map_err(io::Error::other)?;
    print!("{}", figures(&verdict.figures));
    if verdict.violations.is_empty() {
        println!("violations    none");
        return Ok(ExitCode::SUCCESS);
    }
    println!("violations    {}", verdict.violations.len());
    for violation in &verdict.violations {
        println!("\n{violation}");
    }
    Ok(ExitCode::FAILURE)
}

fn figures(figures: &Figures) -> String {
    let mut text = String::from("\nfaults\n");
    for (_, name, _) in KINDS {
        let count = figures.faults.get(name).copied().unwrap_or(0);
        text.push_str(&format!("  {count:4}  {name}\n"));
    }
    let total: usize = figures.faults.values().sum();
    let (stall, at) = figures.longest_stall;
    text.push_str(&format!(
        "  {total:4}  in all\n\
         rounds        {}\n\
         reboots       {} by their command, {} hosts lost power besides; {} claims committed\n\
         at once       {} out by the hosts' ledger, {} committed by etcd's revisions, at most\n\
         longest stall {stall:.1} s (work to do, no fault, no host down), until {at:.1}\n\
         judged        {} revisions, {} lines of the ledger\n",
        figures.rounds,
        figures.reboots,
        figures.power_losses,
        figures.commits,
        figures.most_out,
        figures.most_committed,
        figures.revisions,
        figures.lines,
    ));
    text
}
