//! One request and its answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tiny_http::{HTTPVersion, Header, Method, Response, StatusCode};

use super::Answer;

/// How long the head of a request may be. Prometheus sends 300 bytes.
const HEAD: usize = 8 * 1024;

/// How long it may take to arrive, all of it.
const READ: Duration = Duration::from_secs(5);

/// How long the answer may take to be accepted, all of it.
const WRITE: Duration = Duration::from_secs(5);

/// How much of what still arrives is read before the connection is closed.
const REST: usize = 64 * 1024;

/// Reads a request, answers it, and is done with the connection. Time is measured here because the network is waited for here.
pub(super) fn exchange(
    stream: &TcpStream,
    pages: &(dyn Fn(&str) -> Answer + Send + Sync),
) -> io::Result<()> {
    let read_until = Instant::now() + READ;
    let head = read_head(stream, read_until)?;
    let (answer, with_body) = match request(&head) {
        Ok((path, method)) => (pages(&path), method == Method::Get),
        Err(answer) => (answer, true),
    };
    let bytes = on_paper(answer, with_body, Timestamp::now())?;
    let write_until = Instant::now() + WRITE;
    write_all(stream, &bytes, write_until)?;
    stream.shutdown(Shutdown::Write)?;
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
fn request(head: &[u8]) -> Result<(String, Method), Answer> {
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
    let path = target.split(['?', '#']).next().unwrap_or(target);
    Ok((path.to_owned(), method))
}

/// The answer as it goes over the wire. As HTTP/1.0, which means that the connection ends with it, and that its length stands
/// at its beginning.
fn on_paper(answer: Answer, with_body: bool, now: Timestamp) -> io::Result<Vec<u8>> {
    let mut headers = vec![
        header("Content-Type", answer.content_type),
        header("Server", "reboot-coordinator"),
        // For browsers: what it is, what it may do, and that it is old at once.
        header("X-Content-Type-Options", "nosniff"),
        header("Content-Security-Policy", answer.policy),
        header("Referrer-Policy", "no-referrer"),
        header("Cache-Control", "no-store"),
        // The library's own panics when the clock stands before 1970.
        header(
            "Date",
            &now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ),
    ];
    if answer.status == 405 {
        headers.push(header("Allow", "GET, HEAD"));
    }
    let body = answer.body.into_bytes();
    let mut bytes = Vec::with_capacity(body.len() + 1024);
    let length = body.len();
    Response::new(
        StatusCode(answer.status),
        headers,
        &*body,
        Some(length),
        None,
    )
    .raw_print(&mut bytes, HTTPVersion(1, 0), &[], !with_body, None)?;
    Ok(bytes)
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("names and values here are ASCII")
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
        request(head).map_or_else(|answer| answer.status, |_| 200)
    }

    #[test]
    fn a_request_is_a_method_a_path_and_a_version() {
        let (path, method) = request(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!((path.as_str(), method), ("/metrics", Method::Get));
        let (path, method) = request(b"HEAD / HTTP/1.0\n\n").unwrap();
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
