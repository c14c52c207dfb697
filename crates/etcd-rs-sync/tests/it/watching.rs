//! Watches: nothing lost, nothing twice, and an end when it is wanted.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Delete, Error, Etcd, Event, EventKind, Keys, Op, Put, Txn, Watch, WatchBatch,
    WatchItem, WatchRequest,
};
use etcd_test_server::{Action, Proxy, Rule};

use crate::support::{LIMIT, client, client_of, each_version, each_version_and_tls, single};

fn watch(etcd: &Client, prefix: &str) -> Watch {
    etcd.watch(WatchRequest::new(Keys::prefix(prefix))).unwrap()
}

/// Waits for the first stream, so that what is written from now on is seen.
fn connected(watch: &mut Watch) {
    match watch.next() {
        Some(Ok(WatchItem::Connected { .. })) => {}
        other => panic!("{other:?}"),
    }
}

/// The next events, whatever else happens in between.
fn batch(watch: &mut Watch) -> WatchBatch {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LIMIT, "waited in vain for events");
        if let Some(Ok(WatchItem::Events(batch))) = watch.next() {
            return batch;
        }
    }
}

fn events_up_to(watch: &mut Watch, revision: i64) -> Vec<Event> {
    let mut events = Vec::new();
    while events
        .last()
        .is_none_or(|event: &Event| event.kv.mod_revision < revision)
    {
        events.extend(batch(watch).events);
    }
    events
}

#[test]
fn events_tell_what_happened_to_the_keys_asked_for() {
    each_version_and_tls(|cluster| {
        let etcd = client(cluster);
        let mut watch = etcd
            .watch(WatchRequest {
                prev_kv: true,
                ..WatchRequest::new(Keys::prefix("w/"))
            })
            .unwrap();
        connected(&mut watch);
        etcd.put(Put::new("other", "x", 0)).unwrap();
        let revision = etcd.put(Put::new("w/a", "1", 0)).unwrap().header.revision;
        let first = batch(&mut watch);
        assert_eq!((first.revision, first.events.len()), (revision, 1));
        let event = &first.events[0];
        assert_eq!(
            (event.kind, event.kv.version, event.prev_kv.clone()),
            (EventKind::Put, 1, None)
        );
        assert_eq!(
            (event.kv.key.as_slice(), event.kv.value.as_slice()),
            (&b"w/a"[..], &b"1"[..])
        );

        // One transaction is one batch.
        let both = vec![
            Op::Put(Put::new("w/a", "2", 0)),
            Op::Put(Put::new("w/b", "2", 0)),
        ];
        etcd.txn(Txn {
            success: both,
            ..Txn::default()
        })
        .unwrap();
        let second = batch(&mut watch);
        assert_eq!(second.events.len(), 2);
        assert_eq!(second.events[0].prev_kv.as_ref().unwrap().value, b"1");

        let gone = etcd
            .delete(Delete::of(Keys::one("w/a")))
            .unwrap()
            .header
            .revision;
        let third = batch(&mut watch).events.remove(0);
        assert_eq!(
            (third.kind, third.kv.mod_revision),
            (EventKind::Delete, gone)
        );
        assert_eq!(third.prev_kv.unwrap().value, b"2");
        assert_eq!(watch.next_revision(), gone + 1);

        etcd.grant(4, 60).unwrap();
        etcd.put(Put::new("w/leased", "x", 4)).unwrap();
        assert_eq!(batch(&mut watch).events[0].kv.lease, 4);
        etcd.revoke(4).unwrap();
        assert_eq!(batch(&mut watch).events[0].kind, EventKind::Delete);
    });
}

#[test]
fn a_watch_can_start_in_the_past() {
    each_version(|version| {
        let cluster = single(version);
        let etcd = client(&cluster);
        let first = etcd.put(Put::new("k", "1", 0)).unwrap().header.revision;
        let last = etcd.put(Put::new("k", "2", 0)).unwrap().header.revision;
        let request = WatchRequest {
            start_revision: first,
            ..WatchRequest::new(Keys::one("k"))
        };
        let mut watch = etcd.watch(request).unwrap();
        let seen: Vec<i64> = events_up_to(&mut watch, last)
            .iter()
            .map(|e| e.kv.mod_revision)
            .collect();
        assert_eq!(seen, [first, last]);
    });
}

#[test]
fn nothing_is_lost_or_repeated_when_connections_break_and_servers_restart() {
    each_version(|version| {
        let cluster = single(version);
        let proxy = Proxy::new(cluster.client_address(0));
        let etcd = client(&cluster);
        let mut watch = watch(&client_of(&[proxy.url()], LIMIT), "n/");
        connected(&mut watch);
        let (acknowledged, written) = mpsc::channel();
        let seen = thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut seen = Vec::new();
                let mut last = None;
                loop {
                    if last.is_none() {
                        last = written.try_recv().ok();
                    }
                    if last.is_some_and(|last| seen.last() >= Some(&last)) {
                        return seen;
                    }
                    seen.extend(
                        batch(&mut watch)
                            .events
                            .iter()
                            .map(|event| event.kv.mod_revision),
                    );
                }
            });
            let mut last = 0;
            for round in 0..60 {
                match round {
                    10 | 20 => proxy.cut_all(),
                    30 => cluster.restart(0),
                    40 => {
                        cluster.stop(0);
                        cluster.restart(0);
                    }
                    _ => {}
                }
                last = etcd
                    .put(Put::new(format!("n/{}", round % 3), "x", 0))
                    .unwrap()
                    .header
                    .revision;
            }
            acknowledged.send(last).unwrap();
            // One more, so that a reader that had already seen the last one when it was told looks again.
            etcd.put(Put::new("n/end", "x", 0)).unwrap();
            reader.join().unwrap()
        });
        let first = seen[0];
        let expected: Vec<i64> = (first..first + seen.len() as i64).collect();
        assert_eq!(seen, expected, "every revision once, in order");
        assert!(seen.len() >= 60);
    });
}

#[test]
fn a_stop_ends_a_blocked_watch_at_once_and_for_good() {
    each_version_and_tls(|cluster| {
        let client = client(cluster);
        let mut watch = watch(&client, "s/");
        connected(&mut watch);
        let stop = watch.stopper();
        let (done, result) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                let ended = watch.next();
                let again = watch.next();
                done.send((ended, again)).unwrap();
            });
            // The read blocks: nothing comes.
            assert!(result.recv_timeout(Duration::from_millis(50)).is_err());
            stop.stop();
            let (ended, again) = result.recv_timeout(Duration::from_secs(2)).unwrap();
            assert_eq!((ended.map(|r| r.ok()), again.map(|r| r.ok())), (None, None));
            assert!(stop.is_stopped());
            assert_no_failure(&client);
        });
    });
}

#[test]
fn a_stop_ends_a_watch_that_cannot_connect() {
    each_version(|version| {
        let cluster = single(version);
        let proxy = Proxy::new(cluster.client_address(0));
        proxy.refuse();
        let refused = watch(&client_of(&[proxy.url()], LIMIT), "s/");
        let stop = refused.stopper();
        let (told, failures) = mpsc::channel();
        let started = Instant::now();
        let waiting = thread::spawn(move || {
            for item in refused {
                assert!(matches!(item, Err(Error::NotSent { .. })), "{item:?}");
                told.send(()).unwrap();
            }
        });
        for _ in 0..4 {
            failures.recv_timeout(LIMIT).unwrap();
        }
        // Pauses of at least 25, 50 and 100 ms lie between four attempts.
        assert!(started.elapsed() >= Duration::from_millis(175));
        let started = Instant::now();
        stop.stop();
        waiting.join().unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));

        let mut never_started = watch(&client(&cluster), "s/");
        never_started.stopper().stop();
        assert!(never_started.next().is_none());

        // A server that accepts and never answers.
        let silent = Proxy::new(cluster.client_address(0));
        silent.rule(Rule::on("/v3/watch", Action::Swallow));
        let client = client_of(&[silent.url()], LIMIT);
        let mut hanging = watch(&client, "s/");
        let stop = hanging.stopper();
        let waiting = thread::spawn(move || hanging.next().is_none());
        silent.wait_for("/v3/watch", 1, LIMIT);
        let started = Instant::now();
        stop.stop();
        assert!(waiting.join().unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_no_failure(&client);
    });
}

/// A watch that is stopped says nothing of its endpoint: the next request goes there again, and does not ask for the version.
fn assert_no_failure(client: &Client) {
    let health = &client.endpoints()[0];
    assert!(
        health.failed.is_none() && health.version.is_some(),
        "{health:?}"
    );
}

#[test]
fn compaction_is_told_and_the_watch_goes_on_behind_it() {
    each_version(|version| {
        let cluster = single(version);
        let etcd = client(&cluster);
        for n in 0..5 {
            etcd.put(Put::new("c", format!("{n}"), 0)).unwrap();
        }
        let revision = etcd.put(Put::new("c", "last", 0)).unwrap().header.revision;
        etcd.compact(revision).unwrap();
        let request = WatchRequest {
            start_revision: 2,
            ..WatchRequest::new(Keys::one("c"))
        };
        let mut watch = etcd.watch(request).unwrap();
        let told = loop {
            match watch.next().unwrap().unwrap() {
                WatchItem::Compacted { compact_revision } => break compact_revision,
                WatchItem::Connected { .. } => {}
                WatchItem::Events(batch) => panic!("{batch:?}"),
            }
        };
        assert_eq!(told, revision);
        assert_eq!(events_up_to(&mut watch, revision)[0].kv.value, b"last");
    });
}

/// Servers do not agree on a watch that starts exactly at the revision up to which the history was compacted, when a key was
/// deleted there. Whoever follows deletions has to look anew now and then.
#[test]
fn a_deletion_at_the_very_revision_of_a_compaction_is_told_by_some_servers_only() {
    each_version(|version| {
        let cluster = single(version);
        let etcd = client(&cluster);
        etcd.put(Put::new("c", "x", 0)).unwrap();
        let gone = etcd.delete(Delete::of(Keys::one("c"))).unwrap();
        let gone = gone.header.revision;
        // Back when nothing of it is left in the store: before that, old servers tell it or not.
        cluster.etcdctl(&["compact", "--physical", &gone.to_string()]);
        let request = WatchRequest {
            start_revision: gone,
            ..WatchRequest::new(Keys::one("c"))
        };
        let mut watch = etcd.watch(request).unwrap();
        connected(&mut watch);
        let last = etcd.put(Put::new("c", "y", 0)).unwrap().header.revision;
        // Nobody says "compacted", and what follows is told in any case.
        let told: Vec<EventKind> = loop {
            match watch.next().unwrap().unwrap() {
                WatchItem::Events(batch) => {
                    let mut kinds: Vec<EventKind> = batch.events.iter().map(|it| it.kind).collect();
                    if batch.revision < last {
                        kinds.extend(events_up_to(&mut watch, last).iter().map(|it| it.kind));
                    }
                    break kinds;
                }
                WatchItem::Connected { .. } => {}
                WatchItem::Compacted { .. } => panic!("told as compacted"),
            }
        };
        let whole = [EventKind::Delete, EventKind::Put];
        let expected = match version.number() < (3, 5, 0) {
            true => &whole[1..],
            false => &whole[..],
        };
        assert_eq!(told, expected);
    });
}

#[test]
fn silence_makes_it_look_elsewhere_and_nothing_is_lost() {
    each_version(|version| {
        let cluster = single(version);
        let proxy = Proxy::new(cluster.client_address(0));
        let etcd = client(&cluster);
        let mut options =
            etcd_rs_sync::Options::new([proxy.url(), cluster.client_url(0).to_owned()]);
        options.timeout = Duration::from_secs(1);
        let watching = Client::new(options).unwrap();
        let request = WatchRequest {
            silence_limit: Duration::from_millis(200),
            ..WatchRequest::new(Keys::prefix("z/"))
        };
        let mut watch = watching.watch(request).unwrap();
        connected(&mut watch);
        proxy.freeze();
        let revision = etcd.put(Put::new("z/1", "x", 0)).unwrap().header.revision;
        let seen: Vec<i64> = events_up_to(&mut watch, revision)
            .iter()
            .map(|e| e.kv.mod_revision)
            .collect();
        assert_eq!(seen, [revision]);
        proxy.thaw();
        // A quiet watch says nothing but that it has connected again.
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { .. }))
        ));
    });
}
