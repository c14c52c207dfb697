//! A made-up host: a folder with all that a daemon finds on a real one, and its power supply.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::LOCK_KEY;

/// How long a daemon may take after SIGTERM before it is killed. It promises to end within a second.
const STOP_LIMIT: Duration = Duration::from_millis(1500);

/// What all hosts have in common.
pub(crate) struct Plant {
    /// The coordinator's binary.
    pub(crate) daemon: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) limit: usize,
    /// The FIFO into which a host's reboot command writes the host's name.
    pub(crate) power: PathBuf,
    /// From the end of the daemon to its next start.
    pub(crate) boot: Duration,
}

/// A made-up host.
pub(crate) struct Host {
    pub(crate) name: String,
    folder: PathBuf,
    power: Power,
    /// It goes down and stays down.
    pub(crate) fails: bool,
    /// Its next boot is one of the old kernel, so that it still needs a reboot.
    pub(crate) old_kernel: bool,
    /// Each time it was down: from the order to end the daemon to the start of the next daemon.
    pub(crate) outages: Vec<(Instant, Option<Instant>)>,
}

enum Power {
    On(Child),
    /// The daemon was told to end, as a shutdown does.
    Stopping(Child, Instant),
    /// Off until then; for ever when `None`.
    Off(Option<Instant>),
}

/// What a look at a host found.
pub(crate) enum Change {
    /// The daemon is started again.
    Booted,
    /// The time in which it would have come back is over.
    StaysDown,
    /// The daemon ended by itself.
    Died(String),
}

impl Host {
    /// Makes the folder. Nothing runs yet. `metrics` is the port of its page and metrics, `way` what its configuration says of the
    /// way to etcd.
    pub(crate) fn new(
        plant: &Plant,
        parent: &Path,
        name: &str,
        metrics: Option<u16>,
        way: &str,
    ) -> io::Result<Host> {
        let host = Host {
            name: name.to_owned(),
            folder: parent.join(name),
            power: Power::Off(None),
            fails: false,
            old_kernel: false,
            outages: Vec::new(),
        };
        DirBuilder::new().mode(0o700).create(&host.folder)?;
        host.script("health", "[ ! -e \"${0%/*}/sick\" ]\n")?;
        // Opened for reading too, so that it never waits for a reader.
        let ask = format!("echo {name} 1<> {}\n", sh_quoted(&plant.power));
        host.script("shutdown", &ask)?;
        let mut config = host.config(plant) + way;
        if let Some(port) = metrics {
            config += &format!("metrics: {{enabled: true, listen: \"127.0.0.1:{port}\"}}\n");
        }
        fs::write(host.config_file(), config)?;
        Ok(host)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// A package that wants a reboot was installed.
    pub(crate) fn require_reboot(&self) -> io::Result<()> {
        fs::write(self.marker(), "")
    }

    /// Starts the daemon as after a boot: with a new boot id, and without the marker.
    pub(crate) fn boot(&mut self, plant: &Plant) -> io::Result<()> {
        // Of the shape of a boot id, and another one each time.
        let boot_id = fs::read("/proc/sys/kernel/random/uuid")?;
        fs::write(self.folder.join("boot_id"), boot_id)?;
        let old_kernel = !self.outages.is_empty() && std::mem::take(&mut self.old_kernel);
        if !old_kernel {
            match fs::remove_file(self.marker()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_file())?;
        let mut command = dying_with_us(&plant.daemon);
        command
            .arg("run")
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for the demo, which shuts the hosts down.
            .process_group(0);
        self.power = Power::On(command.spawn()?);
        if let Some((_, back)) = self.outages.last_mut() {
            *back = Some(Instant::now());
        }
        Ok(())
    }

    /// Begins to go down, as a shutdown does.
    pub(crate) fn shut_down(&mut self) {
        self.power = match std::mem::replace(&mut self.power, Power::Off(None)) {
            Power::On(child) => {
                self.outages.push((Instant::now(), None));
                terminate(&child);
                Power::Stopping(child, Instant::now() + STOP_LIMIT)
            }
            other @ (Power::Stopping(..) | Power::Off(_)) => other,
        };
    }

    /// Lets time pass.
    pub(crate) fn look(&mut self, plant: &Plant) -> io::Result<Option<Change>> {
        let now = Instant::now();
        match &mut self.power {
            Power::On(child) => {
                let ended = child.try_wait()?;
                Ok(ended.map(|status| Change::Died(status.to_string())))
            }
            Power::Stopping(child, kill_at) => {
                if child.try_wait()?.is_some() {
                    self.power = Power::Off(Some(now + plant.boot));
                } else if *kill_at <= now {
                    child.kill()?;
                }
                Ok(None)
            }
            Power::Off(Some(until)) if *until <= now => {
                if self.fails {
                    self.power = Power::Off(None);
                    return Ok(Some(Change::StaysDown));
                }
                self.boot(plant)?;
                Ok(Some(Change::Booted))
            }
            Power::Off(_) => Ok(None),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.power, Power::On(_))
    }

    /// Tells the daemon to end; dropping the host waits for it.
    pub(crate) fn end(&self) {
        if let Power::On(child) = &self.power {
            terminate(child);
        }
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("reboot-required")
    }

    fn script(&self, name: &str, body: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(self.folder.join(name))?;
        file.write_all(format!("#!/bin/sh\n{body}").as_bytes())
    }

    fn config(&self, plant: &Plant) -> String {
        let path = |name: &str| yaml_quoted(&self.folder.join(name));
        format!(
            "node_name: {name}\n\
             node_id: machine-of-{name}\n\
             reboot_required_detectors:\n\
             \x20 - type: file\n\
             \x20   name: reboot-required\n\
             \x20   path: {marker}\n\
             health_script: {health}\n\
             health_timeout_sec: 3\n\
             check_interval_sec: 1\n\
             backoff_min_sec: 1\n\
             backoff_max_sec: 2\n\
             max_concurrent_reboots: {limit}\n\
             lock_key: {LOCK_KEY}\n\
             lock_ttl_sec: 10\n\
             etcd_endpoints: [\"{endpoint}\"]\n\
             reboot_command: [{shutdown}]\n\
             reboot_timeout_sec: 60\n\
             kill_switch_file: {disable}\n\
             run_dir: {run}\n\
             boot_id_file: {boot_id}\n\
             log:\n\
             \x20 format: json\n",
            name = self.name,
            marker = path("reboot-required"),
            health = path("health"),
            limit = plant.limit,
            endpoint = plant.endpoint,
            shutdown = path("shutdown"),
            disable = path("disable"),
            run = path("run"),
            boot_id = path("boot_id"),
        )
    }
}

/// No daemon outlives its host.
impl Drop for Host {
    fn drop(&mut self) {
        let (Power::On(child) | Power::Stopping(child, _)) = &mut self.power else {
            return;
        };
        terminate(child);
        let kill_at = Instant::now() + STOP_LIMIT;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < kill_at {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn terminate(child: &Child) {
    // It may have ended already; it has not been reaped, so its id is still its own.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// The program, killed by the kernel when the thread that starts it is gone, where `setpriv` can arrange that.
fn dying_with_us(program: &Path) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let setpriv = *SETPRIV.get_or_init(|| {
        let help = Command::new("setpriv").arg("--help").output();
        help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--pdeathsig"))
    });
    if !setpriv {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// YAML understands JSON's strings.
pub(crate) fn yaml_quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

fn sh_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}
