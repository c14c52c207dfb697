//! `go-on`, and what takes the mark of a failed reboot away.

use serde_json::json;

use crate::support::Field;

fn failed(field: &Field, node: &str, claim: i64) {
    let mark = json!({
        "v": 1, "node": node, "claim": claim, "kind": "unhealthy", "detail": "disk sda1 is gone", "reasons": ["kernel"],
        "since": "2026-01-05T10:00:00.000Z",
    });
    field.put(&format!("line/failed/{node}"), &mark);
}

#[test]
fn the_word_names_each_failure_and_counts_for_no_other() {
    let field = Field::new();
    let go_on = ["go-on", "--reason", "known", "--nodes", "2"];
    let ended = field.run(&go_on);
    assert!(ended.code == 0 && ended.stdout.contains("no reboot is marked as failed"));
    assert_eq!(field.get("line/go-on"), None);
    failed(&field, "node-b", 7);
    failed(&field, "node-c", 9);
    let ended = field.run(&go_on);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            0,
            "the line goes on for 2 more nodes, or until the next failure, in spite of: node-b, node-c\n"
        )
    );
    let word = field.get("line/go-on").unwrap();
    assert_eq!(word["known"], json!({"node-b": 7, "node-c": 9}));
    assert_eq!(
        (&word["left"], &word["reason"]),
        (&json!(2), &json!("known"))
    );
    let ended = field.run(&["go-on"]);
    assert_eq!(ended.code, 64, "without a reason: {ended:?}");
}

/// Its claim is as old as can be by the clocks of its node and of this host, of which one is wrong. What the word named would not
/// count when it failed later.
#[test]
fn a_reboot_that_only_looks_old_is_not_named() {
    let field = Field::new();
    field.claim("node-b", "rebooting");
    let ended = field.run(&["go-on", "--reason", "known"]);
    assert!(ended.stdout.contains("no reboot is marked"), "{ended:?}");
    failed(&field, "node-c", 9);
    assert_eq!(field.run(&["go-on", "--reason", "known"]).code, 0);
    assert_eq!(
        field.get("line/go-on").unwrap()["known"],
        json!({"node-c": 9})
    );
}

#[test]
fn release_forget_and_reset_budget_take_the_mark_away() {
    let field = Field::new();
    let record =
        json!({"v": 1, "node": "node-b", "node_id": "x", "version": "0.1.0", "budget_used": 1});
    for (command, claimed) in [
        ("release", true),
        ("forget", false),
        ("reset-budget", false),
    ] {
        field.put("nodes/node-b", &record);
        if claimed {
            field.claim("node-b", "rebooting");
        }
        failed(&field, "node-b", 7);
        let mut words = vec![command, "node-b"];
        words.extend(match command {
            "reset-budget" => ["--reason", "x"].as_slice(),
            "release" => &["--yes", "--reason", "x"],
            _ => &[],
        });
        let ended = field.run(&words);
        assert_eq!(ended.code, 0, "{command}: {ended:?}");
        assert_eq!(field.get("line/failed/node-b"), None, "{command}");
    }
}
