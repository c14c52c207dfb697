//! The harness itself: servers come back with their data, and nothing stays behind.
#![allow(clippy::unwrap_used)] // clippy lets test functions unwrap, but not their helpers

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use etcd_test_server::{Action, Cluster, Proxy, Rule, Tls, versions};

const LIMIT: Duration = Duration::from_secs(10);

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists()
}

#[test]
fn a_member_keeps_its_data_and_its_ports() {
    for version in versions() {
        let cluster = Cluster::builder()
            .version(&version)
            .fast_elections()
            .start();
        let url = cluster.endpoints();
        cluster.etcdctl(&["put", "k", "kept"]);
        for end in [Cluster::stop, Cluster::kill] {
            end(&cluster, 0);
            assert!(!cluster.is_running(0));
            cluster.restart(0);
            assert!(cluster.etcdctl(&["get", "k"]).contains("kept"));
        }
        cluster.pause(0);
        cluster.restart(0); // a frozen one as well
        assert_eq!(cluster.endpoints(), url);
    }
}

#[test]
fn three_members_elect_another_leader() {
    let cluster = Cluster::builder()
        .members(3)
        .fast_elections()
        .tls(Tls::Mutual)
        .start();
    let leader = cluster.leader();
    cluster.kill(leader);
    assert_ne!(cluster.leader(), leader);
    cluster.etcdctl(&["put", "k", "v"]);
    cluster.restart(leader);
}

#[test]
fn users_have_the_rights_they_were_given() {
    let cluster = Cluster::builder().auth("root-pw").start();
    cluster.add_user("node", "pw", "own/");
    assert!(
        cluster
            .etcdctl(&["--user=node:pw", "put", "own/k", "v"])
            .contains("OK")
    );
    assert!(
        cluster
            .try_etcdctl(&["--user=node:pw", "put", "other", "v"])
            .is_err()
    );
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_folder() {
    let cluster = Cluster::builder().members(3).fast_elections().start();
    let pids: Vec<u32> = (0..3).map(|i| cluster.pid(i).unwrap()).collect();
    let folder = cluster.folder().to_owned();
    cluster.pause(1);
    assert!(pids.iter().all(|pid| is_alive(*pid)) && folder.exists());
    drop(cluster);
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert!(!folder.exists());
}

/// The other half of the next test, which runs it as a process of its own.
#[test]
fn start_and_be_killed() {
    if env::var_os("ETCD_HARNESS_CHILD").is_none() {
        return;
    }
    // On a thread that ends, as tests' threads do.
    let cluster = thread::spawn(Cluster::single).join().unwrap();
    println!(
        "\nstarted {} {}",
        cluster.pid(0).unwrap(),
        cluster.folder().display()
    );
    loop {
        thread::park();
    }
}

#[test]
fn servers_die_with_the_test_process_and_not_with_the_thread_that_started_them() {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "start_and_be_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("ETCD_HARNESS_CHILD", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines
        .map(Result::unwrap)
        .find(|line| line.starts_with("started "))
        .unwrap();
    let words: Vec<&str> = started.split(' ').collect();
    let pid = words[1].parse().unwrap();
    assert!(is_alive(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server to be killed", || !is_alive(pid));
    // A killed process cannot remove its folder.
    fs::remove_dir_all(words[2]).unwrap();
}

/// A put of the key `k` over a connection of its own; the reply, or nothing when there was none.
fn put(proxy: &Proxy, value: &str) -> Option<String> {
    let mut stream = TcpStream::connect(proxy.address()).ok()?;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let body = format!(r#"{{"key":"aw==","value":"{value}"}}"#);
    let head = format!(
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    (!reply.is_empty()).then_some(reply)
}

#[test]
fn the_proxy_breaks_what_it_is_told_to() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let stored = || {
        cluster
            .etcdctl(&["get", "k", "--print-value-only"])
            .trim()
            .to_owned()
    };
    assert!(put(&proxy, "MQ==").unwrap().contains("200 OK"));
    assert_eq!(stored(), "1");

    proxy.rule(Rule::on("Mg==", Action::CutRequest).times(1));
    assert_eq!(put(&proxy, "Mg=="), None);
    assert_eq!(stored(), "1");
    proxy.rule(Rule::on("Mg==", Action::CutReply).times(1));
    assert_eq!(put(&proxy, "Mg=="), None);
    assert_eq!(stored(), "2");
    assert!(put(&proxy, "Mg==").is_some(), "both rules are used up");

    proxy.rule(Rule::on(
        "Mw==",
        Action::Rewrite("Mw==".into(), "cmV3cml0dGVu".into()),
    ));
    assert!(put(&proxy, "Mw==").is_some());
    assert_eq!(stored(), "rewritten");
    proxy.clear();
    proxy.rule(Rule::on(
        "kv/put",
        Action::Answer(b"HTTP/1.1 503 No\r\n\r\n".to_vec()),
    ));
    let answer = "HTTP/1.1 503 No\r\nConnection: close\r\n\r\n";
    assert_eq!(put(&proxy, "NA==").unwrap(), answer);
    proxy.clear();
    proxy.rule(Rule::on("kv/put", Action::Hold(Duration::from_millis(100))));
    assert!(put(&proxy, "NA==").is_some());
    assert_eq!(stored(), "4");
    assert_eq!(proxy.count("kv/put"), 7);

    proxy.refuse();
    assert_eq!(put(&proxy, "NQ=="), None);
    proxy.accept();
    proxy.clear();
    assert!(put(&proxy, "NQ==").is_some());
}
