//! Hosts: how they go down and come up.

use super::{Event, World};
use crate::plan::Boot;
use crate::{MILLI, SECOND};

impl World {
    pub(crate) fn goes_down(&mut self, index: usize, boot: u32, claim: i64) {
        let host = &self.hosts[index];
        if !host.up || host.boot != boot {
            return;
        }
        self.stats.reboots += 1;
        self.tell(|| format!("n{index} goes down by its reboot command"));
        self.check_reboot(index, claim);
        let boot = self.hosts[index].boots.pop_front();
        self.crash(index, boot);
    }

    /// The host stops; when it comes back is the boot's business.
    pub(crate) fn crash(&mut self, index: usize, boot: Option<Boot>) {
        self.kill(index);
        let takes = self.rng.between(5, 60) * SECOND;
        let boot = boot.unwrap_or(Boot::good(takes));
        let host = &mut self.hosts[index];
        host.up = false;
        host.boot += 1;
        if index % 2 == 1 {
            // It has no folder in which anything lasts.
            host.memory = None;
        }
        host.going_down.clear();
        host.healthy_since = None;
        host.dead = boot.never && !self.quiet;
        host.panics = (boot.panics && !self.quiet).then_some(Boot {
            panics: false,
            ..boot
        });
        if host.panics.is_none() && !boot.keeps_asking {
            host.required = false;
        }
        host.unhealthy_until = host
            .unhealthy_until
            .max(self.now + boot.takes + boot.unhealthy_for);
        let number = host.boot;
        if !host.dead {
            self.after(boot.takes, Event::Up(index, number));
        }
        let panics = boot.panics && !self.quiet;
        self.tell(|| {
            let how = if boot.never { ", for good" } else { "" };
            let panic = if panics { " and will panic" } else { "" };
            format!(
                "n{index} is down{how}, boots for {} s{panic}",
                boot.takes / SECOND
            )
        });
    }

    pub(crate) fn comes_up(&mut self, index: usize, boot: u32) {
        let host = &mut self.hosts[index];
        if host.up || host.boot != boot {
            return;
        }
        host.up = true;
        host.dead = false;
        self.tell(|| format!("n{index} is up, boot {boot}"));
        if let Some(next) = self.hosts[index].panics.take() {
            self.tell(|| format!("n{index} panics at the end of its boot"));
            return self.crash(index, Some(next));
        }
        let pause = self.rng.between(200, 5000) * MILLI;
        self.after(pause, Event::Start(index, boot));
    }
}
