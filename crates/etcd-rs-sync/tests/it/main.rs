//! The client against real etcd servers, every version that `scripts/get-etcd` unpacked, and against hostile ones.

mod auth;
mod failover;
mod guards;
mod hostile;
mod leases;
mod proxied;
mod requests;
mod support;
mod tls;
mod watching;
