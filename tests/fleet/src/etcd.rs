//! What etcd spends, and what it tells of the claims.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Etcd as _, EventKind, Keys, Reply, Request, WatchItem, WatchRequest};

use crate::fleet::LOCK;

/// What etcd has spent so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) received: f64,
    pub(crate) sent: f64,
}

pub(crate) fn spent(pid: u32, at: SocketAddr) -> Spent {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name in brackets, which may hold blanks: state is the first, user and system time the 12th and 13th.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|tick| tick.parse::<u64>().ok()).sum();
    let metrics = get(at, "/metrics").unwrap_or_default();
    let of = |name: &str| -> f64 {
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .filter_map(|rest| rest.trim().parse::<f64>().ok())
            .sum()
    };
    Spent {
        cpu: Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
        received: of("etcd_network_client_grpc_received_bytes_total "),
        sent: of("etcd_network_client_grpc_sent_bytes_total "),
    }
}

/// Resident memory, MB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

/// Size of the database, MB, and the store's revision.
pub(crate) fn store(client: &Client) -> (f64, i64) {
    match client.call(&Request::Status) {
        Ok(Reply::Status(status)) => {
            let size = status.db_size as f64 / f64::from(1 << 20);
            (size, status.header.revision)
        }
        _ => (0.0, 0),
    }
}

fn get(at: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// How long it took from each release to the next commit, by one watch of all claims.
#[derive(Clone, Default)]
pub(crate) struct Handovers(Arc<Mutex<Vec<Duration>>>);

impl Handovers {
    pub(crate) fn observe(client: &Client) -> Handovers {
        let handovers = Handovers::default();
        let request = WatchRequest::new(Keys::prefix(format!("{LOCK}/claims/")));
        let watch = client.watch(request).expect("a watch");
        let noted = Arc::clone(&handovers.0);
        thread::spawn(move || {
            let mut released = None;
            let mut committed = Vec::new();
            for item in watch {
                let Ok(WatchItem::Events(batch)) = item else {
                    released = None;
                    continue;
                };
                for event in batch.events {
                    let key = event.kv.key;
                    match event.kind {
                        // A place that is given up is no release.
                        EventKind::Delete => {
                            if committed.contains(&key) {
                                committed.retain(|other| *other != key);
                                released = Some(Instant::now());
                            }
                        }
                        EventKind::Put => {
                            let claim = String::from_utf8_lossy(&event.kv.value);
                            if claim.contains("\"phase\":\"queued\"") || committed.contains(&key) {
                                continue;
                            }
                            committed.push(key);
                            if let Some(at) = released.take() {
                                let took = at.elapsed();
                                noted.lock().expect("no observer dies").push(took);
                            }
                        }
                    }
                }
            }
        });
        handovers
    }

    pub(crate) fn take(&self) -> Vec<Duration> {
        let mut noted = self.0.lock().expect("no observer dies");
        let mut taken = std::mem::take(&mut *noted);
        taken.sort();
        taken
    }
}
