//! Every kind of request, and what comes back.

use etcd_rs_sync::{
    Compare, Delete, Error, Etcd, Keys, Op, OpReply, Order, Put, PutReply, Range, Txn,
};

use crate::support::{client, each_version_and_tls};

#[test]
fn what_is_put_is_read_listed_and_deleted() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let binary: Vec<u8> = (0..=255).collect();
        assert_eq!(etcd.revision(), 0);
        let first = etcd.put(Put::new("a/1", binary.clone(), 0)).unwrap();
        assert_eq!(etcd.revision(), first.header.revision);
        etcd.put(Put::new("a/2", "", 0)).unwrap();
        let replaced = etcd
            .put(Put {
                prev_kv: true,
                ..Put::new("a/1", "new", 0)
            })
            .unwrap();
        let old = replaced.prev_kv.unwrap();
        assert_eq!((old.value, old.version), (binary, 1));
        assert_eq!(old.mod_revision, first.header.revision);
        assert_ne!(first.header.cluster_id, 0);

        let one = etcd.range(Range::of(Keys::one("a/1"))).unwrap();
        assert_eq!((one.count, one.more, one.kvs[0].version), (1, false, 2));
        assert_eq!(one.kvs[0].value, b"new");
        assert_eq!(one.kvs[0].create_revision, first.header.revision);
        assert_eq!(one.kvs[0].mod_revision, replaced.header.revision);

        let none = etcd.range(Range::of(Keys::one("b"))).unwrap();
        assert_eq!((none.count, none.kvs.len()), (0, 0));
        let limited = etcd
            .range(Range {
                limit: 1,
                ..Range::of(Keys::prefix("a/"))
            })
            .unwrap();
        assert_eq!(
            (limited.count, limited.more, limited.kvs.len()),
            (2, true, 1)
        );
        let counted = etcd
            .range(Range {
                count_only: true,
                ..Range::of(Keys::prefix(""))
            })
            .unwrap();
        assert_eq!((counted.count, counted.kvs.len()), (2, 0));
        let bare = etcd
            .range(Range {
                keys_only: true,
                ..Range::of(Keys::prefix("a/"))
            })
            .unwrap();
        assert!(
            bare.kvs
                .iter()
                .all(|kv| kv.value.is_empty() && kv.mod_revision > 0)
        );
        let past = etcd
            .range(Range {
                revision: first.header.revision,
                ..Range::of(Keys::prefix("a/"))
            })
            .unwrap();
        assert_eq!((past.count, past.kvs[0].version), (1, 1));
        let stale = etcd
            .range(Range {
                serializable: true,
                ..Range::of(Keys::one("a/2"))
            })
            .unwrap();
        assert_eq!(stale.kvs[0].value, b"");

        let deleted = etcd
            .delete(Delete {
                keys: Keys::prefix("a/"),
                prev_kv: true,
            })
            .unwrap();
        assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (2, 2));
        assert_eq!(
            etcd.delete(Delete::of(Keys::one("a/1"))).unwrap().deleted,
            0
        );
    });
}

#[test]
fn order_and_bounds_are_understood() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        for key in ["q/c", "q/a", "q/b", "q/c"] {
            etcd.put(Put::new(key, "x", 0)).unwrap();
        }
        let listed = |range: Range| -> Vec<String> {
            let reply = etcd.range(range).unwrap();
            reply
                .kvs
                .into_iter()
                .map(|kv| String::from_utf8(kv.key).unwrap())
                .collect()
        };
        let all = Range::of(Keys::prefix("q/"));
        assert_eq!(listed(all.clone()), ["q/a", "q/b", "q/c"]);
        let created = Range {
            order: Order::CreateRevision,
            ..all.clone()
        };
        assert_eq!(listed(created), ["q/c", "q/a", "q/b"]);
        let modified = Range {
            order: Order::ModRevision,
            ..all.clone()
        };
        assert_eq!(listed(modified), ["q/a", "q/b", "q/c"]);
        let second = etcd.range(Range::of(Keys::one("q/a"))).unwrap().kvs[0].create_revision;
        let older = Range {
            max_create_revision: second,
            ..all
        };
        assert_eq!(listed(older), ["q/a", "q/c"]);
    });
}

#[test]
fn puts_can_keep_the_lease_or_the_value() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        etcd.grant(7, 60).unwrap();
        let lease_of = |key: &str| etcd.range(Range::of(Keys::one(key))).unwrap().kvs[0].lease;
        etcd.put(Put::new("k", "1", 7)).unwrap();
        etcd.put(Put {
            ignore_lease: true,
            ..Put::new("k", "2", 0)
        })
        .unwrap();
        assert_eq!(lease_of("k"), 7);
        etcd.put(Put {
            ignore_value: true,
            ..Put::new("k", "", 0)
        })
        .unwrap();
        assert_eq!(lease_of("k"), 0, "a put without a lease detaches it");
        assert_eq!(
            etcd.range(Range::of(Keys::one("k"))).unwrap().kvs[0].value,
            b"2"
        );
        let missing = etcd.put(Put {
            ignore_lease: true,
            ..Put::new("none", "", 0)
        });
        assert!(
            matches!(missing, Err(Error::Rejected { .. })),
            "{missing:?}"
        );
    });
}

#[test]
fn a_transaction_answers_each_operation_of_the_branch_that_ran() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let absent = || Compare::create_revision(Keys::one("k"), 0);
        let txn = Txn {
            compares: vec![absent()],
            success: vec![
                Op::Put(Put::new("k", "v", 0)),
                Op::Put(Put {
                    prev_kv: true,
                    ..Put::new("other", "v", 0)
                }),
                Op::Delete(Delete::of(Keys::one("none"))),
                Op::Range(Range::of(Keys::one("k"))),
                Op::Txn(Txn {
                    compares: vec![absent()],
                    success: vec![Op::Delete(Delete::of(Keys::one("third")))],
                    failure: Vec::new(),
                }),
            ],
            failure: vec![Op::Range(Range::of(Keys::one("k")))],
        };
        let won = etcd.txn(txn.clone()).unwrap();
        assert!(won.succeeded);
        let [
            OpReply::Put(_),
            OpReply::Put(PutReply { prev_kv: None, .. }),
            OpReply::Delete(none),
            OpReply::Range(read),
            OpReply::Txn(nested),
        ] = &won.replies[..]
        else {
            panic!("{:?}", won.replies);
        };
        assert_eq!(none.deleted, 0);
        assert_eq!(read.kvs[0].value, b"v", "a read sees the writes before it");
        assert!(
            nested.succeeded,
            "etcd evaluates nested guards before it writes anything"
        );
        assert!(matches!(&nested.replies[..], [OpReply::Delete(reply)] if reply.deleted == 0));

        etcd.put(Put::new("k", "mine", 0)).unwrap();
        let lost = etcd.txn(txn).unwrap();
        assert!(!lost.succeeded);
        assert!(
            matches!(&lost.replies[..], [OpReply::Range(reply)] if reply.kvs[0].value == b"mine")
        );
        assert!(etcd.txn(Txn::default()).unwrap().succeeded);
    });
}

#[test]
fn compaction_members_and_status() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        etcd.put(Put::new("k", "1", 0)).unwrap();
        let revision = etcd.put(Put::new("k", "2", 0)).unwrap().header.revision;
        etcd.compact(revision).unwrap();
        let again = etcd.compact(revision);
        assert!(matches!(again, Err(Error::Compacted { .. })), "{again:?}");
        let past = etcd.range(Range {
            revision: revision - 1,
            ..Range::of(Keys::one("k"))
        });
        assert!(matches!(past, Err(Error::Compacted { .. })), "{past:?}");
        let future = etcd.range(Range {
            revision: revision + 100,
            ..Range::of(Keys::one("k"))
        });
        assert!(matches!(future, Err(Error::Compacted { .. })), "{future:?}");

        let status = etcd.status().unwrap();
        assert_eq!(status.version, cluster.version().name);
        assert_eq!(etcd.server_version(), Some(status.version));
        assert!(status.db_size > 0);
        let members = etcd.members().unwrap().members;
        assert_eq!(members.len(), 1);
        assert_eq!(
            (members[0].name.as_str(), members[0].id),
            ("m0", status.leader)
        );
        assert_eq!(members[0].client_urls, cluster.endpoints());
        assert_eq!(members[0].peer_urls.len(), 1);
    });
}

#[test]
fn what_etcd_refuses_is_definite() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let many = (0..200)
            .map(|n| Op::Put(Put::new(format!("k{n}"), "", 0)))
            .collect();
        let too_many = etcd.txn(Txn {
            success: many,
            ..Txn::default()
        });
        let twice = vec![Op::Put(Put::new("k", "", 0)), Op::Put(Put::new("k", "", 0))];
        let duplicate = etcd.txn(Txn {
            success: twice,
            ..Txn::default()
        });
        let too_large = etcd.put(Put::new("k", vec![0; 1_700_000], 0));
        let no_key = etcd.put(Put::new("", "", 0));
        for (what, error) in [
            ("too many operations", too_many.unwrap_err()),
            ("one key twice", duplicate.unwrap_err()),
            ("too large", too_large.unwrap_err()),
            ("no key", no_key.unwrap_err()),
        ] {
            assert!(matches!(error, Error::Rejected { .. }), "{what}: {error:?}");
            assert!(error.is_definite());
        }
    });
}
