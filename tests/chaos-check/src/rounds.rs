//! P5 and P6: in each round of "everyone needs a reboot" every node reboots exactly once.

use std::collections::BTreeMap;

use crate::Verdict;
use crate::ledger::{Ledger, Line, What};

#[derive(Default)]
struct Account<'a> {
    reboots: Vec<&'a Line>,
    /// It lost its power while it needed a reboot, which is a reboot too.
    lost_power: bool,
}

/// Judges all rounds that came to an end.
pub(crate) fn judge(ledger: &Ledger, verdict: &mut Verdict) {
    let mut accounts: BTreeMap<&str, Account<'_>> = BTreeMap::new();
    for line in &ledger.lines {
        match &line.what {
            What::Round(_) => {
                verdict.figures.rounds += 1;
                accounts.clear();
            }
            What::Down { node, asked, .. } => {
                let account = accounts.entry(node).or_default();
                if *asked {
                    verdict.figures.reboots += 1;
                    account.reboots.push(line);
                } else {
                    verdict.figures.power_losses += 1;
                    account.lost_power = true;
                }
            }
            What::Fault { kind, .. } => {
                let count = verdict.figures.faults.entry(kind.clone()).or_default();
                *count += 1;
            }
            What::Unfinished(number) => {
                let what = format!("round {number} did not end though the faults were over");
                verdict.accuse("P5", what, vec![line.to_string()]);
                settle(*number, ledger, &accounts, line, verdict);
            }
            What::Settled(number) => settle(*number, ledger, &accounts, line, verdict),
            _ => {}
        }
    }
}

fn settle(
    round: usize,
    ledger: &Ledger,
    accounts: &BTreeMap<&str, Account<'_>>,
    end: &Line,
    verdict: &mut Verdict,
) {
    for node in &ledger.setup.nodes {
        let account = accounts.get(node.as_str());
        let reboots = account.map_or(0, |account| account.reboots.len());
        let excused = account.is_some_and(|account| account.lost_power);
        if reboots == 1 || reboots == 0 && excused {
            continue;
        }
        let (promise, what) = match reboots {
            0 => ("P5", format!("{node} did not reboot in round {round}")),
            _ => (
                "P6",
                format!("{node} rebooted {reboots} times in round {round}"),
            ),
        };
        let lines = account.map_or(&[][..], |account| &account.reboots);
        let evidence = lines.iter().copied().chain([end]);
        verdict.accuse(promise, what, evidence.map(Line::to_string).collect());
    }
}
