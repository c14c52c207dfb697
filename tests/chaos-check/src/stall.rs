//! The longest time in which nothing went on though something could have.

use std::collections::BTreeSet;

use crate::Figures;
use crate::ledger::{Kind, Ledger, What};

#[derive(Default)]
struct State<'a> {
    needs: BTreeSet<&'a str>,
    down: BTreeSet<&'a str>,
    /// Hosts that stay up after their reboot command: the daemon waits for a while, as it should.
    waiting: BTreeSet<&'a str>,
    faults: BTreeSet<usize>,
}

/// Measures the gaps between lines of the ledger during which a node needed a reboot, no fault was in force and no host was down.
pub(crate) fn measure(ledger: &Ledger, figures: &mut Figures) {
    let mut state = State::default();
    let mut last = 0.0_f64;
    for line in &ledger.lines {
        let could_go_on = !state.needs.is_empty()
            && state.down.is_empty()
            && state.waiting.is_empty()
            && state.faults.is_empty();
        if could_go_on && line.at - last > figures.longest_stall.0 {
            figures.longest_stall = (line.at - last, line.at);
        }
        last = last.max(line.at);
        state.take(&line.what);
    }
}

impl<'a> State<'a> {
    fn take(&mut self, what: &'a What) {
        match what {
            What::Need { node } => {
                self.needs.insert(node);
            }
            What::Cleared { node } => {
                self.needs.remove(node.as_str());
            }
            What::Act { node, kind, .. } => {
                self.waiting.remove(node.as_str());
                if *kind == (Kind::Reboot { idle: true }) {
                    self.waiting.insert(node);
                }
            }
            What::Undrain { node } | What::Health { node, .. } => {
                self.waiting.remove(node.as_str());
            }
            What::Down { node, .. } => {
                self.waiting.remove(node.as_str());
                self.down.insert(node);
                // Whatever comes of it, this node has had its turn.
                self.needs.remove(node.as_str());
            }
            What::Boot { node, .. } => {
                self.down.remove(node.as_str());
            }
            What::Retired { node, .. } => {
                self.down.remove(node.as_str());
                self.needs.remove(node.as_str());
                self.waiting.remove(node.as_str());
            }
            What::Fault { id, .. } => {
                self.faults.insert(*id);
            }
            What::FaultEnd { id } => {
                self.faults.remove(id);
            }
            What::Round(_)
            | What::Calm(_)
            | What::Settled(_)
            | What::Unfinished(_)
            | What::Died { .. }
            | What::End => {}
        }
    }
}
