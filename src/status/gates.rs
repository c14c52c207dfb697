//! The gates of this node, judged in the daemon's order as far as they can be known without running anything.

mod judge;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::judge::{
    cooldown, detectors, health, kill_switch, pause, policies, spent, turn, unasked, window,
};
use super::describe::{age, committed, phase};
use super::local::Local;
use super::times::{clock, until};
use crate::core::Refusal;
use crate::lock::survey::Survey;

/// What is known of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It lets this node pass.
    Open,
    /// It does not.
    Closed,
    /// It cannot be known now.
    Unknown,
    /// Only something that was not run can tell.
    NotRun,
}

impl Verdict {
    /// The word for people and programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Open => "open",
            Verdict::Closed => "closed",
            Verdict::Unknown => "unknown",
            Verdict::NotRun => "not run",
        }
    }
}

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    /// The label of the refusal in logs and metrics, when it is closed.
    pub(crate) label: Option<&'static str>,
    /// Why, since when and until when, for people.
    pub(crate) text: String,
    /// When it changes by itself.
    pub(crate) changes_at: Option<Timestamp>,
}

impl Gate {
    fn new(name: &'static str, verdict: Verdict, text: impl Into<String>) -> Gate {
        Gate {
            name,
            verdict,
            label: None,
            text: text.into(),
            changes_at: None,
        }
    }

    fn open(name: &'static str, text: impl Into<String>) -> Gate {
        Gate::new(name, Verdict::Open, text)
    }

    /// `refusal` gives the label only; the text says it relative to now.
    fn closed(name: &'static str, refusal: &Refusal, text: impl Into<String>) -> Gate {
        Gate {
            label: Some(refusal.label()),
            ..Gate::new(name, Verdict::Closed, text)
        }
    }

    fn changing(self, at: Option<Timestamp>) -> Gate {
        Gate {
            changes_at: at,
            ..self
        }
    }
}

/// The gates in the order in which the daemon judges them. `window_at` is when the maintenance window is judged.
pub(crate) fn gates(
    local: &Local,
    survey: Option<&Survey>,
    now: Timestamp,
    window_at: Timestamp,
) -> Vec<Gate> {
    let mut gates = vec![
        detectors(local, survey, now),
        kill_switch(local, now),
        window(local.windows.as_ref(), now, window_at),
    ];
    match survey {
        Some(survey) => gates.extend([
            pause(survey, now, &local.zone()),
            cooldown(survey, now, &local.zone()),
            spent(local, survey, now),
        ]),
        None => gates.extend(["pause", "cooldown", "budget"].map(unasked)),
    }
    gates.extend(policies(local, survey));
    gates.push(health(local, survey, now));
    gates.push(match survey {
        Some(survey) => turn(local, survey, now),
        None => unasked("turn"),
    });
    if local.dry_run {
        let refusal = Refusal::DryRun;
        gates.push(Gate::closed(
            "dry_run",
            &refusal,
            "is set: this node does not commit",
        ));
    }
    gates
}

/// The one sentence before the gates.
pub(crate) fn summary(
    local: &Local,
    survey: Option<&Survey>,
    gates: &[Gate],
    now: Timestamp,
) -> String {
    let node = &local.node;
    let own = survey.and_then(|survey| survey.claims.iter().find(|(name, _)| name == node));
    if let Some((_, found)) = own.filter(|(_, found)| committed(found)) {
        return format!(
            "{node} is past the point of no return: {} for {}.",
            phase(found),
            age(found, now)
        );
    }
    let with = |verdict: Verdict| -> Vec<&str> {
        let those = gates.iter().filter(|gate| gate.verdict == verdict);
        those.map(|gate| gate.name).collect()
    };
    let (closed, unknown, not_run) = (
        with(Verdict::Closed),
        with(Verdict::Unknown),
        with(Verdict::NotRun),
    );
    if gates
        .iter()
        .any(|gate| gate.label == Some(Refusal::NotRequired.label()))
    {
        return format!("{node} does not reboot now: no reboot is required.");
    }
    if !closed.is_empty() {
        return format!("{node} does not reboot now; closed: {}.", closed.join(", "));
    }
    if !unknown.is_empty() {
        return format!(
            "{node} does not reboot now; unknown, which counts as no: {}.",
            unknown.join(", ")
        );
    }
    format!(
        "Nothing that can be seen keeps {node} from rebooting; not run: {}.",
        not_run.join(", ")
    )
}

/// The gate that opens first by itself, for people; closed ones only.
pub(crate) fn next_opening(gates: &[Gate], now: Timestamp, zone: &TimeZone) -> Option<String> {
    let closed = gates
        .iter()
        .filter(|gate| gate.verdict == Verdict::Closed)
        .filter_map(|gate| Some((gate.changes_at.filter(|at| *at > now)?, gate.name)));
    let (at, name) = closed.min()?;
    Some(format!(
        "Next to open by itself: {name}, {} ({}).",
        clock(at, zone),
        until(now, at)
    ))
}

#[cfg(test)]
mod tests;
