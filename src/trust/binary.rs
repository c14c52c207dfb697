//! What the kernel makes of a binary: whether its headers say that it can be started here, and which loader it names.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Machines whose kernels may run each other's programs: x86, ARM and PowerPC, of 32 and of 64 bits.
const KIN: [[u64; 2]; 3] = [[3, 62], [40, 183], [20, 21]];

/// Kinds of files that are programs, and of segments.
const PROGRAMS: [u64; 2] = [2, 3];
const LOADED: u64 = 1;
const LOADER: u64 = 3;

/// No path is longer.
const LONGEST: u64 = 4096;

/// The loader that a binary names, if it does. An error is why the kernel would not start it.
pub(super) fn loader(head: &[u8], file: &File, length: u64) -> Result<Option<PathBuf>, String> {
    let alike = |(own, its): (u64, u64)| {
        own == its
            || KIN
                .iter()
                .any(|kin| kin.contains(&own) && kin.contains(&its))
    };
    if head.starts_with(b"\x7fELF") && OWN.zip(machine(head)).is_none_or(alike) {
        let damaged = "is a binary that is cut off or damaged; install it again";
        return segments(head, file, length).ok_or_else(|| damaged.to_owned());
    }
    match is_taught() {
        true => Ok(None),
        false => Err(
            "is neither a script nor a binary for machines of this kind; install one that is"
                .to_owned(),
        ),
    }
}

fn machine(head: &[u8]) -> Option<u64> {
    number(head, 18, 2)
}

/// What machine this program is made for.
static OWN: LazyLock<Option<u64>> = LazyLock::new(|| {
    let mut head = [0; 20];
    let mut file = File::open("/proc/self/exe").ok()?;
    file.read_exact(&mut head).ok()?;
    machine(&head)
});

/// Whether this kernel was taught other formats, as by qemu: any may be among them.
pub(super) fn is_taught() -> bool {
    let known = fs::read_dir("/proc/sys/fs/binfmt_misc");
    let taught = |name: OsString| name != "register" && name != "status";
    known.is_ok_and(|known| known.flatten().any(|format| taught(format.file_name())))
}

/// None when its headers, or what they lead to, are not there.
fn segments(head: &[u8], file: &File, length: u64) -> Option<Option<PathBuf>> {
    let (word, table, size) = match head.get(4)? {
        2 => (8, 32, 56),
        _ => (4, 28, 32),
    };
    // Behind where this table is and where that of the sections is, 4 bytes of flags and 2 of a size.
    let sizes = table + 2 * word + 6;
    let count = usize::try_from(number(head, sizes + 2, 2)?).ok()?;
    let fits = number(head, sizes, 2)? == size as u64 && count > 0;
    if !fits || !PROGRAMS.contains(&number(head, 16, 2)?) {
        return None;
    }
    let mut headers = vec![0; count * size];
    let at = number(head, table, word)?;
    file.read_exact_at(&mut headers, at).ok()?;
    let mut loader = None;
    for header in headers.chunks_exact(size) {
        let kind = number(header, 0, 4)?;
        let (from, long) = (number(header, word, word)?, number(header, 4 * word, word)?);
        if [LOADED, LOADER].contains(&kind) && from.checked_add(long)? > length {
            return None;
        }
        if kind == LOADER && loader.is_none() {
            let mut path = vec![0; usize::try_from(long.min(LONGEST)).ok()?];
            file.read_exact_at(&mut path, from).ok()?;
            path.truncate(path.iter().position(|byte| *byte == 0)?);
            loader = Some(OsString::from_vec(path).into());
        }
    }
    Some(loader)
}

/// As this machine writes it; so of one that writes otherwise none fits.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut bytes = bytes.get(at..at + size)?.to_vec();
    if cfg!(target_endian = "little") {
        bytes.reverse();
    }
    let more = |number, byte: &u8| number << 8 | u64::from(*byte);
    Some(bytes.iter().fold(0, more))
}
