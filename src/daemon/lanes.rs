//! The threads that talk to etcd: one for the machine's requests, one for the keepalive, one for the health report, one for
//! the watch.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Error, Etcd, EventKind, Keys, Options, Reply, Request, SILENCE_LIMIT, WatchItem,
    WatchRequest, WatchStop,
};

use super::certificates::LOOK_EVERY;
use super::endpoints::Endpoints;
use super::{Inbox, certificates};
use crate::config::Config;
use crate::core::{Input, Ticket, WatchEvent};
use crate::observe::metrics::Metrics;

/// Stack of a thread that does one small thing. TLS handshakes and JSON parsing stay well below.
pub(super) const STACK: usize = 256 * 1024;

/// How long a last word may take. The whole stop takes less than a second, a member that does not answer at its beginning included.
const LAST_WORD: Duration = Duration::from_millis(700);

/// The connections of one machine.
pub(super) struct Lanes {
    client: Client,
    /// Dropping it ends the thread that follows the certificate files.
    _certificates: Option<Sender<()>>,
    main: Sender<(Ticket, Request)>,
    keepalive: Sender<(Ticket, Request)>,
    reports: Sender<(Ticket, Request)>,
    watching: Option<WatchStop>,
    /// After this the watch is opened anew: a network that swallows packets delays a turn by no more than a TTL. A waiting node
    /// sends three keepalives in that time, so this adds little to its cost.
    pub(super) silence_limit: Duration,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    endpoints: Arc<Endpoints>,
}

impl Lanes {
    pub(super) fn start(
        client: Client,
        config: &Config,
        inbox: Inbox,
        (metrics, endpoints): (Arc<Metrics>, Arc<Endpoints>),
    ) -> Result<Lanes, String> {
        let text = |error: Error| error.to_string();
        let measured = |client| Measured {
            client,
            metrics: Arc::clone(&metrics),
        };
        let start = |name, answer| {
            let client = measured(client.fork().map_err(text)?);
            let (endpoints, patience) = (Arc::clone(&endpoints), config.reboot_timeout);
            let learn = move |client: &Client| {
                endpoints.saw(client.revision(), patience);
                endpoints.learn(&client.endpoints());
            };
            lane(name, client, inbox.clone(), learn, answer)
        };
        let main = start("etcd", Input::Etcd)?;
        let keepalive = start("keepalive", Input::Renewed)?;
        let reports = start("reports", Input::Reported)?;
        let certificates = certificates::follow(
            config,
            client.fork().map_err(text)?,
            Arc::clone(&metrics),
            LOOK_EVERY,
        )?;
        Ok(Lanes {
            _certificates: certificates,
            client,
            main,
            keepalive,
            reports,
            watching: None,
            silence_limit: SILENCE_LIMIT.min(config.lock_ttl),
            inbox,
            metrics,
            endpoints,
        })
    }

    /// For what is done when the lanes are done with.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether they were made with these.
    pub(super) fn are_made_of(&self, options: &Options) -> bool {
        self.client.options() == options
    }

    /// Connections made otherwise, to the same machine. Those that carry a committed claim believe only the cluster in which it
    /// stands, whatever the new endpoints are.
    pub(super) fn successor(
        &self,
        options: Options,
        config: &Config,
        committed: bool,
    ) -> Result<Lanes, String> {
        let client = self.client.successor(options, committed);
        Lanes::start(
            client.map_err(|error| error.to_string())?,
            config,
            self.inbox.clone(),
            (Arc::clone(&self.metrics), Arc::clone(&self.endpoints)),
        )
    }

    /// Sends a request of the machine; the answer arrives in the inbox.
    pub(super) fn etcd(&self, ticket: Ticket, request: Request) -> Option<Input> {
        hand_over(&self.main, ticket, request, Input::Etcd)
    }

    /// Sends a renewal, on the keepalive's own connection.
    pub(super) fn renew(&self, ticket: Ticket, request: Request) -> Option<Input> {
        hand_over(&self.keepalive, ticket, request, Input::Renewed)
    }

    /// Sends a request of the health report, on a connection of its own.
    pub(super) fn report(&self, ticket: Ticket, request: Request) -> Option<Input> {
        hand_over(&self.reports, ticket, request, Input::Reported)
    }

    /// Sends the machine's last word, past everything that may be stuck.
    pub(super) fn farewell(&self, request: Request) -> Option<Input> {
        let inbox = self.inbox.clone();
        let Ok(client) = self.client.fork_within(LAST_WORD) else {
            return Some(Input::Farewell);
        };
        let client = Measured {
            client,
            metrics: Arc::clone(&self.metrics),
        };
        let send = move || {
            // The lease runs out by itself when this fails.
            let _ = client.call(&request);
            inbox.send(Input::Farewell);
        };
        let spawned = thread::Builder::new().stack_size(STACK).spawn(send);
        spawned.err().map(|_| Input::Farewell)
    }

    /// Follows other keys than before, or none.
    pub(super) fn watch(&mut self, what: Option<(Ticket, Keys, i64)>) -> Option<Input> {
        if let Some(stop) = self.watching.take() {
            stop.stop();
        }
        let (ticket, keys, start_revision) = what?;
        let request = WatchRequest {
            start_revision,
            silence_limit: self.silence_limit,
            ..WatchRequest::new(keys)
        };
        let lost = Some(Input::Watch(ticket, WatchEvent::Lost));
        let Ok(mut watch) = self.client.watch(request) else {
            return lost;
        };
        let stop = watch.stopper();
        let inbox = self.inbox.clone();
        let metrics = Arc::clone(&self.metrics);
        let follow = move || {
            while let Some(item) = watch.next() {
                count(&metrics, &item);
                report(&inbox, ticket, item);
            }
        };
        let spawned = thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(STACK)
            .spawn(follow);
        match spawned {
            Ok(_) => {
                self.watching = Some(stop);
                None
            }
            Err(_) => lost,
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        if let Some(stop) = self.watching.take() {
            stop.stop();
        }
    }
}

fn report(inbox: &Inbox, ticket: Ticket, item: Result<WatchItem, Error>) {
    let send = |event| inbox.send(Input::Watch(ticket, event));
    match item {
        Ok(WatchItem::Events(batch)) => {
            for event in batch.events {
                send(match event.kind {
                    EventKind::Delete => WatchEvent::Deleted(event.kv.key),
                    EventKind::Put => {
                        WatchEvent::Written(event.kv.key, event.kv.mod_revision, event.kv.value)
                    }
                });
            }
        }
        Ok(WatchItem::Compacted { .. }) => send(WatchEvent::Lost),
        Ok(WatchItem::Connected { .. }) => send(WatchEvent::Stands),
        // It goes on by itself where it was and loses nothing.
        Err(error) => send(WatchEvent::Failing(error.to_string())),
    }
}

/// A watch is counted by its connections: made, refused, interrupted.
fn count(metrics: &Metrics, item: &Result<WatchItem, Error>) {
    match item {
        Ok(WatchItem::Connected { .. }) => metrics.etcd("watch", "ok", None),
        Ok(WatchItem::Events(_) | WatchItem::Compacted { .. }) => {}
        Err(error) => metrics.etcd("watch", result(error), None),
    }
}

/// A connection whose requests are counted and timed.
pub(super) struct Measured {
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
}

impl Etcd for Measured {
    fn call(&self, request: &Request) -> Result<Reply, Error> {
        let began = Instant::now();
        let reply = self.client.call(request);
        let result = reply.as_ref().map_or_else(result, |_| "ok");
        let took = Some(began.elapsed());
        self.metrics.etcd(operation(request), result, took);
        reply
    }
}

/// The label of a request.
fn operation(request: &Request) -> &'static str {
    match request {
        Request::Range(_) => "range",
        Request::Put(_) => "put",
        Request::Delete(_) => "delete",
        Request::Txn(_) => "txn",
        Request::Grant { .. } => "grant",
        Request::Revoke { .. } => "revoke",
        Request::KeepAlive { .. } => "keepalive",
        Request::TimeToLive { .. } => "time_to_live",
        Request::Compact { .. } => "compact",
        Request::Status => "status",
        Request::Members => "members",
    }
}

/// The label of a failure.
fn result(error: &Error) -> &'static str {
    match error {
        Error::NotSent { .. } | Error::Setup { .. } => "not_sent",
        Error::OutcomeUnknown { .. } | Error::NoLeader { .. } => "unknown",
        Error::LeaseNotFound
        | Error::LeaseExists
        | Error::Compacted { .. }
        | Error::Unauthenticated { .. }
        | Error::PermissionDenied { .. }
        | Error::Rejected { .. } => "refused",
    }
}

/// That etcd is not believed any more.
static SAID: Once = Once::new();

/// A thread that performs one request after the other. It ends when its sender is dropped.
fn lane(
    name: &str,
    client: Measured,
    inbox: Inbox,
    learn: impl Fn(&Client) + Send + 'static,
    answer: fn(Ticket, Result<Reply, Error>) -> Input,
) -> Result<Sender<(Ticket, Request)>, String> {
    let (sender, requests): (_, Receiver<(Ticket, Request)>) = channel();
    let work = move || {
        for (ticket, request) in requests {
            let result = client.call(&request);
            learn(&client.client);
            if let Some(why) = client.client.distrust() {
                // Only another process ends it.
                SAID.call_once(|| {
                    log::error!(event = "etcd_went_back"; "this program believes no answer of etcd until it is restarted: {why}");
                });
            }
            inbox.send(answer(ticket, result));
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| format!("the {name} thread cannot be started: {error}"))?;
    Ok(sender)
}

fn hand_over(
    lane: &Sender<(Ticket, Request)>,
    ticket: Ticket,
    request: Request,
    answer: fn(Ticket, Result<Reply, Error>) -> Input,
) -> Option<Input> {
    let handed = lane.send((ticket, request));
    handed.err().map(|_| {
        let detail = "the thread that talks to etcd has ended".to_owned();
        answer(ticket, Err(Error::OutcomeUnknown { detail }))
    })
}
