//! The operator's scripts: how they are run, and their variables in a command line.

use std::path::Path;
use std::time::Duration;

use crate::core::facts::ScriptReport;
use crate::process::{self, Cancel, Command};

/// Where scripts and hooks find their commands.
pub use crate::trust::PATH;

/// What the event hook is told besides.
pub const EVENT: [&str; 7] = [
    "RC_EVENT_NAME",
    "RC_EVENT_NODE",
    "RC_EVENT_TIME",
    "RC_EVENT_TEXT",
    "RC_EVENT_REASON",
    "RC_EVENT_REASONS",
    "RC_EVENT_OUTCOME",
];

/// Replaces `${RC_…}` by the value from `env`, in every argument, once: a value is never expanded again. Text that is not
/// the name of a variable in `env` stays as it is; the configuration was checked for that when it was loaded.
pub fn expand(argv: &[String], env: &[(String, String)]) -> Vec<String> {
    argv.iter().map(|arg| expand_one(arg, env)).collect()
}

fn expand_one(arg: &str, env: &[(String, String)]) -> String {
    let mut parts = arg.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.split_once('}').and_then(|(name, after)| {
            let mut ours = env.iter().filter(|(known, _)| known.starts_with("RC_"));
            let (_, value) = ours.find(|(known, _)| known == name)?;
            Some([value.as_str(), after])
        });
        out.extend(value.unwrap_or(["${", part]));
    }
    out
}

/// Runs the health script.
pub fn check(
    script: &Path,
    timeout: Duration,
    env: &[(String, String)],
    cancel: &Cancel,
) -> ScriptReport {
    let argv = vec![script.to_string_lossy().into_owned()];
    let spec = Command::new(argv, env.to_vec(), timeout);
    process::run(&spec, cancel)
}

#[cfg(test)]
mod tests;
