//! `go-on`: the line goes on in spite of reboots that are known to have failed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::cluster::{Cluster, Done, contested, operator};
use super::exit::Exit;
use super::output::{print, say};
use crate::core::{Refusal, wave};
use crate::lock::GoOn;
use crate::lock::operator::{go_on as write, goes_on};
use crate::lock::record::RECORD_VERSION;
use crate::lock::survey::Survey;
use crate::lock::waves::Member;
use crate::status::describe::{committed, of_node, places};
use crate::status::domains::in_use;
use crate::status::gates::members;
use crate::status::times::rfc3339;

/// Says which failures are known, and lets the others go in spite of them, `nodes` of them at the most.
pub(super) fn go_on(cluster: &Cluster, reason: &str, nodes: Option<u32>) -> Done {
    let busy = "nodes commit or somebody else decides at the same time; look with `reboot-coordinator status`";
    contested(busy, || {
        let survey = cluster.survey()?;
        // A claim that only looks old, by two clocks, may be of a reboot that goes well.
        let marked = survey.line.failures.iter();
        let known: BTreeMap<String, i64> = marked
            .map(|failure| (failure.node.clone(), failure.id))
            .collect();
        if known.is_empty() {
            print(
                "no reboot is marked as failed, so there is nothing to go on in spite of; a node that waits in the queue marks one once it has \
                 seen its claim stand still for too long: where only passes from cron run, let one wait for that long with --wait, \
                 or release the claim",
            );
            return Ok(Some(Exit::DONE));
        }
        let word = GoOn {
            v: RECORD_VERSION,
            by: operator(),
            reason: reason.to_owned(),
            since: rfc3339(Timestamp::now()),
            left: nodes,
            known,
        };
        let seen = survey.line.go_on.as_ref().map_or(0, |(seen, _)| *seen);
        let txn = write(&cluster.keys, &word, seen);
        if !cluster.settle(txn, |reply| goes_on(reply, &word))? {
            return Ok(None);
        }
        let names: Vec<&str> = word.known.keys().map(String::as_str).collect();
        let most = match nodes {
            Some(1) => "for one more node, or ".to_owned(),
            Some(nodes) => format!("for {nodes} more nodes, or "),
            None => String::new(),
        };
        print(&format!(
            "the line goes on {most}until the next failure, in spite of: {}",
            names.join(", ")
        ));
        let full = full(cluster.config.max_concurrent_reboots, &survey, &word);
        let kept = full.into_iter().chain(kept(&survey, &word));
        kept.for_each(|it| say(&it));
        Ok(Some(Exit::DONE))
    })
}

/// Who does not go all the same, as a failed node keeps its wave or its domain closed.
fn kept(survey: &Survey, word: &GoOn) -> Vec<String> {
    let is_failed = |node: &str| word.known.contains_key(node);
    let failed = members(survey).into_iter();
    let failed: Vec<Member> = failed.filter(|it| is_failed(&it.node)).collect();
    let records = survey.nodes.iter().filter_map(|(_, it)| it.as_ref().ok());
    let last = records.map(|record| record.wave).max().unwrap_or_default();
    let first = wave::judge(last, "", &failed).err();
    let first = first.map(|first| {
        let wave = Refusal::Wave(first.why).text();
        format!("nobody of a later wave goes: {wave}")
    });
    let domains = in_use(survey).into_iter();
    let domains = domains.filter(|it| it.full_of(is_failed));
    let domains = domains.map(|it| format!("nobody of its domain goes: {}", it.text()));
    first.into_iter().chain(domains).collect()
}

/// That nobody goes all the same, when failed nodes hold as many places as there are.
fn full(own: u32, survey: &Survey, word: &GoOn) -> Option<String> {
    let holds = |node: &&String| of_node(&survey.claims, node).is_some_and(committed);
    let holders = word.known.keys().filter(holds);
    let holders: Vec<&str> = holders.map(String::as_str).collect();
    let first = holders.first()?;
    let (verb, those) = match holders.len() {
        1 => ("holds", "it"),
        _ => ("hold", "one of them"),
    };
    (holders.len() >= places(survey, own)).then(|| {
        format!(
            "nobody goes while {} {verb} every place there is; when {those} will not return: reboot-coordinator release {first} \
             --reason TEXT",
            holders.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::status::fixtures::{found, member};

    /// node-a failed; its wave, its claim, and how many of its rack may be down. node-b is in this phase.
    fn failed(wave: i32, claim: Option<Phase>, limit: u32, other: Phase) -> (Survey, GoOn) {
        let mut survey = Survey::default();
        for node in ["node-a", "node-b"] {
            let (name, mut record) = member(node, None, 0);
            record.as_mut().unwrap().wave = if node == "node-a" { wave } else { 0 };
            survey.nodes.push((name, record));
        }
        for (node, phase) in [("node-a", claim), ("node-b", Some(other))] {
            let Some(phase) = phase else { continue };
            let (name, mut found) = found(node, phase, 1, "11:00");
            let domains = &mut found.claim.as_mut().unwrap().domains;
            domains.labels.insert("rack".into(), "r1".into());
            domains.limits.insert("rack".into(), limit);
            survey.claims.push((name, found));
        }
        let word = GoOn {
            v: RECORD_VERSION,
            by: String::new(),
            reason: String::new(),
            since: String::new(),
            left: None,
            known: BTreeMap::from([("node-a".to_owned(), 1)]),
        };
        (survey, word)
    }

    #[test]
    fn a_failed_node_that_keeps_a_wave_or_a_domain_closed_is_named() {
        let wave =
            "nobody of a later wave goes: members of lower waves go first: node-a (wave -1) ";
        let rack =
            "nobody of its domain goes: rack r1: full: node-a is down, 1 waiting, 1 at a time";
        let reboots = Some(Phase::Rebooting);
        // The limit of who failed binds nobody else.
        for (at, claim, (own, limit), named) in [
            (0, reboots, (2, 2), &[][..]),
            (0, reboots, (1, 2), &[]),
            (0, None, (1, 1), &[]),
            (0, reboots, (1, 1), &[rack]),
            (0, reboots, (2, 1), &[rack]),
            (-1, None, (1, 1), &[wave]),
            (-1, reboots, (1, 1), &[wave, rack]),
        ] {
            let (mut survey, word) = failed(at, claim, limit, Phase::Queued);
            for (_, found) in survey
                .claims
                .iter_mut()
                .filter(|(node, _)| node == "node-a")
            {
                let domains = &mut found.claim.as_mut().unwrap().domains;
                domains.limits.insert("rack".into(), own);
            }
            let told = kept(&survey, &word);
            assert_eq!(told.len(), named.len(), "{told:?}");
            let pairs = told.iter().zip(named);
            assert!(
                pairs.clone().all(|(told, it)| told.starts_with(it)),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_domain_that_a_healthy_reboot_fills_opens_again() {
        let (survey, word) = failed(0, Some(Phase::Rebooting), 2, Phase::Draining);
        assert!(in_use(&survey)[0].full());
        assert_eq!(kept(&survey, &word), [""; 0]);
    }

    #[test]
    fn the_places_are_those_of_the_others_and_not_what_the_failed_claim_says() {
        // The limits of node-a, of node-b, which waits or has begun, and of this host.
        for (failed_by, other_by, other, own, is_full) in [
            (3, 1, Phase::Queued, 1, true),
            (1, 2, Phase::Queued, 1, false),
            (1, 1, Phase::Queued, 2, true),
            (3, 3, Phase::Draining, 1, true),
            (1, 1, Phase::Draining, 2, false),
        ] {
            let (mut survey, word) = failed(0, Some(Phase::Rebooting), 9, other);
            for ((_, found), limit) in survey.claims.iter_mut().zip([failed_by, other_by]) {
                found.claim.as_mut().unwrap().limit = limit;
            }
            let full = full(own, &survey, &word);
            assert_eq!(full.is_some(), is_full, "{failed_by} {other_by} {own}");
        }
    }
}
