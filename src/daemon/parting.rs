//! What a process leaves of its node when it ends: its standing, until the next pass of `--once` is long due, or that it was refused
//! its name.

use etcd_rs_sync::{Client, Etcd as _, Keys as Span, Range, Request};

use crate::etcd;
use crate::lock::record::{Standing, decode};
use crate::lock::{Keys, request};

/// Longer than a day, for a timer that runs daily.
const TTL_SEC: i64 = 26 * 3600;

/// Writes it, or keeps alive what says the same. Its own words stand in nobody's way: that it fails is told and nothing more.
pub(super) fn leave(client: &Client, keys: &Keys, standing: &Standing) -> Result<(), String> {
    let text = |error: etcd_rs_sync::Error| error.to_string();
    let key = Span::one(standing.key(keys));
    let found = client.range(Range::of(key)).map_err(text)?.kvs.pop();
    let before = found.as_ref().and_then(|kv| {
        let before = decode::<Standing>(&kv.value).ok()?;
        (before.once && kv.lease != 0).then_some((before, kv.lease))
    });
    // A lease of the last pass is used on, so that a pass every minute leaves one and not a thousand.
    let kept = before.filter(|(_, lease)| {
        let renewed = client.keep_alive(*lease);
        renewed.is_ok_and(|reply| reply.ttl_sec.is_some())
    });
    let lease = match kept {
        Some((before, _)) if says_the_same(&before, standing) => return Ok(()),
        Some((_, lease)) => lease,
        None => grant(client)?,
    };
    let seen = found.map_or(0, |kv| kv.mod_revision);
    let txn = request::stand(keys, standing, lease, seen);
    client.call(&Request::Txn(txn)).map(drop).map_err(text)
}

fn grant(client: &Client) -> Result<i64, String> {
    let id = etcd::lease_id()?;
    client
        .grant(id, TTL_SEC)
        .map_err(|error| error.to_string())?;
    Ok(id)
}

/// Though not at the same moment.
fn says_the_same(before: &Standing, now: &Standing) -> bool {
    let text = |of: &Standing| of.blocked.as_ref().map(|blocked| blocked.text.clone());
    before.same(now) && text(before) == text(now) && before.node_id == now.node_id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use etcd_rs_sync::{Options, Put};

    use super::*;
    use crate::daemon::tests::etcd::Etcd;
    use crate::lock::record::{Blocked, encode};

    fn standing(text: &str, node_id: &str) -> Standing {
        Standing {
            v: 1,
            node: "a".to_owned(),
            node_id: node_id.to_owned(),
            state: "blocked".to_owned(),
            once: true,
            blocked: Some(Blocked {
                label: "window".to_owned(),
                text: text.to_owned(),
                ..Blocked::default()
            }),
            ..Standing::default()
        }
    }

    #[test]
    fn passes_leave_one_lease_and_write_only_what_is_new() {
        let etcd = Etcd::start();
        let client = Client::new(Options::new([etcd.url()])).unwrap();
        let keys = Keys::new("", "/rc");
        let leaves = |standing: &Standing| {
            leave(&client, &keys, standing).unwrap();
            let range = Range::of(Span::one(keys.standing("a")));
            let kv = client.range(range).unwrap().kvs.pop().unwrap();
            assert_eq!(decode::<Standing>(&kv.value).unwrap(), *standing);
            (kv.lease, kv.version)
        };
        let (lease, version) = leaves(&standing("until 9", "x"));
        assert_eq!(
            (version, etcd.leases(), etcd.ttl(lease)),
            (1, 1, Some(93_600))
        );
        assert_eq!(leaves(&standing("until 9", "x")), (lease, 1));
        assert_eq!(leaves(&standing("until 10", "x")), (lease, 2));
        assert_eq!(leaves(&standing("until 10", "y")), (lease, 3));
        let idle = Standing {
            state: "idle".to_owned(),
            ..standing("until 10", "y")
        };
        assert_eq!(leaves(&idle), (lease, 4));
        // What a daemon says of itself hangs on the daemon's own lease.
        let daemons = Standing {
            once: false,
            ..idle.clone()
        };
        let put = Put::new(keys.standing("a"), encode(&daemons), lease);
        client.call(&Request::Put(put)).unwrap();
        let (other, _) = leaves(&idle);
        assert!(other != lease && other > 0);
        // One whose lease ran out.
        etcd.forget(other);
        let (third, _) = leaves(&idle);
        assert!(third != other);
    }

    #[test]
    fn every_lease_has_an_id_of_its_own() {
        let etcd = Etcd::start();
        let client = Client::new(Options::new([etcd.url()])).unwrap();
        let ids: BTreeSet<i64> = (0..20).map(|_| grant(&client).unwrap()).collect();
        assert!(ids.len() == 20 && ids.iter().all(|id| *id > 1), "{ids:?}");
    }

    #[test]
    fn one_that_cannot_be_left_says_why() {
        let client = Client::new(Options::new(["http://127.0.0.1:1"])).unwrap();
        let keys = Keys::new("", "/rc");
        assert!(leave(&client, &keys, &standing("", "x")).is_err());
    }
}
