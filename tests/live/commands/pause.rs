//! `pause` and `resume`.

use std::time::Duration;

use etcd_rs_sync::{Etcd as _, Put, Request};
use etcd_test_server::{Action, Proxy, Rule};
use serde_json::json;

use super::support::{Field, eventually, run};

#[test]
fn a_paused_cluster_does_not_commit_until_it_is_resumed() {
    let field = Field::new();
    let paused = field.run(&["pause", "--reason", "bad kernel"]);
    assert_eq!((paused.code, paused.stderr.as_str()), (0, ""));
    assert!(
        paused.stdout.starts_with("paused by eva@") && paused.stdout.contains(": bad kernel"),
        "{paused:?}"
    );
    assert!(
        paused.stdout.ends_with("no node is rebooting\n"),
        "{paused:?}"
    );
    let daemon = field.daemon("node-b");
    eventually("the daemon says that it is paused", || {
        field.log("node-b").contains("the cluster is paused")
    });
    assert!(!daemon.rebooted());
    let resumed = field.run(&["resume"]);
    assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""));
    assert!(
        resumed.stdout.starts_with("resumed; it was paused by eva@"),
        "{resumed:?}"
    );
    eventually("node-b reboots", || daemon.rebooted());
}

#[test]
fn it_names_those_that_had_begun_and_counts_those_that_wait() {
    let field = Field::new();
    field.claim("node-a", "draining");
    field.claim("node-b", "queued");
    let ended = field.run(&["pause"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let begun = lines
        .iter()
        .position(|line| *line == "these had begun before, and finish:")
        .unwrap();
    assert!(
        lines[begun + 1].starts_with("  node-a  draining"),
        "{ended:?}"
    );
    assert_eq!(lines[begun + 2], "1 node waits in the queue");
}

#[test]
fn a_pause_for_a_time_ends_by_itself() {
    let field = Field::new();
    let ended = field.run(&["pause", "--for", "2s", "--reason", "short"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let record = field.get("pause").unwrap();
    assert!(record["until"].as_str().is_some(), "{record}");
    assert_eq!(field.leases(), 1);
    eventually("the pause is over", || field.get("pause").is_none());
}

#[test]
fn a_present_pause_is_changed_but_not_shortened_by_mistake() {
    let field = Field::new();
    let end = |field: &Field| field.get("pause").unwrap()["until"].clone();
    assert_eq!(field.run(&["pause", "--reason", "first"]).code, 0);

    let again = field.run(&["pause"]);
    assert!(
        again.code == 0 && again.stdout.starts_with("already paused by"),
        "{again:?}"
    );

    let shorter = field.run(&["pause", "--for", "1h"]);
    assert_eq!(shorter.code, 64, "{shorter:?}");
    assert!(shorter.stderr.contains("would end earlier"), "{shorter:?}");
    assert!(end(&field).is_null());

    let forced = field.run(&["pause", "--for", "1h", "--yes"]);
    assert!(
        forced.code == 0 && forced.stdout.starts_with("changed the pause: "),
        "{forced:?}"
    );
    let record = field.get("pause").unwrap();
    assert_eq!(record["reason"], "first", "{record}");
    assert!(record["until"].is_string());

    let longer = field.run(&["pause", "--for", "2h", "--reason", "second"]);
    assert_eq!(longer.code, 0, "{longer:?}");
    assert_eq!(field.get("pause").unwrap()["reason"], "second");

    let endless = field.run(&["pause"]);
    assert_eq!(endless.code, 0, "{endless:?}");
    assert!(
        end(&field).is_null(),
        "a bare pause lasts until somebody resumes"
    );
}

#[test]
fn resume_of_a_cluster_that_runs_is_nothing_to_do() {
    let field = Field::new();
    let ended = field.run(&["resume"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "the cluster is not paused\n")
    );
}

#[test]
fn a_pause_that_cannot_be_read_can_be_lifted() {
    let field = Field::new();
    field.put("pause", &serde_json::json!("oops"));
    let ended = field.run(&["resume"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(field.get("pause").is_none());
}

#[test]
fn lost_replies_are_resolved_by_repeating() {
    let field = Field::new();
    let proxy = Proxy::new(field.cluster.client_address(0));
    proxy.rule(Rule::on("request_put", Action::CutReply).times(1));
    proxy.rule(Rule::on("request_delete_range", Action::CutReply).times(1));
    proxy.rule(Rule::on("/v3/lease/grant", Action::CutReply).times(1));
    let config = field.config_through(&proxy, "admin", "");
    let paused = run(&config, &["pause", "--for", "4h"]);
    assert_eq!((paused.code, paused.stderr.as_str()), (0, ""), "{paused:?}");
    assert!(
        paused.stdout.starts_with("paused by"),
        "not \"changed\": {paused:?}"
    );
    assert_eq!(field.leases(), 1);
    let resumed = run(&config, &["resume"]);
    assert_eq!(
        (resumed.code, resumed.stderr.as_str()),
        (0, ""),
        "{resumed:?}"
    );
    assert!(field.get("pause").is_none());
}

#[test]
fn an_unreachable_etcd_is_one_line_and_exit_code_1() {
    let field = Field::new();
    field.cluster.kill(0);
    let started = std::time::Instant::now();
    for arguments in [
        &["pause"][..],
        &["resume"],
        &["release", "a", "--reason", "x", "--yes"],
        &["forget", "a"],
    ] {
        let ended = field.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(
            ended.stderr.contains("etcd is not reachable")
                && ended.stderr.contains("check that etcd runs"),
            "{ended:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_cooldown_that_would_never_end_is_shown_and_removed_and_any_other_is_left() {
    let field = Field::new();
    for value in [
        json!("what a tool left"),
        json!({"v": 1, "node": "a", "since": "t", "until": "t"}),
        json!({"v": 7}),
    ] {
        field.put("cooldown", &value);
        let ended = field.run(&["resume"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
        assert!(ended.stdout.contains("hangs on no lease"), "{ended:?}");
        assert!(field.get("cooldown").is_none(), "{value}");
        let again = field.run(&["resume"]);
        assert!(!again.stdout.contains("cooldown"), "{again:?}");
    }
    // A newer program's, which ends with its lease.
    let grant = Request::Grant {
        id: 1234,
        ttl_sec: 600,
    };
    field.client.call(&grant).unwrap();
    let put = Put::new("/cluster/lock/cooldown", "{\"v\": 7}", 1234);
    field.client.put(put).unwrap();
    let ended = field.run(&["resume"]);
    assert!(!ended.stdout.contains("cooldown"), "{ended:?}");
    assert!(field.get("cooldown").is_some());
}
