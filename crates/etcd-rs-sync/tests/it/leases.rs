//! The life of a lease.

use etcd_rs_sync::{Error, Etcd, Keys, Op, Put, Range, Txn};

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    LIMIT, client, client_of, each_version, each_version_and_tls, eventually, three,
};

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

/// The leader that a lease was renewed with dies: the next one gives the lease its whole time, and never less than is left of it.
#[test]
fn a_renewed_lease_does_not_end_early_when_the_leader_dies() {
    const TTL: Duration = Duration::from_secs(4);
    each_version(|version| {
        let cluster = three(version);
        let leader = cluster.leader();
        let others: Vec<String> = (0..3)
            .filter(|member| *member != leader)
            .map(|member| cluster.client_url(member).to_owned())
            .collect();
        let etcd = client_of(&others, LIMIT);
        etcd.grant(9, TTL.as_secs() as i64).unwrap();
        etcd.put(Put::new("k", "v", 9)).unwrap();
        // Old versions are said to count from the grant: so most of its time passes first.
        thread::sleep(TTL * 3 / 4);
        let renewed = Instant::now();
        assert_eq!(etcd.keep_alive(9).unwrap().ttl_sec, Some(4));
        cluster.kill(leader);
        eventually("the key to go", || {
            let found = etcd.range(Range::of(Keys::one("k"))).ok()?;
            (found.count == 0).then_some(())
        });
        let lived = renewed.elapsed();
        assert!(lived >= TTL, "{lived:?}");
    });
}
