//! Checks with a limit, of the file system and of servers.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::process::{Cancel, Wait, wait_for};

/// Enough for a few system calls and the list of a folder, for a look-up of a name and a TLS handshake, and for a configuration
/// that is nested as deeply as the parser goes along with. Only what is used of it takes memory.
const STACK_BYTES: usize = 1024 * 1024;

/// The checks that have a thread, stuck ones included.
static BUSY: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Not within the limit.
    TimedOut,
    /// An earlier check with the same key has not come back yet.
    StillBusy,
    /// The caller stopped it.
    Cancelled,
    /// It could not be started; why.
    NotStarted(String),
}

/// Does `work` in a thread of its own and waits for at most `limit`.
///
/// A system call that hangs in the kernel cannot be ended from outside. Its thread stays behind until the call comes
/// back, and until then the same key is refused at once, so that a dead mount costs one thread and not one a poll. The
/// price: two callers cannot use one key at the same time.
pub fn bounded<T: Send + 'static>(
    key: &str,
    limit: Duration,
    cancel: &Cancel,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    if cancel.is_cancelled() {
        return Err(NoAnswer::Cancelled);
    }
    let not_started =
        |e: io::Error| NoAnswer::NotStarted(format!("the check could not be started: {e}"));
    let (done, finish) = io::pipe().map_err(not_started)?;
    let busy = Busy::claim(key).ok_or(NoAnswer::StillBusy)?;
    let (answer, answered) = channel();
    let work = move || {
        let result = work();
        drop(busy);
        let _ = answer.send(result);
        drop(finish);
    };
    std::thread::Builder::new()
        .name("check".into())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(not_started)?;
    match wait_for(done.as_fd(), Some(cancel), limit) {
        Wait::Ready => answered
            .recv()
            .map_err(|e| NoAnswer::NotStarted(e.to_string())),
        Wait::Cancelled => Err(NoAnswer::Cancelled),
        Wait::TimedOut => Err(NoAnswer::TimedOut),
    }
}

/// The key is taken while this exists.
struct Busy(String);

impl Busy {
    fn claim(key: &str) -> Option<Busy> {
        let new = BUSY
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.into());
        new.then(|| Busy(key.into()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_stuck_check_costs_its_limit_once_and_one_thread() {
        let cancel = Cancel::new().unwrap();
        let (unblock, blocked) = channel::<()>();
        let hang = move || {
            let _ = blocked.recv();
        };
        assert_eq!(
            bounded("stuck", Duration::from_millis(50), &cancel, hang),
            Err(NoAnswer::TimedOut)
        );
        assert_eq!(
            bounded("stuck", PATIENCE, &cancel, || ()),
            Err(NoAnswer::StillBusy)
        );
        assert_eq!(bounded("other", PATIENCE, &cancel, || 7), Ok(7));
        drop(unblock);
        // It came back: the key is free again, as soon as the thread has run.
        let deadline = std::time::Instant::now() + PATIENCE;
        while bounded("stuck", PATIENCE, &cancel, || ()) == Err(NoAnswer::StillBusy) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_cancel_ends_the_wait_for_a_stuck_check() {
        let cancel = Cancel::new().unwrap();
        let (unblock, blocked) = channel::<()>();
        let canceller = cancel.clone();
        let hang = move || {
            canceller.cancel();
            let _ = blocked.recv();
        };
        assert_eq!(
            bounded("cancelled", PATIENCE, &cancel, hang),
            Err(NoAnswer::Cancelled)
        );
        drop(unblock);
    }
}
