//! One request and its answer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tiny_http::{HTTPVersion, Header, Method, Response, StatusCode};

/// How long the head of a request may be. Prometheus sends 300 bytes.
const HEAD: usize = 8 * 1024;

/// How long it may take to arrive, all of it.
const READ: Duration = Duration::from_secs(2);

/// How long the answer may take to be accepted, all of it.
const WRITE: Duration = Duration::from_secs(5);

/// How much of what still arrives is read before the connection is closed.
const REST: usize = 64 * 1024;

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
        Answer {
            status,
            ..Answer::of("text/plain; charset=utf-8", body)
        }
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
}

/// Whose turn it is: the client's, to say something, or ours. While it is the client's, somebody may end the exchange.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU8);

impl Turn {
    const CLIENT: u8 = 0;
    const OURS: u8 = 1;
    const OVER: u8 = 2;

    fn is_now(&self, before: u8, after: u8) -> bool {
        let order = Ordering::AcqRel;
        let changed = self
            .0
            .compare_exchange(before, after, order, Ordering::Acquire);
        changed.is_ok()
    }

    /// Ends the exchange, when it is the client's turn.
    pub(super) fn end(&self) -> bool {
        self.is_now(Turn::CLIENT, Turn::OVER)
    }
}

/// Reads a request, answers it, and is done with the connection. Time is measured here because the network is waited for here.
pub(super) fn exchange(
    stream: &TcpStream,
    turn: &Turn,
    names: &[String],
    pages: &(dyn Fn(&str) -> Answer + Send + Sync),
) -> io::Result<()> {
    let read_until = Instant::now() + READ;
    let head = read_head(stream, read_until)?;
    if !turn.is_now(Turn::CLIENT, Turn::OURS) {
        return Ok(());
    }
    let (answer, with_body) = match request(&head, names) {
        Ok((path, method)) => (pages(&path), method == Method::Get),
        Err(answer) => (answer, true),
    };
    let bytes = on_paper(answer, with_body, Timestamp::now())?;
    let write_until = Instant::now() + WRITE;
    write_all(stream, &bytes, write_until)?;
    stream.shutdown(Shutdown::Write)?;
    turn.is_now(Turn::OURS, Turn::CLIENT);
    drain(stream, read_until.min(write_until))
}

/// Everything up to the empty line, or as much as is allowed.
fn read_head(stream: &TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !is_complete(&head) && head.len() <= HEAD {
        match read_some(stream, &mut chunk, until)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(head)
}

fn is_complete(head: &[u8]) -> bool {
    // An empty line can end in the last chunk only, but a head is short.
    head.windows(4).any(|bytes| bytes == b"\r\n\r\n") || head.windows(2).any(|b| b == b"\n\n")
}

/// The path without its query and the method, or what to answer instead.
pub(crate) fn request(head: &[u8], names: &[String]) -> Result<(String, Method), Answer> {
    if !is_complete(head) || head.len() > HEAD {
        return Err(Answer::text(431, "the request is too long\n"));
    }
    let malformed = || Answer::text(400, "this is not an HTTP request\n");
    let line = head.split(|byte| *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.ok_or_else(malformed)?.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed());
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(malformed());
    }
    let method: Method = method.parse().map_err(|()| malformed())?;
    if method != Method::Get && method != Method::Head {
        return Err(Answer::text(405, "only GET and HEAD are answered\n"));
    }
    if let Some(stranger) = hosts(head).find(|host| !is_ours(host, names)) {
        return Err(Answer::text(
            421,
            format!(
                "this server is not called {:?}; use an address, localhost or the host's name, or add the name to metrics.names\n",
                name_of(&stranger)
            ),
        ));
    }
    let path = target.split(['?', '#']).next().unwrap_or(target);
    Ok((path.to_owned(), method))
}

/// What the client calls this server, in every Host line.
fn hosts(head: &[u8]) -> impl Iterator<Item = String> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':')?;
        let is_host = name.trim().eq_ignore_ascii_case("host");
        is_host.then(|| value.trim().to_owned())
    })
}

/// Without the port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.ends_with(':') && port.bytes().all(|it| it.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether a client that means us would call us so. A browser that a page of somebody else's has sent here, by a name that
/// suddenly leads to our address, calls us by that name. Addresses cannot be redirected in this way.
fn is_ours(host: &str, names: &[String]) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "0"),
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.strip_suffix('.').unwrap_or(name);
    port.parse::<u16>().is_ok()
        && (bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || names.iter().any(|ours| name.eq_ignore_ascii_case(ours)))
}

/// The answer as it goes over the wire. As HTTP/1.0, which means that the connection ends with it, and that its length stands
/// at its beginning.
pub(crate) fn on_paper(answer: Answer, with_body: bool, now: Timestamp) -> io::Result<Vec<u8>> {
    // The library's own date panics when the clock stands before 1970.
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut headers = vec![
        ("Content-Type", answer.content_type),
        ("Server", "reboot-coordinator"),
        // For browsers: what it is, what it may do, and that it is old at once.
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", answer.policy),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
        ("Date", &date),
    ];
    if answer.status == 405 {
        headers.push(("Allow", "GET, HEAD"));
    }
    let header = |(name, value): (&str, &str)| {
        Header::from_bytes(name, value).expect("names and values here are ASCII")
    };
    let headers = headers.into_iter().map(header).collect();
    let body = answer.body.into_bytes();
    let mut bytes = Vec::with_capacity(body.len() + 1024);
    let length = body.len();
    let status = StatusCode(answer.status);
    let response = Response::new(status, headers, &*body, Some(length), None);
    response.raw_print(&mut bytes, HTTPVersion(1, 0), &[], !with_body, None)?;
    Ok(bytes)
}

fn write_all(mut stream: &TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Closing while something is unread resets the connection, and the reset can overtake the answer. So what still comes is
/// read, within bounds, until the client has closed its side.
fn drain(stream: &TcpStream, until: Instant) -> io::Result<()> {
    let mut chunk = [0; 1024];
    let mut rest = 0;
    while rest < REST {
        match read_some(stream, &mut chunk, until)? {
            0 => break,
            count => rest += count,
        }
    }
    Ok(())
}

fn read_some(mut stream: &TcpStream, chunk: &mut [u8], until: Instant) -> io::Result<usize> {
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What is left of the time, never zero, which sockets take for no limit.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(1) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &[u8]) -> u16 {
        request(head, &["node-a".to_owned()]).map_or_else(|answer| answer.status, |_| 200)
    }

    #[test]
    fn a_request_is_a_method_a_path_and_a_version() {
        let (path, method) =
            request(b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", &[]).unwrap();
        assert_eq!((path.as_str(), method), ("/metrics", Method::Get));
        let (path, method) = request(b"HEAD / HTTP/1.0\n\n", &[]).unwrap();
        assert_eq!((path.as_str(), method), ("/", Method::Head));
    }

    #[test]
    fn anything_else_is_answered_with_what_is_wrong() {
        for (head, expected) in [
            (&b"POST /metrics HTTP/1.1\r\n\r\n"[..], 405),
            (b"BREW /metrics HTTP/1.1\r\n\r\n", 405),
            (b"GET /metrics\r\n\r\n", 400),
            (b"GET metrics HTTP/1.1\r\n\r\n", 400),
            (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
            (b"GET / HTTP/1.1 x\r\n\r\n", 400),
            (b"\r\n\r\n", 400),
            (b"\xff\xfe / HTTP/1.1\r\n\r\n", 400),
            ("Gät / HTTP/1.1\r\n\r\n".as_bytes(), 400),
            (b"\x16\x03\x01\x02\x00\x01\n\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a", 431),
        ] {
            assert_eq!(status(head), expected, "{}", head.escape_ascii());
        }
        let long = [
            b"GET / HTTP/1.1\r\nX: ",
            "x".repeat(HEAD).as_bytes(),
            b"\r\n\r\n",
        ]
        .concat();
        assert_eq!(status(&long), 431);
    }

    /// DNS rebinding: a page of somebody else's in a browser on this host.
    #[test]
    fn only_who_calls_us_by_our_name_is_answered() {
        for (host, expected) in [
            ("localhost", 200),
            ("LocalHost:9746", 200),
            ("127.0.0.1:9746", 200),
            ("10.1.2.3", 200),
            ("[::1]:9746", 200),
            ("[::1]", 200),
            ("::1", 421),
            ("node-a", 200),
            ("Node-A.:9746", 200),
            ("evil.example", 421),
            ("evil.example:9746", 421),
            ("node-a.evil.example:9746", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:80", 421),
            ("evil.example:127.0.0.1", 421),
            ("", 421),
        ] {
            for spelled in ["Host", "hOST"] {
                let head =
                    format!("GET /status.json HTTP/1.1\r\nX: y\r\n{spelled}: {host}\r\n\r\n");
                assert_eq!(status(head.as_bytes()), expected, "{host}");
            }
        }
        for (host, said) in [
            ("::1", "::1"),
            ("", ""),
            ("evil.example:9746", "evil.example"),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let answer = request(head.as_bytes(), &[]).unwrap_err();
            let said = format!("this server is not called \"{said}\"; ");
            assert!(answer.body.starts_with(&said), "{}", answer.body);
        }
        let two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
        assert_eq!(status(two), 421);
    }

    #[test]
    fn an_answer_has_a_length_a_date_and_an_end() {
        let before_1970 = Timestamp::from_second(-1).unwrap();
        let bytes = on_paper(Answer::text(405, "no\n"), true, before_1970).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.starts_with("HTTP/1.0 405 Method Not Allowed\r\n"),
            "{text}"
        );
        for line in [
            "Date: Wed, 31 Dec 1969 23:59:59 GMT",
            "Content-Length: 3",
            "Content-Type: text/plain; charset=utf-8",
            "Allow: GET, HEAD",
            "X-Content-Type-Options: nosniff",
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
            "Cache-Control: no-store",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
        assert!(text.ends_with("\r\n\r\nno\n"), "{text}");
        let head = on_paper(Answer::text(200, "x"), false, before_1970).unwrap();
        assert!(head.ends_with(b"\r\n\r\n"));
    }
}
