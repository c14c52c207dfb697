//! What a node says of itself: its registration, its health report, its standing.

use etcd_rs_sync::{Delete, Keys as Span, Op, Put, Txn};

use super::compare::{absent, read, unchanged};
use super::record::{NodeRecord, Report, Standing, encode};
use super::{Keys, line, waves};

/// Delete the registration that a machine had under a name which it has no more, while it is the one with this mod revision and
/// neither a claim nor a failure of that name stands. Otherwise answer what stands there.
pub fn unregister(keys: &Keys, record: &NodeRecord, modified: i64) -> Txn {
    let node = record.node.as_str();
    let key = keys.node(node);
    Txn {
        compares: vec![
            unchanged(key.clone(), modified),
            absent(keys.claim(node)),
            absent(keys.failed(node)),
        ],
        success: std::iter::once(Op::Delete(Delete::of(Span::one(key.clone()))))
            .chain((record.wave < 0).then(|| waves::unnamed(keys, node)))
            .collect(),
        failure: vec![read(key)],
    }
}

/// Register a member, or change its registration, when it still has the mod revision seen (0: when there is none), and its wave
/// was that. With a whole budget nothing is left of a reboot that did not help.
pub fn register(keys: &Keys, record: &NodeRecord, (seen_modified, was): (i64, i32)) -> Txn {
    let key = keys.node(&record.node);
    let mut success = vec![Op::Put(Put::new(key.clone(), encode(record), 0))];
    success.extend(waves::named(keys, record, was));
    if record.budget_used == 0 {
        success.push(line::forget(keys, &record.node));
    }
    Txn {
        compares: vec![unchanged(key.clone(), seen_modified)],
        success,
        failure: vec![read(key)],
    }
}

/// Write a health report over the one with the mod revision seen (0: none). Otherwise answer what stands there.
pub fn report(keys: &Keys, report: &Report, lease: i64, seen_modified: i64) -> Txn {
    let key = keys.alive(&report.node);
    Txn {
        compares: vec![unchanged(key.clone(), seen_modified)],
        success: vec![Op::Put(Put::new(key.clone(), encode(report), lease))],
        failure: vec![read(key)],
    }
}

/// Write what a node says of itself over what has the mod revision seen (0: nothing). Otherwise answer what stands there.
pub fn stand(keys: &Keys, standing: &Standing, lease: i64, seen_modified: i64) -> Txn {
    let key = standing.key(keys);
    Txn {
        compares: vec![unchanged(key.clone(), seen_modified)],
        success: vec![Op::Put(Put::new(key.clone(), encode(standing), lease))],
        failure: vec![read(key)],
    }
}
