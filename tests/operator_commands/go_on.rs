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
    assert!(ended.code == 0 && ended.stdout.contains("the line does not stand"));
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
