//! What the fuzz targets of `tests/fuzz/targets` run; the tests run it over their collected inputs. Compiled for these two only.

use std::io::{self, Read};

use crate::wire::{self, refusal};
use crate::{Compare, Delete, Keys, Op, Put, Range, Request, Txn};

/// The body of a reply: the first byte says to which request, the second with which status, the rest is the body.
///
/// # Panics
/// When something is understood that cannot be, or when an error is not fit for a log line.
pub fn gateway(bytes: &[u8]) {
    let [kind, status, body @ ..] = bytes else {
        return;
    };
    let requests = requests();
    let request = &requests[usize::from(*kind) % requests.len()];
    if let Err(why) = wire::reply(request, body) {
        assert!(!why.is_empty());
    }
    // A body that is no answer must not become one by its status.
    let refused = refusal(body);
    assert!(refused.message.chars().count() <= 301);
    assert!(!refused.message.contains(char::is_control));
    let error = wire::classify(100 + u16::from(*status) * 2, refused, true);
    assert!(!error.to_string().is_empty());
    if let Ok(token) = wire::auth_token(body) {
        assert!(token.bytes().all(|b| b.is_ascii_graphic()), "{token:?}");
    }
    let _ = wire::version(body); // text or an error, nothing else to be said of it
}

/// A watch's stream: the first byte says in what pieces it comes, the rest is the stream.
///
/// # Panics
/// When the lines are not those of the stream.
pub fn watch(bytes: &[u8]) {
    let [piece, stream @ ..] = bytes else {
        return;
    };
    let pieces = Pieces(io::Cursor::new(stream.to_vec()), usize::from(*piece) + 1);
    let lines = crate::watch::lines(ureq::Body::builder().reader(pieces).into_reader());
    let complete = stream.split_inclusive(|b| *b == b'\n');
    let expected: Vec<&[u8]> = complete
        .filter(|line| line.ends_with(b"\n") && !line.trim_ascii().is_empty())
        .collect();
    assert_eq!(lines, expected);
    for line in lines {
        let _ = wire::message(&line); // a message or an error, but no panic
    }
}

/// One of each kind, a transaction with every kind of operation among them.
fn requests() -> Vec<Request> {
    let range = Range::of(Keys::prefix("k"));
    let ops = vec![
        Op::Put(Put::new("k", "v", 0)),
        Op::Delete(Delete::of(Keys::one("k"))),
        Op::Range(range.clone()),
    ];
    let nested = Txn {
        success: ops.clone(),
        ..Txn::default()
    };
    let txn = Txn {
        compares: vec![Compare::create_revision(Keys::one("k"), 0)],
        success: vec![Op::Txn(nested)],
        failure: ops,
    };
    vec![
        Request::Range(range),
        Request::Put(Put::new("k", "v", 0)),
        Request::Delete(Delete::of(Keys::one("k"))),
        Request::Txn(txn),
        Request::Grant { id: 7, ttl_sec: 60 },
        Request::Revoke { id: 7 },
        Request::KeepAlive { id: 7 },
        Request::TimeToLive { id: 7, keys: true },
        Request::Compact { revision: 7 },
        Request::Status,
        Request::Members,
    ]
}

/// Bytes that come in pieces of at most this length.
struct Pieces(io::Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.1.min(buffer.len());
        self.0.read(&mut buffer[..most])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    fn each(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(target)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "no inputs for {target}");
    }

    #[test]
    fn replies() {
        each("gateway", super::gateway);
    }

    #[test]
    fn streams() {
        each("watch", super::watch);
    }
}
