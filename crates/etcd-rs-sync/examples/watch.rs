//! Prints what happens below a prefix, for ever.
//!
//! `cargo run --example watch -- example/ http://127.0.0.1:2379`

use std::env;

use etcd_rs_sync::{Client, Error, EventKind, Keys, Options, WatchItem, WatchRequest};

fn main() -> Result<(), Error> {
    let mut args = env::args().skip(1);
    let prefix = args.next().unwrap_or_default();
    let etcd = Client::new(Options::new(args))?;
    for item in etcd.watch(WatchRequest::new(Keys::prefix(prefix)))? {
        match item {
            Ok(WatchItem::Connected { revision }) => println!("connected at revision {revision}"),
            Ok(WatchItem::Compacted { compact_revision }) => {
                println!("events before revision {compact_revision} are lost");
            }
            Ok(WatchItem::Events(batch)) => {
                for event in batch.events {
                    let key = String::from_utf8_lossy(&event.kv.key);
                    match event.kind {
                        EventKind::Put => {
                            println!("{key} = {}", String::from_utf8_lossy(&event.kv.value));
                        }
                        EventKind::Delete => println!("{key} is gone"),
                    }
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
