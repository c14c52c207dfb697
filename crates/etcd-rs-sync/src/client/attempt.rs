//! One attempt at one endpoint: with a token where one is needed, and what a failure says of the other endpoints.

use super::failures::repeatable;
use crate::http::{Exchange, exchange};
use crate::session::{Session, Ticket, Visit};
use crate::wire::{self, Refusal};
use crate::{Error, Reply, Request};

/// Why there is no reply, and what may bring one.
pub(super) type Failed = (Error, Next);

/// What another try needs.
#[derive(PartialEq, Eq)]
pub(super) enum Next {
    /// The cluster has spoken.
    Nothing,
    Endpoint,
    Token,
    Connection,
}

/// One request to one endpoint.
pub(super) fn attempt(
    session: &Session,
    visit: Visit<'_>,
    request: &Request,
    body: &str,
) -> Result<Reply, Failed> {
    // Nothing is asked of the store yet: a member that stays silent is left for another one.
    let mut before = visit;
    before.limits.until = visit.limits.connect_until;
    let prepared = session.check_version(before);
    let prepared = prepared.and_then(|()| session.ticket(before));
    let ticket = prepared.map_err(judge)?;
    match post(session, visit, request, body, &ticket) {
        // It was refused, so it had no effect and may be sent again, once, with a new token.
        Err((_, Next::Token)) if session.options.auth.is_some() => {
            let ticket = session.renew(visit, &ticket).map_err(judge)?;
            post(session, visit, request, body, &ticket)
        }
        posted => posted,
    }
}

fn post(
    session: &Session,
    visit: Visit<'_>,
    request: &Request,
    body: &str,
    ticket: &Ticket,
) -> Result<Reply, Failed> {
    let post = Exchange {
        url: session.url(visit.endpoint, wire::path(request)),
        body: Some(body.as_bytes()),
        most: wire::longest_reply(request),
        token: ticket.text.clone(),
        need_leader: needs_leader(request),
        twice: false, // the caller keeps account of what the first may have done
        limits: visit.limits,
    };
    let at = |detail: &str| {
        let detail = session.without_token(ticket, detail);
        format!("{}: {detail}", session.options.endpoints[visit.endpoint])
    };
    let unknown = |why: &str| (Error::OutcomeUnknown { detail: at(why) }, Next::Endpoint);
    let (known, writes) = (&session.known, request.writes());
    let asked = known.asking();
    match exchange(visit.agent, &post) {
        Ok((200, bytes, _)) => match wire::reply(request, &bytes) {
            Ok(reply) => match known.believe(request, reply.header(), asked) {
                Ok(()) => Ok(reply),
                Err(why) => Err(unknown(&why)),
            },
            // An error in place of the first message of a stream, or something unknown.
            Err(why) => match session.refusal(ticket, &bytes) {
                Refusal { code: 0, .. } => Err(unknown(&why)),
                refusal => Err(refused(0, refusal, writes, &at)),
            },
        },
        Ok((status, bytes, _)) => {
            let refusal = session.refusal(ticket, &bytes);
            Err(refused(status, refusal, writes, &at))
        }
        Err(failure) if failure.sent => {
            let (error, next) = unknown(&failure.detail);
            if failure.stale && repeatable(request) {
                return Err((error, Next::Connection));
            }
            // Some servers close the connection where they should say that they do not know the token.
            if failure.closed {
                session.forget(ticket);
            }
            Err((error, next))
        }
        Err(failure) => {
            let detail = at(&failure.detail);
            Err((Error::NotSent { detail }, Next::Endpoint))
        }
    }
}

/// Judges the server's "no", and says which endpoint it was where that matters.
fn refused(
    http_status: u16,
    refusal: Refusal,
    writes: bool,
    at: &dyn Fn(&str) -> String,
) -> Failed {
    let wants_new_token = refusal.wants_new_token();
    let mut error = wire::classify(http_status, refusal, writes);
    if let Error::OutcomeUnknown { detail } | Error::NotSent { detail } = &mut error {
        *detail = at(detail);
    } else if wants_new_token && error.is_definite() {
        return (error, Next::Token);
    }
    judge(error)
}

/// Whether another endpoint may do better.
pub(super) fn judge(error: Error) -> Failed {
    let next = match error {
        Error::NotSent { .. } | Error::OutcomeUnknown { .. } | Error::NoLeader { .. } => {
            Next::Endpoint
        }
        _ => Next::Nothing,
    };
    (error, next)
}

/// Whether a member that knows no leader should say so at once instead of letting us wait. A stale read and a member's own
/// status are asked for precisely when that must not matter.
fn needs_leader(request: &Request) -> bool {
    match request {
        Request::Range(range) => !range.serializable,
        _ => !matches!(request, Request::Status | Request::Members),
    }
}
