//! What closes each gate, for people.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::core::budget;
use crate::core::facts::{DetectorReport, DetectorResult};
use crate::core::machine::DETECTOR;
use crate::core::windows::Windows;
use crate::core::{Refusal, Verdict, Word, judge_detectors};
use crate::host::KillSwitch;
use crate::identity::is_same;
use crate::lock::RebootRequest;
use crate::lock::survey::Survey;
use crate::status::describe::{
    committed, cooldown_text, framed, names, of_node, paused_text, request_text,
};
use crate::status::local::Local;
use crate::status::times::{ago, ago_text, clock, instant, rfc3339, until, zone};

/// What its gate says of such a refusal; the text says it relative to now.
pub(super) fn refused(refusal: fn(String) -> Refusal, text: impl Into<String>) -> Verdict {
    let text = text.into();
    let refusal = refusal(text.clone());
    Verdict {
        text,
        ..Verdict::refused(refusal.gate(), &refusal)
    }
}

pub(crate) fn unasked(name: &'static str) -> Verdict {
    Verdict {
        gate: name.to_owned(),
        ..refused(Refusal::Etcd, "etcd could not be asked")
    }
}

pub(crate) fn detectors(local: &Local, survey: Option<&Survey>, now: Timestamp) -> Verdict {
    const NAME: &str = "detectors";
    let request = requested(local, survey, now);
    let (mut reports, not_run) = local.detectors.clone().unzip();
    let reports = reports.get_or_insert_default();
    reports.push(request);
    let details = reports.iter().filter_map(|report| match &report.result {
        DetectorResult::Required(detail) => Some(format!("{}: {detail}", report.name)),
        DetectorResult::Clear | DetectorResult::Failed(_) => None,
    });
    let details = details.collect::<Vec<_>>().join("; ");
    match (judge_detectors(reports), not_run) {
        (Ok(_), _) => Verdict::ok(NAME, format!("a reboot is required ({details})")),
        (Err(_), None) => Verdict::not_asked(NAME, "not run by status (use simulate)"),
        (Err(_), Some(not_run)) if !not_run.is_empty() => {
            let others = names(not_run.iter().map(String::as_str));
            let text = "no file asks for a reboot; commands were not run:";
            Verdict::not_asked(NAME, format!("{text} {others} (use simulate)"))
        }
        (Err(refusal), Some(_)) => Verdict::refused(NAME, &refusal),
    }
}

/// What the detector says that is always on: an operator's request that no boot has satisfied yet.
fn requested(local: &Local, survey: Option<&Survey>, now: Timestamp) -> DetectorReport {
    let own = survey.map(|survey| of_node(&survey.requests, local.node()));
    let result = match own {
        None => DetectorResult::Failed("could not be asked".to_owned()),
        Some(None) => DetectorResult::Clear,
        Some(Some(Err(error))) => DetectorResult::Failed(error.to_string()),
        Some(Some(Ok(request))) if satisfied(local, request) => DetectorResult::Clear,
        Some(Some(request)) => {
            DetectorResult::Required(format!("requested {}", request_text(request, now)))
        }
    };
    DetectorReport {
        name: DETECTOR.to_owned(),
        result,
        target: None,
        took: Duration::ZERO,
    }
}

fn satisfied(local: &Local, request: &RebootRequest) -> bool {
    request.boot_id.is_some() && request.boot_id != local.boot_id
}

/// The urgent request for this node, when there is one that no boot has satisfied.
pub(crate) fn urgent<'a>(local: &Local, survey: &'a Survey) -> Option<&'a RebootRequest> {
    let request = of_node(&survey.requests, local.node())?.as_ref().ok()?;
    (request.urgent_until.is_some() && !satisfied(local, request)).then_some(request)
}

/// What a gate says that an urgent request passes.
pub(crate) fn past(gate: Verdict, urgent: Option<&RebootRequest>) -> Verdict {
    match urgent {
        Some(request) if gate.blocks() => {
            Verdict::ok(&gate.gate, format!("{}; {}", request.text(), gate.text))
        }
        _ => gate,
    }
}

pub(crate) fn kill_switch(local: &Local, now: Timestamp) -> Verdict {
    let path = local.config.kill_switch_file.display();
    match &local.kill_switch {
        KillSwitch::Absent => Verdict::ok("kill switch", format!("{path} is not there")),
        KillSwitch::Present { since, text } => {
            let at = since.and_then(|at| Timestamp::try_from(at).ok());
            let written = at.map_or_else(String::new, |at| format!(", written {}", ago(now, at)));
            let text = framed(": ", text, "");
            refused(
                Refusal::KillSwitch,
                format!("{path} is there{written}{text}"),
            )
        }
        KillSwitch::Unknown(why) => {
            let text = format!("it cannot be checked, so it counts as on: {why}");
            refused(Refusal::KillSwitch, text)
        }
    }
}

/// How far back the last change of a window is looked for: that of a weekly one is found.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(8 * 24);

pub(crate) fn window(windows: Option<&Windows>, now: Timestamp, at: Timestamp) -> Verdict {
    let Some(windows) = windows else {
        return Verdict::ok("window", "none is configured, so it is always open");
    };
    let zone = windows.zone();
    let verdict = windows.verdict(at);
    let when = (at != now).then(|| format!("at {}: ", clock(at, zone)));
    let when = when.unwrap_or_default();
    let why = match (&verdict.by, verdict.open) {
        (Some(entry), true) => format!("allowed by {entry:?}"),
        (Some(entry), false) => format!("denied by {entry:?}"),
        (None, true) => "nothing denies it".to_owned(),
        (None, false) => "no allow entry covers it".to_owned(),
    };
    let next = windows.next_change(at);
    let verb = if verdict.open { "closes" } else { "opens" };
    let change = match next {
        Some(next) => format!("{verb} {} ({})", clock(next, zone), until(now, next)),
        None if verdict.open => "never closes".to_owned(),
        None => "never opens: change `windows` in the configuration".to_owned(),
    };
    let since = windows.since(at, LOOK_BACK);
    let since = since.map(|since| format!(" since {}", clock(since, zone)));
    let since = since.unwrap_or_default();
    let text = format!("{when}{why}{since}; {change}");
    let changes_at = next.map(rfc3339);
    Verdict {
        changes_at,
        ..match verdict.open {
            true => Verdict::ok("window", text),
            false => refused(Refusal::Window, text),
        }
    }
}

pub(crate) fn pause(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    let Some(pause) = &survey.pause else {
        return Verdict::ok("pause", "the cluster is not paused");
    };
    let until = pause.as_ref().ok().and_then(|pause| pause.until.as_deref());
    Verdict {
        changes_at: until.and_then(instant).map(rfc3339),
        ..refused(
            Refusal::Paused,
            paused_text(pause, now, &zone(&local.config)),
        )
    }
}

pub(crate) fn cooldown(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    match &survey.cooldown {
        None => Verdict::ok("cooldown", "the cluster does not cool down"),
        Some(Ok(cooldown)) => Verdict {
            changes_at: instant(&cooldown.until).map(rfc3339),
            ..refused(
                Refusal::Cooldown,
                cooldown_text(cooldown, now, &zone(&local.config)),
            )
        },
        Some(Err(error)) => refused(Refusal::Cooldown, error.to_string()),
    }
}

/// While an attempt is under way the budget is not judged: how it ends decides.
pub(crate) fn spent(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    const NAME: &str = "budget";
    let record = match of_node(&survey.nodes, local.node()) {
        None => return Verdict::ok(NAME, "not used; this node is not registered yet"),
        Some(Err(error)) => return Verdict::refused(NAME, &Refusal::Etcd(error.to_string())),
        Some(Ok(record)) => record,
    };
    if !is_same(&record.node_id, &local.config.node_id) {
        return Verdict::not_asked(NAME, "another machine is registered under this name");
    }
    if of_node(&survey.claims, local.node()).is_some_and(committed) {
        return Verdict::not_asked(NAME, "an attempt is under way: how it ends decides");
    }
    if record.attempt.is_some() {
        let why =
            "the claim of the last attempt was taken away, so how that ended is not known yet";
        return Verdict::not_asked(NAME, why);
    }
    let last = record.last_reboot.as_ref();
    let last = last.map(|last| format!("; last reboot {}", ago_text(now, &last.at)));
    let last = last.unwrap_or_default();
    let used = record.budget_used;
    let max = local.config.max_reboots_without_clearing;
    if budget::left(record, max) {
        return Verdict::ok(NAME, format!("{used} of {max} used{last}"));
    }
    let text = format!(
        "{used} of {max} reboots used, requirement not cleared{last}; whole again once no detector asks; to let it try \
         again: reboot-coordinator reset-budget {} --reason TEXT",
        local.node()
    );
    refused(Refusal::Budget, text)
}

/// Which other machine is registered under this node's name, or has a claim under it.
pub(crate) fn namesake<'a>(local: &Local, survey: &'a Survey) -> Option<&'a str> {
    let registered = of_node(&survey.nodes, local.node()).and_then(|it| it.as_ref().ok());
    let claimed = of_node(&survey.claims, local.node()).and_then(|it| it.claim.as_ref().ok());
    let known = registered.map(|it| it.node_id.as_str()).into_iter();
    let mut known = known.chain(claimed.map(|it| it.node_id.as_str()));
    known.find(|id| !is_same(id, &local.config.node_id))
}

/// Whether this machine is the one that is known under its name; nothing when nobody else is.
pub(crate) fn name(local: &Local, survey: &Survey) -> Option<Verdict> {
    let other = namesake(local, survey)?;
    let text = format!(
        "another machine uses the name {}, with node_id {other}: change node_name on one of them",
        local.node()
    );
    Some(Verdict {
        reason: Some("name_conflict".to_owned()),
        verdict: Word::Blocks,
        ..Verdict::ok("name", text)
    })
}
