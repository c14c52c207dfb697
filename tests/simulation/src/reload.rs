//! Reloads: a node's configuration is another one from some moment on, and its machine is told.

use std::time::Duration;

use reboot_coordinator::core::{Input, Mode, Reload, State};

use crate::host::{Channel, number};
use crate::plan::{Rewrite, every_other_hour, rack};
use crate::world::{Event, World};

impl World {
    /// Whatever the node is about to do is done first: one thread takes signals and acts.
    pub(crate) fn reload(&mut self, index: usize, rewrite: Rewrite) {
        self.after(0, Event::Reload(index, rewrite));
    }

    pub(crate) fn reloaded(&mut self, index: usize, rewrite: Rewrite) {
        let now = self.now;
        let seconds = Duration::from_secs;
        let members = self.hosts.iter().filter(|host| host.plan.copy_of.is_none());
        let others = u32::try_from(members.count() - 1).unwrap_or(0);
        let host = &mut self.hosts[index];
        let paused = host
            .process
            .as_ref()
            .is_some_and(|process| process.paused_until.is_some());
        // A process that does not run reads nothing, and one pass takes no signal.
        if paused || host.plan.settings.mode != Mode::Daemon {
            return;
        }
        // What a process sent before its death may be on its way.
        let ending = host.process.as_ref().is_none_or(|process| {
            let state = process.machine.state();
            matches!(state, State::Ending(_))
        });
        let settings = &mut host.plan.settings;
        match rewrite {
            Rewrite::Connections => {}
            Rewrite::Limit(limit) => settings.max_concurrent_reboots = limit,
            Rewrite::DryRun(dry) => settings.dry_run = dry,
            Rewrite::Windows(closes) => {
                settings.windows = closes.then(|| every_other_hour(host.plan.zone));
                host.plan.windows = closes;
            }
            Rewrite::Zone(zone) => {
                host.plan.zone = zone;
                settings.windows = host.plan.windows.then(|| every_other_hour(zone));
            }
            Rewrite::Cooldown(long) => settings.min_reboot_interval = seconds(long),
            Rewrite::HaltAfter(many) => settings.halt_after = many,
            Rewrite::HaltScope(scope) => settings.halt_scope = scope,
            Rewrite::Wave(wave) => settings.wave = wave,
            Rewrite::Hold(long) => settings.hold_timeout = (long > 0).then(|| seconds(long)),
            Rewrite::Budget(budget) => {
                settings.max_reboots_without_clearing = budget;
                host.most_budget = host.most_budget.max(budget);
            }
            Rewrite::LeastHealthy(least) => {
                let least = least.min(others);
                if let Some(policies) = &mut settings.policies {
                    policies.min_healthy_absolute = Some(least);
                }
            }
            Rewrite::Pace(interval, timeout) => {
                settings.check_interval = seconds(interval);
                settings.etcd_timeout = seconds(timeout);
            }
            Rewrite::Drain(drains) => {
                settings.drain_timeout = drains.then(|| Duration::from_secs(60));
            }
            Rewrite::Waits(reboot, settle) => {
                settings.reboot_timeout = Duration::from_secs(reboot);
                // A proof that has ended was judged by what was in force then.
                if !ending {
                    settings.post_boot_settle = Duration::from_secs(settle);
                }
            }
            Rewrite::Rack(new, limit) => settings.domains = rack(new, limit),
            Rewrite::Ttl(seconds) => settings.lock_ttl = Duration::from_secs(seconds),
        }
        let mut settings = host.plan.settings.clone();
        settings.boot_id = host.boot_id();
        let Some(process) = &mut host.process else {
            return;
        };
        let pid = process.pid;
        process.reloaded = now;
        process.named = number(&settings.node);
        // The connections are new ones; what was asked over the old ones may take effect all the same.
        process
            .open
            .retain(|(channel, _)| *channel == Channel::Farewell);
        if let Some(planted) = self.planted {
            planted.on_settings(&mut settings, pid);
        }
        self.tell(|| format!("n{index} takes a new configuration over: {rewrite:?}"));
        if self.takes_name_at_once(index) {
            return;
        }
        let reload = Reload {
            settings,
            drains_otherwise: matches!(rewrite, Rewrite::Drain(_)),
            elsewhere: false,
        };
        self.deliver(index, pid, Input::Reload(Box::new(reload)));
    }
}
