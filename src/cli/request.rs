//! `request`: operators ask for reboots, and withdraw what they asked for.

use jiff::Timestamp;

use super::cluster::{Cluster, Done, contested, known, operator, unknown};
use super::exit::Exit;
use super::invocation::RequestOptions;
use super::output::{print, say};
use crate::config::nearest::nearest;
use crate::etcd::Trouble;
use crate::lock::RebootRequest;
use crate::lock::reboot_requests::{self, Seen};
use crate::lock::record::RECORD_VERSION;
use crate::lock::survey::Survey;
use crate::status::describe::{committed, how_far, named, names, of_node, request_text};
use crate::status::times::{clock, rfc3339, zone};

/// Asks, or withdraws.
pub(super) fn request(cluster: &Cluster, options: &RequestOptions) -> Done {
    match options.cancel {
        true => cancel(cluster, &options.nodes),
        false => ask(cluster, options),
    }
}

fn ask(cluster: &Cluster, options: &RequestOptions) -> Done {
    let survey = cluster.survey()?;
    let known = known(&survey);
    let nodes = those(&options.nodes, known.iter().copied());
    if nodes.is_empty() {
        return Err(Trouble::new(
            "no member is registered yet, so nothing was requested",
        ));
    }
    for node in nodes.iter().filter(|node| !known.contains(*node)) {
        if nearest(node, known.iter().copied()).is_some() {
            return Err(unknown(node, known));
        }
        say(&format!(
            "no member is called {node} yet: the request waits until its program has run once"
        ));
    }
    let reason = options.reason.as_deref().unwrap_or("no reason given");
    // The lease ends an urgent request; it is 0 for others.
    let (lease, until) = cluster.grant(options.urgent, Timestamp::now())?;
    let (mut fresh, mut standing) = (Vec::new(), Vec::new());
    for node in nodes.iter().copied() {
        let wanted = RebootRequest {
            v: RECORD_VERSION,
            node: node.to_owned(),
            by: operator(),
            reason: reason.to_owned(),
            since: rfc3339(Timestamp::now()),
            boot_id: None,
            urgent_until: until.map(rfc3339),
        };
        match put(cluster, &wanted, lease) {
            Ok(Ok(())) => fresh.push(node),
            Ok(Err(other)) => standing.push((node, other)),
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
    // Who commits meanwhile is to be seen, too.
    remarks(&cluster.survey()?, &nodes, &fresh);
    Ok(Exit::DONE)
}

/// Who is named, or all where nobody is.
fn those<'a>(named: &'a [String], all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    match named {
        [] => all.collect(),
        some => some.iter().map(String::as_str).collect(),
    }
}

/// Makes a request, an urgent one also in the place of one that is not; else what stands there.
fn put(cluster: &Cluster, wanted: &RebootRequest, lease: i64) -> Result<Result<(), Seen>, Trouble> {
    // Its node notes its boot in the request, too.
    contested(&busy(&wanted.node), || {
        // An ordinary one takes no place, so that nothing has to be known of what stands there.
        let stands = match lease {
            0 => None,
            _ => cluster.one(cluster.keys.request(&wanted.node))?,
        };
        let seen = stands.as_ref().map(reboot_requests::of);
        let modified = match &seen {
            None => 0,
            Some((modified, Ok(found))) if found.urgent_until.is_none() => *modified,
            Some(_) => return Ok(Some(Err(seen))),
        };
        let txn = reboot_requests::ask(&cluster.keys, wanted, lease, modified);
        let asked = cluster.settle(txn, |reply| reboot_requests::asked(reply, wanted))?;
        // Else its node noted its boot, or somebody else asked.
        Ok((lease == 0 || asked.is_ok()).then_some(asked))
    })
}

fn busy(node: &str) -> String {
    format!("somebody else changes the request for {node} at the same time; try again")
}

fn say_fresh(cluster: &Cluster, fresh: &[&str], until: Option<Timestamp>) {
    if fresh.is_empty() {
        return;
    }
    let names = names(fresh.iter().copied());
    say(&match until {
        None => format!("requested a reboot of {names}"),
        Some(until) => format!(
            "requested an urgent reboot of {names}: past maintenance windows and the cooldown, and nothing else; it ends at {}, \
             served or not",
            clock(until, &zone(&cluster.config))
        ),
    });
}

fn say_standing(standing: &[(&str, Seen)]) {
    match standing {
        [] => {}
        [(node, seen)] => {
            let text = seen.as_ref().map_or_else(
                || "by somebody else, and is done".to_owned(),
                |(_, request)| request_text(request, Timestamp::now()),
            );
            say(&format!("a reboot of {node} was requested already: {text}"));
        }
        many => {
            let names = names(many.iter().map(|(node, _)| *node));
            say(&format!("requested already, and left as it was: {names}"));
        }
    }
}

/// What may surprise: who is rebooting at this moment, and whose budget may be used up.
fn remarks(survey: &Survey, nodes: &[&str], fresh: &[&str]) {
    for node in nodes {
        if let Some(under_way) = under_way(survey, node) {
            let which = match fresh.contains(node) {
                true => "it reboots once more after that",
                false => {
                    "that may be the reboot that was requested: ask again once it is back if it has to be another one"
                }
            };
            say(&format!("{node} is {under_way} already; {which}"));
        }
        if let Some(Ok(record)) = of_node(&survey.nodes, node)
            && record.budget_used > 0
            && record.attempt.is_none()
        {
            say(&format!(
                "{} of the reboot budget of {node} is used: where that is all of it, {node} waits until no detector asks, or for: \
                 reboot-coordinator reset-budget {node} --reason TEXT",
                record.budget_used
            ));
        }
    }
}

/// How far a reboot of this node is that has begun.
fn under_way(survey: &Survey, node: &str) -> Option<String> {
    let found = of_node(&survey.claims, node).filter(|found| committed(found))?;
    Some(how_far(found, Timestamp::now()))
}

fn cancel(cluster: &Cluster, nodes: &[String]) -> Done {
    let before = cluster.survey()?;
    let nodes = those(nodes, named(&before.requests));
    if nodes.is_empty() {
        print("no reboot is requested");
    }
    let known = known(&before);
    for node in &nodes {
        match withdraw(cluster, node)? {
            Some(text) => say(&format!("withdrew the request for {node}, {text}")),
            None if !known.contains(node) => return Err(unknown(node, known)),
            None => print(&format!("no reboot of {node} is requested")),
        }
    }
    // Since the requests are gone nobody commits for them; who had committed is to be seen now.
    let now = cluster.survey()?;
    for node in &nodes {
        if let Some(under_way) = under_way(&now, node) {
            say(&format!("{node} had begun before and goes on: {under_way}"));
        }
    }
    Ok(Exit::DONE)
}

/// Deletes the request there is, and says what it was.
fn withdraw(cluster: &Cluster, node: &str) -> Result<Option<String>, Trouble> {
    contested(&busy(node), || {
        let Some(pair) = cluster.one(cluster.keys.request(node))? else {
            return Ok(Some(None));
        };
        let txn = reboot_requests::withdraw(&cluster.keys, node, pair.mod_revision);
        // Gone is gone, whoever did it.
        let (Ok(()) | Err(None)) = cluster.settle(txn, reboot_requests::written)? else {
            return Ok(None);
        };
        let (_, request) = reboot_requests::of(&pair);
        Ok(Some(Some(request_text(&request, Timestamp::now()))))
    })
}
