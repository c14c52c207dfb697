//! Children: scripts, hooks, detector commands and the reboot command.
//!
//! Every child leads a process group of its own, gets exactly the environment it is given, no standard input, and `/` as
//! its folder. One loop attends to its exit, its output, its limit and a cancel, so there is no reader thread that a
//! grandchild could keep waiting.
//!
//! What belongs to the group is killed when the child ends, however it ends: a health script leaves nothing behind. A
//! grandchild that moved to another group or session is not found by that; it can delay the result by
//! [`LINGER_LIMIT`] when it keeps the output open, and nothing more. A command started with `detach` is the exception:
//! neither a cancel nor its own end kills anything, only its limit does. It gets a process group but not a session of its
//! own (that takes unsafe code); it has no terminal to lose, and what a service manager kills is decided by the unit's
//! `KillMode`.

mod cancel;
mod leader;
mod output;

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use cancel::Cancel;
pub(crate) use cancel::{Wait, wait_for};
use leader::Leader;
pub use output::OUTPUT_LIMIT;
use output::Output;

use crate::core::facts::{Captured, ScriptOutcome, ScriptReport};

/// How long output is still read after the child exited while others hold the pipe, for example the `tee` of a script that
/// sent its output through one.
pub const LINGER_LIMIT: Duration = Duration::from_millis(250);

/// How long a killed group may take to go away. Longer means a process stuck in the kernel; it is left behind and
/// reaped whenever it ends. Within the second in which the daemon stops.
pub const KILL_LIMIT: Duration = Duration::from_millis(500);

/// How long a cancel waits for a program that is just being started, so that it is known whether it was.
const START_LIMIT: Duration = Duration::from_millis(200);

/// How long output is still read after the group was killed. What is in the pipe is read at once; only a grandchild that
/// left the group makes this wait.
const AFTER_KILL_LIMIT: Duration = Duration::from_millis(20);

/// Stands for "no limit" where adding the limit to now would overflow.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// What to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program, an absolute path, and its arguments. Not empty.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// After this the group is killed.
    pub timeout: Duration,
    /// For the reboot command: a cancel leaves it running, and so does the end of the daemon. Its output goes to memory
    /// instead of a pipe, because writing to a pipe nobody reads any more would kill it.
    pub detach: bool,
}

/// Runs the command and waits for its end, its limit or a cancel. Blocks; never panics because of what the command does.
pub fn run(spec: &Command, cancel: &Cancel) -> ScriptReport {
    let began = Instant::now();
    let deadline = began
        .checked_add(spec.timeout)
        .unwrap_or_else(|| began + FAR_AWAY);
    let (outcome, [stdout, stderr]) = if cancel.is_cancelled() {
        (ScriptOutcome::Cancelled, Default::default())
    } else {
        match Leader::start(spec, cancel, spec.timeout) {
            Ok((leader, output)) => Run {
                leader,
                exited: false,
                detach: spec.detach,
                output,
            }
            .finish(cancel, deadline),
            Err(outcome) => (outcome, Default::default()),
        }
    };
    ScriptReport {
        outcome,
        took: began.elapsed(),
        stdout,
        stderr,
    }
}

/// A child that was started.
struct Run {
    leader: Leader,
    exited: bool,
    detach: bool,
    output: [Output; 2],
}

/// Why [`Run::attend`] came back.
#[derive(PartialEq, Eq)]
enum Event {
    Done,
    Cancelled,
    Deadline,
}

impl Run {
    fn finish(mut self, cancel: &Cancel, deadline: Instant) -> (ScriptOutcome, [Captured; 2]) {
        let stopped = match self.attend(Some(cancel), deadline, |run| run.exited) {
            Event::Done => None,
            Event::Cancelled => Some(ScriptOutcome::Cancelled),
            Event::Deadline => Some(ScriptOutcome::TimedOut),
        };
        let left_alone = self.detach && stopped != Some(ScriptOutcome::TimedOut);
        if !left_alone {
            if stopped.is_none() {
                self.attend(
                    Some(cancel),
                    Instant::now() + LINGER_LIMIT,
                    Run::output_closed,
                );
            }
            self.kill();
        }
        let captured = self.output.map(Output::into_captured);
        // Not reaped here when it still runs: detached, or stuck in the kernel. Its thread does that when it ends.
        let own = if self.exited {
            self.leader.reap()
        } else {
            ScriptOutcome::Cancelled
        };
        (stopped.unwrap_or(own), captured)
    }

    /// Kills the group while its leader is not reaped yet, so that the group's number cannot belong to somebody else, and
    /// reads what is left in the pipes.
    fn kill(&mut self) {
        self.leader.kill_group();
        self.attend(None, Instant::now() + KILL_LIMIT, |run| run.exited);
        self.attend(None, Instant::now() + AFTER_KILL_LIMIT, Run::output_closed);
    }

    fn output_closed(&self) -> bool {
        self.output.iter().all(|output| output.pipe().is_none())
    }

    /// Reads output until `done` says so, a cancel comes or the deadline passes, whichever is first.
    fn attend(
        &mut self,
        cancel: Option<&Cancel>,
        deadline: Instant,
        done: fn(&Run) -> bool,
    ) -> Event {
        loop {
            if done(self) {
                return Event::Done;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Event::Deadline;
            }
            let ready = self.wait(cancel, left);
            if ready.cancel {
                return Event::Cancelled;
            }
            for (output, ready) in self.output.iter_mut().zip(ready.output) {
                if ready {
                    output.read();
                }
            }
            self.exited |= ready.exit;
        }
    }

    /// One `poll` over what can still happen. An interrupted or failed one reports nothing and is simply repeated.
    fn wait(&self, cancel: Option<&Cancel>, limit: Duration) -> Ready {
        let mut ready = Ready::default();
        let mut slots = Vec::with_capacity(4);
        if let Some(cancel) = cancel {
            slots.push((cancel.fd(), &mut ready.cancel));
        }
        if !self.exited {
            slots.push((self.leader.exit_fd(), &mut ready.exit));
        }
        for (output, slot) in self.output.iter().zip(&mut ready.output) {
            slots.extend(output.pipe().map(|pipe| (pipe, slot)));
        }
        let mut fds: Vec<PollFd<'_>> = slots
            .iter()
            .map(|(fd, _)| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        let limit = Timespec::try_from(limit).unwrap_or(Timespec {
            tv_sec: 3600,
            tv_nsec: 0,
        });
        if poll(&mut fds, Some(&limit)).is_ok() {
            for (fd, (_, slot)) in fds.iter().zip(&mut slots) {
                **slot = !fd.revents().is_empty();
            }
        }
        drop(fds);
        drop(slots);
        ready
    }
}

/// What `poll` found.
#[derive(Default)]
struct Ready {
    cancel: bool,
    exit: bool,
    output: [bool; 2],
}

#[cfg(test)]
mod tests;
