//! What a child prints, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::core::facts::Captured;

/// How much of each output is kept: half of it from the beginning, where a detector says why, and half from the end, where a script
/// says what failed. What is between is read, counted and dropped, so that the child is never held up.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

const HEAD: usize = OUTPUT_LIMIT / 2;

/// Read at once; on the stack of whoever runs a child.
const CHUNK: usize = 16 * 1024;

/// One output of a child.
#[derive(Default)]
pub(super) struct Output {
    /// Until its end was read.
    pub(super) pipe: Option<File>,
    /// A file in memory, for a child that may outlive this process. Unlike a pipe it cannot be limited; it lives as long as
    /// the reboot command does.
    memory: Option<File>,
    kept: Vec<u8>,
    dropped: u64,
}

impl Output {
    /// A pipe, or a file in memory, and the child's end of it.
    pub(super) fn new(in_memory: bool) -> io::Result<(Output, Stdio)> {
        let mut output = Output::default();
        let theirs = if in_memory {
            let file = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
            output.memory = Some(file.try_clone()?);
            file.into()
        } else {
            let (ours, theirs) = io::pipe()?;
            output.pipe = Some(OwnedFd::from(ours).into());
            theirs.into()
        };
        Ok((output, theirs))
    }

    /// Waits until there is something to read, for at most `limit`, and reads it. An interrupted or failed wait reads nothing.
    pub(super) fn read_any(outputs: &mut [Output], limit: Duration) {
        let limit = Timespec::try_from(limit).ok();
        let open = outputs.iter_mut().filter(|it| it.pipe.is_some());
        let mut open: Vec<&mut Output> = open.collect();
        let pipes = open.iter().filter_map(|output| output.pipe.as_ref());
        let mut fds: Vec<PollFd<'_>> = pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        if poll(&mut fds, limit.as_ref()).is_err() {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (output, _) in open.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            output.read();
        }
    }

    /// Reads once from a pipe that `poll` said is ready, which therefore does not block: nobody else reads from it.
    fn read(&mut self) {
        let mut chunk = [0; CHUNK];
        match self.pipe.as_mut().map(|pipe| pipe.read(&mut chunk)) {
            Some(Ok(n)) if n > 0 => {
                self.kept.extend_from_slice(&chunk[..n]);
                let more = self.kept.len().saturating_sub(OUTPUT_LIMIT);
                let from = HEAD.min(self.kept.len());
                self.kept.drain(from..from + more);
                self.dropped += more as u64;
            }
            _ => self.pipe = None,
        }
    }

    /// What was captured, as text.
    pub(super) fn into_captured(mut self) -> Captured {
        if let Some(file) = &self.memory {
            let length = file.metadata().map_or(0, |meta| meta.len());
            let wanted = usize::try_from(length).unwrap_or(OUTPUT_LIMIT);
            self.kept.resize(wanted.min(OUTPUT_LIMIT), 0);
            self.dropped = length - self.kept.len() as u64;
            let (head, tail) = self.kept.split_at_mut(HEAD.min(wanted));
            let read = file.read_exact_at(head, 0);
            let rest = HEAD as u64 + self.dropped;
            if read.and_then(|()| file.read_exact_at(tail, rest)).is_err() {
                self.kept.clear(); // somebody has cut it off meanwhile
            }
        }
        let text = |bytes| String::from_utf8_lossy(bytes);
        let (head, tail) = self.kept.split_at(HEAD.min(self.kept.len()));
        Captured {
            text: match self.dropped {
                0 => text(&self.kept).into_owned(),
                _ => format!("{}…\n…{}", text(head), text(tail)),
            },
            dropped: self.dropped,
        }
    }
}
