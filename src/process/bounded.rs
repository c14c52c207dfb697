//! Checks with a limit, of the file system and of servers.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, SLICE};

/// Enough for a few system calls and the list of a folder, for a look-up of a name and a TLS handshake, and for a configuration
/// that is nested as deeply as the parser goes along with. Only what is used of it takes memory.
pub(super) const STACK_BYTES: usize = 1024 * 1024;

/// The threads that a check has, stuck ones included: when the limit of each ends, if it ever does.
static BUSY: Mutex<BTreeMap<String, Vec<Option<Instant>>>> = Mutex::new(BTreeMap::new());

/// One of them has come back.
static FREED: Condvar = Condvar::new();

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Not within the limit.
    TimedOut,
    /// An earlier check with the same key has not come back: it has outlived its limit, or it lasted for all of this one's.
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
/// price: two callers cannot use one key at the same time. As long as the earlier one is within its limit, the later one waits
/// for it, within its own: the caller of the earlier one may have been stopped, which its thread does not see.
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
    let began = Instant::now();
    let busy = Busy::claim(key, many, began.checked_add(limit), cancel)?;
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
struct Busy {
    key: String,
    until: Option<Instant>,
}

impl Busy {
    /// Waits for room until then.
    fn claim(
        key: &str,
        many: usize,
        until: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<Busy, NoAnswer> {
        let mut all = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if cancel.is_cancelled() {
                return Err(NoAnswer::Cancelled);
            }
            let busy = all.entry(key.into()).or_default();
            if busy.len() < many {
                busy.push(until);
                let key = key.into();
                return Ok(Busy { key, until });
            }
            let now = Instant::now();
            let over = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
            // Who has outlived its limit hangs: it may never come back.
            if over(&until) || busy.iter().all(over) {
                return Err(NoAnswer::StillBusy);
            }
            let left = until.map_or(SLICE, |until| SLICE.min(until - now));
            let waited = FREED.wait_timeout(all, left);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut all = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(busy) = all.get_mut(&self.key) {
            if let Some(at) = busy.iter().position(|until| *until == self.until) {
                busy.swap_remove(at);
            }
            if busy.is_empty() {
                all.remove(&self.key);
            }
        }
        FREED.notify_all();
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
        // It hangs: whoever comes later does not wait for it.
        let began = Instant::now();
        assert_eq!(
            bounded("stuck", PATIENCE, &cancel, || ()),
            Err(NoAnswer::StillBusy)
        );
        assert!(began.elapsed() < PATIENCE / 2);
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

    /// A check that has not hung for its limit, and whose caller is gone; it comes back when what is returned is dropped.
    fn given_up(key: &str) -> std::sync::mpsc::Sender<()> {
        let (unblock, blocked) = channel::<()>();
        let cancel = Cancel::new();
        let canceller = cancel.clone();
        let work = move || {
            canceller.cancel();
            let _ = blocked.recv();
        };
        let answer = bounded(key, PATIENCE, &cancel, work);
        assert_eq!(answer, Err(NoAnswer::Cancelled));
        unblock
    }

    #[test]
    fn a_check_that_was_given_up_is_waited_for_within_the_limit() {
        let cancel = Cancel::new();
        let canceller = cancel.clone();
        let slow = move || {
            canceller.cancel();
            std::thread::sleep(SLICE * 5);
        };
        let answer = bounded("given up", PATIENCE, &cancel, slow);
        assert_eq!(answer, Err(NoAnswer::Cancelled));
        assert_eq!(bounded("given up", PATIENCE, &Cancel::new(), || 7), Ok(7));
        let _unblock = given_up("given up");
        let late = Duration::from_millis(20);
        let answer = bounded("given up", late, &Cancel::new(), || 7);
        assert_eq!(answer, Err(NoAnswer::StillBusy));
    }

    #[test]
    fn a_cancel_ends_the_wait_for_a_check_that_was_given_up() {
        let _unblock = given_up("waited for");
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| bounded("waited for", PATIENCE, &cancel, || ()));
            let late = Duration::from_millis(20);
            let answer = bounded("waited for", late, &Cancel::new(), || ());
            assert_eq!(answer, Err(NoAnswer::StillBusy));
            cancel.cancel();
            assert_eq!(next.join().unwrap(), Err(NoAnswer::Cancelled));
        });
    }

    #[test]
    fn callers_at_the_same_moment_have_their_turns() {
        std::thread::scope(|scope| {
            let ask = || bounded("turns", PATIENCE, &Cancel::new(), std::thread::yield_now);
            let all: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            for one in all {
                assert_eq!(one.join().unwrap(), Ok(()));
            }
        });
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
