//! One HTTP exchange on ureq, with every setting set, and with the knowledge whether anything was sent.

use std::cell::Cell;
use std::io::Read;
use std::time::{Duration, Instant};

use ureq::config::AutoHeaderValue;
use ureq::http::Response;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Body, Timeout};

use crate::error::TOO_LONG;
use crate::resolve::Names;
use crate::wire::{self, SMALL_REPLY_BYTES};
use crate::{Error, Options, TlsOptions};

/// The most bytes of a reply's header.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Buffers of a connection, in each direction. A request of this crate's users has a few hundred bytes.
const BUFFER_BYTES: usize = 8 * 1024;
/// Idle connections kept: one in use, one that another thread of the same client used.
const MAX_IDLE_CONNECTIONS: usize = 2;
/// How long an idle connection is kept. Longer than the usual time between two renewals of a lease, so that these need no new
/// TLS handshake; shorter than what firewalls commonly remember.
const MAX_IDLE_AGE: Duration = Duration::from_secs(90);

/// An exchange that brought no reply.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether any byte of the request may have left.
    pub(crate) sent: bool,
    /// Whether it ended before its time was over.
    pub(crate) closed: bool,
    /// Whether it was closed on a connection that had stood idle, which whatever is in between may have forgotten.
    pub(crate) stale: bool,
    /// What happened.
    pub(crate) detail: String,
}

/// The time limits of an attempt at one endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Until the connection stands, TLS included.
    pub(crate) connect_until: Instant,
    /// Until the reply is complete, or for a stream until its head is there.
    pub(crate) until: Instant,
}

/// One exchange.
pub(crate) struct Exchange<'a> {
    pub(crate) url: String,
    /// What is posted; without it the exchange is a GET.
    pub(crate) body: Option<&'a [u8]>,
    /// Sent as it is in `Authorization`.
    pub(crate) token: Option<String>,
    /// Ask the server to refuse at once when it knows no leader.
    pub(crate) need_leader: bool,
    /// Whether it does no harm twice.
    pub(crate) twice: bool,
    /// The most bytes of the reply.
    pub(crate) most: u64,
    pub(crate) limits: Limits,
}

impl Exchange<'_> {
    /// A GET with a short answer.
    pub(crate) fn get(url: String, limits: Limits) -> Self {
        Exchange {
            url,
            body: None,
            token: None,
            need_leader: false,
            twice: true,
            most: SMALL_REPLY_BYTES,
            limits,
        }
    }
}

/// An agent of its own, with its own connections.
pub(crate) fn agent(
    options: &Options,
    tls: Option<&TlsOptions>,
    names: &Names,
) -> Result<Agent, Error> {
    let mut config = Agent::config_builder()
        .proxy(None) // never the environment's
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("etcd-rs-sync/", env!("CARGO_PKG_VERSION")))
        .accept_encoding(AutoHeaderValue::None)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES)
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(MAX_IDLE_CONNECTIONS)
        .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
        .max_idle_age(MAX_IDLE_AGE)
        .timeout_global(Some(options.timeout));
    if let Some(tls) = tls {
        config = config.tls_config(tls.to_ureq()?);
    }
    let connector = DefaultConnector::default().chain(MarkSent);
    Ok(Agent::with_parts(config.build(), connector, names.clone()))
}

/// Status, body, and the time that the server says it is.
type Answer = (u16, Vec<u8>, Option<String>);

/// Performs an exchange and reads its whole reply. What does no harm twice is asked again where an idle connection was forgotten: each
/// time one less stands idle.
pub(crate) fn exchange(agent: &Agent, exchange: &Exchange<'_>) -> Result<Answer, Failure> {
    loop {
        let answer = once(agent, exchange);
        if !exchange.twice || !answer.as_ref().is_err_and(|failure| failure.stale) {
            return answer;
        }
    }
}

fn once(agent: &Agent, exchange: &Exchange<'_>) -> Result<Answer, Failure> {
    let response = start(agent, exchange, None)?;
    let status = response.status().as_u16();
    let date = response.headers().get("date");
    let date = date.and_then(|it| it.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    response
        .into_body()
        .into_with_config()
        .limit(exchange.most)
        .reader()
        .read_to_end(&mut body)
        .map_err(|e| failure(e.into()))?;
    Ok((status, body, date))
}

/// Reads of a stream's next message; past `until` they end as silence does, whatever trickles in.
pub(crate) fn read_until<T>(until: Instant, read: impl FnOnce() -> T) -> T {
    MESSAGE_UNTIL.set(Some(until));
    let done = read();
    MESSAGE_UNTIL.set(None);
    done
}

/// Performs an exchange up to the head of its reply. With `silence` the body is a stream: it may last for ever, but not be
/// silent for longer than that.
pub(crate) fn start(
    agent: &Agent,
    exchange: &Exchange<'_>,
    silence: Option<Duration>,
) -> Result<Response<Body>, Failure> {
    SENT.set(false);
    FRESH.set(false);
    MESSAGE_UNTIL.set(None);
    let (now, limits) = (Instant::now(), exchange.limits);
    let left = limits.until.saturating_duration_since(now);
    let connect = limits.connect_until.saturating_duration_since(now);
    let connect = connect.min(left);
    if left.is_zero() || connect.is_zero() {
        return Err(Failure {
            sent: false,
            closed: false,
            stale: false,
            detail: "no time was left".into(),
        });
    }
    let response = match exchange.body {
        None => agent
            .get(&exchange.url)
            .config()
            .timeout_global(Some(left))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .build()
            .call(),
        Some(body) => {
            let mut post = agent.post(&exchange.url).content_type("application/json");
            if let Some(token) = &exchange.token {
                post = post.header("Authorization", token);
            }
            if exchange.need_leader {
                post = post.header("Grpc-Metadata-hasleader", "true");
            }
            let config = post
                .config()
                .timeout_resolve(Some(connect))
                .timeout_connect(Some(connect));
            match silence {
                None => config
                    .timeout_global(Some(left))
                    .build()
                    .header("Grpc-Timeout", server_side(left)),
                Some(silence) => config
                    .timeout_global(None)
                    .timeout_recv_response(Some(left))
                    .timeout_per_read(Some(silence))
                    .timeout_per_write(Some(left))
                    .build(),
            }
            .send(body)
        }
    };
    response.map_err(failure)
}

/// The server's share of the time: a little less than ours, so that its own words about a timeout still reach us.
fn server_side(left: Duration) -> String {
    let millis = left.as_millis() * 19 / 20;
    // The header holds at most eight digits.
    format!("{}m", millis.clamp(1, 99_999_999))
}

fn failure(error: ureq::Error) -> Failure {
    let closed = !matches!(error, ureq::Error::Timeout(_));
    let stale = SENT.get() && !FRESH.get() && matches!(error, ureq::Error::Io(_));
    // Its own words are "timeout: global".
    let detail = match error {
        ureq::Error::Timeout(Timeout::Resolve) => "its name was not resolved in time".to_owned(),
        // Of two limits that end together ureq names either.
        ureq::Error::Timeout(_) if !SENT.get() => "no connection in time".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::BodyExceedsLimit(most) => format!("{TOO_LONG} than {most} bytes"),
        error => wire::one_line(&error.to_string()),
    };
    Failure {
        sent: SENT.get(),
        closed,
        stale,
        detail,
    }
}

thread_local! {
    /// Until when this thread's reads may last, whatever trickles in: the next message of a stream is to be complete by then.
    static MESSAGE_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether this thread's exchange has handed bytes of its request to a connection. ureq works on the caller's thread, so
    /// this is the one exact answer to "was anything sent?"; its errors look alike before and after.
    static SENT: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread's exchange made its connection.
    static FRESH: Cell<bool> = const { Cell::new(false) };
}

/// Wraps connections that stand, TLS included: what passes through here is the request.
#[derive(Debug)]
struct MarkSent;

impl<In: Transport> Connector<In> for MarkSent {
    type Out = Marked<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Marked<In>>, ureq::Error> {
        FRESH.set(true);
        Ok(chained.map(Marked))
    }
}

#[derive(Debug)]
struct Marked<In>(In);

impl<In: Transport> Transport for Marked<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        SENT.set(true);
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, mut timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if let Some(until) = MESSAGE_UNTIL.get() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ureq::Error::Timeout(Timeout::PerRead));
            }
            timeout.per_read = Some(left.into());
        }
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
