//! A daemon with metrics on a free port. Its etcd need not exist.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Reached only when something is wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    child: Child,
    pub(crate) log: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
}

/// A folder with everything a daemon needs.
pub(crate) fn folder(endpoints: &[String], metrics: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = folder.path().join("health.sh");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    configure(&folder, endpoints, metrics, 1);
    folder
}

pub(crate) fn configure(folder: &TempDir, endpoints: &[String], metrics: &str, interval: u32) {
    let here = folder.path().display();
    fs::write(
        folder.path().join("boot-id"),
        "b0070001-0000-4000-8000-000000000001\n",
    )
    .unwrap();
    let config = format!(
        "node_name: node-a\nnode_id: test\nreboot_required_detectors:\n  - {{type: file, name: marker, path: {here}/required}}\n\
         health_script: {here}/health.sh\nlock_key: /cluster/lock\netcd_endpoints: {endpoints:?}\nreboot_command: [/bin/true]\n\
         run_dir: {here}/run\nboot_id_file: {here}/boot-id\nkill_switch_file: {here}/disable\nbackoff_min_sec: 0.1\n\
         check_interval_sec: {interval}\nbackoff_max_sec: 0.5\nlog: {{format: json}}\nmetrics: {{enabled: true, listen: {metrics:?}}}\n"
    );
    fs::write(folder.path().join("config.yaml"), config).unwrap();
}

/// Nobody listens there.
pub(crate) fn nowhere() -> Vec<String> {
    vec!["http://127.0.0.1:1".to_owned()]
}

/// The program, to be run through `shell`, which ends with its path.
pub(crate) fn program(folder: &TempDir, limits: &str) -> Command {
    let binary = env!("CARGO_BIN_EXE_reboot-coordinator");
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            &format!("{limits} exec \"$0\" \"$@\""),
            binary,
            "run",
            "--config",
        ])
        .arg(folder.path().join("config.yaml"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Daemon {
    pub(crate) fn start() -> Daemon {
        Daemon::limited("")
    }

    /// With commands of the shell before it, such as `ulimit -n 20;`.
    pub(crate) fn limited(limits: &str) -> Daemon {
        let folder = folder(&nowhere(), "127.0.0.1:0");
        let command = program(&folder, limits);
        Daemon::run(folder, command)
    }

    pub(crate) fn run(folder: TempDir, command: Command) -> Daemon {
        let mut daemon = Daemon::begin(folder, command);
        daemon.address = daemon.announced(0);
        daemon
    }

    /// One that serves nothing yet.
    pub(crate) fn begin(folder: TempDir, mut command: Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *sink.lock().unwrap() += &(line + "\n");
            }
        });
        Daemon {
            folder,
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    /// One whose log is somebody else's business; it serves at `address`.
    pub(crate) fn unread(folder: TempDir, mut command: Command, address: SocketAddr) -> Daemon {
        let daemon = Daemon {
            folder,
            child: command.spawn().unwrap(),
            log: Arc::default(),
            address,
        };
        wait("the server", || TcpStream::connect(address).is_ok());
        daemon
    }

    /// The address that the log announced after `nth` others.
    pub(crate) fn announced(&self, nth: usize) -> SocketAddr {
        let mut found = None;
        wait("the address in the log", || {
            let log = self.log();
            let mut events = log
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .filter(|event| event["event"] == "metrics");
            found = events
                .nth(nth)
                .map(|event| event["address"].as_str().unwrap().parse().unwrap());
            found.is_some()
        });
        found.unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it and demands that it had nothing to complain about.
    pub(crate) fn stop(mut self) {
        assert!(self.is_alive(), "it ended by itself: {}", self.log());
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{status}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// Kills it and starts another one in the same folder.
    pub(crate) fn again(mut self, between: impl FnOnce(&TempDir)) -> Daemon {
        let empty = tempfile::tempdir().unwrap();
        let folder = std::mem::replace(&mut self.folder, empty);
        drop(self);
        between(&folder);
        let command = program(&folder, "");
        Daemon::run(folder, command)
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Status and body; `None` when the connection was closed without an answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer =
            self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// The whole answer.
    pub(crate) fn send(&self, request: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.write_all(request).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
    }

    pub(crate) fn metrics(&self) -> String {
        let (status, body) = self.get("/metrics").unwrap();
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The value of a series.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let metrics = self.metrics();
        let wanted = format!("reboot_coordinator_{series} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
        value
            .unwrap_or_else(|| panic!("no {series}:\n{metrics}"))
            .parse()
            .unwrap()
    }

    /// A number of kilobytes or of threads, from the kernel.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line
            .unwrap()
            .trim_start_matches(':')
            .split_whitespace()
            .next();
        number.unwrap().parse().unwrap()
    }

    /// Processor time used so far, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields = text.rsplit_once(')').unwrap().1.split_whitespace();
        fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn path(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Waits for a condition to become true.
#[track_caller]
pub(crate) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "no sign of {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
