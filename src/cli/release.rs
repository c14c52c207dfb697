//! `release`: a claim is taken away from a node that will not return.

use etcd_rs_sync::KeyValue;
use jiff::Timestamp;

use super::cluster::{Cluster, Done, operator, queue, unknown};
use super::confirm::confirm;
use super::exit::Exit;
use super::output::{complain, print, say};
use crate::etcd::Trouble;
use crate::lock::keys::{self, is_node_name};
use crate::lock::operator::{self as request, Released, Shown};
use crate::lock::outcome::Found;
use crate::lock::record::{HISTORY_TTL, RECORD_VERSION};
use crate::lock::{Claim, History, Phase};
use crate::status::describe::{claim_table, committed, named, of_node};
use crate::status::table::folded;
use crate::status::times::rfc3339;

/// How much of a value that is no claim is shown.
const VALUE_CHARS: usize = 200;

/// Shows the claim, asks, and takes it away.
pub(super) fn release(cluster: &Cluster, node: &str, reason: &str, yes: bool) -> Done {
    let Some(pair) = find(cluster, node)? else {
        return already_gone(cluster, node);
    };
    let mut found = Found::of(&pair);
    let claims = is_node_name(node);
    let show = |found: &Found| match claims {
        true => print(&shown(node, found, Timestamp::now())),
        false => print(&foreign(&pair)),
    };
    loop {
        show(&found);
        let nobody = "nobody can be asked here, so nothing was changed; add --yes to release it";
        let question = format!("Release the claim of {node}?");
        if !yes && let Err(exit) = confirm(&question, nobody) {
            return Ok(exit);
        }
        match take(cluster, (node, &pair.key), &found, reason)? {
            Released::Done => return Ok(done(cluster, node)),
            Released::Gone => return already_gone(cluster, node),
            Released::Changed(_) if !claims => {
                return Err(Trouble::new(
                    "the key changed meanwhile, so nothing was done; run this again to see what it says now",
                ));
            }
            Released::Changed(now) => {
                complain(
                    "reboot-coordinator: the claim changed meanwhile, so nothing was done; this is what it says now:",
                );
                found = *now;
                if yes {
                    show(&found);
                    return Ok(Exit::FAILURE);
                }
            }
        }
    }
}

/// The claim of a node; or else what stands among the claims under this name, written out or with every byte seen, as a whole key
/// or what follows the prefix.
fn find(cluster: &Cluster, name: &str) -> Result<Option<KeyValue>, Trouble> {
    if is_node_name(name) {
        return cluster.one(cluster.keys.claim(name));
    }
    let prefix = cluster.keys.claims();
    let is_called = |key: &[u8]| key == name.as_bytes() || keys::shown(key) == name;
    let mut pairs = cluster.all(&prefix)?.into_iter();
    Ok(pairs.find(|pair| is_called(&pair.key) || is_called(&pair.key[prefix.len()..])))
}

/// A key that is no claim, before it is removed.
fn foreign(pair: &KeyValue) -> String {
    let value = keys::shown(&pair.value);
    let value: String = value.chars().take(VALUE_CHARS).collect();
    let meaning = "It names no node, so no node of this group waits for it. A tool wrote it, or it is a record of a group whose lock_key \
                   lies below this one: remove it only when nobody needs it.";
    let key = keys::shown(&pair.key);
    format!("The key {key} says {value}\n{}", folded(meaning))
}

/// Deletes the claim as it was shown, and writes the history in the same transaction.
fn take(
    cluster: &Cluster,
    (node, key): (&str, &[u8]),
    found: &Found,
    reason: &str,
) -> Result<Released, Trouble> {
    let history = entry(node, found, reason, operator(), Timestamp::now());
    let (lease, _) = cluster.grant(Some(HISTORY_TTL), Timestamp::now())?;
    let shown = Shown {
        key,
        create: found.create,
        modified: found.modified,
    };
    let entry = (&history, lease, history.ended_at.as_str());
    let txn = request::release(&cluster.keys, shown, entry);
    let outcome = cluster.settle(txn, |reply| request::released(reply, &history))?;
    if outcome != Released::Done {
        cluster.revoke(lease);
    }
    Ok(outcome)
}

fn entry(node: &str, found: &Found, reason: &str, by: String, now: Timestamp) -> History {
    let claim = found.claim.as_ref();
    History {
        v: RECORD_VERSION,
        node: node.to_owned(),
        outcome: "released".to_owned(),
        detail: reason.to_owned(),
        ended_at: rfc3339(now),
        by: Some(by),
        ..claim.map(History::of).unwrap_or_default()
    }
}

/// The claim, and what it means to take it away.
fn shown(node: &str, found: &Found, now: Timestamp) -> String {
    let mut lines = vec![format!("The claim of {node}:")];
    lines.extend(claim_table(node, found, now));
    lines.push(String::new());
    let proves = |claim: &Claim| claim.phase == Phase::Verifying;
    let meaning = if found.claim.as_ref().is_ok_and(proves) {
        format!(
            "{node} is up after its reboot, or called its attempt off, and has not proved that it is healthy. Once its claim is gone \
             the next node goes too: both may be out of service at the same time. Release it only when {node} may stay as it is, or \
             is down for good."
        )
    } else if committed(found) {
        format!(
            "{node} is past the point of no return. If it is alive it may go down at any moment, and once its claim is gone \
             the next node goes too: both may be down at the same time. Release it only when {node} is down for good, or is \
             known not to reboot."
        )
    } else {
        format!(
            "{node} waits in the queue and has not begun. It loses its place; if its daemon runs, it joins again at the end."
        )
    };
    lines.push(folded(&meaning));
    lines.join("\n")
}

fn done(cluster: &Cluster, node: &str) -> Exit {
    print(&format!("released the claim of {node}"));
    // Only to be helpful: that it was released is known.
    let survey = cluster.survey().ok();
    if let Some(left) = survey.and_then(|it| queue(&it, "claims left")) {
        print(&left);
    }
    Exit::DONE
}

fn already_gone(cluster: &Cluster, node: &str) -> Done {
    let survey = cluster.survey()?;
    if of_node(&survey.nodes, node).is_none() {
        let known = named(&survey.nodes).chain(named(&survey.claims));
        return Err(unknown(node, known));
    }
    print(&format!(
        "{node} holds no claim: there is nothing to release"
    ));
    // Only the release of a claim takes the mark away with it.
    if cluster.one(cluster.keys.failed(node))?.is_some() {
        say(&format!(
            "its reboot is still marked as failed, which stops the line. When the host is there and may try again: \
             reboot-coordinator reset-budget {node} --reason TEXT. When it is gone for good: reboot-coordinator forget {node}"
        ));
    }
    if let Some(others) = queue(&survey, "claims there are") {
        print(&others);
    }
    Ok(Exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::uncoloured;
    use crate::lock::{Claim, Phase};
    use crate::status::table::WIDTH;

    fn found(phase: Phase) -> Found {
        Found {
            create: 5,
            modified: 7,
            lease: 0,
            claim: Ok(Claim {
                v: 1,
                node: "node-a".into(),
                node_id: "4f1d".into(),
                boot_id: "b1".into(),
                session: "s".into(),
                phase,
                limit: 1,
                domains: crate::lock::Domains::default(),
                reasons: vec!["kernel".into(), "libc".into()],
                since: "2026-11-23T11:40:00.000Z".into(),
                committed_at: phase
                    .committed()
                    .then(|| "2026-11-23T11:48:00.000Z".to_owned()),
                attempts: 1,
                patience_sec: None,
                drain_sec: None,
                passed: Vec::new(),
                target: None,
                version: "0.1.0".into(),
            }),
        }
    }

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_committed_claim_is_shown_with_its_warning() {
        assert_eq!(
            uncoloured(&shown("node-a", &found(Phase::Rebooting), now())),
            "The claim of node-a:
  node       node-a
  node id    4f1d
  phase      rebooting
  committed  12 min ago, at 2026-11-23T11:48:00.000Z
  in queue   20 min ago, at 2026-11-23T11:40:00.000Z
  reasons    kernel, libc

node-a is past the point of no return. If it is alive it may go down at any
moment, and once its claim is gone the next node goes too: both may be down at
the same time. Release it only when node-a is down for good, or is known not to
reboot."
        );
    }

    #[test]
    fn a_queued_claim_only_loses_its_place() {
        let text = uncoloured(&shown("node-a", &found(Phase::Queued), now()));
        assert!(text.contains("It loses its place"), "{text}");
        assert!(!text.contains("committed"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn the_history_says_who_and_why() {
        let entry = entry(
            "node-a",
            &found(Phase::Draining),
            "disk died",
            "eva@admin".into(),
            now(),
        );
        assert_eq!(
            (
                entry.outcome.as_str(),
                entry.detail.as_str(),
                entry.by.as_deref()
            ),
            ("released", "disk died", Some("eva@admin"))
        );
        assert_eq!(entry.ended_at, "2026-11-23T12:00:00.000Z");
        assert_eq!(entry.reasons, ["kernel", "libc"]);
    }
}
