//! How it stands with each host: its claim in etcd and its power supply, taken together.

use crate::Error;
use crate::ledger::Stage;
use crate::show::{Part, Show};
use crate::style::State;

impl Show<'_> {
    pub(crate) fn is_done(&self, name: &str) -> bool {
        self.ledger.claim(name).is_none()
            && self.ledger.releases.iter().any(|turn| turn.node == name)
    }

    pub(crate) fn all_done(&self) -> bool {
        self.fleet.hosts.iter().all(|host| self.is_done(&host.name))
    }

    fn state(&self, index: usize) -> State {
        let host = &self.fleet.hosts[index];
        let name = host.name.as_str();
        if !host.is_up() {
            let failed = self.failure.as_ref().is_some_and(|f| f.is(name));
            return if failed { State::Failed } else { State::Down };
        }
        let rebooted = !host.outages.is_empty();
        match self.ledger.claim(name).map(|claim| claim.stage) {
            Some(Stage::Queued) => State::Queued(self.ledger.place(name).unwrap_or_default()),
            Some(Stage::Committed) if !rebooted => State::Committed,
            Some(Stage::Committed | Stage::Verifying) => State::Verifying,
            None if self.is_done(name) => State::Done,
            None => State::Idle,
        }
    }

    pub(crate) fn draw(&mut self) -> Result<(), Error> {
        let states: Vec<State> = (0..self.fleet.hosts.len()).map(|i| self.state(i)).collect();
        let note = match self.part {
            Part::Starting => "the daemons start".to_owned(),
            Part::Idle(_) => "nobody needs a reboot".to_owned(),
            Part::Asking(_) => "hosts come to need a reboot".to_owned(),
            Part::Running if self.waits_for_operator() => "waiting for an operator".to_owned(),
            Part::Running => format!(
                "{} rebooted, {} down or about to be",
                states.iter().filter(|state| **state == State::Done).count(),
                self.ledger.committed()
            ),
            Part::Aftermath(_) => "all done; watching whether it stays so".to_owned(),
        };
        let shown = self.view.show(states.into_iter(), &note);
        shown.map_err(Error::io("cannot write"))
    }
}
