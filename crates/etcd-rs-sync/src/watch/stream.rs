//! The lines of a watch's stream.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use ureq::BodyReader;

use crate::http::read_until;
use crate::session::Ticket;
use crate::wire::MAX_REPLY_BYTES;

/// How much is read at once.
pub(super) const READ_BYTES: usize = 8 * 1024;

/// A stream whose head has come.
pub(super) struct Stream {
    reader: BufReader<BodyReader<'static>>,
    pub(super) since: Instant,
    /// Whether the server has said that the watch stands.
    pub(super) created: bool,
    /// When its last message came, or its head.
    heard: Instant,
    pub(super) ticket: Ticket,
}

impl Stream {
    pub(super) fn new(reader: BodyReader<'static>, ticket: Ticket) -> Stream {
        Stream {
            reader: BufReader::with_capacity(READ_BYTES, reader),
            since: Instant::now(),
            created: false,
            heard: Instant::now(),
            ticket,
        }
    }

    /// The next message; `None` at the end of the stream. It is to be complete this long after the one before it, whatever bytes
    /// trickle in.
    pub(super) fn message(&mut self, silence: Duration) -> io::Result<Option<Vec<u8>>> {
        let until = self.heard + silence;
        let line = read_until(until, || self.line());
        self.heard = Instant::now();
        line
    }

    /// The next non-empty line; `None` at the end of the stream. One holds all events of one revision or more; etcd's largest request
    /// is 1.5 MiB. An error ends the stream, so that what came of a line is lost with it.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let most = MAX_REPLY_BYTES + 1;
            self.reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return match line.len() as u64 == most {
                    true => Err(io::Error::other("a message is too long")),
                    false => Ok(None),
                };
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

/// Whether a read ended only because nothing came.
pub(super) fn is_silence(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_end_is_given_up_however_it_is_cut_into_pieces() {
        for first in [&b"x"[..], b""] {
            let rest = io::repeat(b'x').take(MAX_REPLY_BYTES + 100_000);
            let text = first.chain(rest).chain(&b"\n{}\n"[..]);
            let reader = ureq::Body::builder().reader(text).into_reader();
            let why = Stream::new(reader, Ticket::default()).line().unwrap_err();
            assert!(why.to_string().contains("too long"), "{why}");
        }
    }
}
