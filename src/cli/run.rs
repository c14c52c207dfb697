//! `run`: the daemon, or one pass of it.

use std::path::Path;
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;

use super::cluster::{invalid, loaded};
use super::exit::Exit;
use crate::core::Mode;
use crate::daemon::{self, Start};
use crate::observe;

/// Runs until it is stopped, or once.
pub(super) fn run(path: &Path, mode: Mode, dry_run: bool) -> Result<Exit, Exit> {
    // A file at its limit of size, the log above all, costs what is written and not the daemon. Caught and not ignored: a child that
    // is executed has the default again.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let loaded = loaded(path, invalid)?;
    let config = loaded.config;
    observe::log::init(config.log.level, config.log.format, &config.node_name);
    for warning in &loaded.warnings {
        log::warn!(event = "configuration"; "{warning}");
    }
    let start = Start {
        path: path.to_path_buf(),
        mode,
        dry_run,
    };
    Ok(Exit(daemon::run(config, start)))
}
