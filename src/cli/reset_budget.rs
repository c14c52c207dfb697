//! `reset-budget`: a node whose reboots did not help may try again.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{Cluster, Done, contested, operator, unknown};
use super::exit::Exit;
use super::output::print;
use crate::etcd::Trouble;
use crate::lock::operator::{reset_budget as write, was_reset};
use crate::lock::outcome::Found;
use crate::lock::record::{HISTORY_TTL, RECORD_VERSION, decode};
use crate::lock::{History, NodeRecord};
use crate::status::describe::{committed, how_far, named};
use crate::status::times::rfc3339;

/// Makes the budget whole and says so in the history.
pub(super) fn reset_budget(cluster: &Cluster, node: &str, reason: &str) -> Done {
    let busy = format!("{node} writes its registration at the same time; try again");
    contested(&busy, || {
        let Some(pair) = cluster.one(cluster.keys.node(node))? else {
            return Err(unknown(node, named(&cluster.survey()?.nodes)));
        };
        let record: NodeRecord = decode(&pair.value)
            .map_err(|error| Trouble::new(format!("the registration of {node}: {error}")))?;
        let marked = || cluster.one(cluster.keys.failed(node));
        if record.budget_used == 0 && marked()?.is_none() {
            print(&format!(
                "the reboot budget of {node} is whole: nothing to do"
            ));
            return Ok(Some(Exit::DONE));
        }
        let claim = cluster.one(cluster.keys.claim(node))?;
        if let Some(found) = claim.map(|pair| Found::of(&pair)).filter(committed) {
            return Err(Trouble::new(format!(
                "{node} is {}, and how that ends decides on its budget: nothing was changed; try again when it is back",
                how_far(&found, Timestamp::now())
            )));
        }
        let history = entry(node, reason, &record, Timestamp::now());
        let (lease, _) = cluster.grant(Some(HISTORY_TTL), Timestamp::now())?;
        let whole = (whole(&pair.value)?, pair.mod_revision);
        let entry = (&history, lease, history.ended_at.as_str());
        let txn = write(&cluster.keys, node, whole, entry);
        if cluster.settle(txn, |reply| was_reset(reply, &history))? {
            print(&format!(
                "the reboot budget of {node} is whole again ({} used before)",
                record.budget_used
            ));
            return Ok(Some(Exit::DONE));
        }
        cluster.revoke(lease);
        Ok(None)
    })
}

/// The registration with nothing changed but the budget, also what a newer program wrote into it.
fn whole(value: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut record: Value = serde_json::from_slice(value)
        .map_err(|error| Trouble::new(format!("the registration is not readable: {error}")))?;
    record["budget_used"] = json!(0);
    Ok(record.to_string().into_bytes())
}

fn entry(node: &str, reason: &str, record: &NodeRecord, now: Timestamp) -> History {
    let last = record.last_reboot.as_ref();
    History {
        v: RECORD_VERSION,
        node: node.to_owned(),
        outcome: "budget-reset".to_owned(),
        detail: reason.to_owned(),
        reasons: last.map_or_else(Vec::new, |last| last.reasons.clone()),
        since: rfc3339(now),
        ended_at: rfc3339(now),
        by: Some(operator()),
        ..History::default()
    }
}
