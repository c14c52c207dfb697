//! What a pass of `--once` leaves of its node: its standing, until the next pass is long due.

use etcd_rs_sync::{Client, Etcd as _, Keys as Span, Range, Request};

use crate::lock::record::{Standing, decode};
use crate::lock::{Keys, request};
use crate::store;

/// Longer than a day, for a timer that runs daily.
const TTL_SEC: i64 = 26 * 3600;

/// Writes it, or keeps alive what says the same. Its own words stand in nobody's way: that it fails is told and nothing more.
pub(super) fn leave(client: &Client, keys: &Keys, standing: &Standing) -> Result<(), String> {
    let text = |error: etcd_rs_sync::Error| error.to_string();
    let key = Span::one(keys.standing(&standing.node));
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
    let id = i64::try_from(store::seed()? >> 1)
        .expect("63 bits fit")
        .max(1);
    let request = Request::Grant {
        id,
        ttl_sec: TTL_SEC,
    };
    client.call(&request).map_err(|error| error.to_string())?;
    Ok(id)
}

/// Though not at the same moment.
fn says_the_same(before: &Standing, now: &Standing) -> bool {
    let text = |of: &Standing| of.blocked.as_ref().map(|blocked| blocked.text.clone());
    before.same(now) && text(before) == text(now) && before.node_id == now.node_id
}
