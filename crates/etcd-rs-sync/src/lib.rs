#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod backoff;
mod client;
mod cluster;
mod endpoints;
mod error;
#[cfg(any(test, fuzzing))]
#[path = "../tests/fuzz/mod.rs"]
pub mod fuzz;
mod http;
mod items;
mod options;
mod probe;
mod remedy;
mod reply;
mod request;
mod resolve;
mod session;
mod tls;
mod watch;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use client::Client;
pub use endpoints::EndpointHealth;
pub use error::Error;
pub use items::{Event, EventKind, SILENCE_LIMIT, WatchBatch, WatchItem, WatchRequest};
pub use options::{LONGEST_TIMEOUT, Options};
pub use probe::{Probe, probe};
pub use remedy::{REMEDIES, Remedy, cause, remedies};
pub use reply::*;
pub use request::*;
pub use tls::TlsOptions;
pub use watch::{Watch, WatchStop};

/// What a reply of this kind holds.
macro_rules! of_kind {
    ($kind:ident, $reply:expr) => {
        match $reply? {
            Reply::$kind(reply) => Ok(reply),
            _ => Err(Error::OutcomeUnknown {
                detail: "the reply is to another kind of request".into(),
            }),
        }
    };
}

/// Anything that answers etcd requests: the [`Client`], or a simulated server.
///
/// Only [`call`](Etcd::call) has to be written. The other methods wrap it, one for each kind of request. Each fails as `call`
/// does, and with [`Error::OutcomeUnknown`] if the reply is of another kind than the request.
pub trait Etcd {
    /// Performs one request.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_definite`] tells whether the request certainly had no effect.
    fn call(&self, request: &Request) -> Result<Reply, Error>;

    /// Reads keys.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn range(&self, range: Range) -> Result<RangeReply, Error> {
        of_kind!(Range, self.call(&Request::Range(range)))
    }

    /// Writes one key.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn put(&self, put: Put) -> Result<PutReply, Error> {
        of_kind!(Put, self.call(&Request::Put(put)))
    }

    /// Deletes keys.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn delete(&self, delete: Delete) -> Result<DeleteReply, Error> {
        of_kind!(Delete, self.call(&Request::Delete(delete)))
    }

    /// Compares, then runs one of two lists of operations.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn txn(&self, txn: Txn) -> Result<TxnReply, Error> {
        of_kind!(Txn, self.call(&Request::Txn(txn)))
    }

    /// Creates a lease; `id` 0 lets the server choose.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn grant(&self, id: i64, ttl_sec: i64) -> Result<GrantReply, Error> {
        of_kind!(Grant, self.call(&Request::Grant { id, ttl_sec }))
    }

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn revoke(&self, id: i64) -> Result<Header, Error> {
        of_kind!(Revoke, self.call(&Request::Revoke { id }))
    }

    /// Renews a lease once.
    ///
    /// # Errors
    /// See [`Etcd`]. A lease that is gone is not an error: its TTL is `None`.
    fn keep_alive(&self, id: i64) -> Result<KeepAliveReply, Error> {
        of_kind!(KeepAlive, self.call(&Request::KeepAlive { id }))
    }

    /// Asks how long a lease has to live, and with `keys` what is attached to it.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn time_to_live(&self, id: i64, keys: bool) -> Result<TimeToLiveReply, Error> {
        of_kind!(TimeToLive, self.call(&Request::TimeToLive { id, keys }))
    }

    /// Forgets revisions before this one.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn compact(&self, revision: i64) -> Result<Header, Error> {
        of_kind!(Compact, self.call(&Request::Compact { revision }))
    }

    /// The answering member's status. It may be answered without a leader; etcd 3.5.30 and later want root for it when
    /// authentication is enabled.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn status(&self) -> Result<StatusReply, Error> {
        of_kind!(Status, self.call(&Request::Status))
    }

    /// The cluster's members, as the answering one knows them.
    ///
    /// # Errors
    /// See [`Etcd`].
    fn members(&self) -> Result<MembersReply, Error> {
        of_kind!(Members, self.call(&Request::Members))
    }
}

/// Nothing in this crate panics half way through a change of what is behind a lock, so that a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
