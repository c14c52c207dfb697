//! Stopping what is running, from another thread.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A handle that stops every run it was given to, at once and for good. Clones are the same handle.
///
/// It is a pipe into which the cancel writes a byte that nobody reads: that wakes any number of waiting threads, stays
/// visible forever, and needs neither a registration nor a wake-up in between. Closing the pipe would not do: a child that
/// is just being started still has a copy of it.
#[derive(Clone, Debug)]
pub struct Cancel {
    woken: Arc<PipeReader>,
    open: Arc<Mutex<Option<PipeWriter>>>,
}

impl Cancel {
    /// Fails when the process has no file descriptors left.
    pub fn new() -> io::Result<Cancel> {
        let (reader, writer) = io::pipe()?;
        Ok(Cancel {
            woken: Arc::new(reader),
            open: Arc::new(Mutex::new(Some(writer))),
        })
    }

    /// Stops what runs with this handle now or later. Repeating it changes nothing.
    pub fn cancel(&self) {
        let writer = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut writer) = writer {
            // Cannot fail: the pipe is empty and this handle has its reading end.
            let _ = writer.write_all(b"x");
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// Becomes readable by the cancel.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

/// Waits until `fd` is readable, for at most `limit`, or until the cancel when there is one.
pub(crate) fn wait_for(fd: BorrowedFd<'_>, cancel: Option<&Cancel>, limit: Duration) -> Wait {
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 3600,
            tv_nsec: 0,
        });
        let mut fds = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        fds.extend(cancel.map(|cancel| PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)));
        let answered = poll(&mut fds, Some(&timeout)).is_ok();
        let is_ready =
            |at: usize| answered && fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        if is_ready(0) {
            return Wait::Ready;
        }
        if is_ready(1) {
            return Wait::Cancelled;
        }
        if left.is_zero() {
            return Wait::TimedOut;
        }
    }
}

/// How [`wait_for`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The descriptor is readable.
    Ready,
    /// The handle was cancelled.
    Cancelled,
    /// Neither happened in time.
    TimedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_is_seen_while_a_child_that_is_being_started_has_a_copy_of_the_pipe() {
        let cancel = Cancel::new().unwrap();
        let copy = cancel.open.lock().unwrap().as_ref().unwrap().try_clone();
        let (reader, _writer) = io::pipe().unwrap();
        let waiter = std::thread::spawn({
            let cancel = cancel.clone();
            move || wait_for(reader.as_fd(), Some(&cancel), Duration::from_secs(20))
        });
        cancel.cancel();
        assert_eq!(waiter.join().unwrap(), Wait::Cancelled);
        drop(copy);
    }
}
