//! What a process of ours exits with. Part of the interface: scripts and timers rely on the numbers.

/// How a command, or the daemon, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    pub(super) const DONE: Exit = Exit(0);
    pub(super) const FAILURE: Exit = Exit(1);
    pub(super) const INVALID_CONFIGURATION: Exit = Exit(2);
    pub(super) const HEALTH: Exit = Exit(3);
    pub(super) const DETECTOR_FAILED: Exit = Exit(6);
    pub(super) const VIOLATED: Exit = Exit(9);
    pub(super) const USAGE: Exit = Exit(64);

    /// All of them, with what they mean, for help and manual.
    pub const TABLE: &'static [(u8, &'static str)] = &[
        (0, "done, or nothing to do"),
        (1, "runtime failure"),
        (2, "invalid configuration"),
        (3, "blocked by the health script or a policy"),
        (4, "not this node's turn"),
        (5, "kill switch, pause, or a stopped line"),
        (6, "a detector failed"),
        (7, "outside of the maintenance window"),
        (8, "cooldown, or no reboot budget left"),
        (9, "etcd's history shows a violation"),
        (64, "wrong command line"),
        (75, "another instance runs on this host"),
    ];
}
