//! Records of others, as people and programs see them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use etcd_rs_sync::{
    Error, Etcd, Header, KeyValue, Op, OpReply, Range, RangeReply, Reply, Request, TxnReply,
};
use jiff::Timestamp;
use log::kv::Value;

use crate::config::{self, Config};
use crate::escape::{is_hidden, lines, uncoloured};
use crate::etcd;
use crate::lock::Keys;
use crate::observe::log::line::{self, Style};
use crate::status::View;

/// How many records are read; a daemon reads as many for its page.
const MOST: usize = 3000;

/// Records: each ends with a NUL, and its first line is its key below `lock_key`. They are shown as `status`, `status --json`, the
/// page and the log show them.
///
/// # Panics
/// When a reader would see markup, escapes or another meaning than what was written.
pub fn shown(folder: &Path, bytes: &[u8]) {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| configuration(folder));
    let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
    let store = Written::of(&keys, bytes);
    let survey = etcd::read(&store, &keys, MOST).map(Arc::new);
    let now = Timestamp::from_second(1_784_000_000).expect("a moment of 2026");
    let view = View::of_command(config, survey, &[]);

    let text = lines(&view.text(false, now));
    // Ours end before the next begins: no colour came with what somebody wrote.
    let colours = text.split("\x1b[").skip(1).enumerate();
    let mut strange = colours.filter(|(at, part)| part.starts_with("0m") != (at % 2 == 1));
    assert!(strange.next().is_none(), "{text:?}");
    let text = uncoloured(&text);
    assert!(is_clean(&text), "{text:?}");
    let json = view.json(now);
    let cleaned = lines(&json);
    assert!(is_clean(&cleaned), "{cleaned:?}");
    let meaning = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    assert!(meaning(&json).is_some() && meaning(&json) == meaning(&cleaned));
    let page = view.page(now);
    assert!(is_clean(&page), "{page:?}");
    check_markup(&page);
    for pair in &store.pairs {
        let value = String::from_utf8_lossy(&pair.value);
        let [json, text] = logged(&value, &crate::lock::keys::shown(&pair.key));
        for line in [&json, &text] {
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
            assert!(is_clean(line), "{line:?}");
        }
        assert!(meaning(&json).is_some(), "{json}");
    }
}

/// A message and a field as the log writes them, in both formats.
fn logged(message: &str, field: &str) -> [String; 2] {
    let fields = [
        ("event", Value::from("fuzz")),
        (field, Value::from(message)),
    ];
    let fields = &fields[..];
    let mut record = log::Record::builder();
    let record = record.level(log::Level::Info).key_values(&fields);
    let plain = Style::default();
    let both = |record: &log::Record<'_>| {
        let json = line::json(record, "node-a", "now");
        [json, line::text(record, "now", plain)]
    };
    both(&record.args(format_args!("{message}")).build())
}

/// A host's, with nothing on it.
fn configuration(folder: &Path) -> Config {
    let here = folder.display();
    let script = folder.join("health");
    fs::write(&script, "#!/bin/sh\n").expect("the folder can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it was just written");
    let path = folder.join("shown.yaml");
    let text = format!(
        "node_name: node-a\nnode_id: id\nreboot_required_detectors: [{{type: file, path: {here}/required}}]\n\
         health_script: {here}/health\nlock_key: /rc\netcd_endpoints: [\"http://127.0.0.1:1\"]\nreboot_command: [/bin/true]\n\
         run_dir: {here}/run\nkill_switch_file: {here}/disable\n"
    );
    fs::write(&path, text).expect("the folder can be written");
    let loaded = config::load(&path);
    loaded
        .map(|loaded| loaded.config)
        .expect("this configuration is in order")
}

fn is_clean(text: &str) -> bool {
    !text.contains(|c| is_hidden(c) && c != '\n' && c != '\t')
}

/// Every tag is one that the page is made of, and ends; none does anything.
fn check_markup(page: &str) {
    const OURS: &str = " html head meta link title style script body header h1 h2 code main p div span section table thead tbody tr \
                        th td ul ol li details summary footer a pre b strong em small nav time dl dt dd noscript ";
    const ENDLESS: [&str; 3] = ["meta", "link", "br"];
    let mut open = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (tag, after) = rest[at + 1..].split_once('>').expect("a tag ends");
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        let name = tag.trim_start_matches('/');
        let name = name.split_ascii_whitespace().next().unwrap_or_default();
        assert!(OURS.contains(&format!(" {name} ")), "<{tag}>");
        assert!(!tag.contains(" on") && !tag.contains(" src="), "<{tag}>");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "<{tag}>");
        } else if !ENDLESS.contains(&name) {
            open.push(name);
        }
        // Their text is no markup.
        if name == "style" || name == "script" {
            let end = rest.find(&format!("</{name}>"));
            rest = &rest[end.unwrap_or(0)..];
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// An etcd with these pairs, which only reads.
struct Written {
    pairs: Vec<KeyValue>,
}

impl Written {
    fn of(keys: &Keys, bytes: &[u8]) -> Written {
        let mut pairs: Vec<KeyValue> = Vec::new();
        for (record, revision) in bytes.split(|byte| *byte == 0).zip(1..) {
            let end = record.iter().position(|byte| *byte == b'\n');
            let (key, value) = record.split_at(end.unwrap_or(record.len()));
            pairs.push(KeyValue {
                key: [keys.prefix().as_bytes(), b"/", key].concat(),
                value: value.get(1..).unwrap_or_default().to_vec(),
                create_revision: revision,
                mod_revision: revision,
                version: 1,
                // Some hang on a lease.
                lease: revision % 2,
            });
        }
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        pairs.dedup_by(|a, b| a.key == b.key);
        Written { pairs }
    }

    fn header(&self) -> Header {
        Header {
            cluster_id: 1,
            member_id: 1,
            revision: 100_000,
            raft_term: 1,
        }
    }

    fn range(&self, range: &Range) -> RangeReply {
        let (from, to) = (&range.keys.key, &range.keys.range_end);
        let inside = |pair: &&KeyValue| match to.is_empty() {
            true => pair.key == *from,
            false => pair.key >= *from && pair.key < *to,
        };
        let all: Vec<KeyValue> = self.pairs.iter().filter(inside).cloned().collect();
        let most = usize::try_from(range.limit).unwrap_or(0);
        let most = if most == 0 { usize::MAX } else { most };
        RangeReply {
            header: self.header(),
            more: all.len() > most,
            count: i64::try_from(all.len()).unwrap_or(i64::MAX),
            kvs: all.into_iter().take(most).collect(),
        }
    }
}

impl Etcd for Written {
    fn call(&self, request: &Request) -> Result<Reply, Error> {
        let read = |op: &Op| match op {
            Op::Range(range) => Ok(OpReply::Range(self.range(range))),
            Op::Put(_) | Op::Delete(_) | Op::Txn(_) => Err(only_reads()),
        };
        match request {
            Request::Range(range) => Ok(Reply::Range(self.range(range))),
            Request::Txn(txn) => Ok(Reply::Txn(TxnReply {
                header: self.header(),
                succeeded: true,
                replies: txn.success.iter().map(read).collect::<Result<_, _>>()?,
            })),
            _ => Err(only_reads()),
        }
    }
}

fn only_reads() -> Error {
    Error::Setup {
        detail: "this store is only read".to_owned(),
    }
}
