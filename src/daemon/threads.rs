//! Threads that do one small thing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, thread};

/// TLS handshakes and JSON parsing stay well below.
const STACK: usize = 256 * 1024;

/// Starts one; it is ended by what it does.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

/// A panic ends this program, so that nobody finds what another thread left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
