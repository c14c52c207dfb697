//! What the pages say.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use etcd_test_server::Cluster;
use rustix::process::Signal;

use super::daemon::{Daemon, configure, folder, path, program, wait};

#[test]
fn only_what_there_is_is_served_and_only_to_be_read() {
    let daemon = Daemon::start();
    assert_eq!(daemon.get("/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(daemon.get("/healthz?verbose=1").unwrap().0, 200);
    assert_eq!(daemon.get("/nothing").unwrap().0, 404);
    let answer = daemon.send(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    assert!(
        answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    let head = daemon.send(b"HEAD /metrics HTTP/1.1\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.0 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let refused = daemon.send(b"DELETE /metrics HTTP/1.1\r\n\r\n").unwrap();
    assert!(refused.starts_with("HTTP/1.0 405 "), "{refused}");
    daemon.stop();
}

#[test]
fn the_metrics_follow_what_happens() {
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    // Policies that forbid nothing make it count the members.
    let config = path(&folder, "config.yaml");
    let policies = "cluster_policies: {min_healthy_absolute: 0}\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + policies).unwrap();
    let command = program(&folder, "");
    let daemon = Daemon::run(folder, command);
    wait("the first pass", || {
        daemon.value("state{state=\"idle\"}") == 1.0
    });
    assert!(daemon.value("detector_checks_total{detector=\"marker\",result=\"clear\"}") >= 1.0);
    assert!(daemon.value("etcd_requests_total{operation=\"txn\",result=\"ok\"}") >= 2.0);
    assert!(daemon.value("etcd_request_duration_seconds_count") >= 2.0);
    assert_eq!(daemon.value("reboot_required"), 0.0);
    assert_eq!(daemon.value("window_open"), 1.0);
    assert_eq!(daemon.value("kill_switch_active"), 0.0);
    // At once, although nothing has looked at it since.
    fs::write(path(&daemon.folder, "disable"), "").unwrap();
    assert_eq!(daemon.value("kill_switch_active"), 1.0);
    fs::write(path(&daemon.folder, "required"), "").unwrap();
    wait("the kill switch's effect", || {
        daemon.value("blocked{reason=\"kill_switch\"}") == 1.0
    });
    assert_eq!(daemon.value("reboot_required"), 1.0);
    assert!(daemon.value("reboot_blocked_total{reason=\"kill_switch\"}") >= 1.0);
    fs::remove_file(path(&daemon.folder, "disable")).unwrap();
    wait("the commit", || {
        daemon.value("claim_committed_timestamp_seconds") > 1.7e9
    });
    wait("the command, after the last look at the host", || {
        daemon.value("state{state=\"rebooting\"}") == 1.0
    });
    assert_eq!(daemon.value("claim_held"), 1.0);
    assert_eq!(
        daemon.value("health_checks_total{phase=\"post-lock\",result=\"passed\"}"),
        1.0
    );
    assert!(daemon.value("etcd_requests_total{operation=\"watch\",result=\"ok\"}") >= 1.0);
    let members = |health| daemon.value(&format!("cluster_nodes{{health=\"{health}\"}}"));
    assert_eq!(members("healthy") + members("unhealthy"), 1.0);
    promtool(&daemon.metrics());
    // The host goes down and comes up again.
    let daemon = daemon.again(|folder| {
        fs::write(
            path(folder, "boot-id"),
            "b0070002-0000-4000-8000-000000000001\n",
        )
        .unwrap();
        fs::remove_file(path(folder, "required")).unwrap();
    });
    wait("the release", || {
        daemon.value("reboots_total{outcome=\"completed\"}") == 1.0
    });
    wait("the end", || {
        daemon.value("last_reboot_timestamp_seconds") > 1.7e9
    });
    assert_eq!(daemon.value("claim_held"), 0.0);
    // By the process after the reboot, of the wait before it.
    assert_eq!(daemon.value("lock_acquire_duration_seconds_count"), 1.0);
    daemon.stop();
}

/// Whether Prometheus itself can read it, where its tool is installed.
fn promtool(metrics: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        println!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    tool.stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    println!("promtool: {} {said}", output.status);
}

/// Any user of the host can take a port. A node that is back from its reboot has to give its claim back all the same.
#[test]
fn a_taken_address_keeps_neither_the_start_nor_a_reload_from_its_work() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), &address.to_string());
    let command = program(&folder, "");
    let mut daemon = Daemon::begin(folder, command);
    let log = daemon.log.clone();
    let said = |event: &str| {
        let log = log.lock().unwrap();
        log.matches(&format!("\"event\":\"{event}\"")).count()
    };
    wait("the first pass", || said("not_required") == 1);
    let log = daemon.log();
    assert!(
        log.contains(&format!("metrics cannot be served at {address}")),
        "{log}"
    );
    assert!(log.contains("change metrics.listen"), "{log}");
    configure(&daemon.folder, &etcd.endpoints(), &address.to_string(), 2);
    daemon.signal(Signal::HUP);
    wait("the reload", || said("reloaded") == 1);
    assert_eq!(said("reload_refused"), 0);
    drop(taken);
    daemon.address = daemon.announced(0);
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    daemon.stop();
}

#[test]
fn a_reload_moves_the_server_and_keeps_the_counts() {
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    let command = program(&folder, "");
    let mut daemon = Daemon::run(folder, command);
    let clear = "detector_checks_total{detector=\"marker\",result=\"clear\"}";
    wait("three passes", || daemon.value(clear) >= 3.0);
    let old = daemon.address;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let new = listener.local_addr().unwrap();
    drop(listener);
    configure(&daemon.folder, &etcd.endpoints(), &new.to_string(), 1);
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.announced(1), new);
    daemon.address = new;
    assert!(daemon.value(clear) >= 3.0);
    wait("the old port's end", || {
        std::net::TcpStream::connect(old).is_err()
    });
    // The same port at every address: the first has to be given up for the second.
    configure(
        &daemon.folder,
        &etcd.endpoints(),
        &format!("0.0.0.0:{}", new.port()),
        1,
    );
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.announced(2).ip().to_string(), "0.0.0.0");
    assert!(daemon.value(clear) >= 3.0);
    daemon.stop();
}
