//! Messages to systemd, and what a main loop that is stuck looks like.

use std::fs::OpenOptions;
use std::io::{PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use etcd_test_server::Cluster;
use rustix::fs::OFlags;
use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::{Daemon, LIMIT, configure, folder, nowhere, path, program, wait};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(path(&folder, "notify")).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Manager { socket, folder }
    }

    fn start(&self, etcd: &[String], watchdog: &str) -> Daemon {
        let folder = folder(etcd, "127.0.0.1:0");
        let mut command = program(&folder, "WATCHDOG_PID=$$; export WATCHDOG_PID;");
        command
            .env("NOTIFY_SOCKET", path(&self.folder, "notify"))
            .env("WATCHDOG_USEC", watchdog);
        Daemon::run(folder, command)
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    /// The messages up to one that begins like this.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut messages = Vec::new();
        while !messages
            .last()
            .is_some_and(|last: &String| last.starts_with(wanted))
        {
            messages.push(self.next());
        }
        messages
    }
}

#[test]
fn ready_status_reload_and_stop_are_told() {
    let etcd = Cluster::single();
    let manager = Manager::new();
    let daemon = manager.start(&etcd.endpoints(), "");
    let start = manager.until("READY=1");
    assert!(start[0].starts_with("STATUS="), "{start:?}"); // of which step depends on how soon etcd answers
    assert_eq!(start[start.len() - 2], "STATUS=idle: no reboot is required");
    configure(&daemon.folder, &etcd.endpoints(), "127.0.0.1:0", 2);
    daemon.signal(Signal::HUP);
    let reload = manager.until("RELOADING=1\nMONOTONIC_USEC=");
    let usec = reload
        .last()
        .unwrap()
        .rsplit('=')
        .next()
        .unwrap()
        .parse::<u64>();
    assert!(usec.unwrap() > 1_000_000);
    manager.until("READY=1");
    wait("the reload", || daemon.log().contains("\"reloaded\""));
    daemon.signal(Signal::TERM);
    manager.until("STOPPING=1");
}

#[test]
fn a_daemon_whose_etcd_is_down_is_ready_and_says_what_it_waits_for() {
    let manager = Manager::new();
    let daemon = manager.start(&nowhere(), "");
    assert_eq!(manager.until("READY=1"), ["STATUS=starting", "READY=1"]);
    daemon.stop();
}

#[test]
fn signs_of_life_come_twice_in_the_time() {
    let manager = Manager::new();
    let daemon = manager.start(&nowhere(), "1000000");
    manager.until("WATCHDOG=1");
    let began = Instant::now();
    for _ in 0..4 {
        manager.until("WATCHDOG=1");
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1500), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    daemon.stop();
}

/// Nobody reads the daemon's standard error and the pipe is full: its next line does not end. A disk that does not answer
/// does the same.
#[test]
fn a_main_loop_that_is_stuck_is_shown_and_gives_no_signs_of_life() {
    let manager = Manager::new();
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    configure(&folder, &etcd.endpoints(), &address.to_string(), 1);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = program(&folder, "");
    command
        .env("NOTIFY_SOCKET", path(&manager.folder, "notify"))
        .env("WATCHDOG_USEC", "1000000")
        .stderr(Stdio::from(writer.try_clone().unwrap()));
    let daemon = Daemon::unread(folder, command, address);
    manager.until("READY=1");
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    fill(&writer);
    // Something to say.
    daemon.signal(Signal::HUP);
    wait("a 503", || daemon.get("/healthz").unwrap().0 == 503);
    // What came before is read away; then there is silence.
    manager.socket.set_nonblocking(true).unwrap();
    while manager.socket.recv(&mut [0; 4096]).is_ok() {}
    manager.socket.set_nonblocking(false).unwrap();
    manager
        .socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    assert!(manager.socket.recv(&mut [0; 4096]).is_err());
    drop(reader);
    wait("life", || daemon.get("/healthz").unwrap().0 == 200);
    daemon.stop();
}

/// What systemd does when the signs of life stop: SIGABRT, and a new start. The claim says how to go on.
#[test]
fn a_stuck_daemon_can_be_killed_by_the_watchdog_and_the_next_one_finds_its_claim() {
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    configure(&folder, &etcd.endpoints(), &address.to_string(), 1);
    std::fs::write(path(&folder, "required"), "").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = program(&folder, "");
    command.stderr(Stdio::from(writer.try_clone().unwrap()));
    let mut daemon = Daemon::unread(folder, command, address);
    wait("the commit", || {
        daemon.value("state{state=\"rebooting\"}") == 1.0
    });
    fill(&writer);
    daemon.signal(Signal::HUP);
    wait("a 503", || daemon.get("/healthz").unwrap().0 == 503);
    daemon.signal(Signal::ABORT);
    wait("its end", || !daemon.is_alive());
    drop(reader);
    let daemon = daemon.again(|_| ());
    wait("the claim", || daemon.log().contains("\"adopted\""));
    wait("its state", || {
        daemon.value("state{state=\"rebooting\"}") == 1.0
    });
    daemon.stop();
}

/// Fills a pipe to the last byte.
fn fill(writer: &PipeWriter) {
    // Opened anew, because the daemon's end must stay one that waits.
    let again = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut writer = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(again)
        .unwrap();
    for size in [4096, 1] {
        while writer.write_all(&vec![b'\n'; size]).is_ok() {}
    }
}
