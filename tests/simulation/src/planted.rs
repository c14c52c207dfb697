//! Faults planted into the protocol, to see that the properties notice. The program knows nothing of them: they change what
//! passes between a machine and its world. With each stand the properties that are about it: another one that fails does not
//! count as having noticed.

pub(crate) mod change;

macro_rules! planted {
    ($($(#[doc = $text:literal])+ $name:ident: $about:expr,)*) => {
        /// A fault of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Planted {
            $($(#[doc = $text])+ $name,)*
        }

        impl Planted {
            /// All of them, with what they do.
            pub const ALL: &[(Planted, &str)] = &[$((Planted::$name, concat!($($text),+)),)*];

            /// The properties that are about it.
            pub fn about(self) -> &'static [&'static str] {
                match self {
                    $(Planted::$name => &$about,)*
                }
            }
        }
    };
}

planted! {
    /// The commit does not compare its own claim.
    CommitUnguarded: ["P1", "P3", "P4", "P5", "turn", "permit"],
    /// The commit compares the create revision of its claim, and not what was written to it since.
    CommitComparesCreateOnly: ["P1", "P2", "P3", "P5", "turn", "permit"],
    /// The commit leaves the claim on its lease.
    CommitKeepsLease: ["P3"],
    /// The commit does not compare the pause.
    CommitIgnoresPause: ["P2"],
    /// The commit does not compare the cooldown.
    CommitIgnoresCooldown: ["P2"],
    /// The commit does not compare the claims and reports that were judged.
    CommitIgnoresMembers: ["P2", "wave"],
    /// The commit does not demand that the reports that were judged are there still.
    CommitIgnoresEndedReports: ["P2"],
    /// The commit does not compare the operator's request.
    CommitIgnoresRequest: ["P2", "requests"],
    /// A request is noted with another boot.
    RequestNotedWrongly: ["P2", "P5", "requests"],
    /// The commit does not count the reboot.
    CommitDoesNotSpend: ["P6"],
    /// The commit does not note the attempt in the registration.
    CommitNotesNoAttempt: ["P5", "P1"],
    /// A commit whose outcome is unknown counts as done.
    UnknownCommitIsSuccess: ["permit", "P1"],
    /// A commit whose outcome is unknown counts as not done, and nothing is looked at again.
    UnknownCommitIsFailure: ["P3", "P5", "commitment"],
    /// The fence takes the lease away from the place.
    FenceDropsLease: ["P4"],
    /// A permit that has grown old is used all the same.
    PermitNeverExpires: ["permit", "age"],
    /// A drain may take as long as it likes.
    DrainNeverTooLong: ["age"],
    /// The gates may take as long as they like.
    GatesNeverTooOld: ["age"],
    /// The monotonic clock stands still while the process does, as `CLOCK_MONOTONIC` does while the host is suspended.
    ClockStopsInSleep: ["permit", "age"],
    /// The release compares nothing.
    ReleaseUnguarded: ["P1", "P3", "P5"],
    /// The claim is given back before the proof of health.
    ReleaseBeforeVerify: ["P1", "P3"],
    /// The release begins no cooldown.
    ReleaseWithoutCooldown: ["P2"],
    /// A release whose outcome is unknown counts as done.
    UnknownReleaseIsSuccess: ["P5"],
    /// After a place was given up its claim is not read again.
    LeftUnread: ["P5", "commitment"],
    /// Joining overwrites what stands there.
    JoinOverwrites: ["P1", "P3"],
    /// The place hangs on no lease.
    JoinWithoutLease: ["P4"],
    /// Taking a place over overwrites what stands there.
    TakeOverUnguarded: ["P1", "P3"],
    /// Taking a place over compares the create revision, and not what was written since.
    TakeOverComparesCreateOnly: ["P1", "P3"],
    /// A place that is taken over stays on the lease of the dead process.
    TakeOverKeepsOldLease: ["P4", "lease"],
    /// What a dead process left is removed, whatever it has become.
    RemoveUnguarded: ["P1", "P3"],
    /// The node that is back writes its claim, whatever stands there.
    MarkUnguarded: ["P1", "P3"],
    /// After the drain the claim is written, whatever stands there.
    MoveUnguarded: ["P1", "P3"],
    /// Taking a claim away compares nothing.
    TakeAwayUnguarded: ["P3"],
    /// A claim is taken away after five seconds.
    HoldTimeoutTooShort: ["P3"],
    /// The count of the queue sees nobody.
    CountSeesNobody: ["turn", "P1"],
    /// The count of the queue forgets the furthest: a turn is counted with "at most" for "fewer than".
    CountForgetsOne: ["turn", "P1"],
    /// The count of the queue sees only the two claims that are next before the own one.
    CountSeesTheNearest: ["turn", "P1", "domains"],
    /// The count of the queue sees only committed claims: what could still be committed may grow.
    CountSeesTheCommitted: ["turn", "P1", "domains"],
    /// The labels of others are those of their configuration, and not those of their claims.
    DomainsOfTheConfiguration: ["turn", "P1", "domains"],
    /// The labels of others are not looked at.
    DomainsUnseen: ["turn", "domains"],
    /// Others are believed to heed the judge's limits of labels, and not their own.
    LimitsOfOthersUnseen: ["turn", "P1"],
    /// The deadline of the lease counts from an answer, and not from the request.
    DeadlineFromReceipt: ["lease"],
    /// The watch tells nothing.
    WatchIsDeaf: ["P5"],
    /// The server ignores guards, and the self-test does not notice.
    ServerIgnoresGuards: ["P1", "P2", "P3", "turn"],
    /// The gates are not judged again when the turn has come.
    PostLockSkipped: ["P2"],
    /// The health script before the commit is not heeded.
    HealthIgnored: ["P2"],
    /// The proof of health after the reboot is not heeded.
    ProofIgnored: ["P3"],
    /// The drain is not undone.
    UndoSkipped: ["P3", "P5"],
    /// Health need not last.
    SettleIgnored: ["P3"],
    /// The kill switch is not heeded.
    KillSwitchIgnored: ["P2"],
    /// The kill switch is not looked at again before the command.
    LastLookSkipped: ["P2"],
    /// The window is not heeded.
    WindowIgnored: ["P2"],
    /// The detectors are not asked again.
    DetectorsIgnored: ["P2"],
    /// A detector that fails counts as asking.
    UnknownIsYes: ["P2"],
    /// The budget is not heeded.
    BudgetIgnored: ["P6"],
    /// A reboot command that fails is believed at once.
    NoGrace: ["P1", "P3"],
    /// A reboot command ended by a signal counts as not started.
    SignalIsFailure: ["P1", "P3"],
    /// Every process believes that the host has rebooted.
    BootIdChanges: ["P1", "P3"],
    /// No process sees that the host has rebooted.
    BootIdConstant: ["P1", "P3", "P5", "P6"],
    /// A reboot that does nothing is never noticed.
    RebootTimeoutForever: ["P5"],
    /// The driver runs the reboot command twice on one permit.
    PermitUsedTwice: ["permit"],
    /// A reload is not heeded.
    ReloadIgnored: ["P2", "reload", "turn"],
    /// A reload is not heeded from the commit to the reboot command.
    ReloadIgnoredAfterCommit: ["reload"],
    /// Failed reboots stop nobody.
    LineIgnored: ["line"],
    /// Failures of other kernels count as little as if `halt_scope` said so.
    ScopeIgnored: ["line"],
    /// The commit does not demand that no failure became known since it was judged.
    CommitIgnoresFailures: ["line"],
    /// The commit does not compare the operator's word.
    GoOnUnguarded: ["line"],
    /// The commit does not count the operator's word down.
    GoOnNotCounted: ["line"],
    /// A reboot that cleared nothing leaves nothing behind.
    FailureForgotten: ["line"],
    /// That a node does not come back is said whatever its claim is by now.
    FailureUnguarded: ["line"],
    /// The gates do not look at the claims of others.
    OthersUnseen: ["line"],
    /// Nobody of a lower wave is seen.
    WavesUnseen: ["wave"],
    /// Who says nothing counts as having nothing to do.
    SilentCountAsThrough: ["wave"],
    /// The commit does not compare the claims and registrations that were judged.
    CommitIgnoresWaves: ["wave"],
    /// What is noted in an urgent request never ends, and counts all the same.
    UrgencyNeverEnds: ["P2"],
    /// The commit does not compare the urgent request that let its node past a gate.
    CommitIgnoresUrgency: ["P2"],
    /// An urgent request lets its node past a pause, too.
    UrgencyPassesPause: ["P2"],
    /// A health report is written whatever stands there.
    ReportUnguarded: ["reports"],
    /// A commit that is refused counts as not done, though an earlier copy of it stands there.
    CopyOfCommitUnseen: ["P3", "P5", "commitment"],
    /// A host remembers nothing of its past boots, so that a copy of it is not told from it.
    CopiesUnseen: ["copies", "P1"],
    /// What touches the host's files has no limit.
    LooksNeverEnd: ["hangs"],
    /// A look at the kill switch that has no answer counts as "not there".
    NoAnswerIsNo: ["P2"],
    /// The window is judged by the time zone of the start.
    ZoneIgnored: ["P2"],
    /// A key of a tool among the claims counts as one.
    ForeignCounts: ["P5"],
    /// The release removes everything that begins with the name of its claim.
    ReleaseSweeps: ["foreign"],
    /// Another name of the host is taken over at once, whatever is held under the old one.
    NameTakenAtOnce: ["names"],
    /// A node that holds a claim does not heed that it is named otherwise.
    NewNameUnheeded: ["names"],
    /// A new name is registered, and the old one stays a member.
    FormerNameStays: ["P5"],
    /// What stands under the own name counts as the own, whichever machine wrote it.
    ForeignNameIsOwn: ["copies", "P1", "P3"],
    /// Another name makes the budget whole.
    NameRefunds: ["P6"],
}
