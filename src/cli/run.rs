//! `run`: the daemon, or one pass of it.

use std::path::Path;

use super::complain;
use super::exit::Exit;
use super::parse::RunOptions;

/// Runs until it is stopped, or once.
pub(super) fn run(_config: &Path, _options: &RunOptions) -> Exit {
    complain("reboot-coordinator: run is not part of this build yet");
    Exit::Failure
}
