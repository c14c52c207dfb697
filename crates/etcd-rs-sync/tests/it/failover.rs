//! Members that die, freeze, or lose their majority.

use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Error, Etcd, Keys, Put, Range, WatchItem, WatchRequest};
use etcd_test_server::{Cluster, Proxy};

use crate::support::{LIMIT, client_of, each_version, eventually, single, three};

/// What a loaded machine may add to a bound that the client promises.
const SLACK: Duration = Duration::from_millis(1500);

#[test]
fn a_dead_or_frozen_member_costs_little_and_no_certainty() {
    each_version(|version| {
        // Ordinary elections: on a busy machine quick ones happen without a reason, and nothing here is about them.
        let cluster = Cluster::builder().version(version).members(3).start();
        let leader = cluster.leader();
        // The first endpoint is a follower, so that its death does not stop the cluster.
        let first = (leader + 1) % 3;
        let second = (leader + 2) % 3;
        let endpoints: Vec<String> = [first, second, leader]
            .map(|i| cluster.client_url(i).to_owned())
            .to_vec();
        let timeout = Duration::from_secs(5);

        let etcd = client_of(&endpoints, timeout);
        etcd.put(Put::new("k", "1", 0)).unwrap();
        cluster.pause(first);
        let started = Instant::now();
        assert_eq!(etcd.range(Range::of(Keys::one("k"))).unwrap().count, 1);
        assert!(
            started.elapsed() < Duration::from_secs(1) + SLACK,
            "{:?}",
            started.elapsed()
        );
        etcd.put(Put::new("k", "2", 0)).unwrap(); // now at the second

        // A write that went to the frozen member stays there: it may still be done.
        cluster.resume(first);
        let etcd = client_of(&endpoints, Duration::from_secs(2));
        etcd.put(Put::new("k", "3", 0)).unwrap();
        cluster.pause(first);
        let started = Instant::now();
        let lost = etcd.put(Put::new("lost", "x", 0));
        assert!(
            matches!(lost, Err(Error::OutcomeUnknown { .. })),
            "{lost:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(2) + SLACK);
        etcd.put(Put::new("k", "4", 0)).unwrap();
        cluster.resume(first);
        let late = etcd.range(Range::of(Keys::one("lost"))).unwrap();
        assert!(late.kvs.iter().all(|kv| kv.version == 1), "sent once");

        // What may be repeated is repeated elsewhere.
        let etcd = client_of(&endpoints, timeout);
        etcd.status().unwrap();
        cluster.pause(first);
        // On a busy machine the second member, too, may answer after its share of the time; then the third says that the lease
        // is there.
        match etcd.grant(42, 60) {
            Ok(granted) => assert_eq!(granted.id, 42),
            Err(Error::LeaseExists) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(etcd.time_to_live(42, false).unwrap().ttl_sec.is_some());
        cluster.resume(first);

        cluster.kill(first);
        let etcd = client_of(&endpoints, timeout);
        etcd.put(Put::new("k", "5", 0)).unwrap(); // nothing was sent to the dead one, so the next is asked
        assert_eq!(etcd.keep_alive(42).unwrap().ttl_sec, Some(60));
    });
}

#[test]
fn without_a_majority_nothing_is_claimed_and_a_watch_is_told() {
    each_version(|version| {
        let cluster = three(version);
        let etcd = client_of(&[cluster.client_url(0).to_owned()], Duration::from_secs(2));
        etcd.put(Put::new("k", "1", 0)).unwrap();
        let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { .. }))
        ));
        cluster.kill(1);
        cluster.kill(2);

        let started = Instant::now();
        let write = etcd.put(Put::new("k", "2", 0)).unwrap_err();
        assert!(!write.is_definite(), "{write:?}");
        assert!(started.elapsed() < Duration::from_secs(2) + SLACK);
        // Once it has noticed, the member says at once that it has no leader.
        eventually("the member to know", || {
            let error = etcd.range(Range::of(Keys::one("k"))).err()?;
            matches!(error, Error::NoLeader { .. }).then_some(())
        });
        let renewal = etcd.keep_alive(1);
        assert!(
            matches!(&renewal, Err(e) if !e.is_definite()),
            "{renewal:?}"
        );
        let stale = Range {
            serializable: true,
            ..Range::of(Keys::one("k"))
        };
        assert_eq!(etcd.range(stale).unwrap().count, 1);
        etcd.status().unwrap();
        let told = watch.next().unwrap();
        assert!(
            told.as_ref().is_err_and(|error| !error.is_definite()),
            "{told:?}"
        );

        thread::scope(|scope| {
            scope.spawn(|| cluster.restart(1));
            scope.spawn(|| cluster.restart(2));
        });
        let revision = eventually("a write", || etcd.put(Put::new("k", "3", 0)).ok())
            .header
            .revision;
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < LIMIT);
            if let Some(Ok(WatchItem::Events(batch))) = watch.next()
                && batch
                    .events
                    .iter()
                    .any(|event| event.kv.mod_revision == revision)
            {
                return;
            }
        }
    });
}

/// An endpoint of another cluster in the list: what it says is not about the keys of the first.
#[test]
fn a_server_of_another_cluster_is_not_believed() {
    each_version(|version| {
        let (ours, other) = (single(version), single(version));
        let endpoints = [
            ours.client_url(0).to_owned(),
            other.client_url(0).to_owned(),
        ];
        let etcd = client_of(&endpoints, Duration::from_secs(2));
        etcd.put(Put::new("k", "1", 0)).unwrap();
        let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { .. }))
        ));
        ours.kill(0);
        let why = "belongs to the etcd cluster";
        let read = etcd.range(Range::of(Keys::one("k"))).unwrap_err();
        assert!(read.to_string().contains(why), "{read}");
        let remedies = read.to_string().matches("restart this program").count();
        assert_eq!(remedies, 1, "{read}");
        // It was done, in the wrong place: whether it was in the right one is not to be learnt there.
        let write = eventually("a write at the other", || {
            let error = etcd.put(Put::new("k", "2", 0)).unwrap_err();
            error.to_string().contains(why).then_some(error)
        });
        assert!(!write.is_definite(), "{write}");
        eventually("the watch to meet the other", || match watch.next() {
            Some(Err(error)) => error.to_string().contains(why).then_some(()),
            item => panic!("{item:?}"),
        });
        ours.restart(0);
        let back = eventually("our own", || etcd.range(Range::of(Keys::one("k"))).ok());
        assert_eq!(back.kvs[0].value.as_slice(), b"1");
        eventually("the watch at our own", || {
            matches!(watch.next(), Some(Ok(WatchItem::Connected { .. }))).then_some(())
        });
    });
}

/// It is started again with the same flags, so its cluster has the same id.
#[test]
fn a_store_that_lost_its_data_is_not_believed() {
    each_version(|version| {
        let cluster = single(version);
        let endpoints = [cluster.client_url(0).to_owned()];
        let etcd = client_of(&endpoints, Duration::from_secs(2));
        let other_lane = etcd.fork().unwrap();
        etcd.put(Put::new("k", "1", 0)).unwrap();
        cluster.lose_data(0);
        let why = "it was restored from a backup, lost its data";
        let read = eventually("an answer", || {
            let read = other_lane.range(Range::of(Keys::one("k")));
            let error = read.expect_err("it is not believed");
            error.to_string().contains(why).then_some(error)
        });
        assert!(!read.is_definite(), "{read}");
        // Others write on, and the store reaches the revision that was known.
        let fresh = client_of(&endpoints, Duration::from_secs(2));
        for _ in 0..3 {
            fresh.put(Put::new("k2", "2", 0)).unwrap();
        }
        let write = etcd.put(Put::new("k3", "3", 0)).unwrap_err();
        assert!(write.to_string().contains(why), "{write}");
        // Who never saw the store as it was takes it as it is.
        assert_eq!(fresh.range(Range::of(Keys::one("k"))).unwrap().count, 0);
    });
}

/// A fleet whose members all name the same endpoint first, which goes away and comes back.
#[test]
fn a_fleet_that_loses_its_endpoint_spreads_over_the_others_and_does_not_come_back_in_a_herd() {
    let cluster = Cluster::single();
    let proxies: Vec<Proxy> = (0..3)
        .map(|_| Proxy::new(cluster.client_address(0)))
        .collect();
    let endpoints: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let fleet: Vec<_> = (0..40)
        .map(|_| client_of(&endpoints, Duration::from_secs(5)))
        .collect();
    let ask = || {
        let before: Vec<usize> = proxies.iter().map(|it| it.count("/range")).collect();
        for etcd in &fleet {
            etcd.range(Range::of(Keys::one("k"))).unwrap();
        }
        let after = proxies.iter().map(|it| it.count("/range"));
        after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(), [40, 0, 0]);
    proxies[0].refuse();
    proxies[0].cut_all();
    let spread = ask();
    // Of a million fleets less than one falls further apart by chance.
    assert!(spread[1] >= 5 && spread[2] >= 5, "{spread:?}");
    proxies[0].accept();
    let later = ask();
    assert_eq!(later, [0, spread[1], spread[2]]);
}
