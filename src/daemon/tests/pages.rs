//! What is shown of a running daemon.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use super::lab::{Lab, wait};

/// An address that nobody uses at the moment.
pub(super) fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Status and body of a page; `None` when nobody serves there.
pub(super) fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let (head, body) = get_as(address, path, &address.to_string())?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body))
}

/// Head and body of a page for somebody who calls the server this.
pub(super) fn get_as(address: SocketAddr, path: &str, host: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

pub(super) fn served(lab: &mut Lab, address: SocketAddr) {
    lab.set(
        "metrics",
        &format!("{{enabled: true, listen: \"{address}\"}}"),
    );
}

fn value(address: SocketAddr, name: &str) -> f64 {
    let (_, text) = get(address, "/metrics").expect("metrics are served");
    let line = text.lines().find_map(|line| {
        line.strip_prefix(&format!("reboot_coordinator_{name} "))
            .map(str::to_owned)
    });
    let found = line.and_then(|value| value.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

#[test]
fn pages_show_the_cluster_the_host_and_that_the_main_loop_works() {
    let mut lab = Lab::new();
    lab.remove("required");
    let address = free();
    served(&mut lab, address);
    lab.start();
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    assert_eq!(get(address, "/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(get(address, "/nothing").unwrap().0, 404);
    let (status, page) = get(address, "/").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("<html"), "{page}");
    let (status, json) = get(address, "/status.json").unwrap();
    let own = format!("\"daemon_pid\":{}", std::process::id());
    assert!(json.replace(": ", ":").contains(&own), "{json}");
    assert_eq!(status, 200);
    assert!(json.ends_with("}\n"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(
        json.to_string().contains("id-of-a") || json.to_string().contains("\"a\""),
        "{json}"
    );
    wait("idle", || {
        (value(address, "state{state=\"idle\"}") == 1.0).then_some(())
    });
    assert_eq!(value(address, "reboot_required"), 0.0);
    assert_eq!(value(address, "window_open"), 1.0);
    assert_eq!(value(address, "kill_switch_active"), 0.0);
    lab.touch("disable");
    assert_eq!(value(address, "kill_switch_active"), 1.0);
    lab.stop();
    assert_eq!(get(address, "/healthz"), None);
}

#[test]
fn scrapers_at_the_same_moment_see_no_kill_switch_where_none_is() {
    let mut lab = Lab::new();
    lab.remove("required");
    let address = free();
    served(&mut lab, address);
    lab.start();
    wait("the metrics", || get(address, "/metrics"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(value(address, "kill_switch_active"), 0.0);
                }
            });
        }
    });
    lab.stop();
}

/// Its own connection knows what the others know.
#[test]
fn the_page_believes_no_other_cluster_than_the_daemon_does() {
    let mut lab = Lab::new();
    lab.remove("required");
    let address = free();
    served(&mut lab, address);
    lab.start();
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    lab.etcd.replace();
    // Nobody looked before.
    let (_, json) = get(address, "/status.json").unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["etcd"]["reachable"], false, "{json}");
    let why = json["etcd"]["error"].as_str().unwrap();
    assert!(why.contains("belongs to the etcd cluster"), "{why}");
    lab.stop();
}

#[test]
fn requests_are_counted_by_what_they_are_and_how_they_end() {
    let mut lab = Lab::new();
    let address = free();
    served(&mut lab, address);
    lab.claim_of_another();
    lab.start();
    wait("a watch", || (lab.etcd.watches().0 == 1).then_some(()));
    for name in ["txn", "grant", "range", "watch"] {
        let name = format!("etcd_requests_total{{operation=\"{name}\",result=\"ok\"}}");
        wait(&name, || (value(address, &name) >= 1.0).then_some(()));
    }
    assert!(value(address, "etcd_request_duration_seconds_count") >= 3.0);
    // The connections end in the middle, but for the watch: a stream that is just being opened would not tell of the deletion.
    lab.etcd.before(|path, _| path.ends_with("/watch"));
    lab.etcd.delete("/rc/claims/other");
    let name = "etcd_requests_total{operation=\"range\",result=\"unknown\"}";
    let txn = "etcd_requests_total{operation=\"txn\",result=\"unknown\"}";
    wait("a failure", || {
        (value(address, name) + value(address, txn) >= 1.0).then_some(())
    });
    lab.etcd.before(|_, _| true);
    lab.wait_step("reboot");
    lab.stop();
}

#[test]
fn another_address_is_served_after_a_reload_and_one_in_use_changes_nothing() {
    let mut lab = Lab::new();
    lab.remove("required");
    let (first, second) = (free(), free());
    served(&mut lab, first);
    lab.start();
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    wait("the first", || get(first, "/healthz"));
    served(&mut lab, second);
    lab.reload();
    wait("the second", || get(second, "/healthz"));
    wait("the end of the first", || {
        get(first, "/healthz").is_none().then_some(())
    });
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    served(&mut lab, taken.local_addr().unwrap());
    lab.reload();
    assert!(get(second, "/healthz").is_some());
    lab.unset("metrics");
    lab.reload();
    wait("the end of all", || {
        get(second, "/healthz").is_none().then_some(())
    });
    lab.stop();
}
