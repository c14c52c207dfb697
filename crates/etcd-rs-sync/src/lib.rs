//! A blocking etcd v3 client over the gRPC gateway's JSON API.

mod error;
mod types;

pub use error::Error;
pub use types::*;

/// Anything that answers etcd requests: the [client](crate), or a simulated server.
pub trait Etcd {
    /// Performs one request.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_definite`] tells whether the request certainly had no effect.
    fn call(&self, request: &Request) -> Result<Reply, Error>;
}
