//! What a child prints, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::core::facts::Captured;

/// How much of each output is kept. More is read, counted and dropped, so that the child is never held up.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// Read at once; on the stack of whoever runs a child.
const CHUNK: usize = 16 * 1024;

/// One output of a child.
pub(super) struct Output {
    source: Source,
    kept: Vec<u8>,
    dropped: u64,
}

enum Source {
    Pipe(File),
    /// A file in memory, for a child that may outlive this process. Unlike a pipe it cannot be limited; it lives as long as
    /// the reboot command does.
    Memory(File),
    Closed,
}

impl Output {
    /// Reads from a pipe.
    pub(super) fn from_pipe(pipe: Option<OwnedFd>) -> Output {
        let source = pipe.map_or(Source::Closed, |fd| Source::Pipe(File::from(fd)));
        Output {
            source,
            kept: Vec::new(),
            dropped: 0,
        }
    }

    /// Collects in a file in memory.
    pub(super) fn in_memory() -> io::Result<Output> {
        let file = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
        Ok(Output {
            source: Source::Memory(file),
            kept: Vec::new(),
            dropped: 0,
        })
    }

    /// The child's end of a file in memory.
    pub(super) fn share(&self) -> io::Result<Stdio> {
        match &self.source {
            Source::Memory(file) => Ok(file.try_clone()?.into()),
            Source::Pipe(_) | Source::Closed => Ok(Stdio::null()),
        }
    }

    /// The pipe, until its end was read.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Pipe(file) => Some(file.as_fd()),
            Source::Memory(_) | Source::Closed => None,
        }
    }

    /// Reads once from a pipe that `poll` said is ready, which therefore does not block: nobody else reads from it.
    pub(super) fn read(&mut self) {
        let mut chunk = [0; CHUNK];
        let Source::Pipe(pipe) = &mut self.source else {
            return;
        };
        match pipe.read(&mut chunk) {
            Ok(0) => self.source = Source::Closed,
            Ok(n) => {
                let keep = n.min(OUTPUT_LIMIT - self.kept.len());
                self.kept.extend_from_slice(&chunk[..keep]);
                self.dropped += (n - keep) as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.source = Source::Closed,
        }
    }

    /// What was captured, as text.
    pub(super) fn into_captured(mut self) -> Captured {
        if let Source::Memory(file) = &self.source {
            let length = file.metadata().map_or(0, |meta| meta.len());
            self.kept.resize(
                usize::try_from(length)
                    .unwrap_or(usize::MAX)
                    .min(OUTPUT_LIMIT),
                0,
            );
            let read = file.read_at(&mut self.kept, 0).unwrap_or(0);
            self.kept.truncate(read);
            self.dropped = length.saturating_sub(read as u64);
        }
        Captured {
            text: String::from_utf8_lossy(&self.kept).into_owned(),
            dropped: self.dropped,
        }
    }
}
