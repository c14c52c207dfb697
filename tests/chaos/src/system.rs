//! What is asked of the machine: commands, and the clock that the hosts' scripts read too.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// Seconds since the machine's boot, as the first number in `/proc/uptime`.
pub(crate) fn uptime() -> f64 {
    let now = clock_gettime(ClockId::Boottime);
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of an uptime")]
    let seconds = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    seconds
}

/// Runs a command line, split at spaces.
pub(crate) fn run(line: &str) -> io::Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    feed(&words, "")
}

/// Runs a command with this standard input.
pub(crate) fn feed(words: &[&str], input: &str) -> io::Result<String> {
    let failed = |why: String| io::Error::other(format!("`{}`: {why}", words.join(" ")));
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read says itself what is wrong.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(failed(text(&output.stderr))),
    }
}

/// Sends a signal to whatever runs in a network namespace, and returns how many processes that were.
pub(crate) fn signal_all(namespace: &str, signal: Signal) -> io::Result<usize> {
    let own = fs::metadata(network_namespace(namespace))?.ino();
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end at any moment, and a zombie has no namespaces any more.
        let inode = fs::metadata(format!("/proc/{pid}/ns/net")).map(|data| data.ino());
        if inode.ok() == Some(own)
            && let Some(pid) = Pid::from_raw(pid)
        {
            count += usize::from(kill_process(pid, signal).is_ok());
        }
    }
    Ok(count)
}

/// A program in a network namespace. It takes the place of `nsenter`, so that its process id is the child's.
pub(crate) fn within(namespace: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", network_namespace(namespace)))
        .arg("--")
        .arg(program);
    command
}

fn network_namespace(name: &str) -> String {
    format!("/run/netns/{name}")
}
