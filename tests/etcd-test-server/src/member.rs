//! One etcd process.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How long a server may take after SIGTERM. With an open watch some versions take 7 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks at a server that starts or stops.
const POLL: Duration = Duration::from_millis(10);

pub(crate) struct Member {
    pub(crate) name: String,
    /// The server with all its arguments.
    pub(crate) command: Vec<String>,
    /// Where it serves `/health` and `/metrics` in plain HTTP.
    pub(crate) health: SocketAddr,
    pub(crate) log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Member {
    pub(crate) fn new(
        name: String,
        command: Vec<String>,
        health: SocketAddr,
        log: PathBuf,
    ) -> Member {
        Member {
            name,
            command,
            health,
            log,
            child: Mutex::new(None),
        }
    }

    pub(crate) fn start(&self) {
        let mut child = self.lock();
        assert!(child.is_none(), "member {} runs already", self.name);
        let log = File::options().append(true).create(true).open(&self.log);
        let log = log.expect("the test's folder can be written");
        let errors = log.try_clone().expect("a file handle can be copied");
        let mut command = match setpriv() {
            // The kernel kills the server when the test process is gone, however it went.
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(&self.command[0]);
                command
            }
            false => Command::new(&self.command[0]),
        };
        command
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        // Settings for etcd in the environment would override ours.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(name);
            }
        }
        *child = Some(spawn(command).expect("etcd can be started"));
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_died(&self) -> bool {
        let mut child = self.lock();
        let ended = child.as_mut().map(|child| {
            child
                .try_wait()
                .expect("a child can be asked for its state")
        });
        matches!(ended, Some(Some(_)))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.lock();
        let child = child
            .as_ref()
            .unwrap_or_else(|| panic!("member {} does not run", self.name));
        let pid = Pid::from_child(child);
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// Returns when no thread of it runs any more: on a busy machine a signal takes its time.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let child = self.lock();
        let pid = Pid::from_child(child.as_ref().expect("it got the signal"));
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), stopped).expect("our own child can be waited for");
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.has_died() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.kill();
    }

    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether the member says that it is healthy, which takes a leader.
    pub(crate) fn is_healthy(&self) -> bool {
        self.get("/health")
            .is_ok_and(|reply| reply.starts_with("HTTP/1.1 200") && reply.contains("true"))
    }

    pub(crate) fn is_leader(&self) -> bool {
        let metrics = self.get("/metrics").unwrap_or_default();
        metrics
            .lines()
            .any(|line| line == "etcd_server_is_leader 1")
    }

    /// The end of its log, for the message of a panic.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn get(&self, path: &str) -> io::Result<String> {
        let limit = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&self.health, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply.replacen("HTTP/1.0", "HTTP/1.1", 1))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn setpriv() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        let help = Command::new("setpriv").arg("--help").output();
        help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--pdeathsig"))
    })
}

type Order = (Command, SyncSender<io::Result<Child>>);

/// Spawns from one thread that lives as long as the process: the kernel's "parent" of a child is a thread, and the death signal
/// would come when the thread of the test that started the server ends.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::sync_channel::<Order>(0);
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The receiver waits for exactly this.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, result) = mpsc::sync_channel(1);
    spawner
        .send((command, answer))
        .expect("the spawning thread lives as long as the process");
    result
        .recv()
        .expect("the spawning thread answers every order")
}
