//! The port of pages and metrics under attack, while the daemon behind it gets its turn.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etcd_test_server::Cluster;
use rustix::net::sockopt::set_socket_linger;

use crate::host::{Host, wait};
use crate::store::Store;

/// How long the attack lasts.
const ATTACK: Duration = Duration::from_secs(10);
/// Connections that say little.
const SLOW: usize = 200;
/// Threads that send nonsense, as fast as the machine can and at most 50 a millisecond together.
const ATTACKERS: usize = 8;
/// What the daemon may have more of than before: its sixteen connections at a time, and what etcd and a script need.
const DESCRIPTORS: usize = 40;
const GROWTH_KB: u64 = 12 * 1024;

/// Heads of requests that are none, or that nobody may ask.
const MALFORMED: [&[u8]; 10] = [
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET /status.json HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
    b"GET /%00%ff%n%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: \xff\xfe\r\n\r\nffffffff\r\n",
];

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    // What is closed leaves no port behind that is still in use.
    set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
    Some(stream)
}

/// Connections that send a byte now and then, and come back when they are closed.
fn slowly(address: SocketAddr, over: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        held.retain_mut(|stream| {
            let _ = stream.write_all(b"G");
            matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        while held.len() < SLOW {
            let Some(stream) = connect(address) else {
                break;
            };
            let _ = stream.set_nonblocking(true);
            held.push(stream);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn maliciously(address: SocketAddr, over: &AtomicBool, sent: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let count = sent.fetch_add(1, Ordering::Relaxed);
        let Some(mut stream) = connect(address) else {
            continue;
        };
        let head = MALFORMED[count % MALFORMED.len()];
        let _ = stream.write_all(&head[..head.len() - (count / 100) % (head.len() / 2 + 1)]);
        // Some wait for the answer, most are gone by then.
        if count.is_multiple_of(16) {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
            let _ = stream.read(&mut [0; 64]);
        }
    }
}

struct Node {
    host: Host,
    address: SocketAddr,
}

impl Node {
    /// One that waits behind another.
    fn queued(cluster: &Cluster) -> Node {
        Store::of(cluster).claim_of_another("other");
        let mut host = Host::new("node-a", &cluster.endpoints())
            .with("metrics", "{enabled: true, listen: 127.0.0.1:0}");
        host.start();
        host.wait_event("queued");
        let event = host.wait_event("metrics");
        let address = event["address"].as_str().unwrap().parse().unwrap();
        Node { host, address }
    }

    /// From the end of the other's reboot to the reboot command.
    fn handover(&self, cluster: &Cluster) -> Duration {
        let began = Instant::now();
        Store::of(cluster).delete("/rc/claims/other");
        self.host
            .wait_until("the reboot command", || self.host.reboots() == 1);
        began.elapsed()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.host.pid()))
            .unwrap()
            .count()
    }

    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.host.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    fn is_well(&self) -> bool {
        let Some(mut stream) = connect(self.address) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.ends_with("\r\n\r\nok\n")
    }
}

#[test]
fn slow_and_malformed_requests_neither_swell_the_daemon_nor_cost_it_its_turn() {
    let calm = Cluster::single();
    let mut node = Node::queued(&calm);
    let quick = node.handover(&calm);
    node.host.kill();

    let cluster = Cluster::single();
    let mut node = Node::queued(&cluster);
    assert!(wait(|| node.is_well()));
    let before = (node.resident(), node.descriptors());
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let began = Instant::now();
    let (mut most, mut slow) = (before, None);
    thread::scope(|scope| {
        scope.spawn(|| slowly(node.address, &over));
        for _ in 0..ATTACKERS {
            scope.spawn(|| maliciously(node.address, &over, &sent));
        }
        while began.elapsed() < ATTACK {
            most = (most.0.max(node.resident()), most.1.max(node.descriptors()));
            if slow.is_none() && began.elapsed() > ATTACK / 2 {
                slow = Some(node.handover(&cluster));
            }
            thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    println!(
        "{} malformed requests in {:?}; handover {quick:?} and {slow:?}; resident kB and descriptors {before:?}, at most {most:?}",
        sent.load(Ordering::Relaxed),
        began.elapsed()
    );
    assert!(wait(|| node.is_well()));
    assert!(most.1 <= before.1 + DESCRIPTORS, "{most:?}");
    assert!(most.0 <= before.0 + GROWTH_KB, "{most:?}");
    let errors = node.host.log().matches("http_error").count();
    assert!(errors <= 1, "{errors} lines about the port");
    assert!(
        wait(|| node.descriptors() <= before.1 + 8),
        "{}",
        node.descriptors()
    );
    node.host.reboot();
    node.host.wait_event("released");
}
