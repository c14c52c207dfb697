//! What the machine knows of its configuration and of the host it runs on.

use std::time::Duration;

use super::line::HaltScope;
use super::memory::Memory;
use super::policy::Policies;
use super::windows::Windows;
use crate::lock::{Domains, Keys};

/// Everything a [`Machine`](super::Machine) needs to know from the start. See the configuration reference for meanings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// This node's name in the cluster.
    pub node: String,
    /// Tells two machines with one name apart.
    pub node_id: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// What this host remembers of itself; `None` when it has no record.
    pub memory: Option<Memory>,
    /// Where the records live.
    pub keys: Keys,
    /// How many nodes may be down at once.
    pub max_concurrent_reboots: u32,
    /// This node's failure domains, and how many may be down at once in each.
    pub domains: Domains,
    /// Members of lower waves go first.
    pub wave: i32,
    /// How many failed reboots of others stop this node; 0: none does.
    pub halt_after: u32,
    /// Which of them count.
    pub halt_scope: HaltScope,
    /// How often detectors run.
    pub check_interval: Duration,
    /// How often the node reports its health; `None` for never.
    pub health_publish_interval: Option<Duration>,
    /// First pause after a failure.
    pub backoff_min: Duration,
    /// Longest pause after failures.
    pub backoff_max: Duration,
    /// Cooldown after a completed reboot; zero for none.
    pub min_reboot_interval: Duration,
    /// TTL of the session lease.
    pub lock_ttl: Duration,
    /// Limit of one request to etcd.
    pub etcd_timeout: Duration,
    /// How long all gates may take together. Past it the first of them were judged too long ago.
    pub gates_limit: Duration,
    /// After this a committed claim that does not change may be taken away.
    pub hold_timeout: Option<Duration>,
    /// How long after the reboot command the host may stay up before it is tried again.
    pub reboot_timeout: Duration,
    /// Limit of the drain hook; `None` when there is none.
    pub drain_timeout: Option<Duration>,
    /// Whether there is an undo hook.
    pub undoes: bool,
    /// Limit of that hook.
    pub undo_timeout: Duration,
    /// How long health must hold after boot.
    pub post_boot_settle: Duration,
    /// Reboots that did not clear the requirement before the node waits.
    pub max_reboots_without_clearing: u32,
    /// What is demanded of the other members while this node is down.
    pub policies: Option<Policies>,
    /// From so many members on, a node that is not in the queue reads them only now and then.
    pub many_members: u32,
    /// When reboots are allowed.
    pub windows: Option<Windows>,
    /// Everything but the commit, hooks and reboot.
    pub dry_run: bool,
    /// How the program was started.
    pub mode: Mode,
    /// This program's version.
    pub version: String,
}

impl Settings {
    /// Whether both are of one node, with its records in one place.
    pub fn is_of(&self, other: &Settings) -> bool {
        let told = (&self.node, &self.node_id, &self.boot_id, &self.keys);
        told == (&other.node, &other.node_id, &other.boot_id, &other.keys)
    }

    /// The same under the name and with the keys of another.
    pub fn named_as(&self, other: &Settings) -> Settings {
        Settings {
            node: other.node.clone(),
            node_id: other.node_id.clone(),
            boot_id: other.boot_id.clone(),
            keys: other.keys.clone(),
            ..self.clone()
        }
    }
}

/// How the program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is stopped.
    Daemon,
    /// One pass, then the end; with `wait` it stays in the queue that long for its turn.
    Once {
        /// How long it waits for its turn; zero: it takes the turn only when it is free now.
        wait: Duration,
    },
}
