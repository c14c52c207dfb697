//! The run itself, in namespaces of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::EXIT_INTERRUPTED;
use crate::etcd;
use crate::host::Host;
use crate::ledger::{LOCK_KEY, Ledger, PREFIX};
use crate::member::{MEMBERS, Member};
use crate::network::{Network, host_address};
use crate::observer::{Observer, stamp};
use crate::options::{Options, Planted};
use crate::plan::{Faults, Settings};
use crate::report;
use crate::rng::Rng;
use crate::run::{Active, Progress, Run, make_host};
use crate::system::{run as command, uptime};

/// Between two looks at everything.
const STEP: Duration = Duration::from_millis(10);
/// How long the members and the daemons may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const ONE_REQUEST: Duration = Duration::from_secs(3);
/// A command that fails and reboots all the same does so within this time or not at all: the daemon waits for 0.6 s. On a busy
/// machine the run itself may be late.
const FAILING_LIMIT_SEC: f64 = 0.3;

/// How long a daemon stays away that is killed in the middle of its attempt.
const DEAD: Duration = Duration::from_millis(300);

/// Runs, judges, and tells.
pub(crate) fn run(options: &Options, folder: &Path) -> io::Result<ExitCode> {
    let stop = stop_with_standard_input()?;
    command("mount -t tmpfs chaos /run")?;
    let mut run = Run::set_up(options, folder, stop)?;
    run.start()?;
    run.rounds()?;
    let interrupted = run.stop.load(Ordering::Relaxed);
    run.finish(interrupted)?;
    let failures: usize = run.members.iter().map(|member| member.failures).sum();
    println!("\nmembers that ended by themselves (full disks do that): {failures}");
    let code = report::judge(folder)?;
    match interrupted {
        true => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        false => Ok(code),
    }
}

impl Run {
    fn set_up(options: &Options, folder: &Path, stop: Arc<AtomicBool>) -> io::Result<Run> {
        let settings = Settings::draw(options.seed);
        let versions = etcd_test_server::versions();
        let version = &versions[settings.version % versions.len()];
        report::announce(options, &settings, version);
        let own = std::env::current_exe()?;
        let daemon = own.with_file_name("reboot-coordinator");
        let network = Network::create()?;
        let members = (0..MEMBERS)
            .map(|index| Member::create(&network, index, &version.etcd, folder))
            .collect::<io::Result<Vec<Member>>>()?;
        let names: Vec<String> = (1..=options.nodes).map(|n| format!("n{n}")).collect();
        let ledger = Ledger::create(&folder.join("ledger"), &settings, &names)?;
        let power = listen(&folder.join("power"))?;
        let mut hosts = Vec::new();
        for (index, name) in names.iter().enumerate() {
            network.join(name, &host_address(index))?;
            let host = make_host(options, &settings, folder, &daemon, index, (name, name))?;
            hosts.push(host);
        }
        let addresses = members.iter().map(|member| member.address).collect();
        Ok(Run {
            observer: Observer::start(addresses)?,
            faults: Faults::new(options.seed, hosts.len(), MEMBERS),
            options: options.clone(),
            settings,
            folder: folder.to_path_buf(),
            daemon,
            ledger,
            network,
            members,
            hosts,
            copies: Vec::new(),
            active: Vec::new(),
            struck: 0,
            jobs: Vec::new(),
            operator: None,
            power,
            going: Vec::new(),
            rng: Rng::new(options.seed, 3),
            stop,
            begun: Instant::now(),
            shown: Progress::new(),
            planted: false,
            quiet_since: None,
            given_up: false,
        })
    }

    /// Waits until etcd answers and every daemon has registered.
    fn start(&mut self) -> io::Result<()> {
        let limit = Instant::now() + START_LIMIT;
        let nodes = format!("{LOCK_KEY}/nodes/");
        loop {
            let found = etcd::range(self.members[0].address, &nodes, ONE_REQUEST);
            match found {
                Ok(pairs) if pairs.len() == self.hosts.len() => break,
                Ok(_) | Err(_) if Instant::now() < limit => self.step(STEP * 5)?,
                Ok(pairs) => {
                    let why = format!("only {} daemons registered in time", pairs.len());
                    return Err(io::Error::other(why));
                }
                Err(error) => return Err(error),
            }
        }
        self.begun = Instant::now();
        Ok(())
    }

    /// Lets things happen for a while.
    pub(crate) fn step(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            self.attend_power(now)?;
            for member in &mut self.members {
                member.look(now)?;
            }
            for host in self.hosts.iter_mut().chain(&mut self.copies) {
                host.look(now, &self.ledger)?;
            }
            self.lift_what_is_over(now)?;
            if now >= until {
                return Ok(());
            }
            thread::sleep(STEP.min(until - now));
        }
    }

    fn attend_power(&mut self, now: Instant) -> io::Result<()> {
        for line in self.power.try_iter() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (name, boot, mode, since) = (word(), word(), word(), word());
            let age = uptime() - since.parse().unwrap_or(0.0);
            if mode == "failing" && age > FAILING_LIMIT_SEC {
                continue;
            }
            let delay = match mode.as_str() {
                "slow" | "slow-dying" => self.rng.seconds(1.0, 3.0),
                _ => Duration::ZERO,
            };
            let mut all = self.hosts.iter_mut().chain(&mut self.copies);
            if let Some(host) = all.find(|host| host.name == name) {
                if mode.ends_with("dying") {
                    host.tell(Signal::KILL, now + DEAD);
                }
                if mode == "dying" {
                    continue;
                }
                self.going.push((now + delay, name, boot));
            }
        }
        let (due, later) = self.going.drain(..).partition(|(at, ..)| *at <= now);
        self.going = later;
        let due: Vec<(Instant, String, String)> = due;
        for (_, name, boot) in due {
            let mut all = self.hosts.iter_mut().chain(&mut self.copies);
            if let Some(host) = all.find(|host| host.name == name) {
                host.asked(&boot, &self.ledger)?;
            }
        }
        Ok(())
    }

    fn lift_what_is_over(&mut self, now: Instant) -> io::Result<()> {
        let (over, rest) = self
            .active
            .drain(..)
            .partition(|active| active.until <= now);
        self.active = rest;
        let over: Vec<Active> = over;
        for active in over {
            self.lift(&active)?;
            self.ledger.line(&format!("run fault-end {}", active.id))?;
        }
        Ok(())
    }

    /// Ends all faults now.
    pub(crate) fn calm(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for active in &mut self.active {
            active.until = now;
        }
        self.lift_what_is_over(now)
    }

    /// The last stamps of the clock, and etcd's history.
    fn finish(&mut self, interrupted: bool) -> io::Result<()> {
        self.calm()?;
        self.observer.end();
        let limit = Instant::now() + START_LIMIT;
        loop {
            let reader = self.members[0].address;
            // Two: the second one carries the answer to the first.
            let last = stamp(reader, None, ONE_REQUEST)
                .and_then(|acked| stamp(reader, Some(acked), ONE_REQUEST));
            match last.and_then(|(revision, _)| etcd::history(reader, PREFIX, revision)) {
                Ok(history) => {
                    fs::write(self.folder.join("history"), history)?;
                    break;
                }
                Err(error) if Instant::now() > limit => return Err(error),
                Err(_) => self.step(STEP * 10)?,
            }
        }
        if !interrupted {
            self.ledger.line("run end")?;
        }
        Ok(())
    }

    /// Spoils the run, when that is asked for and the moment has come.
    pub(crate) fn plant(&mut self) -> io::Result<()> {
        if self.planted {
            return Ok(());
        }
        match self.options.plant {
            Some(Planted::Rogue) => {
                let view = self.observer.view();
                let committed = |host: &Host| view.claims.contains(&(host.name.clone(), true));
                let free = |host: &&Host| host.is_on() && !committed(host);
                if let Some(host) = self.hosts.iter().rev().find(free) {
                    command(&host.folder.join("reboot").display().to_string())?;
                    self.planted = true;
                }
            }
            Some(Planted::Delete) => {
                if let Some(host) = self
                    .hosts
                    .iter()
                    .find(|h| !h.is_on() && h.round.reboots > 0)
                {
                    let claim = format!("{LOCK_KEY}/claims/{}", host.name);
                    let reader = self.members[0].address;
                    self.planted = etcd::delete(reader, &claim, ONE_REQUEST).is_ok();
                }
            }
            Some(Planted::Limit) | None => {}
        }
        Ok(())
    }
}

/// A FIFO on which reboot commands ask for a reboot.
fn listen(path: &Path) -> io::Result<Receiver<String>> {
    command(&format!("mkfifo {}", path.display()))?;
    // Opened for writing too, so that it never ends.
    let fifo = File::options().read(true).write(true).open(path)?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        for line in BufReader::new(fifo).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Standard input is a pipe from the outside: it ends when the run is to end, or when the outside is gone.
fn stop_with_standard_input() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&stop);
    thread::Builder::new().spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        shared.store(true, Ordering::Relaxed);
    })?;
    Ok(stop)
}
