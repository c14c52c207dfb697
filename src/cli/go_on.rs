//! `go-on`: the line goes on in spite of reboots that are known to have failed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::cluster::{Cluster, Done, operator};
use super::exit::Exit;
use super::output::{print, say};
use crate::etcd::Trouble;
use crate::lock::GoOn;
use crate::lock::operator::{go_on as write, goes_on};
use crate::lock::record::RECORD_VERSION;
use crate::lock::survey::Survey;
use crate::status::describe::{committed, limits, of_node};
use crate::status::times::rfc3339;

/// How often it starts over because a commit counts the word down at the same time.
const TRIES: u32 = 5;

/// Says which failures are known, and lets the others go in spite of them, `nodes` of them at the most.
pub(super) fn go_on(cluster: &Cluster, reason: &str, nodes: Option<u32>) -> Done {
    for _ in 0..TRIES {
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
            return Ok(Exit::Done);
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
        if cluster.settle(txn, |reply| goes_on(reply, &word))? {
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
            if let Some(full) = full(cluster, &survey, &word) {
                say(&full);
            }
            return Ok(Exit::Done);
        }
    }
    Err(Trouble::new(
        "nodes commit or somebody else decides at the same time; look with `reboot-coordinator status`",
    ))
}

/// That nobody goes all the same, when failed nodes hold as many places as there are.
fn full(cluster: &Cluster, survey: &Survey, word: &GoOn) -> Option<String> {
    let holds = |node: &&String| of_node(&survey.claims, node).is_some_and(committed);
    let holders = word.known.keys().filter(holds);
    let holders: Vec<&str> = holders.map(String::as_str).collect();
    let first = holders.first()?;
    let own = cluster.config.max_concurrent_reboots;
    let limit = limits(survey).into_iter().fold(own, u32::max);
    let (verb, those) = match holders.len() {
        1 => ("holds", "it"),
        _ => ("hold", "one of them"),
    };
    (holders.len() >= usize::try_from(limit).unwrap_or(usize::MAX)).then(|| {
        format!(
            "nobody goes while {} {verb} every place there is; when {those} will not return: reboot-coordinator release {first} \
             --reason TEXT",
            holders.join(", ")
        )
    })
}
