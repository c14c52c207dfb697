//! A log that cannot be written, and what is never in it.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use etcd_test_server::Cluster;
use rustix::process::{Pid, Signal, kill_process};

use super::daemon::{Daemon, configure, folder, nowhere, path, program, wait};

/// Healthy while neither SIGPIPE nor SIGXFSZ is ignored.
const DEFAULTS: &str = r#"#!/bin/sh
while read -r name mask; do
    [ "$name" != SigIgn: ] || exit $(((0x$mask & 0x1001000) != 0))
done < /proc/self/status
exit 1
"#;

/// A daemon whose standard error was made useless works on: passes, reload, pages, stop.
fn works_without_a_log(redirection: &str, stderr: Stdio) {
    let etcd = Cluster::single();
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    configure(&folder, &etcd.endpoints(), &address.to_string(), 1);
    fs::write(path(&folder, "health.sh"), DEFAULTS).unwrap();
    let mut command = program(&folder, redirection);
    command.stderr(stderr);
    let daemon = Daemon::unread(folder, command, address);
    let clear = "detector_checks_total{detector=\"marker\",result=\"clear\"}";
    wait("two passes", || daemon.value(clear) >= 2.0);
    daemon.signal(Signal::HUP);
    let before = daemon.value(clear);
    wait("two more", || daemon.value(clear) >= before + 2.0);
    fs::write(path(&daemon.folder, "required"), "").unwrap();
    wait("the commit", || {
        daemon.value("state{state=\"rebooting\"}") == 1.0
    });
    daemon.stop();
}

#[test]
fn a_full_disk_does_not_stop_the_daemon() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    works_without_a_log("", full.into());
}

#[test]
fn a_file_at_its_limit_of_size_does_not_stop_the_daemon() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let end = OpenOptions::new().append(true).open(file.path()).unwrap();
    works_without_a_log("ulimit -f 64;", end.into());
}

#[test]
fn a_closed_standard_error_does_not_stop_the_daemon() {
    works_without_a_log("exec 2>&-;", Stdio::null());
}

#[test]
fn a_pipe_that_nobody_reads_any_more_does_not_stop_the_daemon() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    works_without_a_log("", writer.into());
}

/// At the most talkative level, through a login, a login that fails because the user is gone, and a reload.
#[test]
fn passwords_and_tokens_are_never_logged_or_shown() {
    const PASSWORD: &str = "correct-horse-4711";
    let etcd = Cluster::builder().auth("root-pw").start();
    etcd.add_user("rc", PASSWORD, "/cluster/lock");
    let folder = folder(&etcd.endpoints(), "127.0.0.1:0");
    let password = path(&folder, "password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let config = path(&folder, "config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("log: {format: json}", "log: {format: json, level: trace}");
    let auth = format!(
        "etcd_auth: {{username: rc, password_file: {}}}\n",
        password.display()
    );
    fs::write(&config, text + &auth).unwrap();
    let command = program(&folder, "");
    let daemon = Daemon::run(folder, command);
    wait("the first pass", || {
        daemon.value("state{state=\"idle\"}") == 1.0
    });
    assert_eq!(daemon.get("/status.json").unwrap().0, 200);
    etcd.etcdctl(&["user", "delete", "rc"]);
    // A reload that changes nothing keeps its connections.
    let changed = fs::read_to_string(&config).unwrap() + "post_boot_settle_sec: 1\n";
    fs::write(&config, changed).unwrap();
    daemon.signal(Signal::HUP);
    wait("a refusal", || {
        daemon
            .log()
            .contains("check etcd_auth.username and the file password_file")
    });
    let pages = ["/", "/status.json", "/metrics"].map(|page| daemon.get(page).unwrap().1);
    let log = daemon.log();
    for text in pages.iter().chain([&log]) {
        assert!(!text.contains(PASSWORD), "{text}");
        assert!(!text.to_lowercase().contains("authorization"), "{text}");
    }
    daemon.stop();
}

/// The password and key of etcd are in the daemon's memory.
#[test]
fn a_crash_leaves_no_core() {
    let ends_with_core = |mut command: Command, started: &dyn Fn() -> bool| {
        let mut child = command.spawn().unwrap();
        wait("the start", started);
        kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
        child.wait().unwrap().core_dumped()
    };
    let folder = folder(&nowhere(), "127.0.0.1:0");
    let mut daemon = program(&folder, "ulimit -c unlimited;");
    daemon.current_dir(&folder).stderr(Stdio::null());
    let lock = path(&folder, "run/instance.lock");
    // Without root `/proc/self` would be closed to the daemon itself.
    let expected = !rustix::process::geteuid().is_root();
    let dumped = ends_with_core(daemon, &|| lock.exists());
    assert!(!dumped || expected, "it left a core");
    // Elsewhere than in a container without cores, this shows that one would have been left.
    let mut other = Command::new("/bin/sh");
    let script = "ulimit -c unlimited; : >started; exec sleep 60";
    other.args(["-c", script]).current_dir(&folder);
    let started = path(&folder, "started");
    println!(
        "another program's: {}",
        ends_with_core(other, &|| started.exists())
    );
}
