//! The child itself: started, waited for and reaped by a small thread of its own.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::cancel::{Cancel, Wait, wait_for};
use super::output::Output;
use super::{Command, START_LIMIT};
use crate::core::facts::ScriptOutcome;

/// Enough to start a process; the default of 2 MiB counts against the address space of a small daemon.
const STACK_BYTES: usize = 128 * 1024;

/// The child, leader of its process group.
///
/// A thread waits for its exit without reaping it (`WNOWAIT`, which works on every kernel, unlike pidfds): until the
/// caller has killed the group, the leader stays and keeps the number of the group from being used again. When the
/// caller gives up on a child the thread stays with it and reaps it whenever it ends.
pub(super) struct Leader {
    pid: Pid,
    exited: PipeReader,
    /// Dropped to allow the reaping.
    hold: Sender<()>,
    waiter: JoinHandle<io::Result<ExitStatus>>,
}

impl Leader {
    /// Starts the command; its two outputs come along. Opening the program can hang on a dead network file system, so even
    /// this has the limit and the cancel of the run. Should the program start after all later, it is killed, unless it is a
    /// detached one and the reason was a cancel.
    pub(super) fn start(
        spec: &Command,
        cancel: &Cancel,
        limit: Duration,
    ) -> Result<(Leader, [Output; 2]), ScriptOutcome> {
        let program = spec.argv.first().map_or("", String::as_str);
        let failed = |e: io::Error| ScriptOutcome::NotStarted(format!("{program}: {e}"));
        let (mut command, kept) = prepare(spec).map_err(failed)?;
        let (mut signs, sign) = io::pipe().map_err(failed)?;
        let (hold, released) = channel();
        // Without a buffer, so that a child is never handed to a caller that has gone.
        let (started, start) = sync_channel(0);
        let left_alone = {
            let (detach, cancel) = (spec.detach, cancel.clone());
            move || detach && cancel.is_cancelled()
        };
        // Everything that can fail in this process fails before the child exists.
        let waiter = std::thread::Builder::new()
            .name("child".into())
            .stack_size(STACK_BYTES);
        let waiter = waiter.spawn(move || {
            let child = command.spawn();
            // It holds the child's ends of the pipes.
            drop(command);
            attend(child, &started, sign, &released, &left_alone)
        });
        let waiter = waiter.map_err(failed)?;
        let mut decided = wait_for(signs.as_fd(), Some(cancel), limit);
        // Usually it has just started, and is then ended or left alone as every other.
        if decided == Wait::Cancelled {
            decided = match wait_for(signs.as_fd(), None, START_LIMIT) {
                Wait::Ready => Wait::Ready,
                Wait::Cancelled | Wait::TimedOut => Wait::Cancelled,
            };
        }
        match decided {
            Wait::Ready => signs.read_exact(&mut [0]).map_err(failed)?,
            Wait::Cancelled => return Err(ScriptOutcome::Cancelled),
            Wait::TimedOut => return Err(ScriptOutcome::TimedOut),
        }
        let ended = |_| Err(io::Error::other("the thread that starts children ended"));
        let (pid, piped) = start.recv().unwrap_or_else(ended).map_err(failed)?;
        Ok((
            Leader {
                pid,
                exited: signs,
                hold,
                waiter,
            },
            kept.unwrap_or(piped),
        ))
    }

    /// Readable when the child has exited.
    pub(super) fn exit_fd(&self) -> BorrowedFd<'_> {
        self.exited.as_fd()
    }

    /// Kills the group, and the child itself in case it moved to another group. Safe at any time, because the child is not
    /// reaped while this value exists. Failures mean that nobody is left to kill, or that it is not ours to kill.
    pub(super) fn kill_group(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = kill_process(self.pid, Signal::KILL);
    }

    /// How an exited child ended. Its number is free afterwards.
    pub(super) fn reap(self) -> ScriptOutcome {
        drop(self.hold);
        let status = self
            .waiter
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that reaps children ended")));
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => ScriptOutcome::Exited(code),
                (None, signal) => ScriptOutcome::Signalled(signal.unwrap_or(0)),
            },
            // Only when this process was started with SIGCHLD ignored, so that the kernel throws exit codes away.
            Err(e) => ScriptOutcome::NotStarted(format!("its exit status is lost: {e}")),
        }
    }
}

type Started = io::Result<(Pid, [Output; 2])>;

/// The waiting thread's work after the attempt to start the child. It gives one sign when that is decided and one at the
/// exit; bytes, because the end of a pipe is not seen while another child that is being started has a copy of it.
fn attend(
    child: io::Result<std::process::Child>,
    started: &SyncSender<Started>,
    mut sign: PipeWriter,
    released: &Receiver<()>,
    left_alone: &dyn Fn() -> bool,
) -> io::Result<ExitStatus> {
    // The signs fit into the pipe; when they fail the caller has gone.
    let _ = sign.write_all(b"s");
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            let _ = started.send(Err(e));
            return Err(io::Error::other("not started"));
        }
    };
    let pid = Pid::from_child(&child);
    let pipes = [
        child.stdout.take().map(Into::into),
        child.stderr.take().map(Into::into),
    ];
    let wanted = started
        .send(Ok((pid, pipes.map(Output::from_pipe))))
        .is_ok();
    if !wanted && !left_alone() {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = retry_on_intr(|| {
        waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        )
    });
    let _ = sign.write_all(b"e");
    // An error: the other side was dropped, which is the permission.
    let _ = released.recv();
    child.wait()
}

/// The command as the standard library starts it, and where its output goes when that is not a pipe.
fn prepare(spec: &Command) -> io::Result<(std::process::Command, Option<[Output; 2]>)> {
    let empty = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
    let (program, args) = spec.argv.split_first().ok_or_else(empty)?;
    let mut command = std::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)));
    command
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null());
    if !spec.detach {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        return Ok((command, None));
    }
    let memory = [Output::in_memory()?, Output::in_memory()?];
    command
        .stdout(memory[0].share()?)
        .stderr(memory[1].share()?);
    Ok((command, Some(memory)))
}
