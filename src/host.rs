//! This host: one instance of the daemon, which boot it is, the kill switch, and the marker of the last completed reboot.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How often to start over when the lock file is deleted between opening and locking it.
const LOCK_TRIES: usize = 5;

/// The longest file read here; every one of them is far shorter.
const READ_LIMIT: u64 = 64 * 1024;

/// Held by the one daemon or `--once` run of this host, for as long as the value lives; the kernel releases it with the
/// process, so that a leftover file means nothing.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another instance has it.
    Held {
        /// Its process id, for people; `None` when it has not written it yet.
        pid: Option<u32>,
    },
    /// The file could not be made or locked.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { pid: Some(pid) } => write!(
                f,
                "another instance runs on this host, with process id {pid}"
            ),
            LockError::Held { pid: None } => write!(f, "another instance runs on this host"),
            LockError::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LockError::Held { .. } => None,
            LockError::Io { source, .. } => Some(source),
        }
    }
}

impl InstanceLock {
    /// Takes the lock at `<run_dir>/instance.lock` or says who has it. Does not wait. Children do not inherit it.
    pub fn acquire(run_dir: &Path) -> Result<InstanceLock, LockError> {
        let path = run_dir.join("instance.lock");
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(run_dir)
            .map_err(failed)?;
        for _ in 0..LOCK_TRIES {
            let mut options = OpenOptions::new();
            let mut file = options
                .read(true)
                .write(true)
                .create(true)
                .mode(0o644)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path).map_err(failed)? => {
                    // For people only, so a full disk does not matter.
                    let _ = file
                        .set_len(0)
                        .and_then(|()| writeln!(file, "{}", std::process::id()));
                    return Ok(InstanceLock { _file: file });
                }
                // The file was deleted meanwhile: this lock would exclude nobody.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held {
                        pid: read_pid(&mut file),
                    });
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
        Err(failed(io::Error::other(
            "deleted again and again while being locked",
        )))
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(READ_LIMIT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// What tells this boot from every other, from `path` (normally `/proc/sys/kernel/random/boot_id`). Never empty.
pub fn boot_id(path: &Path) -> io::Result<String> {
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let text = read_text(path).map_err(explain)?;
    let id = text.trim();
    if id.is_empty() {
        return Err(explain(io::Error::new(
            io::ErrorKind::InvalidData,
            "empty, so boots cannot be told apart",
        )));
    }
    Ok(id.into())
}

/// The kill switch: while it exists, this node does not reboot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillSwitch {
    /// Surely not there.
    Absent,
    /// There.
    Present {
        /// When it was last written.
        since: Option<SystemTime>,
        /// Its first line, by which operators say why; empty when there is none or it cannot be read.
        text: String,
    },
    /// It could not be checked; why. Counts as present.
    Unknown(String),
}

impl KillSwitch {
    /// Whether it forbids a reboot. Only a switch that is surely absent does not.
    pub fn forbids(&self) -> bool {
        *self != KillSwitch::Absent
    }
}

/// Looks at the kill switch. Only "not found" is absent; a dangling link is present.
pub fn kill_switch(path: &Path) -> KillSwitch {
    match fs::symlink_metadata(path) {
        Ok(meta) => KillSwitch::Present {
            since: meta.modified().ok(),
            text: first_line(path),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => KillSwitch::Absent,
        Err(e) => KillSwitch::Unknown(format!("{}: {e}", path.display())),
    }
}

fn first_line(path: &Path) -> String {
    // Anything but a file could block the reader.
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let text = if is_file {
        read_text(path).unwrap_or_default()
    } else {
        String::new()
    };
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes the marker of the last completed reboot, whole or not at all, also if the power fails. It is information: the
/// caller logs a failure and goes on.
pub fn write_completed(run_dir: &Path, json: &str) -> io::Result<()> {
    let temporary = run_dir.join("completed.json.tmp");
    let written = write_and_rename(&temporary, &run_dir.join("completed.json"), json);
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(run_dir)?.sync_all()
}

fn write_and_rename(temporary: &Path, path: &Path, json: &str) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(json.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// The marker of the last completed reboot, if there is one.
pub fn read_completed(run_dir: &Path) -> io::Result<Option<String>> {
    match read_text(&run_dir.join("completed.json")) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::ScriptOutcome;
    use crate::process::{Cancel, Command, run};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    /// A test that forks in parallel holds a copy of every descriptor until it executes something, for an instant.
    fn acquire_soon(run_dir: &Path) -> InstanceLock {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            match InstanceLock::acquire(run_dir) {
                Ok(lock) => return lock,
                Err(e) => assert!(std::time::Instant::now() < deadline, "{e}"),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_second_instance_is_told_who_the_first_is_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("run/reboot-coordinator");
        let first = InstanceLock::acquire(&run_dir).unwrap();
        let me = std::process::id();
        match InstanceLock::acquire(&run_dir) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(me)),
            other => panic!("{other:?}"),
        }
        drop(first);
        let path = run_dir.join("instance.lock");
        fs::write(&path, "4242424242 stale, and longer than a process id\n").unwrap();
        let second = acquire_soon(&run_dir);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{me}\n"));
        assert_eq!(
            fs::metadata(&run_dir).unwrap().permissions().mode() & 0o022,
            0
        );
        drop(second);
    }

    #[test]
    fn a_lock_on_a_deleted_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        File::create(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }

    #[test]
    fn children_do_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = InstanceLock::acquire(dir.path()).unwrap();
        let ready = dir.path().join("ready");
        let argv = [
            "/bin/sh",
            "-c",
            &format!("touch {}; exec /bin/sleep 1000", ready.display()),
        ];
        let argv = argv.map(String::from).to_vec();
        let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let spec = Command {
            argv,
            env,
            timeout: Duration::from_secs(20),
            detach: false,
        };
        let cancel = Cancel::new().unwrap();
        let child = std::thread::spawn({
            let cancel = cancel.clone();
            move || run(&spec, &cancel)
        });
        while !ready.exists() {
            std::thread::yield_now();
        }
        drop(lock);
        acquire_soon(dir.path());
        cancel.cancel();
        assert_eq!(child.join().unwrap().outcome, ScriptOutcome::Cancelled);
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = InstanceLock::acquire(&dir.path().join("file/below")).unwrap_err();
        assert!(
            error.to_string().contains("file/below/instance.lock: "),
            "{error}"
        );
    }

    #[test]
    fn the_boot_id_is_trimmed_and_never_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boot_id");
        assert!(
            boot_id(&path)
                .unwrap_err()
                .to_string()
                .contains("boot_id: ")
        );
        fs::write(&path, " \n").unwrap();
        assert!(boot_id(&path).unwrap_err().to_string().contains("empty"));
        fs::write(&path, "0e5f-1\n").unwrap();
        assert_eq!(boot_id(&path).unwrap(), "0e5f-1");
        assert_eq!(
            boot_id(Path::new("/proc/sys/kernel/random/boot_id"))
                .unwrap()
                .len(),
            36
        );
    }

    #[test]
    fn only_a_missing_kill_switch_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "  INC-1234: disk\u{1b}[31m swap \nmore\n").unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("binary"), [0xff, 0xfe, b'\n']).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        assert_eq!(kill_switch(&at("missing")), KillSwitch::Absent);
        assert!(!KillSwitch::Absent.forbids());
        for (name, line) in [
            ("file", "INC-1234: disk[31m swap"),
            ("empty", ""),
            ("binary", "\u{fffd}\u{fffd}"),
            ("dangling", ""),
            ("loop", ""),
            ("device", ""),
            ("", ""),
        ] {
            let found = kill_switch(&at(name));
            assert!(found.forbids());
            assert!(
                matches!(&found, KillSwitch::Present { since: Some(_), text } if text == line),
                "{name}: {found:?}"
            );
        }
        for name in ["file/below", "loop/below", &"x".repeat(300)] {
            let found = kill_switch(&at(name));
            assert!(
                matches!(&found, KillSwitch::Unknown(_)) && found.forbids(),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn the_marker_is_replaced_whole_and_a_full_disk_is_an_error_that_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_completed(dir.path()).unwrap(), None);
        write_completed(dir.path(), r#"{"v":1,"boot":"a"}"#).unwrap();
        write_completed(dir.path(), r#"{"v":1}"#).unwrap();
        symlink("/dev/full", dir.path().join("completed.json.tmp")).unwrap();
        let error = write_completed(dir.path(), r#"{"v":1,"boot":"b"}"#).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            read_completed(dir.path()).unwrap().as_deref(),
            Some(r#"{"v":1}"#)
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing temporary is left"
        );
        write_completed(dir.path(), "{}").unwrap();
        assert!(write_completed(&dir.path().join("missing"), "{}").is_err());
    }
}
