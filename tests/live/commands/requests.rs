//! `request`.

use etcd_rs_sync::{Etcd as _, Keys, Range};
use serde_json::json;

use super::support::{Field, LOCK, run};

fn member(field: &Field, node: &str, budget_used: u32) {
    let record = json!({"v": 1, "node": node, "node_id": format!("id-{node}"), "version": "0.1.0", "budget_used": budget_used});
    field.put(&format!("nodes/{node}"), &record);
}

#[test]
fn a_request_says_who_asks_and_why_and_stands_as_it_is() {
    let field = Field::new();
    member(&field, "node-a", 0);
    let ended = field.run(&["request", "node-a", "--reason", "new firmware"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "requested a reboot of node-a\n", "")
    );
    let record = field.get("requests/node-a").unwrap();
    assert_eq!(record["reason"], "new firmware");
    assert!(record["by"].as_str().unwrap().starts_with("eva@"));
    assert_eq!(
        (&record["v"], &record["boot_id"]),
        (&json!(1), &json!(null))
    );
    let again = field.run(&["request", "node-a", "--reason", "other"]);
    assert!(
        again.code == 0 && again.stdout.contains("requested already: by eva@"),
        "{again:?}"
    );
    assert_eq!(field.get("requests/node-a").unwrap(), record);
}

/// What hangs on a lease ends by itself.
fn leased(field: &Field, node: &str) -> bool {
    let key = format!("{LOCK}/requests/{node}");
    let found = field.client.range(Range::of(Keys::one(key))).unwrap();
    found.kvs[0].lease != 0
}

#[test]
fn an_urgent_request_ends_by_itself_and_takes_the_place_of_an_ordinary_one_only() {
    let field = Field::new();
    member(&field, "node-a", 0);
    member(&field, "node-b", 0);
    field.run(&["request", "node-a", "--reason", "new firmware"]);
    assert!(!leased(&field, "node-a"));
    let urge = |more: &[&str]| {
        let arguments = ["request", "node-a", "node-b", "--urgent", "--reason"];
        let ended = field.run(&[&arguments[..], more].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout.replace('\n', " ")
    };
    let said = urge(&["it drops packets", "--for", "2h"]);
    let words = "requested an urgent reboot of node-a, node-b: past maintenance windows and the cooldown, and nothing else; it ends at";
    assert!(said.contains(words), "{said}");
    for node in ["node-a", "node-b"] {
        let record = field.get(&format!("requests/{node}")).unwrap();
        assert_eq!(record["reason"], "it drops packets");
        let time =
            |name: &str| -> jiff::Timestamp { record[name].as_str().unwrap().parse().unwrap() };
        let length = time("urgent_until").duration_since(time("since"));
        assert!((7190..=7210).contains(&length.as_secs()), "{record}");
        assert!(leased(&field, node));
    }
    // Neither another urgent one nor an ordinary one changes it, and what was granted for nothing is given back.
    let (before, leases) = (field.get("requests/node-a"), field.leases());
    let again = urge(&["once more"]);
    assert!(again.contains("requested already"), "{again}");
    let ordinary = field.run(&["request", "node-a"]).stdout;
    let words = "requested already: urgently (ends in ";
    assert!(ordinary.replace('\n', " ").contains(words), "{ordinary}");
    assert_eq!(
        (field.get("requests/node-a"), field.leases()),
        (before, leases)
    );
    let cancelled = field.run(&["request", "--cancel", "node-a"]);
    assert!(
        cancelled
            .stdout
            .contains("withdrew the request for node-a, urgently")
    );
    assert_eq!(field.get("requests/node-a"), None);
}

#[test]
fn all_members_are_asked_or_nobody_is_there() {
    let field = Field::new();
    let ended = field.run(&["request", "--all"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for number in 1..=7 {
        member(&field, &format!("node-{number}"), 0);
    }
    let ended = field.run(&["request", "--all"]);
    assert_eq!(
        ended.stdout,
        "requested a reboot of node-1, node-2, node-3, node-4, node-5 and 2 more\n"
    );
    assert_eq!(field.list("requests/").len(), 7);
    let ended = field.run(&["request", "--cancel", "--all"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(field.list("requests/").len(), 0);
    let ended = field.run(&["request", "--cancel", "--all"]);
    assert_eq!(ended.stdout, "no reboot is requested\n");
}

#[test]
fn what_may_surprise_is_said() {
    let field = Field::new();
    member(&field, "node-a", 0);
    member(&field, "node-b", 1);
    field.claim("node-a", "rebooting");
    for (node, words) in [
        ("node-a", "node-a is rebooting for"),
        ("node-b", "reset-budget node-b"),
    ] {
        let ended = field.run(&["request", node]);
        let folded = ended.stdout.replace('\n', " ");
        assert!(ended.code == 0 && folded.contains(words), "{ended:?}");
    }
    let ended = field.run(&["request", "node-b", "noed-a"]);
    let expected = "no member is called noed-a; there is a node-a; nothing was changed";
    assert!(
        ended.code == 1 && ended.stderr.contains(expected),
        "{ended:?}"
    );
    let ended = field.run(&["request", "--cancel", "noed-a"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("there is a node-a"),
        "{ended:?}"
    );
    member(&field, "node-c", 0);
    let ended = field.run(&["request", "--cancel", "node-a", "node-c"]);
    let folded = ended.stdout.replace('\n', " ");
    for words in [
        "withdrew the request for node-a, by eva@",
        "no reboot of node-c is requested",
        "node-a had begun before and goes on",
    ] {
        assert!(folded.contains(words), "{ended:?}");
    }
}

#[test]
fn the_command_line_is_checked() {
    let field = Field::new();
    for wrong in [
        &["request"][..],
        &["request", "--all", "node-a"],
        &["request", "a/b"],
        &["request", "--cancel", "node-a", "--reason", "x"],
        &["request", "node-a", "--urgent"],
        &["request", "node-a", "--for", "2h"],
        &["reset-budget", "node-a"],
        &["reset-budget", "a", "b", "--reason", "x"],
    ] {
        assert_eq!(field.run(wrong).code, 64, "{wrong:?}");
    }
    assert_eq!(field.list("").len(), 0);
}

#[test]
fn a_request_is_seen_in_status_and_explain() {
    let field = Field::new();
    member(&field, "admin", 0);
    field.run(&["request", "admin", "--reason", "new firmware"]);
    let status = field.run(&["status"]);
    let folded = status
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        folded.contains("Requests 1 admin by eva@") && folded.contains("not seen by the node yet"),
        "{}",
        status.stdout
    );
    let status = field.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let request = &json["cluster"]["requests"][0];
    assert_eq!(request["node"], "admin");
    assert_eq!(request["record"]["reason"], "new firmware");
    let told = |field: &Field| {
        let ended = run(&field.config("admin", ""), &["explain"]);
        ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let open = told(&field);
    assert!(
        open.contains("detectors ok a reboot is required (etcd: requested by eva@"),
        "{open}"
    );
    // One of an earlier boot is satisfied.
    let mut record = field.get("requests/admin").unwrap();
    record["boot_id"] = json!("boot-0");
    field.put("requests/admin", &record);
    let closed = told(&field);
    assert!(closed.contains("no reboot is required"), "{closed}");
}

/// A host that was seen by passes of `--once` only says what it came to and is registered with its first commit.
#[test]
fn a_host_that_is_not_registered_and_was_seen_is_requested_though_others_have_such_names() {
    let field = Field::new();
    member(&field, "web-1", 0);
    let refused = field.run(&["request", "web-2", "--reason", "x"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("there is a web-1"), "{refused:?}");
    field.put("standing/web-2", &json!({"v": 1}));
    let ended = field.run(&["request", "web-2", "--reason", "x"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ended = field.run(&["request", "--all", "--reason", "x"]);
    assert!(ended.stdout.contains("web-1"), "{ended:?}");
    assert!(field.get("requests/web-1").is_some());
}
