//! `simulate`: detectors, and the health script if asked for, once and without etcd.

use std::path::Path;

use super::complain;
use super::exit::Exit;

/// Runs the detectors of the configuration once.
pub(super) fn simulate(_config: &Path, _health: bool, _json: bool) -> Exit {
    complain("reboot-coordinator: simulate is not part of this build yet");
    Exit::Failure
}
