//! A new configuration, in every state: once it is taken, no decision rests on the old one.
//!
//! What was asked of etcd went over connections that are gone, so its fate is unknown and it is asked again. What was found out
//! under the old configuration is found out anew: a place in the queue is kept, a commit is decided first, a permit is void.
//! The name and the keys stand in what this node has written, so they change only where nothing of it stands any more.

use std::time::Duration;

use etcd_rs_sync::Request;

use super::sight::Sight;
use super::{After, Fleet, Gates, Machine, Stage, State};
use crate::core::io::{Action, Reload};
use crate::core::settings::Settings;
use crate::core::{Note, Refusal};
use crate::lock::request;

impl Machine {
    pub(super) fn reload(&mut self, reload: Reload) {
        if matches!(self.state, State::Stopping | State::Stopped) {
            return;
        }
        let now = self.now.mono;
        self.judging.outdated = true;
        self.failures = 0;
        self.cut_off = None;
        // What the policies forbade was judged by a configuration that is gone.
        self.fleet.refused = None;
        let asked = self.asked.take();
        if let (Some(reporter), Some(interval)) =
            (&mut self.reporter, reload.settings.health_publish_interval)
        {
            reporter.reload(interval, now);
        }
        if reload.elsewhere {
            // What this boot had written there may be missing, and what an earlier one wrote may stand: a restored backup.
            self.signed = None;
            self.fleet = Fleet::default();
            self.sight = Sight::default();
        }
        let renamed = !reload.settings.is_of(&self.settings);
        self.take_settings(reload.settings);
        let asked_at = asked.map(|(_, sent_at)| sent_at);
        self.go_on_anew(renamed, asked_at, reload.drains_otherwise);
    }

    /// What each state makes of it.
    fn go_on_anew(&mut self, renamed: bool, asked_at: Option<Duration>, drains_otherwise: bool) {
        match &self.state {
            // What an earlier process left under the old name is found out first.
            State::SelfTest | State::ReadOwn | State::Registering(_) | State::Removing(_)
                if self.has_another_name() =>
            {
                self.begin();
            }
            State::SelfTest
            | State::ReadOwn
            | State::Registering(_)
            | State::Removing(_)
            | State::Unregistering(_)
            | State::Clearing(..)
            | State::Idle(_) => self.start_afresh(),
            State::Granting(_, grant) if renamed => {
                self.leave_lease(grant.id, After::Block(renaming()));
            }
            State::Granting(entry, grant) => {
                let mut grant = *grant;
                // The lease may run since then.
                grant.first_sent = grant.first_sent.or(asked_at);
                self.go(State::Granting(entry.clone(), grant));
            }
            State::Entering(..) if !renamed => self.begin(),
            State::Gates(gates) => self.judge_anew(gates.stage, renamed),
            State::Noting(noting) => self.judge_anew(noting.gates.stage, renamed),
            State::Entering(..) | State::Counting | State::Queued | State::TakingAway(_) => {
                self.keep_place(renamed)
            }
            State::Leaving(..) | State::Left(_) | State::Fencing(_) | State::Moving(..) => {
                self.begin()
            }
            State::Ending(_) => {
                self.cool_anew();
                self.begin();
            }
            State::Committing(pending) => self.go(State::Fencing(pending.clone())),
            // A hook that drains as the new file says ends by itself; its permit is void.
            State::Draining(_) if !drains_otherwise => {}
            State::Draining(_) | State::LastLook(_) => {
                self.cancel_task();
                self.judge_again();
            }
            State::Rebooting { until, failed } => self.wait_on(*until, failed.clone()),
            State::Holding(stage, refusal) => {
                let (stage, refusal) = (stage.unwrap_or(Stage::Retry), refusal.clone());
                self.try_anew();
                self.go(State::Holding(Some(stage), refusal));
                self.ask();
            }
            State::Verifying(_) => self.verify_anew(),
            State::Stopping | State::Stopped => {}
        }
    }

    /// The reboot command goes on, and its answer is waited for.
    fn wait_on(&mut self, until: Duration, failed: Option<String>) {
        let until = until.min(self.now.mono + self.settings.reboot_timeout);
        self.try_anew();
        self.state = State::Rebooting { until, failed };
        self.timer = Some(until);
    }

    fn verify_anew(&mut self) {
        self.cancel_task();
        if let State::Verifying(verify) = &mut self.state {
            verify.unsettle();
        }
        self.retries = 0;
        self.begin();
    }

    /// All of the new settings but name and keys, which wait until nothing of the old ones stands.
    fn take_settings(&mut self, settings: Settings) {
        self.next = None;
        if settings.is_of(&self.settings) {
            self.settings = settings;
            return;
        }
        let now = settings.named_as(&self.settings);
        self.settings = now;
        let others = others(&settings, &self.settings);
        self.next = Some(Box::new(settings));
        if self.held.is_some() {
            let text = format!(
                "other than before: {others}. That takes effect when this node's claim is given back, which is not to reboot by it: a boot \
                 would not find it"
            );
            self.note(Note::warn("reload_waits", text));
        }
    }

    /// The claim stands under what the configuration in force, which a boot would go by, does not say any more.
    pub(super) fn named_otherwise(&self) -> Option<Refusal> {
        let others = others(self.next.as_deref()?, &self.settings);
        Some(Refusal::Configuration(format!(
            "other in the configuration in force than in this node's claim: {others}; a boot would not find the claim"
        )))
    }

    /// Only the name is another one, so that this cluster is still asked about the old one.
    fn has_another_name(&self) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| next.keys == self.settings.keys)
    }

    /// From the self-test on, as at the start of a process, when nothing of this node stands in etcd but its registration.
    pub(super) fn start_afresh(&mut self) {
        self.cancel_task();
        if let Some(settings) = self.next.take() {
            let lease = self.reporter.take().and_then(|reporter| reporter.lease());
            if let Some(id) = lease {
                self.out.push_back(Action::Farewell(Request::Revoke { id }));
            }
            let registered = self.registration.take();
            self.former
                .extend(registered.filter(|(_, record)| record.attempt.is_none()));
            if settings.keys != self.settings.keys {
                self.used_elsewhere = self.former_budget();
                for (modified, record) in self.former.drain(..) {
                    let former = request::unregister(&self.settings.keys, &record, modified, false);
                    self.out.push_back(Action::Farewell(Request::Txn(former)));
                }
            }
            self.former
                .retain(|(_, record)| record.node != settings.node);
            let same_key =
                settings.keys == self.settings.keys && settings.node == self.settings.node;
            if !same_key || settings.boot_id != self.settings.boot_id {
                self.signed = None;
            }
            self.renamed |= !same_key;
            self.nameless = false;
            self.settings = *settings;
            self.fleet = Fleet::default();
            self.sight = Sight::default();
            // Said under the old name, it would be written there again by whoever reports under the new one.
            self.shown.standing = None;
            self.down.refused = None;
            self.judging.cleared = false;
        }
        self.go(State::SelfTest);
    }

    fn judge_anew(&mut self, stage: Stage, renamed: bool) {
        match stage {
            Stage::PreLock => self.start_afresh(),
            Stage::Waiting | Stage::PostLock => self.keep_place(renamed),
            Stage::Resume | Stage::Retry => {
                self.cancel_task();
                self.go(State::Gates(Gates::at(stage)));
            }
        }
    }

    /// The place is kept, its lease renewed at once, and what is judged and known of the queue begins anew. With another name
    /// it is given up instead.
    pub(super) fn keep_place(&mut self, renamed: bool) {
        if renamed {
            return self.leave(renaming());
        }
        self.cancel_task();
        self.unwatch();
        if self.writes_place_anew() {
            return;
        }
        let now = self.now.mono;
        if let Some(queue) = &mut self.queue {
            queue.begin_anew();
        }
        if let Some(lease) = &mut self.lease {
            lease.renewing = None;
            lease.renew_at = now;
        }
        self.go(State::Gates(Gates::at(Stage::Waiting)));
    }
}

fn renaming() -> Refusal {
    Refusal::Configuration(
        "node_name, node_id, lock_key or etcd_namespace are others since the reload".to_owned(),
    )
}

/// The fields by which a node finds its claim, as far as they differ.
fn others(next: &Settings, now: &Settings) -> String {
    let fields = [
        ("node_name", next.node != now.node),
        ("node_id", next.node_id != now.node_id),
        ("boot_id_file", next.boot_id != now.boot_id),
        ("lock_key or etcd_namespace", next.keys != now.keys),
    ];
    let others = fields.iter().filter(|(_, other)| *other);
    others.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
