//! A history drawn from its seed: the fleet and its faults.

use std::collections::BTreeMap;
use std::time::Duration;

use reboot_coordinator::core::Mode;
use reboot_coordinator::core::policy::Policies;
use reboot_coordinator::core::windows::Windows;
use reboot_coordinator::lock::Domains;

use super::{Boot, Fault, NodePlan, Reboot, Rewrite, TROUBLES, Trouble, When, plain_settings};
use crate::rng::Rng;
use crate::{SECOND, Time};

/// What all nodes of one history share.
pub(super) struct Shape {
    limit: u32,
    limits_differ: bool,
    drains: bool,
    undoes: bool,
    cooldown: Duration,
    hold_timeout: Option<Duration>,
    settle: Duration,
    ttl: Duration,
    timeout: Duration,
    pub(super) once: bool,
    windows: bool,
    pub(super) least_healthy: Option<u32>,
    /// When all nodes begin to ask at once, if they do.
    together: Option<Time>,
    bad_reboots: bool,
    bad_boots: bool,
    clocks: bool,
    trouble: Trouble,
}

impl Shape {
    pub(super) fn draw(rng: &mut Rng) -> Shape {
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
            together: rng.chance(1, 4).then(|| rng.between(0, 100) * SECOND),
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

pub(super) fn draw_node(rng: &mut Rng, node: usize, shape: &Shape) -> NodePlan {
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
    if !shape.drains {
        settings.drain_timeout = None;
    }
    settings.undoes = shape.undoes;
    settings.post_boot_settle = shape.settle;
    settings.max_reboots_without_clearing = rng.pick(&[1, 1, 1, 2]);
    if shape.once && rng.chance(3, 4) {
        settings.mode = Mode::Once {
            wait: seconds(rng.pick(&[0, 0, 30, 120])),
        };
    }
    if shape.windows {
        settings.windows = Some(every_other_hour(0));
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
        required_at: shape
            .together
            .or_else(|| rng.chance(9, 10).then(|| rng.between(0, 150) * SECOND)),
        starts_at: rng.between(0, 20_000) * (SECOND / 1000),
        cron: rng.between(20, 90) * SECOND,
        reboots,
        boots,
        windows: shape.windows,
        zone: 0,
        drain_takes: 10 * SECOND,
        kernel: None,
        copy_of: None,
    }
}

/// Allowed in every hour with an odd number, where the clocks are so many hours ahead of UTC.
pub(crate) fn every_other_hour(zone: u32) -> Windows {
    let first = (zone + 1) % 2;
    let allow: Vec<String> = (0..12)
        .map(|half| 2 * half + first)
        .map(|hour| format!("* {hour:02}:00-{:02}:00", hour + 1))
        .collect();
    Windows::parse("UTC", &[], &allow).expect("these entries are well formed")
}

/// Two faults that hit one action together: what it sends is late or doubled, and its process dies, stops or is starved.
pub(super) fn draw_blow(rng: &mut Rng, count: usize) -> [(When, Fault); 2] {
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

/// Faults that hit a node's request of a kind, or what comes just after it was sent: where a write may be late, where a
/// judgement may be old.
pub(super) fn draw_aim(rng: &mut Rng, count: usize) -> Vec<(When, Fault)> {
    let node = rng.index(count);
    let state = rng.pick(&AIMS);
    let nth = rng.pick(&[1, 1, 1, 2, 3]);
    let sending = When::Sending(node, state, nth);
    let sent = When::Sent(node, state, nth);
    let pause = rng.pick(&[SECOND / 10, SECOND, 20 * SECOND]);
    let short = rng.between(1, 12) * SECOND;
    let late = Fault::Late(node, rng.between(1, 30), rng.chance(1, 3));
    let refused = rng.pick(&[Trouble::Denied, Trouble::NotSent]);
    match rng.between(0, 17) {
        0 | 1 => vec![(sending, late)],
        2 | 3 => vec![(sending, late), (sent, Fault::Kill(node, pause))],
        4 => vec![(sending, late), (sent, Fault::PowerLoss(node, short))],
        5 => vec![(sending, late), (sent, Fault::OperatorRelease(node))],
        6 | 7 => vec![(sent, Fault::Pause(node, short))],
        8 => vec![(sending, Fault::SlowDisk(node, short))],
        9 => vec![(sending, Fault::Network(node, Trouble::Delayed, 1000, 1))],
        10 => vec![(sent, Fault::OperatorPause(short, rng.chance(1, 2)))],
        11 => vec![(sent, Fault::OperatorForget(node))],
        12 => vec![(sent, Fault::Kill(node, pause))],
        13 => vec![(sent, Fault::KillSwitch(node, short))],
        14 => vec![(sent, Fault::Flap(node, short))],
        15 | 16 => vec![
            (sending, Fault::Late(node, rng.between(1, 3), true)),
            (sending, Fault::Network(node, refused, 1000, 1)),
        ],
        _ => vec![(sent, Fault::Unhealthy(rng.index(count), short))],
    }
}

/// The states whose requests decide something; the more often the more there is to decide.
const AIMS: [&str; 20] = [
    "Committing",
    "Committing",
    "Committing",
    "Gates(PostLock)",
    "Gates(PostLock)",
    "Gates(PostLock)",
    "Gates(Resume)",
    "Gates(Retry)",
    "Entering",
    "Entering",
    "Fencing",
    "Moving",
    "Gates(Retry)",
    "Verifying",
    "Ending",
    "Ending",
    "Leaving",
    "Registering",
    "ReadOwn",
    "TakingAway",
];

pub(super) fn draw_fault(
    rng: &mut Rng,
    count: usize,
    quiet_at: Time,
    shape: &Shape,
) -> (When, Fault) {
    let node = rng.index(count);
    let short = rng.between(1, 30) * SECOND;
    let long = rng.between(5, 200) * SECOND;
    let fault = match rng.between(0, 34) {
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
        33 => Fault::SlowDisk(node, long),
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

/// What operators ask for. From a stream of its own: whoever adds to it leaves the rest of a history as it was.
pub(super) fn draw_requests(seed: u64, count: usize, quiet_at: Time) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 3);
    let many = rng.pick(&[0, 0, 0, 1, 1, 2, 4]);
    let mut draw = || {
        let node = rng.index(count);
        let fault = match rng.chance(3, 4) {
            true => Fault::OperatorRequest(node),
            false => Fault::OperatorWithdraws(node),
        };
        let when = match rng.between(0, 2) {
            0 => When::Before(node, rng.between(1, 80)),
            _ => When::At(rng.between(0, quiet_at)),
        };
        (when, fault)
    };
    (0..many).map(|_| draw()).collect()
}

/// The states in whose requests a reload strikes; the more often the more there is to decide.
const RELOADED_IN: [&str; 16] = [
    "Granting",
    "Entering",
    "Counting",
    "Gates(PostLock)",
    "Gates(PostLock)",
    "Committing",
    "Committing",
    "Committing",
    "Fencing",
    "Moving",
    "Draining",
    "TakingAway",
    "Verifying",
    "Ending",
    "Leaving",
    "Noting",
];

/// Reloads, at moments and in states. From a stream of its own, too.
pub(super) fn draw_reloads(seed: u64, count: usize, quiet_at: Time) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 4);
    let many = rng.pick(&[0, 0, 0, 1, 1, 2, 5]);
    let mut draw = || {
        let node = rng.index(count);
        let rewrite = match rng.between(0, 15) {
            0 | 1 => Rewrite::Connections,
            2 => Rewrite::Limit(u32::try_from(rng.between(1, 3)).unwrap_or(1)),
            3 | 4 => Rewrite::DryRun(rng.chance(2, 3)),
            5 => Rewrite::Windows(rng.chance(1, 2)),
            6 => Rewrite::Drain(rng.chance(1, 2)),
            7 => Rewrite::Waits(rng.between(20, 120), rng.pick(&[0, 0, 5, 30])),
            8 => Rewrite::Ttl(rng.between(12, 45)),
            9 => Rewrite::Cooldown(rng.pick(&[0, 20, 60])),
            10 => Rewrite::HaltAfter(rng.pick(&[0, 1, 2])),
            11 => Rewrite::Hold(rng.pick(&[0, 60, 120, 300])),
            12 => Rewrite::Budget(rng.pick(&[1, 2])),
            13 => Rewrite::LeastHealthy(rng.pick(&[1, 1, 2])),
            14 => Rewrite::Zone(rng.pick(&[0, 1])),
            _ => Rewrite::Pace(rng.between(15, 60), rng.between(1, 5)),
        };
        let state = rng.pick(&RELOADED_IN);
        let when = match rng.between(0, 4) {
            0 => When::At(rng.between(0, quiet_at)),
            1 => When::Before(node, rng.between(1, 80)),
            2 => When::Sending(node, state, 1),
            3 => When::Sent(node, state, rng.between(1, 2)),
            _ => When::After(node, rng.between(1, 80)),
        };
        (when, Fault::Reload(node, rewrite))
    };
    (0..many).map(|_| draw()).collect()
}

/// The failure domains of a node in this rack, of which so many may be down at once; 0: no limit.
pub(crate) fn rack(rack: u32, limit: u32) -> Domains {
    let name = || "rack".to_owned();
    Domains {
        labels: BTreeMap::from([(name(), format!("r{rack}"))]),
        limits: (limit > 0).then(|| (name(), limit)).into_iter().collect(),
    }
}

/// Racks and sites with limits of their own, in a part of the histories; nodes that move, and limits that are on their way to be
/// changed. From a stream of its own.
pub(super) fn draw_domains(
    seed: u64,
    nodes: &mut [NodePlan],
    quiet_at: Time,
) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 6);
    if nodes.len() < 3 || !rng.chance(1, 3) {
        return Vec::new();
    }
    let limit = rng.pick(&[1, 2, 2, 2, 3, 4]);
    let racks = rng.pick(&[1, 2, 2, 3]);
    let differ = rng.chance(1, 4);
    let sites = rng.chance(1, 3);
    let in_rack = |rng: &mut Rng| u32::try_from(rng.between(1, racks)).unwrap_or(1);
    let of_rack = |rng: &mut Rng| match differ {
        true => rng.pick(&[0, 1, 1, 2]),
        false => 1,
    };
    for node in nodes.iter_mut() {
        node.settings.max_concurrent_reboots = limit;
        node.settings.domains = rack(in_rack(&mut rng), of_rack(&mut rng));
        if sites {
            let site = format!("s{}", rng.between(1, 2));
            let domains = &mut node.settings.domains;
            domains.labels.insert("site".to_owned(), site);
            domains.limits.insert("site".to_owned(), 2);
        }
        if differ && rng.chance(1, 6) {
            node.settings.domains = Domains::default();
        }
        if rng.chance(1, 2) {
            node.required_at = Some(rng.between(5, 30) * SECOND);
        }
    }
    let many = rng.pick(&[0, 0, 1, 2]);
    let mut draw = || {
        let node = rng.index(nodes.len());
        let (new, limit) = (in_rack(&mut rng), of_rack(&mut rng));
        let fault = match rng.chance(1, 2) {
            true => Fault::Moves(node, new, limit),
            false => Fault::Reload(node, Rewrite::Rack(new, limit)),
        };
        let when = match rng.between(0, 2) {
            0 => When::Before(node, rng.between(1, 80)),
            _ => When::At(rng.between(0, quiet_at)),
        };
        (when, fault)
    };
    (0..many).map(|_| draw()).collect()
}

/// How many failures stop the line, and who lets it go on. From a stream of its own.
pub(super) fn draw_line(
    seed: u64,
    nodes: &mut [NodePlan],
    quiet_at: &mut Time,
) -> Vec<(When, Fault)> {
    let mut rng = Rng::new(seed, 5);
    let halt_after = rng.pick(&[1, 1, 1, 1, 2, 0]);
    for node in nodes.iter_mut() {
        node.settings.halt_after = halt_after;
    }
    let mut many = rng.pick(&[0, 0, 0, 1, 2]);
    let mut faults = Vec::new();
    if nodes.len() > 2 && rng.chance(1, 3) {
        *quiet_at += rng.between(200, 1000) * SECOND;
        faults = draw_bad_image(&mut rng, nodes, *quiet_at);
        many = rng.between(1, 4);
    }
    let mut draw = || {
        let more = rng.pick(&[0, 1, 1, 2]);
        let at = rng.between(*quiet_at / 4, *quiet_at);
        (When::At(at), Fault::OperatorGoesOn(more))
    };
    faults.extend((0..many).map(|_| draw()));
    faults
}

/// Some boots fail, in one way or another, while others wait or come later: what is known of it becomes known at moments at which
/// somebody has judged and not committed yet, or while what says so is on its way.
fn draw_bad_image(rng: &mut Rng, nodes: &mut [NodePlan], quiet_at: Time) -> Vec<(When, Fault)> {
    let limit = rng.pick(&[1, 2, 2, 3]);
    let kind = rng.between(0, 3);
    let apart = rng.pick(&[0, 0, 20, 60, 300]) * SECOND;
    let slow = rng.chance(1, 2);
    let mut faults = Vec::new();
    for ((index, node), turn) in nodes.iter_mut().enumerate().zip(0..) {
        node.settings.mode = Mode::Daemon;
        node.settings.max_concurrent_reboots = limit;
        node.required_at = Some(10 * SECOND + turn * apart + rng.between(0, 10) * SECOND);
        let patience = node.settings.reboot_timeout + node.settings.post_boot_settle;
        let kind = if rng.chance(1, 4) {
            rng.between(0, 3)
        } else {
            kind
        };
        let boot = Boot::good(rng.between(5, 30) * SECOND);
        let bad = match kind {
            0 => Boot {
                never: true,
                ..boot
            },
            1 => Boot {
                unhealthy_for: rng.between(20, 300) * SECOND,
                ..boot
            },
            2 => Boot {
                keeps_asking: true,
                ..boot
            },
            _ => Boot::good((patience.as_secs() + rng.between(0, 80)) * SECOND),
        };
        node.reboots.clear();
        node.boots = vec![if rng.chance(1, 2) { bad } else { boot }];
        if slow {
            faults.push((When::At(0), Fault::SlowDisk(index, quiet_at)));
        }
        if rng.chance(1, 2) {
            let late = Fault::Late(index, rng.between(1, 40), rng.chance(1, 4));
            faults.push((When::Sending(index, "TakingAway", 1), late));
        }
        if rng.chance(1, 2) {
            let judged = When::Sent(index, "Gates(PostLock)", rng.between(1, 3));
            faults.push((judged, Fault::Pause(index, rng.between(3, 20) * SECOND)));
        }
    }
    if rng.chance(1, 3) {
        faults = draw_word(rng, nodes, quiet_at);
    }
    faults
}

/// One reboot cleared nothing, all others wait for that, and operators let one of them go: several judge at once that it is they.
fn draw_word(rng: &mut Rng, nodes: &mut [NodePlan], quiet_at: Time) -> Vec<(When, Fault)> {
    let mut faults = Vec::new();
    for (index, node) in nodes.iter_mut().enumerate() {
        node.settings.halt_after = 1;
        node.settings.max_concurrent_reboots = 3;
        node.settings.check_interval = Duration::from_secs(15);
        node.required_at = Some(rng.between(30, 60) * SECOND);
        node.boots.clear();
        faults.push((When::At(0), Fault::SlowDisk(index, quiet_at)));
    }
    nodes[0].required_at = Some(5 * SECOND);
    nodes[0].boots = vec![Boot {
        keeps_asking: true,
        ..Boot::good(5 * SECOND)
    }];
    let moments = 0..rng.between(1, 4);
    let word = |_| {
        (
            When::At(rng.between(80, quiet_at / SECOND) * SECOND),
            Fault::OperatorGoesOn(1),
        )
    };
    faults.extend(moments.map(word));
    faults
}
