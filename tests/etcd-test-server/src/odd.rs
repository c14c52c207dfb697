//! Answers that no etcd gives: endless, slow, huge, of other shapes, repeating what they were sent.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::HttpRequest;

/// What answers in the place of etcd. One odd answer a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Nothing, for ever.
    Silence,
    /// An end without a word.
    HangUp,
    /// Bytes that are no HTTP.
    Garbage,
    /// A page for people.
    Html,
    /// The same as an error of a gateway.
    BadGateway,
    /// To itself, for ever.
    Redirect,
    /// A body of white space without end, as fast as it goes.
    EndlessBody,
    /// The same in chunks of open brackets.
    EndlessChunks,
    /// Header lines without end.
    EndlessHead,
    /// Interim replies without end.
    EndlessInterim,
    /// A byte now and then, in a body.
    SlowBody,
    /// A byte now and then, in a head.
    SlowHead,
    /// 15 MB in a field that nobody reads, of nested objects.
    HugeAside,
    /// 15 MB of small objects in each other where pairs are expected.
    HugeList,
    /// One value of 15 MB.
    HugeValue,
    /// A hundred thousand lists in each other.
    Deep,
    /// Every field is of another type than it should be.
    WrongTypes,
    /// Bytes that say that they are compressed.
    Compressed,
    /// Success, whatever was asked, with any number of results.
    Yes,
    /// An error that is another one each time.
    Changing,
    /// The request, in an error.
    Echo,
    /// The request, as an error of etcd's gateway that asks for another login.
    EchoOfLogin,
    /// The request, as the lines of a head.
    EchoInHead,
}

const HEADER: &str =
    r#""header":{"cluster_id":"1","member_id":"2","revision":"5","raft_term":"2"}"#;
/// Below the 16 MiB that the client reads of an answer.
const HUGE: usize = 15_000_000;
/// Between two bytes of what is slow.
const SLOW: Duration = Duration::from_millis(20);

impl Odd {
    pub(crate) fn answer(self, request: &HttpRequest, client: &TcpStream) -> io::Result<()> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut client = client;
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = match self {
            Odd::Silence => return client.read(&mut [0]).map(drop),
            Odd::HangUp => Vec::new(),
            Odd::Garbage => b"\x16\x03\x01\x02\x00\x00\xff\xfe\r\n\r\n".to_vec(),
            Odd::Html => ok("<!DOCTYPE html><html><h1>Sign in</h1><script>x()</script></html>"),
            Odd::BadGateway => with("502 Bad Gateway", "", "<html>\u{9b}31mno upstream</html>"),
            Odd::Redirect => with(
                "307 Temporary Redirect",
                &format!("Location: {}\r\n", request.path),
                "",
            ),
            Odd::EndlessBody => {
                return endless(client, "HTTP/1.1 200 OK\r\n\r\n", &" ".repeat(1024), None);
            }
            Odd::EndlessChunks => {
                let chunk = format!("400\r\n{}\r\n", "[".repeat(1024));
                return endless(client, chunked, &chunk, None);
            }
            Odd::EndlessHead => {
                let line = "X-More: and more and more and more\r\n";
                return endless(client, "HTTP/1.1 200 OK\r\n", line, None);
            }
            Odd::EndlessInterim => {
                return endless(client, "", "HTTP/1.1 100 Continue\r\n\r\n", None);
            }
            Odd::SlowBody => return endless(client, chunked, "1\r\n \r\n", Some(SLOW)),
            Odd::SlowHead => {
                return endless(client, "HTTP/1.1 200 OK\r\nX: ", "x", Some(SLOW));
            }
            Odd::HugeAside => huge(r#""aside":["#, r#"{"a":{"b":{"c":[{}]}}}"#, "]"),
            Odd::HugeList => huge(r#""kvs":["#, r#"{"kv":{"kv":{"kv":{"kv":{}}}}}"#, "]"),
            Odd::HugeValue => ok(&format!(
                r#"{{{HEADER},"kvs":[{{"value":"{}"}}]}}"#,
                "QUFB".repeat(HUGE / 4)
            )),
            Odd::Deep => ok(&"{\"kvs\":[".repeat(100_000)),
            Odd::WrongTypes => ok(
                r#"{"header":[],"etcdserver":{},"succeeded":"yes","responses":{},"kvs":7,"count":[],"ID":{},"TTL":null,"token":{},"result":"x","created":1}"#,
            ),
            Odd::Compressed => with(
                "200 OK",
                "Content-Encoding: gzip\r\nContent-Type: application/json\r\n",
                "\u{1f}gzip\0\0\0\0 not really",
            ),
            Odd::Yes => ok(&yes(count)),
            Odd::Changing => with(
                "503 Service Unavailable",
                "",
                &format!(
                    r#"{{"error":"trouble {count}","message":"trouble {count} of request {count:x}","code":{}}}"#,
                    count % 17
                ),
            ),
            Odd::Echo => with("400 Bad Request", "", &whole(request)),
            Odd::EchoOfLogin => {
                let text = whole(request).escape_default().to_string();
                let text = text
                    .replace("\\'", "'")
                    .replace("\\u{", "")
                    .replace('}', "");
                with(
                    "401 Unauthorized",
                    "",
                    &format!(r#"{{"error":"{text}","message":"{text}","code":16}}"#),
                )
            }
            Odd::EchoInHead => {
                format!("HTTP/1.1 200 {0}\r\n{0}: {0}\r\n\r\n", whole(request)).into()
            }
        };
        client.write_all(&bytes)
    }
}

fn whole(request: &HttpRequest) -> String {
    format!("{}{}", request.head, String::from_utf8_lossy(&request.body))
}

fn ok(body: &str) -> Vec<u8> {
    with("200 OK", "Content-Type: application/json\r\n", body)
}

fn with(status: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A well-formed answer with as many `parts` as make it huge.
fn huge(before: &str, part: &str, after: &str) -> Vec<u8> {
    let mut parts = format!("{part},").repeat(HUGE / (part.len() + 1));
    parts.push_str(part);
    ok(&format!("{{{HEADER},{before}{parts}{after}}}"))
}

/// Fits a transaction now and then, by the number of its results.
fn yes(count: usize) -> String {
    let result = r#"{"response_range":{},"response_put":{},"response_delete_range":{}}"#;
    let results = vec![result; count % 12].join(",");
    format!(
        r#"{{{HEADER},"etcdserver":"3.5.16","succeeded":true,"ID":"7","TTL":"60","token":"x","responses":[{results}],"result":{{{HEADER},"created":true,"TTL":"60"}}}}"#
    )
}

/// Writes the first, and then the other until the client has enough.
fn endless(
    mut client: &TcpStream,
    first: &str,
    then: &str,
    pause: Option<Duration>,
) -> io::Result<()> {
    client.write_all(first.as_bytes())?;
    loop {
        client.write_all(then.as_bytes())?;
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
    }
}
