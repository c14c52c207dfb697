//! What is kept in the run dir for others: packages, the next process of this host, whoever looks for the last reboot.

use super::Daemon;
use crate::core::{Commitment, Input, Memory};
use crate::host;

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

    pub(super) fn remember(&self, memory: &Memory) -> Option<Input> {
        let json = serde_json::to_string(memory).expect("a memory is plain data");
        if let Err(error) = host::write_memory(&self.config.run_dir, &json) {
            log::warn!(event = "memory_not_written"; "what this host has to remember of its reboots could not be written, so its next start runs post_boot_hook once: {error}");
        }
        None
    }

    pub(super) fn record_completed(&self, json: &str) -> Option<Input> {
        if let Err(error) = host::write_completed(&self.config.run_dir, json) {
            log::warn!(event = "marker_not_written"; "the marker of the completed reboot could not be written: {error}");
        }
        None
    }
}
