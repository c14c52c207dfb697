//! An etcd in this process: one member behind its gateway, as far as the daemon asks of one. Leases last until they are revoked.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::daemon::threads::lock;

/// How soon a watch notices that its client is gone.
const LOOK: Duration = Duration::from_millis(10);

/// Each is a cluster of its own.
static CLUSTERS: AtomicUsize = AtomicUsize::new(1);

/// What is done before a request: its path and its body. Without a yes the connection ends, and nothing is done.
pub(super) type Before = Box<dyn FnMut(&str, &Value) -> bool + Send>;

pub(in crate::daemon) struct Etcd(Arc<Inner>, String);

struct Inner {
    store: Mutex<Store>,
    written: Condvar,
    before: Mutex<Option<Before>>,
    closing: AtomicBool,
    /// Watches that stand.
    watches: AtomicUsize,
    /// All that ever stood.
    watched: AtomicUsize,
}

impl Etcd {
    pub(in crate::daemon) fn start() -> Etcd {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            store: Mutex::new(Store {
                revision: 1,
                cluster: CLUSTERS.fetch_add(1, Ordering::SeqCst),
                ..Store::default()
            }),
            written: Condvar::new(),
            before: Mutex::default(),
            closing: AtomicBool::new(false),
            watches: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
        });
        let served = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.closing.load(Ordering::SeqCst) {
                    return;
                }
                let inner = Arc::clone(&served);
                thread::spawn(move || inner.serve(stream));
            }
        });
        Etcd(inner, url)
    }

    pub(in crate::daemon) fn url(&self) -> &str {
        &self.1
    }

    /// From now on this is done before each request.
    pub(super) fn before(&self, before: impl FnMut(&str, &Value) -> bool + Send + 'static) {
        *lock(&self.0.before) = Some(Box::new(before));
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Value> {
        let store = lock(&self.0.store);
        let pair = store.pairs.get(key.as_bytes())?;
        Some(serde_json::from_slice(&pair.value).unwrap())
    }

    /// Writes a key from outside.
    pub(in crate::daemon) fn put(&self, key: &str, value: &Value) {
        let ask = json!({"key": text(key), "value": text(&value.to_string())});
        lock(&self.0.store).write("put", &ask);
        self.0.written.notify_all();
    }

    pub(super) fn delete(&self, key: &str) {
        lock(&self.0.store).write("deleterange", &json!({"key": text(key)}));
        self.0.written.notify_all();
    }

    /// Another cluster answers from now on, with the same in it.
    pub(super) fn replace(&self) {
        lock(&self.0.store).cluster = CLUSTERS.fetch_add(1, Ordering::SeqCst);
    }

    pub(in crate::daemon) fn leases(&self) -> usize {
        lock(&self.0.store).leases.len()
    }

    pub(in crate::daemon) fn ttl(&self, lease: i64) -> Option<i64> {
        lock(&self.0.store).leases.get(&lease).copied()
    }

    /// The lease is gone, and nothing else.
    pub(in crate::daemon) fn forget(&self, lease: i64) {
        lock(&self.0.store).leases.remove(&lease);
    }

    /// How many watches stand, and how many ever stood.
    pub(super) fn watches(&self) -> (usize, usize) {
        let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
        (count(&self.0.watches), count(&self.0.watched))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::SeqCst);
        self.0.written.notify_all();
        let address = self.1.trim_start_matches("http://");
        let _ = TcpStream::connect(address); // wakes the listener
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        while let Some((path, body)) = request(&mut stream) {
            let goes_on = match &mut *lock(&self.before) {
                Some(before) => before(&path, &body),
                None => true,
            };
            if !goes_on || self.closing.load(Ordering::SeqCst) {
                return;
            }
            if path == "/v3/watch" {
                return self.watch(&mut stream, &body["create_request"]);
            }
            let reply = if path == "/version" {
                json!({"etcdserver": "3.5.16", "etcdcluster": "3.5.0"})
            } else {
                let what = path.rsplit('/').next().unwrap_or_default();
                lock(&self.store).answer(what, &body)
            };
            self.written.notify_all();
            let reply = reply.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                reply.len()
            );
            if stream.write_all((head + &reply).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn watch(&self, stream: &mut TcpStream, ask: &Value) {
        self.watched.fetch_add(1, Ordering::SeqCst);
        self.watches.fetch_add(1, Ordering::SeqCst);
        let _ = self.follow(stream, ask);
        self.watches.fetch_sub(1, Ordering::SeqCst);
    }

    /// Until the client is gone.
    fn follow(&self, stream: &mut TcpStream, ask: &Value) -> std::io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.set_read_timeout(Some(LOOK))?;
        let mut store = lock(&self.store);
        let mut next = match number(&ask["start_revision"]) {
            0 => store.revision + 1,
            start => start,
        };
        let created = json!({"result": {"header": store.header(), "created": true}});
        writeln!(stream, "{created}")?;
        while !self.closing.load(Ordering::SeqCst) {
            let news = store.events.iter();
            let news = news.filter(|(revision, key, _)| *revision >= next && within(ask, key));
            let events: Vec<&Value> = news.map(|(_, _, event)| event).collect();
            if !events.is_empty() {
                let batch = json!({"result": {"header": store.header(), "events": events}});
                writeln!(stream, "{batch}")?;
            }
            next = store.revision + 1;
            let waited = self.written.wait_timeout(store, LOOK);
            drop(waited.unwrap_or_else(PoisonError::into_inner).0);
            match stream.read(&mut [0]) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            store = lock(&self.store);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Store {
    cluster: usize,
    revision: i64,
    pairs: BTreeMap<Vec<u8>, Pair>,
    leases: BTreeMap<i64, i64>,
    /// Revision, key, and what a watch is told.
    events: Vec<(i64, Vec<u8>, Value)>,
}

#[derive(Clone, Default)]
struct Pair {
    value: Vec<u8>,
    create: i64,
    modified: i64,
    version: i64,
    lease: i64,
}

impl Store {
    fn header(&self) -> Value {
        json!({"cluster_id": self.cluster.to_string(), "member_id": "2", "revision": self.revision.to_string(), "raft_term": "2"})
    }

    fn answer(&mut self, what: &str, ask: &Value) -> Value {
        let id = number(&ask["ID"]);
        let mut reply = match what {
            "grant" => {
                let ttl = number(&ask["TTL"]);
                self.leases.insert(id, ttl);
                json!({"ID": id.to_string(), "TTL": ttl.to_string()})
            }
            "revoke" => {
                self.leases.remove(&id);
                let of = self.pairs.iter().filter(|(_, pair)| pair.lease == id);
                let keys: Vec<Vec<u8>> = of.map(|(key, _)| key.clone()).collect();
                for key in keys {
                    self.write("deleterange", &json!({"key": STANDARD.encode(key)}));
                }
                json!({})
            }
            "keepalive" => {
                let ttl = self.leases.get(&id).copied().unwrap_or(0);
                let result =
                    json!({"header": self.header(), "ID": id.to_string(), "TTL": ttl.to_string()});
                return json!({ "result": result });
            }
            "timetolive" => {
                let ttl = self.leases.get(&id).copied().unwrap_or(-1);
                json!({"ID": id.to_string(), "TTL": ttl.to_string(), "grantedTTL": ttl.max(0).to_string()})
            }
            "status" => json!({"version": "3.5.16", "dbSize": "1", "leader": "2"}),
            _ => self.write(what, ask),
        };
        reply["header"] = self.header();
        reply
    }

    /// An operation with a revision of its own.
    fn write(&mut self, what: &str, ask: &Value) -> Value {
        let before = self.events.len();
        let reply = self.operation(what, ask);
        if self.events.len() > before {
            self.revision += 1;
        }
        reply
    }

    fn operation(&mut self, what: &str, ask: &Value) -> Value {
        match what {
            "range" => self.range(ask),
            "put" => self.put(ask),
            "deleterange" => self.remove(ask),
            "txn" => self.txn(ask),
            other => panic!("{other} is not asked for by a daemon"),
        }
    }

    fn txn(&mut self, ask: &Value) -> Value {
        let holds = |compare| self.holds(compare);
        let succeeded = list(&ask["compare"]).iter().all(holds);
        let branch = if succeeded { "success" } else { "failure" };
        let mut responses = Vec::new();
        for operation in list(&ask[branch]) {
            let named = operation
                .as_object()
                .and_then(|fields| fields.iter().next());
            let (field, inner) = named.expect("an operation names what it is");
            let what = field.trim_start_matches("request_").replace('_', "");
            let reply = self.operation(&what, inner);
            responses.push(json!({ field.replace("request", "response"): reply }));
        }
        json!({"succeeded": succeeded, "responses": responses})
    }

    /// Of all pairs in the range; of a pair of zeros when there is none.
    fn holds(&self, compare: &Value) -> bool {
        let some: Vec<&Pair> = self.matching(compare).map(|(_, pair)| pair).collect();
        let none = [&Pair::default()];
        let pairs = if some.is_empty() { &none[..] } else { &some };
        pairs.iter().all(|pair| {
            let (found, wanted) = match compare["target"].as_str() {
                Some("CREATE") => (pair.create, &compare["create_revision"]),
                Some("MOD") => (pair.modified, &compare["mod_revision"]),
                Some("VERSION") => (pair.version, &compare["version"]),
                Some("LEASE") => (pair.lease, &compare["lease"]),
                other => panic!("a daemon does not compare {other:?}"),
            };
            match compare["result"].as_str() {
                Some("EQUAL") => found == number(wanted),
                Some("GREATER") => found > number(wanted),
                Some("LESS") => found < number(wanted),
                _ => found != number(wanted),
            }
        })
    }

    fn matching<'a>(&'a self, ask: &'a Value) -> impl Iterator<Item = (&'a Vec<u8>, &'a Pair)> {
        self.pairs.iter().filter(|(key, _)| within(ask, key))
    }

    fn range(&self, ask: &Value) -> Value {
        let newest = number(&ask["max_create_revision"]);
        let mut found: Vec<_> = self.matching(ask).collect();
        found.retain(|(_, pair)| newest == 0 || pair.create <= newest);
        if ask["sort_target"] == "CREATE" {
            found.sort_by_key(|(_, pair)| pair.create);
        }
        if ask["sort_order"] == "DESCEND" {
            found.reverse();
        }
        let count = found.len();
        let limit = usize::try_from(number(&ask["limit"])).unwrap();
        if limit > 0 {
            found.truncate(limit);
        }
        let pairs = found.iter().map(|(key, pair)| shown(key, pair));
        let pairs: Vec<Value> = pairs.collect();
        json!({"kvs": pairs, "count": count.to_string(), "more": count > pairs.len()})
    }

    fn put(&mut self, ask: &Value) -> Value {
        let (key, revision) = (bytes(&ask["key"]), self.revision + 1);
        let pair = self.pairs.entry(key.clone()).or_default();
        pair.value = bytes(&ask["value"]);
        pair.modified = revision;
        pair.version += 1;
        if pair.version == 1 {
            pair.create = revision;
        }
        if ask["ignore_lease"] != true {
            pair.lease = number(&ask["lease"]);
        }
        let event = json!({"kv": shown(&key, pair)});
        self.events.push((revision, key, event));
        json!({})
    }

    fn remove(&mut self, ask: &Value) -> Value {
        let keys: Vec<Vec<u8>> = self.matching(ask).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.pairs.remove(key);
            let kv = json!({"key": STANDARD.encode(key), "mod_revision": (self.revision + 1).to_string()});
            let event = json!({"type": "DELETE", "kv": kv});
            self.events.push((self.revision + 1, key.clone(), event));
        }
        json!({"deleted": keys.len().to_string()})
    }
}

fn shown(key: &[u8], pair: &Pair) -> Value {
    json!({
        "key": STANDARD.encode(key),
        "value": STANDARD.encode(&pair.value),
        "create_revision": pair.create.to_string(),
        "mod_revision": pair.modified.to_string(),
        "version": pair.version.to_string(),
        "lease": pair.lease.to_string(),
    })
}

fn within(ask: &Value, key: &[u8]) -> bool {
    let (first, end) = (bytes(&ask["key"]), bytes(&ask["range_end"]));
    if end.is_empty() {
        key == first
    } else {
        key >= first.as_slice() && (end == [0] || key < end.as_slice())
    }
}

fn text(text: &str) -> String {
    STANDARD.encode(text)
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

/// Absent is zero, and false.
fn number(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The path and the body of the next request; `None` at the end.
fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut head = Vec::new();
    let mut one = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut one).ok()? == 0 {
            return None;
        }
        head.push(one[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let head = head.to_ascii_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some((path, serde_json::from_slice(&body).unwrap_or_default()))
}
