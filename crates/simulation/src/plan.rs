//! What a history is made of, drawn from its seed: the fleet, its settings, the faults and when they happen. A plan is plain
//! data, so that a failing one can be made smaller.

use std::time::Duration;

use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::windows::Windows;
use reboot_coordinator::core::{Mode, Settings};
use reboot_coordinator::lock::Keys;

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
    /// The node is restarted with another limit.
    Limit(usize, u32),
    /// The detectors ask again, although nothing was cleared.
    Require(usize),
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
pub const TROUBLES: [Trouble; 10] = [
    Trouble::Lost,
    Trouble::Delayed,
    Trouble::ReplyLost,
    Trouble::ReplyLate,
    Trouble::Twice,
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
        check_interval: Duration::from_secs(30),
        health_publish_interval: None,
        backoff_min: Duration::from_secs(2),
        backoff_max: Duration::from_secs(20),
        min_reboot_interval: Duration::ZERO,
        lock_ttl: Duration::from_secs(30),
        etcd_timeout: Duration::from_secs(2),
        hold_timeout: None,
        reboot_timeout: Duration::from_secs(60),
        drains: true,
        undoes: true,
        post_boot_settle: Duration::ZERO,
        max_reboots_without_clearing: 1,
        policies: None,
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

    /// The history of a seed.
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = Rng::new(seed, 1);
        let count: u64 = rng.pick(&[1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6]);
        let mut shape = Shape::draw(&mut rng);
        if count > 1 && !shape.once && rng.chance(1, 5) {
            let least = rng.between(1, count - 1);
            shape.least_healthy = u32::try_from(least).ok();
        }
        let nodes: Vec<NodePlan> = (0..usize::try_from(count).unwrap_or(1))
            .map(|node| draw_node(&mut rng, node, &shape))
            .collect();
        let quiet_at = rng.between(100, 500) * SECOND;
        let mut faults = Vec::new();
        let count = nodes.len();
        let many = rng.pick(&[0, 1, 2, 3, 4, 6, 9, 14]);
        for _ in 0..many {
            if rng.chance(1, 4) {
                faults.extend(draw_blow(&mut rng, count));
            } else {
                faults.push(draw_fault(&mut rng, count, quiet_at, &shape));
            }
        }
        Plan {
            seed,
            nodes,
            faults,
            quiet_at,
        }
    }
}

/// What all nodes of one history share.
struct Shape {
    limit: u32,
    limits_differ: bool,
    drains: bool,
    undoes: bool,
    cooldown: Duration,
    hold_timeout: Option<Duration>,
    settle: Duration,
    ttl: Duration,
    timeout: Duration,
    once: bool,
    windows: bool,
    least_healthy: Option<u32>,
    bad_reboots: bool,
    bad_boots: bool,
    clocks: bool,
    trouble: Trouble,
}

impl Shape {
    fn draw(rng: &mut Rng) -> Shape {
        let seconds = Duration::from_secs;
        Shape {
            limit: rng.pick(&[1, 1, 1, 1, 2, 2, 3]),
            limits_differ: rng.chance(1, 12),
            drains: rng.chance(1, 2),
            undoes: rng.chance(3, 4),
            cooldown: seconds(rng.pick(&[0, 0, 0, 20, 60])),
            hold_timeout: rng.chance(1, 7).then(|| seconds(rng.between(60, 300))),
            settle: seconds(rng.pick(&[0, 0, 0, 5, 20])),
            ttl: seconds(rng.between(12, 45)),
            timeout: seconds(rng.between(1, 5)),
            once: rng.chance(1, 8),
            windows: rng.chance(1, 25),
            least_healthy: None,
            bad_reboots: rng.chance(1, 3),
            bad_boots: rng.chance(1, 3),
            clocks: rng.chance(1, 3),
            trouble: if rng.chance(1, 2) {
                Trouble::Any
            } else {
                rng.pick(&TROUBLES)
            },
        }
    }
}

fn draw_node(rng: &mut Rng, node: usize, shape: &Shape) -> NodePlan {
    let seconds = Duration::from_secs;
    let mut settings = plain_settings(node);
    settings.max_concurrent_reboots = if shape.limits_differ {
        rng.pick(&[1, 2, 3])
    } else {
        shape.limit
    };
    settings.check_interval = seconds(rng.between(15, 60));
    settings.backoff_min = seconds(rng.between(1, 4));
    settings.backoff_max = seconds(rng.between(5, 30));
    settings.min_reboot_interval = shape.cooldown;
    settings.lock_ttl = shape.ttl;
    settings.etcd_timeout = shape.timeout;
    settings.hold_timeout = shape.hold_timeout;
    settings.reboot_timeout = seconds(rng.between(40, 120));
    settings.drains = shape.drains;
    settings.undoes = shape.undoes;
    settings.post_boot_settle = shape.settle;
    settings.max_reboots_without_clearing = rng.pick(&[1, 1, 1, 2]);
    if shape.once && rng.chance(3, 4) {
        settings.mode = Mode::Once {
            wait: seconds(rng.pick(&[0, 0, 30, 120])),
        };
    }
    if shape.windows {
        settings.windows = Some(odd_hours());
    }
    if let Some(least) = shape.least_healthy {
        settings.health_publish_interval = Some(seconds(rng.between(10, 40)));
        settings.policies = Some(Policies {
            min_healthy_absolute: Some(least),
            ..Policies::default()
        });
    }
    let reboots = (0..rng.between(0, 3))
        .filter(|_| shape.bad_reboots)
        .map(|_| {
            rng.pick(&[
                Reboot::Works,
                Reboot::KillsFirst,
                Reboot::Nothing,
                Reboot::Fails,
                Reboot::FailsAndReboots,
                Reboot::Late,
                Reboot::Hangs,
                Reboot::HangsForNothing,
                Reboot::NotStarted,
                Reboot::Signalled,
            ])
        })
        .collect();
    let boots = (0..rng.between(0, 2))
        .filter(|_| shape.bad_boots)
        .map(|_| Boot {
            takes: rng.between(5, 200) * SECOND,
            panics: rng.chance(1, 4),
            never: rng.chance(1, 5),
            keeps_asking: rng.chance(1, 3),
            unhealthy_for: rng.pick(&[0, 0, 20, 100]) * SECOND,
        })
        .collect();
    NodePlan {
        settings,
        clock_permille: if shape.clocks {
            rng.between(900, 1100)
        } else {
            1000
        },
        wall_offset_sec: if shape.clocks {
            rng.pick(&[0, 0, -3600, 100, 86_400, -86_400])
        } else {
            0
        },
        required_at: rng.chance(9, 10).then(|| rng.between(0, 150) * SECOND),
        starts_at: rng.between(0, 20_000) * (SECOND / 1000),
        cron: rng.between(20, 90) * SECOND,
        reboots,
        boots,
        windows: shape.windows,
    }
}

/// Allowed in every hour with an odd number.
pub fn odd_hours() -> Windows {
    let allow: Vec<String> = (0..12)
        .map(|half| format!("* {:02}:00-{:02}:00", 2 * half + 1, 2 * half + 2))
        .collect();
    Windows::parse("UTC", &[], &allow).expect("these entries are well formed")
}

/// Two faults that hit one action together: what it sends is late or doubled, and its process dies, stops or is starved.
fn draw_blow(rng: &mut Rng, count: usize) -> [(When, Fault); 2] {
    let node = rng.index(count);
    let action = rng.between(1, 60);
    let trouble = rng.pick(&[
        Trouble::Delayed,
        Trouble::Delayed,
        Trouble::Twice,
        Trouble::ReplyLost,
        Trouble::Reset,
    ]);
    let moment = rng.pick(&[1000, SECOND, 20 * SECOND]);
    let pause = rng.pick(&[SECOND / 10, SECOND, 20 * SECOND]);
    let second = match rng.between(0, 9) {
        0..=4 => Fault::Kill(node, pause),
        5 => Fault::Pause(node, rng.between(1, 90) * SECOND),
        6 => Fault::PowerLoss(node, rng.between(5, 60) * SECOND),
        7 => Fault::Flap(node, rng.between(5, 200) * SECOND),
        8 => Fault::OperatorRelease(node),
        _ => Fault::Stop(node, pause),
    };
    [
        (
            When::Before(node, action),
            Fault::Network(node, trouble, 1000, moment),
        ),
        (When::After(node, action), second),
    ]
}

fn draw_fault(rng: &mut Rng, count: usize, quiet_at: Time, shape: &Shape) -> (When, Fault) {
    let node = rng.index(count);
    let short = rng.between(1, 30) * SECOND;
    let long = rng.between(5, 200) * SECOND;
    let fault = match rng.between(0, 33) {
        0..=4 => Fault::Kill(node, rng.between(1, 60) * SECOND),
        5 => Fault::Stop(node, short),
        6..=8 => Fault::Pause(node, long),
        9..=10 => Fault::PowerLoss(node, long),
        11..=15 => Fault::Network(node, shape.trouble, rng.pick(&[100, 300, 600, 1000]), long),
        16 => Fault::ServerDown(rng.between(1, 100) * SECOND),
        17 => Fault::LeaderChange(rng.between(1, 4) * SECOND, rng.between(0, 20) * SECOND),
        18 => Fault::Compact,
        19 => Fault::NoSpace(long),
        20 => Fault::WatchCut(node),
        21 => Fault::WatchMute(node, long),
        22 => Fault::DetectorsFail(node, long),
        23 => Fault::Flap(node, long),
        24 => Fault::Unhealthy(node, long),
        25 => Fault::KillSwitch(node, long),
        26 => Fault::DrainFails(node, rng.chance(1, 2)),
        27 => Fault::UndoFails(node, long),
        28 => Fault::WallJump(node, rng.pick(&[-7200, -60, 60, 7200, -31_536_000])),
        29 => Fault::OperatorPause(long, rng.chance(1, 2)),
        30 => Fault::OperatorRelease(node),
        31 => Fault::OperatorForget(node),
        32 => Fault::Limit(node, u32::try_from(rng.between(1, 3)).unwrap_or(1)),
        _ => Fault::Require(node),
    };
    // Half of the faults strike at an action: that is where it hurts.
    let when = match rng.between(0, 3) {
        0 => When::Before(node, rng.between(1, 60)),
        1 => When::After(node, rng.between(1, 60)),
        _ => When::At(rng.between(0, quiet_at)),
    };
    (when, fault)
}
