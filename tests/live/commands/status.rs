//! `status` and `history`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::support::{Field, PATIENCE, configuration, eventually, program, run};

fn member(node: &str) -> Value {
    json!({"v": 1, "node": node, "node_id": format!("id-{node}"), "version": "0.1.0"})
}

fn entry(node: &str, ended: &str) -> Value {
    json!({
        "v": 1, "node": node, "outcome": "completed", "detail": "back and healthy", "reasons": ["kernel"],
        "since": "2026-01-05T10:00:00.000Z", "committed_at": "2026-01-05T10:02:00.000Z", "ended_at": ended,
    })
}

#[test]
fn the_cluster_and_this_node_are_shown() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    field.claim("node-b", "queued");
    for node in ["node-a", "node-b", "admin"] {
        field.put(&format!("nodes/{node}"), &member(node));
    }
    let ended = field.run(&["status"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ended.stdout.lines().map(str::trim_end).collect();
    for line in [
        "Pause      none",
        "Limit      1 at a time",
        "Rebooting  1",
        "Queue      1",
        "Members    3, 0 with nothing to do",
        "This node  admin",
        "  detectors    not asked  not run by status (use simulate)",
    ] {
        assert!(lines.contains(&line), "{line}\n{}", ended.stdout);
    }
    assert!(
        ended.stdout.contains("before it: node-a, node-b"),
        "{ended:?}"
    );
    assert!(
        !ended.stdout.contains('\x1b'),
        "no colours but on a terminal"
    );
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{ended:?}"
    );
}

#[test]
fn what_cannot_be_written_to_standard_output_is_an_error() {
    let field = Field::new();
    let reading = [&["status"][..], &["explain"], &["history"], &["help"]].map(|it| (it, false));
    for (arguments, writes) in reading.into_iter().chain([(&["pause"][..], true)]) {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let output = program()
            .args(arguments)
            .arg("--config")
            .arg(field.config("admin", ""))
            .stdout(full.unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("standard output cannot be written"), "{said}");
        assert_eq!(
            said.contains("done its work all the same"),
            writes,
            "{said}"
        );
    }
    assert!(field.run(&["status"]).stdout.contains("aused"));
}

#[test]
fn it_runs_nothing_and_writes_nothing() {
    let field = Field::new();
    let trap = field.path("trap.sh");
    let ran = field.path("ran");
    std::fs::write(&trap, format!("#!/bin/sh\n: >{}\n", ran.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&trap, mode).unwrap();
    let trap = trap.display();
    let more = format!(
        "health_script: {trap}\nreboot_required_detectors: [{{type: command, name: c, cmd: [{trap}]}}]\n"
    );
    let config = field.config("admin", &more);
    let before = field.client_revision();
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["explain"],
        &["history"],
    ] {
        assert_eq!(run(&config, arguments).code, 0, "{arguments:?}");
    }
    assert_eq!(field.client_revision(), before);
    assert_eq!(field.leases(), 0);
    assert!(!ran.exists());
    assert!(!field.path("admin.run").exists(), "no lock file is made");
}

#[test]
fn json_holds_everything_and_is_stable() {
    let field = Field::new();
    field.claim("node-a", "rebooting");
    field.put("claims/node-b", &json!({"v": 2}));
    field.put("nodes/node-a", &member("node-a"));
    field.put("alive/node-a", &json!({"v": 1, "healthy": true}));
    field.put("claims/nodes/x", &json!({}));
    field.put(
        "pause",
        &json!({"v": 1, "by": "eva@x", "reason": "r", "since": "2026-01-05T10:00:00.000Z"}),
    );
    let ended = field.run(&["status", "--json"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 1));
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    let cluster = &status["cluster"];
    assert_eq!(cluster["holders"][0]["record"]["node_id"], "id-node-a");
    assert_eq!(cluster["holders"][0]["phase"], "rebooting");
    let unreadable = &cluster["holders"][1]["record"]["unreadable"];
    assert!(
        unreadable.as_str().unwrap().contains("version 2"),
        "{status}"
    );
    assert_eq!(cluster["queue"], json!([]));
    assert_eq!(cluster["pause"]["by"], "eva@x");
    assert_eq!(cluster["cooldown"], Value::Null);
    assert_eq!(cluster["members"][0]["healthy"], true);
    let foreign = cluster["foreign"].as_array().unwrap();
    assert!(
        foreign.len() == 1 && foreign[0].as_str().unwrap().ends_with("/claims/nodes/x"),
        "{status}"
    );
    assert_eq!(status["etcd"]["reachable"], true);
    assert_eq!(status["node"]["claim"], "none");
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&status),
        [
            "at", "cluster", "etcd", "forecast", "headline", "lock_key", "node"
        ]
    );
    assert_eq!(
        keys(&status["node"]["gates"][0]),
        [
            "changes_at",
            "gate",
            "reason",
            "remedy",
            "since",
            "text",
            "verdict"
        ]
    );
    let gates = status["node"]["gates"].as_array().unwrap();
    let pause = gates.iter().find(|gate| gate["gate"] == "pause").unwrap();
    assert_eq!(
        (&pause["verdict"], &pause["reason"]),
        (&json!("closed"), &json!("paused"))
    );
    let at = status["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");
}

#[test]
fn a_large_cluster_is_read_in_pages() {
    let field = Field::new();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let field = &field;
            scope.spawn(move || {
                for n in 0..300 {
                    let node = format!("node-{part}-{n}");
                    field.put(&format!("nodes/{node}"), &member(&node));
                }
            });
        }
    });
    field.claim("node-0-0", "queued");
    let ended = field.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    let members = status["cluster"]["members"].as_array().unwrap();
    let mut names: Vec<&str> = members
        .iter()
        .map(|m| m["node"].as_str().unwrap())
        .collect();
    names.dedup();
    assert_eq!(names.len(), 1200);
    assert_eq!(status["cluster"]["queue"][0]["node"], "node-0-0");
}

#[test]
fn an_unreachable_etcd_leaves_what_is_known_here_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    // A port nobody listens on: bound, and never listened to.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let config = configuration(folder.path(), "admin", &format!("http://{address}"), "");
    std::fs::write(folder.path().join("admin.disable"), "raid rebuild\n").unwrap();
    for command in ["status", "explain"] {
        let ended = run(&config, &[command]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let all = format!("{}{}", ended.stdout, ended.stderr);
        let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            all.contains("etcd is not reachable") && all.contains("raid rebuild"),
            "{ended:?}"
        );
        assert!(
            all.contains("pause unknown etcd could not be asked"),
            "{ended:?}"
        );
    }
    let ended = run(&config, &["status", "--json"]);
    assert_eq!(ended.code, 1);
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&status["cluster"], &status["etcd"]["reachable"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(status["node"]["claim"], Value::Null);
}

#[test]
fn an_invalid_configuration_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), "admin", "127.0.0.1:1", "nonsense: 1\n");
    for arguments in [
        &["status"][..],
        &["status", "--watch"],
        &["explain"],
        &["history"],
        &["pause"],
        &["resume"],
        &["forget", "a"],
        &["release", "a", "--reason", "x"],
    ] {
        let ended = run(&config, arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        assert!(ended.stderr.contains("nonsense"), "{ended:?}");
    }
}

#[test]
fn watch_shows_it_again_when_something_changes() {
    let field = Field::new();
    let mut child = program()
        .args(["status", "--watch", "--json", "--config"])
        .arg(field.config("admin", ""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines(child.stdout.take().unwrap());
    let until = |wanted: &dyn Fn(&Value) -> bool| loop {
        let line = lines.recv_timeout(PATIENCE).expect("a change is shown");
        let status: Value = serde_json::from_str(&line).unwrap();
        if wanted(&status) {
            break;
        }
    };
    until(&|status| status["cluster"]["queue"] == json!([]));
    field.claim("node-b", "queued");
    until(&|status| status["cluster"]["queue"][0]["node"] == "node-b");
    assert_eq!(field.run(&["pause"]).code, 0);
    until(&|status| status["cluster"]["pause"].is_object());
    field.cluster.kill(0);
    until(&|status| status["etcd"]["reachable"] == false);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn watch_ends_when_nobody_reads() {
    let field = Field::new();
    let mut child = program()
        .args(["status", "--watch", "--config"])
        .arg(field.config("admin", ""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut n = 0;
    eventually("the program ends", || {
        n += 1;
        field.claim(&format!("node-{n}"), "queued");
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn lines(stdout: std::process::ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn history_lists_the_newest_last() {
    let field = Field::new();
    let none = field.run(&["history"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "no attempt has finished in the last 30 days\n")
    );
    for (node, ended) in [
        ("node-b", "2026-01-06T10:07:00.000Z"),
        ("node-a", "2026-01-05T10:07:00.000Z"),
    ] {
        field.put(&format!("history/{ended}-{node}"), &entry(node, ended));
    }
    let ended = field.run(&["history"]);
    let nodes: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("node-"))
        })
        .collect();
    assert_eq!(nodes, ["node-a", "node-b"], "{ended:?}");
    assert!(
        ended.stdout.contains("completed  2 min   5 min"),
        "{ended:?}"
    );
    let json: Value = serde_json::from_str(&field.run(&["history", "--json"]).stdout).unwrap();
    assert_eq!(
        (json[0]["node"].as_str(), json.as_array().unwrap().len()),
        (Some("node-a"), 2)
    );
}
