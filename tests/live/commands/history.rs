//! What `history` can read.

use etcd_rs_sync::{Etcd as _, Op, Put, Txn};
use serde_json::json;

use super::support::{Field, LOCK};

/// Of a group whose `lock_key` is that of this one and `/history`.
#[test]
fn keys_of_a_group_below_the_history_are_no_attempts_of_this_one() {
    let field = Field::new();
    let entry = |node: &str| {
        json!({
            "v": 1, "node": node, "outcome": "completed", "detail": "back and healthy", "reasons": ["kernel"],
            "since": "2026-11-23T11:00:00Z", "committed_at": null, "ended_at": "2026-11-23T12:00:00Z",
        })
    };
    field.put("history/2026-11-23T12:00:00.000Z-node-a", &entry("node-a"));
    field.put("history/nodes/x", &json!({"v": 1, "node": "x"}));
    field.put(
        "history/history/2026-11-23T12:00:00.000Z-x",
        &entry("node-x"),
    );
    let listed = field.run(&["history"]);
    assert!(
        listed.stdout.contains("node-a") && listed.stdout.lines().count() == 2,
        "{listed:?}"
    );
    let status = field.run(&["status"]).stdout;
    assert!(
        status.contains("node-a  completed") && !status.contains("node-x"),
        "{status}"
    );
}

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
