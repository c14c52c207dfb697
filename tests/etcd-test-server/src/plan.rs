//! The arguments of servers, and addresses for them.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::builder::{Builder, Tls};
use crate::member::Member;
use crate::pki::Pki;
use crate::version::Version;

/// Ports are taken below the range from which the kernel takes those of outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// What the arguments of the members follow from.
pub(crate) struct Plan<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) version: &'a Version,
    pub(crate) host: Ipv4Addr,
    /// Of each member: for clients, for members, for health checks.
    pub(crate) ports: &'a [[u16; 3]],
    pub(crate) pki: Option<&'a Pki>,
    pub(crate) folder: &'a Path,
}

impl Plan<'_> {
    pub(crate) fn member(&self, index: usize) -> Member {
        let name = format!("m{index}");
        let [client, peer, health] = self.ports[index];
        let scheme = if self.pki.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://{}:{client}", self.host);
        let peer = format!("http://{}:{peer}", self.host);
        let everyone: Vec<String> = self
            .ports
            .iter()
            .enumerate()
            .map(|(i, [_, peer, _])| format!("m{i}=http://{}:{peer}", self.host))
            .collect();
        let mut command = vec![
            self.version.etcd.display().to_string(),
            format!("--name={name}"),
            format!("--data-dir={}", self.folder.join(&name).display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}", everyone.join(",")),
            format!("--listen-metrics-urls=http://{}:{health}", self.host),
        ];
        if self.version.number() >= (3, 4, 0) {
            command.push("--bcrypt-cost=4".to_owned()); // the cheapest: tests authenticate often
        }
        if self.version.number() >= (3, 5, 0) {
            command.push("--unsafe-no-fsync".to_owned());
        }
        if self.builder.fast_elections {
            command.push("--heartbeat-interval=10".to_owned());
            command.push("--election-timeout=100".to_owned());
        }
        if let Some(pki) = self.pki {
            command.push(format!("--cert-file={}", pki.server.cert.display()));
            command.push(format!("--key-file={}", pki.server.key.display()));
            if self.builder.tls == Tls::Mutual {
                command.push("--client-cert-auth".to_owned());
                command.push(format!("--trusted-ca-file={}", pki.ca.display()));
            }
        }
        command.extend(self.builder.args.iter().cloned());
        let log = self.folder.join(format!("{name}.log"));
        Member::new(name, command, SocketAddr::from((self.host, health)), log)
    }
}

/// An address of the loopback network that no other cluster uses, most likely.
pub(crate) fn own_address() -> Ipv4Addr {
    let [a, b, c, ..] = RandomState::new()
        .hash_one(std::process::id())
        .to_ne_bytes();
    Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254))
}

/// Ports that are free now. A start that finds one taken is repeated with others.
pub(crate) fn free_ports(host: Ipv4Addr) -> [u16; 3] {
    let span = u64::from(PORTS.end - PORTS.start - 3);
    loop {
        let offset = RandomState::new().hash_one(0_u8) % span;
        let first = PORTS.start + u16::try_from(offset).expect("the span of ports is a u16");
        let ports = [first, first + 1, first + 2];
        if ports
            .iter()
            .all(|port| TcpListener::bind((host, *port)).is_ok())
        {
            return ports;
        }
    }
}
