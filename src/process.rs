//! Children: scripts, hooks, detector commands and the reboot command.
//!
//! Every child leads a process group of its own, gets exactly the environment and the standard input it is given, and `/` as
//! its folder. Before each start it is judged who could have changed what is started. One thread attends to its output, its
//! exit, its limit and a cancel, in slices of a tenth of a second.
//!
//! What belongs to the group is killed when the child ends, however it ends: a health script leaves nothing behind. On a limit
//! or a cancel the child is not reaped before its group is killed, so that the group's number cannot belong to somebody else.
//! After an exit `wait-timeout` has reaped it, and the group is killed only when it still had a member then. What is left: the
//! number goes to somebody else between the exit and the kill, for which the last member has to end and every other
//! number has to be given out in that time, a system call or at most [`LINGER_LIMIT`].
//!
//! A grandchild that moved to another group or session is not found; it can delay the result by [`LINGER_LIMIT`] when it keeps
//! the output open, and nothing more. A command started with `detach` is the exception: neither a cancel nor its own end kills
//! anything, only its limit does. It gets a process group but not a session of its own (that takes unsafe code); it has no
//! terminal to lose, and what a service manager kills is decided by the unit's `KillMode`.

mod bounded;
mod cancel;
mod output;

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use signal_hook::consts::SIGCHLD;
use wait_timeout::ChildExt as _;

pub use bounded::{NoAnswer, bounded};
pub use cancel::Cancel;
use cancel::SLICE;
pub use output::OUTPUT_LIMIT;
use output::Output;

use crate::core::facts::{Captured, ScriptOutcome, ScriptReport};
use crate::trust;

/// How long output is still read after the child exited while others hold the pipe, for example the `tee` of a script that
/// sent its output through one.
pub const LINGER_LIMIT: Duration = Duration::from_millis(250);

/// How long a killed group may take to go away. Longer means a process stuck in the kernel; it is left behind and
/// reaped whenever it ends. Within the second in which the daemon stops.
pub const KILL_LIMIT: Duration = Duration::from_millis(500);

/// How long output is still read after the group was killed. What is in the pipe is read at once; only a grandchild that
/// left the group makes this wait.
const AFTER_KILL_LIMIT: Duration = Duration::from_millis(20);

/// Stands for "no limit" where adding the limit to now would overflow: more than a year.
const FAR_AWAY: Duration = Duration::from_secs(1 << 25);

/// How many starts of one program may be under way. One that hangs in a dead network file system keeps its thread.
const STARTS: usize = 4;

/// What to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program, an absolute path, and its arguments. Not empty.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// After this the group is killed.
    pub timeout: Duration,
    /// It begins within this or not at all: what allows it is true for no longer, and a file system may hang.
    pub begins_within: Duration,
    /// For the reboot command: a cancel leaves it running, and so does the end of the daemon. Its output goes to memory
    /// instead of a pipe, because writing to a pipe nobody reads any more would kill it.
    pub detach: bool,
    /// What it may read, from memory, so that nobody waits for anybody; nothing when there is none.
    pub stdin: Option<String>,
}

impl Command {
    /// One that ends with a cancel, and reads nothing.
    pub fn new(argv: Vec<String>, env: Vec<(String, String)>, timeout: Duration) -> Command {
        Command {
            argv,
            env,
            timeout,
            begins_within: timeout,
            detach: false,
            stdin: None,
        }
    }
}

/// Runs the command and waits for its end, its limit or a cancel. Blocks; never panics because of what the command does.
pub fn run(spec: &Command, cancel: &Cancel) -> ScriptReport {
    let began = Instant::now();
    let deadline = began.checked_add(spec.timeout);
    let deadline = deadline.unwrap_or_else(|| began + FAR_AWAY);
    let (outcome, [stdout, stderr]) = match start(spec, cancel) {
        Ok(run) => run.finish(cancel, deadline),
        Err(outcome) => (outcome, Default::default()),
    };
    ScriptReport {
        outcome,
        took: began.elapsed(),
        stdout,
        stderr,
    }
}

/// Looking at the program and opening it can hang, so even this has the limit and the cancel of the run. Should the program
/// start after all later, nobody takes the value, and dropping it ends the child.
fn start(spec: &Command, cancel: &Cancel) -> Result<Run, ScriptOutcome> {
    let argv = spec.argv.clone();
    let look = move || trust::command(&argv).map_err(|(_, error)| error);
    start_after(look, spec, cancel)
}

fn start_after(
    look: impl FnOnce() -> io::Result<()> + Send + 'static,
    spec: &Command,
    cancel: &Cancel,
) -> Result<Run, ScriptOutcome> {
    let program = spec.argv.first().map_or("", String::as_str).to_owned();
    let key = format!("start {program}");
    let (owned, handle) = (spec.clone(), cancel.clone());
    let limit = spec.begins_within.min(spec.timeout);
    // Set by whoever comes first: the start, or the end of the wait for it.
    let decided = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&decided);
    let started = bounded::some(STARTS, &key, limit, cancel, move || {
        look()?;
        if begins.swap(true, Ordering::AcqRel) {
            return Err(io::Error::other("nobody waits for its start any more"));
        }
        spawn(&owned, handle)
    });
    let never = started.is_err() && !decided.swap(true, Ordering::AcqRel);
    match started {
        Ok(Ok(run)) => Ok(run),
        Ok(Err(error)) => Err(ScriptOutcome::NotStarted(format!("{program}: {error}"))),
        Err(NoAnswer::Cancelled) => Err(ScriptOutcome::Cancelled),
        Err(NoAnswer::TimedOut) if never && limit < spec.timeout => {
            let limit = limit.as_secs();
            Err(ScriptOutcome::NotStarted(format!(
                "{program}: the look at its files took more than {limit} s, after which it is not allowed any more"
            )))
        }
        Err(NoAnswer::TimedOut) => Err(ScriptOutcome::TimedOut),
        Err(NoAnswer::StillBusy) => Err(ScriptOutcome::NotStarted(format!(
            "{program}: earlier starts of it still hang in the file system"
        ))),
        Err(NoAnswer::NotStarted(why)) => Err(ScriptOutcome::NotStarted(why)),
    }
}

fn spawn(spec: &Command, cancel: Cancel) -> io::Result<Run> {
    // wait-timeout hands the signal on to the handler before its own, and takes an ignored signal for one; signal-hook does not.
    static HANDLED: Once = Once::new();
    HANDLED.call_once(|| {
        let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
    });
    let empty = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
    let (program, args) = spec.argv.split_first().ok_or_else(empty)?;
    let mut command = std::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .current_dir("/")
        .process_group(0)
        .stdin(input(spec.stdin.as_deref())?);
    let (out, their_out) = Output::new(spec.detach)?;
    let (err, their_err) = Output::new(spec.detach)?;
    let child = command.stdout(their_out).stderr(their_err).spawn()?;
    Ok(Run {
        child: Some(child),
        status: None,
        group_left: true,
        detach: spec.detach,
        cancel,
        output: [out, err],
    })
}

fn input(text: Option<&str>) -> io::Result<Stdio> {
    let Some(text) = text else {
        return Ok(Stdio::null());
    };
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// A child that was started.
struct Run {
    /// Taken when somebody else waits for it.
    child: Option<Child>,
    /// How it ended; then it is reaped.
    status: Option<ExitStatus>,
    /// Whether its group had a member when it was looked at last.
    group_left: bool,
    detach: bool,
    cancel: Cancel,
    output: [Output; 2],
}

impl Run {
    fn finish(mut self, cancel: &Cancel, deadline: Instant) -> (ScriptOutcome, [Captured; 2]) {
        let stopped = self.attend(Some(cancel), deadline, |run| run.status.is_some());
        if !self.detach || stopped == Some(ScriptOutcome::TimedOut) {
            if stopped.is_none() {
                let until = Instant::now() + LINGER_LIMIT;
                self.attend(Some(cancel), until, Run::output_closed);
            }
            self.kill();
        }
        let own = self.status.map_or(ScriptOutcome::Cancelled, outcome);
        let output = std::mem::take(&mut self.output);
        (stopped.unwrap_or(own), output.map(Output::into_captured))
    }

    /// Kills the group, and the child itself in case it moved to another group, and reads what is left in the pipes. Failures
    /// mean that nobody is left to kill, or that it is not ours to kill.
    fn kill(&mut self) {
        let Some(pid) = self.child.as_ref().map(Pid::from_child) else {
            return;
        };
        if self.group_left {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        if self.status.is_none() {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.attend(None, Instant::now() + KILL_LIMIT, |run| {
            run.status.is_some()
        });
        self.attend(None, Instant::now() + AFTER_KILL_LIMIT, Run::output_closed);
    }

    fn output_closed(&self) -> bool {
        self.output.iter().all(|output| output.pipe.is_none())
    }

    /// Reads output until `done` says so, a cancel comes or the deadline passes, whichever is first: says which of the last two it was.
    fn attend(
        &mut self,
        cancel: Option<&Cancel>,
        deadline: Instant,
        done: fn(&Run) -> bool,
    ) -> Option<ScriptOutcome> {
        loop {
            if done(self) {
                return None;
            }
            if cancel.is_some_and(Cancel::is_cancelled) {
                return Some(ScriptOutcome::Cancelled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(ScriptOutcome::TimedOut);
            }
            let slice = left.min(SLICE);
            if self.output_closed() {
                self.wait(slice);
            } else {
                Output::read_any(&mut self.output, slice);
                self.wait(Duration::ZERO);
            }
        }
    }

    /// Waits for the exit and reaps the child then.
    fn wait(&mut self, slice: Duration) {
        let Some(child) = self.child.as_mut().filter(|_| self.status.is_none()) else {
            return;
        };
        let waited = if slice.is_zero() {
            child.try_wait()
        } else {
            child.wait_timeout(slice)
        };
        match waited {
            Ok(None) => {}
            Ok(Some(status)) => {
                self.status = Some(status);
                self.group_left = test_kill_process_group(Pid::from_child(child)).is_ok();
            }
            // A lack of descriptors; the next slice may have them.
            Err(_) => thread::sleep(slice),
        }
    }
}

impl Drop for Run {
    /// Nobody waits any more. A child that still runs is detached, stuck in the kernel, or came too late: then it is ended,
    /// unless it is a detached one and the reason was a cancel. Whoever is left is reaped whenever it ends.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take().filter(|_| self.status.is_none()) else {
            return;
        };
        if !(self.detach && self.cancel.is_cancelled()) {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        // Without a thread it stays a zombie until this program ends.
        let _ = thread::Builder::new()
            .name("child".into())
            .stack_size(bounded::STACK_BYTES)
            .spawn(move || child.wait());
    }
}

fn outcome(status: ExitStatus) -> ScriptOutcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => ScriptOutcome::Exited(code),
        (None, signal) => ScriptOutcome::Signalled(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests;
