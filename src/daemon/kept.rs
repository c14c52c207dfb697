//! What is kept in the run dir for others: packages, the next process of this host, whoever looks for the last reboot.

use std::path::Path;

use super::Daemon;
use crate::core::{Commitment, Input, Memory, Refusal, Ticket};
use crate::host;

/// What a process before this one could not write everywhere.
pub(super) fn unwritten(run_dir: &Path) -> Option<String> {
    host::read_memory(run_dir).filter(|json| host::stale_memory(run_dir, json).is_some())
}

impl Daemon {
    /// Says whether a reboot is under way, before anything is sent that could begin one.
    pub(super) fn write_claim(&mut self) {
        let commitment = self.machine.commitment();
        if commitment.is_none() || commitment == self.commitment {
            return;
        }
        let word = commitment.map_or("", Commitment::as_str);
        if let Err(error) = host::write_claim(&self.config.run_dir, word) {
            let now = self.clock.now().mono;
            if self.hold_back.should_log("claim_not_written", "", now) {
                log::warn!(event = "claim_not_written"; "what packages have to know before they restart this daemon could not be written: {error}; check run_dir");
            }
        }
        self.commitment = commitment;
    }

    pub(super) fn remember(&mut self, memory: &Memory) -> Option<Input> {
        let json = serde_json::to_string(memory).expect("a memory is plain data");
        self.unwritten = None;
        if let Err(error) = host::write_memory(&self.config.run_dir, &json) {
            log::warn!(event = "memory_not_written"; "what this host has to remember of its reboots could not be written, so its next start runs post_boot_hook once, where one is configured: {error}");
            self.unwritten = Some(json);
        }
        None
    }

    /// The look at the host, unless `run_dir` was lost before the commit, or an older record of the host stands and can be neither
    /// replaced nor removed: by that the next boot would take this node's claim for a copy's.
    pub(super) fn look_at_host(&mut self, ticket: Ticket) -> Option<Input> {
        let run_dir = &self.config.run_dir;
        if let Some(json) = &self.unwritten {
            match host::write_memory(run_dir, json) {
                Ok(()) => self.unwritten = None,
                Err(error) => {
                    if let Some(stale) = host::stale_memory(run_dir, json) {
                        let why = format!(
                            "{} is an older record of this host and can be neither written nor removed: {error}; make its folder \
                             writable",
                            stale.display()
                        );
                        return Some(Input::Host(ticket, Some(Refusal::Configuration(why))));
                    }
                }
            }
        }
        let committed = self.machine.commitment() == Some(Commitment::Committed);
        let lock = self.lock.as_mut().filter(|_| !committed);
        if let Some(Err(lost)) = lock.map(|lock| lock.guards(run_dir)) {
            let refusal = Refusal::Configuration(lost.to_string());
            return Some(Input::Host(ticket, Some(refusal)));
        }
        self.tasks.look_at_host(ticket, committed)
    }

    pub(super) fn record_completed(&self, json: &str) -> Option<Input> {
        if let Err(error) = host::write_completed(&self.config.run_dir, json) {
            log::warn!(event = "marker_not_written"; "the marker of the completed reboot could not be written: {error}");
        }
        None
    }
}
