//! The one place where the daemon reads clocks.

use std::time::Instant;

use jiff::Timestamp;

use crate::core::Now;

/// The monotonic clock counts from the start of the process.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            started: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: self.started.elapsed(),
            wall: Timestamp::now(),
        }
    }
}
