//! What the demo knows of its course.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::style::Style;
use crate::view::View;
use crate::{Error, Options};

/// The part of the demo that is on.
pub(crate) enum Part {
    /// The daemons register.
    Starting,
    /// Nobody needs a reboot yet.
    Idle(Instant),
    /// Hosts come to need a reboot; the number of those that do.
    Asking(usize),
    /// They take turns.
    Running,
    /// Everyone is done; whether it stays so.
    Aftermath(Instant),
}

pub(crate) struct Show<'a> {
    pub(crate) options: &'a Options,
    pub(crate) fleet: Fleet,
    pub(crate) ledger: Ledger,
    pub(crate) view: View<'a>,
    pub(crate) style: Style,
    pub(crate) failure: Option<Failure>,
    pub(crate) kernel: BadKernel,
    /// Promises that were broken, besides those in the ledger.
    pub(crate) broken: Vec<String>,
    pub(crate) registered: BTreeSet<String>,
    pub(crate) part: Part,
    pub(crate) last_event: Instant,
}

impl Show<'_> {
    pub(crate) fn event(
        &mut self,
        at: Instant,
        name: &str,
        what: &str,
        detail: &str,
    ) -> Result<(), Error> {
        let written = self.view.event(at, name, what, detail);
        written.map_err(Error::io("cannot write"))
    }
}

/// The failure of one host.
pub(crate) struct Failure {
    pub(crate) name: String,
    /// When the host should have been back.
    pub(crate) since: Option<Instant>,
    /// Since when nobody else moves.
    pub(crate) quiet_since: Option<Instant>,
    pub(crate) told: bool,
    pub(crate) freed: bool,
}

impl Failure {
    pub(crate) fn of(name: String) -> Failure {
        Failure {
            name,
            since: None,
            quiet_since: None,
            told: false,
            freed: false,
        }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.since.is_some() && self.name == name
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn begins(&mut self, now: Instant) {
        self.since = Some(now);
    }
}

/// What etcd says of the line.
#[derive(Default)]
pub(crate) struct BadKernel {
    /// That a reboot failed.
    pub(crate) failed: Option<Written>,
    /// That the others go all the same.
    pub(crate) word: Option<Written>,
    pub(crate) asked: bool,
}

pub(crate) struct Written {
    pub(crate) revision: i64,
    pub(crate) at: Instant,
}
