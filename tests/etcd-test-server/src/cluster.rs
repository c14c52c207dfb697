//! A cluster of one or more members.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::builder::{Builder, Tls};
use crate::member::Member;
use crate::pki::{CertFiles, Pki};
use crate::plan::{Plan, free_ports, own_address};
use crate::version::{Version, default_version};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a server.
const POLL: Duration = Duration::from_millis(10);

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

/// How often a start is tried again with other ports.
const START_TRIES: usize = 5;

impl Builder {
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
        self.members[index].pause();
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

    /// Stops member `index` if it runs, and starts it again without its data. The only member of a cluster makes another of the
    /// same id then.
    ///
    /// # Panics
    /// When its folder cannot be removed.
    pub fn lose_data(&self, index: usize) {
        self.members[index].stop();
        let data = self.folder.path().join(format!("m{index}"));
        fs::remove_dir_all(&data).expect("the data of a member can be removed");
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
