//! The pages over HTTP, and what they are made of. All that is seldom asked for is looked up when somebody asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_rs_sync::Client;

use super::clock::Clock;
use super::endpoints::Endpoints;
use super::lookout::Lookout;
use super::threads::lock;
use crate::config::Config;
use crate::core::View;
use crate::escape::lines;
use crate::host;
use crate::observe::heartbeat::Heartbeat;
use crate::observe::http::Answer;
use crate::observe::metrics::Metrics;
use crate::process::Cancel;
use crate::process::bounded;
use crate::status::{self, Own, POLICY};

/// How long a scrape waits for a look at the kill switch, before it counts as one that cannot be checked.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// How long `/status.json` may be. A thousand nodes take less than 1 MB; only enormous records take more.
const JSON_LIMIT: usize = 4 << 20;

/// What the pages are made of.
pub(super) struct Shown {
    pub(super) metrics: Arc<Metrics>,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) heartbeat: Heartbeat,
    pub(super) clock: Clock,
    boot: Option<String>,
    /// What the machine said of itself when it came to rest last.
    own: Mutex<Own>,
    /// What can be looked up at any time, and is only when somebody asks.
    lookout: Mutex<Lookout>,
    /// The file for the commands could not be written, which was said.
    untold: AtomicBool,
}

impl Shown {
    pub(super) fn new(config: &Config, client: Client, metrics: Metrics, clock: Clock) -> Shown {
        let metrics = Arc::new(metrics);
        Shown {
            heartbeat: Heartbeat::new(clock.awake()),
            clock,
            boot: host::boot_id(&config.boot_id_file).ok(),
            own: Mutex::default(),
            lookout: Mutex::new(Lookout::new(config, client, Arc::clone(&metrics), clock)),
            endpoints: Endpoints::new(Arc::clone(&metrics)),
            metrics,
            untold: AtomicBool::new(false),
        }
    }

    /// A new configuration, and a client made by it.
    pub(super) fn follow(&self, config: &Config, client: Client) {
        let metrics = Arc::clone(&self.metrics);
        *lock(&self.lookout) = Lookout::new(config, client, metrics, self.clock);
    }

    /// The machine has come to rest. What is new, or could not be written yet, is written for the commands of this host, which ask
    /// nobody. Returns what is wrong when it cannot be.
    pub(super) fn stands(&self, view: &View) -> Option<String> {
        let (endpoints, revisions) = (self.endpoints.shown(), self.endpoints.revisions());
        let own = Own::of(view, self.boot.clone(), endpoints, revisions);
        let mut known = lock(&self.own);
        if *known == own && !self.untold.load(Ordering::Relaxed) {
            return None;
        }
        let lookout = self.lookout();
        if known.phase != own.phase {
            lookout.outdated();
        }
        let config = lookout.config();
        let write = || host::write_standing(&config.run_dir, &own.json());
        // On a full disk the old file's end makes room for one, and none for the next. It is well when there is room for two.
        let again = self.untold.load(Ordering::Relaxed);
        let written = write().and_then(|()| if again { write() } else { Ok(()) });
        *known = own;
        let untold = self.untold.swap(written.is_err(), Ordering::Relaxed);
        let error = written.err()?;
        let folder = config.run_dir.display();
        if !untold {
            log::warn!(event = "standing_not_written"; "what this daemon says of itself could not be written to {folder}, for `status` on this host: {error}; check run_dir");
        }
        Some(format!(
            "cannot write to its run_dir {folder}: {error}; make room there, or make it anew"
        ))
    }

    pub(super) fn page(&self, path: &str) -> Answer {
        match path {
            "/" => Answer {
                policy: POLICY,
                ..Answer::of(
                    "text/html; charset=utf-8",
                    self.status().page(self.clock.now().wall),
                )
            },
            "/status.json" => json(lines(&self.status().json(self.clock.now().wall)) + "\n"),
            "/metrics" => self.exposition(),
            "/healthz" if self.heartbeat.is_stuck(self.clock.awake()) => {
                Answer::text(503, "the main loop is stuck\n")
            }
            "/healthz" => Answer::text(200, "ok\n"),
            _ => Answer::text(404, "there are /, /status.json, /metrics and /healthz\n"),
        }
    }

    /// The cluster and this node. The lock is not held while etcd is waited for.
    fn status(&self) -> status::View {
        let lookout = self.lookout();
        let sight = lookout.look();
        let own = lock(&self.own).clone();
        status::View::of_daemon(lookout.config(), sight, own)
    }

    fn lookout(&self) -> Lookout {
        lock(&self.lookout).clone()
    }

    fn exposition(&self) -> Answer {
        let lookout = self.lookout();
        let config = lookout.config();
        let windows = config.windows.as_ref();
        let window_open = windows.is_none_or(|windows| windows.verdict(self.clock.now().wall).open);
        let kill_switch = config.kill_switch_file.clone();
        let look = move || host::kill_switch(&kill_switch).forbids();
        // A key of its own: the machine's look must not find this one in its way.
        let looked = bounded("kill switch, for metrics", LOOK_LIMIT, &Cancel::new(), look);
        self.metrics.found(window_open, looked.unwrap_or(true));
        let text = self.metrics.render();
        Answer::of("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

pub(super) fn json(body: String) -> Answer {
    if body.len() > JSON_LIMIT {
        let words = "the records are too large; use reboot-coordinator status --json\n";
        return Answer::text(507, words);
    }
    Answer::of("application/json", body)
}
