//! How scripts are run, and what is expanded in their command lines.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::core::facts::ScriptOutcome;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
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
        &[("RC_PHASE".to_owned(), "post-lock".to_owned())],
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
