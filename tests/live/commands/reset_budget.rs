//! `reset-budget`.

use serde_json::json;

use super::support::Field;

#[test]
fn a_used_budget_is_made_whole_and_nothing_else_is_changed() {
    let field = Field::new();
    let mut record = json!({
        "v": 1, "node": "node-a", "node_id": "x", "version": "9.9.9", "budget_used": 2, "of a newer program": [1],
        "last_reboot": {"boot_before": "b1", "boot_after": "b2", "at": "2026-01-05T10:00:00.000Z", "reasons": ["kernel"]},
    });
    field.put("nodes/node-a", &record);
    let ended = field.run(&["reset-budget", "node-a", "--reason", "kernel was repaired"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            0,
            "the reboot budget of node-a is whole again (2 used before)\n"
        )
    );
    record["budget_used"] = json!(0);
    assert_eq!(field.get("nodes/node-a").unwrap(), record);
    let history = field.list("history/");
    assert_eq!(history[0]["outcome"], "budget-reset");
    assert_eq!(history[0]["detail"], "kernel was repaired");
    assert!(history[0]["by"].as_str().unwrap().starts_with("eva@"));
    let listed = field.run(&["history"]).stdout;
    assert!(listed.contains("budget-reset"), "{listed}");
    // Again there is nothing to do, and nothing is left behind.
    let ended = field.run(&["reset-budget", "node-a", "--reason", "x"]);
    assert!(ended.code == 0 && ended.stdout.contains("nothing to do"));
    assert_eq!((field.list("history/").len(), field.leases()), (1, 1));
}

/// Until it looks again the node itself says what was true before.
#[test]
fn a_node_whose_budget_was_reset_is_not_shown_as_kept_by_it() {
    let field = Field::new();
    let record =
        json!({"v": 1, "node": "node-a", "node_id": "x", "version": "0.1.0", "budget_used": 1});
    field.put("nodes/node-a", &record);
    let at = "2026-01-05T10:00:00.000Z";
    let standing = json!({
        "v": 1, "node": "node-a", "node_id": "x", "state": "blocked", "since": at, "once": true,
        "required": {"since": at, "by": ["kernel"]},
        "blocked": {"gate": "budget", "label": "budget", "text": "1 of 1 reboots used, requirement not cleared", "since": at},
    });
    field.put("standing/node-a", &standing);
    let shown = field.run(&["status"]).stdout;
    assert!(shown.contains("reset-budget node-a"), "{shown}");
    let ended = field.run(&["reset-budget", "node-a", "--reason", "x"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let shown = field.run(&["status"]).stdout;
    let first = shown.split("\n\n").next().unwrap_or_default();
    assert!(first.contains("its budget was reset"), "{shown}");
    assert!(!first.contains("reset-budget"), "{shown}");
}

#[test]
fn a_node_that_is_rebooting_or_unknown_is_left_alone() {
    let field = Field::new();
    let ended = field.run(&["reset-budget", "node-a", "--reason", "x"]);
    assert!(ended.code == 1 && ended.stderr.contains("no member is called node-a"));
    let record =
        json!({"v": 1, "node": "node-a", "node_id": "x", "version": "0.1.0", "budget_used": 1});
    field.put("nodes/node-a", &record);
    field.claim("node-a", "rebooting");
    let ended = field.run(&["reset-budget", "node-a", "--reason", "x"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("nothing was changed"),
        "{ended:?}"
    );
    assert_eq!(field.get("nodes/node-a").unwrap(), record);
}
