//! Servers that answer nonsense, for ever, or not at all. Never a panic, never success, never longer than the bound.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Compare, Delete, Error, Etcd, Keys, Op, Options, Put, Range, Request, Txn, WatchItem,
    WatchRequest,
};

const TIMEOUT: Duration = Duration::from_millis(400);
/// The bound, and what a loaded machine may add.
const AT_MOST: Duration = Duration::from_secs(3);

const HEADER: &str =
    r#""header":{"cluster_id":"1","member_id":"2","revision":"5","raft_term":"2"}"#;

/// A server that answers the question for its version as it is told to, and everything else with `reply`.
struct Hostile {
    url: String,
    asked: Arc<AtomicUsize>,
    closing: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

type Reply = dyn Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync;

impl Hostile {
    fn new(version: Vec<u8>, reply: Arc<Reply>) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, closing) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, closed) = (Arc::clone(&asked), Arc::clone(&closing));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (mut stream, version) = (stream.unwrap(), version.clone());
                let (reply, count) = (Arc::clone(&reply), Arc::clone(&count));
                thread::spawn(move || {
                    while let Some(is_version) = request(&mut stream) {
                        if !is_version {
                            count.fetch_add(1, Ordering::SeqCst);
                            // One odd reply a connection: what follows it would be read as part of it.
                            let _ = reply(&mut stream);
                            return;
                        }
                        let answered = stream.write_all(&version);
                        if answered.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Hostile {
            url: format!("http://{address}"),
            asked,
            closing,
            address,
        }
    }

    fn client(&self) -> Client {
        let mut options = Options::new([self.url.clone()]);
        options.timeout = TIMEOUT;
        Client::new(options).unwrap()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads one request; whether it asks for the version. `None` at the end.
fn request(stream: &mut TcpStream) -> Option<bool> {
    let mut bytes = Vec::new();
    let mut one = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut one).ok()? == 0 {
            return None;
        }
        bytes.push(one[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |n| n.trim().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(head.starts_with("get /version"))
}

/// The version, on a connection of its own: what follows is not sent on one that stood idle.
fn etcd_version() -> Vec<u8> {
    let body = r#"{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}"#;
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn canned(bytes: impl Into<Vec<u8>>) -> Arc<Reply> {
    let bytes = bytes.into();
    Arc::new(move |stream| stream.write_all(&bytes))
}

/// Writes the first, and then the second for ever, until the client has enough.
fn endless(first: &'static str, then: &'static str, pause: Duration) -> Arc<Reply> {
    Arc::new(move |stream| {
        stream.write_all(first.as_bytes())?;
        loop {
            stream.write_all(then.as_bytes())?;
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
    })
}

fn requests() -> Vec<Request> {
    vec![
        Request::Range(Range::of(Keys::one("k"))),
        Request::Put(Put::new("k", "v", 0)),
        Request::Delete(Delete::of(Keys::one("k"))),
        Request::Txn(Txn {
            compares: vec![Compare::create_revision(Keys::one("k"), 0)],
            success: vec![Op::Put(Put::new("k", "v", 0))],
            failure: vec![Op::Range(Range::of(Keys::one("k")))],
        }),
        Request::Grant { id: 7, ttl_sec: 60 },
        Request::Revoke { id: 7 },
        Request::KeepAlive { id: 7 },
        Request::TimeToLive { id: 7, keys: false },
        Request::Compact { revision: 3 },
    ]
}

/// Every request must fail without a definite verdict, within the bound.
fn nothing_is_concluded(what: &str, reply: Arc<Reply>) {
    let server = Hostile::new(etcd_version(), reply);
    for request in requests() {
        let started = Instant::now();
        let error = server.client().call(&request).expect_err(what);
        assert!(!error.is_definite(), "{what}, {request:?}: {error:?}");
        assert!(
            started.elapsed() < AT_MOST,
            "{what} took {:?}",
            started.elapsed()
        );
        assert!(
            error.to_string().len() < 1000,
            "{what}: an error of {} bytes",
            error.to_string().len()
        );
    }
    assert_eq!(
        server.asked.load(Ordering::SeqCst),
        requests().len(),
        "{what}: each sent once"
    );
}

/// What cannot be repeated is left with the member that has it; nobody has what was not sent.
#[test]
fn a_member_that_is_silent_before_it_is_asked_costs_a_write_no_more_than_its_share() {
    let written = ok(&format!("{{{HEADER}}}"));
    let body = format!(r#"{{{HEADER},"token":"t"}}"#);
    let length = body.len();
    // As it does: one reply a connection.
    let token =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    let silent: Arc<Reply> = Arc::new(|stream| stream.read(&mut [0]).map(drop));
    let unasked = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("http://{}", unasked.local_addr().unwrap());
    let no_login = Hostile::new(etcd_version(), silent);
    let works = Hostile::new(etcd_version(), canned(written));
    let logs_in = Hostile::new(etcd_version(), canned(token));
    let put = |first: &str, second: &str, auth| {
        let mut options = Options::new([first, second]);
        options.timeout = 10 * AT_MOST;
        options.auth = auth;
        let began = Instant::now();
        let result = Client::new(options).unwrap().put(Put::new("k", "v", 0));
        assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
        result
    };
    put(&mute, &works.url, None).unwrap();
    let user = Some(("u".to_owned(), "p".to_owned()));
    put(&no_login.url, &logs_in.url, user).unwrap();
    assert_eq!(logs_in.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn odd_replies_never_look_like_success() {
    let mut odd: Vec<(&str, Vec<u8>)> = vec![
        ("no bytes", Vec::new()),
        ("an empty body", ok("")),
        ("an empty object", ok("{}")),
        ("null", ok("null")),
        ("HTML", ok("<html>It works!</html>")),
        ("a number", ok("1")),
        ("bytes that are no text", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x80".to_vec()),
        ("a header of zeros", ok(r#"{"header":{}}"#)),
        ("deep nesting", ok(&"[".repeat(100_000))),
        ("a list", ok(&format!("[{{{HEADER}}}]"))),
        ("an unknown error", ok(r#"{"error":"x","code":2}"#)),
        ("an error in a stream", ok(r#"{"error":{"grpc_code":14,"message":"transport is closing"}}"#)),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        ("a redirect", b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a switch of protocols", b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec()),
        ("a bad status", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a bad gateway", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad".to_vec()),
        ("a request time-out", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a bad length", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}".to_vec()),
        ("a bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n{}\r\n".to_vec()),
        ("a huge chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n".to_vec()),
        ("a huge length", format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{{{HEADER}}}").into_bytes()),
        ("half a reply", format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{{{HEADER}").into_bytes()),
        ("half a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{\"header\":{".to_vec()),
        ("an unfinished head", b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
    ];
    // A well-formed reply to something else.
    odd.push(("a stray pair", ok(&format!(r#"{{{HEADER},"kvs":[{{}}],"deleted":"x","ID":"8","TTL":"y","prev_kv":7,"responses":[{{}}]}}"#))));
    for (what, bytes) in odd {
        if what == "a stray pair" {
            // Revocations and compactions have no field beyond the header: for those it is an answer.
            let server = Hostile::new(etcd_version(), canned(bytes));
            for request in requests() {
                let answered = server.client().call(&request).is_ok();
                let bare = matches!(request, Request::Revoke { .. } | Request::Compact { .. });
                assert_eq!(answered, bare, "{request:?}");
            }
        } else {
            nothing_is_concluded(what, canned(bytes));
        }
    }
}

#[test]
fn endless_replies_end() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let quick = Duration::ZERO;
    let slow = Duration::from_millis(20);
    let cases: Vec<(&str, Arc<Reply>)> = vec![
        (
            "an endless body",
            endless(
                "HTTP/1.1 200 OK\r\n\r\n",
                "                                ",
                quick,
            ),
        ),
        (
            "an endless chunked body",
            endless(CHUNKED, "8\r\n[[[[[[[[\r\n", quick),
        ),
        ("an endless slow body", endless(CHUNKED, "1\r\n \r\n", slow)),
        (
            "an endless error",
            endless(
                "HTTP/1.1 400 Bad Request\r\n\r\n",
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                quick,
            ),
        ),
        (
            "an endless head",
            endless(
                "HTTP/1.1 200 OK\r\n",
                "X-More: and more and more and more\r\n",
                quick,
            ),
        ),
        (
            "an endless header line",
            endless(
                "HTTP/1.1 200 OK\r\nX: ",
                "xxxxxxxxxxxxxxxxxxxxxxxxxxx",
                quick,
            ),
        ),
        (
            "an endless slow head",
            endless("HTTP/1.1 200 OK\r\nX: ", "x", slow),
        ),
        (
            "endless interim replies",
            endless("", "HTTP/1.1 100 Continue\r\n\r\n", quick),
        ),
        (
            "silence",
            Arc::new(|stream| stream.read(&mut [0]).map(|_| ())),
        ),
    ];
    thread::scope(|scope| {
        for (what, reply) in cases {
            scope.spawn(move || nothing_is_concluded(what, reply));
        }
    });
}

#[test]
fn what_is_not_etcd_or_too_old_is_told_before_anything_is_asked() {
    let cases: [(Vec<u8>, bool); 7] = [
        (ok(r#"{"etcdserver":"3.3.25+dfsg"}"#), true),
        (ok(r#"{"etcdserver":"2.3.8"}"#), true),
        (ok("{}"), false),
        (ok(""), false),
        (ok(r#"{"etcdserver":"x.y"}"#), false),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            false,
        ),
        (b"garbage\r\n\r\n".to_vec(), false),
    ];
    for (version, too_old) in cases {
        let server = Hostile::new(version.clone(), canned(ok("{}")));
        let error = server.client().put(Put::new("k", "v", 0)).unwrap_err();
        let shown = String::from_utf8_lossy(&version).into_owned();
        assert!(matches!(error, Error::NotSent { .. }), "{shown}: {error:?}");
        assert_eq!(
            error.to_string().contains("3.4 or later"),
            too_old,
            "{shown}: {error:?}"
        );
        assert_eq!(server.asked.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_watch_survives_nonsense_without_spinning() {
    const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let created = format!("{{\"result\":{{{HEADER},\"created\":true}}}}\n");
    let line = |text: &str| format!("{STREAM}{:x}\r\n{text}\r\n", text.len()).into_bytes();
    let cases: Vec<(&str, Arc<Reply>)> = vec![
        ("an end at once", canned(Vec::new())),
        ("an empty stream", canned(format!("{STREAM}0\r\n\r\n"))),
        ("created and cut", canned(line(&created))),
        ("nonsense", canned(line("nonsense\n"))),
        ("an empty result", canned(line("{\"result\":{}}\n"))),
        (
            "an unknown event",
            canned(line(&format!(
                "{{\"result\":{{{HEADER},\"events\":[{{\"type\":\"X\"}}]}}}}\n"
            ))),
        ),
        (
            "a bad gateway",
            canned("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "a refusal",
            canned("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!"),
        ),
        (
            "an endless line",
            endless(STREAM, "8\r\nxxxxxxxx\r\n", Duration::ZERO),
        ),
        (
            "endless empty lines",
            endless(
                STREAM,
                "8\r\n\n\n\n\n\n\n\n\n\r\n",
                Duration::from_millis(5),
            ),
        ),
    ];
    thread::scope(|scope| {
        for (what, reply) in cases {
            scope.spawn(move || {
                let server = Hostile::new(etcd_version(), reply);
                let watch = server
                    .client()
                    .watch(WatchRequest::new(Keys::one("k")))
                    .unwrap();
                let stop = watch.stopper();
                // The watch would reconnect for ever: some rounds of it are enough.
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(600));
                    stop.stop();
                });
                for item in watch {
                    assert!(
                        matches!(item, Err(_) | Ok(WatchItem::Connected { .. })),
                        "{what}: {item:?}"
                    );
                }
                let asked = server.asked.load(Ordering::SeqCst);
                assert!(
                    (1..=12).contains(&asked),
                    "{what}: {asked} attempts in 0.6 s"
                );
            });
        }
    });
}
