//! What can be seen of this host without running anything of the operator's and without taking a lock.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Config, Detector, DetectorKind};
use crate::core::facts::{DetectorReport, DetectorResult};
use crate::detect;
use crate::host::{self, KillSwitch};
use crate::lock::outcome::HOST_LIMIT;
use crate::process::{Cancel, bounded};
use crate::status::times::ago;
use crate::trust;

/// The first 15 bytes of our name: all that the kernel keeps of it.
const COMM: &str = "reboot-coordina";

/// This host and what its configuration says of it.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) config: Config,
    /// The kernel's boot id, when it can be read.
    pub(crate) boot_id: Option<String>,
    pub(crate) kill_switch: KillSwitch,
    /// The process id of the daemon, when one runs; or why this user cannot know.
    pub(crate) daemon: Result<Option<u32>, String>,
    /// By how many seconds its clock is ahead of etcd's.
    pub(crate) skew_sec: i64,
    /// What the detectors said that look at files, and the names of those that were not asked; nothing where none was.
    pub(crate) detectors: Option<(Vec<DetectorReport>, Vec<String>)>,
}

impl Local {
    /// Looks around. No detector is asked.
    pub(crate) fn look(config: &Config, skew_sec: i64) -> Local {
        Local {
            config: config.clone(),
            boot_id: host::boot_id(&config.boot_id_file).ok(),
            kill_switch: kill_switch(&config.kill_switch_file),
            // The lock itself is not touched: a look must not keep a daemon from starting.
            daemon: daemon(&config.run_dir.join("instance.lock")),
            skew_sec,
            detectors: None,
        }
    }

    /// The moment by etcd's clock: what others wrote is compared with that, since this host's may be wrong.
    pub(crate) fn of_etcd(&self, now: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.skew_sec);
        now.checked_sub(ahead).unwrap_or(now)
    }

    pub(crate) fn node(&self) -> &str {
        &self.config.node_name
    }
}

fn kill_switch(path: &Path) -> KillSwitch {
    let cancel = Cancel::new();
    let owned = path.to_path_buf();
    // A key of its own: in a daemon the machine's look must not find this one in its way.
    let look = move || host::kill_switch(&owned);
    let looked = bounded("kill switch, for status", HOST_LIMIT, &cancel, look);
    let path = path.display();
    let silent = |_| KillSwitch::Unknown(format!("{path}: the file system does not answer"));
    looked.unwrap_or_else(silent)
}

/// What the detectors say that only look at files, and the names of the others.
pub(crate) fn detected(detectors: &[Detector]) -> (Vec<DetectorReport>, Vec<String>) {
    let only_looks = |detector: &Detector| match detector.kind {
        DetectorKind::File(_) | DetectorKind::Kernel => true,
        DetectorKind::Command { .. } | DetectorKind::Http(_) => false,
    };
    let (looking, running): (Vec<Detector>, Vec<Detector>) =
        detectors.iter().cloned().partition(only_looks);
    let mut reports = detect::run_all(&looking, &[], &Cancel::new());
    for (detector, report) in looking.iter().zip(&mut reports) {
        add_age(detector, report);
    }
    let running = running.into_iter().map(|detector| detector.name);
    (reports, running.collect())
}

/// Since when a file asks: when it was written. It answered a moment ago, so that the file system is there.
fn add_age(detector: &Detector, report: &mut DetectorReport) {
    let (DetectorKind::File(path), DetectorResult::Required(detail)) =
        (&detector.kind, &mut report.result)
    else {
        return;
    };
    let written = fs::symlink_metadata(path).and_then(|file| file.modified());
    if let Some(at) = written.ok().and_then(|at| Timestamp::try_from(at).ok()) {
        detail.push_str(&format!(", written {}", ago(Timestamp::now(), at)));
    }
}

/// The daemon that has this lock file. A full disk keeps its process id from being written there.
fn daemon(lock: &Path) -> Result<Option<u32>, String> {
    let written = of_lock_file(trust::read(lock, 64))?;
    let holder = || host::holder(&fs::metadata(lock).ok()?).map(|(_, pid)| pid);
    Ok(written.or_else(|| holder().filter(|pid| is_ours(*pid))))
}

/// Whose process id stands in the lock file, if that process lives and is one of ours. The daemon's files are root's: who may not
/// read one has not seen that there is no daemon.
fn of_lock_file(found: io::Result<Vec<u8>>) -> Result<Option<u32>, String> {
    match found {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            Ok(text.trim().parse().ok().filter(|pid| is_ours(*pid)))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err("only root may see whether a daemon runs here; use sudo".to_owned())
        }
        Err(_) => Ok(None),
    }
}

/// In a container the numbers begin again: the one that asks is not the one that is asked for. One that has ended and that nobody has
/// waited for still has its name there, and no command line.
fn is_ours(pid: u32) -> bool {
    let of = |what| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    pid != std::process::id()
        && of("comm").trim_ascii() == COMM.as_bytes()
        && !of("cmdline").is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    fn unreadable(kind: ErrorKind) -> io::Result<Vec<u8>> {
        Err(kind.into())
    }

    #[test]
    fn a_process_that_has_ended_and_was_not_waited_for_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(COMM);
        fs::copy("/bin/cat", &file).unwrap();
        let mut child = Command::new(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Once it answers it is the program that it is to be.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!(is_ours(child.id()));
        drop(child.stdin.take());
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(!is_ours(child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn a_lock_file_that_may_not_be_read_does_not_say_that_no_daemon_runs() {
        assert_eq!(of_lock_file(unreadable(ErrorKind::NotFound)), Ok(None));
        assert_eq!(of_lock_file(Ok(b"no number\n".to_vec())), Ok(None));
        // The first process of a host is none of ours.
        assert_eq!(of_lock_file(Ok(b"1\n".to_vec())), Ok(None));
        // Nor is the one that looks, whatever it is called.
        let called = fs::read("/proc/self/comm").unwrap();
        fs::write("/proc/self/comm", COMM).unwrap();
        let own = std::process::id().to_string().into_bytes();
        let seen = of_lock_file(Ok(own));
        fs::write("/proc/self/comm", called).unwrap();
        assert_eq!(seen, Ok(None));
        let why = of_lock_file(unreadable(ErrorKind::PermissionDenied)).unwrap_err();
        assert!(why.contains("sudo"), "{why}");
    }
}
