//! All that runs, as those who strike, watch and report see it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::furnish;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::member::{MEMBERS, Member};
use crate::network::{Network, member_address};
use crate::observer::Observer;
use crate::options::{Options, Planted};
use crate::plan::{Fault, Faults, RACK_LIMIT, Settings};
use crate::rng::Rng;

/// Which node believes in another limit when that is planted, and in which.
const PLANTED_LIMIT: (usize, usize) = (1, 9);

/// All that runs.
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) settings: Settings,
    pub(crate) folder: PathBuf,
    pub(crate) daemon: PathBuf,
    pub(crate) ledger: Ledger,
    pub(crate) network: Network,
    pub(crate) members: Vec<Member>,
    pub(crate) hosts: Vec<Host>,
    /// Machines with the name of one of the hosts.
    pub(crate) copies: Vec<Host>,
    pub(crate) observer: Observer,
    pub(crate) faults: Faults,
    pub(crate) active: Vec<Active>,
    pub(crate) struck: usize,
    pub(crate) jobs: Vec<JoinHandle<()>>,
    /// The operator's last command.
    pub(crate) operator: Option<JoinHandle<()>>,
    /// What reboot commands ask for: node, boot id, mode.
    pub(crate) power: Receiver<String>,
    /// Hosts that are about to go down: when, which, in which boot.
    pub(crate) going: Vec<(Instant, String, String)>,
    pub(crate) rng: Rng,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) begun: Instant,
    pub(crate) shown: Progress,
    pub(crate) planted: bool,
    /// Since when every host is up and rebooted.
    pub(crate) quiet_since: Option<Instant>,
    /// A round did not end: no more rounds.
    pub(crate) given_up: bool,
}

impl Run {
    /// Seconds of the run so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// A fault in force.
pub(crate) struct Active {
    pub(crate) id: usize,
    pub(crate) fault: Fault,
    pub(crate) until: Instant,
}

/// How far the run is.
pub(crate) struct Progress {
    pub(crate) round: usize,
    pub(crate) next: Instant,
    pub(crate) terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress {
            round: 0,
            next: Instant::now(),
            terminal: io::stdout().is_terminal(),
        }
    }
}

/// `name` is the machine's, `node` the one that it has in the cluster.
pub(crate) fn make_host(
    options: &Options,
    settings: &Settings,
    folder: &Path,
    daemon: &Path,
    index: usize,
    (name, node): (&str, &str),
) -> io::Result<Host> {
    let mut endpoints: Vec<String> = (0..MEMBERS)
        .map(|member| format!("http://{}:2379", member_address(member)))
        .collect();
    endpoints.rotate_left(index % MEMBERS);
    let (limit, rack_limit) = match options.plant {
        Some(Planted::Limit) if index == PLANTED_LIMIT.0 => (PLANTED_LIMIT.1, PLANTED_LIMIT.1),
        _ => (settings.limit, RACK_LIMIT),
    };
    let rack = settings.rack(index).map(|rack| (rack, rack_limit));
    let place = (rack, settings.wave(index, options.nodes));
    let config = furnish::config(&folder.join(name), node, settings, limit, place, &endpoints);
    let scripts = furnish::scripts(folder, name, &folder.join("ledger"), &folder.join("power"));
    let stream = 100 + u64::try_from(index).unwrap_or(0);
    let rng = Rng::new(options.seed, stream);
    Host::create(folder, name, daemon, &config, &scripts, rng)
}
