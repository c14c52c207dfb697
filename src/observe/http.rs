//! A small HTTP server that nobody can hurt the daemon through.
//!
//! It accepts by itself: the acceptor of `tiny_http` can be crashed by a reset and by a lack of descriptors, has no time limit
//! and reads whatever it is sent. Here connections, bytes and time are bounded, and `tiny_http` only puts the answer on
//! paper. Idle, it is one thread blocked in poll(2); a connection has a thread while it lasts, and is used for one request.

pub(crate) mod exchange;

use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use exchange::Answer;
use exchange::{Turn, exchange};

/// How many connections are served at once. Prometheus and a probe need one each. For one more, the oldest goes that has not
/// asked anything yet.
const CONNECTIONS: usize = 16;

/// A page with times in a time zone needs 300 KiB in a development build. What is not touched costs nothing.
const STACK: usize = 1024 * 1024;

/// How long nothing is accepted after a failure. A lack of descriptors would fail again at once.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// Listens and serves. Port 0 is a free one. Beside addresses and `localhost`, `names` are what a client may call this server.
    ///
    /// # Errors
    /// When the address cannot be used, or threads or descriptors are lacking.
    pub fn start(listen: SocketAddr, names: Vec<String>, pages: Pages) -> io::Result<Server> {
        let listener = TcpListener::bind(listen)?;
        // A connection may be gone between poll and accept.
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stopped, stop) = io::pipe()?;
        let accepting = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || accept(&listener, &stopped, &Arc::new(names), &pages))?;
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
fn accept(listener: &TcpListener, stopped: &PipeReader, names: &Arc<Vec<String>>, pages: &Pages) {
    let mut clients: Vec<Client> = Vec::new();
    let mut told = false;
    while !wait(stopped, Some(listener), None) {
        match listener.accept() {
            Ok((stream, _)) => {
                clients.retain(|client| !client.thread.is_finished());
                if clients.len() < CONNECTIONS || make_room(&mut clients) {
                    clients.extend(serve(stream, names, pages));
                }
            }
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

/// A connection that is served, by a thread of its own.
struct Client {
    stream: Weak<TcpStream>,
    turn: Arc<Turn>,
    thread: JoinHandle<()>,
}

/// Closes the oldest connection that waits for its client. Without one, all of them are being answered.
fn make_room(clients: &mut Vec<Client>) -> bool {
    let Some(at) = clients.iter().position(|client| client.turn.end()) else {
        return false;
    };
    let Client { stream, thread, .. } = clients.remove(at);
    if let Some(stream) = stream.upgrade() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    // It was waiting in a read, which ends now.
    let _ = thread.join();
    true
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

/// Without a thread the connection is closed.
fn serve(stream: TcpStream, names: &Arc<Vec<String>>, pages: &Pages) -> Option<Client> {
    let (names, pages) = (Arc::clone(names), Arc::clone(pages));
    let (stream, turn) = (Arc::new(stream), Arc::new(Turn::default()));
    let (weak, its_turn) = (Arc::downgrade(&stream), Arc::clone(&turn));
    let thread = thread::Builder::new()
        .name("http client".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            // A client that misbehaves or goes away is its own business.
            let _ = exchange(&stream, &its_turn, &names, &*pages);
        })
        .ok()?;
    Some(Client {
        stream: weak,
        turn,
        thread,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Instant;

    use super::*;

    fn start(listen: SocketAddr) -> io::Result<Server> {
        let pages: Pages = Arc::new(|_| Answer::text(200, "ok"));
        Server::start(listen, vec!["node-a".to_owned()], pages)
    }

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn an_address_is_free_again_when_its_server_is_dropped() {
        let first = start(any()).unwrap();
        let address = first.address();
        let taken = start(address).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(start(address).unwrap().address(), address);
    }

    #[test]
    fn idle_connections_give_way_to_one_that_asks() {
        let server = start(any()).unwrap();
        let address = server.address();
        // Some say nothing, some begin a head, some have their answer and stay.
        let idle: Vec<TcpStream> = (0..3 * CONNECTIONS)
            .map(|n| {
                let mut stream = TcpStream::connect(address).unwrap();
                let said: &[u8] = match n % 3 {
                    0 => b"",
                    1 => b"GET / HT",
                    _ => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                };
                stream.write_all(said).unwrap();
                stream
            })
            .collect();
        let began = Instant::now();
        assert!(ask(address).ends_with("ok"));
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        drop(idle);
    }
}
