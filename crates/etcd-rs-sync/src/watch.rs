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
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::backoff::Backoff;
use crate::http::{Exchange, Limits, start};
use crate::items::{Event, WatchBatch, WatchItem, WatchRequest};
use crate::session::{Certified, Session, Ticket, Visit};
use crate::wire::{self, Message, Refusal};

mod stop;
mod stream;

pub use stop::WatchStop;
use stream::{READ_BYTES, Stream, is_silence};

/// The least `silence_limit`: whatever is asked for, a quiet watch is not opened more often than this.
const SHORTEST_SILENCE: Duration = Duration::from_millis(100);

/// What is said of a watch whose beginning nobody confirmed within a request's limit.
const NOT_CONFIRMED: &str = "the server did not say that the watch stands: something in between keeps streamed answers to itself";

/// A stream that lived this long was healthy: after its loss the next is opened at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(2);

/// A watch: an iterator that blocks.
///
/// An `Err` item says that the stream is lost or could not be opened. It does not end the watch: the next call waits a little
/// longer each time, up to 5 seconds, and tries the next endpoint. Only [`WatchStop::stop`] ends it. Setup and permission
/// errors are repeated in the same rhythm, in case someone repairs their cause.
pub struct Watch {
    session: Arc<Session>,
    stop: WatchStop,
    request: WatchRequest,
    endpoint: usize,
    /// The endpoint that the next attempt leaves alone, when there is another.
    avoided: Option<usize>,
    /// The first revision still wanted; 0 until the first stream says where it starts.
    next_revision: i64,
    stream: Option<Stream>,
    backoff: Backoff,
    ready: VecDeque<WatchItem>,
    /// Whether a refused token has been replaced since the last stream, so that it is replaced once and not for ever.
    token_renewed: bool,
}

/// The lines of a stream, for the fuzz target: up to its end or its failure.
#[cfg(any(test, fuzzing))]
pub(crate) fn lines(reader: ureq::BodyReader<'static>) -> Vec<Vec<u8>> {
    let mut stream = Stream::new(reader, Ticket::default());
    std::iter::from_fn(|| stream.line().ok().flatten()).collect()
}

impl Watch {
    pub(crate) fn new(session: Arc<Session>, agent: Certified, request: WatchRequest) -> Watch {
        let stop = WatchStop::new(agent);
        Watch {
            session,
            stop,
            endpoint: 0,
            avoided: None,
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

    /// Opens a stream. Its first message is read like any other.
    fn connect(&mut self) -> Result<(), Error> {
        self.stop.wait_until(self.backoff.ready_at());
        if self.stop.is_stopped() {
            return Ok(());
        }
        let endpoints = &self.session.endpoints;
        let best = endpoints.next(self.avoided.as_slice());
        self.endpoint = best.or_else(|| endpoints.next(&[])).unwrap_or(0);
        match self.open() {
            Ok(Ok(stream)) => self.stream = Some(stream),
            Ok(Err((status, refusal, ticket))) => return self.refused(status, refusal, &ticket),
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// A stream, or the refusal of whoever answered.
    fn open(&self) -> Result<Result<Stream, (u16, Refusal, Ticket)>, Error> {
        let agent = self.stop.agent(&self.session)?;
        let now = Instant::now();
        let timeout = self.session.options.timeout;
        let endpoints = u32::try_from(self.session.options.endpoints.len()).unwrap_or(u32::MAX);
        let limits = Limits {
            connect_until: now + timeout / endpoints,
            until: now + timeout,
        };
        let visit = Visit {
            agent: &agent,
            endpoint: self.endpoint,
            limits,
        };
        self.session.check_version(visit)?;
        let ticket = self.session.ticket(visit)?;
        let body = wire::watch(&self.request, self.next_revision).to_string();
        let exchange = Exchange {
            body: Some(body.as_bytes()),
            token: ticket.text.clone(),
            need_leader: true,
            ..Exchange::get(self.session.url(self.endpoint, "/v3/watch"), limits)
        };
        let response = start(&agent, &exchange, Some(self.silence())).map_err(|failure| {
            if failure.sent && failure.closed && !self.stop.is_stopped() {
                self.session.forget(&ticket);
            }
            self.lost(&failure.detail)
        })?;
        let status = response.status().as_u16();
        let mut reader = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        if status == 200 {
            return Ok(Ok(Stream::new(reader, ticket)));
        }
        let mut words = Vec::new();
        let read = reader
            .by_ref()
            .take(READ_BYTES as u64)
            .read_to_end(&mut words);
        read.map_err(|e| self.lost(&e.to_string()))?;
        let refusal = self.session.refusal(&ticket, &words);
        Ok(Err((status, refusal, ticket)))
    }

    /// Reads one message and keeps the stream if it is still good.
    fn read(&mut self, mut stream: Stream) -> Result<(), Error> {
        // What stands is said at once, unless something in between keeps it to itself.
        let limit = match stream.created {
            true => self.silence(),
            false => self.silence().min(self.session.options.timeout),
        };
        match stream.message(limit) {
            Ok(Some(line)) => self.take(stream, &line),
            Ok(None) => {
                if !stream.created {
                    self.session.forget(&stream.ticket);
                }
                Err(self.stream_lost(&stream, "the stream ended"))
            }
            Err(e) if is_silence(&e) && !stream.created => {
                Err(self.stream_lost(&stream, NOT_CONFIRMED))
            }
            Err(e) if is_silence(&e) => {
                // Nothing is known to be wrong. If it is, opening the next stream will tell.
                self.leave();
                Ok(())
            }
            Err(e) => Err(self.stream_lost(&stream, &e.to_string())),
        }
    }

    /// Takes a message, and the stream on when it goes on.
    fn take(&mut self, mut stream: Stream, line: &[u8]) -> Result<(), Error> {
        match wire::message(line) {
            Ok(Message::Created {
                revision,
                cluster_id,
            }) => {
                if let Err(why) = self.session.known.check_cluster(cluster_id) {
                    return Err(self.stream_lost(&stream, &why));
                }
                if self.next_revision == 0 {
                    self.next_revision = revision + 1;
                }
                self.token_renewed = false;
                stream.created = true;
                self.avoided = None;
                self.session.endpoints.worked(self.endpoint);
                self.ready.push_back(WatchItem::Connected { revision });
            }
            Ok(Message::Events { revision, events }) => self.take_events(revision, events),
            Ok(Message::Compacted { compact_revision }) => {
                // The server keeps the connection, but this watch on it is over.
                self.next_revision = self.next_revision.max(compact_revision);
                self.ready
                    .push_back(WatchItem::Compacted { compact_revision });
                self.backoff.failed(Instant::now());
                self.leave();
                return Ok(());
            }
            Ok(Message::Failed(refusal)) => {
                self.note_life(&stream);
                return self.refused(0, refusal, &stream.ticket);
            }
            Err(why) => return Err(self.stream_lost(&stream, &why)),
        }
        self.stream = Some(stream);
        Ok(())
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
        let error = match wire::classify(status, refusal, false) {
            Error::NotSent { detail } | Error::OutcomeUnknown { detail } => {
                self.lost(&self.session.without_token(ticket, &detail))
            }
            error => error,
        };
        if wants_new_token && !self.token_renewed && self.session.options.auth.is_some() {
            self.token_renewed = true;
            self.session.forget(ticket);
            self.backoff.failed(Instant::now());
            return Ok(());
        }
        Err(self.fail(error))
    }

    fn stream_lost(&mut self, stream: &Stream, why: &str) -> Error {
        self.note_life(stream);
        let lost = self.lost(why);
        self.fail(lost)
    }

    fn silence(&self) -> Duration {
        self.request.silence_limit.max(SHORTEST_SILENCE)
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

    /// The next attempt is at another endpoint, after a pause.
    fn fail(&mut self, error: Error) -> Error {
        self.backoff.failed(Instant::now());
        // A refusal is the cluster's word, and no failure of the one who gave it. Nor is a stop, which closes the socket.
        let failed = matches!(error, Error::NotSent { .. } | Error::OutcomeUnknown { .. });
        if failed && !self.stop.is_stopped() {
            self.session
                .endpoints
                .failed(self.endpoint, &error.to_string());
        }
        self.leave();
        error
    }

    fn leave(&mut self) {
        self.stream = None;
        self.avoided = Some(self.endpoint);
    }
}

impl Iterator for Watch {
    type Item = Result<WatchItem, Error>;

    /// Blocks until there is something to say; `None` after [`WatchStop::stop`].
    fn next(&mut self) -> Option<Self::Item> {
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
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("request", &self.request)
            .field("next_revision", &self.next_revision)
            .finish_non_exhaustive()
    }
}
