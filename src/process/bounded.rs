//! Checks with a limit, of the file system and of servers.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, SLICE};

/// Enough for a few system calls and the list of a folder, for a look-up of a name and a TLS handshake, and for a configuration
/// that is nested as deeply as the parser goes along with. Only what is used of it takes memory.
pub(super) const STACK_BYTES: usize = 1024 * 1024;

/// How many threads a check has, stuck ones included.
static BUSY: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

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
    some(1, key, limit, cancel, work)
}

/// [`bounded`], where up to `many` callers may use one key at the same time. A result that comes too late is dropped.
pub(super) fn some<T: Send + 'static>(
    many: usize,
    key: &str,
    limit: Duration,
    cancel: &Cancel,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    if cancel.is_cancelled() {
        return Err(NoAnswer::Cancelled);
    }
    let busy = Busy::claim(key, many).ok_or(NoAnswer::StillBusy)?;
    let (answer, answered) = channel();
    let work = move || {
        let result = work();
        drop(busy);
        let _ = answer.send(result);
    };
    std::thread::Builder::new()
        .name("check".into())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|e| NoAnswer::NotStarted(format!("the check could not be started: {e}")))?;
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        match answered.recv_timeout(left.min(SLICE)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                return Err(NoAnswer::Cancelled);
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(NoAnswer::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(NoAnswer::NotStarted(
                    "the check ended without a word".into(),
                ));
            }
        }
    }
}

/// The key is taken while this exists.
struct Busy(String);

impl Busy {
    fn claim(key: &str, many: usize) -> Option<Busy> {
        let mut all = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = all.entry(key.into()).or_default();
        (*busy < many).then(|| {
            *busy += 1;
            Busy(key.into())
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut all = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(busy) = all.get_mut(&self.0) {
            *busy -= 1;
            if *busy == 0 {
                all.remove(&self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_stuck_check_costs_its_limit_once_and_one_thread() {
        let cancel = Cancel::new();
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
        let cancel = Cancel::new();
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

    #[test]
    fn a_check_may_take_several_looks_at_the_clock() {
        let slow = || std::thread::sleep(SLICE * 5 / 2);
        assert_eq!(bounded("slow", PATIENCE, &Cancel::new(), slow), Ok(()));
    }

    #[test]
    fn who_comes_back_makes_room_for_one() {
        let cancel = Cancel::new();
        let hang = || {
            let (unblock, blocked) = channel::<()>();
            let limit = Duration::from_millis(20);
            let work = move || {
                let _ = blocked.recv();
            };
            let answer = some(2, "two", limit, &cancel, work);
            (unblock, answer)
        };
        let (first, answer) = hang();
        assert_eq!(answer, Err(NoAnswer::TimedOut));
        let (_second, answer) = hang();
        assert_eq!(answer, Err(NoAnswer::TimedOut));
        assert_eq!(hang().1, Err(NoAnswer::StillBusy));
        drop(first);
        let deadline = Instant::now() + PATIENCE;
        let _third = loop {
            let (third, answer) = hang();
            if answer == Err(NoAnswer::TimedOut) {
                break third;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        };
        assert_eq!(hang().1, Err(NoAnswer::StillBusy));
    }
}
