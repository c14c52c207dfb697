//! The client against real etcd servers, every version that `scripts/get-etcd` unpacked, and against hostile ones.
#![allow(clippy::unwrap_used)] // clippy lets test functions unwrap, but not their helpers

mod answered;
mod auth;
mod elsewhere;
mod failover;
mod found;
mod guards;
mod hostile;
mod leases;
mod proxied;
mod requests;
mod support;
mod tls;
mod watching;
