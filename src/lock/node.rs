//! What a node says of itself: its registration, its health report, its standing.

use etcd_rs_sync::Txn;

use super::compare::{absent, delete, over, put};
use super::record::{NodeRecord, Report, Standing};
use super::{Keys, waves};

/// Delete the registration that a machine had under a name which it has no more, while it is the one with this mod revision and
/// neither a claim nor a failure of that name stands; where the budget `is_whole` by now, the failure goes too. Otherwise answer what stands there.
pub fn unregister(keys: &Keys, record: &NodeRecord, modified: i64, is_whole: bool) -> Txn {
    let node = record.node.as_str();
    let mut txn = over(keys.node(node), modified, delete(keys.node(node)));
    txn.compares.push(absent(keys.claim(node)));
    match is_whole {
        true => txn.success.push(delete(keys.failed(node))),
        false => txn.compares.push(absent(keys.failed(node))),
    }
    txn.success
        .extend((record.wave < 0).then(|| delete(keys.wave(node))));
    txn
}

/// Register a member, or change its registration, when it still has the mod revision seen (0: when there is none), and its wave
/// was that. With a whole budget nothing is left of a reboot that did not help.
pub fn register(keys: &Keys, record: &NodeRecord, (seen_modified, was): (i64, i32)) -> Txn {
    let key = keys.node(&record.node);
    let mut txn = over(key.clone(), seen_modified, put(key, record, 0));
    txn.success.extend(waves::named(keys, record, was));
    if record.budget_used == 0 {
        txn.success.push(delete(keys.failed(&record.node)));
    }
    txn
}

/// Write a health report over the one with the mod revision seen (0: none). Otherwise answer what stands there.
pub fn report(keys: &Keys, report: &Report, lease: i64, seen_modified: i64) -> Txn {
    let key = keys.alive(&report.node);
    over(key.clone(), seen_modified, put(key, report, lease))
}

/// Write what a node says of itself over what has the mod revision seen (0: nothing). Otherwise answer what stands there.
pub fn stand(keys: &Keys, standing: &Standing, lease: i64, seen_modified: i64) -> Txn {
    let key = standing.key(keys);
    over(key.clone(), seen_modified, put(key, standing, lease))
}
