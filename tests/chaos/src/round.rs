//! Rounds of "everyone needs a reboot": faults first, then calm until all is done.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::plan::Fault;
use crate::run::{Active, Run};

const STEP: Duration = Duration::from_millis(30);
/// How long faults strike in a round, at most.
const FAULTS_SEC: (f64, f64) = (15.0, 40.0);
/// And at least, also when everyone is done already: then nobody may reboot again.
const FAULTS_AT_LEAST: Duration = Duration::from_secs(12);
/// In every other round, hosts come to need a reboot one after the other, within this time.
const SPREAD_SEC: f64 = 8.0;
/// Faults in force at once.
const AT_ONCE: usize = 4;
/// How long a round may take once the faults are over. Nine hosts one after another, each with a boot of seven seconds, a reboot
/// command that does nothing at first and a busy machine, need less.
const CALM_LIMIT: Duration = Duration::from_secs(150);
/// How long a finished round is watched: nobody may reboot again.
const AFTERMATH: Duration = Duration::from_millis(2500);
/// A round is not begun when less than this is left.
const SHORTEST: Duration = Duration::from_secs(10);

impl Run {
    /// Rounds, until the time is over.
    pub(crate) fn rounds(&mut self) -> io::Result<()> {
        let mut number = 0;
        while number == 0 || self.begun.elapsed() + SHORTEST < self.options.length {
            number += 1;
            self.round(number)?;
            if self.stopped() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn round(&mut self, number: usize) -> io::Result<()> {
        self.ledger.line(&format!("run round {number}"))?;
        self.shown.round = number;
        let (from, to) = FAULTS_SEC;
        let left = self.options.length.saturating_sub(self.begun.elapsed());
        let faults_until = Instant::now() + self.rng.seconds(from, to).min(left);
        let spread = if number.is_multiple_of(2) {
            SPREAD_SEC
        } else {
            0.0
        };
        let now = Instant::now();
        for host in &mut self.hosts {
            let stubborn = self.rng.chance(10) && !self.settings.halts && !self.settings.waves;
            host.need_reboot_at(now + self.rng.seconds(0.0, spread), stubborn);
        }
        self.strike_until(faults_until)?;
        if self.stopped() {
            return Ok(());
        }
        self.calm()?;
        self.ledger.line(&format!("run calm {number}"))?;
        let limit = Instant::now() + CALM_LIMIT;
        while !self.is_done() {
            if self.stopped() {
                return Ok(());
            }
            if Instant::now() > limit {
                self.ledger.line(&format!("run unfinished {number}"))?;
                // What the daemons are stuck in is in their logs; another round would only blur it.
                self.stop_early();
                return Ok(());
            }
            self.pass(STEP)?;
        }
        self.pass(AFTERMATH)?;
        self.ledger.line(&format!("run settled {number}"))?;
        self.clear_stubborn()
    }

    fn strike_until(&mut self, until: Instant) -> io::Result<()> {
        let mut next_at = Instant::now() + Duration::from_millis(500);
        let mut fault = self.faults.draw();
        let at_least = Instant::now() + FAULTS_AT_LEAST;
        while Instant::now() < until && !self.stopped() {
            if self.is_done() && Instant::now() > at_least {
                return Ok(());
            }
            self.pass(STEP)?;
            if Instant::now() < next_at || !self.may_strike(&fault) {
                continue;
            }
            let id = self.struck + 1;
            if self.strike(&mut fault, id)? {
                self.struck = id;
                self.tell_of(&fault, id)?;
                let until = Instant::now() + fault.lasts;
                self.active.push(Active {
                    id,
                    fault: fault.clone(),
                    until,
                });
            }
            next_at = Instant::now() + fault.pause;
            fault = self.faults.draw();
        }
        Ok(())
    }

    fn may_strike(&self, fault: &Fault) -> bool {
        let same = |active: &Active| active.fault.kind == fault.kind;
        let member = |active: &Active| active.fault.strikes_member();
        let piles = !fault.piles_up && fault.strikes_member() && self.active.iter().any(member);
        self.active.len() < AT_ONCE && !self.active.iter().any(same) && !piles
    }

    fn tell_of(&self, fault: &Fault, id: usize) -> io::Result<()> {
        let hosts: Vec<&str> = fault
            .hosts
            .iter()
            .map(|i| self.hosts[*i].name.as_str())
            .collect();
        let whom = match fault.strikes_member() {
            true => self.members[fault.member].name.clone(),
            false => hosts.join(","),
        };
        let way = match (fault.incoming, fault.outgoing) {
            (true, true) => "both-ways",
            (true, false) => "incoming",
            _ => "outgoing",
        };
        self.ledger.line(&format!(
            "run fault {id} {} {whom} {way} {}% for {:.1}",
            fault.name,
            fault.percent,
            fault.lasts.as_secs_f64()
        ))
    }

    /// Every host is up and rebooted, and no claim is there by a read that was sent after that.
    fn is_done(&mut self) -> bool {
        let busy = |host: &crate::host::Host| !host.is_on() || !host.is_done();
        if self.hosts.iter().any(busy) {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert_with(Instant::now);
        let view = self.observer.view();
        view.asked > since && view.claims.is_empty() && self.operator_is_done()
    }

    fn operator_is_done(&mut self) -> bool {
        self.operator
            .as_ref()
            .is_none_or(|operator| operator.is_finished())
    }

    /// Lets time pass, and shows how things are.
    fn pass(&mut self, time: Duration) -> io::Result<()> {
        self.step(time)?;
        self.plant()?;
        self.show();
        Ok(())
    }

    /// What no reboot cleared is cleared now. Until every daemon has seen that and etcd knows it, or the next round would go on
    /// with the old marker and a budget that is used up: etcd may not have recovered from the faults yet.
    fn clear_stubborn(&mut self) -> io::Result<()> {
        for host in &mut self.hosts {
            if host.round.needs {
                host.clear(&self.ledger)?;
            }
        }
        let begun = Instant::now();
        loop {
            self.pass(AFTERMATH)?;
            let view = self.observer.view();
            let known = view.asked > begun && view.spent.is_empty();
            if known || self.stopped() || begun.elapsed() > CALM_LIMIT {
                return Ok(());
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.given_up
    }

    fn stop_early(&mut self) {
        self.given_up = true;
    }
}
