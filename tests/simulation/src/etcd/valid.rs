//! What etcd refuses before it looks at its store: a request that makes no sense by itself.

use std::collections::BTreeSet;

use etcd_rs_sync::{Error, Keys, Op, Put, Request, Txn};

use super::rejected;

/// The most operations or compares of one list, those of the transactions around it taken off.
const MAX_OPS: usize = 128;

pub(super) fn check(request: &Request) -> Result<(), Error> {
    match request {
        Request::Range(range) => has_key(&range.keys.key),
        Request::Put(put) => check_put(put),
        Request::Delete(delete) => has_key(&delete.keys.key),
        Request::Txn(txn) => {
            check_txn(txn, MAX_OPS)?;
            written(&txn.success)?;
            written(&txn.failure).map(|_| ())
        }
        Request::Grant { .. }
        | Request::Revoke { .. }
        | Request::KeepAlive { .. }
        | Request::TimeToLive { .. }
        | Request::Compact { .. }
        | Request::Status
        | Request::Members => Ok(()),
    }
}

fn check_txn(txn: &Txn, most: usize) -> Result<(), Error> {
    let longest = [txn.compares.len(), txn.success.len(), txn.failure.len()]
        .into_iter()
        .fold(0, usize::max);
    if longest > most {
        return Err(invalid("too many operations in txn request"));
    }
    for compare in &txn.compares {
        has_key(&compare.keys.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            Op::Range(range) => has_key(&range.keys.key)?,
            Op::Put(put) => check_put(put)?,
            Op::Delete(delete) => has_key(&delete.keys.key)?,
            Op::Txn(nested) => check_txn(nested, most - longest)?,
        }
    }
    Ok(())
}

fn check_put(put: &Put) -> Result<(), Error> {
    has_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(invalid("value is provided"));
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(invalid("lease is provided"));
    }
    Ok(())
}

fn has_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        return Err(invalid("key is not provided"));
    }
    Ok(())
}

/// What a list of operations puts and deletes, nested ones included. No key may be put twice, nor put where it is deleted, but for
/// the two branches of one transaction, of which only one runs.
fn written(ops: &[Op]) -> Result<(BTreeSet<&[u8]>, Vec<&Keys>), Error> {
    let mut deletes: Vec<&Keys> = ops
        .iter()
        .filter_map(|op| match op {
            // etcd takes the end that means "to the last key" for a key before the first one, and sees no conflict there.
            Op::Delete(delete) if delete.keys.range_end == [0] => None,
            Op::Delete(delete) => Some(&delete.keys),
            Op::Range(_) | Op::Put(_) | Op::Txn(_) => None,
        })
        .collect();
    let mut puts = BTreeSet::new();
    for op in ops {
        if let Op::Txn(nested) = op {
            let (then, then_deletes) = written(&nested.success)?;
            let (otherwise, other_deletes) = written(&nested.failure)?;
            let branches: BTreeSet<&[u8]> = then.union(&otherwise).copied().collect();
            add(&mut puts, branches, &deletes)?;
            deletes.extend(then_deletes);
            deletes.extend(other_deletes);
        }
    }
    for op in ops {
        if let Op::Put(put) = op {
            add(&mut puts, BTreeSet::from([put.key.as_slice()]), &deletes)?;
        }
    }
    Ok((puts, deletes))
}

fn add<'a>(
    puts: &mut BTreeSet<&'a [u8]>,
    more: BTreeSet<&'a [u8]>,
    deletes: &[&Keys],
) -> Result<(), Error> {
    for key in more {
        if deletes.iter().any(|keys| keys.contains(key)) || !puts.insert(key) {
            return Err(invalid("duplicate key given in txn request"));
        }
    }
    Ok(())
}

fn invalid(words: &str) -> Error {
    rejected(400, 3, &format!("etcdserver: {words}"))
}
