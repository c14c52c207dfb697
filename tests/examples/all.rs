//! What holds for every script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::{Stage, examples, install};

/// Every script of a folder.
fn scripts(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(examples().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn every_script_may_be_run_says_what_it_is_for_and_has_a_test() {
    let tests: String = ["all", "etcd", "events", "kubernetes", "machines", "storage"]
        .map(|name| {
            let path = format!("{}/tests/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
            fs::read_to_string(path).unwrap()
        })
        .concat();
    for script in [scripts("health"), scripts("hooks"), scripts("events")].concat() {
        let path = examples().join(&script);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n# "), "{script}");
        assert!(
            text.contains("\nset -eu\n"),
            "{script} goes on after an error"
        );
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o755,
            "{script}"
        );
        assert!(
            tests.contains(&format!("\"{script}\"")),
            "{script} has no test"
        );
    }
}

/// A hook whose tools are missing must not count as done, nor a health script as a yes.
#[test]
fn no_script_says_yes_when_its_tools_are_not_there() {
    // These ask nobody, or do nothing where nothing was drained.
    let apart = [
        "health/all-of.sh",
        "health/packages-idle.sh",
        "hooks/load-balancer-drain.sh",
        "hooks/load-balancer-undrain.sh",
        "hooks/keepalived-drain.sh",
        "hooks/keepalived-undrain.sh",
        "hooks/ceph-noout-undo.sh",
        "hooks/opensearch-undrain.sh",
        "hooks/haproxy-undrain.sh",
    ];
    let tools = [
        "etcdctl",
        "mysql",
        "ceph",
        "curl",
        "kubectl",
        "socat",
        "consul",
        "who",
        "systemctl",
        "ip",
        "loginctl",
    ];
    for script in [scripts("health"), scripts("hooks")].concat() {
        if apart.contains(&script.as_str()) {
            continue;
        }
        let stage = Stage::new();
        stage.write("file", "");
        let below = stage.path("file").join("state");
        let stage = stage.set("STATE", below);
        for tool in tools {
            stage.tool(tool, "exit 127");
        }
        for phase in ["pre-lock", "post-boot"] {
            // What is not asked in a phase may pass there.
            if phase == "post-boot" && script == "health/no-sessions.sh" {
                continue;
            }
            let ended = stage.run(&script, phase);
            assert_ne!(ended.code, 0, "{script} {phase}: {ended:?}");
        }
    }
}

#[test]
fn several_scripts_are_one_and_the_first_that_fails_decides() {
    let script = "health/all-of.sh";
    let stage = Stage::new();
    let folder = stage.path("health.d");
    let stage = stage.set("FOLDER", &folder);
    stage.refuses(script, "pre-lock", "no executable file");
    fs::create_dir(&folder).unwrap();
    stage.refuses(script, "pre-lock", "no executable file");
    let add = |name: &str, body: &str, mode: &str| {
        let ran = stage.path("ran");
        let text = format!("#!/bin/sh\necho {name} >>{}\n{body}\n", ran.display());
        install(&folder.join(name), &text, mode);
    };
    add("10-yes", "test \"$RC_PHASE\" = pre-lock", "755");
    add("15-notes", "exit 1", "644");
    stage.passes(script, "pre-lock");
    add("20-no", "exit 7", "755");
    add("30-after", "", "755");
    let ended = stage.run(script, "pre-lock");
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains("20-no ended with 7"), "{ended:?}");
    let ran = fs::read_to_string(stage.path("ran")).unwrap();
    assert!(
        !ran.contains("30-after") && !ran.contains("15-notes"),
        "{ran}"
    );
}
