//! The operator's scripts: what they are told through the environment.
//!
//! Lists are joined by commas, as clusterrebootd does it. A window entry may contain commas itself (`Sat,Sun 00:00-24:00`);
//! each entry ends with a time, so they can still be told apart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::facts::ScriptReport;
use crate::core::policy::Policies;
use crate::process::{self, Cancel, Command};

/// Where scripts and hooks find their commands.
pub use crate::trust::PATH;

/// The longest value of a variable. The kernel refuses to start a program with a string of 128 KiB or more in its
/// environment, and a list of five thousand nodes is longer than that.
pub const VALUE_LIMIT: usize = 96 * 1024;

/// What a script or hook is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptContext {
    /// This node.
    pub node_name: String,
    /// Why the script runs: a phase of health, or `pre-reboot`.
    pub phase: String,
    /// Nothing will be rebooted.
    pub dry_run: bool,
    /// The key of the lock.
    pub lock_key: String,
    /// A claim will be or is made; false for checks outside the daemon.
    pub lock_enabled: bool,
    /// This node has its turn.
    pub lock_held: bool,
    /// Attempts to get the turn so far.
    pub lock_attempts: u64,
    /// As configured.
    pub etcd_endpoints: Vec<String>,
    /// As configured.
    pub kill_switch_file: PathBuf,
    /// As configured.
    pub cluster_policies: Option<Policies>,
    /// All members, this node included.
    pub cluster_nodes: Vec<String>,
    /// The members whose last report is good.
    pub cluster_healthy_nodes: Vec<String>,
    /// Entries as written.
    pub windows_allow: Vec<String>,
    /// Entries as written.
    pub windows_deny: Vec<String>,
    /// Where this daemon's metrics are served.
    pub metrics_endpoint: Option<SocketAddr>,
    /// Why a reboot is wanted.
    pub reasons: Vec<String>,
}

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

/// The names of the variables, which the reboot command and hooks may use as `${RC_…}`.
pub fn names() -> Vec<&'static str> {
    let variables = variables(&ScriptContext::default()).into_iter();
    variables.map(|(name, _)| name).collect()
}

/// The whole environment of a script or hook.
///
/// Every variable is always there, so that scripts may use `set -u`; empty means not configured or none. Control
/// characters become spaces. A list that is too long is cut after a whole entry and named in `RC_TRUNCATED`, which is
/// there only then.
pub fn environment(context: &ScriptContext) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_string(), PATH.to_string())];
    let mut truncated = Vec::new();
    for (name, entries) in variables(context) {
        let (value, complete) = join(&entries);
        if !complete {
            truncated.push(name);
        }
        env.push((name.into(), value));
    }
    if !truncated.is_empty() {
        env.push(("RC_TRUNCATED".into(), truncated.join(",")));
    }
    env
}

fn variables(context: &ScriptContext) -> [(&'static str, Vec<String>); 19] {
    let policies = context.cluster_policies.clone().unwrap_or_default();
    let one = |value: &str| vec![value.to_string()];
    [
        ("RC_NODE_NAME", one(&context.node_name)),
        ("RC_PHASE", one(&context.phase)),
        ("RC_DRY_RUN", one(&context.dry_run.to_string())),
        ("RC_LOCK_KEY", one(&context.lock_key)),
        ("RC_LOCK_ENABLED", one(&context.lock_enabled.to_string())),
        ("RC_LOCK_HELD", one(&context.lock_held.to_string())),
        ("RC_LOCK_ATTEMPTS", one(&context.lock_attempts.to_string())),
        ("RC_ETCD_ENDPOINTS", context.etcd_endpoints.clone()),
        (
            "RC_KILL_SWITCH_FILE",
            one(&context.kill_switch_file.to_string_lossy()),
        ),
        (
            "RC_CLUSTER_MIN_HEALTHY_FRACTION",
            one(&some(policies.min_healthy_fraction)),
        ),
        (
            "RC_CLUSTER_MIN_HEALTHY_ABSOLUTE",
            one(&some(policies.min_healthy_absolute)),
        ),
        (
            "RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT",
            one(&policies.forbid_if_only_fallback_left.to_string()),
        ),
        ("RC_CLUSTER_FALLBACK_NODES", policies.fallback_nodes),
        ("RC_CLUSTER_NODES", context.cluster_nodes.clone()),
        (
            "RC_CLUSTER_HEALTHY_NODES",
            context.cluster_healthy_nodes.clone(),
        ),
        ("RC_WINDOWS_ALLOW", context.windows_allow.clone()),
        ("RC_WINDOWS_DENY", context.windows_deny.clone()),
        ("RC_METRICS_ENDPOINT", one(&some(context.metrics_endpoint))),
        ("RC_REASONS", context.reasons.clone()),
    ]
}

fn some(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The entries with commas between them, and whether all of them fitted.
fn join(entries: &[String]) -> (String, bool) {
    let mut value = String::new();
    for (i, entry) in entries.iter().enumerate() {
        if value.len() + 1 + entry.len() > VALUE_LIMIT {
            return (value, false);
        }
        if i > 0 {
            value.push(',');
        }
        value.extend(entry.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    (value, true)
}

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
