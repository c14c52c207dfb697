//! `go-on`, and what takes the mark of a failed reboot away.

use serde_json::json;

use super::support::{Field, program, run};

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

/// It came back and its requirement was not cleared: its claim is gone, and what stops the line is not.
#[test]
fn release_without_a_claim_says_what_ends_a_failure_that_stops_the_line() {
    let field = Field::new();
    let record =
        json!({"v": 1, "node": "node-b", "node_id": "x", "version": "0.1.0", "budget_used": 1});
    field.put("nodes/node-b", &record);
    failed(&field, "node-b", 7);
    let ended = field.run(&["release", "node-b", "--reason", "x", "--yes"]);
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        (ended.code, told.join(" ").as_str()),
        (
            0,
            "node-b holds no claim: there is nothing to release its reboot is still marked as failed, which stops the line. When \
             the host is there and may try again: reboot-coordinator reset-budget node-b --reason TEXT. When it is gone for good: \
             reboot-coordinator forget node-b"
        )
    );
    assert!(ended.stdout.lines().all(|line| line.len() <= 80));
    assert!(field.get("line/failed/node-b").is_some());
    let ended = field.run(&["reset-budget", "node-b", "--reason", "x"]);
    assert_eq!((ended.code, field.get("line/failed/node-b")), (0, None));
}

/// What it lets go has no place to go to.
#[test]
fn go_on_says_that_failed_nodes_hold_every_place() {
    let field = Field::new();
    failed(&field, "node-b", 7);
    field.claim("node-b", "rebooting");
    for (limit, full) in [(1, true), (2, false)] {
        let config = field.config("admin", &format!("max_concurrent_reboots: {limit}\n"));
        let ended = run(&config, &["go-on", "--reason", "known"]);
        let told = ended.stdout.split_whitespace().collect::<Vec<_>>();
        let told = told.join(" ");
        assert!(
            ended.code == 0
                && told.contains("the line goes on until the next failure, in spite of: node-b"),
            "{ended:?}"
        );
        let places = "nobody goes while node-b holds every place there is; when it will not return: reboot-coordinator release \
                      node-b --reason TEXT";
        assert_eq!(told.contains(places), full, "{told}");
        assert_eq!(told.contains("nobody goes"), full, "{told}");
    }
}

/// Its exit code is one that the help explains.
#[test]
fn a_pass_behind_a_stopped_line_ends_as_the_help_says() {
    let field = Field::new();
    failed(&field, "node-b", 7);
    std::fs::write(field.path("admin.required"), "").unwrap();
    let ended = field.run(&["run", "--once"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    let ended = program().arg("help").output().unwrap();
    let help = String::from_utf8(ended.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = " 5 kill switch, pause, or a stopped line";
    assert!(help.contains(told), "{help}");
}

#[test]
fn release_forget_and_reset_budget_take_the_mark_away() {
    let field = Field::new();
    for (command, claimed, used) in [
        ("release", true, 1),
        ("forget", false, 1),
        ("reset-budget", false, 1),
        ("reset-budget", false, 0),
    ] {
        let record = json!({"v": 1, "node": "node-b", "node_id": "x", "version": "0.1.0", "budget_used": used});
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
