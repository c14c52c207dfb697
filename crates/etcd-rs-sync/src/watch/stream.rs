//! The lines of a watch's stream.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::BodyReader;

use crate::http::read_until;
use crate::session::Ticket;
use crate::wire::MAX_REPLY_BYTES;

/// The longest line of a stream. One holds all events of one revision or more; etcd's largest request is 1.5 MiB.
const MAX_LINE_BYTES: usize = MAX_REPLY_BYTES as usize;

/// How much is read at once.
pub(super) const READ_BYTES: usize = 8 * 1024;

/// A stream whose head has come.
pub(super) struct Stream {
    reader: BodyReader<'static>,
    /// Bytes after the last complete line.
    pending: Vec<u8>,
    /// Up to where `pending` is known to hold no line end.
    searched: usize,
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
            reader,
            pending: Vec::new(),
            searched: 0,
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

    /// The next non-empty line; `None` at the end of the stream.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.pending[self.searched..]
                .iter()
                .position(|b| *b == b'\n')
            {
                let rest = self.pending.split_off(self.searched + at + 1);
                let line = std::mem::replace(&mut self.pending, rest);
                self.searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.pending.len();
            if self.pending.len() > MAX_LINE_BYTES {
                return Err(io::Error::other("a message is too long"));
            }
            let mut chunk = [0; READ_BYTES];
            match self.reader.read(&mut chunk)? {
                0 => return Ok(None),
                n => self.pending.extend_from_slice(&chunk[..n]),
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
