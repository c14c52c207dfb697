//! One simulated machine: its process, its clocks, and what is really true of it.

use std::collections::VecDeque;
use std::time::Duration;

use etcd_rs_sync::Reply;
use jiff::Timestamp;
use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::core::{Commitment, Input, Machine, Memory, Now, Ticket};

use crate::coverage::STATES;
use crate::plan::{Boot, NodePlan, Reboot, Trouble};
use crate::{SECOND, Time};

/// 2026-01-01T00:00:00Z: where virtual time begins.
const EPOCH_SECOND: i64 = 1_767_225_600;

/// What a request is for; each has a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Everything but the others.
    Main,
    /// Renewals of the lease.
    Renew,
    /// The last word.
    Farewell,
    /// The health report.
    Report,
}

/// When the answer to a gate was asked for, and whether it was yes.
pub type Gate = Option<(Time, bool)>;

/// What a process was told about its gates, newest answers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateLog {
    /// The detectors.
    pub detect: Gate,
    /// The health script after the turn.
    pub health: Gate,
    /// The kill switch and the window.
    pub look: Gate,
    /// The kill switch alone.
    pub switch: Gate,
    /// When the process was stopped, or went on, last.
    pub stood_still: Time,
}

/// What is true of a host at a moment, as far as it bears on a return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// The name that its machine goes by.
    pub name: usize,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is drained and an undo hook should have run.
    pub drained: bool,
    /// Since when the health script passes.
    pub healthy_since: Option<Time>,
    /// Disruptive acts so far.
    pub acts: u32,
    /// In which of its boots that is so.
    pub boot: u32,
    /// The newest revision when its process had its first answer.
    pub since: Option<i64>,
    /// What its configuration says.
    pub rules: Rules,
}

/// What a configuration says of when others may go. A request is judged by what was in force when it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How long nobody goes after its reboot, for certain.
    pub cooldown: Time,
    /// How many failures stop it.
    pub halt_after: u32,
    /// Which of them count.
    pub halt_scope: HaltScope,
    /// Its wave.
    pub wave: i32,
    /// After which time it takes away what stands still.
    pub hold: Option<Time>,
    /// How many must stay healthy.
    pub least_healthy: Option<u32>,
    /// How long health must hold after a boot.
    pub settle: Time,
}

/// A script that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its ticket.
    pub ticket: Ticket,
    /// When it was started.
    pub started: Time,
}

/// A running process with its machine.
#[derive(Debug)]
pub struct Process {
    /// Unique in the history.
    pub pid: u64,
    /// The state machine.
    pub machine: Machine,
    /// When it began.
    pub started: Time,
    /// Whether it is stopped, until when.
    pub paused_until: Option<Time>,
    /// What arrived meanwhile.
    pub backlog: Vec<Input>,
    /// Requests without an answer.
    pub open: Vec<(Channel, Ticket)>,
    /// Requests whose answers nobody waits for any more, because the place was given up.
    pub abandoned: Vec<Ticket>,
    /// The script that runs.
    pub script: Option<Script>,
    /// The health script that runs as monitor.
    pub monitor: Option<Ticket>,
    /// When a wake-up is scheduled.
    pub wake: Option<Time>,
    /// How often in a row it asked to be woken at once.
    pub overdue: u32,
    /// Answers of the gates.
    pub gates: GateLog,
    /// Commits of this process that took effect in etcd, and the create revision of the last.
    pub commits: u32,
    /// The claim of the last of them.
    pub committed: Option<i64>,
    /// Whether it was told of a renewal that never happened.
    pub lied_to: bool,
    /// The answer to a renewal that is kept for the next one, when that fault is planted.
    pub stale_renewal: Option<Reply>,
    /// The renewal that got it.
    pub stale_for: Option<Ticket>,
    /// When it sent its last commit, at once after its gates.
    pub commit_sent: Time,
    /// When it took a configuration over last.
    pub reloaded: Time,
    /// When something that it asked of etcd was not answered, last.
    pub unanswered: Time,
    /// When its drain hook ended.
    pub drained_at: Time,
    /// Drain hooks it started.
    pub drains: u32,
    /// Reboot commands it ran.
    pub reboots: u32,
    /// Actions within the current second, against busy loops.
    pub busy: (Time, u32),
    /// What it says, for others on its host, of a reboot that is under way.
    pub commitment: Commitment,
    /// The name in the configuration that it took over last.
    pub named: usize,
}

/// What a machine cannot tell from its own: committed claims that were there before it used etcd in this boot, when it remembers
/// no boot, or remembers the one that made it because it was copied with it.
#[derive(Clone, Debug, Default)]
pub struct Blind {
    /// In which of its boots that is so.
    pub boot: Option<u32>,
    /// The newest revision when it first wrote down, there, that etcd had answered. An answer that was garbled, or that a process
    /// took to its end, tells the next one nothing.
    pub since: Option<i64>,
    /// Whether it remembered no boot before that.
    pub to_all: bool,
    /// The boots of the other machine that it remembers.
    pub to_boots: Vec<String>,
}

/// A machine of the fleet.
#[derive(Debug)]
pub struct Host {
    /// What was planned for it.
    pub plan: NodePlan,
    /// Whether it runs.
    pub up: bool,
    /// How often it booted.
    pub boot: u32,
    /// The daemon, or a `--once` run.
    pub process: Option<Process>,
    /// Whether the detectors ask, were they to work.
    pub required: bool,
    /// Until when they fail.
    pub detectors_fail_until: Time,
    /// Until when they ask for nothing.
    pub flap_until: Time,
    /// Until when the health script fails.
    pub unhealthy_until: Time,
    /// Until when its disk is slow.
    pub slow_until: Time,
    /// Until when nothing that touches its files answers.
    pub hang_until: Time,
    /// Until when the kill switch is there.
    pub kill_switch_until: Time,
    /// Until when the undo hook fails.
    pub undo_fails_until: Time,
    /// Whether the next drain fails, and whether by hanging.
    pub drain_fails: Option<bool>,
    /// A drain hook began and no undo hook succeeded since.
    pub drained: bool,
    /// Trouble in its network, how many of a thousand requests, until when.
    pub trouble: Option<(Trouble, u64, Time)>,
    /// The next request is held back for so many actions; true: a copy of it.
    pub late: Option<(u64, bool)>,
    /// Until when its watch is mute.
    pub mute_until: Time,
    /// What the next reboot commands do.
    pub reboots: VecDeque<Reboot>,
    /// How the next boots go.
    pub boots: VecDeque<Boot>,
    /// The boot that follows, when this one panics.
    pub panics: Option<Boot>,
    /// Reboots that are under way, by the claim that they were made under.
    pub going_down: Vec<i64>,
    /// Actions performed in all its processes.
    pub actions: u64,
    /// Requests sent in all its processes, by the state that sent them.
    pub sent: [u64; STATES.len()],
    /// The claim under which it is disrupted.
    pub disrupted: Option<i64>,
    /// Disruptive acts so far.
    pub acts: u32,
    /// Since when the health script passes after the disruption.
    pub healthy_since: Option<Time>,
    /// Reboots by its command since the detectors last asked for none.
    pub fruitless: u32,
    /// When they last asked for none.
    pub cleared: Time,
    /// Reboots by its command in all.
    pub rebooted: u32,
    /// What it remembers of itself.
    pub memory: Option<Memory>,
    /// The names that it has had, by number, the present one last.
    pub names: Vec<usize>,
    /// Names under which something of it stands that none of its processes can know of.
    pub left: Vec<usize>,
    /// What the ids of all its boots begin with.
    boots_of: String,
    /// The boot of the running machine that it was copied from, its own until it reboots.
    pub shared: Option<String>,
    /// Its registration was removed while it was away.
    pub forgotten: bool,
    /// Whether it is down for good until everything is repaired.
    pub dead: bool,
    /// A copy that was found and switched off.
    pub retired: bool,
    /// The largest budget that was ever in force.
    pub most_budget: u32,
    /// What it could not tell from its own when it began to use etcd in this boot.
    pub blind: Blind,
    /// The newest revision when its last process had its first answer, once it had.
    pub since: Option<i64>,
    /// How far the wall clock was moved, seconds.
    pub wall_jump_sec: i64,
    /// For how long its monotonic clock stood still, when that fault is planted.
    pub stood_still: Time,
}

impl Host {
    /// A host that is up, without a process.
    pub fn new(plan: NodePlan) -> Host {
        let copy = if plan.copy_of.is_some() { "copy-" } else { "" };
        Host {
            names: vec![number(&plan.settings.node)],
            left: Vec::new(),
            boots_of: format!("{}-{copy}boot-", plan.settings.node),
            shared: None,
            up: true,
            boot: 0,
            process: None,
            required: false,
            detectors_fail_until: 0,
            flap_until: 0,
            unhealthy_until: 0,
            slow_until: 0,
            hang_until: 0,
            kill_switch_until: 0,
            undo_fails_until: 0,
            drain_fails: None,
            drained: false,
            trouble: None,
            late: None,
            mute_until: 0,
            reboots: plan.reboots.iter().copied().collect(),
            boots: plan.boots.iter().copied().collect(),
            panics: None,
            going_down: Vec::new(),
            actions: 0,
            sent: [0; STATES.len()],
            disrupted: None,
            acts: 0,
            healthy_since: None,
            fruitless: 0,
            cleared: 0,
            rebooted: 0,
            memory: plan.settings.memory.clone(),
            forgotten: false,
            dead: false,
            retired: false,
            most_budget: plan.settings.max_reboots_without_clearing,
            blind: Blind::default(),
            since: None,
            wall_jump_sec: 0,
            stood_still: 0,
            plan,
        }
    }

    /// What is true of it now.
    pub fn truth(&self) -> Truth {
        Truth {
            name: self.name(),
            up: self.up,
            drained: self.drained && self.plan.settings.undoes,
            healthy_since: self.healthy_since,
            acts: self.acts,
            boot: self.boot,
            since: self.since,
            rules: self.rules(),
        }
    }

    /// The number of the name that its machine goes by: its own, that of the machine it is a copy of, or another that it got.
    pub fn name(&self) -> usize {
        match (self.names.as_slice(), &self.process) {
            ([only], _) => *only,
            (_, Some(process)) => number(&process.machine.settings().node),
            (names, None) => names.last().copied().unwrap_or_default(),
        }
    }

    /// The kernel that it would boot, as its detectors say.
    pub fn kernel(&self) -> Option<String> {
        self.plan.kernel.map(|kernel| format!("k{kernel}"))
    }

    fn rules(&self) -> Rules {
        let settings = &self.plan.settings;
        let micros = |of: Duration| Time::try_from(of.as_micros()).unwrap_or(0);
        let travels = micros(settings.etcd_timeout) * 4 + 2 * SECOND;
        Rules {
            cooldown: micros(settings.min_reboot_interval).saturating_sub(travels),
            halt_after: settings.halt_after,
            halt_scope: settings.halt_scope,
            wave: settings.wave,
            hold: settings.hold_timeout.map(|hold| self.span(hold)),
            least_healthy: settings
                .policies
                .as_ref()
                .and_then(|policies| policies.min_healthy_absolute),
            settle: self.span(settings.post_boot_settle),
        }
    }

    /// The kernel's boot id.
    pub fn boot_id(&self) -> String {
        self.boot_id_of(self.boot)
    }

    /// That of one of its boots.
    pub fn boot_id_of(&self, boot: u32) -> String {
        match (&self.shared, boot) {
            (Some(shared), 0) => shared.clone(),
            _ => format!("{}{boot}", self.boots_of),
        }
    }

    /// What the ids of all its boots begin with.
    pub fn boots_of(&self) -> &str {
        &self.boots_of
    }

    /// Whether it ran this boot before the present one.
    pub fn had_boot(&self, boot_id: &str) -> bool {
        let number = boot_id.strip_prefix(self.boots_of()).map(str::parse::<u32>);
        matches!(number, Some(Ok(number)) if number < self.boot)
            || self.boot > 0 && self.shared.as_deref() == Some(boot_id)
    }

    /// Its clocks at a moment.
    pub fn now(&self, at: Time) -> Now {
        Now {
            mono: Duration::from_micros((at - self.stood_still) * self.plan.clock_permille / 1000),
            wall: self.wall(at),
        }
    }

    fn wall(&self, at: Time) -> Timestamp {
        let micros = i64::try_from(at).unwrap_or(i64::MAX);
        let offset = EPOCH_SECOND + self.plan.wall_offset_sec + self.wall_jump_sec;
        Timestamp::from_microsecond(offset * 1_000_000 + micros).expect("a time near 2026")
    }

    /// Whether the window is open by its wall clock, told apart from the code under test.
    pub fn window_open(&self, at: Time) -> bool {
        let hours = self.wall(at).as_second().div_euclid(3600) + i64::from(self.plan.zone);
        !self.plan.windows || hours % 2 == 1
    }

    /// When its monotonic clock will show this.
    pub fn moment(&self, mono: Duration) -> Time {
        self.span(mono).saturating_add(self.stood_still)
    }

    /// How long a span of its monotonic clock really takes.
    pub fn span(&self, mono: Duration) -> Time {
        let micros = Time::try_from(mono.as_nanos().div_ceil(1000)).unwrap_or(Time::MAX / 2000);
        (micros * 1000).div_ceil(self.plan.clock_permille)
    }

    /// The limit of its drain hook.
    pub fn drain_limit(&self) -> Time {
        self.span(self.plan.settings.drain_timeout.unwrap_or_default())
    }

    /// What the detectors would say.
    pub fn asks(&self, now: Time) -> bool {
        self.required && now >= self.flap_until
    }

    /// The process, when this is its number.
    pub fn process(&mut self, pid: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.pid == pid)
    }
}

impl Process {
    /// A process at its beginning.
    pub fn new(pid: u64, machine: Machine, started: Time) -> Process {
        Process {
            pid,
            started,
            paused_until: None,
            backlog: Vec::new(),
            open: Vec::new(),
            abandoned: Vec::new(),
            script: None,
            monitor: None,
            wake: None,
            overdue: 0,
            gates: GateLog::default(),
            commits: 0,
            committed: None,
            lied_to: false,
            stale_renewal: None,
            stale_for: None,
            commit_sent: 0,
            reloaded: 0,
            unanswered: started,
            drained_at: 0,
            drains: 0,
            reboots: 0,
            busy: (0, 0),
            named: number(&machine.settings().node),
            commitment: Commitment::Unknown,
            machine,
        }
    }

    /// Counts an action; how many there were in this second.
    pub fn count(&mut self, now: Time) -> u32 {
        let second = now / SECOND;
        if self.busy.0 != second {
            self.busy = (second, 0);
        }
        self.busy.1 += 1;
        self.busy.1
    }

    /// Takes the answer to a question; false when it was answered already.
    pub fn close(&mut self, channel: Channel, ticket: Ticket) -> bool {
        let before = self.open.len();
        self.open.retain(|open| *open != (channel, ticket));
        self.open.len() < before
    }
}

/// The number in a name.
pub(crate) fn number(name: &str) -> usize {
    let digits = name.strip_prefix('n').map(str::parse);
    digits
        .and_then(Result::ok)
        .expect("names are n and a number")
}
