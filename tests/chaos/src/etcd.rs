//! Just enough HTTP to write to etcd's gateway, read from it, and read its history back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// How long reading the history may go on without a line.
const HISTORY_LIMIT: Duration = Duration::from_secs(20);

/// A key and its revisions.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Writes a key, and returns the revision.
pub(crate) fn put(member: SocketAddr, key: &str, value: &str, limit: Duration) -> io::Result<i64> {
    let body = json!({"key": BASE64.encode(key), "value": BASE64.encode(value)});
    revision(&post(member, "/v3/kv/put", &body, limit)?)
}

/// Deletes a key.
pub(crate) fn delete(member: SocketAddr, key: &str, limit: Duration) -> io::Result<()> {
    let body = json!({"key": BASE64.encode(key)});
    post(member, "/v3/kv/deleterange", &body, limit).map(drop)
}

/// Reads all keys that start with `prefix`.
pub(crate) fn range(member: SocketAddr, prefix: &str, limit: Duration) -> io::Result<Vec<Pair>> {
    let body = json!({"key": BASE64.encode(prefix), "range_end": BASE64.encode(after(prefix))});
    let reply = post(member, "/v3/kv/range", &body, limit)?;
    revision(&reply)?;
    let pairs = reply["kvs"].as_array().map_or(&[][..], Vec::as_slice);
    pairs
        .iter()
        .map(|pair| {
            Ok(Pair {
                key: text(&pair["key"])?,
                value: text(&pair["value"])?,
            })
        })
        .collect()
}

/// Whether the member leads.
pub(crate) fn status(member: SocketAddr, limit: Duration) -> io::Result<(String, bool)> {
    let reply = post(member, "/v3/maintenance/status", &json!({}), limit)?;
    let id = reply["header"]["member_id"].as_str();
    let id = id.ok_or_else(|| wrong("a status without a member", &reply))?;
    Ok((id.to_owned(), reply["leader"].as_str() == Some(id)))
}

/// Makes another member lead.
pub(crate) fn move_leader(leader: SocketAddr, to: &str, limit: Duration) -> io::Result<()> {
    let body = json!({"targetID": to});
    post(leader, "/v3/maintenance/transfer-leadership", &body, limit).map(drop)
}

/// Every event below `prefix` from the first revision to `last`, which must be one of them, in the form that the judge reads.
pub(crate) fn history(member: SocketAddr, prefix: &str, last: i64) -> io::Result<String> {
    let create = json!({
        "key": BASE64.encode(prefix), "range_end": BASE64.encode(after(prefix)), "start_revision": "1",
    });
    let body = json!({"create_request": create});
    let mut lines = send(member, "/v3/watch", &body, HISTORY_LIMIT)?;
    let mut out = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the history ends early"));
        }
        if line.trim().is_empty() {
            continue;
        }
        let reply: Value = serde_json::from_str(&line)?;
        let result = &reply["result"];
        if result["canceled"].as_bool() == Some(true) || reply["error"].is_object() {
            return Err(wrong("the history is refused", &reply));
        }
        for event in result["events"].as_array().map_or(&[][..], Vec::as_slice) {
            let revision = number(&event["kv"]["mod_revision"]);
            out.push_str(&event_line(event, revision)?);
            if revision == last {
                return Ok(out);
            }
        }
    }
}

fn event_line(event: &Value, revision: i64) -> io::Result<String> {
    let pair = &event["kv"];
    let line = json!({
        "revision": revision,
        "key": text(&pair["key"])?,
        "deleted": event["type"].as_str() == Some("DELETE"),
        "create": number(&pair["create_revision"]),
        "lease": number(&pair["lease"]),
        "value": text(&pair["value"])?,
    });
    Ok(format!("{line}\n"))
}

fn post(member: SocketAddr, path: &str, body: &Value, limit: Duration) -> io::Result<Value> {
    let mut text = String::new();
    send(member, path, body, limit)?.read_to_string(&mut text)?;
    let reply: Value = serde_json::from_str(&text)?;
    match reply["error"].is_null() {
        true => Ok(reply),
        false => Err(wrong("etcd says no", &reply)),
    }
}

/// Sends a request on a connection of its own. What comes back is the body, whatever the status: etcd says in it what is wrong.
fn send(
    member: SocketAddr,
    path: &str,
    body: &Value,
    limit: Duration,
) -> io::Result<BufReader<Box<dyn Read>>> {
    let until = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&member, limit)?;
    let left = until.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    stream.set_write_timeout(Some(limit))?;
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut chunked = false;
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        chunked |= line == "transfer-encoding: chunked";
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse::<u64>().ok();
        }
    }
    let body: Box<dyn Read> = match (chunked, length) {
        (true, _) => Box::new(Chunks { reader, left: 0 }),
        (false, Some(length)) => Box::new(reader.take(length)),
        (false, None) => Box::new(reader),
    };
    Ok(BufReader::new(body))
}

/// The chunked transfer coding, without trailers.
struct Chunks {
    reader: BufReader<TcpStream>,
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The end of the chunk before.
            if line.trim().is_empty() {
                continue;
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let wanted = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

/// The end of the range of keys that start with `prefix`, which ends with a slash.
fn after(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

fn revision(reply: &Value) -> io::Result<i64> {
    match number(&reply["header"]["revision"]) {
        0 => Err(wrong("an answer without a revision", reply)),
        revision => Ok(revision),
    }
}

/// Zero is left out, and other numbers are texts.
fn number(value: &Value) -> i64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_i64()).unwrap_or(0)
}

fn text(value: &Value) -> io::Result<String> {
    let bytes = BASE64.decode(value.as_str().unwrap_or_default());
    String::from_utf8(bytes.map_err(io::Error::other)?).map_err(io::Error::other)
}

fn wrong(what: &str, reply: &Value) -> io::Error {
    io::Error::other(format!("{what}: {reply}"))
}
