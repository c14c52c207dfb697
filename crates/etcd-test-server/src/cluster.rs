//! A cluster of one or more members.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::member::Member;
use crate::pki::{CertFiles, Pki};
use crate::version::{Version, default_version};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a start is tried again with other ports.
const START_TRIES: usize = 5;
/// Between two looks at a server.
const POLL: Duration = Duration::from_millis(10);
/// Ports are taken below the range from which the kernel takes those of outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// How clients talk to the cluster. Members talk to each other in plain TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    Off,
    /// HTTPS; no client certificate is asked for.
    Server,
    /// HTTPS; a client certificate of the CA is needed (`--client-cert-auth`).
    Mutual,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Builder {
    version: Option<Version>,
    members: usize,
    tls: Tls,
    auth: Option<(String, String)>,
    fast_elections: bool,
    args: Vec<String>,
}

impl Builder {
    /// How many members; 1 by default.
    pub fn members(mut self, members: usize) -> Builder {
        self.members = members;
        self
    }

    /// Which version; by default the newest there is.
    pub fn version(mut self, version: &Version) -> Builder {
        self.version = Some(version.clone());
        self
    }

    /// TLS towards clients; off by default.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.tls = tls;
        self
    }

    /// Enables authentication, with `root` and this password.
    pub fn auth(mut self, root_password: &str) -> Builder {
        self.auth = Some(("root".to_owned(), root_password.to_owned()));
        self
    }

    /// Heartbeats every 10 ms and elections after 100 ms, instead of 100 ms and 1 s. The shortest TTL becomes 1 s.
    pub fn fast_elections(mut self) -> Builder {
        self.fast_elections = true;
        self
    }

    /// Another argument of the server, such as `--quota-backend-bytes=65536`.
    pub fn arg(mut self, arg: &str) -> Builder {
        self.args.push(arg.to_owned());
        self
    }

    /// Starts the cluster and waits until every member is healthy.
    ///
    /// # Panics
    /// When that fails.
    pub fn start(self) -> Cluster {
        for _ in 1..START_TRIES {
            if let Ok(cluster) = Cluster::try_start(&self) {
                return cluster;
            }
        }
        match Cluster::try_start(&self) {
            Ok(cluster) => cluster,
            Err(why) => panic!("etcd does not start: {why}"),
        }
    }
}

/// Running etcd servers. Dropping it kills them and removes their data.
pub struct Cluster {
    // First, so that the processes are gone before their folder is.
    members: Vec<Member>,
    urls: Vec<String>,
    addresses: Vec<SocketAddr>,
    version: Version,
    pki: Option<Pki>,
    tls: Tls,
    auth: Option<(String, String)>,
    folder: TempDir,
}

impl Cluster {
    /// A cluster to be described.
    pub fn builder() -> Builder {
        Builder {
            version: None,
            members: 1,
            tls: Tls::Off,
            auth: None,
            fast_elections: false,
            args: Vec::new(),
        }
    }

    /// One member of the newest version, plain HTTP.
    pub fn single() -> Cluster {
        Cluster::builder().start()
    }

    /// The clients' URLs, one a member, in the order of the indexes below.
    pub fn endpoints(&self) -> Vec<String> {
        self.urls.clone()
    }

    /// The URL of member `index`.
    pub fn client_url(&self, index: usize) -> &str {
        &self.urls[index]
    }

    /// The address of member `index`'s clients, to put a [`Proxy`](crate::Proxy) in front of it.
    pub fn client_address(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    /// The version that runs.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The certificates.
    ///
    /// # Panics
    /// Without TLS.
    pub fn pki(&self) -> &Pki {
        self.pki
            .as_ref()
            .expect("this cluster was started with TLS")
    }

    /// A folder that lives as long as the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends member `index` with SIGTERM and waits until it is gone.
    pub fn stop(&self, index: usize) {
        self.members[index].stop();
    }

    /// Kills member `index`.
    pub fn kill(&self, index: usize) {
        self.members[index].kill();
    }

    /// Freezes member `index` (SIGSTOP): it accepts connections and answers nothing.
    pub fn pause(&self, index: usize) {
        self.members[index].signal(Signal::STOP);
    }

    /// Lets a frozen member go on (SIGCONT).
    pub fn resume(&self, index: usize) {
        self.members[index].signal(Signal::CONT);
    }

    /// Starts a member again that was stopped or killed, with its data and ports, without waiting for it.
    pub fn start(&self, index: usize) {
        self.members[index].start();
    }

    /// Kills member `index` if it runs, starts it again with its data and ports, and waits until it is healthy.
    pub fn restart(&self, index: usize) {
        self.members[index].kill();
        self.members[index].start();
        self.wait_healthy(index);
    }

    /// Waits until member `index` is healthy, which takes a majority.
    ///
    /// # Panics
    /// After 30 seconds.
    pub fn wait_healthy(&self, index: usize) {
        let member = &self.members[index];
        if let Err(why) = wait_for_health(member) {
            panic!("{why}");
        }
    }

    /// Whether member `index` runs. A frozen one does.
    pub fn is_running(&self, index: usize) -> bool {
        self.members[index].is_running()
    }

    /// The process id of member `index`, when it runs.
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.members[index].pid()
    }

    /// The index of the leader, once there is exactly one among the running members.
    ///
    /// # Panics
    /// When there is none after 30 seconds.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            let running = (0..self.members.len()).filter(|index| self.is_running(*index));
            let leaders: Vec<usize> = running
                .filter(|index| self.members[*index].is_leader())
                .collect();
            if let [leader] = leaders[..] {
                return leader;
            }
            thread::sleep(POLL);
        }
        panic!("no member leads");
    }

    /// The end of member `index`'s log.
    pub fn log_tail(&self, index: usize) -> String {
        self.members[index].log_tail()
    }

    /// Runs `etcdctl`, as root when authentication is enabled, and returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn etcdctl(&self, args: &[&str]) -> String {
        match self.try_etcdctl(args) {
            Ok(output) => output,
            Err(why) => panic!("etcdctl {args:?}: {why}"),
        }
    }

    /// Runs `etcdctl`.
    ///
    /// # Errors
    /// What it printed, when it fails.
    pub fn try_etcdctl(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.version.etcdctl);
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.urls.join(",")));
        if let Some(pki) = &self.pki {
            command.arg(format!("--cacert={}", pki.ca.display()));
            if self.tls == Tls::Mutual {
                let CertFiles { cert, key } = &pki.client;
                command.arg(format!("--cert={}", cert.display()));
                command.arg(format!("--key={}", key.display()));
            }
        }
        if let Some((user, password)) = &self.auth {
            command.arg(format!("--user={user}:{password}"));
        }
        let output = command.args(args).output().expect("etcdctl can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    /// Adds a user who may read and write every key that starts with `prefix`.
    ///
    /// # Panics
    /// When that fails.
    pub fn add_user(&self, name: &str, password: &str, prefix: &str) {
        self.etcdctl(&["role", "add", name]);
        self.etcdctl(&[
            "role",
            "grant-permission",
            "--prefix=true",
            name,
            "readwrite",
            prefix,
        ]);
        self.etcdctl(&["user", "add", &format!("{name}:{password}")]);
        self.etcdctl(&["user", "grant-role", name, name]);
    }

    fn try_start(builder: &Builder) -> Result<Cluster, String> {
        let version = builder.version.clone().unwrap_or_else(default_version);
        let folder = tempfile::Builder::new().prefix("etcd-test-").tempdir();
        let folder = folder.map_err(|e| format!("no temporary folder: {e}"))?;
        let host = own_address();
        let ports: Vec<[u16; 3]> = (0..builder.members).map(|_| free_ports(host)).collect();
        let pki = (builder.tls != Tls::Off)
            .then(|| Pki::create(&folder.path().join("pki"), &host.to_string()));
        let scheme = if pki.is_some() { "https" } else { "http" };
        let plan = Plan {
            builder,
            version: &version,
            host,
            ports: &ports,
            pki: pki.as_ref(),
            folder: folder.path(),
        };
        let members: Vec<Member> = (0..builder.members)
            .map(|index| plan.member(index))
            .collect();
        let mut cluster = Cluster {
            members,
            urls: ports
                .iter()
                .map(|[client, ..]| format!("{scheme}://{host}:{client}"))
                .collect(),
            addresses: ports
                .iter()
                .map(|[client, ..]| SocketAddr::from((host, *client)))
                .collect(),
            version,
            pki,
            tls: builder.tls,
            auth: None,
            folder,
        };
        for member in &cluster.members {
            member.start();
        }
        for member in &cluster.members {
            wait_for_health(member)?;
        }
        if let Some((user, password)) = &builder.auth {
            cluster.enable_auth(user, password);
        }
        Ok(cluster)
    }

    fn enable_auth(&mut self, user: &str, password: &str) {
        self.etcdctl(&["user", "add", &format!("{user}:{password}")]);
        self.etcdctl(&["role", "add", "root"]);
        self.etcdctl(&["user", "grant-role", user, "root"]);
        self.etcdctl(&["auth", "enable"]);
        self.auth = Some((user.to_owned(), password.to_owned()));
    }
}

/// What the arguments of the members follow from.
struct Plan<'a> {
    builder: &'a Builder,
    version: &'a Version,
    host: Ipv4Addr,
    /// Of each member: for clients, for members, for health checks.
    ports: &'a [[u16; 3]],
    pki: Option<&'a Pki>,
    folder: &'a Path,
}

impl Plan<'_> {
    fn member(&self, index: usize) -> Member {
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
            "--bcrypt-cost=4".to_owned(), // the cheapest: tests authenticate often
        ];
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

fn wait_for_health(member: &Member) -> Result<(), String> {
    let deadline = Instant::now() + START_LIMIT;
    while Instant::now() < deadline {
        if member.is_healthy() {
            return Ok(());
        }
        if member.has_died() {
            return Err(format!(
                "member {} ended:\n{}",
                member.name,
                member.log_tail()
            ));
        }
        thread::sleep(POLL);
    }
    Err(format!(
        "member {} is not healthy in time:\n{}",
        member.name,
        member.log_tail()
    ))
}

/// An address of the loopback network that no other cluster uses, most likely.
fn own_address() -> Ipv4Addr {
    let [a, b, c, ..] = RandomState::new()
        .hash_one(std::process::id())
        .to_ne_bytes();
    Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254))
}

/// Ports that are free now. A start that finds one taken is repeated with others.
fn free_ports(host: Ipv4Addr) -> [u16; 3] {
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
