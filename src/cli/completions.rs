//! `completions`: prints the scripts of `docs/completions`, which `tests/manual/completions.rs` makes, and the names they ask for.

use std::path::Path;
use std::time::Duration;

use super::cluster::{Cluster, read_within};
use super::exit::Exit;
use super::output::print;
use crate::status::describe::{everybody, named};

/// How long names are waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// The script that a shell is to read. `cargo test --test manual` makes them from commands and flags.
pub(super) fn script(shell: &str) -> Result<&'static str, String> {
    let script = match shell {
        "bash" => include_str!("../../docs/completions/reboot-coordinator.bash"),
        "zsh" => include_str!("../../docs/completions/_reboot-coordinator"),
        "fish" => include_str!("../../docs/completions/reboot-coordinator.fish"),
        _ => {
            return Err(format!(
                "unknown shell {shell:?}; known are bash, zsh and fish"
            ));
        }
    };
    Ok(script.trim_end())
}

/// Prints names, one a line, for the scripts; of a name no shell takes anything for more than a letter. Whoever presses a key waits for it: a moment, and no word when it fails.
pub(super) fn names(path: &Path, claims: bool) -> Result<Exit, Exit> {
    let read = read_within(LIMIT, path).map_err(|_| Exit::FAILURE)?;
    let mut config = read.map_err(|_| Exit::FAILURE)?.config;
    config.etcd.timeout = config.etcd.timeout.min(LIMIT);
    let survey = Cluster::of(config).and_then(|cluster| cluster.survey());
    let survey = survey.map_err(|_| Exit::FAILURE)?;
    let names = match claims {
        true => named(&survey.claims).collect(),
        false => everybody(&survey),
    };
    for name in names {
        print(name);
    }
    Ok(Exit::DONE)
}
