//! What is sent to etcd. Every write to a claim compares both its create and its mod revision.

use etcd_rs_sync::{Compare, Keys as Span, Op, Order, Put, Range, Txn};

use super::line::{self, Failure, GoOn};
use super::record::{Claim, Cooldown, History, NodeRecord, encode};
use super::{Held, Keys, reboot_requests, waves};

use super::compare::{
    absent, created_after, delete, older_than, present, put, read, reads, same, unchanged,
    unchanged_since,
};
pub use super::node::{register, report, stand, unregister};

/// A revision no store will reach: a guard that demands it must fail.
const IMPOSSIBLE_REVISION: i64 = i64::MAX - 1;

/// How many places before a waiting node's turn it starts to follow every release; further back it follows one claim only.
pub const NEAR: u32 = 4;

/// Guards that must fail, one of each kind the protocol uses. A server that lets one pass does not understand them.
pub fn self_test(keys: &Keys, node: &str) -> Txn {
    let claim = || Span::one(keys.claim(node));
    let must_fail = |compare| {
        Op::Txn(Txn {
            compares: vec![compare],
            ..Txn::default()
        })
    };
    let pause_must_exist = Compare::create_revision(Span::one(keys.pause()), IMPOSSIBLE_REVISION);
    Txn {
        compares: vec![Compare::create_revision(claim(), IMPOSSIBLE_REVISION)],
        failure: vec![
            must_fail(Compare::mod_revision(claim(), IMPOSSIBLE_REVISION)),
            must_fail(unchanged_since(keys.claims(), -1)),
            must_fail(pause_must_exist),
            must_fail(created_after(keys.alive(node), IMPOSSIBLE_REVISION)),
        ],
        ..Txn::default()
    }
}

/// This node's claim and its registration.
pub fn read_own(keys: &Keys, node: &str) -> Txn {
    reads(&[keys.claim(node), keys.node(node)])
}

/// Take the last place in the queue, and count all; when there is a claim already, answer it. A `member` joins while it is
/// registered only: others count who stays healthy by that.
pub fn join(keys: &Keys, claim: &Claim, lease: i64, member: bool) -> Txn {
    let key = keys.claim(&claim.node);
    let mut compares = vec![absent(key.clone())];
    compares.extend(member.then(|| present(keys.node(&claim.node))));
    let all = Range {
        count_only: true,
        ..Range::of(Span::prefix(keys.claims()))
    };
    Txn {
        compares,
        success: vec![put(key.clone(), claim, lease), Op::Range(all)],
        failure: vec![read(key)],
    }
}

/// Do this while a claim has the revisions seen. Otherwise answer it as it is.
fn over_claim(key: String, seen: &Held, acts: Vec<Op>) -> Txn {
    Txn {
        compares: same(key.as_bytes(), seen.create, seen.modified),
        success: acts,
        failure: vec![read(key)],
    }
}

/// Rewrite a claim that still has the revisions seen, keeping its place; `lease` 0 for none. Otherwise answer it as it is.
pub fn rewrite(keys: &Keys, seen: &Held, claim: &Claim, lease: i64) -> Txn {
    let key = keys.claim(&claim.node);
    let write = put(key.clone(), claim, lease);
    over_claim(key, seen, vec![write])
}

/// Delete a claim that still has the revisions seen. Otherwise answer it as it is.
pub fn remove(keys: &Keys, node: &str, seen: &Held) -> Txn {
    let key = keys.claim(node);
    over_claim(key.clone(), seen, vec![delete(key)])
}

/// Take away, and say so in the history, the committed claim of a node that never returned, while its health report is the one
/// with this mod revision (0: there is none). Its failure ends with it: that is what whoever set a time for it, or gave the
/// order, decided.
pub fn take_away(
    keys: &Keys,
    (node, seen, report): (&str, &Held, i64),
    (history, lease, time): (&History, i64, &str),
) -> Txn {
    let mut txn = remove(keys, node, seen);
    txn.compares.push(unchanged(keys.alive(node), report));
    txn.success.push(delete(keys.failed(node)));
    txn.success
        .push(put(keys.history(time, node), history, lease));
    txn
}

/// The claims next before the one created at `create`, nearest first, and that one itself at the front: as many of them as its
/// [window](super::Domains::window), when this many keys that are no claims stand in between.
pub fn recount(keys: &Keys, create: i64, window: u32, foreign: u32) -> Range {
    Range {
        limit: i64::from(window) + 1 + i64::from(foreign),
        order: Order::CreateRevisionDescending,
        max_create_revision: create,
        ..Range::of(Span::prefix(keys.claims()))
    }
}

/// How many members there are.
pub fn size(keys: &Keys) -> Range {
    Range {
        count_only: true,
        ..Range::of(Span::prefix(keys.nodes()))
    }
}

/// Whether this node's claim and another one are there.
pub fn look_at(keys: &Keys, node: &str, other: &str) -> Txn {
    let mut txn = reads(&[keys.claim(node), other.to_owned()]);
    for op in &mut txn.success {
        if let Op::Range(range) = op {
            range.keys_only = true;
        }
    }
    txn
}

/// Whom the gates look at beside this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nobody.
    Nobody,
    /// So many of the oldest claims: all that can be committed.
    Oldest(u32),
    /// Who is registered, all reports and all claims.
    Members,
}

/// What the gates judge, at one revision: pause, cooldown, this node's claim, registration and request, what is known of
/// failures, and the others.
pub fn gate_read(keys: &Keys, node: &str, others: Others) -> Txn {
    let mut txn = reads(&[
        keys.pause(),
        keys.cooldown(),
        keys.claim(node),
        keys.node(node),
        keys.request(node),
        keys.go_on(),
    ]);
    txn.success.push(Op::Range(line::failures(keys)));
    let all = |prefix: String| Range::of(Span::prefix(prefix));
    match others {
        Others::Nobody => {}
        Others::Oldest(limit) => txn.success.push(Op::Range(Range {
            limit: i64::from(limit),
            order: Order::CreateRevision,
            ..all(keys.claims())
        })),
        Others::Members => {
            let names = Range {
                keys_only: true,
                ..all(keys.nodes())
            };
            let more = [names, all(keys.alives()), all(keys.claims())];
            txn.success.extend(more.map(Op::Range));
        }
    }
    txn
}

/// The revisions that the gates were judged on, as far as a commit compares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Mod revision of the registration the budget was read from, 0 for none, and the wave that it says.
    pub registration: (i64, i32),
    /// Mod revision of the operator's request; 0 for none.
    pub request: i64,
    /// Whether that one is urgent and a cooldown was there, which it passes.
    pub past_cooldown: bool,
    /// The revision of the store at which cluster policies were judged, when there are any, and who counted as healthy then.
    pub members: Option<(i64, Vec<String>)>,
    /// The revision of the store at which the line was judged, when failures stop it at all, and the word of an operator that it
    /// needed, with its mod revision.
    pub line: Option<(i64, Option<(i64, GoOn)>)>,
    /// The revision of the store at which the waves were judged, when somebody is in a lower one.
    pub waves: Option<i64>,
}

/// How many reports a commit requires to be there still. etcd takes 128 guards in one transaction.
pub(crate) const MOST_REPORTS: usize = 100;

/// How many guards a commit has at most beside those, without and with cluster policies.
pub(crate) const GUARDS: [usize; 2] = [10, 12];

/// Turn the place at the head of the queue into a record that does not expire. Only its success permits disruption.
///
/// It holds only while nobody paused, nothing cools down that no urgent request passes, the claim is the one seen, and registration and request are the
/// ones that were judged; while no failure became known since; when cluster policies were judged, while no claim and no
/// report was written since; and when somebody is in a lower wave, while no claim and no registration was written since. Otherwise it answers what [`gate_read`] does, without the others.
pub fn commit(
    keys: &Keys,
    seen: &Held,
    claim: &Claim,
    registration: &NodeRecord,
    judged: Judged,
) -> Txn {
    let key = keys.claim(&claim.node);
    let node_key = keys.node(&claim.node);
    let mut compares = same(key.as_bytes(), seen.create, seen.modified);
    compares.push(absent(keys.pause()));
    // The request that lets it past is compared below: its lease ends it as a whole.
    if !judged.past_cooldown {
        compares.push(absent(keys.cooldown()));
    }
    let (registered, was) = judged.registration;
    compares.push(unchanged(node_key.clone(), registered));
    compares.push(unchanged(keys.request(&claim.node), judged.request));
    if let Some((revision, healthy)) = judged.members {
        compares.push(unchanged_since(keys.claims(), revision));
        compares.push(unchanged_since(keys.alives(), revision));
        // A report whose lease ran out leaves nothing that could be compared with a revision: that it is there is demanded.
        let reports = healthy.iter().filter(|node| **node != claim.node);
        compares.extend(
            reports
                .take(MOST_REPORTS)
                .map(|node| present(keys.alive(node))),
        );
    }
    let mut success = vec![put(key, claim, 0), put(node_key, registration, 0)];
    if let Some(revision) = judged.waves {
        compares.push(unchanged_since(keys.claims(), revision));
        compares.push(unchanged_since(keys.nodes(), revision));
    }
    success.extend(waves::named(keys, registration, was));
    if let Some((revision, go_on)) = judged.line {
        compares.push(unchanged_since(keys.failures(), revision));
        if let Some((modified, go_on)) = go_on {
            compares.push(unchanged(keys.go_on(), modified));
            success.extend(go_on.spent().map(|spent| put(keys.go_on(), &spent, 0)));
        }
    }
    Txn {
        compares,
        success,
        failure: gate_read(keys, &claim.node, Others::Nobody).success,
    }
}

/// Move the mod revision of a claim that a pending commit compares, so that it can never succeed; otherwise answer it as it is.
pub fn fence(keys: &Keys, seen: &Held) -> Txn {
    let key = keys.claim(&seen.claim.node);
    let write = Put {
        ignore_lease: true,
        ..Put::new(key.clone(), encode(&seen.claim), 0)
    };
    over_claim(key, seen, vec![Op::Put(write)])
}

/// Whether a committed claim is still as it was; writes nothing.
pub fn confirm(keys: &Keys, node: &str, seen: &Held) -> Txn {
    over_claim(keys.claim(node), seen, vec![])
}

/// Say that the reboot failed whose claim still has the revisions seen; once for each claim. Otherwise answer the claim.
pub fn mark(keys: &Keys, seen: &Held, failure: &Failure) -> Txn {
    let claim = keys.claim(&failure.node);
    let said = keys.failed(&failure.node);
    let say = put(said.clone(), failure, 0);
    let mut txn = over_claim(claim, seen, vec![say]);
    // What was said of an earlier claim is older than this one.
    txn.compares.push(older_than(Span::one(said), seen.create));
    txn
}

/// Everything that ends an attempt, in one transaction.
pub struct Release<'a> {
    /// The claim to delete.
    pub seen: &'a Held,
    /// The registration to write.
    pub registration: &'a NodeRecord,
    /// The wave that the one before it says.
    pub was: i32,
    /// Mod revision of the operator's request that the reboot satisfied; it is deleted if it is still that one.
    pub request: Option<i64>,
    /// The cooldown to begin, with its lease.
    pub cooldown: Option<(&'a Cooldown, i64)>,
    /// The entry of the history, with its lease and the time in its key.
    pub history: (&'a History, i64, &'a str),
    /// That the reboot did not do what it was for. Otherwise whatever was known to have failed is over, if the budget is whole.
    pub failure: Option<&'a Failure>,
}

/// End an attempt. When the claim is not the one seen, answer it and the registration.
pub fn release(keys: &Keys, release: &Release<'_>) -> Txn {
    let node = release.seen.claim.node.as_str();
    let mut txn = remove(keys, node, release.seen);
    let acts = &mut txn.success;
    acts.push(put(keys.node(node), release.registration, 0));
    acts.extend(waves::named(keys, release.registration, release.was));
    if let Some((cooldown, lease)) = release.cooldown {
        acts.push(put(keys.cooldown(), cooldown, lease));
    }
    let (history, lease, time) = release.history;
    acts.push(put(keys.history(time, node), history, lease));
    if let Some(modified) = release.request {
        acts.push(Op::Txn(reboot_requests::withdraw(keys, node, modified)));
    }
    match release.failure {
        Some(failure) => acts.push(put(keys.failed(node), failure, 0)),
        None if release.registration.budget_used == 0 => acts.push(delete(keys.failed(node))),
        // An earlier reboot cleared nothing, and an attempt that is called off mends nothing.
        None => {}
    }
    txn.failure.push(read(keys.node(node)));
    txn
}
