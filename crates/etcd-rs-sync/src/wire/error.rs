//! What a reply other than a plain 200 means.

use serde_json::Value;

use super::json::Object;
use super::part::parse;
use crate::Error;

/// Longest server text that goes into an error; the rest is cut.
const MAX_MESSAGE_CHARS: usize = 300;

/// gRPC codes, by the numbers that the gateway puts into its bodies.
mod code {
    pub(super) const INVALID_ARGUMENT: i64 = 3;
    pub(super) const NOT_FOUND: i64 = 5;
    pub(super) const ALREADY_EXISTS: i64 = 6;
    pub(super) const PERMISSION_DENIED: i64 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i64 = 8;
    pub(super) const FAILED_PRECONDITION: i64 = 9;
    pub(super) const OUT_OF_RANGE: i64 = 11;
    pub(super) const UNIMPLEMENTED: i64 = 12;
    pub(super) const UNAUTHENTICATED: i64 = 16;
}

/// What is said of a token that was made before a change of users, and of none at all.
const STALE: [&str; 2] = ["revision of auth store is old", "user name is empty"];

/// Of a status by which a proxy says that it reaches nobody: etcd gives a code with it.
const NOT_ETCDS: &str = ", which is no answer of etcd";

/// Whether any of these words are in the text.
pub(crate) fn holds_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|words| text.contains(words))
}

/// A server's "no", before it is judged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// gRPC code, 0 when the body carried none.
    pub(crate) code: i64,
    /// The server's words, shortened, on one line.
    pub(crate) message: String,
}

impl Refusal {
    /// Whether a new token may help: unknown or expired, made before a change of users, or none at all.
    pub(crate) fn wants_new_token(&self) -> bool {
        holds_any(&self.message, &STALE)
            || self.message.contains("invalid auth token")
            || self.code == code::UNAUTHENTICATED
    }
}

/// Reads an error body: one message's, in either dialect, or a stream's.
pub(crate) fn refusal(bytes: &[u8]) -> Refusal {
    let value = parse(bytes, false).ok();
    let parsed = value.as_ref().and_then(read);
    parsed.unwrap_or_else(|| Refusal {
        code: 0,
        message: one_line(&String::from_utf8_lossy(bytes)),
    })
}

fn read(value: &Value) -> Option<Refusal> {
    let outer = Object::new(value).ok()?;
    let inner = match outer.object("error") {
        Ok(Some(stream_error)) => stream_error,
        _ => outer,
    };
    let code = match inner.int("code") {
        Ok(0) | Err(_) => inner.int("grpc_code").unwrap_or(0),
        Ok(code) => code,
    };
    let message = match inner.text("message") {
        Ok("") | Err(_) => inner.text("error").unwrap_or(""),
        Ok(message) => message,
    };
    (code != 0 || !message.is_empty()).then(|| Refusal {
        code,
        message: one_line(message),
    })
}

/// Judges a reply that is not a 200 with the expected body, to a request that `writes` or does not. `http_status` is 0 for an error
/// inside a stream.
pub(crate) fn classify(http_status: u16, refusal: Refusal, writes: bool) -> Error {
    let Refusal { code, message } = refusal;
    if message.contains("etcdserver: no leader") {
        return Error::NoLeader { detail: message };
    }
    let by = match http_status {
        429 | 502..=504 if code == 0 => NOT_ETCDS,
        _ => "",
    };
    let said = match (http_status, message.as_str()) {
        (0, _) => format!("{message} (code {code})"),
        (_, "") => format!("HTTP {http_status} without a word{by}"),
        _ => format!("HTTP {http_status}{by}: {message}"),
    };
    if !certainly_without_effect(http_status, code) {
        return Error::OutcomeUnknown { detail: said };
    }
    if code == 0 {
        let detail = format!("what answers there is not etcd's gateway: {said}");
        // A filter puts its page in the place of an answer, too: then etcd has done what it was asked.
        return match writes && !of_etcd_itself(&message) {
            true => Error::OutcomeUnknown { detail },
            false => Error::NotSent { detail },
        };
    }
    if code == code::UNAUTHENTICATED
        || holds_any(&message, &STALE)
        || message.contains("authentication failed")
    {
        return Error::Unauthenticated { detail: message };
    }
    match code {
        code::PERMISSION_DENIED => Error::PermissionDenied { detail: message },
        code::NOT_FOUND if message.contains("lease not found") => Error::LeaseNotFound,
        _ if message.contains("lease already exists") => Error::LeaseExists,
        code::OUT_OF_RANGE => Error::Compacted { detail: message },
        _ => Error::Rejected {
            http_status,
            code,
            message,
        },
    }
}

/// Codes with which etcd refuses before, or instead of, applying. The others (canceled, unknown, deadline exceeded, aborted,
/// internal, unavailable) and every 5xx leave it open. Without a code it is not etcd that spoke, or not its API: then a plain
/// client error is believed of a read, and one that a proxy gives for want of an answer is not.
fn certainly_without_effect(http_status: u16, code: i64) -> bool {
    let definite_code = matches!(
        code,
        code::INVALID_ARGUMENT
            | code::NOT_FOUND
            | code::ALREADY_EXISTS
            | code::PERMISSION_DENIED
            | code::RESOURCE_EXHAUSTED
            | code::FAILED_PRECONDITION
            | code::OUT_OF_RANGE
            | code::UNIMPLEMENTED
            | code::UNAUTHENTICATED
    );
    match http_status {
        0 => definite_code,
        400..500 if code != 0 => definite_code,
        400..=407 | 410..=417 | 421 | 426 | 431 => true,
        _ => false,
    }
}

/// What etcd says without a code where it has no gateway, or one that takes no client with a name in its certificate.
fn of_etcd_itself(message: &str) -> bool {
    message == "404 page not found" || message.starts_with("CommonName of client")
}

/// Server text fit for a log line: bounded, and without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text
        .trim()
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.trim().chars().nth(MAX_MESSAGE_CHARS).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Error {
        classify(status, refusal(body.as_bytes()), false)
    }

    #[test]
    fn both_dialects_of_error_bodies_are_read() {
        let bodies = [
            r#"{"error":"etcdserver: x","message":"etcdserver: x","code":9}"#,
            r#"{"code":9, "message":"etcdserver: x", "details":[]}"#,
            r#"{"error":{"grpc_code":9,"http_code":400,"message":"etcdserver: x","http_status":"Bad Request"}}"#,
            r#"{"error":{"code":9, "message":"etcdserver: x"}}"#,
        ];
        for body in bodies {
            let expected = Refusal {
                code: 9,
                message: "etcdserver: x".into(),
            };
            assert_eq!(refusal(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn every_5xx_leaves_the_outcome_open() {
        for status in [500, 501, 502, 503, 504, 599] {
            for body in ["", "bad gateway", r#"{"code":3,"message":"x"}"#] {
                let error = judged(status, body);
                assert!(!error.is_definite(), "{status} {body}: {error:?}");
            }
        }
    }

    #[test]
    fn codes_that_do_not_rule_out_an_effect_leave_it_open_whatever_the_status() {
        for code in [1, 2, 4, 10, 13, 14, 15, 99] {
            for status in [0, 400, 408, 409, 429, 499] {
                let body = format!(r#"{{"code":{code},"message":"x"}}"#);
                assert!(!judged(status, &body).is_definite(), "{status} {body}");
            }
        }
        for status in [200, 204, 302, 408, 409, 425, 429, 499] {
            assert!(!judged(status, "not etcd").is_definite(), "{status}");
        }
    }

    #[test]
    fn a_page_that_is_not_of_etcd_says_nothing_of_a_write() {
        for (body, definite) in [
            ("", false),
            ("<html>Forbidden by policy</html>", false),
            ("<h1>404 page not found</h1>", false),
            (r#"{"message":"Forbidden"}"#, false),
            (r#"{"code":5,"message":"etcdserver: x"}"#, true),
            ("404 page not found\n", true),
            (
                "CommonName of client sending a request against gateway will be ignored",
                true,
            ),
        ] {
            for status in [400, 401, 403, 404, 405, 413, 417, 421, 431] {
                let error = classify(status, refusal(body.as_bytes()), true);
                assert_eq!(error.is_definite(), definite, "{status} {body}: {error:?}");
                assert!(judged(status, body).is_definite(), "{status} {body}");
            }
        }
    }

    /// Proxies say in pages, words of their own or none that they reach nobody; etcd gives a code.
    #[test]
    fn what_a_proxy_says_of_itself_comes_with_its_remedy() {
        let proxy = "into the proxy's log";
        for status in [429, 502, 503, 504] {
            for body in [
                "",
                "<html>x</html>",
                "no healthy upstream",
                "{\"error\": \"x\"}",
            ] {
                let told = judged(status, body).to_string();
                assert!(told.ends_with(proxy), "{told}");
            }
            let told = judged(status, r#"{"code":14,"message":"x"}"#).to_string();
            assert!(!told.contains(proxy), "{told}");
        }
    }

    #[test]
    fn the_write_that_exceeds_the_space_may_have_been_applied() {
        for (message, definite) in [
            ("etcdserver: mvcc: database space exceeded", false),
            ("etcdserver: too many requests", true),
        ] {
            let body = format!(r#"{{"code":8,"message":"{message}"}}"#);
            assert_eq!(judged(429, &body).is_definite(), definite, "{message}");
        }
    }

    #[test]
    fn known_refusals_are_told_apart() {
        let body = |code: i64, text: &str| format!(r#"{{"code":{code},"message":"{text}"}}"#);
        let cases = [
            (
                404,
                body(5, "etcdserver: requested lease not found"),
                "LeaseNotFound",
            ),
            (
                412,
                body(9, "etcdserver: lease already exists"),
                "LeaseExists",
            ),
            (
                400,
                body(9, "etcdserver: lease already exists"),
                "LeaseExists",
            ),
            (503, body(14, "etcdserver: no leader"), "NoLeader"),
            (0, body(14, "etcdserver: no leader"), "NoLeader"),
            (
                400,
                body(11, "etcdserver: mvcc: required revision has been compacted"),
                "Compacted",
            ),
            (
                401,
                body(16, "etcdserver: invalid auth token"),
                "Unauthenticated",
            ),
            (
                400,
                body(3, "etcdserver: user name is empty"),
                "Unauthenticated",
            ),
            (
                400,
                body(3, "etcdserver: revision of auth store is old"),
                "Unauthenticated",
            ),
            (
                403,
                body(7, "etcdserver: permission denied"),
                "PermissionDenied",
            ),
            (
                429,
                body(8, "etcdserver: mvcc: database space exceeded"),
                "Rejected",
            ),
            (
                400,
                body(3, "etcdserver: too many operations in txn request"),
                "Rejected",
            ),
            (404, "404 page not found".into(), "NotSent"),
            (403, "<html>denied by the proxy</html>".into(), "NotSent"),
            (401, "".into(), "NotSent"),
        ];
        for (status, body, variant) in cases {
            let error = format!("{:?}", judged(status, &body));
            assert!(error.starts_with(variant), "{status} {body}: {error}");
        }
    }

    #[test]
    fn server_text_is_bounded_and_on_one_line() {
        let text = one_line(&format!("a\r\n{}", "x".repeat(10_000)));
        assert!(text.starts_with("a  x") && text.chars().count() <= MAX_MESSAGE_CHARS + 1);
    }
}
