//! Every node's watch on a connection of its own, as its daemon has it, and one thread for all of them.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd_rs_sync::Keys;
use reboot_coordinator::core::{Input, Ticket, WatchEvent};
use rustix::event::epoll;
use serde_json::{Value, json};

/// How long a watch that broke waits before it is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// A node, and the process of it that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whose {
    pub(crate) node: usize,
    pub(crate) boot: u32,
}

/// What a node follows.
pub(crate) struct Wanted {
    pub(crate) ticket: Ticket,
    pub(crate) keys: Keys,
    pub(crate) from: i64,
}

/// The sender's side: which node follows what.
pub(crate) struct Watches {
    orders: Sender<(Whose, Option<Wanted>)>,
    bell: UnixStream,
}

struct Watch {
    whose: Whose,
    wanted: Wanted,
    stream: TcpStream,
    unread: Vec<u8>,
}

struct Follower {
    at: SocketAddr,
    epoll: rustix::fd::OwnedFd,
    watches: HashMap<usize, Watch>,
    broken: Vec<(Instant, Whose, Wanted)>,
    told: Sender<(Whose, Input)>,
}

impl Watches {
    pub(crate) fn start(at: SocketAddr, told: Sender<(Whose, Input)>) -> Watches {
        let (orders, received) = channel();
        let (bell, heard) = UnixStream::pair().expect("a pair of sockets");
        bell.set_nonblocking(true).expect("a flag of a socket");
        heard.set_nonblocking(true).expect("a flag of a socket");
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        let follower = Follower {
            at,
            epoll,
            watches: HashMap::new(),
            broken: Vec::new(),
            told,
        };
        thread::spawn(move || follower.follow(&received, heard));
        Watches { orders, bell }
    }

    /// From now on this node follows that, or nothing.
    pub(crate) fn follow(&self, whose: Whose, wanted: Option<Wanted>) {
        // It ends with the process.
        let _ = self.orders.send((whose, wanted));
        // A full pipe rings, too.
        let _ = (&self.bell).write(&[0]);
    }
}

impl Follower {
    fn follow(mut self, orders: &Receiver<(Whose, Option<Wanted>)>, mut bell: UnixStream) {
        const BELL: u64 = u64::MAX;
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&self.epoll, &bell, data, epoll::EventFlags::IN).expect("epoll");
        let mut ready = Vec::with_capacity(1024);
        let mut trash = [0; 4096];
        loop {
            let wait = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            ready.clear();
            let room = rustix::buffer::spare_capacity(&mut ready);
            match epoll::wait(&self.epoll, room, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("epoll: {error}"),
            }
            let events: Vec<u64> = ready.iter().map(|event| event.data.u64()).collect();
            for event in events {
                match event {
                    BELL => while bell.read(&mut trash).is_ok_and(|read| read > 0) {},
                    node => self.read(node as usize),
                }
            }
            loop {
                match orders.try_recv() {
                    Ok((whose, wanted)) => self.change(whose, wanted),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            let now = Instant::now();
            let due: Vec<_> = self.broken.extract_if(.., |(at, ..)| *at <= now).collect();
            for (_, whose, wanted) in due {
                self.open(whose, wanted);
            }
        }
    }

    fn change(&mut self, whose: Whose, wanted: Option<Wanted>) {
        self.watches.remove(&whose.node);
        self.broken.retain(|(_, other, _)| other.node != whose.node);
        if let Some(wanted) = wanted {
            self.open(whose, wanted);
        }
    }

    fn open(&mut self, whose: Whose, wanted: Wanted) {
        match connect(self.at, &wanted) {
            Ok(stream) => {
                let data = epoll::EventData::new_u64(whose.node as u64);
                epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).expect("epoll");
                let unread = Vec::new();
                let watch = Watch {
                    whose,
                    wanted,
                    stream,
                    unread,
                };
                self.watches.insert(whose.node, watch);
            }
            Err(error) => self.failed(whose, wanted, &error.to_string()),
        }
    }

    fn failed(&mut self, whose: Whose, wanted: Wanted, why: &str) {
        let event = WatchEvent::Failing(why.to_owned());
        let _ = self.told.send((whose, Input::Watch(wanted.ticket, event)));
        self.broken.push((Instant::now() + PAUSE, whose, wanted));
    }

    fn read(&mut self, node: usize) {
        let Some(watch) = self.watches.get_mut(&node) else {
            return;
        };
        let mut bytes = [0; 16 * 1024];
        loop {
            match watch.stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => watch.unread.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return watch.tell(&self.told);
                }
                Err(_) => break,
            }
        }
        watch.tell(&self.told);
        if let Some(watch) = self.watches.remove(&node) {
            self.failed(watch.whose, watch.wanted, "the connection was closed");
        }
    }
}

impl Watch {
    /// Tells every message that is complete: a line of JSON, whatever stands between them.
    fn tell(&mut self, told: &Sender<(Whose, Input)>) {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let Ok(message) = serde_json::from_slice::<Value>(&line) else {
                continue;
            };
            let result = &message["result"];
            let revision = number(&result["header"]["revision"]);
            self.wanted.from = self.wanted.from.max(revision + 1);
            let send = |event| {
                let _ = told.send((self.whose, Input::Watch(self.wanted.ticket, event)));
            };
            if result["created"] == true {
                send(WatchEvent::Stands);
            }
            if result["canceled"] == true || message.get("error").is_some() {
                send(WatchEvent::Lost);
            }
            for event in result["events"].as_array().into_iter().flatten() {
                let pair = &event["kv"];
                let key = bytes(&pair["key"]);
                send(match event["type"].as_str() {
                    Some("DELETE") => WatchEvent::Deleted(key),
                    _ => WatchEvent::Written(
                        key,
                        number(&pair["mod_revision"]),
                        bytes(&pair["value"]),
                    ),
                });
            }
        }
    }
}

fn number(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_default();
    text.parse().unwrap_or_default()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    STANDARD.decode(text).unwrap_or_default()
}

fn connect(at: SocketAddr, wanted: &Wanted) -> std::io::Result<TcpStream> {
    let body = json!({"create_request": {
        "key": STANDARD.encode(&wanted.keys.key),
        "range_end": STANDARD.encode(&wanted.keys.range_end),
        "start_revision": wanted.from.to_string(),
    }})
    .to_string();
    let mut stream = TcpStream::connect(at)?;
    let length = body.len();
    let head = format!(
        "POST /v3/watch HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
