//! The demo's course: hosts on, markers, turns, end. One thread owns it and takes what the channel brings.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Event as EtcdEvent, EventKind};

use crate::fleet::{Event, Fleet};
use crate::host::Change;
use crate::ledger::{Ledger, Step};
use crate::report::{self, Report};
use crate::show::{BadKernel, Failure, Part, Show};
use crate::style::Style;
use crate::view::View;
use crate::{Error, LOCK_KEY, Options};

/// How often the hosts' processes are looked at, and the picture is drawn.
const TICK: Duration = Duration::from_millis(20);

/// Longer than the daemons' check interval with its jitter: who wanted a second reboot would have shown it.
const AFTERMATH: Duration = Duration::from_millis(1200);

/// How long nothing may happen, beyond a boot, before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// See [`crate::run`].
pub(crate) fn run<'a>(
    options: &'a Options,
    style: Style,
    stop: &AtomicBool,
    out: &'a mut dyn Write,
) -> Result<Report, Error> {
    let mut show = Show::start(options, style, out)?;
    let interrupted = match show.main_loop(stop) {
        // Ctrl-C reaches etcd too.
        Err(_) if stop.load(Ordering::Relaxed) => true,
        ended => ended?,
    };
    report::finish(show, interrupted)
}

impl<'a> Show<'a> {
    fn start(
        options: &'a Options,
        style: Style,
        out: &'a mut dyn Write,
    ) -> Result<Show<'a>, Error> {
        let mut fleet = Fleet::start(options)?;
        let names: Vec<String> = fleet.hosts.iter().map(|host| host.name.clone()).collect();
        let title = format!(
            "{} hosts, at most {} down at once, etcd {}",
            options.nodes,
            options.limit,
            fleet.cluster.version()
        );
        let mut view = View::new(out, style, title.clone(), &names, expected(options));
        if !style.live {
            view.say(&title).map_err(Error::io("cannot write"))?;
        }
        fleet.switch_on()?;
        Ok(Show {
            ledger: Ledger::new(options),
            kernel: BadKernel::default(),
            failure: options
                .fail
                .map(|number| Failure::of(format!("node-{number}"))),
            options,
            fleet,
            view,
            style,
            broken: Vec::new(),
            registered: BTreeSet::new(),
            part: Part::Starting,
            last_event: Instant::now(),
        })
    }

    /// Whether it was interrupted.
    fn main_loop(&mut self, stop: &AtomicBool) -> Result<bool, Error> {
        loop {
            match self.fleet.events.recv_timeout(TICK) {
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            while let Ok(event) = self.fleet.events.try_recv() {
                self.take(event)?;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            self.look_at_hosts()?;
            self.go_on()?;
            self.attend_failure()?;
            self.attend_line()?;
            self.draw()?;
            if matches!(self.part, Part::Aftermath(until) if until <= Instant::now()) {
                return Ok(false);
            }
            let allowed = self.options.boot + self.options.hold + self.options.idle;
            if self.last_event.elapsed() > PATIENCE + allowed && !self.waits_for_operator() {
                self.broken.push("nothing moves any more".to_owned());
                return Ok(false);
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Etcd(at, events) => {
                for event in events {
                    self.written(at, &event)?;
                }
            }
            Event::Reboot(name) => self.reboot(&name)?,
            Event::Enter => {
                self.view.line_was_typed();
                self.take_claim_away()?;
            }
        }
        Ok(())
    }

    /// etcd tells of a write or a deletion.
    fn written(&mut self, at: Instant, event: &EtcdEvent) -> Result<(), Error> {
        let key = String::from_utf8_lossy(&event.kv.key).into_owned();
        let below = key.strip_prefix(LOCK_KEY).unwrap_or_default();
        if let Some(node) = below.strip_prefix("/nodes/")
            && event.kind == EventKind::Put
        {
            self.registered.insert(node.to_owned());
        }
        if let Some(what) = below.strip_prefix("/line/") {
            return self.line_written(at, what, event);
        }
        let Some(node) = below.strip_prefix("/claims/") else {
            return Ok(());
        };
        let Some(step) = self.ledger.take(node, event, at) else {
            return Ok(());
        };
        self.last_event = at;
        let revision = event.kv.mod_revision;
        let (what, detail) = match step {
            Step::Queued => {
                let place = self.ledger.place(node).unwrap_or_default();
                ("queued", format!("#{place}, etcd revision {revision}"))
            }
            Step::Committed => ("committed", format!("etcd revision {revision}")),
            Step::Verifying => ("verifying", format!("etcd revision {revision}")),
            Step::Released => ("released", format!("etcd revision {revision}")),
            Step::Left => ("left", format!("etcd revision {revision}")),
        };
        self.event(at, node, what, &detail)
    }

    /// A reboot command ran. It must not have, unless the claim in etcd says so at this moment.
    fn reboot(&mut self, name: &str) -> Result<(), Error> {
        if !self.fleet.may_go_down(name)? {
            self.broken.push(format!(
                "{name} ran its reboot command without a committed claim"
            ));
        }
        let Some(host) = self.fleet.host(name) else {
            return Ok(());
        };
        host.shut_down();
        self.event(Instant::now(), name, "down", "its reboot command ran")
    }

    fn look_at_hosts(&mut self) -> Result<(), Error> {
        for index in 0..self.fleet.hosts.len() {
            let host = &mut self.fleet.hosts[index];
            let change = host
                .look(&self.fleet.plant)
                .map_err(Error::io("a host's daemon cannot be handled"))?;
            let name = host.name.clone();
            let now = Instant::now();
            match change {
                None => {}
                Some(Change::Booted) => self.event(now, &name, "up", "with a new boot id")?,
                Some(Change::StaysDown) => {
                    self.event(now, &name, "FAILED", "it does not come back")?;
                    if let Some(failure) = &mut self.failure {
                        failure.begins(now);
                    }
                }
                Some(Change::Died(how)) => {
                    let tail = self.fleet.log_tail(&name);
                    return Err(Error::Died(format!(
                        "the daemon of {name} ended by itself ({how}):\n{tail}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Moves on to the next part when this one is over.
    fn go_on(&mut self) -> Result<(), Error> {
        match self.part {
            Part::Starting if self.registered.len() == self.options.nodes => {
                self.part = Part::Idle(Instant::now() + self.options.idle);
            }
            Part::Idle(until) if until <= Instant::now() => self.part = Part::Asking(0),
            Part::Asking(asked) => self.ask(asked)?,
            Part::Running if self.all_done() => {
                self.part = Part::Aftermath(Instant::now() + AFTERMATH + self.options.idle);
            }
            Part::Starting | Part::Idle(_) | Part::Running | Part::Aftermath(_) => {}
        }
        Ok(())
    }

    /// All hosts come to need a reboot at once. With one that is to fail, those up to it ask one after the other, so that it is
    /// in the queue before the others are.
    fn ask(&mut self, asked: usize) -> Result<(), Error> {
        if self.options.request {
            let said = self
                .fleet
                .command(&["request", "--all", "--reason", "the demo"])?;
            self.part = Part::Running;
            self.last_event = Instant::now();
            return self.event(Instant::now(), "operator", "asks", said.trim());
        }
        let order = self.options.order();
        let host = |number: usize| format!("node-{number}");
        if let Some(last) = asked.checked_sub(1) {
            let last = host(order[last]);
            let was_seen = self.ledger.claim(&last).is_some() || self.is_done(&last);
            if !was_seen {
                return Ok(());
            }
        }
        let one_by_one = order
            .iter()
            .position(|number| self.options.first() == Some(*number))
            .is_some_and(|position| asked <= position);
        let next = if one_by_one { asked + 1 } else { order.len() };
        for number in &order[asked..next] {
            if let Some(host) = self.fleet.host(&host(*number)) {
                host.require_reboot()
                    .map_err(Error::io("a marker cannot be written"))?;
            }
        }
        self.last_event = Instant::now();
        self.part = if next == order.len() {
            Part::Running
        } else {
            Part::Asking(next)
        };
        Ok(())
    }
}

/// About how long the demo takes: the daemons' first check, then the turns, each with a start and two checks of health.
fn expected(options: &Options) -> Duration {
    let turns = options.nodes.div_ceil(options.limit);
    let turns = u32::try_from(turns).unwrap_or(u32::MAX);
    let failure = options
        .first()
        .map_or(Duration::ZERO, |_| options.hold + Duration::from_secs(2));
    Duration::from_millis(2500)
        + 2 * options.idle
        + (options.boot + Duration::from_millis(150)) * turns
        + failure
}
