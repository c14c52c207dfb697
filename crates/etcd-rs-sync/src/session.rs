//! What the clients made from the same options share: endpoints, the token, the check of the server's version.

use std::sync::{Arc, Mutex, MutexGuard};

use ureq::Agent;

use crate::cluster::Known;
use crate::endpoints::Endpoints;
use crate::http::{self, Exchange, Limits, exchange};
use crate::resolve::Names;
use crate::{Error, Options, TlsOptions, lock, wire};

/// The oldest etcd whose API has the paths and the guards that this crate uses.
const OLDEST: (u64, u64) = (3, 4);

/// Shared by a client, its forks and its watches.
pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) names: Names,
    pub(crate) endpoints: Arc<Endpoints>,
    /// What is known of the cluster.
    pub(crate) known: Arc<Known>,
    token: Mutex<Ticket>,
    /// User and password for the next login.
    auth: Mutex<Option<(String, String)>>,
    /// The certificates in use, and how often they were replaced.
    tls: Mutex<(u64, Option<TlsOptions>)>,
}

/// An agent, and with which certificates it connects.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) agent: Agent,
    generation: u64,
}

/// Who asks which endpoint, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) endpoint: usize,
    pub(crate) limits: Limits,
}

/// A token as it was when a request was sent.
#[derive(Clone, Default)]
pub(crate) struct Ticket {
    /// Sent as it is; `None` before the first authentication, and when the cluster has authentication disabled.
    pub(crate) text: Option<String>,
    /// Counts renewals, so that several threads that are refused together renew once.
    generation: u64,
    /// Whether the cluster has been asked, and has not refused what it gave.
    known: bool,
}

impl Session {
    /// With what is known of the same endpoints already, when there is something. The cluster behind others is another one,
    /// unless it is to be the same all the same.
    pub(crate) fn new(
        options: Options,
        before: Option<(&Session, bool)>,
    ) -> Result<Session, Error> {
        options.validate()?;
        let same = before.filter(|(before, _)| before.options.endpoints == options.endpoints);
        let cluster = before.filter(|(_, same_cluster)| *same_cluster).or(same);
        Ok(Session {
            // A name leads to the same address, whatever it is asked for.
            names: before.map_or_else(Names::default, |(before, _)| before.names.clone()),
            endpoints: same.map_or_else(
                || Arc::new(Endpoints::new(&options.endpoints)),
                |(before, _)| Arc::clone(&before.endpoints),
            ),
            known: cluster.map_or_else(Arc::default, |(before, _)| Arc::clone(&before.known)),
            tls: Mutex::new((0, options.tls.clone())),
            auth: Mutex::new(options.auth.clone()),
            options,
            token: Mutex::default(),
        })
    }

    /// An agent of its own, with the certificates of now.
    pub(crate) fn agent(&self) -> Result<Certified, Error> {
        let (generation, tls) = self.tls().clone();
        let agent = http::agent(&self.options, tls.as_ref(), &self.names)?;
        Ok(Certified { agent, generation })
    }

    /// The agent that stands, made anew when the certificates were replaced since.
    pub(crate) fn renewed(&self, standing: &mut Certified) -> Result<Agent, Error> {
        if standing.generation != self.tls().0 {
            *standing = self.agent()?;
        }
        Ok(standing.agent.clone())
    }

    /// From now on connections are made with these.
    pub(crate) fn set_tls(&self, tls: TlsOptions) {
        let mut standing = self.tls();
        *standing = (standing.0 + 1, Some(tls));
    }

    /// How often they were replaced, and what they are.
    pub(crate) fn tls(&self) -> MutexGuard<'_, (u64, Option<TlsOptions>)> {
        lock(&self.tls)
    }

    /// With what the next login is made.
    pub(crate) fn auth(&self) -> MutexGuard<'_, Option<(String, String)>> {
        lock(&self.auth)
    }

    pub(crate) fn url(&self, endpoint: usize, path: &str) -> String {
        let base = &self.options.endpoints[endpoint];
        format!("{}{path}", base.trim_end_matches('/'))
    }

    /// Asks for the server's version unless it is known, and refuses one that is too old.
    ///
    /// # Errors
    /// [`Error::NotSent`], as nothing was asked of the store: another endpoint may do better.
    pub(crate) fn check_version(&self, visit: Visit<'_>) -> Result<(), Error> {
        let endpoint = visit.endpoint;
        if self.endpoints.has_version(endpoint) {
            return Ok(());
        }
        let probe = Exchange::get(self.url(endpoint, "/version"), visit.limits);
        let url = &self.options.endpoints[endpoint];
        let not_sent = |detail: String| Error::NotSent {
            detail: format!("{url}: {detail}"),
        };
        let (status, body, date) = exchange(visit.agent, &probe).map_err(|failure| {
            let https = url.starts_with("https");
            let cut = wire::holds_any(&failure.detail, &["Broken pipe", "reset by peer"]);
            let asked = failure.closed && (failure.sent || https && cut);
            let detail = failure.detail;
            not_sent(match (asked, https) {
                // A client certificate is often refused without a word, under TLS 1.3 after the handshake.
                (true, true) => format!("{detail} around the TLS handshake"),
                (true, false) => format!("{detail} when it was asked for its version"),
                (false, _) => detail,
            })
        })?;
        if status != 200 {
            let detail = format!("asked for its version it answers HTTP {status}");
            return Err(not_sent(detail));
        }
        let version =
            wire::version(&body).map_err(|why| not_sent(format!("this is not etcd: {why}")))?;
        let shown = wire::one_line(&version);
        let unread = || not_sent(format!("version '{shown}' cannot be read"));
        if major_minor(&version).ok_or_else(unread)? < OLDEST {
            let detail = format!("it runs etcd {version}; 3.4 or later is needed");
            return Err(not_sent(detail));
        }
        self.endpoints.set_version(endpoint, version, date);
        Ok(())
    }

    /// The token to send, after authenticating when that has not happened yet.
    pub(crate) fn ticket(&self, visit: Visit<'_>) -> Result<Ticket, Error> {
        let ticket = lock(&self.token).clone();
        if self.options.auth.is_none() || ticket.known {
            return Ok(ticket);
        }
        self.renew(visit, &ticket)
    }

    /// A newer token than `old`, which was refused.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when user and password are refused; [`Error::NotSent`] when that could not be asked.
    pub(crate) fn renew(&self, visit: Visit<'_>, old: &Ticket) -> Result<Ticket, Error> {
        let standing = lock(&self.token).clone();
        if standing.generation != old.generation {
            return Ok(standing);
        }
        let Some(login) = self.auth().clone() else {
            return Err(Error::Unauthenticated {
                detail: "etcd wants a user, and none is given".into(),
            });
        };
        let text = self.authenticate(visit, &login)?;
        let mut token = lock(&self.token);
        token.known = true;
        token.text = text;
        token.generation += 1;
        Ok(token.clone())
    }

    /// Marks a token as refused, so that the next [`Session::ticket`] authenticates again.
    pub(crate) fn forget(&self, refused: &Ticket) {
        let mut token = lock(&self.token);
        if token.generation == refused.generation {
            token.known = false;
        }
    }

    /// Asks for a token; there is none when the cluster has authentication disabled.
    fn authenticate(
        &self,
        visit: Visit<'_>,
        (user, password): &(String, String),
    ) -> Result<Option<String>, Error> {
        let url = &self.options.endpoints[visit.endpoint];
        let body = wire::authenticate(user, password).to_string();
        let place = self.url(visit.endpoint, "/v3/auth/authenticate");
        let request = Exchange {
            body: Some(body.as_bytes()),
            need_leader: true,
            ..Exchange::get(place, visit.limits)
        };
        // Whatever goes wrong here, the request that the token is for has not been sent.
        let not_sent = |detail: String| Error::NotSent {
            detail: format!("{url}: authentication: {detail}"),
        };
        let (status, body, _) =
            exchange(visit.agent, &request).map_err(|failure| not_sent(failure.detail))?;
        if status == 200 {
            return wire::auth_token(&body).map(Some).map_err(not_sent);
        }
        let refusal = wire::refusal(&body);
        if refusal.message.contains("authentication is not enabled") {
            return Ok(None); // it may be enabled later: then requests are refused and we come here again
        }
        // In our own words: whatever answers here has just been told the password, and may repeat it.
        const NAMED: &str = "CommonName of client";
        if refusal.message.contains(NAMED) {
            return Err(not_sent(format!("it refuses the {NAMED} certificates")));
        }
        match wire::classify(status, refusal, false) {
            Error::Rejected { .. }
            | Error::Unauthenticated { .. }
            | Error::PermissionDenied { .. } => Err(Error::Unauthenticated {
                detail: format!("{url} refuses the user {user:?} with this password"),
            }),
            Error::NoLeader { .. } => Err(not_sent("etcdserver: no leader".to_owned())),
            _ => Err(not_sent(format!("it answers HTTP {status}"))),
        }
    }

    /// What a body says that is not the answer, without the token.
    pub(crate) fn refusal(&self, ticket: &Ticket, body: &[u8]) -> wire::Refusal {
        let text = String::from_utf8_lossy(body);
        wire::refusal(self.without_token(ticket, &text).as_bytes())
    }

    /// A text of whoever answered a request with a token, without that token: it may have repeated what it was sent.
    pub(crate) fn without_token(&self, ticket: &Ticket, text: &str) -> String {
        match &ticket.text {
            Some(token) => text.replace(token.as_str(), "(the token)"),
            None => text.to_owned(),
        }
    }
}

fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let old_enough = |version: &str| major_minor(version).map(|number| number >= OLDEST);
        for (version, expected) in [
            ("3.3.25", Some(false)),
            ("3.4.23", Some(true)),
            ("3.10.0-rc.1", Some(true)),
            ("4.0.0", Some(true)),
            ("2.3.8", Some(false)),
            ("3", None),
            ("x.y", None),
            ("", None),
        ] {
            assert_eq!(old_enough(version), expected, "{version}");
        }
    }
}
