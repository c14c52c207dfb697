//! A cluster, a host's files, the program, and records written by hand in the documented format.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Etcd as _, Keys, Options, Put, Range};
use etcd_test_server::{Cluster, Proxy};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long something may take on a busy machine before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the records of all tests live, each with an etcd of its own.
pub(crate) const LOCK: &str = "/cluster/lock";

/// The boot of every host.
pub(crate) const BOOT: &str = "b0070001-0000-4000-8000-000000000001";

/// A cluster and a folder for the files of its hosts.
pub(crate) struct Field {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Field {
    pub(crate) fn new() -> Field {
        let cluster = Cluster::single();
        let client = Client::new(Options::new(cluster.endpoints())).unwrap();
        Field {
            cluster,
            client,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A host's configuration at the cluster, with `more` at its end.
    pub(crate) fn config(&self, node: &str, more: &str) -> PathBuf {
        configuration(self.folder.path(), node, self.cluster.client_url(0), more)
    }

    /// The same through a proxy.
    pub(crate) fn config_through(&self, proxy: &Proxy, node: &str, more: &str) -> PathBuf {
        configuration(self.folder.path(), node, &proxy.url(), more)
    }

    /// Runs the program as node `admin`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run(&self.config("admin", ""), arguments)
    }

    pub(crate) fn put(&self, key: &str, value: &Value) {
        // What a daemon says of itself hangs on a lease.
        let is_said = key.starts_with("alive/") || key.starts_with("standing/");
        let lease = is_said.then(|| self.client.grant(0, 600).unwrap().id);
        let put = Put::new(
            format!("{LOCK}/{key}"),
            value.to_string(),
            lease.unwrap_or(0),
        );
        self.client.put(put).unwrap();
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        let key = Keys::one(format!("{LOCK}/{key}"));
        let found = self.client.range(Range::of(key)).unwrap();
        let pair = found.kvs.into_iter().next()?;
        Some(serde_json::from_slice(&pair.value).unwrap())
    }

    /// Every record below a prefix.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Value> {
        let keys = Keys::prefix(format!("{LOCK}/{prefix}"));
        let found = self.client.range(Range::of(keys)).unwrap();
        let values = found.kvs.iter();
        values
            .map(|pair| serde_json::from_slice(&pair.value).unwrap())
            .collect()
    }

    /// The store's revision.
    pub(crate) fn client_revision(&self) -> i64 {
        let range = Range::of(Keys::one(LOCK));
        self.client.range(range).unwrap().header.revision
    }

    /// The leases that exist.
    pub(crate) fn leases(&self) -> usize {
        let listed = self.cluster.etcdctl(&["lease", "list"]);
        listed
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty())
            .count()
    }

    /// A claim written by hand.
    pub(crate) fn claim(&self, node: &str, phase: &str) {
        self.put(&format!("claims/{node}"), &claim(node, phase));
    }

    /// A daemon whose detector asks for a reboot all the time. Its reboot command leaves a file `<node>.rebooted`.
    pub(crate) fn daemon(&self, node: &str) -> Daemon {
        let flag = self.path(&format!("{node}.rebooted"));
        let command = self.path(&format!("{node}.reboot"));
        fs::write(&command, format!("#!/bin/sh\n: >{}\n", flag.display())).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        let required = self.path(&format!("{node}.required"));
        fs::write(&required, "").unwrap();
        let config = self.config(node, &format!("reboot_command: [{}]\n", command.display()));
        let log = fs::File::create(self.path(&format!("{node}.log"))).unwrap();
        let child = program()
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon { child, flag }
    }

    pub(crate) fn log(&self, node: &str) -> String {
        fs::read_to_string(self.path(&format!("{node}.log"))).unwrap_or_default()
    }
}

/// A running daemon, killed at the end of a test.
pub(crate) struct Daemon {
    child: Child,
    flag: PathBuf,
}

impl Daemon {
    /// Whether its reboot command ran.
    pub(crate) fn rebooted(&self) -> bool {
        self.flag.exists()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A claim in the documented format.
pub(crate) fn claim(node: &str, phase: &str) -> Value {
    let committed = (phase != "queued").then_some("2026-01-05T10:02:00.000Z");
    json!({
        "v": 1, "node": node, "node_id": format!("id-{node}"), "boot_id": BOOT, "session": "s1", "phase": phase,
        "limit": 1, "reasons": ["kernel"], "since": "2026-01-05T10:00:00.000Z", "committed_at": committed,
        "attempts": 1, "version": "0.1.0",
    })
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"));
    command.env("SUDO_USER", "eva").env("TZ", "UTC");
    command
}

pub(crate) fn run(config: &Path, arguments: &[&str]) -> Ended {
    let output = program()
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A host's configuration. `more` replaces fields of the same name.
pub(crate) fn configuration(folder: &Path, node: &str, endpoint: &str, more: &str) -> PathBuf {
    let script = folder.join("health.sh");
    if !script.exists() {
        // Written beside and renamed, because tests write it while a daemon may run it.
        let fresh = folder.join(format!("health.{node}"));
        fs::write(&fresh, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&fresh, &script).unwrap();
    }
    let boot = folder.join(format!("{node}.boot"));
    fs::write(&boot, BOOT).unwrap();
    let here = folder.display();
    let mut fields = vec![
        ("node_name", node.to_owned()),
        ("node_id", format!("id-{node}")),
        (
            "reboot_required_detectors",
            format!("[{{type: file, name: required, path: {here}/{node}.required}}]"),
        ),
        ("health_script", script.display().to_string()),
        ("lock_key", LOCK.to_owned()),
        ("lock_ttl_sec", "60".to_owned()),
        ("check_interval_sec", "1".to_owned()),
        ("backoff_min_sec", "1".to_owned()),
        ("backoff_max_sec", "1".to_owned()),
        ("etcd_endpoints", format!("[{endpoint}]")),
        ("etcd_timeout_sec", "5".to_owned()),
        ("reboot_command", "[/bin/true]".to_owned()),
        ("kill_switch_file", format!("{here}/{node}.disable")),
        ("run_dir", format!("{here}/{node}.run")),
        ("boot_id_file", boot.display().to_string()),
    ];
    let given = |name: &str| {
        more.lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    fields.retain(|(name, _)| !given(name));
    let text: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let path = folder.join(format!("{node}.yaml"));
    fs::write(&path, text + more).unwrap();
    path
}

/// Waits for something to become true.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        sleep(Duration::from_millis(20));
    }
}
