//! A TCP proxy that understands just enough HTTP/1.1 to break requests on purpose.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

mod request;
mod rule;

pub use request::HttpRequest;
use request::{Input, Parsed, rewritten};
pub use rule::{Action, Gate, Rule};

/// A proxy in front of one server, in plain HTTP. Bytes that are not HTTP (TLS) pass as they are, without rules.
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Told of everything in `state` that someone may wait for.
    changed: Condvar,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<HttpRequest>,
    connections: Vec<TcpStream>,
    /// Connections ever accepted and passed on.
    accepted: usize,
    accepting: bool,
    /// Bytes are held back, in both directions.
    frozen: bool,
    /// Requests that were held and have been passed on.
    released: usize,
    gates: Vec<Gate>,
}

/// What the two threads of a connection tell each other.
#[derive(Default)]
struct Link {
    /// The next reply is not passed on; the connection is cut.
    cut: AtomicBool,
    /// How often bytes came from upstream.
    replies: AtomicUsize,
}

/// How long a released request may take to be answered.
const LONGEST_REPLY: Duration = Duration::from_secs(10);
/// Between two bytes of a reply that never ends.
const DRIP: Duration = Duration::from_millis(20);
/// Requests that are remembered; a test sends far fewer.
const MAX_SEEN: usize = 10_000;

impl Proxy {
    /// A proxy in front of `upstream`, on a port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn new(upstream: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be had");
        let shared = Arc::new(Shared {
            address: listener
                .local_addr()
                .expect("a bound socket has an address"),
            upstream,
            state: Mutex::new(State {
                accepting: true,
                ..State::default()
            }),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
        });
        shared.serve(listener);
        Proxy { shared }
    }

    /// Where clients connect, `http://…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Adds a rule after those that there are.
    pub fn rule(&self, rule: Rule) {
        self.shared.lock().rules.push(rule);
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.shared.lock().rules.clear();
    }

    /// The requests seen so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.shared.lock().seen.clone()
    }

    /// How many requests so far contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.shared
            .lock()
            .seen
            .iter()
            .filter(|request| request.contains(text))
            .count()
    }

    /// How many connections it has passed on so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Waits until `wanted` requests that contain `text` have been seen.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn wait_for(&self, text: &str, wanted: usize, limit: Duration) {
        self.wait_until(limit, text, |state| {
            state
                .seen
                .iter()
                .filter(|request| request.contains(text))
                .count()
                >= wanted
        });
    }

    /// Waits until `wanted` requests that were held have been passed on.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn wait_released(&self, wanted: usize, limit: Duration) {
        self.wait_until(limit, "the release of held requests", |state| {
            state.released >= wanted
        });
    }

    /// Closes every connection.
    pub fn cut_all(&self) {
        for connection in self.shared.lock().connections.drain(..) {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Refuses new connections and closes those that there are.
    pub fn refuse(&self) {
        self.shared.lock().accepting = false;
        // Wakes the accepting thread, which then drops the listening socket.
        let _ = TcpStream::connect(self.shared.address);
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(self.shared.address).is_ok() {
            assert!(Instant::now() < deadline, "the proxy still accepts");
            thread::yield_now();
        }
        self.cut_all();
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Panics
    /// When the port is taken by now.
    pub fn accept(&self) {
        let mut state = self.shared.lock();
        if !state.accepting {
            let listener = TcpListener::bind(self.shared.address).expect("the port is still free");
            state.accepting = true;
            drop(state);
            self.shared.serve(listener);
        }
    }

    /// Holds every byte back, of present and of new connections, without closing any: a network that swallows packets.
    pub fn freeze(&self) {
        self.shared.lock().frozen = true;
    }

    /// Lets the bytes go on.
    pub fn thaw(&self) {
        self.shared.lock().frozen = false;
        self.shared.changed.notify_all();
    }

    fn wait_until(&self, limit: Duration, what: &str, done: impl Fn(&State) -> bool) {
        let state = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !done(state));
        let (_state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "the proxy waited in vain for {what}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let gates = std::mem::take(&mut self.shared.lock().gates);
        for gate in gates {
            gate.open();
        }
        self.thaw();
        self.refuse();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn serve(self: &Arc<Self>, listener: TcpListener) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            for client in listener.incoming() {
                if !shared.lock().accepting {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // An error here is a connection that broke, which is what this proxy is for.
                    let _ = shared.connection(client);
                });
            }
        });
    }

    fn connection(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        self.wait_thawed();
        let upstream = TcpStream::connect(self.upstream)?;
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        {
            let mut state = self.lock();
            if !state.accepting {
                return Ok(());
            }
            state.accepted += 1;
            state.connections.push(client.try_clone()?);
            state.connections.push(upstream.try_clone()?);
        }
        let link = Arc::new(Link::default());
        let (from, to, theirs) = (
            upstream.try_clone()?,
            client.try_clone()?,
            Arc::clone(&link),
        );
        let shared = Arc::clone(self);
        thread::spawn(move || shared.pump(from, to, &theirs));
        let result = self.requests(&client, &upstream, &link);
        let _ = upstream.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        result
    }

    /// Passes bytes on. HTTP/1.1 without pipelining: what comes next from upstream is the reply to the last request.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, link: &Link) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n) = from.read(&mut buffer) {
            self.wait_thawed();
            link.replies.fetch_add(1, Ordering::SeqCst);
            drop(self.lock()); // so that nobody is between looking at the count and waiting
            self.changed.notify_all();
            if n == 0 || link.cut.load(Ordering::SeqCst) || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn requests(&self, client: &TcpStream, upstream: &TcpStream, link: &Link) -> io::Result<()> {
        let mut input = Input {
            stream: client,
            pending: Vec::new(),
        };
        loop {
            let request = match input.request()? {
                Parsed::End => return Ok(()),
                Parsed::Opaque(first) => return self.pass(first, client, upstream),
                Parsed::Request(request) => request,
            };
            self.wait_thawed();
            let action = self.judge(&request);
            match action {
                Action::Forward => forward(upstream, &request)?,
                Action::CutReply => {
                    link.cut.store(true, Ordering::SeqCst);
                    forward(upstream, &request)?;
                }
                Action::CutRequest => return Ok(()),
                Action::Double => {
                    self.first_copy(&request)?;
                    forward(upstream, &request)?;
                }
                Action::Swallow => {}
                Action::Hold(time) => {
                    thread::sleep(time);
                    self.release(upstream, link, &request)?;
                }
                Action::HoldUntil(gate) => {
                    self.lock().gates.push(gate.clone());
                    gate.wait();
                    if self.is_closing() {
                        return Ok(());
                    }
                    self.release(upstream, link, &request)?;
                }
                Action::Rewrite(text, by) => forward(upstream, &rewritten(request, &text, &by))?,
                Action::Drip(lines) => return self.drip(client, &lines),
                Action::AnswerAfter(bytes) => {
                    self.first_copy(&request)?;
                    let mut client = client;
                    return client.write_all(&announced(bytes));
                }
                Action::Answer(bytes) => {
                    let mut client = client;
                    return client.write_all(&announced(bytes));
                }
                Action::Odd(odd) => return odd.answer(&request, client),
            }
        }
    }

    fn judge(&self, request: &HttpRequest) -> Action {
        let mut state = self.lock();
        if state.seen.len() < MAX_SEEN {
            state.seen.push(request.clone());
        }
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.times != Some(0) && (rule.matches)(request));
        let action = rule.map_or(Action::Forward, |rule| {
            rule.times = rule.times.map(|times| times - 1);
            rule.action.clone()
        });
        drop(state);
        self.changed.notify_all();
        action
    }

    /// Passes a held request on, and waits for the reply: etcd gives a request up when its connection is closed, and the
    /// client may have closed its own long ago.
    fn release(&self, upstream: &TcpStream, link: &Link, request: &HttpRequest) -> io::Result<()> {
        let before = link.replies.load(Ordering::SeqCst);
        forward(upstream, request)?;
        let unanswered = |_: &mut State| link.replies.load(Ordering::SeqCst) == before;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), LONGEST_REPLY, unanswered);
        waited.unwrap_or_else(PoisonError::into_inner).0.released += 1;
        self.changed.notify_all();
        Ok(())
    }

    fn drip(&self, mut client: &TcpStream, lines: &str) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(head.as_bytes())?;
        if !lines.is_empty() {
            client.write_all(format!("{:x}\r\n{lines}\r\n", lines.len()).as_bytes())?;
        }
        while !self.is_closing() {
            client.write_all(b"1\r\n \r\n")?;
            thread::sleep(DRIP);
        }
        Ok(())
    }

    /// Passes a copy on, over a connection of its own, and waits for the first bytes of its reply.
    fn first_copy(&self, request: &HttpRequest) -> io::Result<()> {
        let mut upstream = TcpStream::connect(self.upstream)?;
        upstream.set_read_timeout(Some(LONGEST_REPLY))?;
        forward(&upstream, request)?;
        upstream.read(&mut [0; 1024]).map(drop)
    }

    fn pass(&self, first: Vec<u8>, client: &TcpStream, upstream: &TcpStream) -> io::Result<()> {
        let (mut client, mut upstream) = (client, upstream);
        upstream.write_all(&first)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let n = client.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.wait_thawed();
            upstream.write_all(&buffer[..n])?;
        }
    }

    fn wait_thawed(&self) {
        let state = self.lock();
        let frozen = |state: &mut State| state.frozen && !self.is_closing();
        drop(
            self.changed
                .wait_while(state, frozen)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// An answer that says, where it has a head, what follows on it: else a client may use the connection again while it ends.
fn announced(answer: Vec<u8>) -> Vec<u8> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = answer.windows(END.len()).position(|four| four == END) else {
        return answer;
    };
    let (head, rest) = answer.split_at(end);
    [head, b"\r\nConnection: close", rest].concat()
}

fn forward(upstream: &TcpStream, request: &HttpRequest) -> io::Result<()> {
    let mut upstream = upstream;
    let mut bytes = request.head.clone().into_bytes();
    bytes.extend_from_slice(&request.body);
    upstream.write_all(&bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panics under the lock is failing anyway; the others' connections are not to blame.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
