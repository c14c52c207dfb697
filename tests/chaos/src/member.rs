//! One etcd member in its namespace, with a small disk of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::network::{Network, member_address};
use crate::system::{run, within};

pub(crate) const MEMBERS: usize = 3;
/// Two write-ahead segments of 64 MB, laid out in advance, and some room.
const DISK: &str = "192m";
/// How long a member with a slow disk works between two writes.
const BETWEEN_WRITES: Duration = Duration::from_millis(150);
/// When a member that ended is started again, as its service manager would.
const RESTART: Duration = Duration::from_millis(300);

pub(crate) struct Member {
    /// Its namespace, too.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    program: PathBuf,
    arguments: Vec<String>,
    disk: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// A fault keeps it down until then.
    restart_at: Instant,
    /// How often it ended without having been told to.
    pub(crate) failures: usize,
    told: bool,
    /// Its disk is slow: how long each write takes, and when it goes on or is stopped next.
    slow: Option<(Duration, Instant)>,
    stopped: bool,
}

impl Member {
    pub(crate) fn create(
        network: &Network,
        index: usize,
        program: &Path,
        folder: &Path,
    ) -> io::Result<Member> {
        let name = format!("m{index}");
        network.join(&name, &member_address(index))?;
        let disk = folder.join(&name);
        fs::create_dir(&disk)?;
        run(&format!(
            "mount -t tmpfs -o size={DISK} chaos {}",
            disk.display()
        ))?;
        let address = member_address(index);
        let everyone: Vec<String> = (0..MEMBERS)
            .map(|other| format!("m{other}=http://{}:2380", member_address(other)))
            .collect();
        let arguments = vec![
            format!("--name={name}"),
            format!("--data-dir={}", disk.join("data").display()),
            format!("--listen-client-urls=http://{address}:2379"),
            format!("--advertise-client-urls=http://{address}:2379"),
            format!("--listen-peer-urls=http://{address}:2380"),
            format!("--initial-advertise-peer-urls=http://{address}:2380"),
            format!("--initial-cluster={}", everyone.join(",")),
        ];
        let mut member = Member {
            address: format!("{address}:2379")
                .parse()
                .map_err(io::Error::other)?,
            log: folder.join(format!("{name}.log")),
            program: program.to_path_buf(),
            arguments,
            disk,
            child: None,
            restart_at: Instant::now(),
            failures: 0,
            told: false,
            slow: None,
            stopped: false,
            name,
        };
        member.start()?;
        Ok(member)
    }

    fn start(&mut self) -> io::Result<()> {
        let log = File::options().append(true).create(true).open(&self.log)?;
        let child = within(&self.name, &self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        self.told = false;
        Ok(())
    }

    /// Collects a member that ended, and starts it again in time.
    pub(crate) fn look(&mut self, now: Instant) -> io::Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None;
            self.failures += usize::from(!self.told);
            self.restart_at = self.restart_at.max(now + RESTART);
        }
        if self.child.is_none() && self.restart_at <= now {
            self.start()?;
        }
        if let Some((takes, at)) = self.slow
            && at <= now
        {
            self.stopped = !self.stopped;
            let (signal, pause) = match self.stopped {
                true => (Signal::STOP, takes),
                false => (Signal::CONT, BETWEEN_WRITES),
            };
            self.signal(signal);
            self.slow = Some((takes, now + pause));
        }
        Ok(())
    }

    /// From now on whatever it is asked waits for its disk for this long, or no more.
    pub(crate) fn slow_disk(&mut self, takes: Option<Duration>) {
        self.slow = takes.map(|takes| (takes, Instant::now()));
        self.stopped = false;
        self.signal(Signal::CONT);
    }

    /// Sends a signal that ends it, and keeps it down until `restart_at`.
    pub(crate) fn end(&mut self, signal: Signal, restart_at: Instant) {
        self.restart_at = restart_at;
        self.told = true;
        self.signal(signal);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may have ended; it has not been waited for, so the id is still its own.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Fills its disk to the last byte.
    pub(crate) fn fill_disk(&self) -> io::Result<()> {
        let mut ballast = File::create(self.disk.join("ballast"))?;
        let block = vec![0_u8; 1 << 16];
        let mut size = block.len();
        while size > 0 {
            match ballast.write(&block[..size]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn free_disk(&self) -> io::Result<()> {
        fs::remove_file(self.disk.join("ballast"))
    }
}
