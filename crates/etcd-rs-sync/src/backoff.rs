//! Pauses between attempts to open a watch.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The pause after the first failure. A member that restarts is gone for longer; another member is there at once.
const SHORTEST: Duration = Duration::from_millis(50);
/// No pause is longer than this.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubling pauses, each shortened at random by up to a half, so that a fleet does not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    ready_at: Option<Instant>,
}

impl Backoff {
    pub(crate) fn failed(&mut self, now: Instant) {
        let pause = SHORTEST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.ready_at = Some(now + pause.mul_f64(0.5 + random_unit() / 2.0));
    }

    /// Things work: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn ready_at(&self) -> Instant {
        self.ready_at.unwrap_or_else(Instant::now)
    }
}

/// A number from 0 to 1. The standard library's hash keys are random enough to spread load, and need no dependency.
fn random_unit() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    random as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let mut pause = || {
            backoff.failed(now);
            backoff.ready_at() - now
        };
        let first = pause();
        assert!(first >= SHORTEST / 2 && first <= SHORTEST);
        let later: Vec<Duration> = (0..40).map(|_| pause()).collect();
        assert!(later.iter().all(|p| *p <= LONGEST));
        assert!(later[20..].iter().all(|p| *p >= LONGEST / 2));
        assert!(later[20..].iter().any(|p| *p != later[20]), "at random");
        backoff.reset();
        backoff.failed(now);
        assert!(backoff.ready_at() - now <= SHORTEST);
    }
}
