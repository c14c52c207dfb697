//! Failure domains, for people: which is full, who occupies it, and what a claim waits for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::describe::committed;
use crate::lock::Domains;
use crate::lock::domains::{Older, Waits};
use crate::lock::outcome::Found;
use crate::lock::survey::Survey;

/// A domain that has a limit, with the claims in it.
#[derive(Serialize)]
pub(crate) struct Domain<'a> {
    pub(crate) label: &'a str,
    pub(crate) value: &'a str,
    /// The largest limit of those that wait; there may be others while a configuration rolls out, and each waits by its own.
    pub(crate) limit: u32,
    /// The smallest.
    #[serde(skip)]
    least: u32,
    /// Whose claims are committed.
    pub(crate) down: Vec<&'a str>,
    /// Whose claims are committed and do not say the label, so that they count in every domain of it.
    #[serde(skip)]
    unlabelled: Vec<&'a str>,
    /// How many wait.
    pub(crate) waiting: usize,
}

impl Domain<'_> {
    pub(crate) fn full(&self) -> bool {
        self.full_of(|_| true)
    }

    /// Whether these alone fill it.
    pub(crate) fn full_of(&self, those: impl Fn(&str) -> bool) -> bool {
        let down = self.down.iter().chain(&self.unlabelled);
        let down = down.filter(|node| those(node)).count();
        down >= usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    pub(crate) fn text(&self) -> String {
        let Domain { label, value, .. } = self;
        let mut down: Vec<String> = self.down.iter().map(ToString::to_string).collect();
        let unlabelled = self.unlabelled.iter();
        down.extend(unlabelled.map(|node| format!("{node} (without the label)")));
        let are = if down.len() > 1 { "are" } else { "is" };
        let state = match down.join(", ").as_str() {
            "" => "nobody is down".to_owned(),
            those if self.full() => format!("full: {those} {are} down"),
            those => format!("{those} {are} down"),
        };
        let differ = match self.least == self.limit {
            true => String::new(),
            false => format!(" (others say {}; each waits by its own)", self.least),
        };
        format!(
            "{label} {value}: {state}, {} waiting, {} at a time{differ}",
            self.waiting, self.limit
        )
    }
}

/// Every domain of which a claim says that it has a limit.
pub(crate) fn in_use<'a>(survey: &'a Survey) -> Vec<Domain<'a>> {
    let readable = || {
        let claims = survey.claims.iter();
        claims.filter_map(|(node, found)| Some((node, found.claim.as_ref().ok()?)))
    };
    // Of those that wait, and of those that are down: whoever is down went by its own, which binds nobody else.
    let mut limits: BTreeMap<(&str, &str), [Vec<u32>; 2]> = BTreeMap::new();
    for (_, claim) in readable() {
        for (label, limit) in &claim.domains.limits {
            if let Some(value) = claim.domains.labels.get(label) {
                let of = limits.entry((label, value)).or_default();
                of[usize::from(claim.phase.committed())].push(*limit);
            }
        }
    }
    let domain = |((label, value), [wait, down]): ((&'a str, &'a str), [Vec<u32>; 2])| {
        let of = if wait.is_empty() { down } else { wait };
        let domain = Domain {
            label,
            value,
            limit: of.iter().copied().max().unwrap_or_default(),
            least: of.iter().copied().min().unwrap_or_default(),
            down: Vec::new(),
            unlabelled: without(survey, label),
            waiting: 0,
        };
        ((label, value), domain)
    };
    let mut all: BTreeMap<_, _> = limits.into_iter().map(domain).collect();
    // Whoever says the label is in the domain, with a limit of its own or without.
    for (node, claim) in readable() {
        for (label, value) in &claim.domains.labels {
            match all.get_mut(&(label.as_str(), value.as_str())) {
                Some(domain) if claim.phase.committed() => domain.down.push(node),
                Some(domain) => domain.waiting += 1,
                None => {}
            }
        }
    }
    all.into_values().collect()
}

/// Whose committed claims do not say a label, or cannot be read.
fn without<'a>(survey: &'a Survey, label: &str) -> Vec<&'a str> {
    let says = |found: &Found| {
        let claim = found.claim.as_ref();
        claim.is_ok_and(|claim| claim.domains.labels.contains_key(label))
    };
    let down = survey.claims.iter().filter(|(_, found)| committed(found));
    let those = down.filter(|(_, found)| !says(found));
    those.map(|(node, _)| node.as_str()).collect()
}

/// What the claim at this place of the queue waits for, when limits of labels bear on it.
pub(crate) fn waits(survey: &Survey, place: usize) -> Option<String> {
    let (_, found) = survey.claims.get(place)?;
    let claim = found.claim.as_ref().ok()?;
    if claim.phase.committed() || claim.domains.limits.is_empty() || survey.partial {
        return None;
    }
    let waits = turn(&claim.domains, claim.limit, &survey.claims[..place]).err()?;
    Some(waits.text)
}

/// Whether it is the turn of a claim that says this, after these older claims; judged as the daemon judges it.
pub(super) fn turn(domains: &Domains, limit: u32, older: &[(String, Found)]) -> Result<(), Waits> {
    let older = older.iter().map(|(node, found)| {
        let claim = found.claim.as_ref().ok();
        (node.as_str(), claim.map(|claim| &claim.domains))
    });
    domains.turn(limit, &older.collect::<Vec<Older<'_>>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::status::fixtures::found;

    fn of_rack(node: &str, phase: Phase, create: i64, rack: &str, limit: u32) -> (String, Found) {
        let (name, mut found) = found(node, phase, create, "11:00");
        if let Ok(claim) = &mut found.claim {
            claim.limit = 3;
            claim.domains.labels.insert("rack".into(), rack.into());
            claim.domains.limits.insert("rack".into(), limit);
        }
        (name, found)
    }

    #[test]
    fn a_full_domain_is_told_with_who_is_in_it_and_who_waits_for_it() {
        let survey = Survey {
            claims: vec![
                of_rack("web-1", Phase::Rebooting, 1, "r1", 1),
                of_rack("web-2", Phase::Queued, 2, "r1", 1),
                of_rack("web-3", Phase::Queued, 3, "r2", 1),
                of_rack("web-4", Phase::Queued, 4, "r2", 2),
            ],
            ..Survey::default()
        };
        let told: Vec<String> = in_use(&survey).iter().map(Domain::text).collect();
        assert_eq!(
            told,
            [
                "rack r1: full: web-1 is down, 1 waiting, 1 at a time",
                "rack r2: nobody is down, 2 waiting, 2 at a time (others say 1; each waits by its own)"
            ]
        );
        let full = "rack r1 is full (1 at a time): web-1 before it";
        assert_eq!(waits(&survey, 1).as_deref(), Some(full));
        assert_eq!(waits(&survey, 2), None);
        assert_eq!(waits(&survey, 0), None, "it is down");
        let partial = Survey {
            partial: true,
            ..survey
        };
        assert_eq!(waits(&partial, 1), None, "not all older claims are known");
    }

    #[test]
    fn a_claim_without_the_label_is_shown_in_every_domain_in_which_it_counts() {
        let survey = Survey {
            claims: vec![
                found("web-1", Phase::Rebooting, 1, "11:00"),
                found("web-2", Phase::Queued, 2, "11:00"),
                of_rack("web-3", Phase::Rebooting, 3, "r1", 3),
                of_rack("web-4", Phase::Queued, 4, "r2", 1),
            ],
            ..Survey::default()
        };
        let told: Vec<String> = in_use(&survey).iter().map(Domain::text).collect();
        assert_eq!(
            told,
            [
                "rack r1: web-3, web-1 (without the label) are down, 0 waiting, 3 at a time",
                "rack r2: full: web-1 (without the label) is down, 1 waiting, 1 at a time"
            ]
        );
    }

    #[test]
    fn a_claim_that_says_the_label_and_no_limit_is_in_the_domain() {
        let labelled = |node, phase, create| {
            let (name, mut found) = of_rack(node, phase, create, "r1", 1);
            let claim = found.claim.as_mut().unwrap();
            claim.domains.limits.clear();
            (name, found)
        };
        let survey = Survey {
            claims: vec![
                labelled("web-1", Phase::Rebooting, 1),
                of_rack("web-2", Phase::Queued, 2, "r1", 1),
                labelled("web-3", Phase::Queued, 3),
            ],
            ..Survey::default()
        };
        let told: Vec<String> = in_use(&survey).iter().map(Domain::text).collect();
        assert_eq!(
            told,
            ["rack r1: full: web-1 is down, 2 waiting, 1 at a time"]
        );
    }

    #[test]
    fn nothing_is_told_of_domains_without_limits() {
        let survey = Survey {
            claims: vec![found("web-1", Phase::Queued, 1, "11:00")],
            ..Survey::default()
        };
        assert!(in_use(&survey).is_empty());
        assert_eq!(waits(&survey, 0), None);
    }
}
