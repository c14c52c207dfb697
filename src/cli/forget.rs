//! `forget`: a decommissioned member is removed.

use jiff::Timestamp;

use super::cluster::{Cluster, Done, unknown};
use super::exit::Exit;
use super::output::{print, say};
use crate::etcd::Trouble;
use crate::lock::operator::{self as request, Forgotten};
use crate::lock::outcome::Found;
use crate::status::describe::{committed, how_far, named};

/// Removes what is known of a member that holds no claim.
pub(super) fn forget(cluster: &Cluster, node: &str) -> Done {
    let survey = cluster.survey()?;
    let txn = request::forget(&cluster.keys, node, &survey.refused);
    match cluster.settle(txn, request::forgotten)? {
        Forgotten::Claimed(found) => Err(Trouble::new(refusal(node, &found, Timestamp::now()))),
        Forgotten::Done { removed: false, .. } => Err(unknown(node, named(&survey.nodes))),
        Forgotten::Done { report, .. } => {
            print(&format!("forgot {node}"));
            if report {
                say(
                    "it reported its health until now: a daemon still runs there and registers again unless it is stopped",
                );
            }
            Ok(Exit::DONE)
        }
    }
}

fn refusal(node: &str, found: &Found, now: Timestamp) -> String {
    let how_far = how_far(found, now);
    let advice = if committed(found) {
        format!("if it will not return: reboot-coordinator release {node} --reason TEXT")
    } else {
        "stop its daemon, which gives the claim back".to_owned()
    };
    format!("{node} holds a claim, {how_far}, so it was not forgotten; {advice}")
}
