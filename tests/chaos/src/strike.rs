//! How each fault strikes, and how it is lifted.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::etcd;
use crate::ledger::LOCK_KEY;
use crate::member::MEMBERS;
use crate::network::{self, Rule, Treatment, copy_address, host_address, member_address};
use crate::plan::{Fault, Kind};
use crate::run::{Active, Run, make_host};
use crate::system::signal_all;

/// What is written while a disk is full, so that the member needs it: revisions of one key, each this large.
const JUNK: usize = 400_000;
const JUNK_WRITES: usize = 6;
const ONE_REQUEST: Duration = Duration::from_secs(3);

/// How long a copy may take until it has asked etcd.
const COPY_STARTS_WITHIN: Duration = Duration::from_secs(2);

impl Run {
    /// Strikes. `false` when there is nothing to strike, such as the daemon of a host that is down.
    pub(crate) fn strike(&mut self, fault: &mut Fault, id: usize) -> io::Result<bool> {
        if let (true, Some(leader)) = (fault.leader, self.observer.view().leader) {
            fault.member = leader;
        }
        fault.hosts.sort_unstable();
        fault.hosts.dedup();
        self.only_hosts_it_can_strike(fault);
        if fault.hosts.is_empty() {
            return Ok(false);
        }
        if fault.strikes_member() {
            self.strike_member(fault, id)
        } else {
            self.strike_hosts(fault, id)
        }
    }

    fn only_hosts_it_can_strike(&self, fault: &mut Fault) {
        use Kind::{
            BackIll, Copy, DieBeforeReboot, DieDraining, DrainFails, KillDaemon, LongBoot,
            LosePower, RebootDoesNothing, RebootFails, RebootFailsAndHappens, RebootIsSlow,
            StopDaemon, StopHost, TermDaemon, WipeRun,
        };
        let on = [
            KillDaemon, TermDaemon, StopDaemon, StopHost, LosePower, WipeRun,
        ];
        let before_reboot = [
            RebootFails,
            RebootFailsAndHappens,
            RebootDoesNothing,
            RebootIsSlow,
            DrainFails,
            BackIll,
            LongBoot,
            DieBeforeReboot,
            DieDraining,
        ];
        if on.contains(&fault.kind) {
            fault.hosts.retain(|index| self.hosts[*index].is_on());
        }
        if before_reboot.contains(&fault.kind) {
            fault.hosts.retain(|index| {
                let host = &self.hosts[*index];
                host.is_on() && host.round.needs && host.round.reboots == 0
            });
        }
        // A host that has just booted, or lost what it remembers, cannot tell the claim of its copy from its own.
        if [LosePower, WipeRun, KillDaemon].contains(&fault.kind) {
            fault.hosts.retain(|index| !self.hosts[*index].copied);
        }
        if fault.kind == Copy {
            let view = self.observer.view();
            fault.hosts.retain(|index| {
                let host = &self.hosts[*index];
                let claims = view.claims.iter().any(|(node, _)| *node == host.name);
                // What is committed before the copy has asked etcd for the first time it cannot tell from its own.
                let idle = host.needs_nothing_until(Instant::now() + COPY_STARTS_WITHIN);
                host.is_on() && !host.copied && !host.round.stubborn && !claims && idle
            });
            fault.hosts.truncate(1);
        }
        if [DrainFails, DieDraining].contains(&fault.kind) && !self.settings.hooks {
            fault.hosts.clear();
        }
    }

    fn strike_hosts(&mut self, fault: &Fault, id: usize) -> io::Result<bool> {
        let restart_at = Instant::now() + fault.lasts.min(Duration::from_secs(2));
        match fault.kind {
            Kind::MoveLeader => return self.move_leader(fault),
            Kind::Copy => return self.copy_host(fault.hosts[0], fault.wipe),
            Kind::Pause => {
                self.operate(&["pause", "--reason", "chaos"]);
                return Ok(true);
            }
            _ => {}
        }
        for index in fault.hosts.iter().copied() {
            let host = &mut self.hosts[index];
            match fault.kind {
                Kind::KillDaemon => {
                    host.tell(Signal::KILL, restart_at);
                    if fault.wipe {
                        host.wipe()?;
                    }
                }
                Kind::TermDaemon => host.tell(Signal::TERM, restart_at),
                Kind::StopDaemon => host.signal(Signal::STOP),
                Kind::StopHost => drop(signal_all(&host.name, Signal::STOP)?),
                Kind::LosePower => host.lose_power(&self.ledger)?,
                Kind::WipeRun => host.wipe()?,
                Kind::SlowHost => network::slow(&host.name, 20 + fault.percent)?,
                Kind::UnplugHost => network::link(&host.name, false)?,
                Kind::RebootFails => host.arm("reboot", "fail")?,
                Kind::RebootFailsAndHappens => host.arm("reboot", "failing")?,
                Kind::RebootDoesNothing => host.arm("reboot", "nothing")?,
                Kind::RebootIsSlow => host.arm("reboot", "slow")?,
                Kind::DieBeforeReboot => host.arm("reboot", "slow-dying")?,
                Kind::DieDraining => host.arm("drain", "dying")?,
                Kind::DrainFails => host.arm("drain", "fail")?,
                Kind::BackIll => host.ill_for = Some(fault.lasts),
                Kind::LongBoot => host.long_boot = true,
                Kind::Reload => host.reload(Some(fault.percent))?,
                _ => {
                    let rule = rule_for_host(fault);
                    self.network.add(&host.name, id, rule)?;
                }
            }
        }
        Ok(true)
    }

    fn strike_member(&mut self, fault: &Fault, id: usize) -> io::Result<bool> {
        let disk = Duration::from_millis(u64::try_from(900 + 40 * fault.percent).unwrap_or(1000));
        if fault.kind == Kind::SlowDisks {
            let all = self.members.iter_mut();
            all.for_each(|member| member.slow_disk(Some(disk)));
            return Ok(true);
        }
        let member = &mut self.members[fault.member];
        let until = Instant::now() + fault.lasts;
        match fault.kind {
            Kind::KillMember => member.end(Signal::KILL, until),
            Kind::TermMember => member.end(Signal::TERM, until),
            Kind::StopMember => member.signal(Signal::STOP),
            Kind::SlowMember => network::slow(&member.name, 10 * fault.percent)?,
            Kind::UnplugMember => network::link(&member.name, false)?,
            Kind::SlowDisk => member.slow_disk(Some(disk)),
            Kind::FillDisk => {
                member.fill_disk()?;
                self.write_junk(fault.member);
            }
            _ => {
                let rule = rule_for_member(fault, self.hosts.len());
                self.network.add(&member.name, id, rule)?;
            }
        }
        Ok(true)
    }

    /// Ends a fault that lasts.
    pub(crate) fn lift(&mut self, active: &Active) -> io::Result<()> {
        let Active { id, fault, .. } = active;
        match fault.kind {
            Kind::StopDaemon => self.each_host(fault, |host| {
                host.signal(Signal::CONT);
                Ok(())
            })?,
            Kind::StopHost => {
                self.each_host(fault, |host| signal_all(&host.name, Signal::CONT).map(drop))?;
            }
            Kind::SlowHost => self.each_host(fault, |host| network::fast(&host.name))?,
            Kind::UnplugHost => self.each_host(fault, |host| network::link(&host.name, true))?,
            Kind::StopMember => self.members[fault.member].signal(Signal::CONT),
            Kind::SlowMember => network::fast(&self.members[fault.member].name)?,
            Kind::UnplugMember => network::link(&self.members[fault.member].name, true)?,
            Kind::FillDisk => self.members[fault.member].free_disk()?,
            Kind::Pause => self.operate(&["resume"]),
            Kind::SlowDisk => self.members[fault.member].slow_disk(None),
            Kind::SlowDisks => {
                let all = self.members.iter_mut();
                all.for_each(|member| member.slow_disk(None));
            }
            Kind::Reload => {
                for index in fault.hosts.iter().copied() {
                    self.hosts[index].reload(None)?;
                }
            }
            Kind::Copy => self.retire_copy(fault.hosts[0])?,
            _ => {}
        }
        for index in &fault.hosts {
            self.network.lift(&self.hosts[*index].name, *id)?;
        }
        self.network.lift(&self.members[fault.member].name, *id)
    }

    fn each_host(
        &self,
        fault: &Fault,
        mut each: impl FnMut(&crate::host::Host) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut hosts = fault.hosts.iter();
        hosts.try_for_each(|index| each(&self.hosts[*index]))
    }

    fn move_leader(&mut self, fault: &Fault) -> io::Result<bool> {
        let view = self.observer.view();
        let Some(leader) = view.leader else {
            return Ok(false);
        };
        let to = (leader + 1 + fault.percent % (MEMBERS - 1)) % MEMBERS;
        let (address, id) = (self.members[leader].address, view.ids[to].clone());
        self.jobs.push(thread::Builder::new().spawn(move || {
            // The leader may have changed meanwhile, or the other member be out.
            let _ = etcd::move_leader(address, &id, ONE_REQUEST);
        })?);
        Ok(true)
    }

    /// Another machine with the name and the machine id of this one starts, and needs a reboot.
    fn copy_host(&mut self, index: usize, needs: bool) -> io::Result<bool> {
        let original = self.hosts[index].name.clone();
        let name = format!("{original}{}", chaos_check::COPY);
        let now = Instant::now();
        self.copies.retain(|copy| copy.name != name);
        let address = copy_address(index);
        let folder = self.folder.join(&name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        } else {
            self.network.join(&name, &address)?;
        }
        let mut copy = make_host(
            &self.options,
            &self.settings,
            &self.folder,
            &self.daemon,
            index,
            (&name, &original),
        )?;
        copy.was_copied = true;
        copy.need_reboot_at(
            now + Duration::from_millis(if needs { 0 } else { 800 }),
            false,
        );
        self.hosts[index].copied = true;
        self.hosts[index].was_copied = true;
        self.copies.push(copy);
        Ok(true)
    }

    /// The copy is found and switched off. What it left is released by an operator, as the message of the other one says, and an attempt
    /// of the copy, which nobody knows the end of, is taken off the budget of the one that is left.
    fn retire_copy(&mut self, index: usize) -> io::Result<()> {
        let original = self.hosts[index].name.clone();
        let name = format!("{original}{}", chaos_check::COPY);
        let Some(place) = self.copies.iter().position(|copy| copy.name == name) else {
            return Ok(());
        };
        let mut copy = self.copies.remove(place);
        copy.retire(&self.ledger)?;
        let boots = copy.boots;
        let members: Vec<_> = self.members.iter().map(|member| member.address).collect();
        self.hosts[index].tell(Signal::TERM, Instant::now() + Duration::from_millis(500));
        self.hosts[index].copied = false;
        let claim = format!("{LOCK_KEY}/claims/{original}");
        let left = move || -> Option<bool> {
            let read = |member| etcd::range(member, &claim, ONE_REQUEST).ok();
            let pairs = members.iter().copied().find_map(read)?;
            let its_own = |value: &str| boots.iter().any(|boot| value.contains(boot.as_str()));
            Some(
                pairs
                    .iter()
                    .any(|pair| pair.key == claim && its_own(&pair.value)),
            )
        };
        self.operate_when(
            left,
            &[
                "release",
                &original,
                "--yes",
                "--reason",
                "a copy of the machine",
            ],
        );
        self.operate(&[
            "reset-budget",
            &original,
            "--reason",
            "a copy of the machine had its turn",
        ]);
        Ok(())
    }

    /// Makes the members write, through those whose disks are not full.
    fn write_junk(&mut self, full: usize) {
        let addresses = (0..MEMBERS).filter(|index| *index != full);
        let addresses: Vec<_> = addresses.map(|i| self.members[i].address).collect();
        let job = thread::Builder::new().spawn(move || {
            let junk = "x".repeat(JUNK);
            for turn in 0..JUNK_WRITES {
                let address = addresses[turn % addresses.len()];
                // Without a majority there is none.
                let _ = etcd::put(address, "/junk", &junk, ONE_REQUEST);
            }
        });
        self.jobs.extend(job);
    }

    /// An operator's command, repeated until it succeeds: an operator would, too.
    fn operate(&mut self, arguments: &[&str]) {
        self.operate_when(|| Some(true), arguments);
    }

    /// The same as long as there is a need for it. What was on its way when the operator came is waited for.
    fn operate_when(
        &mut self,
        needed: impl Fn() -> Option<bool> + Send + 'static,
        arguments: &[&str],
    ) {
        let mut command = Command::new(&self.daemon);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.hosts[0].folder.join("config.yaml"))
            .stdin(Stdio::null());
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join("operator.log"));
        if let Ok(log) = log {
            let copy = log.try_clone().map_or(Stdio::null(), Stdio::from);
            command.stdout(copy).stderr(log);
        }
        // One after the other: a resume must not overtake its pause.
        let before = self.operator.take();
        let job = thread::Builder::new().spawn(move || {
            if let Some(before) = before {
                let _ = before.join();
            }
            // As an operator would, who gets no answer while the members are cut off.
            while needed() != Some(false) && !command.status().is_ok_and(|status| status.success())
            {
                thread::sleep(Duration::from_millis(200));
            }
        });
        self.operator = job.ok();
    }
}

fn rule_for_host(fault: &Fault) -> Rule {
    let members = match fault.kind {
        Kind::CutHostFromOne => vec![fault.member],
        _ => (0..MEMBERS).collect(),
    };
    let peers = members.into_iter().map(member_address).collect();
    rule(fault, peers)
}

fn rule_for_member(fault: &Fault, hosts: usize) -> Rule {
    let others = (0..MEMBERS).filter(|index| *index != fault.member);
    let mut peers: Vec<String> = others.map(member_address).collect();
    if fault.kind != Kind::CutPeers {
        peers.extend((0..hosts).map(host_address));
    }
    rule(fault, peers)
}

fn rule(fault: &Fault, peers: Vec<String>) -> Rule {
    let treatment = match fault.kind {
        Kind::ResetHost => Treatment::Reset,
        Kind::HostLoss | Kind::MemberLoss => Treatment::Lose(fault.percent),
        _ => Treatment::Drop,
    };
    Rule {
        peers,
        incoming: fault.incoming,
        outgoing: fault.outgoing,
        treatment,
    }
}
