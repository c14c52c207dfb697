//! `forget`.

use serde_json::json;

use super::support::Field;

fn register(field: &Field, node: &str) {
    let record = json!({"v": 1, "node": node, "node_id": "x", "version": "0.1.0"});
    field.put(&format!("nodes/{node}"), &record);
    field.put(&format!("alive/{node}"), &json!({"v": 1, "healthy": true}));
    field.put(&format!("requests/{node}"), &json!({"v": 1}));
}

#[test]
fn a_member_is_removed_with_everything_that_is_known_of_it() {
    let field = Field::new();
    register(&field, "node-a");
    register(&field, "node-ab");
    let ended = field.run(&["forget", "node-a"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        ended.stdout.starts_with("forgot node-a\n") && ended.stdout.contains("registers again"),
        "{ended:?}"
    );
    for kind in ["nodes", "alive", "requests"] {
        assert!(field.get(&format!("{kind}/node-a")).is_none(), "{kind}");
        assert!(field.get(&format!("{kind}/node-ab")).is_some(), "{kind}");
    }
}

#[test]
fn a_member_with_a_claim_stays() {
    for (phase, advice) in [
        ("rebooting", "release node-a"),
        ("queued", "stop its daemon"),
    ] {
        let field = Field::new();
        register(&field, "node-a");
        field.claim("node-a", phase);
        let ended = field.run(&["forget", "node-a"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
        assert!(
            ended.stderr.contains(advice) && ended.stderr.contains(phase),
            "{ended:?}"
        );
        assert!(field.get("nodes/node-a").is_some());
    }
}

#[test]
fn an_unknown_member_is_an_error_and_the_nearest_is_named() {
    let field = Field::new();
    register(&field, "node-a");
    let ended = field.run(&["forget", "noed-a"]);
    let said = ended.stderr.as_str();
    let expected = "no member is called noed-a; there is a node-a; nothing was changed";
    assert!(ended.code == 1 && said.contains(expected), "{ended:?}");
    assert!(field.get("nodes/node-a").is_some());
}

/// What a shell offers behind `release` and `forget`, asked of a real etcd by the script that packages ship.
#[test]
fn completions_offer_the_nodes_that_are_there() {
    let field = Field::new();
    for node in ["node-a", "node-b", "other"] {
        let record = json!({"v": 1, "node": node, "node_id": "x", "version": "0.1.0"});
        field.put(&format!("nodes/{node}"), &record);
    }
    field.claim("node-b", "rebooting");
    let config = field.config("admin", "etcd_timeout_sec: 60\n");
    let config = config.to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_reboot-coordinator");
    let offered = |words: &[&str]| {
        let script = "docs/completions/reboot-coordinator.bash";
        let line = format!(
            ". {script}\nCOMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n_reboot_coordinator\necho \"${{COMPREPLY[@]}}\""
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &line, "bash", program, "--config", config])
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(
        offered(&["release", "no"]),
        "node-b",
        "only what has a claim"
    );
    assert_eq!(offered(&["forget", "no"]), "node-a node-b");
    assert_eq!(offered(&["explain", "ot"]), "other");
    assert_eq!(offered(&["pause", "no"]), "");
    // Whoever presses a key does not wait for an etcd that is away.
    field.cluster.pause(0);
    let began = std::time::Instant::now();
    assert_eq!(offered(&["forget", "no"]), "");
    let took = began.elapsed();
    field.cluster.resume(0);
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}

/// What a machine says that was refused the name of another.
fn refuse(field: &Field, name: &str, node_id: &str) {
    let at = "2026-01-05T10:00:00.000Z";
    let says = json!({
        "v": 1, "node": name, "node_id": node_id, "state": "refused", "since": at, "once": true,
        "blocked": {"gate": "name", "label": "name_taken", "text": format!("two machines use the name {name}"), "since": at},
    });
    field.put(&format!("standing/{name}/{node_id}"), &says);
}

#[test]
fn who_was_refused_a_name_is_told_until_it_speaks_under_another_or_the_name_is_forgotten() {
    let field = Field::new();
    for (node, id) in [("node-a", "a"), ("node-b", "b")] {
        let record = json!({"v": 1, "node": node, "node_id": id, "version": "0.1.0"});
        field.put(&format!("nodes/{node}"), &record);
    }
    let told = || {
        let shown = field.run(&["status"]).stdout;
        shown.contains("two machines use the name node-a")
    };
    // It was node-b until a reload gave it a name that is taken, which ended it.
    refuse(&field, "node-a", "b");
    assert!(told());
    let standing = json!({"v": 1, "node": "node-b", "node_id": "b", "state": "idle", "since": "2026-01-05T10:00:01.000Z"});
    field.put("standing/node-b", &standing);
    assert!(!told());
    refuse(&field, "node-a", "c");
    assert!(told());
    assert_eq!(field.run(&["forget", "node-a"]).code, 0);
    assert!(!told());
}

#[test]
fn a_group_below_the_names_is_not_forgotten_with_one() {
    let field = Field::new();
    // The keys of groups whose `lock_key` is that of this one and `/standing`, or `/standing/node-a`.
    let claim = json!({"v": 1, "node": "b", "node_id": "x", "phase": "rebooting"});
    let others = [
        "standing/claims/b",
        "standing/nodes/b",
        "standing/node-a/claims/b",
        "standing/node-a/pause",
    ];
    for key in others {
        field.put(key, &claim);
    }
    for name in ["claims", "nodes"] {
        let ended = field.run(&["forget", name]);
        let expected = format!("no member is called {name}");
        assert!(
            ended.code == 1 && ended.stderr.contains(&expected),
            "{ended:?}"
        );
    }
    register(&field, "node-a");
    refuse(&field, "node-a", "c");
    refuse(&field, "node-b", "c");
    assert_eq!(field.run(&["forget", "node-a"]).code, 0);
    assert!(field.get("standing/node-a/c").is_none());
    assert!(field.get("standing/node-b/c").is_some());
    for key in others {
        assert!(field.get(key).is_some(), "{key}");
    }
}
