//! The configuration, validated: what the rest of the program works with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::line::HaltScope;
pub use crate::core::policy::Policies as ClusterPolicies;
use crate::core::windows::Windows;
use crate::lock::Domains;

mod certificate;
mod detectors;
mod domains;
mod etcd;
mod fields;
mod files;
mod host;
mod key;
mod load;
pub(crate) mod nearest;
mod numbers;
mod policies;
mod problem;
mod programs;
mod reader;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
pub(crate) mod validate;
pub mod variables;
mod yaml;

pub(crate) use certificate::{end as end_of_certificate, ending, remaining};
pub(crate) use detectors::port;
pub(crate) use etcd::certificate_end;
pub use fields::FIELDS;
pub(crate) use files::{password, read, secret};
pub use load::{Loaded, load};
pub use problem::{Problem, Problems};

/// A configuration in which every rule of the documentation holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This node's name in the cluster; `%H` and `%l` are resolved.
    pub node_name: String,
    /// The same before that: `%H` is another name when the host has another one.
    pub node_name_as_written: String,
    /// What tells two machines with one name apart; the machine id unless configured.
    pub node_id: String,
    /// At least one; names unique.
    pub detectors: Vec<Detector>,
    /// The operator's health script.
    pub health_script: PathBuf,
    /// Its limit.
    pub health_timeout: Duration,
    /// How often the monitor phase runs.
    pub health_publish_interval: Duration,
    /// How often detectors run.
    pub check_interval: Duration,
    /// First pause after a failure.
    pub backoff_min: Duration,
    /// Longest pause after failures.
    pub backoff_max: Duration,
    /// Cluster-wide cooldown after a completed reboot; zero for none.
    pub min_reboot_interval: Duration,
    /// How many nodes may be down at once.
    pub max_concurrent_reboots: u32,
    /// This node's failure domains, and how many may be down at once in each.
    pub domains: Domains,
    /// The key under which all records live, without a trailing slash and without the namespace.
    pub lock_key: String,
    /// TTL of the session lease.
    pub lock_ttl: Duration,
    /// After this a committed claim of a node that never returned may be taken away; `None` = never.
    pub hold_timeout: Option<Duration>,
    /// How etcd is reached.
    pub etcd: Etcd,
    /// The command that reboots, `${RC_…}` not yet expanded.
    pub reboot_command: Vec<String>,
    /// How long after the reboot command the host may stay up before it is tried again.
    pub reboot_timeout: Duration,
    /// Drain.
    pub pre_reboot_hook: Option<Hook>,
    /// Undo of drain.
    pub post_boot_hook: Option<Hook>,
    /// Told of each transition.
    pub event_hook: Option<Hook>,
    /// How long health must hold after boot.
    pub post_boot_settle: Duration,
    /// Reboots that did not clear the requirement before the node waits (P6).
    pub max_reboots_without_clearing: u32,
    /// Members of lower waves go first.
    pub wave: i32,
    /// How many failed reboots stop the line; 0: none does (P3).
    pub halt_after: u32,
    /// Which of them count (P3).
    pub halt_scope: HaltScope,
    /// Cluster policies.
    pub cluster_policies: Option<ClusterPolicies>,
    /// Maintenance windows; `None` when there are none.
    pub windows: Option<Windows>,
    /// While this file exists this node does not reboot.
    pub kill_switch_file: PathBuf,
    /// Where the metrics server listens; `None` = disabled.
    pub metrics: Option<SocketAddr>,
    /// What clients of it may call this host, beside its addresses and its own name.
    pub metrics_names: Vec<String>,
    /// Logging.
    pub log: Log,
    /// Everything but the commit, hooks and reboot.
    pub dry_run: bool,
    /// Where the instance lock and the marker live.
    pub run_dir: PathBuf,
    /// What tells one boot from the next.
    pub boot_id_file: PathBuf,
}

impl Config {
    /// Whether the host is asked for something that it may answer otherwise later: its name, its time zone.
    pub fn asks_host(&self) -> bool {
        self.windows.is_some() || self.node_name_as_written != self.node_name
    }

    /// Whether a look at the host, without the file, is enough to know that it gives this configuration the name that it has.
    /// What windows take of it, its time zone, is asked for again with the file.
    pub fn is_still_named(&self) -> bool {
        self.windows.is_none()
            && host::Host::this()
                .expand(&self.node_name_as_written)
                .is_ok_and(|name| name == self.node_name)
    }
}

/// How etcd is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Etcd {
    /// `http://host:port` or `https://host:port`, at least one.
    pub endpoints: Vec<String>,
    /// Prefix put before every key; may be empty.
    pub namespace: String,
    /// TLS material, parsed once at load to be sure that it fits together.
    pub tls: Option<Tls>,
    /// User and password.
    pub auth: Option<Auth>,
    /// Limit of one request.
    pub timeout: Duration,
}

/// TLS files.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// Certificates to trust; `None` only with `insecure_skip_verify`.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and key, together.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Do not verify the server.
    pub insecure_skip_verify: bool,
}

/// etcd user.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// User name.
    pub username: String,
    /// File with the password; a trailing newline is not part of it.
    pub password_file: PathBuf,
}

/// A detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    /// Unique name.
    pub name: String,
    /// Its limit.
    pub timeout: Duration,
    /// What it does.
    pub kind: DetectorKind,
}

/// The exit codes by which a shell says that it could not start a program: 126 not executable, 127 not found.
pub(crate) const NOT_STARTED: [i32; 2] = [126, 127];

/// What a detector does.
#[derive(Clone, Debug, PartialEq)]
pub enum DetectorKind {
    /// Required while something exists at this absolute path.
    File(PathBuf),
    /// Required when the command exits non-zero, or exactly with one of these codes, when there are any. The first of its words, its
    /// program, is an absolute path.
    Command(Vec<String>, Vec<i32>),
    /// Required while the running kernel is not the newest installed one, or the one that the boot loader is told to start.
    Kernel,
    /// Required when a server says so.
    Http(HttpCheck),
}

/// A question to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// `http://` or `https://`.
    pub url: String,
    /// Which answer means "required".
    pub means: HttpMeans,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Which answer of a server means "required".
#[derive(Clone, Debug, PartialEq)]
pub enum HttpMeans {
    /// One of these status codes; every other one from 200 to 299 means "not required".
    Status(Vec<u16>),
    /// A JSON document that holds this text, number or truth value where this pointer (RFC 6901) leads; any other value means "not
    /// required".
    Json(String, serde_json::Value),
}

/// A hook.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Program and arguments; the program is an absolute path.
    pub command: Vec<String>,
    /// Its limit.
    pub timeout: Duration,
}

/// Logging.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Least level that is logged.
    pub level: log::LevelFilter,
    /// `None`: text on a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
