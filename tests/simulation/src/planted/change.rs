//! What each planted fault changes in what passes between a machine and its world.

use std::time::Duration;

use etcd_rs_sync::{
    Compare, Delete, Error, Header, KeyValue, Keys, Op, OpReply, Put, PutReply, RangeReply, Reply,
    Request,
};
use etcd_rs_sync::{Target, Txn, TxnReply};
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome, ScriptReport};
use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::core::machine::{Entry, Stage};
use reboot_coordinator::core::{Input, Machine, Memory, Refusal, Settings, State};
use reboot_coordinator::lock::record::{Standing, decode, encode};
use reboot_coordinator::lock::{Claim, NodeRecord, RebootRequest};

use super::Planted;
use crate::plan::every_other_hour;

/// What is said of a look at the host's files that had none.
pub(crate) const NO_ANSWER: &str = "no answer";

impl Planted {
    pub(crate) fn on_settings(self, settings: &mut Settings, pid: u64) {
        match self {
            Planted::HoldTimeoutTooShort => settings.hold_timeout = Some(Duration::from_secs(5)),
            Planted::UndoSkipped => settings.undoes = false,
            Planted::SettleIgnored => settings.post_boot_settle = Duration::ZERO,
            Planted::WindowIgnored => settings.windows = None,
            Planted::ZoneIgnored => {
                settings.windows = settings.windows.as_ref().map(|_| every_other_hour(0));
            }
            Planted::CopiesUnseen => settings.memory = Some(Memory::default()),
            Planted::LineIgnored => settings.halt_after = 0,
            Planted::ScopeIgnored => settings.halt_scope = HaltScope::Target,
            Planted::BudgetIgnored => settings.max_reboots_without_clearing = 99,
            Planted::BootIdChanges => settings.boot_id = format!("process-{pid}"),
            Planted::BootIdConstant => settings.boot_id = "same".to_owned(),
            Planted::PermitNeverExpires => settings.etcd_timeout = Duration::from_secs(1_000_000),
            Planted::DrainNeverTooLong => {
                let forever = Duration::from_secs(1_000_000);
                settings.drain_timeout = settings.drain_timeout.map(|_| forever);
            }
            Planted::GatesNeverTooOld => settings.gates_limit = Duration::from_secs(1_000_000),
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
            (Planted::CommitComparesCreateOnly, State::Committing(_))
            | (Planted::TakeOverComparesCreateOnly, State::Entering(Entry::TakeOver(_), _)) => {
                create_only(txn)
            }
            (Planted::CommitIgnoresPause, State::Committing(_)) => unguard(txn, "/pause"),
            (Planted::CommitIgnoresCooldown, State::Committing(_)) => unguard(txn, "/cooldown"),
            (Planted::CommitIgnoresMembers, State::Committing(_)) => txn.compares.retain(|compare| {
                compare.keys.range_end.is_empty() || is(&compare.keys.key, "/line/failed/")
            }),
            (Planted::CommitIgnoresFailures, State::Committing(_)) => unguard(txn, "/line/failed/"),
            (Planted::OthersUnseen, State::Gates(_)) if machine.settings().policies.is_none() => txn
                .success
                .retain(|op| !matches!(op, Op::Range(range) if is(&range.keys.key, "/claims/") && !range.keys.range_end.is_empty())),
            (Planted::WavesUnseen, State::Gates(_)) => {
                for op in &mut txn.success {
                    if let Op::Range(range) = op
                        && ["/nodes/", "/standing/", "/waves/", "/claims/"]
                            .iter()
                            .any(|part| range.keys.key.ends_with(part.as_bytes()))
                        && range.limit == 0
                    {
                        range.keys = Keys::one("/r/nothing");
                    }
                }
            }
            (Planted::CommitIgnoresWaves, State::Committing(_))
                if machine.settings().policies.is_none() =>
            {
                txn.compares.retain(|compare| {
                    !compare.keys.key.ends_with(b"/claims/") && !compare.keys.key.ends_with(b"/nodes/")
                });
            }
            (Planted::GoOnUnguarded, State::Committing(_)) => unguard(txn, "/line/go-on"),
            (Planted::GoOnNotCounted, State::Committing(_)) => txn
                .success
                .retain(|op| !matches!(op, Op::Put(put) if is(&put.key, "/line/go-on"))),
            (Planted::FailureForgotten, State::Ending(_)) => txn
                .success
                .retain(|op| !matches!(op, Op::Put(put) if is(&put.key, "/line/failed/"))),
            (Planted::FailureUnguarded, State::TakingAway(_))
                if puts(txn).any(|put| is(&put.key, "/line/failed/")) =>
            {
                txn.compares.clear();
            }
            (Planted::CommitIgnoresEndedReports, State::Committing(_)) => unguard(txn, "/alive/n"),
            (Planted::CommitIgnoresRequest, State::Committing(_)) => unguard(txn, "/requests/n"),
            (Planted::CommitIgnoresUrgency, State::Committing(_)) if passes(txn) => {
                unguard(txn, "/requests/n");
            }
            (Planted::UrgencyPassesPause, State::Committing(_)) if passes(txn) => {
                unguard(txn, "/pause");
            }
            (Planted::UrgencyNeverEnds, State::Noting(_)) => {
                puts(txn).for_each(|put| put.ignore_lease = false);
            }
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
            (Planted::CommitNotesNoAttempt, State::Committing(_)) => {
                for put in puts(txn).filter(|put| is(&put.key, "/nodes/")) {
                    if let Ok(mut record) = decode::<NodeRecord>(&put.value) {
                        record.attempt = None;
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
            | (Planted::MarkUnguarded, State::Verifying(_))
            | (Planted::MoveUnguarded, State::Moving(..))
            | (Planted::RemoveUnguarded, State::Removing(_))
            | (Planted::JoinOverwrites, State::Entering(Entry::Join, _))
            | (Planted::TakeOverUnguarded, State::Entering(Entry::TakeOver(_), _))
            | (Planted::TakeAwayUnguarded, State::TakingAway(_)) => txn.compares.clear(),
            (Planted::ReleaseWithoutCooldown, State::Ending(_)) => txn
                .success
                .retain(|op| !matches!(op, Op::Put(put) if is(&put.key, "/cooldown"))),
            (Planted::ReleaseBeforeVerify, State::Verifying(_)) if !txn.compares.is_empty() => {
                txn.success = txn.compares[..1]
                    .iter()
                    .map(|compare| Op::Delete(Delete::of(compare.keys.clone())))
                    .collect();
            }
            (Planted::TakeOverKeepsOldLease, State::Entering(Entry::TakeOver(_), _)) => {
                for put in puts(txn) {
                    put.lease = 0;
                    put.ignore_lease = true;
                }
            }
            (Planted::ReportUnguarded, _) if puts(txn).any(|put| is(&put.key, "/alive/")) => {
                txn.compares.clear();
            }
            (Planted::FormerNameStays, State::Registering(_) | State::Unregistering(_)) => {
                txn.success.retain(|op| !matches!(op, Op::Txn(_)));
            }
            (Planted::NameRefunds, State::Registering(_))
                if txn.success.iter().any(|op| matches!(op, Op::Txn(_))) =>
            {
                for put in puts(txn).filter(|put| is(&put.key, "/nodes/")) {
                    if let Ok(mut record) = decode::<NodeRecord>(&put.value) {
                        record.budget_used = 0;
                        put.value = encode(&record);
                    }
                }
            }
            (Planted::ReleaseSweeps, State::Ending(_)) => {
                for op in &mut txn.success {
                    if let Op::Delete(delete) = op
                        && is(&delete.keys.key, "/claims/n")
                    {
                        delete.keys = Keys::prefix(delete.keys.key.clone());
                    }
                }
            }
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
                Planted::CountSeesTheNearest => range.kvs.truncate(3),
                Planted::CountSeesTheCommitted => {
                    let mut place = 0..;
                    range.kvs.retain(|kv| {
                        let claim = decode::<Claim>(&kv.value);
                        place.next() == Some(0) || claim.is_ok_and(|it| it.phase.committed())
                    });
                }
                Planted::DomainsUnseen => rewrite_others(range, |claim, _| {
                    let node = claim.node.clone();
                    let labels = claim.domains.labels.values_mut();
                    labels.for_each(|value| value.clone_from(&node));
                }),
                Planted::LimitsOfOthersUnseen => rewrite_others(range, |claim, own| {
                    claim.domains.limits.clone_from(&own.domains.limits);
                }),
                Planted::ForeignCounts => {
                    let claims = range.kvs.iter_mut();
                    let foreign =
                        claims.filter(|kv| is(&kv.key, "/claims/") && !is(&kv.key, "/claims/n"));
                    foreign.for_each(|kv| kv.key = b"/r/claims/tool".to_vec());
                    return;
                }
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
        let post_lock = matches!(state, State::Gates(gates) if gates.stage() == Stage::PostLock);
        match (self, input) {
            (Planted::UnknownCommitIsSuccess, Input::Etcd(_, result @ Err(_)))
                if matches!(state, State::Committing(_)) =>
            {
                *result = Ok(Reply::Txn(committed()));
            }
            (Planted::UnknownCommitIsFailure, Input::Etcd(_, result @ Err(_)))
                if matches!(state, State::Committing(_)) =>
            {
                let detail = "forged".to_owned();
                *result = Err(Error::NotSent { detail });
            }
            (
                Planted::CopyOfCommitUnseen,
                Input::Etcd(
                    _,
                    result @ Ok(Reply::Txn(TxnReply {
                        succeeded: false, ..
                    })),
                ),
            ) if matches!(state, State::Committing(_)) => {
                let detail = "forged".to_owned();
                *result = Err(Error::NotSent { detail });
            }
            (Planted::UnknownReleaseIsSuccess, Input::Etcd(_, result @ Err(_)))
                if matches!(state, State::Ending(_)) =>
            {
                *result = Ok(Reply::Txn(committed()));
            }
            (
                Planted::UnknownCommitIsFailure | Planted::LeftUnread | Planted::CopyOfCommitUnseen,
                Input::Etcd(_, result),
            ) if matches!(state, State::Left(_)) => {
                *result = Ok(Reply::Txn(nothing_there()));
            }
            (Planted::PostLockSkipped, Input::Script(_, report)) if post_lock => pass(report),
            (Planted::PostLockSkipped, Input::Host(_, why)) if post_lock => *why = None,
            (Planted::PostLockSkipped, Input::Detected(_, reports)) if post_lock => {
                for report in reports {
                    report.result = DetectorResult::Required("forged".to_owned());
                }
            }
            (Planted::LastLookSkipped, Input::Host(_, why))
                if matches!(state, State::LastLook(_)) =>
            {
                *why = None;
            }
            (Planted::ReloadIgnored, input @ Input::Reload(_)) => *input = Input::Tick,
            (Planted::ReloadIgnoredAfterCommit, input @ Input::Reload(_))
                if matches!(
                    state,
                    State::Committing(_)
                        | State::Fencing(_)
                        | State::Draining(_)
                        | State::Moving(..)
                        | State::LastLook(_)
                ) =>
            {
                *input = Input::Tick;
            }
            // Believed in the end, which is what the host is judged by, and not while a claim stands by the old one.
            (Planted::NewNameUnheeded, Input::Reload(reload)) if machine.held().is_some() => {
                reload.settings.node = machine.settings().node.clone();
            }
            (Planted::ServerIgnoresGuards, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::SelfTest) =>
            {
                txn.succeeded = false;
                let failed = || OpReply::Txn(TxnReply::default());
                txn.replies = (0..4).map(|_| failed()).collect();
            }
            (Planted::HealthIgnored, Input::Script(_, report)) if before_commit => pass(report),
            (Planted::ProofIgnored, Input::Script(_, report))
                if matches!(state, State::Verifying(_)) =>
            {
                pass(report);
            }
            (Planted::KillSwitchIgnored, Input::Host(_, why)) => *why = None,
            (Planted::NoAnswerIsNo, Input::Host(_, why)) => {
                let unknown = Refusal::KillSwitch(NO_ANSWER.to_owned());
                *why = why.take().filter(|why| *why != unknown);
            }
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
            (Planted::SilentCountAsThrough, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::Gates(_)) =>
            {
                say_for_the_silent(txn);
            }
            (Planted::UrgencyNeverEnds, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::Gates(_)) =>
            {
                let all = ranges(txn).flat_map(|range| &mut range.kvs);
                let endless = all.filter(|kv| is(&kv.key, "/requests/n") && kv.lease == 0);
                endless.for_each(|kv| kv.lease = 1);
            }
            (Planted::UrgencyPassesPause, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::Gates(_)) =>
            {
                let urgent = |kv: &KeyValue| is(&kv.key, "/requests/n") && kv.lease != 0;
                if ranges(txn).any(|range| range.kvs.iter().any(urgent)) {
                    ranges(txn).for_each(|range| range.kvs.retain(|kv| !is(&kv.key, "/pause")));
                }
            }
            (Planted::ForeignNameIsOwn, Input::Etcd(_, Ok(Reply::Txn(txn))))
                if matches!(state, State::ReadOwn) =>
            {
                make_own(txn, machine.settings());
            }
            (Planted::WatchIsDeaf, input @ Input::Watch(..)) => *input = Input::Tick,
            _ => {}
        }
    }
}

/// Changes the claims of others in a count of the queue, which begins with the own one.
pub(crate) fn rewrite_others(range: &mut RangeReply, change: impl Fn(&mut Claim, &Claim)) {
    let Some((own, others)) = range.kvs.split_first_mut() else {
        return;
    };
    let Ok(own) = decode::<Claim>(&own.value) else {
        return;
    };
    for kv in others {
        if let Ok(mut claim) = decode::<Claim>(&kv.value) {
            change(&mut claim, &own);
            kv.value = encode(&claim);
        }
    }
}

/// Leaves only the compares of the create revision.
fn create_only(txn: &mut Txn) {
    let is_own = |compare: &Compare| is(&compare.keys.key, "/claims/n");
    txn.compares
        .retain(|compare| !is_own(compare) || matches!(compare.target, Target::CreateRevision(_)));
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

fn ranges(txn: &mut TxnReply) -> impl Iterator<Item = &mut RangeReply> {
    txn.replies.iter_mut().filter_map(|reply| match reply {
        OpReply::Range(range) => Some(range),
        OpReply::Put(_) | OpReply::Delete(_) | OpReply::Txn(_) => None,
    })
}

/// Whether this commit says that an urgent request let its node past a gate.
fn passes(txn: &mut Txn) -> bool {
    puts(txn).any(|put| decode::<Claim>(&put.value).is_ok_and(|claim| !claim.passed.is_empty()))
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

/// The records that were read are those of this machine.
fn make_own(txn: &mut TxnReply, own: &Settings) {
    for reply in &mut txn.replies {
        let OpReply::Range(range) = reply else {
            continue;
        };
        for kv in &mut range.kvs {
            if let Ok(mut claim) = decode::<Claim>(&kv.value) {
                claim.node_id.clone_from(&own.node_id);
                claim.boot_id.clone_from(&own.boot_id);
                kv.value = encode(&claim);
            } else if let Ok(mut record) = decode::<NodeRecord>(&kv.value) {
                record.node_id.clone_from(&own.node_id);
                record.boot_id = Some(own.boot_id.clone());
                kv.value = encode(&record);
            }
        }
    }
}

/// Whoever is registered and says nothing says that it is idle, in a look at everybody.
fn say_for_the_silent(txn: &mut TxnReply) {
    let [
        ..,
        OpReply::Range(nodes),
        OpReply::Range(_),
        OpReply::Range(said),
    ] = txn.replies.as_mut_slice()
    else {
        return;
    };
    for kv in nodes.kvs.iter().filter(|kv| is(&kv.key, "/nodes/n")) {
        let key = String::from_utf8_lossy(&kv.key).replace("/nodes/", "/standing/");
        if said.kvs.iter().any(|kv| kv.key == key.as_bytes()) {
            continue;
        }
        let standing = Standing {
            v: 1,
            state: "idle".to_owned(),
            ..Standing::default()
        };
        let mut kv = kv.clone();
        (kv.key, kv.value, kv.lease) = (key.into_bytes(), encode(&standing), 1);
        said.kvs.push(kv);
    }
}

/// The answer to the read of a claim and a registration that are not there.
fn nothing_there() -> TxnReply {
    let nothing = || OpReply::Range(RangeReply::default());
    TxnReply {
        succeeded: true,
        replies: vec![nothing(), nothing()],
        ..TxnReply::default()
    }
}

fn pass(report: &mut ScriptReport) {
    report.outcome = ScriptOutcome::Exited(0);
}

fn not_started(report: &mut ScriptReport) {
    report.outcome = ScriptOutcome::NotStarted("forged".to_owned());
}
