//! What is shown of the daemon to the outside: where pages are served, signs of life.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use etcd_rs_sync::Client;

use super::clock::{Clock, kernel_monotonic};
use super::pages::Shown;
use crate::config::Config;
use crate::core::machine::DETECTOR;
use crate::core::{Machine, Mode, Note, View};
use crate::observe::http::{Pages, Server};
use crate::observe::metrics::Metrics;
use crate::observe::notify::{Environment, Notify};

/// How long after a try to serve at an address that somebody else has the next one follows.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// How often the wall clock is looked at while a moment of it is waited for: whoever sets it wakes nobody.
const WALL_LOOKED_AT: Duration = Duration::from_secs(60);

/// The commit this was built from, when the build says so.
const REVISION: &str = match option_env!("REBOOT_COORDINATOR_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Where the pages are served, and what clients may call this host there.
type Served = (SocketAddr, Vec<String>);

/// Owned by the main thread.
pub(super) struct Observer {
    pub(super) shown: Arc<Shown>,
    pub(super) notify: Notify,
    server: Option<(Served, Server)>,
    serves: bool,
    /// An address that could not be had, and when it is tried again.
    missing: Option<(Served, Duration)>,
    /// etcd was tried and did not answer: the daemon is up and at work, however long that lasts.
    pub(super) tried: bool,
}

impl Observer {
    /// Serves from now on, when the configuration says so. One pass is over too soon for anyone to ask.
    /// `environment` is what the service manager has said.
    pub(super) fn start(
        (config, client): (&Config, &Client),
        mode: Mode,
        clock: Clock,
        environment: &Environment,
    ) -> Result<Observer, String> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION, detectors(config));
        metrics.set_endpoints(&config.etcd.endpoints);
        let shown = Shown::new(config, fork(client)?, metrics, clock);
        let mut observer = Observer {
            shown: Arc::new(shown),
            notify: Notify::new(environment, std::process::id()),
            server: None,
            serves: mode == Mode::Daemon,
            missing: None,
            tried: false,
        };
        observer.listen(config);
        Ok(observer)
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shown.metrics)
    }

    /// A new configuration, and a client made by it.
    pub(super) fn follow(&mut self, config: &Config, client: &Client) -> Result<(), String> {
        let client = fork(client)?;
        self.listen(config);
        self.shown.metrics.set_detectors(detectors(config));
        self.shown.follow(config, client);
        self.tried = false;
        Ok(())
    }

    /// The main thread has something to do.
    pub(super) fn works(&self) {
        self.shown.heartbeat.works(self.shown.clock.awake());
    }

    /// The machine has nothing to do until `wake`. Returns until when the main thread may sleep, and what does not work on this host.
    pub(super) fn rests(&mut self, machine: &Machine) -> (Option<Duration>, Option<String>) {
        let view = machine.view();
        self.shown.metrics.view(&view);
        let hampered = self.shown.stands(&view);
        self.notify.rests(&view, self.tried || has_arrived(&view));
        let now = self.shown.clock.now().mono;
        self.notify.turns(now);
        let wall = machine.waits_for_wall().then(|| now + WALL_LOOKED_AT);
        let wake = [
            machine.wake_at(),
            self.notify.due(),
            self.listen_again(now),
            wall,
        ];
        let wake = wake.into_iter().flatten().min();
        // A sleep does not count the time in which the host is suspended.
        let awake = self.shown.clock.awake();
        let until = wake.map(|wake| awake.saturating_add(wake.saturating_sub(now)));
        self.shown.heartbeat.sleeps(until);
        (wake, hampered)
    }

    pub(super) fn note(&mut self, note: &Note) {
        self.tried |= note.event == "etcd_error";
        self.shown.metrics.note(note);
    }

    pub(super) fn reloading(&self) {
        self.notify.reloading(kernel_monotonic());
    }

    /// Serves at another address than before or by other names, or not at all. Metrics are an extra: when the address cannot be had
    /// the daemon works all the same, serves where it did, and tries again.
    fn listen(&mut self, config: &Config) {
        let wanted = config.metrics.filter(|_| self.serves);
        let wanted = wanted.map(|address| (address, names(config)));
        let before = self.server.as_ref().map(|(served, _)| served.clone());
        self.missing = None;
        if wanted == before {
            return;
        }
        let Some(wanted) = wanted else {
            self.server = None;
            return;
        };
        // Two addresses with one port may exclude each other, so that the old one has to be given up first.
        if matches!(&before, Some((address, _)) if address.port() == wanted.0.port() && address.port() != 0)
        {
            self.server = None;
        }
        let Err(why) = self.serve(&wanted) else {
            return;
        };
        if let (None, Some(before)) = (&self.server, before) {
            // Who took that one meanwhile is found out by the next try, like the other.
            let _ = self.serve(&before);
        }
        let meanwhile = match &self.server {
            Some((_, server)) => format!("serves them at http://{}/metrics", server.address()),
            None => "works without".to_owned(),
        };
        log::error!(event = "no_metrics"; "{why}; this node {meanwhile} meanwhile, and tries again every {} s", AGAIN.as_secs());
        self.missing = Some((wanted, self.shown.clock.now().mono + AGAIN));
    }

    /// Whoever had the address may have given it up.
    pub(super) fn listen_again(&mut self, now: Duration) -> Option<Duration> {
        let (wanted, due) = self.missing.take()?;
        if now >= due && self.serve(&wanted).is_ok() {
            return None;
        }
        let due = if now < due { due } else { now + AGAIN };
        self.missing = Some((wanted, due));
        Some(due)
    }

    fn serve(&mut self, served: &Served) -> Result<(), String> {
        let (address, names) = served.clone();
        let shown = Arc::clone(&self.shown);
        let pages: Pages = Arc::new(move |path| shown.page(path));
        let server = Server::start(address, names, pages).map_err(|error| {
            format!(
                "metrics cannot be served at {address}: {error}; change metrics.listen or stop what uses the address"
            )
        })?;
        log::info!(event = "metrics", address = server.address().to_string().as_str(); "metrics are served at http://{}/metrics", server.address());
        self.server = Some((served.clone(), server));
        Ok(())
    }
}

/// A client with connections of its own.
pub(super) fn fork(client: &Client) -> Result<Client, String> {
    client.fork().map_err(|error| error.to_string())
}

/// What clients may call the metrics server: this host's name, long and short, and the node's.
fn names(config: &Config) -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let long = host.trim();
    let short = long.split('.').next().unwrap_or_default();
    let mut names = config.metrics_names.clone();
    names.extend([config.node_name.as_str(), long, short].map(str::to_owned));
    names.retain(|name| !name.is_empty());
    names
}

fn detectors(config: &Config) -> impl Iterator<Item = &str> {
    let configured = config.detectors.iter().map(|it| it.name.as_str());
    configured.chain([DETECTOR])
}

/// Whether the first pass is over, or a claim from before goes on.
pub(super) fn has_arrived(view: &View) -> bool {
    !matches!(
        view.state,
        "starting" | "checking" | "joining" | "leaving" | "stopping"
    )
}
