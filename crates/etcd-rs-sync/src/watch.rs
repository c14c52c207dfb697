//! Watching keys: a blocking stream that reconnects by itself.
//!
//! ```text
//!            connect                    created
//!  (backoff) ───────► [connecting] ───────────────► [streaming] ──► Connected, Events, Events, …
//!      ▲                   │ refused, unreachable        │ lost, silent, canceled, compacted
//!      └───────────────────┴─────────────────────────────┘
//! ```
//!
//! Every stream starts at the revision after the last event that was handed out, so none is lost and none comes twice. Signs of
//! life without events do not move that revision: etcd before 3.4.25 and 3.5.8 could send one ahead of events it announced.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::{Agent, BodyReader};

use crate::backoff::Backoff;
use crate::http::{Exchange, MAX_REPLY_BYTES, Method, start};
use crate::session::{Limits, Session, Ticket};
use crate::wire::{self, Message, Refusal};
use crate::{Error, KeyValue, Keys};

/// How long a stream may be silent before it is taken for dead and opened again, by default. A network that drops packets
/// without a word is noticed after this; opening again costs one small request.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// The longest line of a stream. One holds all events of one revision or more; etcd's largest request is 1.5 MiB.
const MAX_LINE_BYTES: usize = MAX_REPLY_BYTES as usize;

/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;

/// A stream that lived this long was healthy: after its loss the next is opened at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub keys: Keys,
    /// The first revision whose events are wanted; 0 for those after the watch is established.
    pub start_revision: i64,
    /// With each event, the pair as it was before.
    pub prev_kv: bool,
    /// Have the server send a sign of life every ten minutes or so. Of use with a `silence_limit` longer than that.
    pub progress_notify: bool,
    /// How long the stream may be silent before it is opened again.
    pub silence_limit: Duration,
}

impl WatchRequest {
    /// Events from now on, without the old pairs, and [`SILENCE_LIMIT`].
    pub fn new(keys: Keys) -> WatchRequest {
        WatchRequest {
            keys,
            start_revision: 0,
            prev_kv: false,
            progress_notify: false,
            silence_limit: SILENCE_LIMIT,
        }
    }
}

/// What a watch yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// A stream stands, the first or a later one. Nothing was missed; who keeps a copy may want to read again all the same.
    Connected {
        /// The store's revision then, at the answering member.
        revision: i64,
    },
    /// What happened.
    Events(WatchBatch),
    /// Events between the last one seen and this revision are lost to compaction. Read again. The watch goes on from here.
    Compacted {
        /// The first revision that is still there.
        compact_revision: i64,
    },
}

/// Events in the order of their revisions. All events of one revision are in one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The store's revision when the batch was sent.
    pub revision: i64,
    /// At least one.
    pub events: Vec<Event>,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to the key.
    pub kind: EventKind,
    /// The pair as it is now; of a deleted one only `key` and `mod_revision`, the revision of the deletion.
    pub kv: KeyValue,
    /// The pair as it was, when asked for, when there was one and when it is not compacted.
    pub prev_kv: Option<KeyValue>,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted, or its lease ended.
    Delete,
}

/// A watch. Iterate over it, or call [`Watch::next`]; both block.
///
/// An `Err` item says that the stream is lost or could not be opened. It does not end the watch: the next call waits a little
/// longer each time, up to 5 seconds, and tries the next endpoint. Only [`WatchStop::stop`] ends it. Setup and permission
/// errors are repeated in the same rhythm, in case someone repairs their cause.
pub struct Watch {
    session: Arc<Session>,
    stop: WatchStop,
    request: WatchRequest,
    endpoint: usize,
    /// The first revision still wanted; 0 until the first stream says where it starts.
    next_revision: i64,
    stream: Option<Stream>,
    backoff: Backoff,
    ready: VecDeque<WatchItem>,
    /// Whether a refused token has been replaced since the last stream, so that it is replaced once and not for ever.
    token_renewed: bool,
}

/// What became of an attempt that was answered.
enum Opened {
    Stream(Stream),
    Refused(u16, Refusal, Ticket),
}

struct Stream {
    reader: BodyReader<'static>,
    /// Bytes after the last complete line.
    pending: Vec<u8>,
    /// Up to where `pending` is known to hold no line end.
    searched: usize,
    since: Instant,
    ticket: Ticket,
}

/// Ends a [`Watch`] from another thread.
#[derive(Clone)]
pub struct WatchStop(Arc<Stop>);

struct Stop {
    agent: Agent,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl WatchStop {
    /// Ends the watch for good: a blocked [`Watch::next`] returns `None` at once. The one exception is a connection attempt
    /// under way to an address that does not answer, which ends within its share of [`Options::timeout`](crate::Options).
    pub fn stop(&self) {
        *self.lock() = true;
        self.0.wake.notify_all();
        // Closes the stream's socket under a read that blocks, and refuses new connections from now on.
        self.0.agent.clone().shutdown();
    }

    /// Whether the watch has been stopped.
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Waits until `deadline` or [`WatchStop::stop`].
    fn wait_until(&self, deadline: Instant) {
        let mut stopped = self.lock();
        while !*stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.0.wake.wait_timeout(stopped, left);
            stopped = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(crate) fn new(
        session: Arc<Session>,
        agent: Agent,
        endpoint: usize,
        request: WatchRequest,
    ) -> Watch {
        let stop = WatchStop(Arc::new(Stop {
            agent,
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }));
        Watch {
            session,
            stop,
            endpoint,
            next_revision: request.start_revision,
            request,
            stream: None,
            backoff: Backoff::default(),
            ready: VecDeque::new(),
            token_renewed: false,
        }
    }

    /// A handle that ends this watch.
    pub fn stopper(&self) -> WatchStop {
        self.stop.clone()
    }

    /// The first revision whose events have not been handed out; 0 before the first stream stands. A later watch can start here.
    pub fn next_revision(&self) -> i64 {
        self.next_revision
    }

    /// Blocks until there is something to say; `None` after [`WatchStop::stop`].
    #[allow(clippy::should_implement_trait)] // it is the iterator's `next`, callable without the trait in scope
    pub fn next(&mut self) -> Option<Result<WatchItem, Error>> {
        loop {
            if self.stop.is_stopped() {
                self.stream = None;
                return None;
            }
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            let step = match self.stream.take() {
                None => self.connect(),
                Some(stream) => self.read(stream),
            };
            // A stop looks like a failure of whatever was under way; the loop's head sees what it was.
            if let Err(error) = step
                && !self.stop.is_stopped()
            {
                return Some(Err(error));
            }
        }
    }

    /// Opens a stream. Its first message is read like any other.
    fn connect(&mut self) -> Result<(), Error> {
        self.stop.wait_until(self.backoff.ready_at());
        if self.stop.is_stopped() {
            return Ok(());
        }
        match self.open() {
            Ok(Opened::Stream(stream)) => {
                self.stream = Some(stream);
                Ok(())
            }
            Ok(Opened::Refused(status, refusal, ticket)) => self.refused(status, refusal, &ticket),
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    fn open(&self) -> Result<Opened, Error> {
        let agent = self.stop.0.agent.clone();
        let now = Instant::now();
        let until = now + self.session.options.timeout;
        let endpoints = u32::try_from(self.session.options.endpoints.len()).unwrap_or(u32::MAX);
        let limits = Limits {
            connect_until: now + self.session.options.timeout / endpoints,
            until,
        };
        self.session.check_version(&agent, self.endpoint, limits)?;
        let ticket = self.session.ticket(&agent, self.endpoint, limits)?;
        let body = wire::watch(&self.request, self.next_revision).to_string();
        let exchange = Exchange {
            url: self.session.url(self.endpoint, "/v3/watch"),
            method: Method::Post(body.as_bytes()),
            token: ticket.text.clone(),
            need_leader: true,
            connect_until: limits.connect_until,
            until,
        };
        let response = start(&agent, &exchange, Some(self.request.silence_limit))
            .map_err(|failure| self.lost(&failure.detail))?;
        let status = response.status().as_u16();
        let mut reader = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        if status == 200 {
            return Ok(Opened::Stream(Stream {
                reader,
                pending: Vec::new(),
                searched: 0,
                since: Instant::now(),
                ticket,
            }));
        }
        let mut words = Vec::new();
        let read = reader
            .by_ref()
            .take(READ_BYTES as u64)
            .read_to_end(&mut words);
        read.map_err(|e| self.lost(&e.to_string()))?;
        Ok(Opened::Refused(status, wire::refusal(&words), ticket))
    }

    /// Reads one message and keeps the stream if it is still good.
    fn read(&mut self, mut stream: Stream) -> Result<(), Error> {
        let line = match stream.line() {
            Ok(Some(line)) => line,
            Ok(None) => return Err(self.stream_lost(&stream, "the stream ended")),
            Err(e) if is_silence(&e) => {
                // Nothing is known to be wrong. If it is, opening the next stream will tell.
                self.leave();
                return Ok(());
            }
            Err(e) => return Err(self.stream_lost(&stream, &e.to_string())),
        };
        match wire::message(&line) {
            Ok(Message::Created { revision }) => {
                if self.next_revision == 0 {
                    self.next_revision = revision + 1;
                }
                self.token_renewed = false;
                self.ready.push_back(WatchItem::Connected { revision });
                self.stream = Some(stream);
                Ok(())
            }
            Ok(Message::Events { revision, events }) => {
                self.take_events(revision, events);
                self.stream = Some(stream);
                Ok(())
            }
            Ok(Message::Compacted { compact_revision }) => {
                // The server keeps the connection, but this watch on it is over.
                self.next_revision = self.next_revision.max(compact_revision);
                self.ready
                    .push_back(WatchItem::Compacted { compact_revision });
                self.fail();
                Ok(())
            }
            Ok(Message::Canceled(refusal) | Message::Failed(refusal)) => {
                self.note_life(&stream);
                self.refused(0, refusal, &stream.ticket)
            }
            Err(why) => Err(self.stream_lost(&stream, &why)),
        }
    }

    fn take_events(&mut self, revision: i64, mut events: Vec<Event>) {
        // The server starts where it was told to; this only guards against one that does not.
        events.retain(|event| event.kv.mod_revision >= self.next_revision);
        let Some(last) = events.iter().map(|event| event.kv.mod_revision).max() else {
            return; // a sign of life
        };
        self.next_revision = last.saturating_add(1);
        self.backoff.reset();
        self.ready
            .push_back(WatchItem::Events(WatchBatch { revision, events }));
    }

    /// The server said no. When a new token may help, it is fetched once and nothing is said.
    fn refused(&mut self, status: u16, refusal: Refusal, ticket: &Ticket) -> Result<(), Error> {
        let wants_new_token = refusal.wants_new_token();
        let error = wire::classify(status, refusal);
        self.fail();
        if !wants_new_token || self.token_renewed || self.session.options.auth.is_none() {
            return Err(error);
        }
        self.token_renewed = true;
        self.session.forget(ticket);
        Ok(())
    }

    fn stream_lost(&mut self, stream: &Stream, why: &str) -> Error {
        self.note_life(stream);
        self.fail();
        self.lost(why)
    }

    fn lost(&self, why: &str) -> Error {
        let endpoint = &self.session.options.endpoints[self.endpoint];
        Error::OutcomeUnknown {
            detail: format!("{endpoint}: watch: {}", wire::one_line(why)),
        }
    }

    fn note_life(&mut self, stream: &Stream) {
        if stream.since.elapsed() >= HEALTHY_AFTER {
            self.backoff.reset();
        }
    }

    /// The next attempt is at the next endpoint, after a pause.
    fn fail(&mut self) {
        self.backoff.failed(Instant::now());
        self.leave();
    }

    fn leave(&mut self) {
        self.stream = None;
        self.endpoint = (self.endpoint + 1) % self.session.options.endpoints.len();
    }
}

impl Iterator for Watch {
    type Item = Result<WatchItem, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Watch::next(self)
    }
}

impl Stream {
    /// The next non-empty line; `None` at the end of the stream.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.pending[self.searched..]
                .iter()
                .position(|b| *b == b'\n')
            {
                let rest = self.pending.split_off(self.searched + at + 1);
                let line = std::mem::replace(&mut self.pending, rest);
                self.searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.pending.len();
            if self.pending.len() > MAX_LINE_BYTES {
                return Err(io::Error::other("a message is too long"));
            }
            let mut chunk = [0; READ_BYTES];
            match self.reader.read(&mut chunk)? {
                0 => return Ok(None),
                n => self.pending.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

/// Whether a read ended only because nothing came.
fn is_silence(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_)))
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("request", &self.request)
            .field("next_revision", &self.next_revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WatchStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStop")
            .field("stopped", &self.is_stopped())
            .finish()
    }
}
