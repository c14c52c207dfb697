//! Whether the main loop is alive, told by what it says about itself and not by a probe that would have to wake it up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::text::millis;

/// How late the main loop may be. A busy host and a slow disk delay it by seconds; a scrape does not come more often.
pub const GRACE: Duration = Duration::from_secs(30);

/// The moment at which the main loop has to be back, milliseconds on a clock that stands still while the host is suspended.
///
/// The main loop stamps it twice a turn: before it sleeps, with the time it means to wake up, and after, with how long it
/// may work. So it costs no wake-up, and a sleep of an hour is not taken for death.
#[derive(Debug)]
pub struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// Begins to work.
    pub fn new(now: Duration) -> Heartbeat {
        Heartbeat(AtomicU64::new(millis(now + GRACE)))
    }

    /// Something is to be done, which must not take longer than [`GRACE`].
    pub fn works(&self, now: Duration) {
        self.due(now + GRACE);
    }

    /// Sleeps until `wake` at the latest; `None`: until something arrives.
    pub fn sleeps(&self, wake: Option<Duration>) {
        self.due(wake.map_or(Duration::MAX, |wake| wake.saturating_add(GRACE)));
    }

    /// Whether the main loop is overdue.
    pub fn is_stuck(&self, now: Duration) -> bool {
        millis(now) > self.0.load(Ordering::Relaxed)
    }

    fn due(&self, at: Duration) {
        self.0.store(millis(at), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sleep_is_no_death_however_long_it_is_meant_to_be() {
        let heartbeat = Heartbeat::new(SECOND);
        heartbeat.sleeps(Some(SECOND * 3600));
        assert!(!heartbeat.is_stuck(SECOND * 3600 + GRACE));
        assert!(heartbeat.is_stuck(SECOND * 3601 + GRACE));
        heartbeat.sleeps(None);
        assert!(!heartbeat.is_stuck(SECOND * 1_000_000_000));
        heartbeat.sleeps(Some(Duration::MAX));
        assert!(!heartbeat.is_stuck(SECOND * 1_000_000_000));
    }

    #[test]
    fn work_that_does_not_end_is_death_and_the_next_turn_is_life() {
        let heartbeat = Heartbeat::new(SECOND);
        assert!(!heartbeat.is_stuck(SECOND + GRACE));
        assert!(heartbeat.is_stuck(SECOND * 2 + GRACE));
        heartbeat.works(SECOND * 100);
        assert!(!heartbeat.is_stuck(SECOND * 100 + GRACE));
        heartbeat.sleeps(Some(SECOND * 200));
        assert!(!heartbeat.is_stuck(SECOND * 200));
    }
}
