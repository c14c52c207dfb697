//! What systemd is told (sd_notify): ready, the state in words, still alive, reloading, stopping.
//!
//! Messages go to the datagram socket named in `NOTIFY_SOCKET`. Without one, nothing is done. A message that cannot be sent is
//! lost: nothing here may stop the daemon from its work.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::core::View;
use crate::escape::is_hidden;

/// How long a full socket of the service manager is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// The length of a status, which `systemctl status` shows on one line.
const STATUS_CHARS: usize = 300;

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    pub socket: Option<std::ffi::OsString>,
    /// `WATCHDOG_USEC`.
    pub watchdog_usec: Option<String>,
    /// `WATCHDOG_PID`: the process it is meant for, when not for whoever reads it.
    pub watchdog_pid: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Environment {
        let text = |name| std::env::var(name).ok();
        Environment {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog_usec: text("WATCHDOG_USEC"),
            watchdog_pid: text("WATCHDOG_PID"),
        }
    }

    /// How often a sign of life is sent: twice in the time that systemd waits for one.
    fn watchdog(&self, pid: u32) -> Option<Duration> {
        if let Some(meant) = &self.watchdog_pid
            && meant.parse() != Ok(pid)
        {
            return None;
        }
        let micros: u64 = self.watchdog_usec.as_ref()?.parse().ok()?;
        (micros > 1).then(|| Duration::from_micros(micros / 2))
    }
}

/// The way to the service manager, and what it knows already.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    status: String,
    is_ready: bool,
    is_stopping: bool,
    /// How often a sign of life is sent, and when the next one is due.
    watchdog: Option<(Duration, Duration)>,
}

impl Notify {
    /// Without a socket, or with one that cannot be used, a [`Notify`] that does nothing.
    pub fn new(environment: &Environment, pid: u32) -> Notify {
        let name = environment.socket.as_deref();
        let connected = name.filter(|name| !name.is_empty()).map(|name| {
            connect(name).inspect_err(|error| {
                log::warn!(event = "no_notify"; "systemd cannot be notified through {}: {error}", name.display());
            })
        });
        let Some(Ok(socket)) = connected else {
            return Notify::default();
        };
        let every = environment.watchdog(pid);
        Notify {
            socket: Some(socket),
            watchdog: every.map(|every| (every, Duration::ZERO)),
            ..Notify::default()
        }
    }

    /// The machine has come to rest in a state. `is_ready` once it has done what a start is for.
    pub fn rests(&mut self, view: &View, is_ready: bool) {
        if self.socket.is_none() || self.is_stopping {
            return;
        }
        // Every pass goes through this state and back; to say so would wake systemd up for nothing.
        let is_routine = view.state == "checking" && self.is_ready;
        let status = words(view);
        if !is_routine && status != self.status {
            self.send(&format!("STATUS={status}"));
            self.status = status;
        }
        if is_ready && !self.is_ready {
            self.is_ready = true;
            self.send("READY=1");
        }
    }

    /// The main loop has come round. Nothing else may call this: that it is called is the sign of life.
    pub fn turns(&mut self, now: Duration) {
        if let Some((every, due)) = &mut self.watchdog
            && now >= *due
        {
            *due = now + *every;
            self.send("WATCHDOG=1");
        }
    }

    /// When the main loop has to come round again, if it matters to anyone.
    pub fn due(&self) -> Option<Duration> {
        self.watchdog.map(|(_, due)| due)
    }

    /// A reload begins. `monotonic` is the kernel's CLOCK_MONOTONIC, by which systemd knows which reload is meant.
    pub fn reloading(&self, monotonic: Duration) {
        if self.is_ready {
            let micros = monotonic.as_micros();
            self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        }
    }

    /// The reload has been accepted or refused; either way the daemon works.
    pub fn reloaded(&self) {
        if self.is_ready {
            self.send("READY=1");
        }
    }

    /// The end has begun.
    pub fn stopping(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.send("STOPPING=1\nSTATUS=stopping");
        }
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let bytes = name.as_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The state in words, on one line.
pub fn words(view: &View) -> String {
    let mut text = view.state.to_owned();
    if let Some((ahead, more)) = view.ahead {
        let more = if more { " or more" } else { "" };
        text.push_str(&format!(", {ahead}{more} before this node"));
    }
    if let Some(refusal) = &view.refusal {
        text.push_str(&format!(": {}", refusal.text()));
    }
    let printable = |c: char| if is_hidden(c) { ' ' } else { c };
    text.chars().map(printable).take(STATUS_CHARS).collect()
}

#[cfg(test)]
mod tests;
