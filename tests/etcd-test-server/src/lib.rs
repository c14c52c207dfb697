//! Starts real etcd servers for tests, and a TCP proxy that breaks the way to them.
//!
//! ```no_run
//! use etcd_test_server::{Cluster, Tls};
//!
//! let cluster = Cluster::single();
//! assert!(cluster.etcdctl(&["put", "a", "b"]).contains("OK"));
//!
//! let three = Cluster::builder().members(3).fast_elections().tls(Tls::Mutual).start();
//! let leader = three.leader();
//! three.kill(leader);
//! ```
//!
//! Servers run on loopback addresses of their own, so that tests run in parallel, and keep their data in a temporary folder.
//! They are killed when the [`Cluster`] is dropped, and by the kernel when the test process dies. The binaries come from
//! `scripts/get-etcd`; see [`versions`].
//!
//! Everything panics on failure: this is for tests only.

mod builder;
mod cluster;
mod member;
mod odd;
mod pki;
mod plan;
mod proxy;
mod version;

pub use builder::{Builder, Tls};
pub use cluster::Cluster;
pub use odd::Odd;
pub use pki::{CertFiles, Pki};
pub use proxy::{Action, Gate, HttpRequest, Proxy, Rule};
pub use version::{Version, default_version, old_versions, versions};
