//! What the pages know of the cluster. It is read from etcd by a thread and a connection of its own, and only while somebody
//! looks: a page that nobody has open costs etcd nothing, and a thousand readers of one node cost as much as one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use etcd_rs_sync::Client;

use super::clock::Clock;
use super::lanes::{Measured, STACK};
use crate::config::Config;
use crate::lock::Keys;
use crate::observe::metrics::Metrics;
use crate::status::{self, Sight};
use crate::store::{self, Trouble};

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
    config: Arc<Config>,
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
    /// When the next read may begin; `None` when there has been none since somebody began to look.
    due: Option<Duration>,
    runs: bool,
}

impl Lookout {
    pub(super) fn new(config: Arc<Config>, metrics: Arc<Metrics>, clock: Clock) -> Lookout {
        Lookout(Arc::new(Inner {
            config,
            metrics,
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// What is known now. Waits a moment when that is nothing, or old.
    pub(super) fn look(&self) -> Sight {
        let inner = &*self.0;
        let mut state = inner.lock();
        let now = inner.clock.now().mono;
        state.asked = now;
        if !state.runs {
            state.runs = true;
            if let Err(why) = Inner::start(&self.0) {
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
    fn start(this: &Arc<Inner>) -> Result<(), String> {
        let inner = Arc::clone(this);
        thread::Builder::new()
            .name("lookout".to_owned())
            .stack_size(STACK)
            .spawn(move || inner.read_while_asked())
            .map(drop)
            .map_err(|error| format!("no thread to read etcd with: {error}"))
    }

    fn read_while_asked(&self) {
        // Its memory goes with it.
        let client = self.client();
        let keys = Keys::new(&self.config.etcd.namespace, &self.config.lock_key);
        loop {
            let began = self.clock.now().mono;
            let read = match &client {
                Ok(client) => store::read(client, &keys, MOST),
                Err(why) => Err(Trouble::new(why.clone())),
            };
            let ended = self.clock.now();
            let rest = match &read {
                Ok(_) => ((ended.mono - began) * REST).clamp(EVERY, SELDOM),
                Err(_) => EVERY,
            };
            let mut state = self.lock();
            state.due = Some(ended.mono + rest);
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
                state.sight.version = client.server_version();
            }
            self.changed.notify_all();
            drop(state);
            thread::sleep(rest);
            if !self.is_asked_since(began) {
                return;
            }
        }
    }

    /// Waits for somebody to look. When nobody does for long enough, everything is forgotten.
    fn is_asked_since(&self, began: Duration) -> bool {
        let nobody = |state: &mut State| state.asked <= began;
        let waited = self.changed.wait_timeout_while(self.lock(), LINGER, nobody);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            *state = State::default();
        }
        !timeout.timed_out()
    }

    fn client(&self) -> Result<Measured, String> {
        let client =
            Client::new(store::options(&self.config)?).map_err(|error| error.to_string())?;
        Ok(Measured {
            client,
            metrics: Arc::clone(&self.metrics),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
