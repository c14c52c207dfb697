//! What scripts are told through the environment.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::core::facts::ScriptOutcome;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn full() -> ScriptContext {
    ScriptContext {
        node_name: "node-a".into(),
        phase: "post-lock".into(),
        dry_run: true,
        lock_key: "/cluster/reboot".into(),
        lock_enabled: true,
        lock_held: true,
        lock_attempts: 3,
        etcd_endpoints: strings(&["https://e1:2379", "https://e2:2379"]),
        kill_switch_file: "/etc/reboot-coordinator/disable".into(),
        cluster_policies: Some(Policies {
            min_healthy_fraction: Some(0.75),
            min_healthy_absolute: Some(2),
            forbid_if_only_fallback_left: true,
            fallback_nodes: strings(&["cp-a", "cp-b"]),
        }),
        cluster_nodes: strings(&["cp-a", "cp-b", "node-a"]),
        cluster_healthy_nodes: strings(&["cp-a", "node-a"]),
        windows_allow: strings(&["Sat,Sun 00:00-24:00", "* 02:00-04:00"]),
        windows_deny: strings(&["Fri 18:00-Mon 08:00"]),
        metrics_endpoint: Some(([127, 0, 0, 1], 9746).into()),
        reasons: strings(&["kernel", "request: line one\nline\0two"]),
    }
}

#[test]
fn every_variable_says_what_the_context_says() {
    let expected = "\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RC_NODE_NAME=node-a
RC_PHASE=post-lock
RC_DRY_RUN=true
RC_LOCK_KEY=/cluster/reboot
RC_LOCK_ENABLED=true
RC_LOCK_HELD=true
RC_LOCK_ATTEMPTS=3
RC_ETCD_ENDPOINTS=https://e1:2379,https://e2:2379
RC_KILL_SWITCH_FILE=/etc/reboot-coordinator/disable
RC_CLUSTER_MIN_HEALTHY_FRACTION=0.75
RC_CLUSTER_MIN_HEALTHY_ABSOLUTE=2
RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT=true
RC_CLUSTER_FALLBACK_NODES=cp-a,cp-b
RC_CLUSTER_NODES=cp-a,cp-b,node-a
RC_CLUSTER_HEALTHY_NODES=cp-a,node-a
RC_WINDOWS_ALLOW=Sat,Sun 00:00-24:00,* 02:00-04:00
RC_WINDOWS_DENY=Fri 18:00-Mon 08:00
RC_METRICS_ENDPOINT=127.0.0.1:9746
RC_REASONS=kernel,request: line one line two";
    let env = environment(&full());
    let lines: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn an_empty_context_has_the_same_variables() {
    let names = |context: &ScriptContext| {
        environment(context)
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&ScriptContext::default()), names(&full()));
    let env: BTreeMap<String, String> =
        environment(&ScriptContext::default()).into_iter().collect();
    assert_eq!(env["RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT"], "false");
    assert_eq!(env["RC_CLUSTER_MIN_HEALTHY_FRACTION"], "");
}

#[test]
fn a_fleet_too_large_for_the_environment_is_cut_and_said_so_and_the_script_still_starts() {
    let nodes: Vec<String> = (0..10_000)
        .map(|n| format!("node-{n:05}.region.example.net"))
        .collect();
    let context = ScriptContext {
        cluster_nodes: nodes.clone(),
        cluster_healthy_nodes: nodes,
        ..full()
    };
    let env = environment(&context);
    let map: BTreeMap<String, String> = env.iter().cloned().collect();
    assert_eq!(
        map["RC_TRUNCATED"],
        "RC_CLUSTER_NODES,RC_CLUSTER_HEALTHY_NODES"
    );
    assert!(
        map["RC_CLUSTER_NODES"].len() <= VALUE_LIMIT
            && map["RC_CLUSTER_NODES"].ends_with(".example.net")
    );
    let report = check(
        Path::new("/bin/true"),
        Duration::from_secs(20),
        &env,
        &Cancel::new(),
    );
    assert_eq!(report.outcome, ScriptOutcome::Exited(0));
}

#[test]
fn only_known_variables_are_expanded_and_only_once() {
    let env = [
        ("RC_NODE_NAME".into(), "a".into()),
        ("RC_REASONS".into(), "${RC_NODE_NAME}".into()),
    ];
    let rows = [
        ("plain", "plain"),
        ("${RC_NODE_NAME}", "a"),
        ("x${RC_NODE_NAME}y${RC_NODE_NAME}", "xaya"),
        ("${RC_REASONS}", "${RC_NODE_NAME}"),
        ("${RC_UNKNOWN} ${RC_NODE_NAME}", "${RC_UNKNOWN} a"),
        ("$RC_NODE_NAME ${HOME} $$", "$RC_NODE_NAME ${HOME} $$"),
        ("${RC_NODE_NAME", "${RC_NODE_NAME"),
        ("${RC_${RC_NODE_NAME}", "${RC_a"),
        ("", ""),
        ("é${RC_NODE_NAME}é", "éaé"),
    ];
    for (arg, expected) in rows {
        assert_eq!(expand(&[arg.into()], &env), [expected], "{arg}");
    }
}

/// A script in a folder of its own, written by a child so that no descriptor of ours can make it busy.
fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("health.sh");
    let write = format!("printf '{text}' > {0}; chmod 755 {0}", path.display());
    let argv = strings(&["/bin/sh", "-c", &write]);
    let env = vec![("PATH".into(), PATH.into())];
    let spec = Command {
        argv,
        env,
        timeout: Duration::from_secs(20),
        begins_within: Duration::from_secs(20),
        detach: false,
        stdin: None,
    };
    assert!(process::run(&spec, &Cancel::new()).outcome.success());
    (dir, path)
}

fn ask(script: &Path) -> ScriptReport {
    check(
        script,
        Duration::from_secs(20),
        &environment(&full()),
        &Cancel::new(),
    )
}

#[test]
fn a_proper_script_runs_with_the_environment() {
    let (dir, path) = script(r#"#!/bin/sh\necho "$RC_PHASE"; exit 7\n"#);
    let report = ask(&path);
    assert_eq!(
        (report.outcome, report.stdout.text.as_str()),
        (ScriptOutcome::Exited(7), "post-lock\n")
    );
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(ask(&link).outcome, ScriptOutcome::Exited(7));
}

#[test]
fn a_script_others_could_have_written_is_not_run() {
    let (dir, path) = script(r"#!/bin/sh\ntouch ran\n");
    let refused = |what: &str| {
        let outcome = ask(&path).outcome;
        assert!(
            matches!(&outcome, ScriptOutcome::NotStarted(why) if why.contains(what)),
            "{what}: {outcome}"
        );
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (bits, what) in [
        (0o775, "can be changed by its group"),
        (0o757, "can be changed by its group"),
        (0o644, "not executable"),
    ] {
        mode(&path, bits);
        refused(what);
    }
    mode(&path, 0o755);
    for bits in [0o775, 0o757] {
        mode(dir.path(), bits);
        refused("its folder");
    }
    // As when the configuration is loaded: in a sticky folder nobody can replace the script.
    mode(dir.path(), 0o1777);
    assert!(ask(&path).outcome.success());
    mode(dir.path(), 0o755);
    assert!(ask(&path).outcome.success());
    fs::remove_file(&path).unwrap();
    refused("No such file");
    fs::create_dir(&path).unwrap();
    refused("not a regular file");
}

#[test]
fn a_link_does_not_hide_an_open_folder() {
    let (open, path) = script(r"#!/bin/sh\n");
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let closed = tempfile::tempdir().unwrap();
    let link = closed.path().join("health.sh");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(ask(&link).outcome, ScriptOutcome::NotStarted(why) if why.contains("folder")));
}

#[test]
fn a_list_may_fill_a_variable_to_its_last_byte() {
    // Five thousand names and more fit into what is kept.
    assert!(join(&vec!["worker-1234.cluster".to_owned(); 4900]).1);
    for (first, second, fits) in [(VALUE_LIMIT - 2, 1, true), (VALUE_LIMIT - 1, 1, false)] {
        let entries = [first, second].map(|length| "x".repeat(length));
        let (value, complete) = join(&entries);
        assert_eq!(complete, fits);
        assert_eq!(value.len(), if fits { VALUE_LIMIT } else { first });
    }
}
