//! `request`: operators ask for reboots, and withdraw what they asked for.

use std::time::Duration;

use etcd_rs_sync::KeyValue;
use jiff::{SignedDuration, Timestamp};

use super::cluster::{Cluster, operator, unknown};
use super::exit::Exit;
use super::invocation::RequestOptions;
use super::output::{complain, print};
use crate::config::nearest::nearest;
use crate::etcd::Trouble;
use crate::lock::outcome::Found;
use crate::lock::reboot_requests::{self, Seen};
use crate::lock::record::{RECORD_VERSION, decode};
use crate::lock::{Keys, NodeRecord, RebootRequest};
use crate::status::describe::{age, committed, names, phase, request_text};
use crate::status::table::folded;
use crate::status::times::{clock, rfc3339};

/// How often a command starts over because its node wrote its boot into the request meanwhile.
const TRIES: u32 = 5;

/// Asks, or withdraws.
pub(super) fn request(cluster: &Cluster, options: &RequestOptions) -> Result<Exit, Trouble> {
    match options.cancel {
        true => cancel(cluster, &options.nodes),
        false => ask(cluster, options),
    }
}

fn ask(cluster: &Cluster, options: &RequestOptions) -> Result<Exit, Trouble> {
    let members = cluster.members()?;
    let known = cluster.known(&members)?;
    let nodes = match options.nodes.as_slice() {
        [] => known.iter().cloned().collect(),
        some => some.to_vec(),
    };
    if nodes.is_empty() {
        complain("reboot-coordinator: no member is registered yet, so nothing was requested");
        return Ok(Exit::Failure);
    }
    for node in nodes.iter().filter(|node| !known.contains(*node)) {
        if nearest(node, known.iter().map(String::as_str)).is_some() {
            return Ok(unknown(node, known.iter().map(String::as_str)));
        }
        print(&folded(&format!(
            "no member is called {node} yet: the request waits until its program has run once"
        )));
    }
    let reason = options.reason.as_deref().unwrap_or("no reason given");
    let (lease, until) = urgency(cluster, options.urgent)?;
    let (mut fresh, mut standing) = (Vec::new(), Vec::new());
    for node in &nodes {
        let wanted = RebootRequest {
            v: RECORD_VERSION,
            node: node.clone(),
            by: operator(),
            reason: reason.to_owned(),
            since: rfc3339(Timestamp::now()),
            boot_id: None,
            urgent_until: until.map(rfc3339),
        };
        match put(cluster, &wanted, lease) {
            Ok(Ok(())) => fresh.push(node.as_str()),
            Ok(Err(other)) => standing.push((node.as_str(), other)),
            Err(trouble) => {
                say_fresh(cluster, &fresh, until);
                return Err(trouble);
            }
        }
    }
    if fresh.is_empty() {
        cluster.revoke(lease);
    }
    say_fresh(cluster, &fresh, until);
    say_standing(&standing);
    remarks(cluster, &nodes, &fresh, &members)?;
    Ok(Exit::Done)
}

/// The lease that ends urgent requests, 0 for others, and when it does.
fn urgency(
    cluster: &Cluster,
    length: Option<Duration>,
) -> Result<(i64, Option<Timestamp>), Trouble> {
    let Some(length) = length else {
        return Ok((0, None));
    };
    let (lease, granted) = cluster.grant(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))?;
    let until = Timestamp::now().checked_add(SignedDuration::from_secs(granted));
    Ok((lease, Some(until.unwrap_or(Timestamp::MAX))))
}

/// Makes a request, an urgent one also in the place of one that is not; else what stands there.
fn put(cluster: &Cluster, wanted: &RebootRequest, lease: i64) -> Result<Result<(), Seen>, Trouble> {
    let mut stands = None;
    if lease != 0 {
        stands = cluster.one(cluster.keys.request(&wanted.node))?;
    }
    for _ in 0..TRIES {
        let seen = stands.as_ref().map(reboot_requests::of);
        let modified = match &seen {
            None => 0,
            Some((modified, Ok(found))) if found.urgent_until.is_none() => *modified,
            Some(_) => return Ok(Err(seen)),
        };
        let txn = reboot_requests::ask(&cluster.keys, wanted, lease, modified);
        let asked = cluster.settle(txn, |reply| reboot_requests::asked(reply, wanted))?;
        if lease == 0 || asked.is_ok() {
            return Ok(asked);
        }
        // Its node noted its boot, or somebody else asked.
        stands = cluster.one(cluster.keys.request(&wanted.node))?;
    }
    Err(busy(&wanted.node))
}

fn busy(node: &str) -> Trouble {
    Trouble::new(format!(
        "somebody else changes the request for {node} at the same time; try again"
    ))
}

fn say_fresh(cluster: &Cluster, fresh: &[&str], until: Option<Timestamp>) {
    if fresh.is_empty() {
        return;
    }
    let names = names(fresh.iter().copied());
    print(&folded(&match until {
        None => format!("requested a reboot of {names}"),
        Some(until) => format!(
            "requested an urgent reboot of {names}: past maintenance windows and the cooldown, and nothing else; it ends at {}, \
             served or not",
            clock(until, &cluster.zone())
        ),
    }));
}

fn say_standing(standing: &[(&str, Seen)]) {
    let now = Timestamp::now();
    match standing {
        [] => {}
        [(node, seen)] => {
            let text = seen.as_ref().map_or_else(
                || "by somebody else, and is done".to_owned(),
                |(_, request)| request_text(request, now),
            );
            print(&folded(&format!(
                "a reboot of {node} was requested already: {text}"
            )));
        }
        many => {
            let names = names(many.iter().map(|(node, _)| *node));
            print(&folded(&format!(
                "requested already, and left as it was: {names}"
            )));
        }
    }
}

/// What may surprise: who is rebooting at this moment, and whose budget may be used up.
fn remarks(
    cluster: &Cluster,
    nodes: &[String],
    fresh: &[&str],
    members: &[(String, KeyValue)],
) -> Result<(), Trouble> {
    let now = Timestamp::now();
    let claims = cluster.claims()?;
    for node in nodes {
        let member = members.iter().find(|(name, _)| name == node);
        if let Some(found) = committed_claim(&claims, node) {
            let which = match fresh.contains(&node.as_str()) {
                true => "it reboots once more after that",
                false => {
                    "that may be the reboot that was requested: ask again once it is back if it has to be another one"
                }
            };
            print(&folded(&format!(
                "{node} is {} for {} already; {which}",
                phase(found),
                age(found, now)
            )));
        }
        let record = member.and_then(|(_, kv)| decode::<NodeRecord>(&kv.value).ok());
        if record.is_some_and(|record| record.budget_used > 0 && record.attempt.is_none()) {
            print(&folded(&format!(
                "the last reboot of {node} did not clear what it was for: when that used its budget up, it waits until no \
                 detector asks, or for: reboot-coordinator reset-budget {node} --reason TEXT"
            )));
        }
    }
    Ok(())
}

fn committed_claim<'a>(claims: &'a [(String, Found)], node: &str) -> Option<&'a Found> {
    let own = claims.iter().find(|(name, _)| name == node)?;
    Some(&own.1).filter(|found| committed(found))
}

fn cancel(cluster: &Cluster, nodes: &[String]) -> Result<Exit, Trouble> {
    let nodes = match nodes {
        [] => requested(cluster)?,
        some => some.to_vec(),
    };
    if nodes.is_empty() {
        print("no reboot is requested");
    }
    let members = cluster.members()?;
    let known = cluster.known(&members)?;
    for node in &nodes {
        match withdraw(cluster, node)? {
            Some(text) => print(&folded(&format!("withdrew the request for {node}, {text}"))),
            None if !known.contains(node) => {
                return Ok(unknown(node, known.iter().map(String::as_str)));
            }
            None => print(&format!("no reboot of {node} is requested")),
        }
    }
    // Since the requests are gone nobody commits for them; who had committed is to be seen now.
    let (claims, now) = (cluster.claims()?, Timestamp::now());
    for node in &nodes {
        if let Some(found) = committed_claim(&claims, node) {
            print(&folded(&format!(
                "{node} had begun before and goes on: {} for {}",
                phase(found),
                age(found, now)
            )));
        }
    }
    Ok(Exit::Done)
}

/// Deletes the request there is, and says what it was.
fn withdraw(cluster: &Cluster, node: &str) -> Result<Option<String>, Trouble> {
    for _ in 0..TRIES {
        let Some(pair) = cluster.one(cluster.keys.request(node))? else {
            return Ok(None);
        };
        let txn = reboot_requests::withdraw(&cluster.keys, node, pair.mod_revision);
        // Gone is gone, whoever did it.
        if let Ok(()) | Err(None) = cluster.settle(txn, reboot_requests::written)? {
            let (_, request) = reboot_requests::of(&pair);
            return Ok(Some(request_text(&request, Timestamp::now())));
        }
    }
    Err(busy(node))
}

fn requested(cluster: &Cluster) -> Result<Vec<String>, Trouble> {
    let prefix = cluster.keys.requests();
    let pairs = cluster.all(&prefix)?;
    let nodes = pairs
        .iter()
        .filter_map(|pair| Keys::node_of(&prefix, &pair.key));
    Ok(nodes.map(str::to_owned).collect())
}
