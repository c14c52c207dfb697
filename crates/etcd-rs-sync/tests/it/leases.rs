//! The life of a lease.

use etcd_rs_sync::{Error, Etcd, Keys, Op, Put, Range, Txn};

use crate::support::{client, each_version_and_tls, eventually};

#[test]
fn a_lease_is_granted_renewed_listed_and_revoked() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let grant = etcd.grant(77_001, 60).unwrap();
        assert_eq!((grant.id, grant.ttl_sec), (77_001, 60));
        let again = etcd.grant(77_001, 60);
        assert!(matches!(again, Err(Error::LeaseExists)), "{again:?}");
        let chosen = etcd.grant(0, 60).unwrap();
        assert_ne!(chosen.id, 0);

        etcd.put(Put::new("k", "v", 77_001)).unwrap();
        assert_eq!(etcd.keep_alive(77_001).unwrap().ttl_sec, Some(60));
        let left = etcd.time_to_live(77_001, true).unwrap();
        assert!(left.ttl_sec.is_some_and(|ttl| (50..=60).contains(&ttl)));
        assert_eq!((left.granted_ttl_sec, left.keys), (60, vec![b"k".to_vec()]));

        etcd.revoke(77_001).unwrap();
        assert_eq!(etcd.range(Range::of(Keys::one("k"))).unwrap().count, 0);
        let gone = etcd.revoke(77_001);
        assert!(matches!(gone, Err(Error::LeaseNotFound)), "{gone:?}");
        assert_eq!(etcd.keep_alive(77_001).unwrap().ttl_sec, None);
        let left = etcd.time_to_live(77_001, true).unwrap();
        assert_eq!((left.ttl_sec, left.keys.len()), (None, 0));
    });
}

#[test]
fn a_lease_that_is_not_renewed_ends_and_takes_its_key_along() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let ttl = etcd.grant(5, 1).unwrap().ttl_sec;
        assert!((1..=2).contains(&ttl));
        etcd.put(Put::new("k", "v", 5)).unwrap();
        eventually("the key to go", || {
            (etcd.range(Range::of(Keys::one("k"))).unwrap().count == 0).then_some(())
        });
        assert_eq!(etcd.keep_alive(5).unwrap().ttl_sec, None);
        assert_eq!(etcd.time_to_live(5, false).unwrap().ttl_sec, None);
    });
}

#[test]
fn nothing_is_written_under_a_lease_that_is_gone() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let put = etcd.put(Put::new("k", "v", 404));
        assert!(matches!(put, Err(Error::LeaseNotFound)), "{put:?}");
        let txn = etcd.txn(Txn {
            success: vec![
                Op::Put(Put::new("other", "v", 0)),
                Op::Put(Put::new("k", "v", 404)),
            ],
            ..Txn::default()
        });
        assert!(matches!(txn, Err(Error::LeaseNotFound)), "{txn:?}");
        assert_eq!(etcd.range(Range::of(Keys::prefix(""))).unwrap().count, 0);
    });
}
