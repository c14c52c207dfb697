//! The host that does not come back: the line stops, until somebody takes its claim away.

use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Event;
use crate::show::{Failure, Show};
use crate::{Error, LOCK_KEY, Options};

/// How long nobody moves before the demo says so; less when the failure stands for less.
const NOTICE: Duration = Duration::from_secs(3);

impl Show<'_> {
    /// Someone has to do something, and the demo waits for it.
    pub(crate) fn waits_for_operator(&self) -> bool {
        let claimed =
            |failure: &Failure| failure.told && self.ledger.claim(&failure.name).is_some();
        self.style.operator && self.failure.as_ref().is_some_and(claimed)
    }

    /// Tells of the failure once nobody moves any more, and without an operator takes the claim away after a while.
    pub(crate) fn attend_failure(&mut self) -> Result<(), Error> {
        let others_move = self.others_move();
        let hold = self.options.hold;
        let operator = self.style.operator;
        let Some(failure) = &mut self.failure else {
            return Ok(());
        };
        if failure.since.is_none() || self.ledger.claim(&failure.name).is_none() {
            return Ok(());
        }
        if others_move {
            failure.quiet_since = None;
            return Ok(());
        }
        let quiet = failure
            .quiet_since
            .get_or_insert_with(Instant::now)
            .elapsed();
        if quiet >= NOTICE.min(hold) && !failure.told {
            failure.told = true;
            let text = self.advice();
            self.view.say(&text).map_err(Error::io("cannot write"))?;
            if operator {
                listen_to_enter(self);
            }
        } else if quiet >= hold && !operator {
            self.take_claim_away()?;
        }
        Ok(())
    }

    /// Whether a host other than the failed one is on its way, or has yet to join the queue.
    fn others_move(&self) -> bool {
        let failed = |name: &str| self.failure.as_ref().is_some_and(|f| f.is(name));
        let mut others = self.fleet.hosts.iter().filter(|host| !failed(&host.name));
        let free = self.ledger.committed() < self.options.limit;
        others.any(|host| {
            let waits = self.ledger.place(&host.name).is_some();
            let done = self
                .ledger
                .releases
                .iter()
                .any(|turn| turn.node == host.name);
            !host.is_up() || !(done || waits && !free)
        })
    }

    fn advice(&self) -> String {
        let Some(failure) = &self.failure else {
            return String::new();
        };
        let name = failure.name();
        let names = self.fleet.hosts.iter().map(|host| host.name.as_str());
        let waiting: Vec<&str> = names
            .filter(|name| self.ledger.place(name).is_some())
            .collect();
        let mut text =
            format!("\n{name} has not come back. It keeps its claim, which never runs out; ");
        text.push_str(&match waiting.as_slice() {
            [] => "the others\nused the other places and are done.\n".to_owned(),
            names => format!("nobody else\ngoes. Waiting: {}.\n", names.join(", ")),
        });
        text.push_str("An operator who knows that the host is out takes the claim away:\n\n");
        if knows_release(&self.fleet.plant.daemon) {
            let other = self.fleet.hosts.iter().find(|host| host.name != name);
            let config = other.and_then(|host| self.fleet.operators_config(host).ok());
            text.push_str(&format!(
                "  {} release {name} --reason 'does not boot' \\\n    --config {}\n",
                from_here(&self.fleet.plant.daemon),
                config.unwrap_or_default().display()
            ));
        }
        if self.fleet.way.is_open() {
            text.push_str(&format!(
                "\nor, with nothing but etcd:\n\n  {} --endpoints={} \\\n    del {}\n",
                from_here(&self.fleet.cluster.version().etcdctl),
                self.fleet.plant.endpoint,
                claim_of(name)
            ));
        }
        if self.style.operator {
            text.push_str(
                "\nDo so in another terminal, or press Enter here: then the demo deletes it.\n",
            );
        }
        text
    }

    /// Does what an operator would.
    pub(crate) fn take_claim_away(&mut self) -> Result<(), Error> {
        let Some(failure) = self
            .failure
            .as_mut()
            .filter(|failure| failure.told && !failure.freed)
        else {
            return Ok(());
        };
        failure.freed = true;
        let name = failure.name.clone();
        let detail = "its claim is deleted with etcdctl";
        self.event(Instant::now(), &name, "freed", detail)?;
        let deleted = self.fleet.cluster.try_etcdctl(&["del", &claim_of(&name)]);
        if let Err(why) = deleted {
            self.broken
                .push(format!("etcdctl did not delete the claim: {why}"));
        }
        Ok(())
    }
}

fn claim_of(name: &str) -> String {
    format!("{LOCK_KEY}/claims/{name}")
}

/// Enter that was pressed before the question does not count.
fn listen_to_enter(show: &Show<'_>) {
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    let sender = show.fleet.sender.clone();
    let listen = move || {
        let mut line = String::new();
        while io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            if sender.send(Event::Enter).is_err() {
                return;
            }
        }
    };
    // Without the thread there is still the other terminal.
    let _ = thread::Builder::new().spawn(listen);
}

/// Whether the coordinator can take a claim away itself.
fn knows_release(daemon: &Path) -> bool {
    let help = Command::new(daemon).arg("help").output();
    help.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .any(|line| line.trim_start().starts_with("release "))
    })
}

/// The path as one would type it here.
fn from_here(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let here = std::env::current_dir().unwrap_or_default();
    let short = full.strip_prefix(&here).unwrap_or(&full);
    short.display().to_string()
}

/// What the failure came to: how long the claim stood, and who committed or went down meanwhile.
pub(crate) struct Stop {
    pub(crate) name: String,
    pub(crate) lasted: Duration,
    pub(crate) others: Others,
}

/// Commits by etcd's history, and hosts that went down by their power supply, during the failure.
pub(crate) struct Others {
    pub(crate) commits: usize,
    pub(crate) outages: usize,
}

impl Show<'_> {
    /// From the failed host's commit to the end of its claim; `None` when it did not come to that.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        let name = self.failure.as_ref()?.name();
        let commit = self.ledger.commits.iter().find(|turn| turn.node == name)?;
        let release = self.ledger.releases.iter().find(|turn| turn.node == name)?;
        let within = |revision: i64| revision > commit.revision && revision < release.revision;
        let commits = self
            .ledger
            .commits
            .iter()
            .filter(|turn| within(turn.revision))
            .count();
        let others = self.fleet.hosts.iter().filter(|host| host.name != name);
        let starts = others.flat_map(|host| host.outages.iter().map(|(down, _)| *down));
        let outages = starts
            .filter(|at| *at > commit.at && *at < release.at)
            .count();
        Some(Stop {
            name: name.to_owned(),
            lasted: release.at.saturating_duration_since(commit.at),
            others: Others { commits, outages },
        })
    }
}

/// Whether the whole line stands still while one host is out.
pub(crate) fn stops_everyone(options: &Options) -> bool {
    options.limit == 1
}
