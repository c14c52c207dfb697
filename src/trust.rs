//! Who could change what this program executes or believes: root and the user it runs as, and nobody else.
//!
//! A path is judged from `/` down, every link and every folder on the way. Whatever is found there may be relied on until it
//! is used, without a descriptor in between: a folder that only root can change holds what root has put there, and that is
//! true of the first folder, hence of the second, and so on to the file. So scripts are started by their names, which keeps
//! `$0` and `ps` as people know them. What this does not see: somebody who still has the file open for writing from the time
//! when it was his, and a network file system whose server lies.
//!
//! In a folder with the sticky bit (`/tmp`) others may put things beside ours, but cannot replace what belongs to root or to
//! us. So it may lie on the way; it may not be the folder that is read as a whole.

mod binary;
mod first_line;
mod interpreter;

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use crate::escape;
pub use first_line::PATH;
pub(crate) use interpreter::programs;
use rustix::fs::{OFlags, StatVfsMountFlags, statvfs};
use rustix::io::Errno;

const GROUP_OR_OTHER_WRITE: u32 = 0o022;
const GROUP_OR_OTHER_READ: u32 = 0o044;
const ANY_EXECUTE: u32 = 0o111;
const STICKY: u32 = 0o1000;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// Why something is not used, in words: ours, which say what to do, or for what the system said those of the one who wanted to use it.
pub(crate) fn words(error: io::Error, unreadable: impl FnOnce(io::Error) -> String) -> String {
    match error.raw_os_error() {
        Some(_) => unreadable(error),
        None => error.to_string(),
    }
}

fn unfit<T>(path: &Path, why: &str) -> io::Result<T> {
    Err(io::Error::other(format!("{} {why}", path.display())))
}

/// Opens a regular file that only root and this user can change.
///
/// # Errors
/// When it is something else, and when anything on the way is.
pub fn open(path: &Path) -> io::Result<File> {
    let (target, meta) = walk(path)?;
    if !meta.is_file() {
        return unfit(path, "is not a regular file; name the file itself");
    }
    let file = options().open(&target)?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (meta.dev(), meta.ino()) {
        return unfit(path, "changes; try again");
    }
    Ok(file)
}

/// To read what a path names itself, and no link. Should a FIFO stand there, nobody waits for its writer.
pub(crate) fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// The link on the way to a path, itself among it, behind which there is nothing: what it leads to may come back.
pub(crate) fn leads_nowhere(path: &Path) -> Option<PathBuf> {
    // Without a slash at its end, which would follow the last one.
    let plain: PathBuf = path.components().collect();
    let is_dangling = |at: &&Path| at.is_symlink() && at.try_exists().is_ok_and(|it| !it);
    plain.ancestors().find(is_dangling).map(Path::to_owned)
}

/// What a path names itself, and no link; `None` when it is surely not there.
///
/// # Errors
/// When nothing can be known of it, as behind a link that leads nowhere.
pub(crate) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => match leads_nowhere(path) {
            Some(link) => unfit(&link, "is a link that leads nowhere"),
            None => Ok(None),
        },
        seen => seen.map(Some),
    }
}

/// At most so much of what links lead to, whoever may change it, when that is a regular file: a FIFO or a device may have no end.
pub(crate) fn plain(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let target = fs::canonicalize(path)?;
    if !fs::symlink_metadata(&target)?.is_file() {
        return Err(io::Error::other(
            "is not a regular file; name the file itself",
        ));
    }
    let mut bytes = Vec::new();
    options()
        .open(target)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of a file that only root and this user can change.
///
/// # Errors
/// As [`open`], and when it is longer than `limit`.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    content(path, open(path)?, limit)
}

/// The same of a file that only its owner can read.
///
/// # Errors
/// As [`read`], and when its group or others can.
pub(crate) fn secret(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if file.metadata()?.mode() & GROUP_OR_OTHER_READ != 0 {
        let why = "can be read by its group or others; run chmod 600";
        return unfit(path, &format!("{why} {}", typed(path)));
    }
    content(path, file, limit)
}

fn content(path: &Path, file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("is longer than {limit} bytes; this cannot be the right file");
        return unfit(path, &why);
    }
    Ok(bytes)
}

/// Judges a folder of which everything is believed that is in it.
///
/// # Errors
/// When others could put something into it, or it is no folder.
pub fn folder(path: &Path) -> io::Result<()> {
    let (target, meta) = walk(path)?;
    if !meta.is_dir() {
        return unfit(path, "is not a folder; move it");
    }
    closed("", &target, &meta)
}

/// Judges a program: also that the kernel can start it.
///
/// # Errors
/// Why it must not, or cannot, be started.
pub fn program(path: &Path) -> io::Result<()> {
    program_of(path, 0)
}

/// Where a file is that may be executed.
fn executable(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let unfit = |why: &str| unfit(path, why);
    let (target, meta) = walk(path)?;
    if !meta.is_file() {
        return unfit("is not a regular file; name the program itself");
    }
    if meta.mode() & ANY_EXECUTE == 0 {
        return unfit(&format!("is not executable; run chmod 755 {}", typed(path)));
    }
    let mount = statvfs(&target)?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return unfit(
            "is on a file system that is mounted noexec; move it, for example to /usr/local/sbin",
        );
    }
    Ok((target, meta))
}

/// An interpreter may be a script itself; the kernel goes along with a few of them.
fn program_of(path: &Path, depth: usize) -> io::Result<()> {
    const DEPTH: usize = 4;
    let unfit = |why: &str| unfit(path, why);
    let (target, meta) = executable(path)?;
    let file = match File::open(&target) {
        Ok(file) => file,
        // A program may be executable and not readable; then what is in it is the kernel's business.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut head = Vec::new();
    (&file).take(first_line::LIMIT).read_to_end(&mut head)?;
    let by = match first_line::interpreter(&head) {
        Ok(None) => {
            binary::loader(&head, &file, meta.len()).map(|by| by.map(|by| (by, Vec::new())))
        }
        script => script,
    };
    let (by, words) = match by {
        Ok(Some(by)) => by,
        Ok(None) => return Ok(()),
        Err(why) => return unfit(&why),
    };
    let (says, what, next) = match head.starts_with(b"#!") {
        true if depth < DEPTH => ("begins with #! and", "interpreter", depth + 1),
        true => return unfit("leads from interpreter to interpreter; name a program"),
        // A loader is loaded by nobody, whatever it names.
        false if depth > DEPTH => return Ok(()),
        false => ("needs", "loader", DEPTH + 1),
    };
    let named = match program_of(&by, next) {
        Ok(()) => {
            let judged = arguments(&words).map_err(|(_, doubt)| doubt.to_string());
            return judged.or_else(|doubt| unfit(&format!("{says} {doubt}")));
        }
        Err(error) if error.raw_os_error().is_some() => format!(
            "the {what} {}, which cannot be used: {error}; install it or correct what names it",
            by.display()
        ),
        Err(error) => format!("its {what}: {error}"),
    };
    unfit(&format!("{says} {named}"))
}

/// Judges what a command line executes: its program, and every other word that names a program, since `env`, `timeout` and
/// their like execute their arguments; after an interpreter, every file. So with the value of a variable: `BASH_ENV=FILE`.
///
/// # Errors
/// The first doubt, about which word it is.
pub fn command(argv: &[String]) -> Result<(), (usize, io::Error)> {
    if let Some(word) = argv.first() {
        program(Path::new(word)).map_err(|doubt| (0, doubt))?;
    }
    arguments(argv)
}

/// The same without the program, which is the first word.
fn arguments(argv: &[String]) -> Result<(), (usize, io::Error)> {
    let interprets = argv.iter().any(|word| interpreter::executes_files(word));
    let executed =
        |meta: &Metadata| meta.is_file() && (interprets || meta.mode() & ANY_EXECUTE != 0);
    for (at, word) in argv.iter().enumerate().skip(1) {
        let named = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let set = word.split_once('=').filter(|(name, _)| named(name));
        let path = in_root(set.map_or(word, |(_, value)| value));
        if fs::metadata(&path).is_ok_and(|meta| executed(&meta)) {
            walk(&path).map_err(|doubt| (at, doubt))?;
        }
    }
    Ok(())
}

/// What a word means to a child, since all are started in `/`.
fn in_root(word: &str) -> PathBuf {
    Path::new("/").join(word)
}

/// Where a path leads, when nobody else can change where, and what is there.
fn walk(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let mut at = PathBuf::from("/");
    let mut meta = fs::symlink_metadata(&at)?;
    owned("its folder ", &at, &meta)?;
    let mut left = parts(&std::path::absolute(path)?);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            at.pop();
            meta = fs::symlink_metadata(&at)?;
            continue;
        }
        if meta.mode() & STICKY == 0 {
            closed("its folder ", &at, &meta)?;
        }
        let next = at.join(part);
        meta = fs::symlink_metadata(&next)?;
        let what = match (meta.is_symlink(), left.is_empty()) {
            (true, _) => "the link ",
            (false, true) => "",
            (false, false) => "its folder ",
        };
        owned(what, &next, &meta)?;
        if meta.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = fs::read_link(&next)?;
            left.extend(parts(&target));
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            meta = fs::symlink_metadata(&at)?;
        } else {
            at = next;
        }
    }
    let written = path.as_os_str().as_bytes();
    if !meta.is_dir() && (written.ends_with(b"/") || written.ends_with(b"/.")) {
        return Err(Errno::NOTDIR.into());
    }
    if meta.is_file() {
        closed("", &at, &meta)?;
    }
    Ok((at, meta))
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    parts
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Whether it belongs to root or to this user.
pub(crate) fn owned(what: &str, path: &Path, meta: &Metadata) -> io::Result<()> {
    let owner = meta.uid();
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let (shown, no_follow) = (path.display(), if meta.is_symlink() { "-h " } else { "" });
    Err(io::Error::other(format!(
        "{what}{shown} belongs to the user with id {owner}, who can change it; run chown {no_follow}root {}",
        typed(path)
    )))
}

/// A path in a command to be typed.
pub(crate) fn typed(path: &Path) -> String {
    escape::shell(&path.to_string_lossy())
}

/// Whether nobody but its owner may write to it.
fn closed(what: &str, path: &Path, meta: &Metadata) -> io::Result<()> {
    if meta.mode() & GROUP_OR_OTHER_WRITE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what}{} can be changed by its group or others; run chmod go-w {}",
        path.display(),
        typed(path)
    )))
}

#[cfg(test)]
mod tests;
