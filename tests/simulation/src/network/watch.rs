//! The watch: events in order, and the ways to miss some.

use etcd_rs_sync::Keys;
use reboot_coordinator::core::{Ticket, WatchEvent};

use super::message::Watcher;
use crate::MILLI;
use crate::etcd::Change;
use crate::world::{Event, World};

impl World {
    pub(crate) fn watch(&mut self, host: usize, pid: u64, wanted: Option<(Ticket, Keys, i64)>) {
        self.watchers.retain(|watcher| watcher.pid != pid);
        if let Some((ticket, keys, from)) = wanted {
            let pause = self.latency();
            self.after(pause, Event::WatchOpens(host, pid, ticket, keys, from));
        }
    }

    pub(crate) fn watch_opens(
        &mut self,
        host: usize,
        pid: u64,
        ticket: Ticket,
        keys: Keys,
        from: i64,
    ) {
        let now = self.now;
        let cut = now < self.server_down_until
            || self.hosts[host]
                .trouble
                .is_some_and(|(_, permille, until)| now < until && permille >= 600);
        let known = match self.etcd.changes_from(from) {
            Some(changes) if !cut => changes
                .iter()
                .filter(|change| keys.contains(&change.key))
                .map(watch_event)
                .collect::<Vec<_>>(),
            _ => {
                // The driver tries for a while before it says so.
                let pause = self.rng.between(500, 5000) * MILLI;
                return self.after(pause, Event::WatchSays(host, pid, ticket, WatchEvent::Lost));
            }
        };
        if self.hosts[host].process(pid).is_none() {
            return;
        }
        self.watchers.push(Watcher {
            host,
            pid,
            ticket,
            keys,
            last_at: now,
        });
        for event in known {
            self.watch_sends(self.watchers.len() - 1, event);
        }
    }

    /// Tells the watchers what changed.
    pub(crate) fn tell_watchers(&mut self, changes: &[crate::etcd::Change]) {
        for change in changes {
            for index in 0..self.watchers.len() {
                let watcher = &self.watchers[index];
                let mute = self.hosts[watcher.host].mute_until > self.now;
                if !mute && watcher.keys.contains(&change.key) {
                    self.watch_sends(index, watch_event(change));
                }
            }
        }
    }

    fn watch_sends(&mut self, index: usize, event: WatchEvent) {
        let latency = self.latency();
        let now = self.now;
        let watcher = &mut self.watchers[index];
        watcher.last_at = watcher.last_at.max(now + latency);
        let (at, host, pid, ticket) = (watcher.last_at, watcher.host, watcher.pid, watcher.ticket);
        self.at(at, Event::WatchSays(host, pid, ticket, event));
    }

    pub(crate) fn watch_says(&mut self, host: usize, pid: u64, ticket: Ticket, event: WatchEvent) {
        if self.hosts[host].mute_until > self.now {
            return;
        }
        self.deliver(
            host,
            pid,
            reboot_coordinator::core::Input::Watch(ticket, event),
        );
    }

    /// Cuts the watches of one node, or of all.
    pub(crate) fn cut_watches(&mut self, of: Option<usize>) {
        let (cut, kept) = std::mem::take(&mut self.watchers)
            .into_iter()
            .partition(|watcher: &Watcher| of.is_none_or(|host| watcher.host == host));
        self.watchers = kept;
        for watcher in cut {
            let Watcher {
                host, pid, ticket, ..
            } = watcher;
            let pause = self.rng.between(1, 3000) * MILLI;
            self.after(pause, Event::WatchSays(host, pid, ticket, WatchEvent::Lost));
        }
    }
}

fn watch_event(change: &Change) -> WatchEvent {
    match &change.after {
        Some(kv) => WatchEvent::Written(kv.key.clone(), kv.mod_revision, kv.value.clone()),
        None => WatchEvent::Deleted(change.key.clone()),
    }
}
