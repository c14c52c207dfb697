//! A path that the operator named and that hangs, as on a dead network file system: nothing waits for it without a limit, and
//! no answer is a "no".

use std::path::Path;
use std::process::{Command, Stdio};

use etcd_test_server::Cluster;

use crate::host::{Host, wait};
use crate::policies::healthy;
use crate::store::Store;

/// A member whose `file` hangs while `dead` exists.
fn member(name: &str, cluster: &Cluster, file: &str) -> Host {
    let mut host = Host::new(name, &cluster.endpoints())
        .with("health_timeout_sec", "1")
        .with("lock_ttl_sec", "3")
        .with("health_publish_interval_sec", "0.3");
    let library = host.path("hang.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/hang.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .args(["-ldl"])
        .status();
    assert!(built.unwrap().success(), "cc builds {}", source.display());
    host.set_env("LD_PRELOAD", library.display().to_string());
    host.set_env("HANGING_PATH", host.path(file).display().to_string());
    host.set_env("HANGING_WHILE", host.path("dead").display().to_string());
    host
}

fn count(host: &Host, event: &str) -> usize {
    let events = host.events().into_iter();
    events.filter(|line| line["event"] == event).count()
}

#[test]
fn a_health_script_that_hangs_is_not_healthy_and_its_turn_goes_to_the_next() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut first = member("first", &cluster, "script");
    let mut second = Host::new("second", &cluster.endpoints());
    first.start();
    first.wait_event("queued");
    second.start();
    second.wait_event("queued");
    store.wait("a good report", || healthy(&store, "first") == Some(true));
    first.touch("dead");
    store.wait("the end of the good report", || {
        healthy(&store, "first") != Some(true)
    });
    store.delete("/rc/claims/other");
    // It has the turn, or would have it, and cannot use it.
    let blocked = first.wait_event("blocked");
    let said = blocked["msg"].as_str().unwrap();
    assert!(
        said.contains("timed out") || said.contains("no answer about"),
        "{said}"
    );
    second.wait_until("the reboot command", || second.reboots() == 1);
    assert_eq!(first.reboots(), 0);
    let seen = first.events().len();
    second.reboot();
    store.wait_gone("second");
    assert_ne!(healthy(&store, "first"), Some(true));
    // Whoever reads the log is told, and not in every pass.
    first.wait_until("more passes", || first.events().len() > seen);
    // That it takes too long, and that earlier starts still hang.
    let told = count(&first, "unhealthy");
    assert!((1..=2).contains(&told), "{}", first.log());
    first.remove("dead");
    first.wait_until("the reboot command", || first.reboots() == 1);
}

#[test]
fn a_path_of_the_configuration_that_hangs_keeps_no_command_and_no_start_waiting_without_a_word() {
    let cluster = Cluster::single();
    let host = member("first", &cluster, "script");
    host.touch("dead");
    let commands = [
        &["run"][..],
        &["run", "--once"],
        &["status"],
        &["explain"],
        &["simulate"],
        &["validate-config", "--json"],
        &["pause", "--reason", "x"],
    ];
    let begin = |words: &&[&str]| host.command(words).stderr(Stdio::piped()).spawn().unwrap();
    let begun: Vec<_> = commands.iter().map(begin).collect();
    for (mut child, words) in begun.into_iter().zip(commands) {
        let ended = wait(|| child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(ended, "{words:?} waits for ever: {said}");
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        let asked = format!(
            "no answer within 10 s about {}",
            host.path("config.yaml").display()
        );
        assert!(said.contains(&asked), "{words:?}: {said}");
    }
}
