//! The one place where the daemon reads clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::core::Now;

/// The monotonic clock counts from the start of the process, and while the host is suspended too: a permit must not come out of
/// a night's sleep as fresh as it was, because its claim may have been taken away meanwhile. `Instant` stands still then.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: Duration,
    kernel: fn(ClockId) -> Duration,
    /// For what asks whether this process gets on, which it does not in a suspend.
    awake_since: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            started: kernel(ClockId::Boottime),
            kernel,
            awake_since: Instant::now(),
        }
    }

    /// The clock of a process that was started so long ago, or when the host was.
    #[cfg(test)]
    pub(super) fn started_ago(span: Duration) -> Clock {
        Clock {
            started: kernel(ClockId::Boottime).saturating_sub(span),
            ..Clock::start()
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: (self.kernel)(ClockId::Boottime).saturating_sub(self.started),
            wall: Timestamp::now(),
        }
    }

    /// How long this process has existed, without the time in which the host was suspended.
    pub(super) fn awake(&self) -> Duration {
        self.awake_since.elapsed()
    }
}

/// The kernel's CLOCK_MONOTONIC, which systemd compares with its own.
pub(super) fn kernel_monotonic() -> Duration {
    kernel(ClockId::Monotonic)
}

/// Neither of the clocks asked for goes back, nor is ever negative.
fn kernel(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: Duration = Duration::from_secs(8 * 3600);

    /// The kernel's clocks on a host that was suspended for a night.
    fn suspended(clock: ClockId) -> Duration {
        match clock {
            ClockId::Boottime => kernel(ClockId::Monotonic) + NIGHT,
            other => kernel(other),
        }
    }

    #[test]
    fn a_suspend_counts_for_permits_and_not_for_signs_of_life() {
        let clock = Clock {
            started: kernel(ClockId::Monotonic),
            kernel: suspended,
            awake_since: Instant::now(),
        };
        assert!(clock.now().mono >= NIGHT);
        assert!(clock.awake() < NIGHT);
        // systemd compares it with its own, which stands still then.
        let (before, told) = (kernel(ClockId::Monotonic), kernel_monotonic());
        assert!(before <= told && told <= kernel(ClockId::Monotonic));
    }

    #[test]
    fn the_clock_begins_with_the_process_and_goes_on() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first.mono < Duration::from_secs(60));
        let deadline = Instant::now() + Duration::from_secs(20);
        while clock.now().mono == first.mono || clock.awake().is_zero() {
            assert!(Instant::now() < deadline);
        }
    }
}
