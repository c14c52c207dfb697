//! The handle that ends a watch.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use ureq::Agent;

use crate::session::{Certified, Session};
use crate::{Error, lock};

/// Ends a [`Watch`](crate::Watch) from another thread.
#[derive(Clone)]
pub struct WatchStop(Arc<Stop>);

struct Stop {
    agent: Mutex<Certified>,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl WatchStop {
    pub(super) fn new(agent: Certified) -> WatchStop {
        WatchStop(Arc::new(Stop {
            agent: Mutex::new(agent),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }))
    }

    /// The agent whose connections end with the watch, with the certificates of now.
    pub(super) fn agent(&self, session: &Session) -> Result<Agent, Error> {
        let agent = session.renewed(&mut lock(&self.0.agent))?;
        // Whoever stopped it meanwhile has shut the other one down.
        if self.is_stopped() {
            agent.clone().shutdown();
        }
        Ok(agent)
    }

    /// Ends the watch for good: a blocked [`Watch::next`](crate::Watch::next) returns `None` at once. The one exception is a connection attempt
    /// under way to an address that does not answer, which ends within its share of [`Options::timeout`](crate::Options).
    pub fn stop(&self) {
        *lock(&self.0.stopped) = true;
        self.0.wake.notify_all();
        // Closes the stream's socket under a read that blocks, and refuses new connections from now on.
        lock(&self.0.agent).agent.clone().shutdown();
    }

    /// Whether the watch has been stopped.
    pub fn is_stopped(&self) -> bool {
        *lock(&self.0.stopped)
    }

    /// Waits until `deadline` or [`WatchStop::stop`].
    pub(super) fn wait_until(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let runs = |stopped: &mut bool| !*stopped;
        let _ = self
            .0
            .wake
            .wait_timeout_while(lock(&self.0.stopped), left, runs);
    }
}

impl fmt::Debug for WatchStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStop")
            .field("stopped", &self.is_stopped())
            .finish()
    }
}
