//! The threads that talk to etcd: one for the machine's requests, one for the keepalive, one for the health report, one for
//! the watch.

use std::cell::OnceCell;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Delete, Error, Etcd, EventKind, Keys, Op, OpReply, Options, Reply, Request,
    SILENCE_LIMIT, Txn, WatchItem, WatchRequest, WatchStop,
};

use super::certificates;
use super::certificates::LOOK_EVERY;
use super::endpoints::Endpoints;
use super::inbox::Inbox;
use super::observer::fork;
use super::threads::{lock, spawn};
use crate::config::Config;
use crate::core::{Input, Ticket, WatchEvent};
use crate::lock::keys::shown;
use crate::observe::metrics::Metrics;

/// How long a last word may take. The whole stop takes less than a second, a member that does not answer at its beginning included.
const LAST_WORD: Duration = Duration::from_millis(700);

/// The connections of one machine.
pub(super) struct Lanes {
    /// With the connection of the machine's requests, and for what is done when the lanes are done with.
    pub(super) client: Arc<Client>,
    /// Dropping it ends the thread that follows the files of certificates and password.
    _certificates: Option<Sender<()>>,
    /// For the requests of the machine.
    pub(super) main: Lane,
    pub(super) keepalive: Lane,
    /// For the requests of the health report.
    pub(super) reports: Lane,
    watching: Option<WatchStop>,
    /// After this the watch is opened anew: a network that swallows packets delays a turn by no more than a TTL. A waiting node
    /// sends three keepalives in that time, so this adds little to its cost.
    pub(super) silence_limit: Duration,
    /// How long what was seen of etcd's revision is worth keeping.
    patience: Duration,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    endpoints: Arc<Endpoints>,
    /// Until it is dropped. What a request then still learns is of endpoints that may be configured no more.
    in_use: Arc<Mutex<bool>>,
}

/// A thread that performs one request after the other, on a connection of its own. It begins with the first, since many a pass
/// needs one of them only, and ends when this is dropped.
pub(super) struct Lane {
    name: &'static str,
    answer: Answer,
    /// Not a connection of its own but that of [`Lanes::client`].
    shared: bool,
    sender: OnceCell<Sender<(Ticket, Request)>>,
}

/// What the machine is told.
type Answer = fn(Ticket, Result<Reply, Error>) -> Input;

impl Lanes {
    pub(super) fn start(
        client: Client,
        config: &Config,
        inbox: Inbox,
        (metrics, endpoints): (Arc<Metrics>, Arc<Endpoints>),
    ) -> Result<Lanes, String> {
        let followed = (fork(&client)?, Arc::clone(&metrics));
        let certificates = certificates::follow(config, followed, LOOK_EVERY)?;
        let lane = |name, answer, shared| Lane {
            name,
            answer,
            shared,
            sender: OnceCell::new(),
        };
        Ok(Lanes {
            _certificates: certificates,
            client: Arc::new(client),
            main: lane("etcd", Input::Etcd, true),
            keepalive: lane("keepalive", Input::Renewed, false),
            reports: lane("reports", Input::Reported, false),
            watching: None,
            silence_limit: SILENCE_LIMIT.min(config.lock_ttl),
            patience: config.reboot_timeout,
            inbox,
            metrics,
            endpoints,
            in_use: Arc::new(Mutex::new(true)),
        })
    }

    /// Whether they go by these: what they were made with, and the certificates and the password that are in use by now.
    pub(super) fn go_by(&self, options: &Options) -> bool {
        let mut in_use = self.client.options().clone();
        (in_use.tls, in_use.auth) = (self.client.tls(), self.client.auth());
        in_use == *options
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
        let client = client.map_err(|error| error.to_string())?;
        let shown = (Arc::clone(&self.metrics), Arc::clone(&self.endpoints));
        Lanes::start(client, config, self.inbox.clone(), shown)
    }

    /// Sends a request on one of them; the answer arrives in the inbox.
    pub(super) fn send(&self, lane: &Lane, ticket: Ticket, request: Request) -> Option<Input> {
        let refused = |error| Some((lane.answer)(ticket, Err(error)));
        if lane.sender.get().is_none() {
            match self.begin(lane) {
                Ok(sender) => lane.sender.set(sender).expect("there was none"),
                Err(detail) => return refused(Error::NotSent { detail }),
            }
        }
        let handed = lane.sender.get()?.send((ticket, request));
        let detail = "the thread that talks to etcd has ended".to_owned();
        handed
            .err()
            .and_then(|_| refused(Error::OutcomeUnknown { detail }))
    }

    fn begin(&self, lane: &Lane) -> Result<Sender<(Ticket, Request)>, String> {
        let client = if lane.shared {
            Arc::clone(&self.client)
        } else {
            Arc::new(fork(&self.client)?)
        };
        let measured = Measured::of(client, &self.metrics);
        let (inbox, answer) = (self.inbox.clone(), lane.answer);
        let (endpoints, patience) = (Arc::clone(&self.endpoints), self.patience);
        let in_use = Arc::clone(&self.in_use);
        let (sender, requests) = channel::<(Ticket, Request)>();
        let work = move || {
            for (ticket, request) in requests {
                let result = measured.call(&request);
                learn((&measured.client, &result), &in_use, &endpoints, patience);
                inbox.send(answer(ticket, result));
            }
        };
        let name = lane.name;
        spawn(name, work)
            .map_err(|error| format!("the {name} thread cannot be started: {error}"))?;
        Ok(sender)
    }

    /// Sends the machine's last word, past everything that may be stuck.
    pub(super) fn farewell(&self, request: Request) -> Option<Input> {
        let inbox = self.inbox.clone();
        let Ok(client) = self.client.fork_within(LAST_WORD) else {
            return Some(Input::Farewell);
        };
        let client = Measured::of(Arc::new(client), &self.metrics);
        let send = move || {
            if let Some((key, why)) = left(&request, client.call(&request)) {
                log::warn!(
                    event = "registration_left", key = key.as_str();
                    "{key} stays, which this node has left: {why}; policies there count it as silent, until the command forget, with a \
                     configuration of that group, takes it away"
                );
            }
            inbox.send(Input::Farewell);
        };
        spawn("farewell", send).err().map(|_| Input::Farewell)
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
        let Ok(watch) = self.client.watch(request) else {
            return lost;
        };
        let stop = watch.stopper();
        let inbox = self.inbox.clone();
        let metrics = Arc::clone(&self.metrics);
        let follow = move || {
            for item in watch {
                report(&inbox, &metrics, ticket, item);
            }
        };
        if spawn("watch", follow).is_err() {
            return lost;
        }
        self.watching = Some(stop);
        None
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        *lock(&self.in_use) = false;
        if let Some(stop) = self.watching.take() {
            stop.stop();
        }
    }
}

/// The registration that a last word was to delete, when it may still stand, and why. A lease runs out by itself.
fn left(request: &Request, reply: Result<Reply, Error>) -> Option<(String, String)> {
    let Request::Txn(Txn { success, .. }) = request else {
        return None;
    };
    let Some(Op::Delete(Delete { keys, .. })) = success.first() else {
        return None;
    };
    let stands = "a claim or a failure of this name stands there, or somebody else wrote it";
    let why = match reply {
        Ok(Reply::Txn(txn)) => match txn.replies.as_slice() {
            [OpReply::Range(found)] if !found.kvs.is_empty() => stands.to_owned(),
            _ => return None,
        },
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    Some((shown(&keys.key), why))
}

/// A watch is counted by its connections: made, refused, interrupted.
fn report(inbox: &Inbox, metrics: &Metrics, ticket: Ticket, item: Result<WatchItem, Error>) {
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
        Ok(WatchItem::Connected { .. }) => {
            metrics.etcd("watch", "ok", None);
            send(WatchEvent::Stands);
        }
        // It goes on by itself where it was and loses nothing.
        Err(error) => {
            metrics.etcd("watch", result(&error), None);
            send(WatchEvent::Failing(error.to_string()));
        }
    }
}

/// A connection whose requests are counted and timed.
pub(super) struct Measured {
    pub(super) client: Arc<Client>,
    pub(super) metrics: Arc<Metrics>,
}

impl Measured {
    pub(super) fn of(client: Arc<Client>, metrics: &Arc<Metrics>) -> Measured {
        let metrics = Arc::clone(metrics);
        Measured { client, metrics }
    }
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

/// How far the store had come when this was answered. Renewals and their like tell how far their member had.
fn revision(result: &Result<Reply, Error>) -> Option<i64> {
    let reply = result.as_ref().ok()?;
    let of_store = matches!(reply, Reply::Range(_) | Reply::Txn(_));
    of_store.then(|| reply.header().revision)
}

/// A request has ended: what it and the client say now.
fn learn(
    (client, result): (&Client, &Result<Reply, Error>),
    in_use: &Mutex<bool>,
    endpoints: &Endpoints,
    patience: Duration,
) {
    // Held meanwhile: what is learnt after the end of the lanes would stay.
    let in_use = lock(in_use);
    if *in_use {
        if let Some(revision) = revision(result) {
            endpoints.saw(revision, patience);
        }
        endpoints.learn(&client.endpoints());
    }
    if let Some(why) = client.distrust() {
        // Only another process ends it.
        SAID.call_once(|| {
            log::error!(event = "etcd_went_back"; "this program believes no answer of etcd until it is restarted: {why}");
        });
    }
}

#[cfg(test)]
mod tests {
    use etcd_rs_sync::{GrantReply, Header, RangeReply, TxnReply};

    use super::*;

    #[test]
    fn only_what_reads_or_writes_the_store_says_how_far_it_had_come() {
        let header = Header {
            revision: 16,
            ..Header::default()
        };
        let range = RangeReply {
            header,
            ..RangeReply::default()
        };
        let txn = TxnReply {
            header,
            ..TxnReply::default()
        };
        let grant = GrantReply {
            header,
            ..GrantReply::default()
        };
        assert_eq!(revision(&Ok(Reply::Range(range))), Some(16));
        assert_eq!(revision(&Ok(Reply::Txn(txn))), Some(16));
        assert_eq!(revision(&Ok(Reply::Grant(grant))), None);
        assert_eq!(revision(&Ok(Reply::Revoke(header))), None);
        assert_eq!(revision(&Err(Error::LeaseNotFound)), None);
    }
}
