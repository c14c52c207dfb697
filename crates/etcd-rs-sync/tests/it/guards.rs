//! Each kind of guard, with each relation, on each version: it must hold when it should, and must fail when it should. A guard
//! that a server misreads is worse than none.

use etcd_rs_sync::{Client, Compare, Etcd, Is, Keys, Op, OpReply, Put, Range, Target, Txn};

use crate::support::{client, each_version_and_tls};

/// Whether a txn with this guard takes its first branch; both branches write, so that the store tells as well.
fn holds(etcd: &Client, compare: Compare) -> bool {
    let mark = |value: &str| vec![Op::Put(Put::new("mark", value, 0))];
    let txn = Txn {
        compares: vec![compare],
        success: mark("held"),
        failure: mark("failed"),
    };
    let succeeded = etcd.txn(txn).unwrap().succeeded;
    let stored = etcd
        .range(Range::of(Keys::one("mark")))
        .unwrap()
        .kvs
        .remove(0)
        .value;
    assert_eq!(stored, if succeeded { &b"held"[..] } else { b"failed" });
    succeeded
}

fn check(etcd: &Client, keys: &Keys, actual: i64, target: impl Fn(i64) -> Target) {
    for (result, offset, expected) in [
        (Is::Equal, 0, true),
        (Is::Equal, 1, false),
        (Is::Equal, -1, false),
        (Is::NotEqual, 0, false),
        (Is::NotEqual, 1, true),
        (Is::Greater, -1, true),
        (Is::Greater, 0, false),
        (Is::Greater, 1, false),
        (Is::Less, 1, true),
        (Is::Less, 0, false),
        (Is::Less, -1, false),
    ] {
        let compare = Compare {
            keys: keys.clone(),
            result,
            target: target(actual + offset),
        };
        let shown = format!("{compare:?}, actually {actual}");
        assert_eq!(holds(etcd, compare), expected, "{shown}");
    }
}

#[test]
fn every_guard_holds_when_it_should_and_only_then() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        etcd.grant(700, 60).unwrap();
        for value in ["1", "2", "m"] {
            etcd.put(Put::new("k", value, 700)).unwrap();
        }
        let kv = etcd.range(Range::of(Keys::one("k"))).unwrap().kvs.remove(0);
        assert!(kv.create_revision != kv.mod_revision && kv.version != kv.create_revision);
        let keys = Keys::one("k");
        check(&etcd, &keys, kv.create_revision, Target::CreateRevision);
        check(&etcd, &keys, kv.mod_revision, Target::ModRevision);
        check(&etcd, &keys, kv.version, Target::Version);
        check(&etcd, &keys, kv.lease, Target::Lease);
        // 'l' < 'm' < 'n'
        check(&etcd, &keys, i64::from(b'm'), |n| {
            Target::Value(vec![u8::try_from(n).unwrap()])
        });
    });
}

#[test]
fn an_absent_key_counts_as_zero() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        for keys in [Keys::one("none"), Keys::prefix("none/")] {
            let targets: [fn(i64) -> Target; 4] = [
                Target::CreateRevision,
                Target::ModRevision,
                Target::Version,
                Target::Lease,
            ];
            for target in targets {
                for (value, expected) in [(0, true), (1, false), (i64::MAX, false)] {
                    let compare = Compare {
                        keys: keys.clone(),
                        result: Is::Equal,
                        target: target(value),
                    };
                    let shown = format!("{compare:?}");
                    assert_eq!(holds(&etcd, compare), expected, "{shown}");
                }
            }
        }
        let value = Compare {
            keys: Keys::one("none"),
            result: Is::Equal,
            target: Target::Value(Vec::new()),
        };
        assert!(
            !holds(&etcd, value),
            "the value of an absent key equals nothing, not even an empty one"
        );
    });
}

#[test]
fn a_guard_over_a_range_must_hold_for_every_key_there() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let first = etcd.put(Put::new("r/1", "x", 0)).unwrap().header.revision;
        let last = etcd.put(Put::new("r/2", "x", 0)).unwrap().header.revision;
        let newer_than = |revision: i64| Compare {
            keys: Keys::prefix("r/"),
            result: Is::Less,
            target: Target::ModRevision(revision + 1),
        };
        assert!(
            holds(&etcd, newer_than(last)),
            "nothing is newer than the last write"
        );
        assert!(
            !holds(&etcd, newer_than(first)),
            "one of two keys is newer than the first write"
        );
        assert!(!holds(
            &etcd,
            Compare::create_revision(Keys::prefix("r/"), 0)
        ));
        assert!(!holds(
            &etcd,
            Compare::create_revision(Keys::prefix("r/"), first)
        ));
        assert!(holds(
            &etcd,
            Compare::create_revision(Keys::prefix("empty/"), 0)
        ));
        let later = etcd.put(Put::new("r/1", "y", 0)).unwrap().header.revision;
        assert!(!holds(&etcd, newer_than(last)));
        assert!(holds(&etcd, newer_than(later)));
    });
}

#[test]
fn all_guards_of_a_list_and_those_of_nested_transactions_count() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        etcd.put(Put::new("k", "v", 0)).unwrap();
        let good = Compare {
            keys: Keys::one("k"),
            result: Is::Equal,
            target: Target::Value(b"v".to_vec()),
        };
        let bad = Compare::create_revision(Keys::one("k"), 0);
        for (compares, expected) in [
            (vec![good.clone(), good.clone()], true),
            (vec![good.clone(), bad.clone()], false),
            (vec![bad.clone(), good.clone()], false),
        ] {
            let flat = Txn {
                compares,
                success: Vec::new(),
                failure: Vec::new(),
            };
            assert_eq!(etcd.txn(flat.clone()).unwrap().succeeded, expected);
            let outer = Txn {
                success: vec![Op::Txn(flat)],
                ..Txn::default()
            };
            let reply = etcd.txn(outer).unwrap();
            assert!(reply.succeeded);
            assert!(
                matches!(&reply.replies[..], [OpReply::Txn(inner)] if inner.succeeded == expected)
            );
        }
    });
}

#[test]
fn revisions_beyond_two_to_the_53_are_compared_exactly() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let lease = (1 << 53) + 1;
        etcd.grant(lease, 60).unwrap();
        etcd.put(Put::new("k", "v", lease)).unwrap();
        assert_eq!(
            etcd.range(Range::of(Keys::one("k"))).unwrap().kvs[0].lease,
            lease
        );
        check(&etcd, &Keys::one("k"), lease, Target::Lease);
    });
}
