//! An etcd that takes no writes, and one that fails in turns.

use std::io::{Read, Write};
use std::net::TcpStream;

use etcd_test_server::{Action, Cluster, Proxy, Rule};

use crate::host::Host;
use crate::store::Store;

/// As etcd does itself when its space is used up.
fn raise_alarm(cluster: &Cluster) {
    let body = r#"{"action":"ACTIVATE","memberID":"0","alarm":"NOSPACE"}"#;
    let mut stream = TcpStream::connect(cluster.client_address(0)).unwrap();
    let length = body.len();
    let request = format!(
        "POST /v3/maintenance/alarm HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[test]
fn a_node_that_is_back_undoes_its_drain_though_etcd_is_full() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("node-a", &cluster.endpoints()).with_hooks();
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    raise_alarm(&cluster);
    host.reboot();
    host.wait_reached("undo");
    host.wait_event("etcd_error");
    assert_eq!(store.phase("node-a").as_deref(), Some("rebooting"));
    // Somebody makes room.
    cluster.etcdctl(&["alarm", "disarm"]);
    store.wait_gone("node-a");
    let undone = host.actions().iter().filter(|step| *step == "undo").count();
    assert_eq!(undone, 1);
    assert_eq!(store.outcomes("node-a"), ["completed"]);
}

#[test]
fn endpoints_that_fail_in_turns_are_one_line() {
    let cluster = Cluster::single();
    let proxies = [0, 1].map(|_| Proxy::new(cluster.client_address(0)));
    let mut host = Host::new("node-a", &proxies.each_ref().map(Proxy::url));
    host.remove("required");
    host.start();
    host.wait_event("not_required");
    host.touch("required");
    // Now one, now the other, and each in its own words.
    for (proxy, other) in [(0, 1), (1, 0)] {
        let cut = Rule::on("/v3/", Action::CutRequest);
        proxies[proxy].rule(cut.times(1));
        let bad = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        proxies[other].rule(Rule::on("/v3/", Action::Answer(bad.to_vec())).times(2));
    }
    for proxy in &proxies {
        proxy.rule(Rule::on("/v3/", Action::CutRequest));
    }
    host.wait_blocked("etcd");
    let seen = proxies[0].requests().len();
    host.wait_until("many more attempts", || {
        proxies[0].requests().len() > seen + 40
    });
    let warned = host.events().into_iter();
    let warned = warned.filter(|line| line["event"] == "blocked").count();
    assert!(warned <= 3, "{}", host.log());
}
