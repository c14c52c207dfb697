//! The client: which endpoint, for how long, and whether a request may be sent again.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::endpoints::EndpointHealth;
use crate::http::Limits;
use crate::items::WatchRequest;
use crate::session::{Certified, Session, Visit};
use crate::watch::Watch;
use crate::{Error, Etcd, Options, Reply, Request, TlsOptions, lock, wire};

mod attempt;
mod failures;
use attempt::{Next, attempt, judge};
use failures::{Failures, repeatable};

/// The longest first attempt at one of several endpoints, before the next is tried. A stopped member accepts connections and
/// never answers; moving on after 0.5 s or 1 s finds a working member in 1 to 3 s, waiting longer only takes longer.
const LONGEST_FIRST_SHARE: Duration = Duration::from_secs(1);

/// A blocking client of one etcd cluster.
///
/// It may be shared by threads. A call takes at most [`Options::timeout`], whatever the servers do. The endpoint that answered
/// last is asked first. An answer from another cluster than the first that answered, or from a store that went back since, is
/// none. A request that can change something and that may have been sent is not sent again, except for those where it does no
/// harm: [`Request::Grant`] with an id, [`Request::KeepAlive`], [`Request::Revoke`].
pub struct Client {
    session: Arc<Session>,
    agent: Mutex<Certified>,
    /// The bound of one call.
    timeout: Duration,
}

impl Client {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setup`] when the options cannot be used.
    pub fn new(options: Options) -> Result<Client, Error> {
        Client::with(options, None)
    }

    /// A client with other options, which knows of the cluster what this one does: which one it is, and how far its store has
    /// come. When the endpoints are others it knows nothing, unless it is to be the same cluster all the same.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn successor(&self, options: Options, same_cluster: bool) -> Result<Client, Error> {
        Client::with(options, Some((&*self.session, same_cluster)))
    }

    /// What it was made with.
    pub fn options(&self) -> &Options {
        &self.session.options
    }

    fn with(options: Options, before: Option<(&Session, bool)>) -> Result<Client, Error> {
        let session = Arc::new(Session::new(options, before)?);
        Ok(Client {
            agent: Mutex::new(session.agent()?),
            timeout: session.options.timeout,
            session,
        })
    }

    /// A client of the same cluster with connections of its own, so that neither waits for, or breaks with, the other's. The
    /// authentication's token is shared.
    ///
    /// # Errors
    /// [`Error::Setup`], which cannot happen after the first client could be made.
    pub fn fork(&self) -> Result<Client, Error> {
        self.fork_within(self.timeout)
    }

    /// The same, for calls that take at most `timeout`, which is no more than the client's own: a last word.
    ///
    /// # Errors
    /// As for [`Client::fork`].
    pub fn fork_within(&self, timeout: Duration) -> Result<Client, Error> {
        Ok(Client {
            session: Arc::clone(&self.session),
            agent: Mutex::new(self.session.agent()?),
            timeout: timeout.min(self.timeout),
        })
    }

    /// Connects with these certificates from now on, and so do all that were forked from it and all watches. A connection that stands
    /// is used no more, but for the streams of watches, which go on until they end.
    ///
    /// # Errors
    /// [`Error::Setup`] when they cannot be used; then nothing changes.
    pub fn set_tls(&self, tls: TlsOptions) -> Result<(), Error> {
        tls.validate()?;
        self.session.set_tls(tls);
        Ok(())
    }

    /// The certificates with which connections are made now.
    pub fn tls(&self) -> Option<TlsOptions> {
        self.session.tls().1.clone()
    }

    /// Logs in with this user and password from now on, and so do all that were forked from it and all watches. A token that is good
    /// stays in use, so that the password may be replaced here before or after it is in etcd.
    pub fn set_auth(&self, user: String, password: String) {
        *self.session.auth() = Some((user, password));
    }

    /// The user and password of the next login.
    pub fn auth(&self) -> Option<(String, String)> {
        self.session.auth().clone()
    }

    fn agent(&self) -> Result<Agent, Error> {
        self.session.renewed(&mut lock(&self.agent))
    }

    /// Watches keys, on a connection of its own. Nothing is sent before the first [`Watch::next`].
    ///
    /// # Errors
    /// As for [`Client::fork`].
    pub fn watch(&self, request: WatchRequest) -> Result<Watch, Error> {
        let agent = self.session.agent()?;
        Ok(Watch::new(Arc::clone(&self.session), agent, request))
    }

    /// The version of a server that answered, such as `3.5.16`; `None` before any has.
    pub fn server_version(&self) -> Option<String> {
        let mut health = self.endpoints().into_iter();
        health.find_map(|endpoint| endpoint.version)
    }

    /// What is known of each endpoint, in the order given.
    pub fn endpoints(&self) -> Vec<EndpointHealth> {
        self.session.endpoints.health()
    }

    /// The highest revision of the store that an answer proved; 0 before any has.
    pub fn revision(&self) -> i64 {
        self.session.known.revision()
    }

    /// Why no answer is believed any more, once that is so: the store went back behind what it had said.
    pub fn distrust(&self) -> Option<&str> {
        self.session.known.went_back()
    }
}

impl Etcd for Client {
    fn call(&self, request: &Request) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.timeout;
        let body = wire::body(request).to_string();
        let endpoints = &self.session.endpoints;
        let mut share = first_share(self.timeout, self.session.options.endpoints.len());
        let mut failures = Failures::default();
        loop {
            // Another round is worth its time only if something was slow; what fails at once would fail at once again.
            let mut slow = false;
            let mut tried = Vec::new();
            while let Some(endpoint) = endpoints.next(&tried) {
                tried.push(endpoint);
                let now = Instant::now();
                if now >= deadline {
                    return Err(failures.into_error("the time is up"));
                }
                let connect_until = deadline.min(now + share);
                // What cannot be repeated is waited for as long as there is time.
                let once = Some(deadline).filter(|_| !repeatable(request));
                let limits = Limits {
                    connect_until,
                    until: once.unwrap_or(connect_until),
                };
                let in_doubt = self.session.known.in_doubt();
                let ask = |agent: Agent| {
                    let visit = Visit {
                        agent: &agent,
                        endpoint,
                        limits,
                    };
                    attempt(&self.session, visit, request, &body)
                };
                match self.agent().map_err(judge).and_then(ask) {
                    Ok(reply) => {
                        endpoints.worked(endpoint);
                        return Ok(reply);
                    }
                    Err((error, Next::Nothing | Next::Token)) => {
                        endpoints.worked(endpoint);
                        return Err(failures.settle(request, error));
                    }
                    Err((error, Next::Endpoint)) => {
                        endpoints.failed(endpoint, &error.to_string());
                        slow |= Instant::now() >= limits.connect_until;
                        // What a second look tells is to be known at once. An older doubt is none of this attempt's.
                        slow |= !in_doubt && self.session.known.in_doubt();
                        failures.push(error);
                    }
                    // What may be repeated is, at once; each time one connection less stands idle.
                    Err((error, Next::Connection)) => {
                        tried.pop();
                        failures.push(error);
                    }
                }
                if !failures.allow_repeat(request) {
                    return Err(failures.into_error("not sent again"));
                }
            }
            if !slow {
                return Err(failures.into_error("no endpoint works"));
            }
            share = self.timeout.min(share * 2);
        }
    }
}

/// How long the first round may stay at one endpoint. Every further round doubles it, so that a cluster that is merely slow is
/// reached as well.
fn first_share(timeout: Duration, endpoints: usize) -> Duration {
    if endpoints == 1 {
        return timeout;
    }
    let halves = u32::try_from(endpoints)
        .unwrap_or(u32::MAX)
        .saturating_mul(2);
    LONGEST_FIRST_SHARE.min(timeout / halves)
}

/// Its endpoints; no secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.session.options.endpoints)
            .field("server_version", &self.server_version())
            .finish_non_exhaustive()
    }
}
