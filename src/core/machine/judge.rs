//! What the facts mean for one gate: open, or why not. Unknown is "no".

use std::time::Duration;

use jiff::Timestamp;

use super::Machine;
use crate::core::facts::{DetectorReport, DetectorResult, ScriptReport};
use crate::core::text::describe;
use crate::core::{Refusal, budget};
use crate::lock::outcome::Found;
use crate::lock::record::RecordError;
use crate::lock::waves::Look;
use crate::lock::{Cooldown, GoOn, Held, Pause};

/// A judgement of the gates: what was found out, and what of it a commit compares.
#[derive(Debug, Default)]
pub(super) struct Judging {
    pub(super) reasons: Vec<String>,
    /// The kernel that would be booted, as the detectors said last.
    pub(super) target: Option<String>,
    /// Why the host's own detectors do not ask, when they do not.
    pub(super) detected: Option<Refusal>,
    /// The host's own detectors asked for nothing at some look since the last commit: etcd may have been away just then, and the
    /// budget is whole all the same.
    pub(super) cleared: bool,
    /// When the judgement of the gates that is under way, or was the last, began.
    pub(super) since: Duration,
    /// Whether an operator's request asks, at the last look.
    pub(super) requested: bool,
    /// The mod revision of the request at the last look; 0 for none.
    pub(super) request_modified: i64,
    /// Whether that request is urgent. Known not to be at the beginning of each judgement.
    pub(super) urgent: bool,
    /// When the cooldown and the pause that were found last end, by their writers' clocks.
    pub(super) closed_until: [Option<Timestamp>; 2],
    /// The gates that it let this node past since etcd was read last.
    pub(super) passed: Vec<&'static str>,
    /// The revision at which the line was judged last, when failures stop it, and the operator's word that it needed.
    pub(super) line: Option<(i64, Option<(i64, GoOn)>)>,
    /// Whom the gate of the waves looks at next.
    pub(super) look: Look,
    /// The revision at which the waves were judged last, when somebody is in a lower one.
    pub(super) waves: Option<i64>,
    /// What was judged last was judged by a configuration that is gone.
    pub(super) outdated: bool,
}

impl Machine {
    /// Outside of the maintenance window, with when it opens.
    pub(super) fn judge_window(&self) -> Result<(), Refusal> {
        let Some(windows) = &self.settings.windows else {
            return Ok(());
        };
        let verdict = windows.verdict(self.now.wall);
        if verdict.open {
            return Ok(());
        }
        let why = match verdict.by {
            Some(entry) => format!("closed by {entry:?}"),
            None => "no allow entry covers this time".to_owned(),
        };
        let next = match windows.next_open(self.now.wall) {
            Some(at) => format!("opens by itself at {at}"),
            None => "never opens: change `windows` in the configuration".to_owned(),
        };
        Err(Refusal::Window(format!("{why}; {next}")))
    }

    /// The budget that the registration leaves.
    pub(super) fn judge_budget(&self) -> Result<(), Refusal> {
        let (record, max) = (self.record(), self.settings.max_reboots_without_clearing);
        if budget::left(&record, max) {
            return Ok(());
        }
        if self.judging.detected.is_some() {
            return Err(Refusal::Budget(
                "this request was tried already and the claim was taken away meanwhile".to_owned(),
            ));
        }
        let last = record.last_reboot.as_ref();
        let last = last.map_or_else(String::new, |last| format!(", the last at {}", last.at));
        Err(Refusal::Budget(format!(
            "{} of {max} reboots used, requirement not cleared{last}",
            record.budget_used
        )))
    }

    pub(super) fn judge_health(&self, report: &ScriptReport) -> Result<(), Refusal> {
        if report.outcome.success() {
            return Ok(());
        }
        Err(Refusal::Health(describe(report)))
    }
}

/// Whether the claim found is the one held, unchanged.
pub(super) fn stands(held: &Held, found: Option<&Found>) -> bool {
    found.is_some_and(|found| found.create == held.create && found.modified == held.modified)
}

/// Required when at least one says so; unknown when none does and one could not tell.
///
/// # Errors
/// [`Refusal::NotRequired`] or [`Refusal::Unknown`].
pub fn judge_detectors(reports: &[DetectorReport]) -> Result<Vec<String>, Refusal> {
    let mut reasons = Vec::new();
    let mut failed = Vec::new();
    for report in reports {
        match &report.result {
            DetectorResult::Required(_) => reasons.push(report.name.clone()),
            DetectorResult::Failed(why) => failed.push(format!("{}: {why}", report.name)),
            DetectorResult::Clear => {}
        }
    }
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    // No report at all proves nothing either.
    if !failed.is_empty() || reports.is_empty() {
        return Err(Refusal::Unknown(failed.join("; ")));
    }
    Err(Refusal::NotRequired)
}

/// The kernel that would be booted, when it is certain.
pub fn target(reports: &[DetectorReport]) -> Option<String> {
    let mut known = reports.iter().filter_map(|report| report.target.as_ref());
    let first = known.next()?;
    known.all(|other| other == first).then(|| first.clone())
}

/// The kill switch of the cluster. A record that cannot be read still blocks.
///
/// # Errors
/// [`Refusal::Paused`].
pub fn judge_pause(pause: Option<&Result<Pause, RecordError>>) -> Result<(), Refusal> {
    match pause {
        None => Ok(()),
        Some(Ok(pause)) => Err(Refusal::Paused(format!(
            "by {} since {}: {}",
            pause.by, pause.since, pause.reason
        ))),
        Some(Err(error)) => Err(Refusal::Paused(error.to_string())),
    }
}

/// The cooldown. A record that cannot be read still blocks.
///
/// # Errors
/// [`Refusal::Cooldown`].
pub fn judge_cooldown(cooldown: Option<&Result<Cooldown, RecordError>>) -> Result<(), Refusal> {
    match cooldown {
        None => Ok(()),
        Some(Ok(cooldown)) => Err(Refusal::Cooldown(format!(
            "{} rebooted; until {}",
            cooldown.node, cooldown.until
        ))),
        Some(Err(error)) => Err(Refusal::Cooldown(error.to_string())),
    }
}
