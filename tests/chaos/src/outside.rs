//! The process the user starts: it makes the namespaces, passes Ctrl-C on, and removes the folder.

use std::env;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::options::Options;
use crate::{EXIT_INTERRUPTED, EXIT_NOT_HERE};

/// New network, mounts and process ids. When this command dies, the kernel kills the first process of the new process ids and
/// with it all others; with the last of them the mounts and the network go.
const UNSHARE: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
/// The first process of the new process ids: it collects the orphans that killed hosts leave.
const FIRST_PROCESS: [&str; 4] = ["sh", "-c", "\"$@\"; exit $?", "sh"];
/// How long the inside may take to end after it was asked to.
const END_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    if let Some(why) = missing() {
        eprintln!("chaos: not run: {why}");
        return Ok(ExitCode::from(EXIT_NOT_HERE));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let folder = tempfile::Builder::new().prefix("reboot-chaos-").tempdir()?;
    let mut inside = Command::new("unshare")
        .args(UNSHARE)
        .arg("--mount-proc")
        .args(FIRST_PROCESS)
        .arg(env::current_exe()?)
        .args(options.arguments())
        .arg("--inside")
        .arg(folder.path())
        .stdin(Stdio::piped())
        // Ctrl-C is for this process.
        .process_group(0)
        .spawn()?;
    let status = attend(&mut inside, &stop)?;
    if keep(options, status) {
        let folder = folder.keep();
        println!(
            "\nkept: {}\njudge it again: scripts/chaos --judge {0}",
            folder.display()
        );
    }
    Ok(exit_code(status, &stop))
}

/// Why the run cannot be made here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for network namespaces".to_owned());
    }
    for tool in ["ip", "tc", "nft", "unshare", "nsenter"] {
        let found = env::var_os("PATH")
            .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(tool).is_file()));
        if !found {
            return Some(format!(
                "`{tool}` is missing (packages iproute2, nftables, util-linux)"
            ));
        }
    }
    let probe = "ip link add chaos0 type veth peer name chaos1 && mount -t tmpfs none /run && \
                 ip netns add chaos && ip netns exec chaos nft add table inet chaos";
    let output = Command::new("unshare")
        .args(UNSHARE)
        .args(["--mount-proc", "sh", "-c", probe])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "network namespaces are not allowed here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Waits for the inside. Its standard input is how it learns that it is to end: also when this process is gone.
fn attend(inside: &mut Child, stop: &AtomicBool) -> io::Result<ExitStatus> {
    let mut end_by = None;
    loop {
        if let Some(status) = inside.try_wait()? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) && end_by.is_none() {
            inside.stdin = None;
            end_by = Some(Instant::now() + END_LIMIT);
        }
        if end_by.is_some_and(|limit| Instant::now() > limit) {
            inside.kill()?;
        }
        thread::sleep(POLL);
    }
}

fn keep(options: &Options, status: ExitStatus) -> bool {
    let fine = status.success() || status.code() == Some(i32::from(EXIT_INTERRUPTED));
    options.keep || !fine
}

fn exit_code(status: ExitStatus, stop: &AtomicBool) -> ExitCode {
    if stop.load(Ordering::Relaxed) {
        return ExitCode::from(EXIT_INTERRUPTED);
    }
    if let Some(signal) = status.signal() {
        eprintln!("chaos: the run was ended by signal {signal}");
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
