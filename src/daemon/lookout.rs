//! What the pages know of the cluster. It is read from etcd by a thread and a connection of its own, and only while somebody
//! looks: a page that nobody has open costs etcd nothing, and a thousand readers of one node cost as much as one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use etcd_rs_sync::Client;

use super::clock::Clock;
use super::lanes::Measured;
use super::threads::{lock, spawn};
use crate::config::Config;
use crate::etcd::{self, Trouble};
use crate::lock::Keys;
use crate::observe::metrics::Metrics;
use crate::status::{self, Sight};

/// The shortest time between two reads.
const EVERY: Duration = Duration::from_secs(5);

/// A read is followed by this many times its own length without one, so that a large cluster or a slow etcd is read less.
const REST: u32 = 19;

/// The longest time between two reads.
const SELDOM: Duration = Duration::from_secs(60);

/// How long after the last look the thread ends and what it read is forgotten.
const LINGER: Duration = Duration::from_secs(15);

/// How long a look waits for a fresh read. After it, what is known is shown with its age.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many claims, registrations and reports together are read: those of a thousand nodes, which take 2 MB. More would be
/// too much for a page, and for the memory of a small daemon.
const MOST: usize = 3000;

/// Reads for whoever looks.
#[derive(Clone)]
pub(super) struct Lookout(Arc<Inner>);

struct Inner {
    config: Config,
    keys: Keys,
    /// Its forks know what the daemon's connections know: which cluster it is, and that its store did not go back.
    client: Client,
    metrics: Arc<Metrics>,
    clock: Clock,
    state: Mutex<State>,
    /// Somebody looks, or a read has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sight: Sight,
    /// When somebody looked last.
    asked: Duration,
    /// When the next read may begin; `None` when there has been none since somebody began to look, or the claim of this node moved.
    due: Option<Duration>,
    /// Whether that claim moved since the last read began.
    moved: bool,
    runs: bool,
}

impl Lookout {
    pub(super) fn new(
        config: &Config,
        client: Client,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Lookout {
        Lookout(Arc::new(Inner {
            keys: Keys::new(&config.etcd.namespace, &config.lock_key),
            config: config.clone(),
            client,
            metrics,
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// What it was made by.
    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    /// What was read is older than what the daemon says of its own claim: the two would contradict each other.
    pub(super) fn outdated(&self) {
        let mut state = lock(&self.0.state);
        (state.due, state.moved) = (None, true);
        self.0.changed.notify_all();
    }

    /// What is known now. Waits a moment when that is nothing, or old.
    pub(super) fn look(&self) -> Sight {
        let inner = &*self.0;
        let mut state = lock(&inner.state);
        let now = inner.clock.now().mono;
        state.asked = now;
        if !state.runs {
            state.runs = true;
            let reader = Arc::clone(&self.0);
            if let Err(error) = spawn("lookout", move || reader.read_while_asked()) {
                let why = format!("no thread to read etcd with: {error}");
                state.runs = false;
                state.sight.error = Some(Trouble::new(why));
                return state.sight.clone();
            }
        }
        inner.changed.notify_all();
        // The thread comes back to a read that is due, and moves the moment.
        let old = |state: &mut State| state.due.is_none_or(|due| due <= now);
        let waited = inner.changed.wait_timeout_while(state, PATIENCE, old);
        let (state, late) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut sight = state.sight.clone();
        if late.timed_out() && sight.error.is_none() {
            sight.error = Some(Trouble::new("it has not answered for some seconds"));
        }
        sight
    }
}

impl Inner {
    fn read_while_asked(&self) {
        // Its memory goes with it.
        let client = self.client.fork();
        let client = client.map(|client| Measured::of(Arc::new(client), &self.metrics));
        loop {
            let began = self.clock.now().mono;
            lock(&self.state).moved = false;
            let read = match &client {
                Ok(client) => etcd::read(client, &self.keys, MOST),
                Err(why) => Err(Trouble::new(why.to_string())),
            };
            let ended = self.clock.now();
            let rest = match &read {
                Ok(_) => rest(ended.mono - began),
                Err(_) => EVERY,
            };
            let mut state = lock(&self.state);
            state.due = (!state.moved).then_some(ended.mono + rest);
            match read {
                Ok(survey) => {
                    state.sight.survey = Some((Arc::new(survey), ended.wall));
                    state.sight.error = None;
                }
                Err(why) => state.sight.error = Some(why),
            }
            if let Ok(client) = &client {
                let known = client.client.endpoints();
                state.sight.skew_sec = status::skew_sec(&known);
                state.sight.version = client.client.server_version();
            }
            self.changed.notify_all();
            // Who asks meanwhile is shown this look; a slow etcd is asked less often.
            let rested = self.changed.wait_timeout_while(state, rest, |it| !it.moved);
            drop(rested);
            if !self.is_asked_since(began, LINGER) {
                return;
            }
        }
    }

    /// Waits for somebody to look. When nobody does for so long, everything is forgotten.
    fn is_asked_since(&self, began: Duration, linger: Duration) -> bool {
        let nobody = |state: &mut State| state.asked <= began;
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), linger, nobody);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            *state = State::default();
        }
        !timeout.timed_out()
    }
}

/// How long after a read that took so long the next one follows.
fn rest(took: Duration) -> Duration {
    (took * REST).clamp(EVERY, SELDOM)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::daemon::tests::etcd::Etcd;
    use crate::daemon::tests::lab::wait;

    const SECOND: Duration = Duration::from_secs(1);

    /// A look at this etcd, in a process that was started ten minutes ago.
    fn lookout(etcd: &Etcd) -> Lookout {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let text = format!(
            "node_name: a
lock_key: /rc
etcd_endpoints: [\"{}\"]
reboot_required_detectors: [{{name: f, type: file, path: /f}}]
health_script: /bin/true
",
            etcd.url()
        );
        std::fs::write(&file, text).unwrap();
        let config = config::load(&file).unwrap().config;
        let metrics = Metrics::new("1", "abc", ["f"]);
        let clock = Clock::started_ago(600 * SECOND);
        let client = Client::new(etcd::options(&config).unwrap()).unwrap();
        Lookout::new(&config, client, Arc::new(metrics), clock)
    }

    fn register(etcd: &Etcd, node: &str) {
        let record =
            json!({"v": 1, "node": node, "node_id": format!("id-of-{node}"), "version": "0.1.0"});
        etcd.put(&format!("/rc/nodes/{node}"), &record);
    }

    /// How many nodes it sees. On a busy machine a look may come back before the read does.
    fn nodes(lookout: &Lookout) -> usize {
        let sight = wait("a whole look", || {
            Some(lookout.look()).filter(|sight| sight.error.is_none())
        });
        assert_eq!(sight.version.as_deref(), Some("3.5.16"));
        let survey = sight.survey.as_ref();
        survey.map_or(0, |(survey, _)| survey.nodes.len())
    }

    #[test]
    fn a_look_is_answered_at_once_and_anew_when_it_is_old() {
        let etcd = Etcd::start();
        register(&etcd, "b");
        let lookout = lookout(&etcd);
        let began = Instant::now();
        assert_eq!(nodes(&lookout), 1);
        let took = began.elapsed();
        let (now, due) = (
            lookout.0.clock.now().mono,
            lock(&lookout.0.state).due.unwrap(),
        );
        assert!(due >= now + EVERY - took, "{due:?}");
        assert!(due <= now + EVERY.max(took * REST), "{due:?}");
        // Not old yet.
        register(&etcd, "c");
        let seen = nodes(&lookout);
        assert!(seen == 1 || lookout.0.clock.now().mono >= due);
        // The thread waits for somebody by now.
        thread::sleep((due + SECOND / 4).saturating_sub(lookout.0.clock.now().mono));
        assert_eq!(nodes(&lookout), 2);
    }

    #[test]
    fn what_is_older_than_a_move_of_the_own_claim_is_read_anew() {
        let etcd = Etcd::start();
        let lookout = lookout(&etcd);
        for known in 0..5 {
            assert_eq!(nodes(&lookout), known);
            register(&etcd, &format!("n{known}"));
            lookout.outdated();
        }
    }

    #[test]
    fn what_nobody_looks_at_is_forgotten() {
        let etcd = Etcd::start();
        let Lookout(inner) = lookout(&etcd);
        let set = |asked| {
            let mut state = lock(&inner.state);
            (state.asked, state.runs) = (asked, true);
        };
        set(SECOND);
        assert!(inner.is_asked_since(SECOND / 2, 60 * SECOND));
        assert!(lock(&inner.state).runs);
        assert!(!inner.is_asked_since(SECOND, SECOND / 100));
        assert!(!lock(&inner.state).runs);
    }

    #[test]
    fn an_etcd_that_is_slow_is_read_less() {
        assert_eq!(rest(SECOND / 100), EVERY);
        assert_eq!(rest(SECOND), 19 * SECOND);
        assert_eq!(rest(10 * SECOND), SELDOM);
    }
}
