//! The handle that stops what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long it takes at most until a cancel is seen.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// A handle that stops every run it was given to, for good. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that stops nothing yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops what runs with this handle now or later. Repeating it changes nothing.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
