//! `release`.

use etcd_test_server::{Action, Gate, Proxy, Rule};

use super::support::{Field, PATIENCE, eventually, run};

const WHY: [&str; 2] = ["--reason", "the disk died"];

fn release<'a>(node: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["release", node][..], &WHY, more].concat()
}

#[test]
fn it_refuses_without_yes_when_nobody_can_be_asked() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let ended = field.run(&release("node-a", &[]));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.stderr.contains("add --yes"), "{ended:?}");
    assert!(ended.stdout.contains("id-node-a"), "{ended:?}");
    assert!(field.get("claims/node-a").is_some());
    assert!(field.list("history/").is_empty());
    assert_eq!(field.leases(), 0, "nothing is left behind");
}

#[test]
fn a_released_claim_lets_the_next_node_go() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let daemon = field.daemon("node-b");
    eventually("node-b is in the queue", || {
        field.get("claims/node-b").is_some()
    });
    assert!(!daemon.rebooted());
    let ended = field.run(&release("node-a", &["--yes"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        ended.stdout.contains("released the claim of node-a\n")
            && ended
                .stdout
                .contains("claims left, first come first: node-b"),
        "{ended:?}"
    );
    eventually("node-b reboots", || daemon.rebooted());
    let history = field.list("history/");
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!(history[0]["outcome"], "released");
    assert_eq!(history[0]["detail"], "the disk died");
    assert_eq!(history[0]["node"], "node-a");
    let by = history[0]["by"].as_str().unwrap();
    assert!(by.starts_with("eva@") && by.len() > 4, "{by}");
}

#[test]
fn a_claim_that_is_gone_is_said_to_be_gone() {
    let field = Field::new();
    field.claim("node-b", "queued");
    let ended = field.run(&release("noed-b", &["--yes"]));
    assert!(
        ended.code == 1 && ended.stderr.contains("there is a node-b"),
        "{ended:?}"
    );
    let record = serde_json::json!({"v": 1, "node": "node-a", "node_id": "x", "version": "0.1.0"});
    field.put("nodes/node-a", &record);
    let ended = field.run(&release("node-a", &["--yes"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(
        ended.stdout,
        "node-a holds no claim: there is nothing to release\nclaims there are, first come first: node-b\n"
    );
}

#[test]
fn a_queued_claim_can_be_released_too() {
    let field = Field::new();
    field.claim("node-a", "queued");
    let ended = field.run(&release("node-a", &["--yes"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("It loses its place"), "{ended:?}");
    assert!(field.get("claims/node-a").is_none());
}

#[test]
fn a_claim_that_cannot_be_read_can_be_released() {
    let field = Field::new();
    field.put("claims/node-a", &serde_json::json!({"v": 2}));
    let ended = field.run(&release("node-a", &["--yes"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("point of no return"), "{ended:?}");
    assert!(field.get("claims/node-a").is_none());
}

/// The node moves on between the look and the delete, which reaches etcd only afterwards.
#[test]
fn a_claim_that_changed_since_it_was_shown_stays() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let proxy = Proxy::new(field.cluster.client_address(0));
    let gate = Gate::new();
    let deletes = "request_delete_range";
    proxy.rule(Rule::on(deletes, Action::HoldUntil(gate.clone())).times(1));
    let config = field.config_through(&proxy, "admin", "etcd_timeout_sec: 50\n");
    let ended = std::thread::scope(|scope| {
        let ended = scope.spawn(|| run(&config, &release("node-a", &["--yes"])));
        proxy.wait_for(deletes, 1, PATIENCE);
        field.claim("node-a", "verifying");
        gate.open();
        ended.join().unwrap()
    });
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("changed meanwhile") && ended.stdout.contains("verifying"),
        "{ended:?}"
    );
    assert_eq!(field.get("claims/node-a").unwrap()["phase"], "verifying");
    assert!(field.list("history/").is_empty());
    assert_eq!(field.leases(), 0, "nothing is left behind");
}

#[test]
fn a_lost_reply_is_resolved_by_repeating() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let proxy = Proxy::new(field.cluster.client_address(0));
    proxy.rule(Rule::on("request_delete_range", Action::CutReply).times(2));
    let config = field.config_through(&proxy, "admin", "");
    let ended = run(&config, &release("node-a", &["--yes"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains("released the claim"), "{ended:?}");
    assert!(field.get("claims/node-a").is_none());
    assert_eq!(field.list("history/").len(), 1);
}

#[test]
fn an_outcome_that_stays_unknown_is_called_unknown() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let proxy = Proxy::new(field.cluster.client_address(0));
    proxy.rule(Rule::on("request_delete_range", Action::CutReply));
    let config = field.config_through(&proxy, "admin", "");
    let ended = run(&config, &release("node-a", &["--yes"]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("THE OUTCOME IS UNKNOWN"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

/// A proxy that drops the guards must not be trusted with a delete.
#[test]
fn a_server_that_ignores_guards_is_not_written_to() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    let proxy = Proxy::new(field.cluster.client_address(0));
    proxy.rule(Rule::on(
        "compare",
        Action::Rewrite("compare".into(), "compote".into()),
    ));
    let config = field.config_through(&proxy, "admin", "");
    let ended = run(&config, &release("node-a", &["--yes"]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("does not honour the guards"),
        "{ended:?}"
    );
    assert!(field.get("claims/node-a").is_some());
}

#[test]
fn whatever_stands_among_the_claims_can_be_removed_after_it_was_shown() {
    let field = Field::new();
    for (key, name) in [
        ("nodes/x1", "nodes/x1"),
        ("pause", "pause"),
        ("a b\n", "a b\\n"),
        ("x/", "/cluster/lock/claims/x/"),
    ] {
        field.put(&format!("claims/{key}"), &"kept by a tool".into());
        let shown = field.run(&release(name, &[]));
        assert_eq!(shown.code, 64, "{shown:?}");
        assert!(
            shown.stdout.contains("kept by a tool") && shown.stdout.contains("names no node"),
            "{shown:?}"
        );
        assert!(field.get(&format!("claims/{key}")).is_some());
        let ended = field.run(&release(name, &["--yes"]));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{name}");
        assert!(field.get(&format!("claims/{key}")).is_none(), "{name}");
    }
    assert_eq!(field.list("history/").len(), 4);
    // Nothing that stands elsewhere.
    field.put("pause", &"kept".into());
    let ended = field.run(&release("../pause", &["--yes"]));
    assert!(ended.stderr.contains("no member is called"), "{ended:?}");
    assert!(field.get("pause").is_some());
}
