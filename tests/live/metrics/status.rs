//! The page and `/status.json`: what they say, what they cost, and what they do when etcd is away.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use etcd_test_server::Cluster;
use serde_json::Value;

use super::daemon::{Daemon, configure, folder, path, program, wait};

/// Surveys are this far apart, whoever looks.
const EVERY: Duration = Duration::from_secs(5);

/// A daemon that is idle for an hour and has reported its health, so that every further request to etcd is for its pages.
fn idle(etcd: &Cluster) -> Daemon {
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    configure(&folder, &etcd.endpoints(), "127.0.0.1:0", 3600);
    let command = program(&folder, "");
    let daemon = Daemon::run(folder, command);
    wait("the first pass", || {
        daemon.value("state{state=\"idle\"}") == 1.0
    });
    let report = ["get", "/cluster/lock/alive/node-a"];
    wait("the report", || etcd.etcdctl(&report).contains("healthy"));
    daemon
}

fn json(daemon: &Daemon) -> Value {
    let (status, body) = daemon.get("/status.json").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn page(daemon: &Daemon) -> String {
    let (status, body) = daemon.get("/").unwrap();
    assert_eq!(status, 200, "{body}");
    // Names are kept whole on a narrow screen.
    body.replace("<span class=\"w\">", "")
        .replace("</span>", "")
}

/// The names of all fields, with their paths.
fn fields(value: &Value, at: &str, into: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (name, value) in map {
            let at = format!("{at}.{name}");
            fields(value, &at, into);
            into.push(at);
        }
    }
}

#[test]
fn the_page_and_its_json_say_what_the_command_says() {
    let etcd = Cluster::single();
    let daemon = idle(&etcd);
    let served = json(&daemon);
    assert_eq!(served["etcd"]["reachable"], true, "{served}");
    assert_eq!(served["cluster"]["members"][0]["node"], "node-a");
    assert_eq!(served["cluster"]["members"][0]["healthy"], true);
    assert_eq!(served["node"]["state"], "idle");
    assert_eq!(served["node"]["state_text"], "idle: no reboot is required");
    let output = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
        .args(["status", "--json", "--config"])
        .arg(path(&daemon.folder, "config.yaml"))
        .output()
        .unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    fields(&served, "", &mut here);
    fields(&printed, "", &mut there);
    assert_eq!(here, there);
    let page = page(&daemon);
    for text in [
        "Nothing to do: nobody reboots, nobody waits.",
        "Members: 1, 1 with nothing to do",
        "node-a: idle: no reboot is required",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    let head = daemon.send(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
    for line in [
        "Content-Type: text/html; charset=utf-8",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(
        head.contains("\r\nContent-Security-Policy: default-src 'none'; "),
        "{head}"
    );
    let posted = daemon.send(b"POST / HTTP/1.1\r\n\r\n").unwrap();
    assert!(posted.starts_with("HTTP/1.0 405 "), "{posted}");
    daemon.stop();
}

/// A read is one transaction here, because the cluster is small.
#[test]
fn many_readers_cost_etcd_as_much_as_one_and_none_costs_nothing() {
    let etcd = Cluster::single();
    let daemon = idle(&etcd);
    let reads = || daemon.value("etcd_requests_total{operation=\"txn\",result=\"ok\"}");
    let threads = || daemon.status("Threads");
    let (before, quiet, began) = (reads(), threads(), Instant::now());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..150 {
                    let path = if n % 2 == 0 { "/" } else { "/status.json" };
                    wait("an answer", || {
                        daemon.get(path).is_some_and(|(status, _)| status == 200)
                    });
                }
            });
        }
    });
    // One before and one after every five seconds, and the answer to the report, if that came late.
    let allowed = 3.0 + (began.elapsed().as_secs_f64() / EVERY.as_secs_f64()).floor();
    let used = reads() - before;
    println!("600 looks in {:?}: {used} reads of etcd", began.elapsed());
    assert!(
        (1.0..=allowed).contains(&used),
        "{used} reads, {allowed} allowed"
    );
    // Nobody looks any more: after the last read no other comes, and the thread goes.
    wait("the end of the thread", || threads() <= quiet);
    let used = reads() - before;
    assert!(used <= allowed + 1.0, "{used} reads, {allowed} allowed");
    daemon.stop();
}

#[test]
fn without_etcd_the_pages_show_what_is_known_and_how_old_it_is() {
    let etcd = Cluster::single();
    let daemon = idle(&etcd);
    assert_eq!(json(&daemon)["etcd"]["reachable"], true);
    etcd.pause(0);
    wait("the news", || json(&daemon)["etcd"]["reachable"] == false);
    let away = json(&daemon);
    assert_eq!(away["cluster"]["members"][0]["node"], "node-a", "{away}");
    assert!(
        away["etcd"]["read_at"].as_str() < away["at"].as_str(),
        "{away}"
    );
    // A gate is not judged on what is old.
    let gates = away["node"]["gates"].as_array().unwrap();
    let pause = gates.iter().find(|gate| gate["gate"] == "pause").unwrap();
    assert_eq!(pause["verdict"], "unknown", "{away}");
    let text = page(&daemon);
    assert!(text.contains("etcd does not answer"), "{text}");
    assert!(text.contains("What follows was read"), "{text}");
    etcd.resume(0);
    wait("etcd again", || json(&daemon)["etcd"]["reachable"] == true);
    daemon.stop();
}

#[test]
fn an_etcd_that_was_never_there_keeps_nobody_waiting() {
    let daemon = Daemon::start();
    let began = Instant::now();
    let text = page(&daemon);
    assert!(
        text.contains("Nothing is known of the cluster: etcd does not answer."),
        "{text}"
    );
    assert!(text.contains("node-a: "), "{text}");
    assert_eq!(json(&daemon)["cluster"], Value::Null);
    // Twice what a look waits at most, and some time for a busy machine.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    daemon.stop();
}
