//! Requests out of a stream of bytes.

use std::io::{self, Read};
use std::net::TcpStream;

/// The longest request; etcd takes 1.5 MiB.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// A request on its way to etcd, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Such as `POST`.
    pub method: String,
    /// Such as `/v3/kv/txn`.
    pub path: String,
    /// Everything up to and with the empty line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// Whether the path or the body contains `text`. Keys and values in a body are base64.
    pub fn contains(&self, text: &str) -> bool {
        self.path.contains(text) || String::from_utf8_lossy(&self.body).contains(text)
    }
}

pub(super) fn rewritten(mut request: HttpRequest, text: &str, by: &str) -> HttpRequest {
    request.body = String::from_utf8_lossy(&request.body)
        .replace(text, by)
        .into_bytes();
    let lines = request.head.split_inclusive("\r\n").map(|line| {
        if line.to_ascii_lowercase().starts_with("content-length:") {
            return format!("Content-Length: {}\r\n", request.body.len());
        }
        line.to_owned()
    });
    request.head = lines.collect();
    request
}

/// What a client sends.
pub(super) struct Input<'a> {
    pub(super) stream: &'a TcpStream,
    /// Bytes after the last request.
    pub(super) pending: Vec<u8>,
}

/// What came.
pub(super) enum Parsed {
    Request(HttpRequest),
    /// Not HTTP, or HTTP of a kind that these tests do not use.
    Opaque(Vec<u8>),
    End,
}

impl Input<'_> {
    pub(super) fn request(&mut self) -> io::Result<Parsed> {
        let head_end = loop {
            if let Some(at) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let is_http = self.pending.is_empty() || self.pending[0].is_ascii_uppercase();
            if !is_http || self.pending.len() > MAX_REQUEST_BYTES {
                return Ok(Parsed::Opaque(std::mem::take(&mut self.pending)));
            }
            if !self.more()? {
                return Ok(Parsed::End);
            }
        };
        let head = String::from_utf8_lossy(&self.pending[..head_end]).into_owned();
        let lower = head.to_ascii_lowercase();
        if lower.contains("transfer-encoding:") {
            return Ok(Parsed::Opaque(std::mem::take(&mut self.pending)));
        }
        let length: usize = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0);
        while self.pending.len() < head_end + length {
            if !self.more()? {
                return Ok(Parsed::End);
            }
        }
        let rest = self.pending.split_off(head_end + length);
        let body = std::mem::replace(&mut self.pending, rest).split_off(head_end);
        let mut words = head.split_ascii_whitespace().map(str::to_owned);
        Ok(Parsed::Request(HttpRequest {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            head,
            body,
        }))
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let n = self.stream.read(&mut buffer)?;
        self.pending.extend_from_slice(&buffer[..n]);
        Ok(n > 0)
    }
}
