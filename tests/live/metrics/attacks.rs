//! The attacks that end or swell a daemon on tiny_http's own acceptor, each against a daemon of its own. Reads of `/proc` show
//! that it has not grown.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::daemon::{Daemon, wait};

/// Main thread, lanes, signals, tasks, the server's own: what the daemon has without a connection, and some room.
const BASE_THREADS: u64 = 10;

/// Connections that are served at once.
const SERVED: u64 = 16;

/// How much larger the daemon may be after an attack, in kilobytes.
const GROWTH_KB: u64 = 4096;

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn a_request_followed_by_a_reset_does_nothing() {
    let daemon = Daemon::start();
    daemon.metrics();
    let before = daemon.status("VmRSS");
    for round in 0..200 {
        let mut stream = daemon.connect();
        stream.write_all(REQUEST).unwrap();
        // Some at once, often before they are accepted; some in the middle of the answer.
        if round % 2 == 1 {
            let _ = stream.read_exact(&mut [0; 10]);
        }
        reset(stream);
    }
    wait("room for a request", || daemon.get("/metrics").is_some());
    assert!(daemon.status("VmRSS") < before + GROWTH_KB);
    daemon.stop();
}

#[test]
fn a_lack_of_descriptors_is_waited_out_without_spinning() {
    // The daemon itself has about a dozen.
    let mut daemon = Daemon::limited("ulimit -n 20;");
    let held: Vec<TcpStream> = (0..60).map(|_| daemon.connect()).collect();
    wait("the lack", || daemon.log().contains("\"http_error\""));
    let (ticks, began) = (daemon.cpu_ticks(), Instant::now());
    // The time over which processor time is measured, not a wait for something to happen.
    thread::sleep(Duration::from_secs(3));
    let used = daemon.cpu_ticks() - ticks;
    assert!(
        used < 60,
        "{used} hundredths of a second in {:?}",
        began.elapsed()
    );
    assert!(daemon.is_alive());
    assert!(daemon.log().matches("\"http_error\"").count() == 1);
    drop(held);
    wait("room for a request", || daemon.get("/metrics").is_some());
    daemon.stop();
}

#[test]
fn five_hundred_slow_clients_get_sixteen_threads_and_five_seconds() {
    let daemon = Daemon::start();
    daemon.metrics();
    let (before, began) = (daemon.status("VmRSS"), Instant::now());
    let mut slow: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = daemon.connect();
            let _ = stream.write_all(b"GET /metrics HT");
            stream
        })
        .collect();
    // Those that are one too many have been closed; the others hang on, a byte now and then.
    for stream in &slow {
        stream.set_nonblocking(true).unwrap();
    }
    let mut most = 0;
    while !slow.is_empty() {
        most = most.max(daemon.status("Threads"));
        slow.retain_mut(|stream| {
            let _ = stream.write_all(b"T");
            let mut answer = [0; 256];
            matches!(stream.read(&mut answer), Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{} are left",
            slow.len()
        );
        thread::sleep(Duration::from_millis(100));
    }
    assert!(most <= BASE_THREADS + SERVED, "{most} threads");
    wait("room for a request", || daemon.get("/metrics").is_some());
    wait("their end", || daemon.status("Threads") <= BASE_THREADS);
    assert!(daemon.status("VmRSS") < before + GROWTH_KB);
    daemon.stop();
}

#[test]
fn a_request_line_of_200_megabytes_is_not_read_into_memory() {
    let daemon = Daemon::start();
    daemon.metrics();
    let before = daemon.status("VmHWM");
    let mut stream = daemon.connect();
    let began = Instant::now();
    stream.write_all(b"GET /").unwrap();
    let chunk = vec![b'a'; 1 << 20];
    let sent = (0..200)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    assert!(sent < 200, "all of it was taken");
    // It was its length that ended it, and not the limit of five seconds.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(daemon.status("VmHWM") < before + GROWTH_KB);
    let long = [b"GET /", &*vec![b'a'; 10_000], b" HTTP/1.1\r\n\r\n"].concat();
    let answer = daemon.send(&long).unwrap();
    assert!(answer.starts_with("HTTP/1.0 431 "), "{answer}");
    daemon.stop();
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let daemon = Daemon::start();
    // More of them than are served at once, and none takes its answer or goes away.
    let held: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = daemon.connect();
            let _ = stream.write_all(REQUEST);
            stream
        })
        .collect();
    wait("room for a request", || daemon.get("/healthz").is_some());
    drop(held);
    daemon.stop();
}

#[test]
fn ten_thousand_requests_leave_nothing_behind() {
    let daemon = Daemon::start();
    daemon.metrics();
    let before = (daemon.status("VmRSS"), descriptors(&daemon));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..2500 {
                    let path = if n % 2 == 0 { "/metrics" } else { "/healthz" };
                    // On a busy machine sixteen earlier connections may not be quite over yet.
                    let mut answer = None;
                    wait("an answer", || {
                        answer = daemon.get(path);
                        answer.is_some()
                    });
                    let (status, _) = answer.unwrap();
                    assert_eq!(status, 200);
                }
            });
        }
    });
    println!("10,000 requests in {:?}", began.elapsed());
    wait("the last threads' end", || {
        daemon.status("Threads") <= BASE_THREADS
    });
    let after = (daemon.status("VmRSS"), descriptors(&daemon));
    println!("resident kB and descriptors before and after: {before:?}, {after:?}");
    assert!(after.0 < before.0 + GROWTH_KB && after.1 <= before.1 + 4);
    daemon.stop();
}

fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .unwrap()
        .count()
}
