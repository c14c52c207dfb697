//! Writes the run's clock into etcd, and reads the claims and who leads, on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::etcd;
use crate::ledger::{CLOCK_KEY, LOCK_KEY};
use crate::system::uptime;

/// Between two stamps: what the judge knows of time is not finer than this.
const TICK: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(1);
/// Looks at each member between two of these.
const STATUS_EVERY: Duration = Duration::from_secs(1);
const STATUS_LIMIT: Duration = Duration::from_millis(250);

/// What was seen last.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// When etcd last answered; the request was sent after `asked`.
    pub(crate) asked: Instant,
    /// Nodes with a claim, and whether it is committed.
    pub(crate) claims: Vec<(String, bool)>,
    /// Nodes whose registration says that their budget is used up.
    pub(crate) spent: Vec<String>,
    pub(crate) leader: Option<usize>,
    /// The ids of the members, once they were seen.
    pub(crate) ids: Vec<String>,
}

pub(crate) struct Observer {
    view: Arc<Mutex<View>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    pub(crate) fn start(members: Vec<SocketAddr>) -> io::Result<Observer> {
        let view = Arc::new(Mutex::new(View {
            asked: Instant::now(),
            claims: Vec::new(),
            spent: Vec::new(),
            leader: None,
            ids: vec![String::new(); members.len()],
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&view), Arc::clone(&stop));
        let thread = thread::Builder::new().spawn(move || watch(&members, &shared, &stopped))?;
        Ok(Observer {
            view,
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn view(&self) -> View {
        let view = self.view.lock();
        view.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the stamps: the history read afterwards holds all of them.
    pub(crate) fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics never; and if it did, the run has what it saw.
            let _ = thread.join();
        }
    }
}

/// One more stamp. The answer to an earlier one goes with it, for the judge.
pub(crate) fn stamp(
    member: SocketAddr,
    acked: Option<(i64, f64)>,
    limit: Duration,
) -> io::Result<(i64, f64)> {
    let acked = acked.map(|(revision, at)| json!({"revision": revision, "at": at}));
    let value = json!({"sent": uptime(), "acked": acked});
    let revision = etcd::put(member, CLOCK_KEY, &value.to_string(), limit)?;
    Ok((revision, uptime()))
}

fn watch(members: &[SocketAddr], shared: &Mutex<View>, stop: &AtomicBool) {
    let mut current = 0;
    let mut acked = None;
    let mut status_at = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match look(members[current], &mut acked) {
            Ok(seen) => {
                let mut view = shared.lock().unwrap_or_else(PoisonError::into_inner);
                view.asked = seen.asked;
                view.claims = seen.claims;
                view.spent = seen.spent;
            }
            Err(_) => current = (current + 1) % members.len(),
        }
        if status_at <= Instant::now() {
            look_for_leader(members, shared);
            status_at = Instant::now() + STATUS_EVERY;
        }
        thread::sleep(TICK);
    }
}

/// What one look at etcd found; see [`View`].
struct Seen {
    asked: Instant,
    claims: Vec<(String, bool)>,
    spent: Vec<String>,
}

fn look(member: SocketAddr, acked: &mut Option<(i64, f64)>) -> io::Result<Seen> {
    *acked = Some(stamp(member, *acked, LIMIT)?);
    let asked = Instant::now();
    let records = |kind: &str| {
        let prefix = format!("{LOCK_KEY}/{kind}/");
        let pairs = etcd::range(member, &prefix, LIMIT)?;
        let record = |pair: etcd::Pair| {
            let record: Value = serde_json::from_str(&pair.value).unwrap_or_default();
            (pair.key.replacen(&prefix, "", 1), record)
        };
        io::Result::Ok(pairs.into_iter().map(record).collect::<Vec<_>>())
    };
    let committed = |record: &Value| record["phase"].as_str() != Some("queued");
    let claims = records("claims")?.into_iter();
    let nodes = records("nodes")?.into_iter();
    Ok(Seen {
        asked,
        claims: claims
            .map(|(node, record)| (node, committed(&record)))
            .collect(),
        spent: nodes
            .filter(|(_, record)| record["budget_used"].as_u64() > Some(0))
            .map(|(node, _)| node)
            .collect(),
    })
}

fn look_for_leader(members: &[SocketAddr], shared: &Mutex<View>) {
    let states: Vec<Option<(String, bool)>> = members
        .iter()
        .map(|member| etcd::status(*member, STATUS_LIMIT).ok())
        .collect();
    let mut view = shared.lock().unwrap_or_else(PoisonError::into_inner);
    view.leader = None;
    for (index, state) in states.into_iter().enumerate() {
        let Some((id, leads)) = state else { continue };
        view.ids[index] = id;
        if leads {
            view.leader = Some(index);
        }
    }
}
