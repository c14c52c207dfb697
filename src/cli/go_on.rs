//! `go-on`: the line goes on in spite of reboots that are known to have failed.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::cluster::{Cluster, failed, operator};
use super::exit::Exit;
use super::print;
use crate::lock::GoOn;
use crate::lock::operator::{go_on as write, goes_on};
use crate::lock::outcome::Found;
use crate::lock::record::RECORD_VERSION;
use crate::status::times::{instant, rfc3339};
use crate::store::Trouble;

/// How often it starts over because a commit counts the word down at the same time.
const TRIES: u32 = 5;

/// Says which failures are known, and lets the others go in spite of them, `nodes` of them at the most.
pub(super) fn go_on(path: &Path, reason: &str, nodes: Option<u32>) -> Exit {
    match Cluster::to_write(path) {
        Ok(cluster) => attempt(&cluster, reason, nodes).unwrap_or_else(failed),
        Err(exit) => exit,
    }
}

fn attempt(cluster: &Cluster, reason: &str, nodes: Option<u32>) -> Result<Exit, Trouble> {
    for _ in 0..TRIES {
        let survey = cluster.survey()?;
        let now = Timestamp::now();
        let old = survey.claims.iter().filter(|(_, found)| is_old(found, now));
        let mut known: BTreeMap<String, i64> = old
            .map(|(node, found)| (node.clone(), found.create))
            .collect();
        let marked = survey.line.failures.iter();
        known.extend(marked.map(|failure| (failure.node.clone(), failure.id)));
        if known.is_empty() {
            print("no reboot is known to have failed: the line does not stand");
            return Ok(Exit::Done);
        }
        let word = GoOn {
            v: RECORD_VERSION,
            by: operator(),
            reason: reason.to_owned(),
            since: rfc3339(now),
            left: nodes,
            known,
        };
        let seen = survey.line.go_on.map_or(0, |(modified, _)| modified);
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
            return Ok(Exit::Done);
        }
    }
    Err(Trouble::new(
        "nodes commit or somebody else decides at the same time; look with `reboot-coordinator status`",
    ))
}

/// Whether a claim was committed so long ago, by the clocks of its node and of this one, that nodes hold it for failed.
fn is_old(found: &Found, now: Timestamp) -> bool {
    let Ok(claim) = &found.claim else {
        return false;
    };
    let patience = claim.patience_sec.unwrap_or(0) + claim.drain_sec.unwrap_or(0);
    let committed = claim.committed_at.as_deref().and_then(instant);
    let age = committed.and_then(|at| u64::try_from(now.as_second() - at.as_second()).ok());
    claim.phase.committed() && age.is_some_and(|age| age > patience)
}
