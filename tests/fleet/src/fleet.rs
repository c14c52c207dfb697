//! The nodes: machines of the coordinator, driven in real time over a real etcd, with hosts that do what they are told at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Error, Etcd as _, Reply, Request};
use jiff::Timestamp;
use reboot_coordinator::core::facts::{
    Captured, DetectorReport, DetectorResult, ScriptOutcome, ScriptReport,
};
use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::{Action, Input, Machine, Memory, Now, Settings, State, Ticket};
use reboot_coordinator::lock::Domains;
use simulation::plan::plain_settings;

use crate::watches::{Wanted, Watches, Whose};

/// Threads that carry the requests of all: so many may be under way at once.
const CARRIERS: usize = 256;
/// Limit of a request, the time included that it waits for a carrier: a daemon's own connection would wait for etcd instead.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long a host is down.
const DOWN: Duration = Duration::from_millis(200);

/// Requests so far, by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) renewals: AtomicU64,
    pub(crate) others: AtomicU64,
    pub(crate) watches: AtomicU64,
    pub(crate) failed: AtomicU64,
}

struct Order {
    whose: Whose,
    given: Instant,
    ticket: Ticket,
    request: Request,
    answer: fn(Ticket, Result<Reply, Error>) -> Input,
}

struct Node {
    boot: u32,
    machine: Option<Machine>,
    memory: Memory,
    asks: bool,
    wake: Option<Instant>,
}

/// What is configured beyond the defaults.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    /// How many racks they stand in, of which one node may be down each; 0: no failure domains.
    pub(crate) racks: usize,
    /// Which part of all members must stay healthy, when that is a policy.
    pub(crate) must_be_well: Option<f64>,
}

/// All nodes of a fleet.
pub(crate) struct Fleet {
    begun: Instant,
    kind: Kind,
    nodes: Vec<Node>,
    /// When which node is to be looked at; one that is started or woken otherwise is there twice.
    due: BinaryHeap<Reverse<(Instant, Whose)>>,
    orders: Sender<Order>,
    told: Receiver<(Whose, Input)>,
    tell: Sender<(Whose, Input)>,
    watches: Watches,
    pub(crate) counts: Arc<Counts>,
    pub(crate) reboots: usize,
    /// What the machines warned of, how often.
    pub(crate) warnings: BTreeMap<&'static str, usize>,
}

impl Fleet {
    /// As many nodes, none of which runs.
    pub(crate) fn new(size: usize, kind: Kind, client: &Client, at: std::net::SocketAddr) -> Fleet {
        let (tell, told) = channel();
        let (orders, carried) = channel::<Order>();
        let carried = Arc::new(Mutex::new(carried));
        let counts = Arc::new(Counts::default());
        for _ in 0..CARRIERS {
            let client = client.fork().expect("a client like the first");
            let (carried, tell, counts) = (Arc::clone(&carried), tell.clone(), Arc::clone(&counts));
            let carry = move || carry(&client, &carried, &tell, &counts);
            let small = thread::Builder::new().stack_size(256 * 1024);
            small.spawn(carry).expect("a thread");
        }
        let node = |_| Node {
            boot: 0,
            machine: None,
            memory: Memory::default(),
            asks: false,
            wake: None,
        };
        Fleet {
            begun: Instant::now(),
            kind,
            nodes: (0..size).map(node).collect(),
            due: BinaryHeap::new(),
            orders,
            told,
            watches: Watches::start(at, tell.clone()),
            tell,
            counts,
            reboots: 0,
            warnings: BTreeMap::new(),
        }
    }

    /// All start within this time, evenly.
    pub(crate) fn start_within(&mut self, time: Duration) {
        let size = self.nodes.len();
        let now = Instant::now();
        for node in 0..size {
            let at = now + time.mul_f64(node as f64 / size as f64);
            self.due.push(Reverse((at, Whose { node, boot: 0 })));
        }
    }

    /// From now on the detectors of all ask for a reboot, until they had one.
    pub(crate) fn ask(&mut self) {
        for node in &mut self.nodes {
            node.asks = true;
        }
    }

    /// How many wait in the queue.
    pub(crate) fn waiting(&self) -> usize {
        let states = self.nodes.iter().filter_map(|node| node.machine.as_ref());
        states
            .filter(|machine| matches!(machine.state(), State::Queued))
            .count()
    }

    /// Goes on until that is so; whether it came to be within the time.
    pub(crate) fn until(&mut self, time: Duration, is_so: impl Fn(&Fleet) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            if now >= looked {
                if is_so(self) {
                    return true;
                }
                looked = now + Duration::from_millis(20);
            }
            if now >= end {
                return false;
            }
            while let Some(Reverse((at, whose))) = self.due.peek().copied()
                && at <= now
            {
                self.due.pop();
                self.wake(whose, at);
            }
            let next = self.due.peek().map_or(end, |Reverse((at, _))| *at);
            let wait = next.min(looked).saturating_duration_since(Instant::now());
            match self.told.recv_timeout(wait) {
                Ok((whose, input)) => self.hand(whose, input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("this fleet can tell itself"),
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.begun.elapsed(),
            wall: Timestamp::now(),
        }
    }

    fn wake(&mut self, whose: Whose, at: Instant) {
        let now = self.now();
        let node = &mut self.nodes[whose.node];
        if node.boot != whose.boot {
            return;
        }
        if node.machine.is_none() {
            let settings = settings(whose, self.kind, node.memory.clone());
            let seed = (whose.node as u64) << 32 | u64::from(whose.boot);
            node.machine = Some(Machine::new(settings, seed, now));
            return self.perform(whose);
        }
        // What was due earlier, or not at all since, was another's.
        if node.wake == Some(at) {
            node.wake = None;
            self.hand(whose, Input::Tick);
        }
    }

    fn hand(&mut self, whose: Whose, input: Input) {
        let now = self.now();
        let node = &mut self.nodes[whose.node];
        if let Some(machine) = node.machine.as_mut().filter(|_| node.boot == whose.boot) {
            machine.handle(now, input);
            self.perform(whose);
        }
    }

    fn perform(&mut self, whose: Whose) {
        loop {
            let machine = self.nodes[whose.node].machine.as_mut();
            let Some(action) = machine.and_then(Machine::next_action) else {
                break;
            };
            self.act(whose, action);
        }
        let begun = self.begun;
        let node = &mut self.nodes[whose.node];
        let wake = node.machine.as_ref().and_then(Machine::wake_at);
        let wake = wake.map(|at| begun + at);
        if let Some(at) = wake.filter(|_| wake != node.wake) {
            self.due.push(Reverse((at, whose)));
        }
        node.wake = wake;
    }

    fn act(&mut self, whose: Whose, action: Action) {
        let order = |ticket, request, answer| {
            let order = Order {
                whose,
                given: Instant::now(),
                ticket,
                request,
                answer,
            };
            self.orders.send(order).expect("its carriers live on");
        };
        match action {
            Action::Etcd(ticket, request) => order(ticket, request, Input::Etcd),
            Action::Renew(ticket, request) => order(ticket, request, Input::Renewed),
            Action::Report(ticket, request) => order(ticket, request, Input::Reported),
            Action::Farewell(request) => order(Ticket(0), request, |_, _| Input::Farewell),
            Action::Detect(ticket) => {
                let result = match self.nodes[whose.node].asks {
                    true => DetectorResult::Required("a new kernel".to_owned()),
                    false => DetectorResult::Clear,
                };
                let report = DetectorReport {
                    name: "kernel".to_owned(),
                    result,
                    target: None,
                    took: Duration::ZERO,
                };
                self.tell(whose, Input::Detected(ticket, vec![report]));
            }
            Action::Health(ticket, ..) | Action::Hook(ticket, ..) => {
                self.tell(whose, Input::Script(ticket, passed()));
            }
            Action::Monitor(ticket, _) => self.tell(whose, Input::Monitored(ticket, passed())),
            Action::LookAtHost(ticket) => self.tell(whose, Input::Host(ticket, None)),
            Action::Reboot(..) => self.reboot(whose),
            Action::Watch(wanted) => {
                let wanted = wanted.map(|(ticket, keys, from)| Wanted { ticket, keys, from });
                if wanted.is_some() {
                    self.counts.watches.fetch_add(1, Ordering::Relaxed);
                }
                self.watches.follow(whose, wanted);
            }
            Action::Remember(memory) => self.nodes[whose.node].memory = memory,
            Action::Note(note) if note.level <= log::Level::Warn => {
                *self.warnings.entry(note.event).or_default() += 1;
            }
            Action::Exit(code) => panic!("n{} ends with {code}", whose.node),
            Action::CancelScripts | Action::RecordCompleted(_) | Action::Note(_) => {}
        }
    }

    /// The process is gone; what it asked is answered to nobody.
    fn reboot(&mut self, whose: Whose) {
        self.reboots += 1;
        let node = &mut self.nodes[whose.node];
        node.machine = None;
        node.boot += 1;
        node.asks = false;
        let boot = node.boot;
        self.watches.follow(whose, None);
        let back = Whose { boot, ..whose };
        self.due.push(Reverse((Instant::now() + DOWN, back)));
    }

    fn tell(&self, whose: Whose, input: Input) {
        self.tell.send((whose, input)).expect("it hears itself");
    }
}

fn carry(
    client: &Client,
    orders: &Mutex<Receiver<Order>>,
    tell: &Sender<(Whose, Input)>,
    counts: &Counts,
) {
    loop {
        let order = orders.lock().expect("no carrier dies").recv();
        let Ok(order) = order else {
            return;
        };
        let kind = match order.request {
            Request::KeepAlive { .. } => &counts.renewals,
            _ => &counts.others,
        };
        kind.fetch_add(1, Ordering::Relaxed);
        let reply = match order.given.elapsed() < REQUEST_LIMIT {
            true => client.call(&order.request),
            false => Err(Error::NotSent {
                detail: "the time is up".to_owned(),
            }),
        };
        if reply.is_err() {
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        if tell
            .send((order.whose, (order.answer)(order.ticket, reply)))
            .is_err()
        {
            return;
        }
    }
}

fn passed() -> ScriptReport {
    ScriptReport {
        outcome: ScriptOutcome::Exited(0),
        took: Duration::ZERO,
        stdout: Captured::default(),
        stderr: Captured::default(),
    }
}

/// What a configuration without anything optional comes to.
fn settings(whose: Whose, kind: Kind, memory: Memory) -> Settings {
    let Whose { node, boot } = whose;
    let rack = || "rack".to_owned();
    let domains = match kind.racks {
        0 => Domains::default(),
        racks => Domains {
            labels: BTreeMap::from([(rack(), format!("r{}", node % racks))]),
            limits: BTreeMap::from([(rack(), 1)]),
        },
    };
    Settings {
        domains,
        boot_id: format!(
            "b0070000-0000-4000-8000-{:012x}",
            (node << 16) + boot as usize
        ),
        memory: Some(memory),
        keys: etcd_keys(),
        check_interval: Duration::from_secs(60),
        health_publish_interval: Some(Duration::from_secs(60)),
        backoff_min: Duration::from_secs(5),
        backoff_max: Duration::from_secs(60),
        lock_ttl: Duration::from_secs(90),
        etcd_timeout: REQUEST_LIMIT,
        reboot_timeout: Duration::from_secs(600),
        drain_timeout: None,
        undoes: false,
        policies: kind.must_be_well.map(|part| Policies {
            min_healthy_fraction: Some(part),
            ..Policies::default()
        }),
        ..plain_settings(node)
    }
}

/// Where the records are.
pub(crate) const LOCK: &str = "/fleet";

fn etcd_keys() -> reboot_coordinator::lock::Keys {
    reboot_coordinator::lock::Keys::new("", LOCK)
}
