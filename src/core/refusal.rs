//! Why a node does not reboot now. The one source of the log reason, the metric label, the exit code and the line in `status`.

use super::verdict::Word;
use super::{policy, wave};

/// The reason a gate is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No detector asks for a reboot.
    NotRequired,
    /// No detector asks, and at least one could not tell.
    Unknown(String),
    /// The kill switch file is there, or cannot be checked.
    KillSwitch(String),
    /// What the next start would read is no configuration, or leads to other records than these.
    Configuration(String),
    /// The cluster is paused.
    Paused(String),
    /// Outside the maintenance window.
    Window(String),
    /// The cluster cools down after the last reboot.
    Cooldown(String),
    /// Earlier reboots did not clear the requirement.
    Budget(String),
    /// The health script does not say yes.
    Health(String),
    /// A cluster policy forbids it.
    Policy(String),
    /// Reboots of other nodes failed: the line stands.
    Line(String),
    /// A member of a lower wave goes first.
    Wave(String),
    /// Other nodes are before this one.
    NotTurn(String),
    /// etcd does not answer, or not as it must.
    Etcd(String),
    /// The place in the queue was lost.
    Lost(String),
    /// An attempt was called off after the commit.
    Aborted(String),
    /// Everything passed, but this is a dry run.
    DryRun,
}

impl Refusal {
    /// Every refusal there is, so that metrics can name them all from the start.
    pub fn all() -> [Refusal; 17] {
        Refusal::all_for("")
    }

    fn all_for(why: &str) -> [Refusal; 17] {
        let why = || why.to_owned();
        [
            Refusal::NotRequired,
            Refusal::Unknown(why()),
            Refusal::KillSwitch(why()),
            Refusal::Configuration(why()),
            Refusal::Paused(why()),
            Refusal::Window(why()),
            Refusal::Cooldown(why()),
            Refusal::Budget(why()),
            Refusal::Health(why()),
            Refusal::Policy(why()),
            Refusal::Line(why()),
            Refusal::Wave(why()),
            Refusal::NotTurn(why()),
            Refusal::Etcd(why()),
            Refusal::Lost(why()),
            Refusal::Aborted(why()),
            Refusal::DryRun,
        ]
    }

    /// Its label, its gate and its exit code.
    fn names(&self) -> (&'static str, &'static str, u8) {
        match self {
            Refusal::NotRequired => ("not_required", "detectors", 0),
            Refusal::Unknown(_) => ("detector", "detectors", 6),
            Refusal::KillSwitch(_) => ("kill_switch", "kill switch", 5),
            Refusal::Configuration(_) => ("configuration", "configuration", 2),
            Refusal::Paused(_) => ("paused", "pause", 5),
            Refusal::Window(_) => ("window", "window", 7),
            Refusal::Cooldown(_) => ("cooldown", "cooldown", 8),
            Refusal::Budget(_) => ("budget", "budget", 8),
            Refusal::Health(_) => ("health", "health", 3),
            Refusal::Policy(_) => ("policy", "policies", 3),
            Refusal::Line(_) => ("line", "line", 5),
            Refusal::Wave(_) => ("wave", "wave", 4),
            Refusal::NotTurn(_) => ("not_turn", "turn", 4),
            Refusal::Etcd(_) => ("etcd", "etcd", 1),
            Refusal::Lost(_) => ("lost", "turn", 1),
            Refusal::Aborted(_) => ("aborted", "attempt", 1),
            Refusal::DryRun => ("dry_run", "dry run", 0),
        }
    }

    /// The label in metrics and logs.
    pub fn label(&self) -> &'static str {
        self.names().0
    }

    /// The gate that refuses, one of [`GATES`](super::verdict::GATES) where it is one.
    pub fn gate(&self) -> &'static str {
        self.names().1
    }

    /// The exit code of `--once`.
    pub fn exit_code(&self) -> u8 {
        self.names().2
    }

    /// What its gate says: what could not be known is told apart from a no.
    pub fn word(&self) -> Word {
        match self {
            Refusal::Unknown(_) | Refusal::Etcd(_) | Refusal::Lost(_) => Word::Unknown,
            _ => Word::Blocks,
        }
    }

    /// Whether a policy or a wave keeps a node only until others are through, or have looked.
    pub fn passes(&self) -> bool {
        match self {
            Refusal::Policy(why) => why.contains(policy::PASSES),
            Refusal::Wave(why) => why.contains(wave::NOT_LOOKED),
            _ => false,
        }
    }

    /// The refusal of this label.
    pub fn of(label: &str, why: &str) -> Option<Refusal> {
        let mut all = Refusal::all_for(why).into_iter();
        all.find(|refusal| refusal.label() == label)
    }

    /// What and why, as a sentence.
    pub fn text(&self) -> String {
        match self {
            Refusal::NotRequired => "no reboot is required".to_owned(),
            Refusal::DryRun => {
                "every gate passed; dry_run is set, so this node does not commit and does not reboot"
                    .to_owned()
            }
            Refusal::Unknown(why) => {
                format!("whether a reboot is required is unknown: {why}")
            }
            Refusal::KillSwitch(why) => format!("the kill switch of this node is on: {why}"),
            Refusal::Configuration(why) => format!(
                "as things are, this node must not reboot: {why}"
            ),
            Refusal::Paused(why) => format!("the cluster is paused: {why}"),
            Refusal::Window(why) => format!("outside the maintenance window: {why}"),
            Refusal::Cooldown(why) => format!("the cluster cools down: {why}"),
            Refusal::Budget(why) => format!("the reboot budget is used up: {why}"),
            Refusal::Health(why) => format!("the health script does not allow it: {why}"),
            Refusal::Policy(why) => format!("a cluster policy forbids it: {why}"),
            Refusal::Line(why) => format!("the line stands, because a reboot failed: {why}"),
            Refusal::Wave(why) => format!("members of lower waves go first: {why}"),
            Refusal::NotTurn(why) => format!("it is not this node's turn: {why}"),
            Refusal::Etcd(why) if why.starts_with("etcd") => why.clone(),
            Refusal::Etcd(why) => format!("etcd: {why}"),
            Refusal::Lost(why) => format!("the place in the queue was lost: {why}"),
            Refusal::Aborted(why) => format!("the attempt was called off: {why}"),
        }
    }

    /// What to do about it; empty when there is nothing to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            // What is wrong with etcd comes with its remedy.
            Refusal::NotRequired
            | Refusal::DryRun
            | Refusal::NotTurn(_)
            | Refusal::Lost(_)
            | Refusal::Window(_)
            | Refusal::Etcd(_) => "",
            Refusal::Unknown(_) => "repair the detector named here",
            Refusal::KillSwitch(_) => {
                "remove the file when this node may reboot again, or correct a path that cannot be checked"
            }
            Refusal::Configuration(why)
                if why.contains("run_dir is ") || why.contains("the boot id is ") =>
            {
                "correct it, or restart the daemon when the file is as it shall be: a reload does not take it"
            }
            Refusal::Configuration(_) => {
                "correct what is named here, or reload the daemon when the file is as it shall be"
            }
            Refusal::Paused(_) => "resume the cluster when reboots may go on",
            Refusal::Cooldown(why) if why.contains("does not end by itself") => "",
            Refusal::Cooldown(_) => "it ends by itself, with its lease",
            Refusal::Budget(_) => {
                "find out why the requirement is not cleared (history says how each reboot ended); the budget is whole again once no detector asks, or by `reboot-coordinator reset-budget`"
            }
            Refusal::Health(_) => "run the script by hand and repair what it reports",
            Refusal::Policy(_) | Refusal::Wave(_) if self.passes() => "",
            Refusal::Policy(why) if why.contains(policy::NEVER) => {
                "relax the policy, on every node, or let more members join"
            }
            Refusal::Policy(_) => {
                "wait for the other members, or repair them; forget those that are gone for good, if the policy can hold without them"
            }
            Refusal::Line(why) if why.contains("names no node") => {
                "delete it when it is nothing of worth, or give the group whose key it is another `lock_key`"
            }
            Refusal::Line(_) => {
                "repair the node named here: it goes on by itself while it holds a claim, and without one once no detector asks there, or after `reboot-coordinator reset-budget`; `release` its claim when it will not return, `forget` it when it is gone; `reboot-coordinator go-on` lets the others go all the same, as far as there is a place for them"
            }
            Refusal::Wave(_) => {
                "it goes on by itself unless the member named here needs somebody: see to that one, or `reboot-coordinator forget` it when it is gone for good, and `release` its claim before if it holds one; to go on without it, change its `wave`, which counts once it holds no claim"
            }
            Refusal::Aborted(_) => {
                "see to what is named here; a daemon that is restarted tries at once"
            }
        }
    }
}
