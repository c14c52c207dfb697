//! Real sockets on this host: servers that answer well, badly, too much, too slowly, or not at all.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use serde_json::json;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A server that does this with the one connection it accepts, once the request is there.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request: Vec<u8> = Vec::new();
        let mut buffer = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => request.extend(&buffer[..length]),
            }
        }
        serve(stream);
    });
    format!("http://{address}/state")
}

/// A server that answers with this and closes.
fn says(status: &str, headers: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}");
    server(move |mut stream| {
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn asked(url: String, means: HttpMeans, limit: Duration) -> DetectorResult {
    let check = HttpCheck {
        url,
        means,
        ca_file: None,
    };
    ask(&check, limit, &Cancel::new())
}

fn flag() -> HttpMeans {
    HttpMeans::Json("/reboot/required".into(), json!(true))
}

fn failure(result: DetectorResult) -> String {
    match result {
        DetectorResult::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_value_at_the_pointer_decides() {
    let required = |text: &str| DetectorResult::Required(text.into());
    for (body, pointer, equals, expected) in [
        (
            r#"{"reboot":{"required":true}}"#,
            "/reboot/required",
            json!(true),
            required("/reboot/required is true"),
        ),
        (
            r#"{"reboot":{"required":false}}"#,
            "/reboot/required",
            json!(true),
            DetectorResult::Clear,
        ),
        (
            r#"{"reboot":{"required":"true"}}"#,
            "/reboot/required",
            json!(true),
            DetectorResult::Clear,
        ),
        (
            r#"{"reboot":{"required":null}}"#,
            "/reboot/required",
            json!(true),
            DetectorResult::Clear,
        ),
        (
            r#"{"pending":[0, 2.0]}"#,
            "/pending/1",
            json!(2),
            required("/pending/1 is 2.0"),
        ),
        (
            r#"{"a/b":"yes"}"#,
            "/a~1b",
            json!("yes"),
            required("/a~1b is \"yes\""),
        ),
        (
            r#""yes""#,
            "",
            json!("yes"),
            required("the document is \"yes\""),
        ),
    ] {
        let means = HttpMeans::Json(pointer.into(), equals);
        assert_eq!(
            asked(says("200 OK", "", body), means, LIMIT),
            expected,
            "{body}"
        );
    }
}

#[test]
fn status_codes_decide_and_what_was_not_foreseen_is_an_error() {
    for (status, expected) in [
        ("205 Reset", Some(true)),
        ("409 Conflict", Some(true)),
        ("200 OK", Some(false)),
        ("204 No Content", Some(false)),
        ("404 Not Found", None),
        ("500 Oops", None),
        ("302 Found", None),
    ] {
        let url = says(status, "location: /elsewhere\r\n", "");
        let result = asked(url, HttpMeans::Status(vec![205, 409]), LIMIT);
        let meaning = match result {
            DetectorResult::Required(_) => Some(true),
            DetectorResult::Clear => Some(false),
            DetectorResult::Failed(_) => None,
        };
        assert_eq!(meaning, expected, "{status}");
    }
}

#[test]
fn what_is_no_answer_is_an_error_and_not_absence() {
    let good = r#"{"reboot":{"required":true}}"#;
    for (url, words) in [
        (says("200 OK", "", "{}"), "nothing at /reboot/required"),
        (says("200 OK", "", "<html>"), "is not JSON"),
        (says("200 OK", "", ""), "is not JSON"),
        (says("200 OK", "content-length: 500\r\n", good), "broke off"),
        (says("404 Not Found", "", good), "status 404"),
        (says("503 Busy", "", good), "status 503"),
        (
            says("301 Moved", "location: http://127.0.0.1:1/\r\n", good),
            "redirects are not followed",
        ),
        (says("what", "", ""), ""),
        (server(drop), ""),
        ("http://127.0.0.1:1/".to_owned(), "refused"),
        ("http://does-not-exist.invalid/".to_owned(), ""),
        ("http://[::ffff:127.0.0.1]:1/".to_owned(), ""),
    ] {
        let shown = url.clone();
        let why = failure(asked(url, flag(), LIMIT));
        assert!(why.contains(words), "{shown}: {why}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let location = format!("location: http://{}/\r\n", target.local_addr().unwrap());
    failure(asked(says("302 Found", &location, ""), flag(), LIMIT));
    assert!(target.accept().is_err(), "nobody came");
}

/// Writes without end, until the other side hangs up.
fn endless(first: &'static [u8], more: &'static [u8]) -> String {
    server(move |mut stream| {
        let _ = stream.write_all(first);
        while stream.write_all(more).is_ok() {}
    })
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[";
    let why = failure(asked(endless(head, b"[[[[[[[["), flag(), LIMIT));
    assert!(why.contains("longer than 262144 bytes"), "{why}");
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let why = failure(asked(endless(chunked, b"4\r\n[[[[\r\n"), flag(), LIMIT));
    assert!(why.contains("longer than 262144 bytes"), "{why}");
    failure(asked(
        endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        flag(),
        LIMIT,
    ));
}

#[test]
fn a_slow_server_costs_its_limit() {
    let limit = Duration::from_millis(300);
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    // One says nothing at all, one stops in the middle; both keep the connection open.
    let silent = server(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
    });
    let stalled = server(|mut stream| {
        let _ = stream.write_all(head);
        let _ = stream.read(&mut [0; 1]);
    });
    for url in [silent, stalled] {
        let began = Instant::now();
        let why = failure(asked(url, flag(), limit));
        assert_eq!(why, "no complete answer within 0.3 s");
        assert!(began.elapsed() < LIMIT);
    }
}

#[test]
fn a_document_and_a_header_may_be_long_up_to_their_limits() {
    let most = usize::try_from(MAX_BODY_BYTES).unwrap();
    let value = r#"{"reboot":{"required":true}}"#;
    let header = format!("x-long: {}\r\n", "x".repeat(8000));
    for (length, fits) in [(most, true), (most + 1, false)] {
        let body = format!("{value}{}", " ".repeat(length - value.len()));
        let result = asked(says("200 OK", &header, &body), flag(), LIMIT);
        match result {
            DetectorResult::Required(_) => assert!(fits),
            DetectorResult::Failed(why) => assert!(!fits && why.contains("longer than"), "{why}"),
            DetectorResult::Clear => panic!("it is true"),
        }
    }
}

#[test]
fn authorities_are_read_from_the_file_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = write("ca.crt", include_str!("../../config/tests/tls/ca.crt"));
    let empty = write("empty.crt", "");
    assert!(tls(Some(&good)).is_ok());
    let why = tls(Some(&empty)).unwrap_err();
    assert!(why.ends_with("holds no certificate"), "{why}");
    assert!(tls(Some(&folder.path().join("gone"))).is_err());
}

#[test]
fn authorities_are_not_waited_for() {
    let why = tls(Some(Path::new("/dev/null"))).unwrap_err();
    assert!(why.contains("is not a regular file"), "{why}");
}

/// Another server may listen there, and its answer would count.
#[test]
fn a_port_that_is_none_is_not_taken_for_the_default_one() {
    for (url, port) in [
        ("http://127.0.0.1/x", Some(80)),
        ("https://127.0.0.1", Some(443)),
        ("http://[::1]:8080/x", Some(8080)),
        ("http://127.0.0.1:99999/x", None),
        ("http://127.0.0.1:65616/x", None),
        ("https://127.0.0.1:8o/x", None),
        ("http://127.0.0.1:0/x", None),
        ("http://127.0.0.1:/x", None),
    ] {
        let found = Names.resolve(
            &url.parse().unwrap(),
            &Config::default(),
            NextTimeout::default(),
        );
        let found = found.ok().map(|addresses| addresses[0].port());
        assert_eq!(found, port, "{url}");
    }
}
