//! Faults planted into the protocol, to see that the properties notice. The program knows nothing of them: they change what
//! passes between a machine and its world.

use std::time::Duration;

use etcd_rs_sync::{Compare, Error, Header, Keys, Op, OpReply, Put, PutReply, Reply, Request};
use etcd_rs_sync::{Txn, TxnReply};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome, ScriptReport};
use reboot_coordinator::core::machine::{Entry, Stage};
use reboot_coordinator::core::{Input, Machine, Settings, State};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{NodeRecord, RebootRequest};

macro_rules! planted {
    ($($(#[doc = $text:literal])+ $name:ident,)*) => {
        /// A fault of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Planted {
            $($(#[doc = $text])+ $name,)*
        }

        impl Planted {
            /// All of them, with what they do.
            pub const ALL: &[(Planted, &str)] = &[$((Planted::$name, concat!($($text),+)),)*];
        }
    };
}

planted! {
    /// The commit does not compare its own claim.
    CommitUnguarded,
    /// The commit leaves the claim on its lease.
    CommitKeepsLease,
    /// The commit does not compare the pause.
    CommitIgnoresPause,
    /// The commit does not compare the cooldown.
    CommitIgnoresCooldown,
    /// The commit does not compare the claims and reports that were judged.
    CommitIgnoresMembers,
    /// The commit does not compare the operator's request.
    CommitIgnoresRequest,
    /// A request is noted with another boot.
    RequestNotedWrongly,
    /// The commit does not count the reboot.
    CommitDoesNotSpend,
    /// A commit whose outcome is unknown counts as done.
    UnknownCommitIsSuccess,
    /// The fence takes the lease away from the place.
    FenceDropsLease,
    /// The release compares nothing.
    ReleaseUnguarded,
    /// The release begins no cooldown.
    ReleaseWithoutCooldown,
    /// Joining overwrites what stands there.
    JoinOverwrites,
    /// The place hangs on no lease.
    JoinWithoutLease,
    /// Taking a place over overwrites what stands there.
    TakeOverUnguarded,
    /// Taking a claim away compares nothing.
    TakeAwayUnguarded,
    /// A claim is taken away after five seconds.
    HoldTimeoutTooShort,
    /// The count of the queue sees nobody.
    CountSeesNobody,
    /// The count of the queue forgets the furthest.
    CountForgetsOne,
    /// The watch tells nothing.
    WatchIsDeaf,
    /// The server ignores guards, and the self-test does not notice.
    ServerIgnoresGuards,
    /// The health script before the commit is not heeded.
    HealthIgnored,
    /// The proof of health after the reboot is not heeded.
    ProofIgnored,
    /// The drain is not undone.
    UndoSkipped,
    /// Health need not last.
    SettleIgnored,
    /// The kill switch is not heeded.
    KillSwitchIgnored,
    /// The window is not heeded.
    WindowIgnored,
    /// The detectors are not asked again.
    DetectorsIgnored,
    /// A detector that fails counts as asking.
    UnknownIsYes,
    /// The budget is not heeded.
    BudgetIgnored,
    /// A reboot command that fails is believed at once.
    NoGrace,
    /// A reboot command ended by a signal counts as not started.
    SignalIsFailure,
    /// Every process believes that the host has rebooted.
    BootIdChanges,
    /// No process sees that the host has rebooted.
    BootIdConstant,
    /// A reboot that does nothing is never noticed.
    RebootTimeoutForever,
    /// The driver runs the reboot command twice on one permit.
    PermitUsedTwice,
}

impl Planted {
    pub(crate) fn on_settings(self, settings: &mut Settings, pid: u64) {
        match self {
            Planted::HoldTimeoutTooShort => settings.hold_timeout = Some(Duration::from_secs(5)),
            Planted::UndoSkipped => settings.undoes = false,
            Planted::SettleIgnored => settings.post_boot_settle = Duration::ZERO,
            Planted::WindowIgnored => settings.windows = None,
            Planted::BudgetIgnored => settings.max_reboots_without_clearing = 99,
            Planted::BootIdChanges => settings.boot_id = format!("process-{pid}"),
            Planted::BootIdConstant => settings.boot_id = "same".to_owned(),
            Planted::RebootTimeoutForever => {
                settings.reboot_timeout = Duration::from_secs(1_000_000);
            }
            _ => {}
        }
    }

    pub(crate) fn on_request(self, request: &mut Request, machine: &Machine) {
        let Request::Txn(txn) = request else {
            return;
        };
        match (self, machine.state()) {
            (Planted::CommitUnguarded, State::Committing(_)) => unguard(txn, "/claims/n"),
            (Planted::CommitIgnoresPause, State::Committing(_)) => unguard(txn, "/pause"),
            (Planted::CommitIgnoresCooldown, State::Committing(_)) => unguard(txn, "/cooldown"),
            (Planted::CommitIgnoresMembers, State::Committing(_)) => txn
                .compares
                .retain(|compare| compare.keys.range_end.is_empty()),
            (Planted::CommitIgnoresRequest, State::Committing(_)) => unguard(txn, "/requests/n"),
            (Planted::RequestNotedWrongly, State::Noting(_)) => {
                for put in puts(txn) {
                    if let Ok(mut record) = decode::<RebootRequest>(&put.value) {
                        record.boot_id = Some("another".to_owned());
                        put.value = encode(&record);
                    }
                }
            }
            (Planted::CommitKeepsLease, State::Committing(_)) => {
                for put in puts(txn).filter(|put| is(&put.key, "/claims/")) {
                    put.ignore_lease = true;
                }
            }
            (Planted::CommitDoesNotSpend, State::Committing(_)) => {
                for put in puts(txn).filter(|put| is(&put.key, "/nodes/")) {
                    if let Ok(mut record) = decode::<NodeRecord>(&put.value) {
                        record.budget_used = 0;
                        put.value = encode(&record);
                    }
                }
            }
            (Planted::FenceDropsLease, State::Fencing(_)) => {
                for put in puts(txn) {
                    put.ignore_lease = false;
                }
            }
            (Planted::ReleaseUnguarded, State::Ending(_))
            | (Planted::JoinOverwrites, State::Entering(Entry::Join, _))
            | (Planted::TakeOverUnguarded, State::Entering(Entry::TakeOver(_), _))
            | (Planted::TakeAwayUnguarded, State::TakingAway(_)) => txn.compares.clear(),
            (Planted::ReleaseWithoutCooldown, State::Ending(_)) => txn
                .success
                .retain(|op| !matches!(op, Op::Put(put) if is(&put.key, "/cooldown"))),
            (Planted::JoinWithoutLease, State::Entering(..)) => {
                for put in puts(txn) {
                    put.lease = 0;
                }
            }
            _ => {}
        }
    }

    pub(crate) fn on_reply(self, result: &mut Result<Reply, Error>) {
        if let Ok(Reply::Range(range)) = result {
            match self {
                Planted::CountSeesNobody => range.kvs.truncate(1),
                Planted::CountForgetsOne if range.kvs.len() > 1 => {
                    range.kvs.truncate(range.kvs.len() - 1)
                }
                _ => return,
            }
            range.more = false;
        }
    }

    pub(crate) fn on_input(self, input: &mut Input, machine: &Machine) {
        let state = machine.state();
        let before_commit = matches!(
            state,
            State::Gates(gates) if matches!(gates.stage(), Stage::PostLock | Stage::Resume | Stage::Retry)
        );
        match (self, input) {
            (Planted::UnknownCommitIsSuccess, Input::Etcd(_, result @ Err(_)))
                if matches!(state, State::Committing(_)) =>
            {
                *result = Ok(Reply::Txn(committed()));
            }
            (Planted::ServerIgnoresGuards, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::SelfTest) =>
            {
                txn.succeeded = false;
                let failed = || OpReply::Txn(TxnReply::default());
                txn.replies = vec![failed(), failed(), failed()];
            }
            (Planted::HealthIgnored, Input::Script(_, report)) if before_commit => pass(report),
            (Planted::ProofIgnored, Input::Script(_, report))
                if matches!(state, State::Verifying(_)) =>
            {
                pass(report);
            }
            (Planted::KillSwitchIgnored, Input::Host(_, why)) => *why = None,
            (Planted::DetectorsIgnored, Input::Detected(_, reports)) if before_commit => {
                for report in reports {
                    report.result = DetectorResult::Required("forged".to_owned());
                }
            }
            (Planted::UnknownIsYes, Input::Detected(_, reports)) => {
                for report in reports {
                    if let DetectorResult::Failed(why) = &report.result {
                        report.result = DetectorResult::Required(why.clone());
                    }
                }
            }
            (Planted::NoGrace, Input::RebootCommand(_, report)) if matches!(report.outcome, ScriptOutcome::Exited(code) if code != 0) =>
            {
                not_started(report);
            }
            (Planted::SignalIsFailure, Input::RebootCommand(_, report))
                if matches!(report.outcome, ScriptOutcome::Signalled(_)) =>
            {
                not_started(report);
            }
            (Planted::WatchIsDeaf, input @ Input::Watch(..)) => *input = Input::Tick,
            _ => {}
        }
    }
}

fn unguard(txn: &mut Txn, part: &str) {
    txn.compares.retain(
        |Compare {
             keys: Keys { key, .. },
             ..
         }| !is(key, part),
    );
}

fn puts(txn: &mut Txn) -> impl Iterator<Item = &mut Put> {
    txn.success.iter_mut().filter_map(|op| match op {
        Op::Put(put) => Some(put),
        Op::Range(_) | Op::Delete(_) | Op::Txn(_) => None,
    })
}

fn is(key: &[u8], part: &str) -> bool {
    String::from_utf8_lossy(key).contains(part)
}

fn committed() -> TxnReply {
    TxnReply {
        header: Header {
            revision: i64::MAX / 2,
            ..Header::default()
        },
        succeeded: true,
        replies: vec![
            OpReply::Put(PutReply::default()),
            OpReply::Put(PutReply::default()),
        ],
    }
}

fn pass(report: &mut ScriptReport) {
    report.outcome = ScriptOutcome::Exited(0);
}

fn not_started(report: &mut ScriptReport) {
    report.outcome = ScriptOutcome::NotStarted("forged".to_owned());
}
