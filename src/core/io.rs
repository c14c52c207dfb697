//! What goes into the machine and what comes out.

use std::time::Duration;

use etcd_rs_sync::{Error, Keys, Reply, Request};
use jiff::Timestamp;

use super::facts::{DetectorReport, HealthPhase, ScriptReport};
use super::{Memory, Note, Refusal, Settings};
use crate::lock::Permit;

/// The time, as the driver reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since some moment before the machine began, never going back. All waiting and all deadlines use this.
    pub mono: Duration,
    /// The wall clock: for maintenance windows and display only.
    pub wall: Timestamp,
}

/// Matches an answer to its question. An answer with an older ticket is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One of the operator's hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before the reboot. It disrupts the node.
    Drain {
        /// After this moment, monotonic, it must not be started any more: what permits it is too old by then.
        until: Duration,
    },
    /// After the reboot, or when it is called off.
    Undo,
}

/// What the driver is asked to do.
#[derive(Debug)]
pub enum Action {
    /// Send this to etcd; answer with [`Input::Etcd`]. At most one is under way.
    Etcd(Ticket, Request),
    /// Send this renewal of the session lease on its own connection; answer with [`Input::Renewed`].
    Renew(Ticket, Request),
    /// Send this on behalf of the health report, on its own connection; answer with [`Input::Reported`].
    Report(Ticket, Request),
    /// Send this, the machine's last word; an answer is not needed but ends the program sooner ([`Input::Farewell`]).
    Farewell(Request),
    /// Run all detectors; answer with [`Input::Detected`].
    Detect(Ticket),
    /// Run the health script; answer with [`Input::Script`].
    Health(Ticket, HealthPhase, ScriptFacts),
    /// Run the health script in phase `monitor`; answer with [`Input::Monitored`]. It may run beside another script.
    Monitor(Ticket, ScriptFacts),
    /// Run a hook; answer with [`Input::Script`].
    Hook(Ticket, Hook, ScriptFacts),
    /// End what [`Action::Detect`], [`Action::Health`] or [`Action::Hook`] started. Its answer is ignored.
    CancelScripts,
    /// Look at the kill switch and the configuration file now; answer with [`Input::Host`].
    LookAtHost(Ticket),
    /// Run the reboot command **now**; answer with [`Input::RebootCommand`]. The permit is used up.
    Reboot(Ticket, Permit, ScriptFacts),
    /// Follow these keys from this revision on, or nothing. Replaces what was followed before. The ticket names the watch.
    Watch(Option<(Ticket, Keys, i64)>),
    /// Write the marker of a completed reboot.
    RecordCompleted(String),
    /// Keep this where the next process, and where that is possible the next boot, finds it.
    Remember(Memory),
    /// Tell the operator.
    Note(Note),
    /// End the program with this exit code.
    Exit(u8),
}

/// What a new configuration brings.
#[derive(Clone, Debug)]
pub struct Reload {
    /// All of it that the machine knows of.
    pub settings: Settings,
    /// The drain hook is another one than before, so that one that runs is stopped.
    pub drains_otherwise: bool,
    /// The endpoints are others, and nothing says that the cluster behind them is the one that was asked before.
    pub elsewhere: bool,
}

/// What a script is told about the moment it runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptFacts {
    /// Whether this node holds a claim.
    pub held: bool,
    /// How many times this node tried to get its turn in this pass.
    pub attempts: u32,
    /// Why the reboot is required.
    pub reasons: Vec<String>,
    /// Every member at the last look at the cluster; empty without cluster policies.
    pub members: Vec<String>,
    /// Those that were healthy.
    pub healthy: Vec<String>,
}

/// What the driver tells.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// etcd answered [`Action::Etcd`].
    Etcd(Ticket, Result<Reply, Error>),
    /// etcd answered [`Action::Renew`].
    Renewed(Ticket, Result<Reply, Error>),
    /// etcd answered [`Action::Report`].
    Reported(Ticket, Result<Reply, Error>),
    /// The health script ended that [`Action::Monitor`] started.
    Monitored(Ticket, ScriptReport),
    /// etcd answered [`Action::Farewell`].
    Farewell,
    /// The detectors' answers.
    Detected(Ticket, Vec<DetectorReport>),
    /// A health script or hook ended.
    Script(Ticket, ScriptReport),
    /// What the host itself has against a reboot: its kill switch, or a configuration that the next start could not use.
    Host(Ticket, Option<Refusal>),
    /// The reboot command ended.
    RebootCommand(Ticket, ScriptReport),
    /// Something happened to the keys that are followed.
    Watch(Ticket, WatchEvent),
    /// What does not work on this host, though everything goes on; nothing when it works again. For people only.
    Hampered(Option<String>),
    /// A new configuration is in force, and new connections: what was asked of etcd may never be answered.
    Reload(Box<Reload>),
    /// SIGTERM or SIGINT.
    Stop,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// A key went away.
    Deleted(Vec<u8>),
    /// A key was written, with its new mod revision and value.
    Written(Vec<u8>, i64, Vec<u8>),
    /// Events may have been missed: count again.
    Lost,
    /// It stands, for the first time or again. Nothing was missed.
    Stands,
    /// It does not stand, and why. It goes on by itself where it was.
    Failing(String),
}
