//! What a seed stands for: the settings of the fleet, and an endless list of faults.

use std::time::Duration;

use crate::rng::Rng;

/// `lock_ttl_sec` of all daemons: short, so that much happens in a minute.
pub(crate) const TTL_SEC: u32 = 4;

/// How many hosts of one rack may be down at once.
pub(crate) const RACK_LIMIT: usize = 1;

/// How the fleet is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limit: usize,
    /// Drain before, undo after.
    pub(crate) hooks: bool,
    pub(crate) policies: bool,
    pub(crate) cooldown_sec: u32,
    pub(crate) settle_sec: f64,
    /// Which of the etcd versions there are, counted round.
    pub(crate) version: usize,
    /// A failed reboot stops everybody. Then every reboot clears what asked for it, or nobody would go any more.
    pub(crate) halts: bool,
    /// In how many racks the hosts stand by turns; no two of one rack go at once. 0: there are none.
    pub(crate) racks: usize,
    /// The first host goes before all others, and the last one after them. Then every reboot clears what asked for it, too.
    pub(crate) waves: bool,
}

impl Settings {
    pub(crate) fn draw(seed: u64) -> Settings {
        let mut rng = Rng::new(seed, 1);
        Settings {
            limit: 1 + rng.below(3),
            hooks: rng.chance(60),
            policies: rng.chance(40),
            cooldown_sec: u32::from(rng.chance(20)),
            settle_sec: if rng.chance(40) { 0.6 } else { 0.0 },
            version: rng.below(1000),
            halts: rng.chance(50),
            racks: if rng.chance(50) { 2 + rng.below(3) } else { 0 },
            waves: rng.chance(40),
        }
    }

    /// The rack in which a host stands.
    pub(crate) fn rack(&self, host: usize) -> Option<String> {
        (self.racks > 0).then(|| format!("r{}", host % self.racks))
    }

    /// The wave in which a host goes, of so many hosts.
    pub(crate) fn wave(&self, host: usize, hosts: usize) -> i32 {
        match host {
            _ if !self.waves => 0,
            0 => -1,
            last if last + 1 == hosts => 1,
            _ => 0,
        }
    }
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    KillDaemon,
    TermDaemon,
    StopDaemon,
    StopHost,
    LosePower,
    WipeRun,
    CutHost,
    CutHostFromOne,
    ResetHost,
    HostLoss,
    SlowHost,
    UnplugHost,
    KillMember,
    TermMember,
    StopMember,
    CutPeers,
    IsolateMember,
    MemberLoss,
    SlowMember,
    UnplugMember,
    FillDisk,
    MoveLeader,
    Pause,
    RebootFails,
    RebootFailsAndHappens,
    RebootDoesNothing,
    RebootIsSlow,
    DrainFails,
    BackIll,
    LongBoot,
    DieBeforeReboot,
    DieDraining,
    Reload,
    SlowDisk,
    SlowDisks,
    Copy,
}

/// Every kind, its name in the figures, and how often it comes.
pub(crate) const KINDS: [(Kind, &str, usize); 36] = [
    (Kind::KillDaemon, "daemon-killed", 12),
    (Kind::TermDaemon, "daemon-terminated", 3),
    (Kind::StopDaemon, "daemon-stopped", 10),
    (Kind::StopHost, "host-stopped", 4),
    (Kind::LosePower, "power-lost", 3),
    (Kind::WipeRun, "run-folder-wiped", 3),
    (Kind::CutHost, "host-cut-off", 8),
    (Kind::CutHostFromOne, "host-cut-from-one-member", 4),
    (Kind::ResetHost, "host-connections-reset", 4),
    (Kind::HostLoss, "host-loses-packets", 5),
    (Kind::SlowHost, "host-line-slow", 5),
    (Kind::UnplugHost, "host-unplugged", 3),
    (Kind::KillMember, "member-killed", 6),
    (Kind::TermMember, "member-restarted", 2),
    (Kind::StopMember, "member-stopped", 6),
    (Kind::CutPeers, "member-cut-from-members", 6),
    (Kind::IsolateMember, "member-cut-from-all", 4),
    (Kind::MemberLoss, "member-loses-packets", 4),
    (Kind::SlowMember, "member-line-slow", 3),
    (Kind::UnplugMember, "member-unplugged", 2),
    (Kind::FillDisk, "member-disk-full", 3),
    (Kind::MoveLeader, "leader-moved", 5),
    (Kind::Pause, "cluster-paused", 2),
    (Kind::RebootFails, "reboot-command-fails", 3),
    (Kind::RebootFailsAndHappens, "reboot-fails-yet-happens", 2),
    (Kind::RebootDoesNothing, "reboot-does-nothing", 2),
    (Kind::RebootIsSlow, "reboot-slow", 4),
    (Kind::DrainFails, "drain-fails", 4),
    (Kind::BackIll, "host-back-ill", 4),
    (Kind::LongBoot, "boot-longer-than-ttl", 4),
    (Kind::DieBeforeReboot, "daemon-killed-after-command", 4),
    (Kind::DieDraining, "daemon-killed-draining", 4),
    (Kind::Reload, "daemon-reloaded", 10),
    (Kind::SlowDisk, "member-disk-slow", 5),
    (Kind::SlowDisks, "all-disks-slow", 3),
    (Kind::Copy, "host-copied", 5),
];

/// A fault, with everything that might be asked of it. What it meets is decided when it strikes: `leader` is whoever leads then.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    /// Hosts that are struck; one, where several make no sense.
    pub(crate) hosts: Vec<usize>,
    pub(crate) member: usize,
    /// The leader instead of that member.
    pub(crate) leader: bool,
    pub(crate) lasts: Duration,
    /// Before the next fault.
    pub(crate) pause: Duration,
    /// May strike though another member is struck.
    pub(crate) piles_up: bool,
    pub(crate) incoming: bool,
    pub(crate) outgoing: bool,
    pub(crate) percent: usize,
    pub(crate) wipe: bool,
}

impl Fault {
    pub(crate) fn strikes_member(&self) -> bool {
        use Kind::{
            CutPeers, FillDisk, IsolateMember, KillMember, MemberLoss, SlowDisk, SlowDisks,
            SlowMember, StopMember, TermMember, UnplugMember,
        };
        [
            KillMember,
            TermMember,
            StopMember,
            CutPeers,
            IsolateMember,
            MemberLoss,
            SlowMember,
            UnplugMember,
            FillDisk,
            SlowDisk,
            SlowDisks,
        ]
        .contains(&self.kind)
    }
}

/// The list of faults: each is drawn in full whatever its kind, so that the list depends on nothing but the seed.
pub(crate) struct Faults {
    rng: Rng,
    hosts: usize,
    members: usize,
}

impl Faults {
    pub(crate) fn new(seed: u64, hosts: usize, members: usize) -> Faults {
        Faults {
            rng: Rng::new(seed, 2),
            hosts,
            members,
        }
    }

    pub(crate) fn draw(&mut self) -> Fault {
        let rng = &mut self.rng;
        let total = KINDS.iter().map(|(.., weight)| weight).sum();
        let mut ticket = rng.below(total);
        let drawn = KINDS.iter().find(|(.., weight)| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        let (kind, name, _) = *drawn.unwrap_or(&KINDS[0]);
        let long = rng.chance(30);
        let (from, to) = if long { (4.5, 7.0) } else { (0.2, 2.0) };
        let way = rng.below(4);
        let several = if rng.chance(25) { 1 + rng.below(4) } else { 1 };
        Fault {
            kind,
            name,
            hosts: (0..several).map(|_| rng.below(self.hosts)).collect(),
            member: rng.below(self.members),
            leader: rng.chance(40),
            lasts: rng.seconds(from, to),
            pause: rng.seconds(0.1, 0.9),
            piles_up: rng.chance(15),
            incoming: way != 0,
            outgoing: way != 1,
            percent: 10 + rng.below(40),
            wipe: rng.chance(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, count: usize) -> Vec<Fault> {
        let mut faults = Faults::new(seed, 9, 3);
        (0..count).map(|_| faults.draw()).collect()
    }

    #[test]
    fn a_seed_brings_back_the_same_faults_and_another_one_does_not() {
        let shown = |seed| format!("{:?}", first(seed, 50));
        assert_eq!(shown(7), shown(7));
        assert_ne!(shown(7), shown(8));
    }

    #[test]
    fn every_kind_comes_and_meets_every_host_and_member() {
        let faults = first(1, 3000);
        for (kind, name, _) in KINDS {
            assert!(faults.iter().any(|fault| fault.kind == kind), "{name}");
        }
        for host in 0..9 {
            assert!(faults.iter().any(|fault| fault.hosts.contains(&host)));
        }
        for member in 0..3 {
            assert!(faults.iter().any(|fault| fault.member == member));
        }
        // Each partition cuts at least one direction.
        assert!(faults.iter().all(|fault| fault.incoming || fault.outgoing));
        let past_ttl = Duration::from_secs(u64::from(TTL_SEC));
        assert!(faults.iter().any(|fault| fault.lasts > past_ttl));
    }
}
