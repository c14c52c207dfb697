//! What the README and the quickstart say to type is typed, in their order, into a shell whose machine is a folder.

use std::fs;
use std::process::{Command, Stdio};

use etcd_test_server::Cluster;

use crate::{blocks, read};

/// The commands of a document's blocks marked `sh`.
fn typed(document: &str) -> String {
    let found = blocks(&read(document));
    let marked = found.into_iter().filter(|block| block.language == "sh");
    let lines: Vec<String> = marked.flat_map(|block| block.lines).collect();
    assert!(!lines.is_empty(), "{document} has nothing to type");
    lines.join("\n")
}

/// What stands before them: the folder is the machine, its administrator needs no password, and the program of this build
/// is what a build would give. How each call of the program ended is written down.
const MACHINE: &str = r#"
set -eu
mkdir -p target/release usr/bin run etc
cp "$PROGRAM" target/release/reboot-coordinator
cargo() { :; }
sudo() { "$@"; }
reboot-coordinator() {
	code=0
	usr/bin/reboot-coordinator "$@" --config "$PWD/etc/reboot-coordinator/config.yaml" >output 2>&1 || code=$?
	cat output
	echo "$code $*" >>ended
}
"#;

/// Types a document's commands and returns each call of the program with its exit code, and everything that was shown.
fn follow(document: &str, cluster: &Cluster) -> (Vec<String>, String) {
    let machine = tempfile::tempdir().unwrap();
    let folder = machine.path().display();
    let endpoint = cluster.client_url(0).trim_start_matches("http://");
    let commands = typed(document)
        .replace(
            "/etc/reboot-coordinator",
            &format!("{folder}/etc/reboot-coordinator"),
        )
        .replace("/usr/bin/", &format!("{folder}/usr/bin/"))
        .replace("127.0.0.1:2379", endpoint)
        .replace("10.0.0.1:2379", endpoint)
        .replace(
            "dry_run: true",
            &format!("dry_run: true\nnode_id: typed\nrun_dir: {folder}/run"),
        );
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!("{MACHINE}\n{commands}"))
        .current_dir(machine.path())
        .env("PROGRAM", env!("CARGO_BIN_EXE_reboot-coordinator"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    let shown = shown.join("\n");
    assert!(output.status.success(), "{shown}");
    let ended = fs::read_to_string(machine.path().join("ended")).unwrap();
    (ended.lines().map(str::to_owned).collect(), shown)
}

/// What the machine of the test is like decides the rest: 3 when it is not well, 6 when it has no kernels to compare.
fn of_a_machine(call: &str) -> bool {
    ["0 ", "3 ", "6 "].iter().any(|code| call.starts_with(code))
}

#[test]
fn the_commands_of_the_readme_work_in_their_order() {
    let cluster = Cluster::single();
    let (ended, shown) = follow("README.md", &cluster);
    assert_eq!(ended[0], "0 validate-config", "{shown}");
    assert!(ended[1].ends_with(" simulate --health"), "{shown}");
    assert!(of_a_machine(&ended[1]), "{shown}");
    assert!(ended[2].ends_with(" run --once"), "{shown}");
    assert!(of_a_machine(&ended[2]), "{shown}");
    assert_eq!(ended[3], "0 status", "{shown}");
    assert_eq!(ended.len(), 4, "{shown}");
    assert!(
        shown.contains("configuration is valid") && shown.contains("/cluster/reboot-coordinator"),
        "{shown}"
    );
}

#[test]
fn the_commands_of_the_quickstart_work_in_their_order() {
    let cluster = Cluster::single();
    let (ended, shown) = follow("docs/quickstart.md", &cluster);
    let calls: Vec<&str> = ended
        .iter()
        .map(|call| call.split_once(' ').unwrap().1)
        .collect();
    let wanted = [
        "version",
        "validate-config",
        "simulate --health",
        "run --once",
        "status",
        "explain",
    ];
    assert_eq!(calls, wanted, "{shown}");
    for (call, of_machine) in ended.iter().zip([false, false, true, true, false, false]) {
        assert!(
            call.starts_with("0 ") || of_machine && of_a_machine(call),
            "{call}: {shown}"
        );
    }
}
