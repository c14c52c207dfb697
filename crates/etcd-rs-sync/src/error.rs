//! What can go wrong, told apart by what the caller may conclude.

use std::fmt;

use crate::remedy::remedies;

/// How the error of a reply that has more bytes than are read begins.
pub(crate) const TOO_LONG: &str = "the reply is longer";

/// What etcd says when its database would be, or with this very write is, larger than its quota.
const NO_SPACE: &str = "database space exceeded";

/// A failed call. [`Error::is_definite`] says whether the request certainly had no effect.
#[derive(Debug)]
pub enum Error {
    /// No endpoint could be reached; nothing was sent. The request had no effect.
    NotSent {
        /// What was tried, and why it failed.
        detail: String,
    },
    /// The request was sent and its answer is missing, broken, a 5xx, or for a write not etcd's. It may have had its effect, or
    /// **may still have it later**.
    OutcomeUnknown {
        /// What happened.
        detail: String,
    },
    /// The lease does not exist (any more). No effect.
    LeaseNotFound,
    /// A lease with this id exists already. No effect.
    LeaseExists,
    /// The cluster has no leader. For a write this does not prove that it had no effect.
    NoLeader {
        /// The server's words.
        detail: String,
    },
    /// The revision asked for was compacted, or lies in the future.
    Compacted {
        /// The server's words.
        detail: String,
    },
    /// No valid token. The client has already tried to get a new one.
    Unauthenticated {
        /// The server's words.
        detail: String,
    },
    /// The user may not do this. No effect.
    PermissionDenied {
        /// The server's words.
        detail: String,
    },
    /// etcd refused the request. No effect, unless it says that the space of its database is exceeded: the write with which it is
    /// exceeded is applied, and refused all the same.
    Rejected {
        /// HTTP status.
        http_status: u16,
        /// gRPC code; 0 when the body carried none.
        code: i64,
        /// The server's words.
        message: String,
    },
    /// The client was set up wrongly: a URL or TLS file that cannot be used.
    Setup {
        /// What is wrong and where.
        detail: String,
    },
}

impl Error {
    /// Whether the request certainly had no effect, now or later. When false, a write must be fenced or repeated.
    pub fn is_definite(&self) -> bool {
        match self {
            Error::OutcomeUnknown { .. } | Error::NoLeader { .. } => false,
            Error::Rejected { message, .. } => !message.contains(NO_SPACE),
            Error::NotSent { .. }
            | Error::LeaseNotFound
            | Error::LeaseExists
            | Error::Compacted { .. }
            | Error::Unauthenticated { .. }
            | Error::PermissionDenied { .. }
            | Error::Setup { .. } => true,
        }
    }

    /// Whether the reply was longer than is read: less may be asked for at a time.
    pub fn is_too_long(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { detail } if detail.contains(TOO_LONG))
    }

    fn text(&self) -> String {
        match self {
            Error::NotSent { detail } => format!("etcd is not reachable: {detail}"),
            Error::OutcomeUnknown { detail } => {
                format!("etcd did not answer, the outcome is unknown: {detail}")
            }
            Error::LeaseNotFound => "the lease does not exist".to_owned(),
            Error::LeaseExists => "the lease exists already".to_owned(),
            Error::NoLeader { detail } => format!("the etcd cluster has no leader: {detail}"),
            Error::Compacted { detail } => format!("the revision is not available: {detail}"),
            Error::Unauthenticated { detail } => format!("etcd does not know us: {detail}"),
            Error::PermissionDenied { detail } => format!("etcd denies permission: {detail}"),
            Error::Rejected {
                http_status,
                code,
                message,
            } => format!("etcd refused: {message} (code {code}, HTTP {http_status})"),
            Error::Setup { detail } => detail.clone(),
        }
    }
}

/// What happened, and what to do about it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(&text)?;
        // What was passed on from another error has its remedy already.
        match remedies(&text).first() {
            Some(remedy) if !text.contains(remedy.todo) => write!(f, "; {}", remedy.todo),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

pub(crate) fn setup(detail: String) -> Error {
    Error::Setup { detail }
}
