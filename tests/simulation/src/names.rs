//! Names of hosts, which change: `localhost` at an early boot and the right one later, another one for good, or that of another host.

use reboot_coordinator::core::{Machine, Refusal};
use reboot_coordinator::lock::NodeRecord;
use reboot_coordinator::lock::record::decode;

use crate::MILLI;
use crate::check::known::Standing;
use crate::host::number;
use crate::plan::Rewrite;
use crate::planted::Planted;
use crate::rng::Rng;
use crate::world::{Event, World};

impl World {
    /// The host has another name from now on. Nobody tells its process.
    pub(crate) fn name_host(&mut self, index: usize, name: usize) {
        let host = &mut self.hosts[index];
        host.names.retain(|before| *before != name);
        host.names.push(name);
        host.plan.settings.node = format!("n{name}");
        self.tell(|| format!("the host n{index} is named n{name} now"));
    }

    /// The daemon asks for the name of its host beside its detectors, and while it proves its health.
    pub(crate) fn follow_host(&mut self, index: usize) {
        let named = self.hosts[index].names.last().copied();
        let told = self.hosts[index].process.as_ref().map(|it| it.named);
        if named != told && self.now >= self.hosts[index].hang_until {
            self.after(MILLI, Event::Reload(index, Rewrite::Connections));
        }
    }

    /// What the host has against a reboot when it is not called as the running process believes.
    pub(crate) fn named_otherwise(&self, index: usize) -> Option<Refusal> {
        let host = &self.hosts[index];
        let told = host.process.as_ref().map(|it| it.named);
        (host.names.last().copied() != told)
            .then(|| Refusal::Configuration("node_name is another one in this process".to_owned()))
    }

    /// All claims in etcd that this machine made, under whatever name.
    pub(crate) fn claims_of(&self, host: usize) -> impl Iterator<Item = &Standing> {
        let names = self.hosts[host].names.iter();
        names
            .filter_map(|name| self.check.claims[*name].as_ref())
            .filter(move |standing| standing.holder == host)
    }

    /// The host whose machine goes by this name.
    pub(crate) fn host_named(&self, name: usize) -> Option<usize> {
        (0..self.hosts.len()).find(|host| self.home(*host) == name)
    }

    /// A machine that went by this name takes another one over only when nothing committed of it stands there.
    pub(crate) fn check_name(&mut self, index: usize, before: usize) {
        let held = self.check.claims[before].as_ref().filter(|standing| {
            standing.holder == index
                && standing.claim.phase.committed()
                && !self.check.taken.contains_key(&standing.create)
        });
        if self.home(index) != before && held.is_some() {
            let detail =
                format!("n{index} takes another name over, and its claim of n{before} stands");
            self.fail("names", detail);
        }
    }

    /// No process reboots its host by a claim under another name than it was told last, by which the next start looks for it.
    pub(crate) fn check_told(&mut self, index: usize, pid: u64) {
        let Some(process) = self.hosts[index].process(pid) else {
            return;
        };
        let (told, by) = (process.named, number(&process.machine.settings().node));
        if told != by {
            let detail =
                format!("n{index} is n{told} by its file, and reboots by a claim of n{by}");
            self.fail("names", detail);
        }
    }

    /// A process starts by another name than what stands there of its host. It knows nothing of that.
    pub(crate) fn note_left(&mut self, index: usize) {
        if self.hosts[index].names.len() < 2 {
            return;
        }
        let own = self.home(index);
        for name in self.hosts[index].names.clone() {
            let claim = self.check.claims[name].as_ref();
            let claims = claim.is_some_and(|claim| claim.holder == index);
            let registered = self.registered(name);
            if name != own
                && (claims
                    || registered.is_some_and(|it| it == self.hosts[index].plan.settings.node_id))
            {
                self.leaves(index, name);
            }
        }
    }

    /// What stands under that name is left to an operator, and with it what the host has used up.
    pub(crate) fn leaves(&mut self, index: usize, name: usize) {
        let host = &mut self.hosts[index];
        host.fruitless = 0;
        if !host.left.contains(&name) {
            host.left.push(name);
        }
    }

    /// Which machine is registered by this name.
    fn registered(&self, name: usize) -> Option<String> {
        let kv = self.etcd.get(format!("/r/nodes/n{name}").as_bytes())?;
        let record: NodeRecord = decode(&kv.value).ok()?;
        Some(record.node_id)
    }

    /// A member that no host is.
    pub(crate) fn ghost(&self) -> Option<usize> {
        // A fleet whose names never change has none.
        if self.hosts.iter().all(|host| host.names.len() == 1) {
            return None;
        }
        (0..self.check.claims.len()).find(|name| {
            self.registered(*name).is_some_and(|id| {
                let host = self.host_named(*name);
                host.is_none_or(|host| self.hosts[host].plan.settings.node_id != id)
            })
        })
    }

    /// An operator forgets the members that no process can know of.
    pub(crate) fn forget_left(&mut self) {
        for index in 0..self.hosts.len() {
            if self.hosts[index].names.len() < 2 {
                continue;
            }
            for name in self.hosts[index].names.clone() {
                let id = self.registered(name);
                let own = id.is_some_and(|id| id == self.hosts[index].plan.settings.node_id);
                // Where a reboot failed the member stays, as the mark of that does.
                let left = self.hosts[index].left.contains(&name) || self.check.line.failed(name);
                if own && left && self.home(index) != name {
                    self.operator_forgets_name(name);
                }
            }
        }
    }

    /// Whoever repairs everything finds two hosts with one name, and gives each its own.
    pub(crate) fn part_names(&mut self) {
        let mut seen = Vec::new();
        for host in &self.hosts {
            if host.plan.copy_of.is_none() {
                seen.extend(host.names.last().copied());
            }
        }
        let many = seen.len();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() == many {
            return;
        }
        for index in (0..self.hosts.len()).filter(|index| *index < many) {
            self.name_host(index, index);
        }
    }

    /// With that fault planted: what is held is not asked for.
    pub(crate) fn takes_name_at_once(&mut self, index: usize) -> bool {
        if self.planted != Some(Planted::NameTakenAtOnce) {
            return false;
        }
        let now = self.now;
        let home = self.home(index);
        let host = &mut self.hosts[index];
        let mut settings = host.plan.settings.clone();
        settings.boot_id = host.boot_id();
        settings.memory = host.memory.clone();
        let clocks = host.now(now);
        let Some(process) = &mut host.process else {
            return false;
        };
        if process.named == home {
            return false;
        }
        let mut seed = Rng::new(self.plan.seed, 2000 + process.pid);
        process.machine = Machine::new(settings, seed.word(), clocks);
        process.open.clear();
        process.script = None;
        let pid = process.pid;
        self.check_name(index, home);
        self.after(0, Event::Wake(index, pid));
        self.drain(index, pid);
        true
    }
}
