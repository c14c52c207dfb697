//! What the fuzz targets run; the tests run it over their collected inputs. Compiled for these two only, as a module of the
//! program, whose insides it looks at.

mod shown;

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{self, Problem};
use crate::core::windows::Windows;
use crate::escape::is_hidden;
use crate::lock::record::{self, Report, decode, encode};
use crate::lock::{Claim, Cooldown, History, NodeRecord, Pause, RebootRequest};
use crate::observe::http::exchange::{on_paper, request};
pub use shown::shown;

/// A configuration file with these bytes, in this folder.
///
/// # Panics
/// When a problem does not say where it is, or not on one line.
pub fn configuration(folder: &Path, bytes: &[u8]) {
    let path = folder.join("config.yaml");
    fs::write(&path, bytes).expect("the folder can be written");
    let lines = bytes.split(|b| *b == b'\n').count();
    let check = |problem: &Problem| {
        assert_eq!(problem.file, path, "{problem}");
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "{problem}"
        );
        assert!(!problem.message.trim().is_empty(), "{problem:?}");
        assert_eq!(problem.to_string().lines().count(), 1, "{problem:?}");
    };
    match config::load(&path) {
        Ok(loaded) => loaded.warnings.iter().for_each(check),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            problems.0.iter().for_each(check);
        }
    }
}

/// Windows: the first line is the zone, of the others those that begin with `-` deny and the rest allow.
///
/// # Panics
/// When an error says nothing, or when the window does not do what it said it would.
pub fn windows(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.lines().map(str::to_owned);
    let zone = lines.next().unwrap_or_default();
    // An operator writes a few; the time to judge grows with their number.
    let (deny, allow): (Vec<String>, Vec<String>) =
        lines.take(12).partition(|line| line.starts_with('-'));
    let deny: Vec<String> = deny.iter().map(|line| line[1..].to_owned()).collect();
    let windows = match Windows::parse(&zone, &deny, &allow) {
        Ok(windows) => windows,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            assert!(errors.iter().all(|error| !error.message.trim().is_empty()));
            return;
        }
    };
    let summer = Timestamp::from_second(1_784_000_000).expect("a moment of 2026");
    for now in [Timestamp::MIN, summer, Timestamp::MAX] {
        let open = windows.verdict(now).open;
        let Some(change) = windows.next_change(now) else {
            continue;
        };
        assert!(change > now, "{change} is not after {now}");
        assert_ne!(
            windows.verdict(change).open,
            open,
            "nothing changes at {change}"
        );
        assert_eq!(
            windows.next_open(now),
            Some(if open { now } else { change })
        );
    }
}

/// A value in etcd, read as every kind of record.
///
/// # Panics
/// When one that was read is not the same after it was written, or is of another version.
pub fn records(bytes: &[u8]) {
    kept::<Claim>(bytes);
    kept::<Pause>(bytes);
    kept::<Cooldown>(bytes);
    kept::<NodeRecord>(bytes);
    kept::<Report>(bytes);
    kept::<RebootRequest>(bytes);
    kept::<History>(bytes);
}

fn kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    match decode::<T>(bytes) {
        Ok(read) => {
            let written = encode(&read);
            assert_eq!(decode::<T>(&written), Ok(read));
            let value: serde_json::Value =
                serde_json::from_slice(&written).expect("it was just written");
            assert_eq!(value["v"], record::RECORD_VERSION);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The head of a request to the metrics server.
///
/// # Panics
/// When one is answered that does not call us by our name, or an answer is not in order.
pub fn heads(bytes: &[u8]) {
    match request(bytes, &["node-a".to_owned()]) {
        Ok((path, _)) => {
            assert!(
                path.starts_with('/') && !path.contains(['?', '#', ' ', '\n']),
                "{path:?}"
            );
            for line in bytes.split(|byte| *byte == b'\n').skip(1) {
                let line = String::from_utf8_lossy(line).to_lowercase();
                if let Some((name, host)) = line.split_once(':')
                    && name.trim() == "host"
                {
                    assert!(is_our_name(host.trim()), "{host:?}");
                }
            }
        }
        Err(answer) => {
            let answer = on_paper(answer, true, Timestamp::UNIX_EPOCH);
            let answer = answer.expect("memory is written");
            let text = String::from_utf8(answer).expect("an answer is text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head has an end");
            let status = head.get(9..12).unwrap_or_default();
            assert!(["400", "405", "421", "431"].contains(&status), "{head}");
            assert!(
                format!("{head}\r\n").contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
                "{head}"
            );
            assert!(!body.trim_end().contains(is_hidden), "{body:?}");
        }
    }
}

/// Judged otherwise than by the server itself.
fn is_our_name(host: &str) -> bool {
    let digits = |text: &str| {
        text.trim_start_matches('+')
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    };
    let port = host.rsplit_once(':').filter(|(_, port)| digits(port));
    let name = port.map_or(host, |(name, _)| name).trim_end_matches('.');
    let is_address = name.contains(['.', ':'])
        && name
            .chars()
            .all(|c| c.is_ascii_hexdigit() || ".:[]".contains(c));
    is_address || ["localhost", "node-a"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(target: &str, run: impl Fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
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
    fn configurations_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        each("configuration", |bytes| configuration(folder.path(), bytes));
    }

    #[test]
    fn windows_do_what_they_say() {
        each("windows", windows);
    }

    #[test]
    fn records_are_kept() {
        each("records", records);
    }

    #[test]
    fn heads_are_judged() {
        each("heads", heads);
    }

    #[test]
    fn records_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        each("shown", |bytes| shown(folder.path(), bytes));
    }
}
