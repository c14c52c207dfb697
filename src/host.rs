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

/// What tells this boot from every other, from `path` (normally `/proc/sys/kernel/random/boot_id`): a boot id as the kernel
/// writes it, and the same when read again. Its neighbour `uuid` is another one each time, and whatever else a file says, an
/// error message or zeros of a file system that lost them, would look like a boot.
pub fn boot_id(path: &Path) -> io::Result<String> {
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let useless = |why: &str| Err(explain(io::Error::new(io::ErrorKind::InvalidData, why)));
    let text = read_text(path).map_err(explain)?;
    let id = text.trim();
    if !is_boot_id(id) {
        let seen: String = id.chars().take(64).collect();
        return useless(&format!(
            "{seen:?} is no boot id, which has 32 lower-case hexadecimal digits in groups of 8-4-4-4-12, not all 0"
        ));
    }
    if read_text(path).map_err(explain)? != text {
        return useless("another one at each look, so boots cannot be told from starts");
    }
    Ok(id.into())
}

/// Whether the kernel writes boot ids so.
fn is_boot_id(id: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let groups: Vec<&str> = id.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().chars().all(is_digit)
        && id.contains(|c: char| is_digit(c) && c != '0')
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

/// Writes what this process knows of its claim, for the scripts of packages: a word and the process id, by which a reader
/// tells whether it is of the daemon that runs now. When it cannot be written, there is none: an old word could be wrong.
pub fn write_claim(run_dir: &Path, word: &str) -> io::Result<()> {
    let text = format!("{word} {}\n", std::process::id());
    replace(&run_dir.join("claim"), &text)
}

/// Writes what the daemon of this host says of itself, for `status` and `explain`. When it cannot be written, there is none.
pub fn write_standing(run_dir: &Path, json: &str) -> io::Result<()> {
    replace(&run_dir.join("standing.json"), json)
}

/// What the daemon of this host said of itself last, if anything.
pub fn read_standing(run_dir: &Path) -> Option<String> {
    read_text(&run_dir.join("standing.json")).ok()
}

/// Whole or not at all; when it cannot be written, what was there before is gone too.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        let _ = fs::remove_file(path);
    }
    written
}

/// Where this host's memory stands: in `run_dir`, and where that is lost at a reboot also in the folder of the same name below
/// `/var/lib`, when somebody made it.
fn memory_files(run_dir: &Path) -> Vec<PathBuf> {
    let lasting = ["/run", "/var/run"].iter().find_map(|run| {
        let below = run_dir.strip_prefix(run).ok()?;
        Some(Path::new("/var/lib").join(below)).filter(|folder| folder.is_dir())
    });
    let folders = [Some(run_dir.to_owned()), lasting];
    let files = folders.into_iter().flatten();
    files.map(|folder| folder.join("memory.json")).collect()
}

/// What this host remembers of itself, as JSON; `None` when it has no record.
pub fn read_memory(run_dir: &Path) -> Option<String> {
    memory_files(run_dir)
        .iter()
        .find_map(|file| read_text(file).ok())
}

/// Keeps what this host remembers. What cannot be written is removed: an old memory could be wrong.
///
/// # Errors
/// The first file that could not be written.
pub fn write_memory(run_dir: &Path, json: &str) -> io::Result<()> {
    let mut outcome = Ok(());
    for file in memory_files(run_dir) {
        let temporary = file.with_extension("tmp");
        if let Err(error) = write_and_rename(&temporary, &file, json) {
            let _ = fs::remove_file(&temporary);
            let _ = fs::remove_file(&file);
            let what = format!("{}: {error}", file.display());
            outcome = outcome.and(Err(io::Error::new(error.kind(), what)));
        }
    }
    outcome
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
mod tests;
