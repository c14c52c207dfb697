//! What is asked of the store: the rights key by key, guards, a watch, and how long an answer takes.

use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Compare, Error, Etcd as _, Keys as Span, Op, Put, Range, Request, Txn, WatchItem,
    WatchRequest,
};

use crate::config::Config;
use crate::lock::request::{GUARDS, MOST_REPORTS};
use crate::lock::{Keys, outcome, request};

/// How one check ended: its text, or why it failed.
pub(super) type Outcome = Result<String, String>;

/// The check after which nothing more can be asked, and why it failed.
pub(super) type Failed = (&'static str, String);

/// A watch takes at most this long to tell.
const WATCH_LIMIT: Duration = Duration::from_secs(3);

/// A revision no store will reach.
const IMPOSSIBLE_REVISION: i64 = i64::MAX - 1;

/// The longest of a few reads.
pub(super) fn latency(client: &Client, keys: &Keys, limit: Duration) -> Outcome {
    const READS: usize = 5;
    let mut longest = Duration::ZERO;
    for _ in 0..READS {
        let began = Instant::now();
        match client.range(first(keys.pause())) {
            Ok(_) | Err(Error::PermissionDenied { .. }) => {}
            Err(error) => return Err(told(&error)),
        }
        longest = longest.max(began.elapsed());
    }
    let text = format!("at most {} for a read", span(longest));
    match longest > limit / 2 {
        true => Err(format!(
            "{text}, and etcd_timeout_sec is {} s; check the disks of the members and the network",
            limit.as_secs()
        )),
        false => Ok(text),
    }
}

/// Each key that this node reads or writes. A write stands behind a guard that fails, and etcd asks for the right all the same.
pub(super) fn rights(client: &Client, keys: &Keys, config: &Config, reads: bool) -> Outcome {
    let node = config.node_name.as_str();
    let mut written = vec![
        keys.claim(node),
        keys.node(node),
        keys.alive(node),
        keys.standing(node),
        keys.refused(node, &config.node_id),
        keys.request(node),
        keys.wave(node),
        keys.cooldown(),
        keys.history("", node),
        keys.failed(node),
        keys.failed("any-other-node"),
        keys.go_on(),
        format!("{}/check/{node}/", keys.prefix()),
    ];
    if config.hold_timeout.is_some() {
        written.push(keys.claim("any-other-node"));
    }
    let mut missing = Vec::new();
    if !reads {
        missing.push(format!("read everything below {}/", keys.prefix()));
    }
    for key in &written {
        let put = Op::Put(Put::new(key.clone(), "", 0));
        let never = Compare::create_revision(Span::one(key.clone()), IMPOSSIBLE_REVISION);
        let guarded = Txn {
            compares: vec![never],
            success: vec![put],
            failure: vec![],
        };
        match client.txn(guarded) {
            Ok(_) => {}
            Err(Error::PermissionDenied { .. }) => missing.push(format!("write {key}")),
            Err(error) => return Err(told(&error)),
        }
    }
    if missing.is_empty() {
        let (prefix, count) = (keys.prefix(), written.len());
        return Ok(format!("reads {prefix}/, writes its {count} keys"));
    }
    let error = Error::PermissionDenied {
        detail: format!("permission denied: may not {}", missing.join(", ")),
    };
    Err(told(&error))
}

/// More bytes than most records have.
const RECORD: usize = 8 * 1024;

/// A guard that holds, and one that does not, on a key of its own, and so many and so much of it that a commit is taken as well.
pub(super) fn guards(client: &Client, key: &str, lease: i64, policies: bool) -> Outcome {
    let guards = GUARDS[usize::from(policies)] + if policies { MOST_REPORTS } else { 0 };
    let absent = |value: &str| Txn {
        compares: vec![Compare::create_revision(Span::one(key), 0); guards],
        success: vec![Op::Put(Put::new(key, value, lease))],
        failure: vec![],
    };
    let mut answers = Vec::new();
    for value in ["first", "second".repeat(RECORD / 6).as_str()] {
        let reply = client.txn(absent(value)).map_err(|error| told(&error))?;
        answers.push(reply.succeeded);
    }
    let stands = client.range(first(key)).map_err(|error| told(&error))?;
    let value = stands.kvs.first().map(|pair| pair.value.to_vec());
    if answers != [true, false] || value.as_deref() != Some(b"first") {
        return Err(dishonest());
    }
    Ok("one that holds passes, one that does not is refused".to_owned())
}

/// A watch that stands, and tells of a write, each in a moment: a proxy that holds it back does so for minutes.
pub(super) fn watch(client: &Client, key: &str, lease: i64) -> Outcome {
    let request = WatchRequest {
        silence_limit: WATCH_LIMIT,
        ..WatchRequest::new(Span::one(key))
    };
    let mut watch = client.watch(request).map_err(|error| told(&error))?;
    let held_back = || {
        let endpoint = &client.options().endpoints[0];
        let detail = format!("{endpoint}: it did not say that the watch stands in time");
        told(&Error::NotSent { detail })
    };
    // One that says nothing for so long is lost, or opened again.
    let mut next = || {
        let began = Instant::now();
        match watch.next() {
            Some(Ok(item)) => Ok(item),
            Some(Err(error)) if began.elapsed() < WATCH_LIMIT => Err(told(&error)),
            _ => Err(held_back()),
        }
    };
    let WatchItem::Connected { .. } = next()? else {
        return Err(held_back());
    };
    let put = client.put(Put::new(key, "watched", lease));
    put.map_err(|error| told(&error))?;
    let began = Instant::now();
    match next()? {
        WatchItem::Events(_) => Ok(format!("told of a write in {}", span(began.elapsed()))),
        _ => Err(held_back()),
    }
}

/// The guards of every kind that the protocol uses; nothing is written.
pub(super) fn honours_guards(client: &Client, keys: &Keys, node: &str) -> Result<(), Failed> {
    let test = Request::Txn(request::self_test(keys, node));
    match client.call(&test).map(outcome::self_test) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(_)) => Err(("guards", dishonest())),
        // Without that proof no write is tried, not even a guarded one.
        Err(error @ Error::PermissionDenied { .. }) => {
            let (prefix, why) = (keys.prefix(), told(&error));
            let text = format!("it may not read everything below {prefix}/: {why}");
            Err(("rights", text))
        }
        Err(error) => Err(("guards", told(&error))),
    }
}

fn dishonest() -> String {
    "the guards of a transaction are not honoured here; connect to etcd 3.4 or later directly"
        .to_owned()
}

pub(super) fn first(key: impl Into<String>) -> Range {
    let key = key.into();
    let keys = match key.ends_with('/') {
        true => Span::prefix(key),
        false => Span::one(key),
    };
    Range {
        limit: 1,
        ..Range::of(keys)
    }
}

pub(super) fn span(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

/// On one line, with the remedy.
pub(super) fn told(error: &Error) -> String {
    error.to_string().replace('\n', " ")
}
