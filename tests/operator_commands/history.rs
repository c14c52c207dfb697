//! What `history` can read.

use etcd_rs_sync::{Etcd as _, Op, Put, Txn};
use serde_json::json;

use crate::support::{Field, LOCK};

/// More in one page than the client reads of an answer.
#[test]
fn long_entries_are_read_in_smaller_pages() {
    let field = Field::new();
    let text = "x".repeat(30_000);
    let entry = |n: usize| {
        let entry = json!({
            "v": 1, "node": format!("node-{n:03}"), "outcome": "completed", "detail": text, "reasons": ["kernel"],
            "since": "2026-11-23T11:00:00Z", "committed_at": null, "ended_at": "2026-11-23T12:00:00Z",
        });
        Op::Put(Put::new(
            format!("{LOCK}/history/{n:03}"),
            entry.to_string(),
            0,
        ))
    };
    for first in (0..520).step_by(26) {
        let success = (first..first + 26).map(entry).collect();
        let txn = Txn {
            success,
            ..Txn::default()
        };
        field.client.txn(txn).unwrap();
    }
    let ended = field.run(&["history", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let entries: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
    let nodes = entries.iter().map(|entry| entry["node"].as_str().unwrap());
    let expected: Vec<String> = (0..520).map(|n| format!("node-{n:03}")).collect();
    assert!(nodes.eq(expected.iter()), "each once, in order");
}
