//! A made-up host: a namespace, a folder with all that a daemon finds on a real one, and a power supply.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::system::{signal_all, within};

/// When a daemon that ended is started again, as its unit says.
const RESTART: Duration = Duration::from_millis(500);
/// How long a daemon may take until it attends to signals, on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(2);
/// What a daemon ends with whose name is another machine's.
const EXIT_NAME_TAKEN: i32 = 2;
/// What is changed in a file that is reloaded: lines of it, and what stands there then.
const CHANGES: [(&str, &str); 7] = [
    (
        "check_interval_sec: 1\n",
        "check_interval_sec: 1\ndry_run: true\n",
    ),
    (
        "check_interval_sec: 1\n",
        "check_interval_sec: 1\nwindows: {deny: [\"* 00:00-24:00\"]}\n",
    ),
    ("lock_ttl_sec: 4\n", "lock_ttl_sec: 7\n"),
    ("etcd_timeout_sec: 1.5\n", "etcd_timeout_sec: 0.8\n"),
    ("reboot_timeout_sec: 6\n", "reboot_timeout_sec: 9\n"),
    ("backoff_max_sec: 1.5\n", "backoff_max_sec: 1\n"),
    ("timeout_sec: 3}", "timeout_sec: 4}"),
];
/// How long a shutdown waits for a daemon after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_millis(1500);

pub(crate) struct Host {
    /// Its namespace, too.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) round: Round,
    pub(crate) boot_id: String,
    daemon_program: PathBuf,
    log: PathBuf,
    power: Power,
    daemon: Option<Child>,
    /// Somebody sent the daemon a signal that ends it.
    told: bool,
    restart_at: Instant,
    rng: Rng,
    /// The next boot takes longer than the TTL.
    pub(crate) long_boot: bool,
    /// After the next boot it is ill for this long.
    pub(crate) ill_for: Option<Duration>,
    ill_until: Option<Instant>,
    /// Another machine has its name.
    pub(crate) copied: bool,
    /// The ids of all its boots.
    pub(crate) boots: Vec<String>,
    config: String,
    started: Instant,
    /// The daemon does not know yet that its file is another one.
    untold: bool,
    /// Another machine had its name once.
    pub(crate) was_copied: bool,
}

/// What becomes of this host in the round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    /// A reboot will be needed then.
    needs_at: Option<Instant>,
    /// A reboot is needed, and its marker is there.
    pub(crate) needs: bool,
    /// Its next asked-for reboot does not remove the marker.
    pub(crate) stubborn: bool,
    pub(crate) reboots: usize,
}

enum Power {
    On,
    /// Goes down, and the daemon was told to end.
    Stopping(Instant),
    Off(Instant),
}

impl Host {
    pub(crate) fn create(
        folder: &Path,
        name: &str,
        daemon: &Path,
        config: &str,
        scripts: &[(&str, String)],
        rng: Rng,
    ) -> io::Result<Host> {
        let own = folder.join(name);
        DirBuilder::new().mode(0o700).create(&own)?;
        for (script, text) in scripts {
            let mut file = OpenOptions::new();
            let file = file.write(true).create_new(true).mode(0o700);
            file.open(own.join(script))?.write_all(text.as_bytes())?;
        }
        fs::write(own.join("config.yaml"), config)?;
        Ok(Host {
            name: name.to_owned(),
            log: own.join("daemon.log"),
            folder: own,
            round: Round::default(),
            boot_id: String::new(),
            daemon_program: daemon.to_path_buf(),
            power: Power::Off(Instant::now()),
            daemon: None,
            told: false,
            restart_at: Instant::now(),
            rng,
            long_boot: false,
            ill_for: None,
            ill_until: None,
            copied: false,
            boots: Vec::new(),
            config: config.to_owned(),
            started: Instant::now(),
            untold: false,
            was_copied: false,
        })
    }

    pub(crate) fn is_on(&self) -> bool {
        matches!(self.power, Power::On)
    }

    /// Begins a round: a package that wants a reboot will be installed.
    pub(crate) fn need_reboot_at(&mut self, at: Instant, stubborn: bool) {
        self.round = Round {
            needs_at: Some(at),
            needs: false,
            stubborn,
            reboots: 0,
        };
    }

    /// Whether there is nothing left to do for this round.
    pub(crate) fn is_done(&self) -> bool {
        self.round.needs_at.is_none() && (!self.round.needs || self.round.reboots > 0)
    }

    /// Whether nothing will ask for a reboot within this time.
    pub(crate) fn needs_nothing_until(&self, until: Instant) -> bool {
        !self.round.needs && self.round.needs_at.is_none_or(|at| at > until)
    }

    fn need_reboot(&mut self, ledger: &Ledger) -> io::Result<()> {
        self.round.needs_at = None;
        self.round.needs = true;
        ledger.line(&format!("{} need {}", self.name, self.boot_id))?;
        fs::write(self.folder.join("required"), "")
    }

    /// Nothing asks for a reboot any more.
    pub(crate) fn clear(&mut self, ledger: &Ledger) -> io::Result<()> {
        self.round.needs = false;
        remove(&self.folder.join("required"))?;
        ledger.line(&format!("{} cleared {}", self.name, self.boot_id))
    }

    /// What the next reboot command or drain hook does, such as `fail`.
    pub(crate) fn arm(&self, script: &str, mode: &str) -> io::Result<()> {
        fs::write(
            self.folder.join(format!("mode-{script}")),
            format!("{mode}\n"),
        )
    }

    /// The reboot command of boot `boot` asks for a reboot.
    pub(crate) fn asked(&mut self, boot: &str, ledger: &Ledger) -> io::Result<()> {
        if !self.is_on() || boot != self.boot_id {
            return Ok(());
        }
        self.round.reboots += 1;
        ledger.line(&format!("{} down {boot} asked", self.name))?;
        if self.rng.chance(50) {
            self.tell(Signal::TERM, Instant::now());
            self.power = Power::Stopping(Instant::now() + STOP_LIMIT);
            return Ok(());
        }
        self.cut_power()
    }

    /// The host loses its power.
    pub(crate) fn lose_power(&mut self, ledger: &Ledger) -> io::Result<()> {
        // Then this was its reboot, and the marker goes.
        self.round.stubborn = false;
        ledger.line(&format!("{} down {} lost-power", self.name, self.boot_id))?;
        self.cut_power()
    }

    fn cut_power(&mut self) -> io::Result<()> {
        // One that has just been started is not in the namespace yet, by which it would be found.
        if let Some(daemon) = &mut self.daemon {
            daemon.kill()?;
        }
        // Until nothing is found: a process may start another one meanwhile.
        while signal_all(&self.name, Signal::KILL)? > 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait()?;
        }
        let long = std::mem::take(&mut self.long_boot) || self.rng.chance(5);
        let (from, to) = if long { (4.5, 7.0) } else { (0.2, 1.5) };
        self.power = Power::Off(Instant::now() + self.rng.seconds(from, to));
        Ok(())
    }

    /// Sends the daemon a signal that ends it, and keeps it down until `restart_at`.
    pub(crate) fn tell(&mut self, signal: Signal, restart_at: Instant) {
        self.told = true;
        self.restart_at = restart_at;
        self.signal(signal);
        // A stopped process attends to SIGTERM only when it goes on.
        self.signal(Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(daemon) = &self.daemon {
            // It may have ended; it has not been waited for, so the id is still its own.
            let _ = kill_process(Pid::from_child(daemon), signal);
        }
    }

    /// Its configuration is another one, drawn by a number, or the first one again, and its daemon is told.
    pub(crate) fn reload(&mut self, draw: Option<usize>) -> io::Result<()> {
        let change = draw.map(|draw| CHANGES[draw % CHANGES.len()]);
        let text = match change {
            Some((from, to)) => self.config.replace(from, to),
            None => self.config.clone(),
        };
        // In one step: a daemon that starts just now would find half of it.
        let new = self.folder.join("config.yaml.new");
        fs::write(&new, text)?;
        fs::rename(new, self.folder.join("config.yaml"))?;
        self.untold = true;
        Ok(())
    }

    /// It is switched off for good.
    pub(crate) fn retire(&mut self, ledger: &Ledger) -> io::Result<()> {
        self.cut_power()?;
        ledger.line(&format!("{} retired {}", self.name, self.boot_id))
    }

    /// Removes everything from the run folder, also under a running daemon.
    pub(crate) fn wipe(&self) -> io::Result<()> {
        let run = self.folder.join("run");
        let Ok(entries) = fs::read_dir(run) else {
            return Ok(());
        };
        for entry in entries {
            remove(&entry?.path())?;
        }
        Ok(())
    }

    /// Lets time pass.
    pub(crate) fn look(&mut self, now: Instant, ledger: &Ledger) -> io::Result<()> {
        match self.power {
            Power::On => {
                if self.round.needs_at.is_some_and(|at| at <= now) {
                    self.need_reboot(ledger)?;
                }
                self.look_after_daemon(now, ledger)?;
            }
            Power::Stopping(limit) => {
                let ended = match &mut self.daemon {
                    Some(daemon) => daemon.try_wait()?.is_some(),
                    None => true,
                };
                if ended || limit <= now {
                    self.cut_power()?;
                }
            }
            Power::Off(until) if until <= now => self.boot(now, ledger)?,
            Power::Off(_) => {}
        }
        if self.ill_until.is_some_and(|until| until <= now) {
            self.ill_until = None;
            remove(&self.folder.join("ill"))?;
        }
        Ok(())
    }

    fn look_after_daemon(&mut self, now: Instant, ledger: &Ledger) -> io::Result<()> {
        if let Some(daemon) = &mut self.daemon
            && let Some(status) = daemon.try_wait()?
        {
            self.daemon = None;
            // Two machines with one name: the program ends with that exit code, and is started again.
            let refuses = self.was_copied && status.code() == Some(EXIT_NAME_TAKEN);
            if refuses {
                self.restart_at = now + RESTART;
            } else if !std::mem::take(&mut self.told) {
                let how = status.to_string().replace(' ', "-");
                ledger.line(&format!("{} died {} {how}", self.name, self.boot_id))?;
                self.restart_at = now + RESTART;
            }
        }
        if self.daemon.is_none() && self.restart_at <= now {
            self.start_daemon()?;
        }
        // One that has just begun would die of a signal that it does not attend to yet.
        if self.untold && self.started + STARTS_WITHIN <= now {
            self.untold = false;
            self.signal(Signal::HUP);
        }
        Ok(())
    }

    fn boot(&mut self, now: Instant, ledger: &Ledger) -> io::Result<()> {
        // Of the shape of a boot id, and another one each time.
        self.boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid")?
            .trim()
            .to_owned();
        fs::write(self.folder.join("boot_id"), format!("{}\n", self.boot_id))?;
        self.wipe()?;
        for name in ["mode-reboot", "mode-drain", "ill"] {
            remove(&self.folder.join(name))?;
        }
        if let Some(time) = self.ill_for.take() {
            fs::write(self.folder.join("ill"), "")?;
            self.ill_until = Some(now + time);
        }
        let marker = if self.round.needs && self.round.stubborn {
            " needed"
        } else {
            self.round.needs = false;
            remove(&self.folder.join("required"))?;
            ""
        };
        self.boots.push(self.boot_id.clone());
        ledger.line(&format!("{} boot {}{marker}", self.name, self.boot_id))?;
        self.power = Power::On;
        self.start_daemon()
    }

    fn start_daemon(&mut self) -> io::Result<()> {
        let log = File::options().append(true).create(true).open(&self.log)?;
        let daemon = within(&self.name, &self.daemon_program)
            .arg("run")
            .arg("--config")
            .arg(self.folder.join("config.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.daemon = Some(daemon);
        self.told = false;
        self.started = Instant::now();
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
