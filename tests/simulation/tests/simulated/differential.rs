//! The simulated etcd against the real ones: the same requests, through the client and to the simulation, must get the same
//! answers, leave the same contents and tell the same history. What the simulation proves rests on that.
//!
//! Everything comes from a seed. A difference prints the requests that led to it and the command that shows it again:
//!
//! - `DIFFERENTIAL_SEED=S` runs this one sequence
//! - `DIFFERENTIAL_SEQUENCES=N` runs N of them, for a search beyond the usual ones

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

mod both;
mod draw;
mod old;

use std::env;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Delete, Error, Keys, Op, Put, Range, Reply, Request, Txn};
use etcd_test_server::{Cluster, Version, old_versions, versions};
use simulation::SECOND;
use simulation::rng::Rng;

use both::Both;

/// How many sequences each version gets: ten seconds or so, on a machine that runs other tests.
const SEQUENCES: u64 = 15;

/// How many requests are in one.
const REQUESTS: usize = 60;

/// Longer than a lease of two seconds lives on the slowest machine.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn the_simulated_etcd_answers_as_the_real_one() {
    each_version(|version| {
        let server = Cluster::builder().version(version).start();
        let mut both = Both::new(&server);
        for seed in seeds() {
            both.start(seed);
            let mut rng = Rng::new(seed, 0);
            for _ in 0..REQUESTS {
                both.call(&draw::request(&mut rng, &both.fake));
            }
            both.compare_contents();
            both.compare_history();
        }
        println!("etcd {version}: {}", both.summary());
        assert!(both.replies > both.errors && both.errors > 0);
    });
}

/// Of the keys of a lease that ends, those go that are attached to it then: in one revision, at the server's own time.
#[test]
fn leases_run_out_alike() {
    each_version(|version| {
        let server = Cluster::builder().version(version).start();
        let mut both = Both::new(&server);
        both.start(0);
        let granted = Instant::now();
        for (id, ttl_sec) in [(1, 0), (2, 1), (3, 2), (4, 600)] {
            both.call(&Request::Grant { id, ttl_sec });
        }
        let put = |key: &str, lease| Op::Put(Put::new(key, "v", lease));
        let mut kept = Put::new("kept", "w", 0);
        kept.ignore_lease = true;
        for ops in [
            vec![put("a", 3), put("b", 3), put("kept", 3), put("moved", 3)],
            vec![put("b", 0), Op::Put(kept), put("moved", 4)],
        ] {
            both.call(&Request::Txn(Txn {
                success: ops,
                ..Txn::default()
            }));
        }
        for id in 1..=3 {
            while !both.is_gone(id) {
                assert!(granted.elapsed() < LIMIT, "lease {id} does not end");
                thread::sleep(Duration::from_millis(20));
            }
            assert!(granted.elapsed() > Duration::from_millis(1900), "too early");
            assert!(both.fake.expire(2 * SECOND, id), "the TTL is two seconds");
        }
        both.compare_contents();
        both.compare_history();
        let errors = both.errors;
        both.call(&Request::KeepAlive { id: 3 });
        both.call(&Request::Revoke { id: 3 });
        both.call(&Request::Put(Put::new("a", "late", 3)));
        both.call(&Request::Range(Range::of(Keys::prefix(""))));
        assert_eq!(both.errors - errors, 2);
    });
}

/// A difference must not go unnoticed: the two stores are driven apart, first in their contents, then in their revisions.
#[test]
fn a_difference_is_seen() {
    let server = Cluster::builder().start();
    let mut both = Both::new(&server);
    both.start(0);
    let apply = |both: &mut Both, request| both.fake.apply(0, &request).unwrap();
    apply(&mut both, Request::Put(Put::new("a", "1", 0)));
    let all = Request::Range(Range::of(Keys::prefix("")));
    assert!(both.difference(&all).is_some());
    apply(&mut both, Request::Delete(Delete::of(Keys::one("a"))));
    assert!(both.difference(&all).is_some(), "its revision is ahead");
    let lease = Request::Revoke { id: 7 };
    assert_eq!(both.difference(&lease), None);
    apply(&mut both, Request::Grant { id: 7, ttl_sec: 60 });
    assert!(both.difference(&lease).is_some());
    let absent = both.fake.apply(0, &lease);
    assert!(matches!(absent, Err(Error::LeaseNotFound)));
    let members = both.fake.apply(0, &Request::Members);
    assert!(matches!(members, Ok(Reply::Members(_))));
}

fn seeds() -> RangeInclusive<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse().unwrap());
    match number("DIFFERENTIAL_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("DIFFERENTIAL_SEQUENCES").unwrap_or(SEQUENCES),
    }
}

/// Runs a test for every version there is, in parallel; the older ones that the client does not support among them.
fn each_version(test: impl Fn(&Version) + Sync) {
    thread::scope(|scope| {
        for version in old_versions().into_iter().chain(versions()) {
            let test = &test;
            thread::Builder::new()
                .name(format!("etcd {version}"))
                .spawn_scoped(scope, move || test(&version))
                .unwrap();
        }
    });
}
