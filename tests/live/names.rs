//! etcd by a name, and a name server that goes away.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etcd_test_server::Cluster;
use rustix::process::Signal;

use crate::host::Host;
use crate::store::Store;
use crate::zones::apart;

/// A name server that answers every question for an address with the same one, until it is silent.
struct NameServer {
    address: Ipv4Addr,
    asked: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
}

impl NameServer {
    /// At an address of 127.0.0.0/8 that nobody else has: a resolver asks at port 53 only.
    fn start(answer: Ipv4Addr) -> NameServer {
        let (socket, address) = (1..=u8::MAX)
            .find_map(|last| {
                let [_, b, c, _] = answer.octets();
                let address = Ipv4Addr::new(127, b, c.wrapping_add(1), last);
                Some((UdpSocket::bind((address, 53)).ok()?, address))
            })
            .expect("root may bind port 53");
        let server = NameServer {
            address,
            asked: Arc::default(),
            silent: Arc::default(),
        };
        let (asked, silent) = (Arc::clone(&server.asked), Arc::clone(&server.silent));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                asked.fetch_add(1, Ordering::SeqCst);
                if !silent.load(Ordering::SeqCst) {
                    let _ = socket.send_to(&reply(&question[..length], answer), from);
                }
            }
        });
        server
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

/// One address for a question of type A; none for any other.
fn reply(question: &[u8], answer: Ipv4Addr) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
    let end = 12 + name + 5;
    let is_a = question[end - 4..end - 2] == [0, 1];
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    reply.extend(&question[12..end]);
    if is_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        reply.extend(answer.octets());
    }
    reply
}

/// A host that knows the members of a cluster as names, and asks these servers for them.
fn by_name(name: &str, cluster: &Cluster, servers: &[&NameServer]) -> Option<Host> {
    let mut host = apart(name, cluster)?;
    let ports = cluster.endpoints().into_iter().enumerate();
    let named: Vec<String> = ports
        .map(|(at, url)| format!("http://m{at}.etcd.test:{}", url.rsplit(':').next().unwrap()))
        .collect();
    host.set("etcd_endpoints", &format!("{named:?}"));
    fs::write(host.path("etc/nsswitch.conf"), "hosts: files dns\n").unwrap();
    let lines = servers
        .iter()
        .map(|server| format!("nameserver {}\n", server.address));
    fs::write(host.path("etc/resolv.conf"), lines.collect::<String>()).unwrap();
    Some(host)
}

fn address(cluster: &Cluster) -> Ipv4Addr {
    let url = cluster.client_url(0);
    let host = url
        .trim_start_matches("http://")
        .rsplit_once(':')
        .unwrap()
        .0;
    match host.parse().unwrap() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => panic!("members listen at 127.0.0.0/8"),
    }
}

#[test]
fn a_name_server_that_goes_away_costs_a_waiting_node_nothing() {
    let (cluster, store) = Store::single();
    let server = NameServer::start(address(&cluster));
    let Some(mut host) = by_name("node-a", &cluster, &[&server]) else {
        return;
    };
    store.claim_of_another("other");
    host.start();
    host.wait_event("queued");
    let asked = server.asked();
    assert!(asked > 0, "it is found by its name");
    server.fall_silent();
    // What was known is old now, and it is asked for again, in vain.
    host.wait_until("another question", || server.asked() > asked);
    // A reload forgets no address either.
    host.set("check_interval_sec", "0.3");
    host.write_config();
    host.signal(Signal::HUP);
    host.wait_event("reloaded");
    let began = Instant::now();
    store.delete("/rc/claims/other");
    host.wait_until("the reboot command", || host.reboots() == 1);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!host.has_event("blocked"), "{}", host.log());
}

#[test]
fn the_first_of_two_name_servers_may_be_dead() {
    let cluster = Cluster::single();
    let dead = NameServer::start(address(&cluster));
    let good = NameServer::start(address(&cluster));
    dead.fall_silent();
    let Some(mut host) = by_name("node-a", &cluster, &[&dead, &good]) else {
        return;
    };
    // Less than the resolver waits for the first.
    host.set("etcd_timeout_sec", "2");
    host.start();
    host.wait_until("the reboot command", || host.reboots() == 1);
    assert!(dead.asked() > 0);
}
