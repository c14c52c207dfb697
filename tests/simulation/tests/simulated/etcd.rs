//! The simulated etcd answers as the real one does.

use etcd_rs_sync::{
    Compare, Delete, Error, Etcd, Is, Keys, Op, OpReply, Order, Put, Range, Reply, Request, Target,
    Txn, TxnReply,
};
use simulation::SECOND;
use simulation::etcd::{FakeEtcd, SharedEtcd};

fn txn(etcd: &mut FakeEtcd, compares: Vec<Compare>, success: Vec<Op>) -> TxnReply {
    let request = Request::Txn(Txn {
        compares,
        success,
        failure: vec![],
    });
    match etcd.apply(0, &request) {
        Ok(Reply::Txn(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

fn put(key: &str, value: &str, lease: i64) -> Op {
    Op::Put(Put::new(key, value, lease))
}

fn delete(key: &str) -> Op {
    Op::Delete(Delete::of(Keys::one(key)))
}

#[test]
fn a_transaction_is_one_revision_and_one_without_effect_is_none() {
    let mut etcd = FakeEtcd::default();
    let reply = txn(&mut etcd, vec![], vec![put("a", "1", 0), put("b", "1", 0)]);
    assert_eq!((reply.header.revision, etcd.revision()), (2, 2));
    let reply = txn(&mut etcd, vec![], vec![delete("c")]);
    assert_eq!((reply.header.revision, etcd.revision()), (2, 2));
    let reply = txn(&mut etcd, vec![], vec![put("a", "2", 0), delete("b")]);
    assert_eq!(reply.header.revision, 3);
    let kv = etcd.get(b"a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 3, 2));
}

#[test]
fn a_compare_over_a_range_holds_for_every_key_and_an_empty_range_is_an_absent_key() {
    let mut etcd = FakeEtcd::default();
    let below = |revision| Compare {
        keys: Keys::prefix("p/"),
        result: Is::Less,
        target: Target::ModRevision(revision),
    };
    assert!(txn(&mut etcd, vec![below(1)], vec![]).succeeded);
    assert!(!txn(&mut etcd, vec![below(0)], vec![]).succeeded);
    let absent = Compare::create_revision(Keys::prefix("p/"), 0);
    assert!(txn(&mut etcd, vec![absent], vec![]).succeeded);
    txn(&mut etcd, vec![], vec![put("p/a", "", 0)]); // revision 2
    txn(&mut etcd, vec![], vec![put("p/b", "", 0)]); // revision 3
    assert!(!txn(&mut etcd, vec![below(3)], vec![]).succeeded);
    assert!(txn(&mut etcd, vec![below(4)], vec![]).succeeded);
    let value = Compare {
        keys: Keys::one("none"),
        result: Is::NotEqual,
        target: Target::Value(b"x".to_vec()),
    };
    assert!(!txn(&mut etcd, vec![value], vec![]).succeeded);
}

#[test]
fn nested_compares_are_judged_before_anything_is_written() {
    let mut etcd = FakeEtcd::default();
    let nested = Op::Txn(Txn {
        compares: vec![Compare::create_revision(Keys::one("a"), 0)],
        success: vec![],
        failure: vec![],
    });
    let reply = txn(&mut etcd, vec![], vec![put("a", "1", 0), nested]);
    assert!(matches!(&reply.replies[1], OpReply::Txn(nested) if nested.succeeded));
}

#[test]
fn a_put_without_a_lease_detaches_and_ignore_lease_keeps() {
    let mut etcd = FakeEtcd::default();
    etcd.apply(0, &Request::Grant { id: 7, ttl_sec: 10 })
        .unwrap();
    txn(
        &mut etcd,
        vec![],
        vec![put("kept", "1", 7), put("detached", "1", 7)],
    );
    let mut again = Put::new("kept", "2", 0);
    again.ignore_lease = true;
    txn(
        &mut etcd,
        vec![],
        vec![Op::Put(again), put("detached", "2", 0)],
    );
    assert!(!etcd.expire(9 * SECOND, 7), "never early");
    assert!(etcd.expire(10 * SECOND, 7));
    assert!(etcd.get(b"kept").is_none());
    assert!(etcd.get(b"detached").is_some());
    let late = etcd.apply(
        0,
        &Request::Txn(Txn {
            success: vec![put("kept", "3", 7)],
            ..Txn::default()
        }),
    );
    assert!(matches!(late, Err(Error::LeaseNotFound)));
}

#[test]
fn a_lease_is_granted_once_renewed_in_full_and_restarted_by_a_new_leader() {
    let mut etcd = FakeEtcd::default();
    let grant = Request::Grant { id: 7, ttl_sec: 1 };
    let Ok(Reply::Grant(granted)) = etcd.apply(0, &grant) else {
        panic!("not granted");
    };
    assert_eq!(granted.ttl_sec, 2, "the server raises a short TTL");
    assert!(matches!(etcd.apply(0, &grant), Err(Error::LeaseExists)));
    etcd.apply(SECOND, &Request::KeepAlive { id: 7 }).unwrap();
    assert!(!etcd.expire(2 * SECOND, 7));
    etcd.change_leader(2 * SECOND, SECOND);
    assert!(!etcd.expire(4 * SECOND, 7));
    assert!(etcd.expire(5 * SECOND, 7));
    let gone = etcd.apply(5 * SECOND, &Request::KeepAlive { id: 7 });
    assert!(matches!(gone, Ok(Reply::KeepAlive(answer)) if answer.ttl_sec.is_none()));
    assert!(matches!(
        etcd.apply(0, &Request::Revoke { id: 7 }),
        Err(Error::LeaseNotFound)
    ));
}

#[test]
fn a_range_is_filtered_and_sorted_before_it_is_cut() {
    let mut etcd = FakeEtcd::default();
    for key in ["p/c", "p/a", "p/b", "p/d"] {
        txn(&mut etcd, vec![], vec![put(key, "v", 0)]); // revisions 2..5
    }
    let range = Range {
        limit: 2,
        order: Order::CreateRevisionDescending,
        max_create_revision: 4,
        keys_only: true,
        ..Range::of(Keys::prefix("p/"))
    };
    let Ok(Reply::Range(reply)) = etcd.apply(0, &Request::Range(range)) else {
        panic!("no range");
    };
    let keys: Vec<_> = reply.kvs.iter().map(|kv| kv.key.as_slice()).collect();
    assert_eq!(keys, [b"p/b".as_slice(), b"p/a"]);
    assert!(reply.more && reply.kvs[0].value.is_empty());
}

#[test]
fn changes_are_told_from_a_revision_on_until_it_is_compacted() {
    let mut etcd = FakeEtcd::default();
    txn(&mut etcd, vec![], vec![put("a", "1", 0)]);
    txn(&mut etcd, vec![], vec![put("a", "2", 0)]);
    assert_eq!(etcd.changes_from(3).unwrap().len(), 1);
    etcd.apply(0, &Request::Compact { revision: 2 }).unwrap();
    assert!(etcd.changes_from(2).is_none());
    assert_eq!(etcd.changes_from(3).unwrap().len(), 1);
    assert!(matches!(
        etcd.apply(0, &Request::Compact { revision: 9 }),
        Err(Error::Compacted { .. })
    ));
}

#[test]
fn a_full_database_takes_no_puts_but_deletes_and_revokes() {
    let etcd = SharedEtcd::default();
    etcd.call(&Request::Grant { id: 7, ttl_sec: 5 }).unwrap();
    etcd.call(&Request::Put(Put::new("a", "1", 7))).unwrap();
    etcd.advance(4 * SECOND);
    assert!(etcd.call(&Request::Revoke { id: 7 }).is_ok());
    let mut etcd = FakeEtcd::default();
    etcd.no_space = true;
    let refused = etcd.apply(0, &Request::Put(Put::new("a", "1", 0)));
    assert!(matches!(
        refused,
        Err(Error::Rejected {
            http_status: 429,
            code: 8,
            ..
        })
    ));
    assert!(
        etcd.apply(0, &Request::Delete(Delete::of(Keys::one("a"))))
            .is_ok()
    );
}
