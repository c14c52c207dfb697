//! What the gates' read says, at one revision.

use std::collections::BTreeSet;

use etcd_rs_sync::{KeyValue, RangeReply, Reply};

use super::Keys;
use super::answer::{Found, Malformed, Registered, dated, named, reads, single, unguarded};
use super::keys::shown;
use super::line::{Failure, Known, Line};
use super::reboot_requests::{self, Seen};
use super::record::{self, Cooldown, Pause, RecordError, Report, decode};

/// What the gates judge, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateRead {
    /// The store's revision.
    pub revision: i64,
    /// The cluster-wide kill switch. One that cannot be read is still one.
    pub pause: Option<Result<Pause, RecordError>>,
    /// The cooldown.
    pub cooldown: Option<Result<Cooldown, RecordError>>,
    /// The own claim.
    pub claim: Option<Found>,
    /// The own registration with its mod revision.
    pub registration: Registered,
    /// An operator's request for this node.
    pub request: Seen,
    /// What is known of failures.
    pub line: Line,
    /// The claims that are committed or cannot be read, by node, as far as claims were asked for.
    pub claims: Vec<(String, Found)>,
    /// How many keys that are no claims took the places of claims in the answer.
    pub displaced: usize,
    /// The members, when they were asked for.
    pub members: Option<Members>,
}

/// The members at one revision of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Every registered member.
    pub all: Vec<String>,
    /// Those whose report exists and says that they are healthy.
    pub healthy: Vec<String>,
    /// Those with a claim that is committed, or that cannot be read: they are down, or may be.
    pub down: Vec<String>,
    /// A key among them that names no node.
    pub foreign: Option<String>,
}

impl Members {
    /// How many members are healthy, and how many are not or are not known to be.
    pub fn counts(&self) -> (usize, usize) {
        let reported: BTreeSet<&String> = self.healthy.iter().collect();
        let is_healthy = |name: &&String| reported.contains(name);
        let healthy = self.all.iter().filter(is_healthy).count();
        (healthy, self.all.len() - healthy)
    }
}

/// What [`super::request::gate_read`] found.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn gate_read(reply: Reply, keys: &Keys) -> Result<GateRead, Malformed> {
    let txn = unguarded(reply)?;
    let all: Vec<&RangeReply> = reads(&txn);
    let Some((own, others)) = all.split_first_chunk::<7>() else {
        return Err(Malformed("a txn answered another number of reads"));
    };
    let (members, found) = match others {
        [] => (None, None),
        [claims] => (None, Some(*claims)),
        [nodes, alive, claims] => (Some(members(keys, nodes, alive, claims)), Some(*claims)),
        _ => return Err(Malformed("a txn answered another number of reads")),
    };
    let claims_of = |found: &RangeReply| named(&keys.claims(), &found.kvs, Found::of);
    let mut claims = found.map(claims_of).unwrap_or_default();
    let cut = found.filter(|found| found.more);
    let displaced = cut.map_or(0, |found| found.kvs.len() - claims.len());
    claims.retain(|(_, found)| may_be_down(found));
    let [.., go_on, failed] = own;
    Ok(GateRead {
        line: line(keys, failed, single(go_on)?),
        claims,
        displaced,
        members,
        ..gates(txn.header.revision, own)?
    })
}

pub(super) fn gates(revision: i64, own: &[&RangeReply]) -> Result<GateRead, Malformed> {
    let [pause, cooldown, claim, node, request, _, _] = own else {
        return Err(Malformed("a txn answered another number of reads"));
    };
    Ok(GateRead {
        revision,
        pause: single(pause)?.map(record::pause),
        cooldown: single(cooldown)?.map(|kv| record::cooldown(&kv.value, kv.lease)),
        claim: single(claim)?.map(Found::of),
        registration: single(node)?.map(dated),
        request: single(request)?.map(reboot_requests::of),
        ..GateRead::default()
    })
}

/// What the failures and the operator's word say.
pub(super) fn line(keys: &Keys, failed: &RangeReply, go_on: Option<&KeyValue>) -> Line {
    let prefix = keys.failures();
    let known = |kv: &KeyValue| {
        let node = Keys::node_of(&prefix, &kv.key)?.to_owned();
        let failure: Result<Failure, RecordError> = decode(&kv.value);
        Some(Known {
            node,
            id: failure.as_ref().map_or(kv.mod_revision, |it| it.claim),
            failure,
        })
    };
    let nameless = |kv: &&KeyValue| Keys::node_of(&prefix, &kv.key).is_none();
    let foreign = failed.kvs.iter().filter(nameless);
    Line {
        failures: failed.kvs.iter().filter_map(known).collect(),
        foreign: foreign.map(|kv| shown(&kv.key)).collect(),
        more: failed.more,
        go_on: go_on.map(dated),
    }
}

/// A report that cannot be read says nothing good; a claim that cannot be read may be of a node that is down.
fn members(keys: &Keys, nodes: &RangeReply, alive: &RangeReply, claims: &RangeReply) -> Members {
    let down = |kv: &KeyValue| may_be_down(&Found::of(kv));
    let mut foreign = None;
    let mut named = |prefix: String, range: &RangeReply, counts: &dyn Fn(&KeyValue) -> bool| {
        let mut names = Vec::new();
        for kv in &range.kvs {
            match Keys::node_of(&prefix, &kv.key) {
                Some(name) if counts(kv) => names.push(name.to_owned()),
                Some(_) => {}
                None => foreign = Some(shown(&kv.key)),
            }
        }
        names
    };
    Members {
        all: named(keys.nodes(), nodes, &|_| true),
        healthy: named(keys.alives(), alive, &is_healthy),
        down: named(keys.claims(), claims, &down),
        foreign,
    }
}

pub(super) fn is_healthy(kv: &KeyValue) -> bool {
    record::alive(kv).is_ok_and(|report: Report| report.healthy)
}

fn may_be_down(found: &Found) -> bool {
    let claim = found.claim.as_ref();
    claim.map_or(true, |claim| claim.phase.committed())
}
