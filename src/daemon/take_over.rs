//! A new configuration, or another name of this host, while the daemon runs: all of it is taken over, or none.

use super::Daemon;
use super::inbox::Found;
use super::reload;
use crate::core::{Commitment, Input, Reload, State};
use crate::observe::hold_back::HoldBack;

/// Whether the configuration is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    No,
    Once,
    /// And once more when that has ended.
    Again,
}

impl Daemon {
    /// SIGHUP. One that comes while the file is being read makes it be read once more, since it may have changed after that.
    pub(super) fn read_again(&mut self) {
        self.observer.reloading();
        if self.reading != Reading::No {
            self.reading = Reading::Again;
            return;
        }
        match reload::read(&self.start, self.inbox.clone()) {
            Ok(()) => self.reading = Reading::Once,
            Err(why) => self.keep_old(&why),
        }
    }

    pub(super) fn on_configuration(&mut self, found: Option<Box<Found>>) {
        if std::mem::replace(&mut self.reading, Reading::No) == Reading::Again {
            return self.read_again();
        }
        match found.map_or(Ok(()), |found| self.follow(*found)) {
            Ok(()) => self.observer.notify.reloaded(),
            Err(why) => self.keep_old(&why),
        }
    }

    /// Nobody waits for it. A file that is being read knows the host as well.
    pub(super) fn on_host(&mut self, found: Found) {
        if self.reading != Reading::No {
            return;
        }
        let zone = found.config.windows.as_ref();
        let zone = zone.and_then(|windows| windows.zone().iana_name());
        log::warn!(
            event = "host_changed",
            node_name = found.config.node_name.as_str();
            "this host has another name, time zone or rules of it than before: node_name is {} and windows are judged in {} from now on",
            found.config.node_name,
            zone.unwrap_or("the zone of /etc/localtime"),
        );
        if let Err(why) = self.follow(found) {
            self.keep_old(&why);
        }
    }

    fn keep_old(&mut self, why: &str) {
        log::error!(event = "reload_refused"; "the new configuration cannot be used, keeping the old one: {why}");
        self.observer.notify.reloaded();
    }

    /// From here on nothing is decided, run or asked by the old configuration.
    fn follow(&mut self, found: Found) -> Result<(), String> {
        let Found {
            config,
            settings,
            options,
        } = found;
        if config.run_dir != self.config.run_dir {
            return Err("run_dir holds the instance lock and cannot change while the program runs: restart it".to_owned());
        }
        // A node that keeps its claim tries again all the same, as it tells whoever repaired it.
        let holds = matches!(self.machine.state(), State::Holding(..));
        if config == self.config && self.lanes.go_by(&options) && !holds {
            log::info!(event = "reloaded"; "the configuration is the same as before");
            return Ok(());
        }
        let committed = self.machine.commitment() == Some(Commitment::Committed);
        let elsewhere = self.lanes.client.options().endpoints != options.endpoints && !committed;
        let lanes = self.lanes.successor(options, &config, committed)?;
        self.observer.follow(&config, &lanes.client)?;
        crate::observe::log::init(config.log.level, config.log.format, &config.node_name);
        let drains_otherwise = config.pre_reboot_hook != self.config.pre_reboot_hook;
        self.lanes = lanes;
        // The old ones learn nothing any more that would bring back what is forgotten here.
        let metrics = self.observer.metrics();
        metrics.set_endpoints(&config.etcd.endpoints);
        self.tasks.follow(&config);
        self.told.follow(&config);
        self.hold_back = HoldBack::default();
        self.config = config;
        log::info!(event = "reloaded"; "the new configuration is in effect");
        let reload = Box::new(Reload {
            settings,
            drains_otherwise,
            elsewhere,
        });
        self.machine.handle(self.clock.now(), Input::Reload(reload));
        Ok(())
    }
}
