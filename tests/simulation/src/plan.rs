//! What a history is made of, drawn from its seed: the fleet, its settings, the faults and when they happen. A plan is plain
//! data, so that a failing one can be made smaller.

mod draw;
mod surroundings;
mod urgent;

use std::time::Duration;

use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::core::{Memory, Mode, Settings};
use reboot_coordinator::lock::{Domains, Keys};

use self::draw::{
    Shape, draw_aim, draw_blow, draw_domains, draw_fault, draw_line, draw_node, draw_reloads,
    draw_requests,
};
pub(crate) use self::draw::{every_other_hour, rack};
pub use self::surroundings::FOREIGN;
use self::surroundings::{
    draw_copy, draw_kernels, draw_large_fleet, draw_long_drains, draw_names, draw_surroundings,
    draw_waves, how_many,
};
use self::urgent::draw_urgent;
use crate::rng::Rng;
use crate::{SECOND, Time};

/// One history, before it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it and everything random in it comes from.
    pub seed: u64,
    /// The fleet.
    pub nodes: Vec<NodePlan>,
    /// What goes wrong, and when.
    pub faults: Vec<(When, Fault)>,
    /// When everything is repaired.
    pub quiet_at: Time,
}

/// One machine of the fleet.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its settings; the boot id is filled in at each start.
    pub settings: Settings,
    /// How fast its monotonic clock runs, in thousandths of true time.
    pub clock_permille: u64,
    /// How far its wall clock is off, seconds.
    pub wall_offset_sec: i64,
    /// When its detectors begin to ask for a reboot.
    pub required_at: Option<Time>,
    /// When its process first starts.
    pub starts_at: Time,
    /// How often a run is started, for `--once`.
    pub cron: Time,
    /// What the next runs of the reboot command do; afterwards it works.
    pub reboots: Vec<Reboot>,
    /// How the next boots go; afterwards they are quick and good.
    pub boots: Vec<Boot>,
    /// Whether the files of a window close it in every other hour.
    pub windows: bool,
    /// How many hours its time zone is ahead of UTC.
    pub zone: u32,
    /// How long its drain hook takes at most.
    pub drain_takes: Time,
    /// The kernel that it would boot, where its detectors know.
    pub kernel: Option<u32>,
    /// The machine that it is a copy of, with its name and its machine id.
    pub copy_of: Option<Copied>,
}

/// A machine that was made from the image of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Of which node.
    pub node: usize,
    /// Whether what that one remembered is in the image.
    pub remembers: bool,
    /// Whether the image was one of the running machine, so that both have its boot id.
    pub running: bool,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Time),
    /// When this node is about to perform its n-th action (notes not counted).
    Before(usize, u64),
    /// When this node has just performed its n-th action (notes not counted).
    After(usize, u64),
    /// When this node is about to send its n-th request in this state, in whichever process.
    Sending(usize, &'static str, u64),
    /// When this node has just sent it.
    Sent(usize, &'static str, u64),
}

/// What can go wrong. A `usize` is a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies by SIGKILL and is started again after a while.
    Kill(usize, Time),
    /// The process is stopped by SIGTERM and started again after a while.
    Stop(usize, Time),
    /// The process does not run for a while.
    Pause(usize, Time),
    /// The host loses power and comes back after a while.
    PowerLoss(usize, Time),
    /// The node's requests meet with this for a while, so many of a thousand.
    Network(usize, Trouble, u64, Time),
    /// The node's next request is held somewhere on its way until the node has performed so many more actions, in this process
    /// or a later one; true: it arrives at once as well.
    Late(usize, u64, bool),
    /// etcd does not run for a while.
    ServerDown(Time),
    /// Another leader, after an election; for a while renewals are answered that never happened.
    LeaderChange(Time, Time),
    /// Old revisions are forgotten.
    Compact,
    /// The database is full for a while.
    NoSpace(Time),
    /// The watch connection is cut.
    WatchCut(usize),
    /// The watch says nothing for a while and nobody notices.
    WatchMute(usize, Time),
    /// The detectors fail for a while.
    DetectorsFail(usize, Time),
    /// The detectors ask for nothing for a while.
    Flap(usize, Time),
    /// The health script fails for a while.
    Unhealthy(usize, Time),
    /// Its disk is ill for a while: whatever looks at the host takes seconds.
    SlowDisk(usize, Time),
    /// The kill switch is there for a while.
    KillSwitch(usize, Time),
    /// The next drain hook fails (or, true, hangs until its limit).
    DrainFails(usize, bool),
    /// The undo hook fails for a while.
    UndoFails(usize, Time),
    /// The wall clock jumps by so many seconds.
    WallJump(usize, i64),
    /// An operator pauses the cluster for a while; true: with a lease.
    OperatorPause(Time, bool),
    /// An operator takes the node's claim away.
    OperatorRelease(usize),
    /// An operator removes the node's registration.
    OperatorForget(usize),
    /// An operator lets the line go on in spite of what is known to have failed, for so many more or (0) for all.
    OperatorGoesOn(u32),
    /// The node is restarted with another limit.
    Limit(usize, u32),
    /// The node is restarted as one of another rack, of which so many may be down at once.
    Moves(usize, u32, u32),
    /// The node's configuration is changed and reloaded.
    Reload(usize, Rewrite),
    /// Whatever touches the host's files does not answer for a while.
    FilesHang(usize, Time),
    /// A tool writes one of [`FOREIGN`], below the keys of the group.
    ForeignKey(usize),
    /// The detectors ask again, although nothing was cleared.
    Require(usize),
    /// The host has another name, by its number. From the number of hosts on they are names that no host had at first.
    Named(usize, usize),
    /// An operator requests a reboot of the node.
    OperatorRequest(usize),
    /// An operator withdraws the request.
    OperatorWithdraws(usize),
    /// An operator makes an urgent request, which ends after a while.
    OperatorUrges(usize, Time),
}

/// What is changed in a configuration that is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing that the machine knows of: endpoints, a password, a script.
    Connections,
    /// How many may be down at once.
    Limit(u32),
    /// Whether everything but the commit is done.
    DryRun(bool),
    /// Whether the window is closed in every other hour.
    Windows(bool),
    /// In which rack the node is, and how many of a rack may be down at once.
    Rack(u32, u32),
    /// Whether there is a drain hook; it is another one in any case.
    Drain(bool),
    /// How long the host may stay up after the command, seconds, and how long health must hold afterwards.
    Waits(u64, u64),
    /// How long a session lease lasts, seconds.
    Ttl(u64),
    /// How long the cluster cools down after a reboot of this node, seconds.
    Cooldown(u64),
    /// How many failures stop this node.
    HaltAfter(u32),
    /// Whether only failures of the own kernel do.
    HaltScope(HaltScope),
    /// Its wave.
    Wave(i32),
    /// After how many seconds it takes away what stands still; 0: never.
    Hold(u64),
    /// Reboots without clearing.
    Budget(u32),
    /// How many must stay healthy, where some must.
    LeastHealthy(u32),
    /// How often detectors run, and how long a request may take, seconds.
    Pace(u64, u64),
    /// By how many hours its time zone is ahead of UTC.
    Zone(u32),
}

/// What a request meets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It never arrives.
    Lost,
    /// It arrives, maybe long after the client gave up.
    Delayed,
    /// Its answer never arrives.
    ReplyLost,
    /// Its answer is late, maybe too late.
    ReplyLate,
    /// It arrives twice, the second time maybe much later.
    Twice,
    /// The client sends it again and again until somebody answers; what it hears is what any of the copies was told.
    Resent,
    /// No connection.
    NotSent,
    /// The connection is reset, before or after it had its effect.
    Reset,
    /// Permission is denied.
    Denied,
    /// No leader; it may be applied all the same.
    NoLeader,
    /// The answer is cut short to something that parses.
    Garbled,
    /// Any of these.
    Any,
}

/// All kinds of network trouble but [`Trouble::Any`].
pub const TROUBLES: [Trouble; 11] = [
    Trouble::Lost,
    Trouble::Delayed,
    Trouble::ReplyLost,
    Trouble::ReplyLate,
    Trouble::Twice,
    Trouble::Resent,
    Trouble::NotSent,
    Trouble::Reset,
    Trouble::Denied,
    Trouble::NoLeader,
    Trouble::Garbled,
];

/// What a reboot command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// Exit 0, and the host goes down.
    Works,
    /// The process dies first, then the host goes down.
    KillsFirst,
    /// Exit 0, and nothing happens.
    Nothing,
    /// Exit 1, and nothing happens.
    Fails,
    /// Exit 1, and the host goes down within the grace.
    FailsAndReboots,
    /// Exit 0, and the host goes down long after `reboot_timeout_sec`.
    Late,
    /// It never ends, and the host goes down.
    Hangs,
    /// It never ends, and nothing happens.
    HangsForNothing,
    /// It cannot be started.
    NotStarted,
    /// A signal ends it, and the host goes down.
    Signalled,
}

/// How a boot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// How long it takes.
    pub takes: Time,
    /// Whether it panics at the end and boots again.
    pub panics: bool,
    /// Whether the host never comes up before everything is repaired.
    pub never: bool,
    /// Whether the detectors still ask afterwards.
    pub keeps_asking: bool,
    /// For how long the health script fails afterwards.
    pub unhealthy_for: Time,
}

impl Boot {
    /// A boot without trouble.
    pub fn good(takes: Time) -> Boot {
        Boot {
            takes,
            panics: false,
            never: false,
            keeps_asking: false,
            unhealthy_for: 0,
        }
    }
}

/// The settings of a node without anything special.
pub fn plain_settings(node: usize) -> Settings {
    Settings {
        node: format!("n{node}"),
        node_id: format!("machine-{node}"),
        boot_id: String::new(),
        keys: Keys::new("", "/r"),
        max_concurrent_reboots: 1,
        domains: Domains::default(),
        wave: 0,
        halt_after: 1,
        halt_scope: HaltScope::All,
        check_interval: Duration::from_secs(30),
        health_publish_interval: None,
        memory: Some(Memory::default()),
        backoff_min: Duration::from_secs(2),
        backoff_max: Duration::from_secs(20),
        min_reboot_interval: Duration::ZERO,
        lock_ttl: Duration::from_secs(30),
        etcd_timeout: Duration::from_secs(2),
        gates_limit: Duration::from_secs(60),
        hold_timeout: None,
        reboot_timeout: Duration::from_secs(60),
        drain_timeout: Some(Duration::from_secs(60)),
        undoes: true,
        undo_timeout: Duration::ZERO,
        post_boot_settle: Duration::ZERO,
        max_reboots_without_clearing: 1,
        policies: None,
        many_members: 500,
        windows: None,
        dry_run: false,
        mode: Mode::Daemon,
        version: "0.1.0".to_owned(),
    }
}

/// A node without trouble, which asks for a reboot after ten seconds.
pub fn plain_node(node: usize) -> NodePlan {
    NodePlan {
        settings: plain_settings(node),
        clock_permille: 1000,
        wall_offset_sec: 0,
        required_at: Some(10 * SECOND),
        starts_at: SECOND,
        cron: 60 * SECOND,
        reboots: Vec::new(),
        boots: Vec::new(),
        windows: false,
        zone: 0,
        drain_takes: 10 * SECOND,
        kernel: None,
        copy_of: None,
    }
}

impl Plan {
    /// A fleet without trouble.
    pub fn plain(nodes: usize) -> Plan {
        Plan {
            seed: 1,
            nodes: (0..nodes).map(plain_node).collect(),
            faults: Vec::new(),
            quiet_at: 0,
        }
    }

    /// How many names its hosts may have in all.
    pub(crate) fn names(&self) -> usize {
        let named = self.faults.iter().map(|(_, fault)| match fault {
            Fault::Named(_, name) => name + 1,
            _ => 0,
        });
        named.max().unwrap_or(0).max(self.nodes.len())
    }

    /// The history of a seed.
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = Rng::new(seed, 1);
        let count: u64 = rng.pick(&[1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6]);
        let count = how_many(seed, count);
        let mut shape = Shape::draw(&mut rng);
        if count > 1 && !shape.once && rng.chance(1, 5) {
            let least = rng.between(1, count - 1);
            shape.least_healthy = u32::try_from(least).ok();
        }
        let nodes: Vec<NodePlan> = (0..usize::try_from(count).unwrap_or(1))
            .map(|node| draw_node(&mut rng, node, &shape))
            .collect();
        let mut quiet_at = rng.between(100, 500) * SECOND;
        let mut faults = Vec::new();
        let count = nodes.len();
        let many = rng.pick(&[0, 1, 2, 3, 4, 6, 9, 14]);
        for _ in 0..many {
            match rng.between(0, 7) {
                0 | 1 => faults.extend(draw_blow(&mut rng, count)),
                2 | 3 => faults.extend(draw_aim(&mut rng, count)),
                _ => faults.push(draw_fault(&mut rng, count, quiet_at, &shape)),
            }
        }
        faults.extend(draw_requests(seed, count, quiet_at));
        faults.extend(draw_reloads(seed, count, quiet_at));
        let mut nodes = nodes;
        faults.extend(draw_line(seed, &mut nodes, &mut quiet_at));
        faults.extend(draw_domains(seed, &mut nodes, quiet_at));
        faults.extend(draw_surroundings(seed, count, quiet_at));
        draw_long_drains(seed, &mut nodes);
        faults.extend(draw_waves(seed, &mut nodes, quiet_at));
        faults.extend(draw_urgent(seed, &mut nodes, quiet_at));
        faults.extend(draw_kernels(seed, &mut nodes, quiet_at));
        draw_copy(seed, &mut nodes, &mut faults, quiet_at);
        draw_names(seed, &nodes, &mut faults, quiet_at);
        draw_large_fleet(seed, &mut nodes);
        Plan {
            seed,
            nodes,
            faults,
            quiet_at,
        }
    }
}
