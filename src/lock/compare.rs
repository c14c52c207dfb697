//! Guards, reads and writes, of which requests are made.

use etcd_rs_sync::{Compare, Delete, Keys as Span, Op, Put, Range, Txn};
use serde::Serialize;

use super::record::encode;

/// A compare over all keys below `prefix`: nothing there was written after `revision`. True when nothing is there.
pub(super) fn unchanged_since(prefix: String, revision: i64) -> Compare {
    older_than(Span::prefix(prefix), revision + 1)
}

pub(super) fn older_than(keys: Span, revision: i64) -> Compare {
    Compare {
        keys,
        result: etcd_rs_sync::Is::Less,
        target: etcd_rs_sync::Target::ModRevision(revision),
    }
}

pub(super) fn same(key: &[u8], create: i64, modified: i64) -> Vec<Compare> {
    vec![
        Compare::create_revision(Span::one(key), create),
        Compare::mod_revision(Span::one(key), modified),
    ]
}

/// The key still has this mod revision; 0: it does not exist.
pub(super) fn unchanged(key: String, modified: i64) -> Compare {
    Compare::mod_revision(Span::one(key), modified)
}

pub(super) fn absent(key: String) -> Compare {
    Compare::create_revision(Span::one(key), 0)
}

pub(super) fn present(key: String) -> Compare {
    created_after(key, 0)
}

/// That the key is there, and was created after `revision`.
pub(super) fn created_after(key: String, revision: i64) -> Compare {
    Compare {
        result: etcd_rs_sync::Is::Greater,
        ..Compare::create_revision(Span::one(key), revision)
    }
}

pub(super) fn read(key: String) -> Op {
    Op::Range(Range::of(Span::one(key)))
}

/// Write a record; `lease` 0 for none.
pub(super) fn put<T: Serialize>(key: String, record: &T, lease: i64) -> Op {
    Op::Put(Put::new(key, encode(record), lease))
}

pub(super) fn delete(key: String) -> Op {
    Op::Delete(Delete::of(Span::one(key)))
}

/// Do this to a key that has the mod revision seen (0: it does not exist). Otherwise answer what stands there.
pub(super) fn over(key: String, seen_modified: i64, act: Op) -> Txn {
    Txn {
        compares: vec![unchanged(key.clone(), seen_modified)],
        success: vec![act],
        failure: vec![read(key)],
    }
}

pub(super) fn reads(keys: &[String]) -> Txn {
    Txn {
        success: keys.iter().cloned().map(read).collect(),
        ..Txn::default()
    }
}
