//! A small HTTP server that nobody can hurt the daemon through.
//!
//! It accepts by itself: the acceptor of `tiny_http` can be crashed by a reset and by a lack of descriptors, has no time limit
//! and reads whatever it is sent. Here connections, bytes and time are bounded, and `tiny_http` only puts the answer on
//! paper. Idle, it is one thread blocked in poll(2); a connection has a thread while it lasts, and is used for one request.

mod exchange;

use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use exchange::exchange;

/// How many connections are served at once. Prometheus and a probe need one each; what comes above is closed at once.
const CONNECTIONS: usize = 16;

/// A page with times in a time zone needs 300 KiB in a development build. What is not touched costs nothing.
const STACK: usize = 1024 * 1024;

/// How long nothing is accepted after a failure. The usual one is a lack of descriptors, which would fail again at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// What a browser may do with it (Content-Security-Policy).
    pub policy: &'static str,
    /// The whole of it.
    pub body: String,
}

/// A browser that shows it does nothing else with it.
const SHOW_ONLY: &str = "default-src 'none'; frame-ancestors 'none'";

impl Answer {
    /// A text.
    pub fn text(status: u16, body: impl Into<String>) -> Answer {
        Answer::of("text/plain; charset=utf-8", body).with_status(status)
    }

    /// A success of any type.
    pub fn of(content_type: &'static str, body: impl Into<String>) -> Answer {
        Answer {
            status: 200,
            content_type,
            policy: SHOW_ONLY,
            body: body.into(),
        }
    }

    fn with_status(self, status: u16) -> Answer {
        Answer { status, ..self }
    }
}

/// What is shown at a path, without its query.
pub type Pages = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// Serves until it is dropped; then its address is free.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: PipeWriter,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens and serves. Port 0 is a free one.
    ///
    /// # Errors
    /// When the address cannot be used, or threads or descriptors are lacking.
    pub fn start(listen: SocketAddr, pages: Pages) -> io::Result<Server> {
        let listener = TcpListener::bind(listen)?;
        // A connection may be gone between poll and accept.
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stopped, stop) = io::pipe()?;
        let accepting = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || accept(&listener, &stopped, &pages))?;
        Ok(Server {
            address,
            stop,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A byte, and not the end of the pipe, which a child that is just being started keeps open. It cannot fail: the pipe
        // is empty.
        if self.stop.write_all(b"x").is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            // A panic would have ended the process.
            let _ = accepting.join();
        }
    }
}

/// Accepts until the pipe becomes readable.
fn accept(listener: &TcpListener, stopped: &PipeReader, pages: &Pages) {
    let served = Arc::new(AtomicUsize::new(0));
    let mut told = false;
    while !wait(stopped, Some(listener), None) {
        match listener.accept() {
            Ok((stream, _)) => serve(stream, &served, pages),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Once: whoever opens connections must not be able to fill the log.
                if !told {
                    log::error!(event = "http_error"; "the metrics server cannot accept a connection: {error}; it tries again every second");
                    told = true;
                }
                if wait(stopped, None, Some(PAUSE)) {
                    return;
                }
            }
        }
    }
}

/// Waits until there is a connection, at most for `limit`. Returns whether to stop.
fn wait(stopped: &PipeReader, listener: Option<&TcpListener>, limit: Option<Duration>) -> bool {
    let mut fds = vec![PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN)];
    fds.extend(listener.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)));
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    // A failure is a signal, or a lack of memory that the accept runs into as well.
    poll(&mut fds, limit.as_ref()).is_ok() && fds.first().is_some_and(|fd| !fd.revents().is_empty())
}

/// Errors of a connection that was there and is gone again, and of none.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TimedOut
    )
}

fn serve(stream: TcpStream, served: &Arc<AtomicUsize>, pages: &Pages) {
    let Some(place) = Place::take(served) else {
        return;
    };
    let pages = Arc::clone(pages);
    let work = move || {
        // A client that misbehaves or goes away is its own business.
        let _ = exchange(&stream, &*pages);
        drop(stream);
        drop(place);
    };
    // Without a thread the connection is closed, as one too many is.
    let _ = thread::Builder::new()
        .name("http client".to_owned())
        .stack_size(STACK)
        .spawn(work);
}

/// One of the [`CONNECTIONS`], while it exists.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(served: &Arc<AtomicUsize>) -> Option<Place> {
        let before = served.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(served));
        (before < CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let served = Arc::new(AtomicUsize::new(0));
        let taken: Vec<_> = (0..CONNECTIONS).map(|_| Place::take(&served)).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(Place::take(&served).is_none());
        assert!(Place::take(&served).is_none());
        drop(taken);
        assert!(Place::take(&served).is_some());
    }

    #[test]
    fn an_address_is_free_again_when_its_server_is_dropped() {
        let pages: Pages = Arc::new(|_| Answer::text(200, "ok"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Server::start(any, Arc::clone(&pages)).unwrap();
        let address = first.address();
        let taken = Server::start(address, Arc::clone(&pages)).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(Server::start(address, pages).unwrap().address(), address);
    }
}
