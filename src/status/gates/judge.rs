//! What closes each gate, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{changing, refused};
use crate::core::facts::{DetectorReport, DetectorResult};
use crate::core::line::{self, HaltScope};
use crate::core::machine::DETECTOR;
use crate::core::machine::{judge_budget, judge_cooldown, judge_pause, judge_window, target};
use crate::core::windows::Windows;
use crate::core::{Refusal, Verdict, Word, judge_detectors, policy, wave};
use crate::host::KillSwitch;
use crate::identity::is_same;
use crate::lock::RebootRequest;
use crate::lock::outcome::{Found, Members};
use crate::lock::record::RecordError;
use crate::lock::survey::Survey;
use crate::lock::waves::Member;
use crate::status::describe::{age, committed, names, pause_text, phase, request_text, until_text};
use crate::status::local::{Detectors, Local};
use crate::status::times::{ago, ago_text, clock, instant, since_text, until};

pub(crate) fn unasked(name: &'static str) -> Verdict {
    let refusal = Refusal::Etcd("it could not be asked".to_owned());
    refused(name, &refusal, "etcd could not be asked")
}

pub(crate) fn detectors(local: &Local, survey: Option<&Survey>, now: Timestamp) -> Verdict {
    const NAME: &str = "detectors";
    let request = requested(local, survey, now);
    let (reports, not_run) = match &local.detectors {
        Detectors::NotRun => (vec![request], None),
        Detectors::Asked(reports, not_run) => {
            let reports = reports.iter().cloned().chain([request]);
            (reports.collect(), Some(not_run))
        }
    };
    let details = reports.iter().filter_map(|report| match &report.result {
        DetectorResult::Required(detail) => Some(format!("{}: {detail}", report.name)),
        DetectorResult::Clear | DetectorResult::Failed(_) => None,
    });
    let details: Vec<String> = details.collect();
    let verdict = judge_detectors(&reports);
    match (verdict, not_run) {
        (Ok(_), _) => Verdict::ok(
            NAME,
            format!("a reboot is required ({})", details.join("; ")),
        ),
        (Err(_), None) => Verdict::not_asked(NAME, "not run by status (use simulate)"),
        (Err(_), Some(not_run)) if !not_run.is_empty() => {
            let others = names(not_run.iter().map(String::as_str));
            let text = format!(
                "no file asks for a reboot; commands were not run: {others} (use simulate)"
            );
            Verdict::not_asked(NAME, text)
        }
        (Err(refusal), Some(_)) => refused(NAME, &refusal, refusal.text()),
    }
}

/// What the detector says that is always on: an operator's request that no boot has satisfied yet.
fn requested(local: &Local, survey: Option<&Survey>, now: Timestamp) -> DetectorReport {
    let own = survey.map(|survey| own_request(local, survey));
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

fn own_request<'a>(
    local: &Local,
    survey: &'a Survey,
) -> Option<&'a Result<RebootRequest, RecordError>> {
    let mut requests = survey.requests.iter();
    let own = requests.find(|(node, _)| *node == local.node);
    own.map(|(_, request)| request)
}

fn satisfied(local: &Local, request: &RebootRequest) -> bool {
    request.boot_id.is_some() && request.boot_id != local.boot_id
}

/// The urgent request for this node, when there is one that no boot has satisfied.
pub(crate) fn urgent<'a>(local: &Local, survey: &'a Survey) -> Option<&'a RebootRequest> {
    let request = own_request(local, survey)?.as_ref().ok()?;
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
    const NAME: &str = "kill switch";
    let path = local.kill_switch_file.display();
    let refusal = Refusal::KillSwitch(String::new());
    match &local.kill_switch {
        KillSwitch::Absent => Verdict::ok(NAME, format!("{path} is not there")),
        KillSwitch::Present { since, text } => {
            let since = since
                .and_then(|at| Timestamp::try_from(at).ok())
                .map_or_else(String::new, |at| format!(", written {}", ago(now, at)));
            let why = if text.is_empty() {
                String::new()
            } else {
                format!(": {text}")
            };
            refused(NAME, &refusal, format!("{path} is there{since}{why}"))
        }
        KillSwitch::Unknown(why) => refused(
            NAME,
            &refusal,
            format!("it cannot be checked, so it counts as on: {why}"),
        ),
    }
}

/// How far back the last change of a window is looked for: that of a weekly one is found.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(8 * 24);

pub(crate) fn window(windows: Option<&Windows>, now: Timestamp, at: Timestamp) -> Verdict {
    const NAME: &str = "window";
    let judged = judge_window(windows, at);
    let Some(windows) = windows else {
        return Verdict::of(NAME, &judged, "none is configured, so it is always open");
    };
    let zone = windows.zone();
    let verdict = windows.verdict(at);
    let when = if at == now {
        String::new()
    } else {
        format!("at {}: ", clock(at, zone))
    };
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
    let since = since.map_or_else(String::new, |since| {
        format!(" since {}", clock(since, zone))
    });
    let text = format!("{when}{why}{since}; {change}");
    let said = Verdict {
        text: text.clone(),
        ..Verdict::of(NAME, &judged, text)
    };
    changing(said, next)
}

pub(crate) fn pause(survey: &Survey, now: Timestamp, zone: &TimeZone) -> Verdict {
    const NAME: &str = "pause";
    let Err(refusal) = judge_pause(survey.pause.as_ref()) else {
        return Verdict::ok(NAME, "the cluster is not paused");
    };
    match &survey.pause {
        Some(Ok(pause)) => changing(
            refused(NAME, &refusal, pause_text(pause, now, zone)),
            pause.until.as_deref().and_then(instant),
        ),
        Some(Err(error)) => refused(NAME, &refusal, format!("paused, but {error}")),
        None => Verdict::refused(NAME, &refusal),
    }
}

pub(crate) fn cooldown(survey: &Survey, now: Timestamp, zone: &TimeZone) -> Verdict {
    const NAME: &str = "cooldown";
    let Err(refusal) = judge_cooldown(survey.cooldown.as_ref()) else {
        return Verdict::ok(NAME, "the cluster does not cool down");
    };
    match &survey.cooldown {
        Some(Ok(cooldown)) => {
            let end = until_text(&cooldown.until, now, zone);
            let since = ago_text(now, &cooldown.since);
            let text = format!("{end}; {} rebooted {since}", cooldown.node);
            changing(refused(NAME, &refusal, text), instant(&cooldown.until))
        }
        Some(Err(error)) => refused(NAME, &refusal, error.to_string()),
        None => Verdict::refused(NAME, &refusal),
    }
}

/// While an attempt is under way the budget is not judged: how it ends decides.
pub(crate) fn spent(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    const NAME: &str = "budget";
    let own = survey.nodes.iter().find(|(node, _)| *node == local.node);
    let record = match own {
        None => return Verdict::ok(NAME, "not used; this node is not registered yet"),
        Some((_, Err(error))) => {
            return Verdict::refused(NAME, &Refusal::Etcd(error.to_string()));
        }
        Some((_, Ok(record))) => record,
    };
    if !is_same(&record.node_id, &local.node_id) {
        return Verdict::not_asked(NAME, "another machine is registered under this name");
    }
    let claim = survey.claims.iter().find(|(node, _)| *node == local.node);
    if claim.is_some_and(|(_, found)| committed(found)) {
        return Verdict::not_asked(NAME, "an attempt is under way: how it ends decides");
    }
    if record.attempt.is_some() {
        let text =
            "the claim of the last attempt was taken away, so how that ended is not known yet";
        return Verdict::not_asked(NAME, text);
    }
    let last = record.last_reboot.as_ref();
    let last = last.map_or_else(String::new, |last| {
        format!("; last reboot {}", ago_text(now, &last.at))
    });
    let (used, max) = (record.budget_used, local.budget);
    match judge_budget(record, max) {
        Ok(()) => Verdict::ok(NAME, format!("{used} of {max} used{last}")),
        Err(refusal) => {
            let text = format!(
                "{used} of {max} reboots did not clear the requirement{last}; whole again once no detector asks; to let it try \
                 again: reboot-coordinator reset-budget {} --reason TEXT",
                local.node
            );
            refused(NAME, &refusal, text)
        }
    }
}

/// Whether this machine is the one that is known under its name; nothing when nobody else is.
pub(crate) fn name(local: &Local, survey: &Survey) -> Option<Verdict> {
    let registered = survey.nodes.iter().find(|(node, _)| *node == local.node);
    let registered = registered.and_then(|(_, record)| Some(&record.as_ref().ok()?.node_id));
    let claimed = survey.claims.iter().find(|(node, _)| *node == local.node);
    let claimed = claimed.and_then(|(_, found)| Some(&found.claim.as_ref().ok()?.node_id));
    let other = registered.into_iter().chain(claimed);
    let other = other.into_iter().find(|id| !is_same(id, &local.node_id))?;
    let text = format!(
        "another machine uses the name {}, with node_id {other}: change node_name on one of them",
        local.node
    );
    Some(Verdict {
        gate: "name".to_owned(),
        verdict: Word::Blocks,
        reason: Some("name_conflict".to_owned()),
        text,
        ..Verdict::default()
    })
}

pub(crate) fn turn(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    const NAME: &str = "turn";
    let place = survey
        .claims
        .iter()
        .position(|(node, _)| *node == local.node);
    let own = place.map(|place| &survey.claims[place].1);
    let ours = |found: &&Found| {
        let claim = found.claim.as_ref();
        claim.is_ok_and(|claim| is_same(&claim.node_id, &local.node_id))
    };
    if own.is_some_and(|found| found.claim.is_ok() && !ours(&found)) {
        return Verdict::not_asked(NAME, "the claim under this name is of another machine");
    }
    if let Some(found) = own.filter(|found| committed(found)) {
        return Verdict::ok(NAME, own_text(found, now));
    }
    let ahead = &survey.claims[..place.unwrap_or(survey.claims.len())];
    let queued = own.map(|found| age(found, now));
    let own = queued.map_or_else(
        || "not in the queue".to_owned(),
        |age| format!("in the queue for {age}"),
    );
    let limit = usize::try_from(local.limit).unwrap_or(usize::MAX);
    if ahead.len() < limit {
        return Verdict::ok(NAME, format!("{own}; its turn is free"));
    }
    let before = names(ahead.iter().map(|(node, _)| node.as_str()));
    let text = format!("{own}; {} before it: {before}", ahead.len());
    refused(NAME, &Refusal::NotTurn(String::new()), text)
}

fn own_text(found: &Found, now: Timestamp) -> String {
    format!(
        "this node holds its claim: {} for {}",
        phase(found),
        age(found, now)
    )
}

/// The cluster policies, when there are any.
pub(crate) fn policies(local: &Local, survey: Option<&Survey>) -> Option<Verdict> {
    const NAME: &str = "policies";
    let policies = local.policies.as_ref()?;
    let Some(survey) = survey else {
        return Some(unasked(NAME));
    };
    let healthy = survey
        .reports
        .iter()
        .filter(|(_, said)| said.healthy == Some(true));
    let down = survey.claims.iter().filter(|(_, found)| committed(found));
    let members = Members {
        all: survey.nodes.iter().map(|(node, _)| node.clone()).collect(),
        healthy: healthy.map(|(node, _)| node.clone()).collect(),
        down: down.map(|(node, _)| node.clone()).collect(),
        foreign: None,
    };
    Some(match policy::judge(policies, &members, &local.node) {
        Ok(()) => Verdict::ok(
            NAME,
            format!(
                "{} of {} members report that they are healthy",
                members.healthy.len(),
                members.all.len()
            ),
        ),
        Err(why) => {
            let ill = members
                .all
                .iter()
                .filter(|node| !members.healthy.contains(node));
            let ill = names(ill.map(String::as_str));
            let ill = match ill.as_str() {
                "" => ill,
                some => format!("; not healthy or silent: {some}"),
            };
            refused(NAME, &Refusal::Policy(String::new()), format!("{why}{ill}"))
        }
    })
}

/// Failed reboots of others, when there are as many as stop it. What only a node saw that waits in the queue is not told here.
pub(crate) fn line(local: &Local, survey: &Survey) -> Option<Verdict> {
    const NAME: &str = "line";
    let target = match (local.halt_scope, &local.detectors) {
        (HaltScope::Target, Detectors::Asked(reports, _)) => target(reports),
        _ => None,
    };
    let target = target.as_deref();
    match line::judge(local.halt_after, &local.node, target, &survey.line, &[]) {
        Ok(word) => {
            let (_, word) = word?;
            let (by, why) = (word.by, word.reason);
            Some(Verdict::ok(
                NAME,
                format!("goes on in spite of failures, by {by}: {why}"),
            ))
        }
        Err(why) => {
            let refusal = Refusal::Line(why);
            let text = format!("{}; {}", refusal.text(), refusal.remedy());
            Some(refused(NAME, &refusal, text))
        }
    }
}

/// Members of lower waves, when there are any. What only the daemon knows is when it came to require a reboot.
pub(crate) fn waves(local: &Local, survey: &Survey) -> Option<Verdict> {
    const NAME: &str = "wave";
    let members = members(survey);
    match wave::judge(local.wave, &local.node, &members) {
        Ok(()) => wave::is_after(local.wave, &local.node, &members)
            .then(|| Verdict::ok(NAME, "nobody of a lower wave requires a reboot")),
        Err(first) => {
            let refusal = Refusal::Wave(first.why);
            let text = format!("{}; {}", refusal.text(), refusal.remedy());
            Some(refused(NAME, &refusal, text))
        }
    }
}

/// The members as a judge of waves sees them.
fn members(survey: &Survey) -> Vec<Member> {
    let nodes: BTreeMap<_, _> = survey.nodes.iter().map(|(node, it)| (node, it)).collect();
    let claims: BTreeMap<_, _> = survey.claims.iter().map(|(node, it)| (node, it)).collect();
    let said: BTreeMap<_, _> = survey
        .standings
        .iter()
        .map(|(node, it)| (node, it))
        .collect();
    let all = nodes.keys().chain(claims.keys()).chain(said.keys());
    let all: BTreeSet<&String> = all.copied().collect();
    let member = |node: &String| {
        let (claim, said) = (claims.get(node), said.get(node));
        let claim = claim.map(|found| (*found).clone());
        Member::of(
            node,
            nodes.get(node).copied(),
            claim,
            said.map(|it| (*it).clone()),
        )
    };
    all.into_iter().filter_map(member).collect()
}

/// The health script is not run; what it said last as monitor stands in this node's report.
pub(crate) fn health(local: &Local, survey: Option<&Survey>, now: Timestamp) -> Verdict {
    const NAME: &str = "health";
    const HINT: &str = "(use simulate --health)";
    let mut reports = survey.iter().flat_map(|survey| &survey.reports);
    let said = reports.find(|(node, _)| *node == local.node);
    let other = survey.is_some_and(|survey| name(local, survey).is_some());
    let Some((_, said)) = said.filter(|_| !other) else {
        let silent = match survey {
            Some(_) => ", and this node does not report its health",
            None => "",
        };
        return Verdict::not_asked(NAME, format!("not run now{silent} {HINT}"));
    };
    let age = said.since.as_deref().map(|since| since_text(now, since));
    let age = age.filter(|age| !age.is_empty());
    let age = age.map_or_else(String::new, |age| format!(" for {age}"));
    match said.healthy {
        Some(true) => {
            let text = format!("not run now; as monitor it has passed{age} {HINT}");
            Verdict::not_asked(NAME, text)
        }
        Some(false) | None => {
            let why = said
                .reason
                .as_deref()
                .unwrap_or("its report does not say why");
            let text = format!("not run now; as monitor it has failed{age}: {why} {HINT}");
            refused(NAME, &Refusal::Health(String::new()), text)
        }
    }
}
