//! This host: one instance of the daemon, which boot it is, the kill switch, and what is kept in files: the marker of the last
//! completed reboot, the word for packages that a claim stands, what this node says of itself, the memory of what it began.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::trust;

/// How often to start over when the lock file is deleted between opening and locking it.
const LOCK_TRIES: usize = 5;

/// The longest file read here; every one of them is far shorter.
const READ_LIMIT: u64 = 64 * 1024;

/// Held by the one daemon or `--once` run of this host, for as long as the value lives; the kernel releases it with the
/// process, so that a leftover file means nothing.
#[derive(Debug)]
pub struct InstanceLock(File);

/// That another instance holds the lock; nothing else of a file says so.
pub const HELD: ErrorKind = ErrorKind::ResourceBusy;

impl InstanceLock {
    /// Takes the lock at `<run_dir>/instance.lock` or says who has it. Does not wait. Children do not inherit it.
    ///
    /// Only root and this user can open the file, so that nobody else can hold it. What an older version left open to all is
    /// closed; whoever held it before is named.
    ///
    /// # Errors
    /// One of the kind [`HELD`] when another instance has it; else which file could not be made or locked, and why.
    pub fn acquire(run_dir: &Path) -> io::Result<InstanceLock> {
        let path = run_dir.join("instance.lock");
        InstanceLock::at(&path, run_dir).map_err(|error| match error.kind() {
            HELD => error,
            _ => named(&path, error),
        })
    }

    /// Why none can be taken in `run_dir` as it is, however often it is tried; one that is not there yet is made.
    ///
    /// # Errors
    /// What stands in the way, and what to do.
    pub(crate) fn fits(run_dir: &Path) -> io::Result<()> {
        if let Some(link) = trust::leads_nowhere(run_dir) {
            let words = "is a link that leads nowhere; make what it names, or remove it";
            return Err(named(&link, io::Error::other(words)));
        }
        let mut way = run_dir.ancestors();
        let there = way.find(|at| at.exists()).unwrap_or(Path::new("/"));
        if there == run_dir || !there.is_dir() {
            trust::folder(there)?;
        }
        match access(there, Access::WRITE_OK) {
            Err(Errno::ROFS) => Err(named(there, Errno::ROFS.into())),
            _ => Ok(()),
        }
    }

    /// Why a reboot would leave an old record behind, or a second daemon could run beside the one that holds this. Takes the lock
    /// anew where somebody deleted its file; else it writes nothing.
    ///
    /// # Errors
    /// What stands in the way, and what to do.
    pub(crate) fn guards(&mut self, run_dir: &Path) -> io::Result<()> {
        let path = run_dir.join("instance.lock");
        if !is_at(&self.0, &path)? {
            *self = InstanceLock::acquire(run_dir).map_err(|error| {
                let words =
                    "is not there any more as this daemon took it, and cannot be taken anew";
                named(
                    &path,
                    io::Error::other(format!("{words}: {error}; restart this daemon")),
                )
            })?;
        }
        let is_used = |it: &PathBuf| it == run_dir || it.join("memory.json").exists();
        for folder in memory_folders(run_dir).filter(is_used) {
            if let Err(error) = access(&folder, Access::WRITE_OK) {
                let words = format!("nothing can be written there: {error}; make it writable");
                return Err(named(&folder, io::Error::other(words)));
            }
        }
        Ok(())
    }

    fn at(path: &Path, run_dir: &Path) -> io::Result<InstanceLock> {
        let mut folders = DirBuilder::new();
        let made = folders.recursive(true).mode(0o755).create(run_dir);
        InstanceLock::fits(run_dir)?;
        made?;
        for _ in 0..LOCK_TRIES {
            let file = private().create(true).open(path)?;
            if let Some(lock) = InstanceLock::of(file, path)? {
                return Ok(lock);
            }
        }
        Err(io::Error::other(
            "deleted again and again while being locked",
        ))
    }

    /// `None` when the file was deleted since it was opened: its lock would exclude nobody.
    fn of(mut file: File, path: &Path) -> io::Result<Option<InstanceLock>> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("is not a regular file; remove it"));
        }
        trust::owned("", path, &meta)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path)? => {
                // For people only, so a full disk does not matter.
                let _ = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Some(InstanceLock(file)))
            }
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Err(match stranger(&meta) {
                Some(who) => io::Error::other(format!(
                    "is held by {who}, which is no reboot-coordinator; end it"
                )),
                // Its process id is for people, and not there when it has not been written yet.
                None => {
                    let pid = read_pid(&mut file);
                    let pid = pid.map_or(String::new(), |pid| format!(", with process id {pid}"));
                    io::Error::new(HELD, format!("another instance runs on this host{pid}"))
                }
            }),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// An error with the file that it is about.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// How files in `run_dir` are opened: links are not followed, a FIFO is not waited for, nobody else may open them.
fn private() -> OpenOptions {
    let mut options = trust::options();
    options.write(true).mode(0o600);
    options
}

/// Who holds a lock on the file, unless it is a daemon or a pass of ours, which takes it alone.
fn stranger(meta: &Metadata) -> Option<String> {
    let (kind, pid) = holder(meta)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let ours = kind == "WRITE" && name.starts_with("reboot");
    let owner = fs::metadata(format!("/proc/{pid}")).map_or(String::new(), |meta| {
        format!(" of the user with id {}", meta.uid())
    });
    (!ours).then(|| format!("process {pid} ({:?}){owner}", name.trim()))
}

/// How a lock on the file is held, and by which process. The kernel's list does not say when that lives in another container.
pub(crate) fn holder(meta: &Metadata) -> Option<(String, u32)> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let inode = format!(":{}", meta.ino());
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, kind, pid, file, ..] if file.ends_with(&inode) => {
                Some((kind.to_owned(), pid.parse().ok()?))
            }
            _ => None,
        }
    })
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
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
    let explain = |error| named(path, error);
    let useless = |why: &str| Err(explain(io::Error::new(ErrorKind::InvalidData, why)));
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
        /// Its first line, by which operators say why; empty when there is none, or nobody trusted wrote it.
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

/// Looks at the kill switch. Only "not found" is absent; a dangling link is present, and what is behind one is unknown.
pub fn kill_switch(path: &Path) -> KillSwitch {
    match trust::look(path) {
        Ok(Some(meta)) => KillSwitch::Present {
            since: meta.modified().ok(),
            text: first_line(path),
        },
        Ok(None) => KillSwitch::Absent,
        Err(e) => KillSwitch::Unknown(named(path, e).to_string()),
    }
}

/// Of a file that root or this user wrote, and not of what a link leads to: in a shared folder anybody may name any file.
fn first_line(path: &Path) -> String {
    let opened = trust::options().open(path);
    let written_by_us = |file: &File| {
        file.metadata().is_ok_and(|meta| {
            meta.is_file() && meta.mode() & 0o022 == 0 && trust::owned("", path, &meta).is_ok()
        })
    };
    let mut bytes = Vec::new();
    if let Some(file) = opened.ok().filter(written_by_us) {
        let _ = file.take(READ_LIMIT).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = trust::plain(path, READ_LIMIT)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes the marker of the last completed reboot, whole or not at all, also if the power fails. It is information: the
/// caller logs a failure and goes on.
pub fn write_completed(run_dir: &Path, json: &str) -> io::Result<()> {
    replace(run_dir, "completed.json", json, true)?;
    File::open(run_dir)?.sync_all()
}

/// Writes what this process knows of its claim, for the scripts of packages: a word and the process id, by which a reader
/// tells whether it is of the daemon that runs now. When it cannot be written, there is none: an old word could be wrong.
pub fn write_claim(run_dir: &Path, word: &str) -> io::Result<()> {
    let text = format!("{word} {}\n", std::process::id());
    replace_or_remove(run_dir, "claim", &text, false)
}

/// Writes what the daemon of this host says of itself, for `status` and `explain`. When it cannot be written, there is none.
pub fn write_standing(run_dir: &Path, json: &str) -> io::Result<()> {
    replace_or_remove(run_dir, "standing.json", json, false)
}

/// What the daemon of this host said of itself last, if anything.
pub fn read_standing(run_dir: &Path) -> Option<String> {
    read_ours(&run_dir.join("standing.json"))
}

/// Of a file that only root and this user can have written.
fn read_ours(path: &Path) -> Option<String> {
    String::from_utf8(trust::read(path, READ_LIMIT).ok()?).ok()
}

/// When it cannot be written, what was there before is gone too.
fn replace_or_remove(folder: &Path, name: &str, text: &str, lasting: bool) -> io::Result<()> {
    replace(folder, name, text, lasting).inspect_err(|_| {
        let _ = fs::remove_file(folder.join(name));
    })
}

/// A new file in the place of an old one, whatever stands there or at the name that it has until then. Whole or not at all. One
/// that nobody asks for after the next boot need not be lasting: each commit would wait for the disk.
fn replace(folder: &Path, name: &str, text: &str, lasting: bool) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    let _ = fs::remove_file(&temporary);
    let written = private()
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            if lasting {
                file.sync_all()?;
            }
            fs::rename(&temporary, folder.join(name))
        });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Where this host's memory stands: in `run_dir`, and where that is lost at a reboot also in the folder of the same name below
/// `/var/lib`, when somebody made it.
fn memory_folders(run_dir: &Path) -> impl Iterator<Item = PathBuf> {
    let lasting = ["/run", "/var/run"].iter().find_map(|run| {
        let below = run_dir.strip_prefix(run).ok()?;
        Some(Path::new("/var/lib").join(below)).filter(|folder| folder.is_dir())
    });
    [Some(run_dir.to_owned()), lasting].into_iter().flatten()
}

/// What this host remembers of itself, as JSON; `None` when it has no record.
pub fn read_memory(run_dir: &Path) -> Option<String> {
    memory_folders(run_dir).find_map(|folder| read_ours(&folder.join("memory.json")))
}

/// A record of this host that stands and says something else than `json`.
pub fn stale_memory(run_dir: &Path, json: &str) -> Option<PathBuf> {
    let files = memory_folders(run_dir).map(|folder| folder.join("memory.json"));
    let is_stale = |file: &PathBuf| read_ours(file).is_some_and(|text| text != json);
    files.into_iter().find(is_stale)
}

/// Keeps what this host remembers. What cannot be written is removed: an old memory could be wrong.
///
/// # Errors
/// The first file that could not be written.
pub fn write_memory(run_dir: &Path, json: &str) -> io::Result<()> {
    let mut outcome = Ok(());
    for folder in memory_folders(run_dir) {
        if let Err(error) = replace_or_remove(&folder, "memory.json", json, true) {
            outcome = outcome.and(Err(named(&folder.join("memory.json"), error)));
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
