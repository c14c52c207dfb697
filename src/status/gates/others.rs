//! What closes the gates that hang on other nodes, and on what this one reports to them, for people.

use jiff::Timestamp;

use super::judge::{name, refused, unasked};
use crate::core::line::{self, HaltScope};
use crate::core::machine::target;
use crate::core::{Refusal, Verdict, policy, wave};
use crate::identity::is_same;
use crate::lock::domains::Waits;
use crate::lock::outcome::Members;
use crate::lock::survey::Survey;
use crate::lock::waves::Member;
use crate::status::describe::{
    began, by_node, committed, everybody, framed, how_far, named, names, of_node,
};
use crate::status::domains;
use crate::status::local::Local;
use crate::status::node_state::why_ill;
use crate::status::times::for_text;

pub(crate) fn turn(local: &Local, survey: &Survey, now: Timestamp) -> Verdict {
    const NAME: &str = "turn";
    let mut claims = survey.claims.iter();
    let place = claims.position(|(node, _)| *node == local.node());
    let own = place.map(|place| &survey.claims[place].1);
    let claim = own.and_then(|found| found.claim.as_ref().ok());
    if claim.is_some_and(|claim| !is_same(&claim.node_id, &local.config.node_id)) {
        return Verdict::not_asked(NAME, "the claim under this name is of another machine");
    }
    if let Some(found) = own.filter(|found| committed(found)) {
        let how_far = how_far(found, now);
        return Verdict::ok(NAME, format!("this node holds its claim: {how_far}"));
    }
    let ahead = &survey.claims[..place.unwrap_or(survey.claims.len())];
    // A claim is judged by the labels that it was made with.
    let domains = claim.map_or(&local.config.domains, |claim| &claim.domains);
    let own = match own {
        None => "not in the queue".to_owned(),
        Some(found) => "in the queue".to_owned() + &for_text(now, began(found)),
    };
    let why = match domains::turn(domains, local.config.max_concurrent_reboots, ahead) {
        Ok(()) => return Verdict::ok(NAME, format!("{own}; its turn is free")),
        Err(Waits {
            text,
            full: Some(_),
        }) => text,
        Err(many) => format!("{}: {}", many.text, names(named(ahead))),
    };
    refused(Refusal::NotTurn, format!("{own}; {why}"))
}

/// The cluster policies, when there are any.
pub(crate) fn policies(local: &Local, survey: Option<&Survey>) -> Option<Verdict> {
    const NAME: &str = "policies";
    let policies = local.config.cluster_policies.as_ref()?;
    let Some(survey) = survey else {
        return Some(unasked(NAME));
    };
    let reports = survey.reports.iter();
    let healthy = reports.filter(|(_, said)| said.healthy == Some(true));
    let down = survey.claims.iter().filter(|(_, found)| committed(found));
    let members = Members {
        all: survey.nodes.iter().map(|(node, _)| node.clone()).collect(),
        healthy: healthy.map(|(node, _)| node.clone()).collect(),
        down: down.map(|(node, _)| node.clone()).collect(),
        foreign: None,
    };
    let Err(why) = policy::judge(policies, &members, local.node()) else {
        let (healthy, all) = (members.healthy.len(), members.all.len());
        let text = format!("{healthy} of {all} members report that they are healthy");
        return Some(Verdict::ok(NAME, text));
    };
    let is_ill = |node: &&String| !members.healthy.contains(node) && !members.down.contains(node);
    let ill = members.all.iter().filter(is_ill);
    let ill = names(ill.map(String::as_str));
    let ill = framed("; not healthy or silent: ", &ill, "");
    let down = names(members.down.iter().map(String::as_str));
    let passes = why.ends_with(policy::PASSES);
    let before = if passes { ": " } else { "; taken away: " };
    let down = framed(before, &down, "");
    Some(refused(Refusal::Policy, format!("{why}{down}{ill}")))
}

/// Failed reboots of others, when there are as many as stop it. What only a node saw that waits in the queue is not told here.
pub(crate) fn line(local: &Local, survey: &Survey) -> Option<Verdict> {
    let by_target = local.config.halt_scope == HaltScope::Target;
    let reports = local.detectors.as_ref().filter(|_| by_target);
    let target = reports.and_then(|(reports, _)| target(reports));
    let target = target.as_deref();
    let halt_after = local.config.halt_after;
    match line::judge(halt_after, local.node(), target, &survey.line, &[]) {
        Ok(word) => word.map(|(_, word)| {
            let (by, why) = (word.by, word.reason);
            let text = format!("goes on in spite of failures, by {by}: {why}");
            Verdict::ok("line", text)
        }),
        Err(why) => Some(with_remedy(&Refusal::Line(why))),
    }
}

/// Members of lower waves, when there are any. What only the daemon knows is when it came to require a reboot.
pub(crate) fn waves(local: &Local, survey: &Survey) -> Option<Verdict> {
    let (own, mut members) = (local.config.wave, members(survey));
    // In wave 0 or below the daemon asks who has a key of its own for a lower one, and passes over every other registration.
    members.retain(|member| own > 0 || member.wave.is_ok());
    match wave::judge(own, local.node(), &members) {
        Ok(()) => wave::is_after(own, local.node(), &members)
            .then(|| Verdict::ok("wave", "nobody of a lower wave requires a reboot")),
        Err(first) => Some(with_remedy(&Refusal::Wave(first.why))),
    }
}

/// What others do is told with what to do about it.
fn with_remedy(refusal: &Refusal) -> Verdict {
    Verdict {
        text: format!("{}; {}", refusal.text(), refusal.remedy()),
        ..Verdict::refused(refusal.gate(), refusal)
    }
}

/// The members as a judge of waves sees them.
pub(crate) fn members(survey: &Survey) -> Vec<Member> {
    let (nodes, claims) = (by_node(&survey.nodes), by_node(&survey.claims));
    let said = by_node(&survey.standings);
    let member = |node: &str| {
        let (claim, said) = (claims.get(node).copied(), said.get(node).copied());
        let record = nodes.get(node).copied();
        Member::of(node, record, claim.cloned(), said.cloned())
    };
    everybody(survey).into_iter().filter_map(member).collect()
}

/// The health script is not run; what it said last as monitor stands in this node's report.
pub(crate) fn health(local: &Local, survey: Option<&Survey>, now: Timestamp) -> Verdict {
    const NAME: &str = "health";
    const HINT: &str = "(use simulate --health)";
    let said = survey.and_then(|survey| of_node(&survey.reports, local.node()));
    let other = survey.is_some_and(|survey| name(local, survey).is_some());
    let Some(said) = said.filter(|_| !other) else {
        let silent = survey.map_or("", |_| ", and this node does not report its health");
        return Verdict::not_asked(NAME, format!("not run now{silent} {HINT}"));
    };
    let since = said.since.as_deref().unwrap_or_default();
    let age = for_text(now, since);
    if said.healthy == Some(true) {
        let text = format!("not run now; as monitor it has passed{age} {HINT}");
        return Verdict::not_asked(NAME, text);
    }
    let why = why_ill(said);
    let text = format!("not run now; as monitor it has failed{age}: {why} {HINT}");
    refused(Refusal::Health, text)
}
