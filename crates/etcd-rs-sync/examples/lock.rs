//! Takes a lock, holds it for a while, and releases it.
//!
//! `cargo run --example lock -- http://127.0.0.1:2379`

use std::env;
use std::error::Error;
use std::process;
use std::thread;
use std::time::Duration;

use etcd_rs_sync::{
    Client, Compare, Delete, Etcd, Keys, Op, OpReply, Options, Put, Range, Txn, WatchItem,
    WatchRequest,
};

const KEY: &str = "example/lock";
const TTL_SEC: i64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let endpoints: Vec<String> = env::args().skip(1).collect();
    let etcd = Client::new(Options::new(endpoints))?;
    // With an id of our own a grant whose reply was lost can be repeated. A real program takes a random one.
    let lease = 1_000_000 + i64::from(process::id());

    let created = acquire(&etcd, lease)?;
    println!("the lock is ours, created at revision {created}");
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        if etcd.keep_alive(lease)?.ttl_sec.is_none() {
            return Err("the lease ended, and the lock with it".into());
        }
    }

    // Only if it is still the one that we took.
    let released = etcd.txn(Txn {
        compares: vec![Compare::create_revision(Keys::one(KEY), created)],
        success: vec![Op::Delete(Delete::of(Keys::one(KEY)))],
        failure: Vec::new(),
    })?;
    println!("released: {}", released.succeeded);
    etcd.revoke(lease)?;
    Ok(())
}

/// Blocks until the lock is ours, and returns its create revision.
fn acquire(etcd: &Client, lease: i64) -> Result<i64, Box<dyn Error>> {
    loop {
        // The first time, and when the lease ended while we waited.
        if etcd.keep_alive(lease)?.ttl_sec.is_none() {
            etcd.grant(lease, TTL_SEC)?;
        }
        let reply = etcd.txn(Txn {
            compares: vec![Compare::create_revision(Keys::one(KEY), 0)],
            success: vec![Op::Put(Put::new(KEY, process::id().to_string(), lease))],
            failure: vec![Op::Range(Range::of(Keys::one(KEY)))],
        })?;
        if reply.succeeded {
            return Ok(reply.header.revision);
        }
        if let Some(OpReply::Range(range)) = reply.replies.first()
            && let Some(holder) = range.kvs.first()
        {
            println!("held by {}", String::from_utf8_lossy(&holder.value));
        }
        // From the revision of our question on, so that a release in between is not missed.
        let watch = etcd.watch(WatchRequest {
            start_revision: reply.header.revision + 1,
            ..WatchRequest::new(Keys::one(KEY))
        })?;
        for item in watch {
            // Whatever else happens to the stream, it goes on by itself.
            if let Ok(WatchItem::Events(_)) = item {
                break;
            }
        }
    }
}
