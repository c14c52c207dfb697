//! Faults, as they strike, and operators, as they act.

use etcd_rs_sync::{Compare, Delete, Keys as Span, Op, Put, Request, Txn};
use reboot_coordinator::lock::Claim;
use reboot_coordinator::lock::record::{Pause, decode, encode};

use crate::host::{GateLog, Truth};
use crate::network::message::{Message, Operator, Sender};
use crate::plan::{Boot, FOREIGN, Fault, Rewrite, Trouble, rack};
use crate::world::{Event, World};
use crate::{MILLI, SECOND, Time};

/// How long a node may keep a turn that it cannot use: every look that it needs has its limit.
const TURN_GIVEN_UP: Time = 120 * SECOND;

impl World {
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.quiet {
            return;
        }
        let now = self.now;
        *self.stats.faults.entry(name(fault)).or_default() += 1;
        self.tell(|| format!("FAULT {fault:?}"));
        match fault {
            Fault::Kill(node, pause) => self.kill_and_restart(node, pause),
            Fault::Stop(node, pause) => self.stop_and_restart(node, pause),
            Fault::Pause(node, pause) => self.pause(node, pause),
            Fault::PowerLoss(node, takes) => {
                if self.hosts[node].up {
                    self.crash(node, Some(Boot::good(takes)));
                }
            }
            Fault::Network(node, trouble, permille, pause) => {
                self.hosts[node].trouble = Some((trouble, permille, now + pause));
            }
            Fault::Late(node, actions, copy) => self.hosts[node].late = Some((actions, copy)),
            Fault::ServerDown(pause) => {
                self.server_down_until = self.server_down_until.max(now + pause);
                self.etcd.change_leader(now, pause);
                self.cut_watches(None);
            }
            Fault::LeaderChange(election, lies) => {
                self.etcd.change_leader(now, election);
                self.server_down_until = self.server_down_until.max(now + election);
                self.false_renewals_until = now + election + lies;
            }
            Fault::Compact => {
                let revision = self.etcd.revision();
                let _ = self.etcd.apply(now, &Request::Compact { revision });
            }
            Fault::NoSpace(pause) => {
                self.no_space_until = now + pause;
                self.etcd.applied_in_full = 1;
            }
            Fault::WatchCut(node) => self.cut_watches(Some(node)),
            Fault::WatchMute(node, pause) => self.hosts[node].mute_until = now + pause,
            Fault::DetectorsFail(node, pause) => {
                self.hosts[node].detectors_fail_until = now + pause
            }
            Fault::Flap(node, pause) => self.hosts[node].flap_until = now + pause,
            Fault::Unhealthy(node, pause) => self.hosts[node].unhealthy_until = now + pause,
            Fault::SlowDisk(node, pause) => self.hosts[node].slow_until = now + pause,
            Fault::KillSwitch(node, pause) => self.hosts[node].kill_switch_until = now + pause,
            Fault::DrainFails(node, hangs) => self.hosts[node].drain_fails = Some(hangs),
            Fault::UndoFails(node, pause) => self.hosts[node].undo_fails_until = now + pause,
            Fault::WallJump(node, seconds) => self.hosts[node].wall_jump_sec += seconds,
            Fault::OperatorPause(pause, lease) => self.operator_pauses(pause, lease),
            Fault::OperatorRelease(node) => self.operator_releases(node),
            Fault::OperatorForget(node) => self.operator_forgets(node),
            Fault::OperatorGoesOn(more) => self.operator_goes_on((more > 0).then_some(more)),
            Fault::Limit(node, limit) => {
                self.hosts[node].plan.settings.max_concurrent_reboots = limit;
                self.stop_and_restart(node, SECOND);
            }
            Fault::Moves(node, new, limit) => {
                self.hosts[node].plan.settings.domains = rack(new, limit);
                self.stop_and_restart(node, SECOND);
            }
            Fault::Reload(node, rewrite) => self.reload(node, rewrite),
            Fault::OperatorRequest(node) => self.operator_requests(node),
            Fault::OperatorWithdraws(node) => self.operator_withdraws(node),
            Fault::OperatorUrges(node, span) => self.operator_urges(node, span),
            Fault::FilesHang(node, pause) => {
                self.hosts[node].hang_until = now + pause;
                self.after(TURN_GIVEN_UP, Event::FilesStillHang(node, now));
            }
            Fault::ForeignKey(which) => {
                let put = Put::new(FOREIGN[which], "held by a tool", 0);
                self.operator(Operator::Tool, Request::Put(put));
            }
            Fault::Require(node) => self.hosts[node].required = true,
            Fault::Named(node, name) => self.name_host(node, name),
        }
    }

    pub(crate) fn count_trouble(&mut self, trouble: Trouble) {
        let name = match trouble {
            Trouble::Lost => "request lost",
            Trouble::Delayed => "request delayed",
            Trouble::ReplyLost => "reply lost",
            Trouble::ReplyLate => "reply late",
            Trouble::Twice => "request twice",
            Trouble::Resent => "request resent",
            Trouble::NotSent => "request not sent",
            Trouble::Reset => "connection reset",
            Trouble::Denied => "permission denied",
            Trouble::NoLeader => "no leader",
            Trouble::Garbled | Trouble::Any => "reply garbled",
        };
        *self.stats.faults.entry(name).or_default() += 1;
    }

    fn kill_and_restart(&mut self, node: usize, pause: Time) {
        if self.hosts[node].process.is_none() {
            return;
        }
        self.kill(node);
        let boot = self.hosts[node].boot;
        self.after(pause, Event::Start(node, boot));
    }

    /// A forgotten node that still runs counts as a member again after a restart, and not before.
    pub(crate) fn restart_forgotten(&mut self, node: usize) {
        if self.hosts[node].plan.settings.policies.is_some() {
            self.stop_and_restart(node, SECOND);
        }
    }

    pub(crate) fn stop_and_restart(&mut self, node: usize, pause: Time) {
        let host = &self.hosts[node];
        let boot = host.boot;
        if let Some(process) = &host.process {
            self.after(0, Event::SigTerm(node, process.pid));
        }
        self.after(pause + 2 * SECOND, Event::Start(node, boot));
    }

    fn pause(&mut self, node: usize, pause: Time) {
        let until = self.now + pause;
        if let Some(process) = &mut self.hosts[node].process {
            let pid = process.pid;
            if process.paused_until.replace(until).is_none() {
                process.gates.stood_still = self.now;
            }
            self.at(until, Event::Unpause(node, pid));
        }
    }

    // ---- operators ----

    pub(crate) fn operator(&mut self, what: Operator, request: Request) {
        let message = Message {
            sender: Sender::Operator(what),
            request,
            sent_at: self.now,
            gates: GateLog::default(),
            truth: Truth::default(),
            back: None,
            garbled: false,
        };
        // Somebody who is told that it failed tries again.
        let at = self.now.max(self.server_down_until) + self.rng.between(1, 50) * MILLI;
        self.at(at, Event::Arrive(Box::new(message)));
    }

    fn operator_pauses(&mut self, pause: Time, with_lease: bool) {
        let record = Pause {
            v: 1,
            by: "operator".to_owned(),
            reason: "to see".to_owned(),
            since: "now".to_owned(),
            until: None,
        };
        let mut lease = 0;
        if with_lease {
            lease = i64::try_from(self.rng.word() >> 2).unwrap_or(1);
            let ttl_sec = i64::try_from(pause / SECOND).unwrap_or(1).max(1);
            let _ = self
                .etcd
                .apply(self.now, &Request::Grant { id: lease, ttl_sec });
            self.watch_lease(lease);
        } else {
            self.after(pause, Event::OperatorResumes);
        }
        let put = Put::new("/r/pause", encode(&record), lease);
        // Often at once: that is when it meets a commit under way.
        let wait = self.rng.pick(&[200, 1000, 3000, 100_000]);
        let at = self.now.max(self.server_down_until) + wait;
        let message = Message {
            sender: Sender::Operator(Operator::Pause),
            request: Request::Put(put),
            sent_at: self.now,
            gates: GateLog::default(),
            truth: Truth::default(),
            back: None,
            garbled: false,
        };
        self.at(at, Event::Arrive(Box::new(message)));
    }

    pub(crate) fn operator_resumes(&mut self) {
        let delete = Delete::of(Span::one("/r/pause"));
        self.operator(Operator::Resume, Request::Delete(delete));
    }

    /// Takes the claim away that stands there now.
    pub(crate) fn operator_releases(&mut self, node: usize) {
        self.operator_releases_name(self.home(node));
    }

    pub(crate) fn operator_releases_name(&mut self, node: usize) {
        let key = format!("/r/claims/n{node}");
        let Some(kv) = self.etcd.get(key.as_bytes()) else {
            return;
        };
        let txn = Txn {
            compares: vec![
                Compare::create_revision(Span::one(key.clone()), kv.create_revision),
                Compare::mod_revision(Span::one(key.clone()), kv.mod_revision),
            ],
            success: vec![
                Op::Delete(Delete::of(Span::one(key))),
                Op::Delete(Delete::of(Span::one(format!("/r/line/failed/n{node}")))),
            ],
            failure: vec![],
        };
        self.operator(Operator::Release(node), Request::Txn(txn));
    }

    fn operator_forgets(&mut self, node: usize) {
        self.operator_forgets_name(self.home(node));
    }

    /// As the command does, which refuses while there is a claim. While one is committed, by hand.
    pub(crate) fn operator_forgets_name(&mut self, node: usize) {
        let claim = format!("/r/claims/n{node}");
        let delete = Delete::of(Span::one(format!("/r/nodes/n{node}")));
        let stands = self.etcd.get(claim.as_bytes());
        let committed = |claim: Claim| claim.phase.committed();
        let by_hand = stands.is_some_and(|kv| decode(&kv.value).is_ok_and(committed));
        let guard = Compare::create_revision(Span::one(claim), 0);
        let txn = Txn {
            compares: if by_hand { vec![] } else { vec![guard] },
            success: vec![Op::Delete(delete)],
            failure: vec![],
        };
        self.operator(Operator::Forget(node), Request::Txn(txn));
    }

    // ---- the end of all faults ----

    /// Everything is repaired. What is on its way stays on its way.
    pub(crate) fn calm(&mut self) {
        self.quiet = true;
        let now = self.now;
        self.tell(|| "everything is repaired".to_owned());
        self.server_down_until = self.server_down_until.min(now);
        self.false_renewals_until = self.false_renewals_until.min(now);
        self.no_space_until = self.no_space_until.min(now);
        self.cut_watches(None);
        self.held_back_arrive(None);
        if self.etcd.get(b"/r/pause").is_some() {
            self.operator_resumes();
        }
        self.retire_copies();
        self.part_names();
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            host.trouble = None;
            host.late = None;
            host.mute_until = host.mute_until.min(now);
            host.detectors_fail_until = host.detectors_fail_until.min(now);
            host.flap_until = host.flap_until.min(now);
            host.unhealthy_until = host.unhealthy_until.min(now);
            host.slow_until = host.slow_until.min(now);
            host.hang_until = host.hang_until.min(now);
            host.kill_switch_until = host.kill_switch_until.min(now);
            host.undo_fails_until = host.undo_fails_until.min(now);
            host.drain_fails = None;
            host.reboots.clear();
            host.boots.clear();
            host.panics = None;
            if host.dead {
                let boot = host.boot;
                self.after(30 * SECOND, Event::Up(index, boot));
            }
        }
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if host.retired {
                continue;
            }
            let boot = host.boot;
            let paused = host.process.as_mut().and_then(|process| {
                let until = process.paused_until?;
                process.paused_until = Some(until.min(now));
                Some(process.pid)
            });
            if let Some(pid) = paused {
                self.after(0, Event::Unpause(index, pid));
            }
            self.after(20 * SECOND, Event::Start(index, boot));
            if self.hosts[index].plan.settings.dry_run {
                self.after(SECOND, Event::Reload(index, Rewrite::DryRun(false)));
            }
            if self.hosts[index].forgotten {
                self.restart_forgotten(index);
            }
        }
        self.after(5 * SECOND, Event::Inspect);
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill(..) => "kill",
        Fault::Stop(..) => "stop",
        Fault::Pause(..) => "process paused",
        Fault::PowerLoss(..) => "power loss",
        Fault::Network(..) => "network trouble",
        Fault::Late(..) => "request held back",
        Fault::ServerDown(..) => "etcd down",
        Fault::LeaderChange(..) => "leader change",
        Fault::Compact => "compaction",
        Fault::NoSpace(..) => "database full",
        Fault::WatchCut(..) => "watch cut",
        Fault::WatchMute(..) => "watch mute",
        Fault::DetectorsFail(..) => "detectors fail",
        Fault::Flap(..) => "detectors flap",
        Fault::Unhealthy(..) => "unhealthy",
        Fault::SlowDisk(..) => "disk slow",
        Fault::KillSwitch(..) => "kill switch",
        Fault::DrainFails(..) => "drain fails",
        Fault::UndoFails(..) => "undo fails",
        Fault::WallJump(..) => "wall clock jumps",
        Fault::OperatorPause(..) => "operator pauses",
        Fault::OperatorRelease(..) => "operator releases",
        Fault::OperatorForget(..) => "operator forgets",
        Fault::OperatorGoesOn(..) => "operator goes on",
        Fault::Limit(..) => "limit changes",
        Fault::Moves(..) => "moves",
        Fault::Reload(..) => "reload",
        Fault::FilesHang(..) => "files hang",
        Fault::ForeignKey(..) => "key of a tool",
        Fault::Require(..) => "asks again",
        Fault::Named(..) => "name changes",
        Fault::OperatorRequest(..) => "operator requests",
        Fault::OperatorWithdraws(..) => "operator withdraws",
        Fault::OperatorUrges(..) => "operator urges",
    }
}
