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
    /// For what asks whether this process gets on, which it does not in a suspend.
    awake_since: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            started: kernel(ClockId::Boottime),
            awake_since: Instant::now(),
        }
    }

    /// The clock of a process that was started so long ago, or when the host was.
    #[cfg(test)]
    pub(super) fn started_ago(span: Duration) -> Clock {
        Clock {
            started: kernel(ClockId::Boottime).saturating_sub(span),
            awake_since: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: kernel(ClockId::Boottime).saturating_sub(self.started),
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
