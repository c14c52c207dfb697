//! What a command line asks for: the command with its own flags.

use std::path::PathBuf;
use std::time::Duration;

use super::commands::CommandSpec;
use super::moment::Moment;
use crate::core::Mode;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The configuration file.
    pub config: PathBuf,
    /// Print JSON.
    pub json: bool,
    /// The command with its own flags.
    pub command: Command,
}

/// A command with its own flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The daemon, or one pass of it.
    Run {
        /// With `--once` how long it waits for a turn; nothing, to take one only if it is free now.
        mode: Mode,
        /// Everything but the commit, hooks and reboot, whatever the configuration says.
        dry_run: bool,
    },
    /// Check the configuration, and print so many of the next openings of its windows.
    ValidateConfig(usize),
    /// Check every etcd endpoint.
    CheckEtcd,
    /// Run the detectors once, and where it is so the health script too.
    Simulate(bool),
    /// Show the cluster and this node.
    Status {
        /// Again whenever something changes.
        watch: bool,
        /// With the endpoints of etcd.
        verbose: bool,
    },
    /// Say why a node does not reboot now.
    Explain {
        /// Which; this one when none is named.
        node: Option<String>,
        /// Judge the maintenance window then instead of now.
        at: Option<Moment>,
    },
    /// List finished attempts.
    History,
    /// Judge etcd's history from this revision; without it from the oldest there is.
    VerifyHistory(Option<i64>),
    /// Stop reboots in the whole cluster.
    Pause(PauseOptions),
    /// Let them go on.
    Resume,
    /// Take a claim away.
    Release {
        /// Whose.
        node: String,
        /// Why, for the history.
        reason: String,
        /// Without asking.
        yes: bool,
    },
    /// Ask for reboots, or withdraw requests.
    Request(RequestOptions),
    /// Let the line go on.
    GoOn {
        /// Why, for the others.
        reason: String,
        /// For how many nodes.
        nodes: Option<u32>,
    },
    /// Let a node try again.
    ResetBudget {
        /// Which.
        node: String,
        /// Why, for the history.
        reason: String,
    },
    /// Remove this member.
    Forget(String),
    /// Print this completion script.
    Completions(&'static str),
    /// Print the names of nodes, for completions; where it is so only of those that have a claim.
    Names(bool),
    /// Print the version.
    Version,
    /// Print help, of one command or in general.
    Help(Option<&'static CommandSpec>),
}

/// How to pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseOptions {
    /// Why, for the others.
    pub reason: Option<String>,
    /// Until somebody resumes, or for this long.
    pub length: Option<Duration>,
    /// Shorten a pause without asking.
    pub yes: bool,
}

/// Whose reboot is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// These nodes, in this order; or, when empty, all of them.
    pub nodes: Vec<String>,
    /// Withdraw instead.
    pub cancel: bool,
    /// Why, for the others.
    pub reason: Option<String>,
    /// Past windows and cooldown, for so long.
    pub urgent: Option<Duration>,
}
