//! What keeps a node from rebooting, and what it says about that.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use etcd_test_server::Cluster;
use rustix::process::Signal;

use crate::host::Host;
use crate::store::Store;

#[test]
fn nothing_is_committed_in_a_boot_that_is_not_the_one_of_the_host() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    host.next_boot(); // as in a container that is moved alive
    host.touch("required");
    let refused = host.wait_blocked("configuration");
    let said = refused["msg"].as_str().unwrap();
    assert!(
        said.contains("the boot id is ") && said.contains("restart the daemon"),
        "{said}"
    );
    assert_eq!((host.reboots(), store.claims().len()), (0, 0));
    host.stop();
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
}

#[test]
fn a_marker_that_never_goes_away_is_one_reboot_and_then_a_refusal() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with("metrics", "{enabled: true, listen: '127.0.0.1:0'}");
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.kill();
    host.next_boot();
    host.start();
    host.wait_event("released");
    host.wait_blocked("budget");
    assert_eq!(host.reboots(), 1);
    assert_eq!(store.get("/rc/nodes/node-a").unwrap()["budget_used"], 1);
    let served = host.wait_event("metrics")["address"].clone();
    let page = page(served.as_str().unwrap());
    for line in [
        "reboot_coordinator_blocked{reason=\"budget\"} 1",
        "reboot_coordinator_reboots_total{outcome=\"completed\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    let explained = host.command(&["explain"]).output().unwrap();
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.starts_with("node-a needs a reboot and is blocked: the reboot budget is used up"),
        "{explained}"
    );
    let folded: Vec<&str> = explained.split_whitespace().collect();
    let folded = folded.join(" ");
    assert!(
        folded.contains("1 of 1 reboots used, requirement not cleared")
            && folded.contains("reboot-coordinator reset-budget node-a"),
        "{explained}"
    );
    host.stop();
    host.start_with(&["run", "--once"]);
    assert_eq!(host.wait_exit().code(), Some(8));
    // Once it goes away, the budget is whole again.
    host.remove("required");
    host.start();
    host.wait_event("budget_reset");
    host.touch("required");
    host.wait_until("another reboot", || host.reboots() == 2);
}

/// What the metrics server says.
fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// By what stands there the next boot would take the claim of this one for a copy's. As on a disk that was remounted read-only.
#[test]
fn an_older_record_that_can_be_neither_written_nor_removed_forbids_a_reboot() {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        return println!("skipped: no mount namespace is to be had here");
    }
    let cluster = Cluster::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    let (record, older) = (host.path("run/memory.json"), host.path("older.json"));
    fs::create_dir_all(host.path("run")).unwrap();
    for file in [&record, &older] {
        fs::write(file, "{\"boots\":[\"before\"]}").unwrap();
    }
    let (record, older) = (record.display(), older.display());
    // What is mounted there can be neither replaced nor removed.
    let script = format!("mount --bind {older} {record} && exec \"$@\"");
    let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    host.wrap(words.map(str::to_owned).to_vec());
    host.start();
    let blocked = host.wait_blocked("configuration");
    let said = blocked["msg"].as_str().unwrap();
    assert!(said.contains("memory.json is an older record"), "{said}");
    assert!(said.contains("make its folder writable"), "{said}");
    assert_eq!(host.reboots(), 0);
    host.stop();
    host.wrap(Vec::new());
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
}

/// As by an error of its disk, and by one who cleans up: it would be drained for nothing, or a second daemon could take its claim. What
/// was only deleted is made anew.
#[test]
fn a_run_dir_that_was_lost_since_the_start_forbids_the_commit() {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        return println!("skipped: no mount namespace is to be had here");
    }
    let cluster = Cluster::single();
    for (number, lost, said) in [
        (
            1,
            "mount --bind $PWD $PWD && mount -o remount,ro,bind $PWD",
            "Read-only file system (os error 30); make it writable",
        ),
        (
            2,
            "rm instance.lock && mkdir instance.lock",
            "cannot be taken anew",
        ),
        (3, "rm -r $PWD", ""),
    ] {
        let mut host = Host::new(&format!("node-{number}"), &cluster.endpoints()).with_hooks();
        host.remove("required");
        let run = host.path("run").display().to_string();
        host.wrap(["unshare", "--mount"].map(str::to_owned).to_vec());
        host.start();
        host.wait_event("not_required");
        let pid = host.pid().to_string();
        let inside = ["--mount", "--target", &pid, "sh", "-c"];
        let lost = format!("cd {run} && {lost}");
        let status = Command::new("nsenter").args(inside).arg(lost).status();
        assert!(status.unwrap().success());
        host.touch("required");
        if !said.is_empty() {
            let blocked = host.wait_blocked("configuration");
            let told = blocked["msg"].as_str().unwrap();
            assert!(told.contains(&run) && told.contains(said), "{told}");
            assert!(!host.has_event("committed"));
            host.stop();
            let _ = fs::remove_dir(host.path("run/instance.lock"));
            host.start();
        }
        host.wait_until("the reboot command", || host.reboots() == 1);
        host.reboot();
        host.wait_event("released");
    }
}

#[test]
fn an_operator_lets_a_node_try_again_whose_reboot_did_not_help() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    host.kill();
    host.next_boot();
    host.start();
    host.wait_blocked("budget");
    let reset = host
        .command(&["reset-budget", "node-a", "--reason", "kernel repaired"])
        .output()
        .unwrap();
    assert!(reset.status.success(), "{reset:?}");
    host.wait_until("another reboot", || host.reboots() == 2);
    let outcomes = store.outcomes("node-a");
    assert_eq!(outcomes, ["completed", "budget-reset"]);
}

#[test]
fn a_health_script_that_hangs_with_a_grandchild_refuses_and_leaves_nothing() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with("health_timeout_sec", "0.5");
    let script = host.path("hanging");
    let pid_file = host.path("grandchild");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\nsleep 1000 & echo $! > {}\nsleep 1000\n",
            pid_file.display()
        ),
    )
    .unwrap();
    set_executable(&script);
    host.set(
        "health_script",
        &format!("{:?}", script.display().to_string()),
    );
    host.start();
    let blocked = host.wait_blocked("health");
    assert!(
        blocked["msg"].as_str().unwrap().contains("timed out"),
        "{blocked}"
    );
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    host.wait_until("the grandchild's end", || {
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert_eq!(store.claims(), Vec::<String>::new());
    assert_eq!(host.reboots(), 0);
}

#[test]
fn once_leaves_only_what_it_says_of_itself_when_it_is_not_its_turn() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start_with(&["run", "--once"]);
    assert_eq!(host.wait_exit().code(), Some(4), "{}", host.log());
    let keys = store.list("/rc/").into_iter().map(|(key, _)| key);
    assert!(keys.eq(["/rc/claims/other", "/rc/standing/node-a"]));
    // The one under which that stands until the next pass.
    let leases = cluster.etcdctl(&["lease", "list"]);
    assert!(leases.contains("found 1 leases"), "{leases}");
}

#[test]
fn once_with_wait_gets_its_turn_when_it_comes() {
    let (cluster, store) = Store::single();
    store.claim_of_another("other");
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.start_with(&["run", "--once", "--wait", "1m"]);
    host.wait_event("queued");
    store.delete("/rc/claims/other");
    assert_eq!(host.wait_exit().code(), Some(0), "{}", host.log());
    assert_eq!(host.reboots(), 1);
    // The next boot's run gives the claim back.
    host.remove("required");
    host.next_boot();
    host.start_with(&["run", "--once"]);
    assert_eq!(host.wait_exit().code(), Some(0), "{}", host.log());
    assert_eq!(store.claims(), Vec::<String>::new());
}

#[test]
fn once_says_by_its_exit_code_why_it_did_nothing() {
    let cluster = Cluster::single();
    let run = |host: &mut Host| {
        host.start_with(&["run", "--once"]);
        host.wait_exit().code()
    };
    let mut host = Host::new("node-a", &cluster.endpoints());
    host.touch("disable");
    assert_eq!(run(&mut host), Some(5), "kill switch");
    host.remove("disable");
    host.touch("fail-pre-lock");
    assert_eq!(run(&mut host), Some(3), "health");
    host.remove("fail-pre-lock");
    host.set("windows", "{timezone: UTC, deny: [\"* 00:00-24:00\"]}");
    assert_eq!(run(&mut host), Some(7), "window");
    host.set("windows", "{timezone: UTC}");
    host.set(
        "reboot_required_detectors",
        "[{type: command, cmd: [/does/not/exist]}]",
    );
    assert_eq!(run(&mut host), Some(6), "detector");
    let marker = host.path("required").display().to_string();
    host.set(
        "reboot_required_detectors",
        &format!("[{{type: file, path: {marker:?}}}]"),
    );
    Store::of(&cluster).put(
        "/rc/cooldown",
        &serde_json::json!({"v": 1, "node": "x", "since": "", "until": "2026-01-01T00:00:00Z"}),
    );
    assert_eq!(run(&mut host), Some(8), "cooldown");
    host.remove("required");
    assert_eq!(run(&mut host), Some(0), "nothing to do");
    assert_eq!(host.reboots(), 0);
    host.set("etcd_endpoints", "[\"127.0.0.1:1\"]");
    host.touch("required");
    assert_eq!(run(&mut host), Some(1), "no etcd");
}

#[test]
fn a_cooldown_follows_a_completed_reboot_and_holds_the_next_node() {
    let (cluster, store) = Store::single();
    let cooling =
        |name: &str| Host::new(name, &cluster.endpoints()).with("min_reboot_interval_sec", "3");
    let (mut first, mut second) = (cooling("first"), cooling("second"));
    first.start();
    first.wait_until("the reboot command", || first.reboots() == 1);
    second.start();
    second.wait_event("queued");
    first.reboot();
    first.wait_event("released");
    assert_eq!(store.get("/rc/cooldown").unwrap()["node"], "first");
    second.wait_blocked("cooldown");
    assert_eq!(second.reboots(), 0);
    second.wait_until("the reboot command", || second.reboots() == 1);
    assert!(store.get("/rc/cooldown").is_none());
}

#[test]
fn a_drain_that_fails_is_undone_and_the_claim_given_back() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with_hooks()
        .with("backoff_min_sec", "60")
        .with("backoff_max_sec", "60");
    host.touch("fail-drain");
    host.start();
    host.wait_event("released");
    assert_eq!(
        host.actions(),
        ["pre-lock", "post-lock", "drain", "undo", "post-boot"]
    );
    assert_eq!(store.claims(), Vec::<String>::new());
    assert_eq!(store.outcomes("node-a"), ["aborted"]);
    assert_eq!(store.get("/rc/nodes/node-a").unwrap()["budget_used"], 0);
}

#[test]
fn a_kill_switch_that_appears_while_draining_calls_the_reboot_off() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.touch("block-drain");
    host.start();
    host.wait_reached("drain");
    host.touch("disable");
    host.remove("block-drain");
    host.wait_event("released");
    assert_eq!(host.reboots(), 0);
    assert_eq!(store.outcomes("node-a"), ["aborted"]);
    assert!(host.actions().contains(&"undo".to_owned()));
}

#[test]
fn a_reboot_command_that_fails_is_called_off_after_a_moment() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints())
        .with("reboot_timeout_sec", "2")
        .with("backoff_min_sec", "60")
        .with("backoff_max_sec", "60");
    host.touch("fail-reboot");
    host.start();
    host.wait_event("reboot_command_failed");
    host.wait_event("released");
    assert_eq!(store.outcomes("node-a"), ["aborted"]);
    assert_eq!(host.reboots(), 1);
}

#[test]
fn a_reboot_command_that_does_nothing_is_tried_again_and_then_the_line_stops() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with("reboot_timeout_sec", "0.3");
    host.start();
    host.wait_event("holding");
    assert_eq!(host.reboots(), 3);
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    // Somebody has repaired it, and the file stays as it is.
    host.signal(Signal::HUP);
    host.wait_until("another try", || host.reboots() > 3);
    // An operator releases it; the node notices.
    host.touch("disable");
    store.delete("/rc/claims/node-a");
    host.wait_event("claim_gone");
    host.wait_blocked("kill_switch");
}

#[test]
fn a_dry_run_does_everything_but_the_commit() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start_with(&["run", "--dry-run"]);
    host.wait_event("dry_run");
    host.wait_until("several passes", || {
        host.actions().iter().filter(|a| *a == "post-lock").count() >= 3
    });
    assert!(host.actions().iter().all(|a| a.ends_with("lock")));
    let events = host.events();
    for once in ["queued", "turn", "dry_run"] {
        let said = events.iter().filter(|e| e["event"] == once).count();
        assert_eq!(said, 1, "{once}: what does not change is said once");
    }
    host.stop();
    assert_eq!(store.claims(), Vec::<String>::new());
}

#[test]
fn health_that_fails_at_the_head_of_the_queue_lets_the_next_node_go() {
    let cluster = Cluster::single();
    let mut first = Host::new("first", &cluster.endpoints());
    let mut second = Host::new("second", &cluster.endpoints());
    first.touch("fail-post-lock");
    first.touch("block-post-lock");
    first.start();
    first.wait_reached("post-lock");
    second.start();
    second.wait_event("queued");
    first.remove("block-post-lock");
    first.wait_blocked("health");
    second.wait_until("the reboot command", || second.reboots() == 1);
    assert_eq!(first.reboots(), 0);
}

fn set_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
