//! What a process of ours exits with. Part of the interface: scripts and timers rely on the numbers.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Something failed at run time.
    Failure = 1,
    /// The configuration is invalid.
    InvalidConfiguration = 2,
    /// Blocked by the health script or a cluster policy.
    HealthOrPolicy = 3,
    /// Another node has its turn.
    NotItsTurn = 4,
    /// Stopped by the kill switch file, a cluster pause, or a line that stands because a reboot failed.
    KillSwitchOrPause = 5,
    /// A detector could not tell whether a reboot is required.
    DetectorFailed = 6,
    /// Outside of the maintenance window.
    Window = 7,
    /// Cooldown, or no reboot budget left.
    CooldownOrBudget = 8,
    /// etcd's history shows that a promise was broken.
    Violated = 9,
    /// The command line is wrong.
    Usage = 64,
    /// Another instance runs on this host.
    AnotherInstance = 75,
}

impl Exit {
    /// All of them, with what they mean, for help and manual.
    pub const TABLE: &'static [(Exit, &'static str)] = &[
        (Exit::Done, "done, or nothing to do"),
        (Exit::Failure, "runtime failure"),
        (Exit::InvalidConfiguration, "invalid configuration"),
        (
            Exit::HealthOrPolicy,
            "blocked by the health script or a policy",
        ),
        (Exit::NotItsTurn, "not this node's turn"),
        (
            Exit::KillSwitchOrPause,
            "kill switch, pause, or a stopped line",
        ),
        (Exit::DetectorFailed, "a detector failed"),
        (Exit::Window, "outside of the maintenance window"),
        (Exit::CooldownOrBudget, "cooldown, or no reboot budget left"),
        (Exit::Violated, "etcd's history shows a violation"),
        (Exit::Usage, "wrong command line"),
        (Exit::AnotherInstance, "another instance runs on this host"),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}
