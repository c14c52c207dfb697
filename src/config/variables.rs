//! What scripts and hooks are told through the environment: the configuration, and the moment they run in.
//!
//! Lists are joined by commas, as clusterrebootd does it. A window entry may contain commas itself (`Sat,Sun 00:00-24:00`);
//! each entry ends with a time, so they can still be told apart.

use super::{ClusterPolicies, Config};
use crate::core::io::ScriptFacts;
use crate::core::windows::Windows;
use crate::trust::PATH;

/// The longest value of a variable. The kernel refuses to start a program with a string of 128 KiB or more in its
/// environment, and a list of five thousand nodes is longer than that.
pub(super) const VALUE_LIMIT: usize = 96 * 1024;

/// What there is to tell a script or hook.
struct Told<'a> {
    config: &'a Config,
    /// Why it runs: a phase of health, `pre-reboot`, `post-boot` or `event`.
    phase: &'a str,
    /// A claim will be or is made; false for checks outside the daemon.
    enabled: bool,
    facts: ScriptFacts,
    policies: ClusterPolicies,
}

/// The entries of a variable's value.
type Says = fn(&Told<'_>) -> Vec<String>;

const VARIABLES: [(&str, Says); 19] = [
    ("RC_NODE_NAME", |it| texts([&it.config.node_name])),
    ("RC_PHASE", |it| texts([it.phase])),
    ("RC_DRY_RUN", |it| texts([it.config.dry_run])),
    ("RC_LOCK_KEY", |it| texts([&it.config.lock_key])),
    ("RC_LOCK_ENABLED", |it| texts([it.enabled])),
    ("RC_LOCK_HELD", |it| texts([it.facts.held])),
    ("RC_LOCK_ATTEMPTS", |it| texts([it.facts.attempts])),
    ("RC_ETCD_ENDPOINTS", |it| texts(&it.config.etcd.endpoints)),
    ("RC_KILL_SWITCH_FILE", |it| {
        texts([it.config.kill_switch_file.display()])
    }),
    ("RC_CLUSTER_MIN_HEALTHY_FRACTION", |it| {
        texts(it.policies.min_healthy_fraction)
    }),
    ("RC_CLUSTER_MIN_HEALTHY_ABSOLUTE", |it| {
        texts(it.policies.min_healthy_absolute)
    }),
    ("RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT", |it| {
        texts([it.policies.forbid_if_only_fallback_left])
    }),
    ("RC_CLUSTER_FALLBACK_NODES", |it| {
        texts(&it.policies.fallback_nodes)
    }),
    ("RC_CLUSTER_NODES", |it| texts(&it.facts.members)),
    ("RC_CLUSTER_HEALTHY_NODES", |it| texts(&it.facts.healthy)),
    ("RC_WINDOWS_ALLOW", |it| {
        texts(it.config.windows.iter().flat_map(Windows::allow))
    }),
    ("RC_WINDOWS_DENY", |it| {
        texts(it.config.windows.iter().flat_map(Windows::deny))
    }),
    ("RC_METRICS_ENDPOINT", |it| texts(it.config.metrics)),
    ("RC_REASONS", |it| texts(&it.facts.reasons)),
];

fn texts<T: ToString>(entries: impl IntoIterator<Item = T>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.to_string()).collect()
}

/// The names of the variables, which the reboot command and hooks may use as `${RC_…}`.
pub fn names() -> [&'static str; 19] {
    VARIABLES.map(|(name, _)| name)
}

/// The whole environment of a script or hook that runs in this phase; without facts, outside of the daemon.
///
/// Every variable is always there, so that scripts may use `set -u`; empty means not configured or none. Control
/// characters become spaces. A list that is too long is cut after a whole entry and named in `RC_TRUNCATED`, which is
/// there only then.
pub fn environment(
    config: &Config,
    phase: &str,
    facts: Option<&ScriptFacts>,
) -> Vec<(String, String)> {
    let told = Told {
        config,
        phase,
        enabled: facts.is_some(),
        facts: facts.cloned().unwrap_or_default(),
        policies: config.cluster_policies.clone().unwrap_or_default(),
    };
    let mut env = vec![("PATH".to_string(), PATH.to_string())];
    let mut truncated = Vec::new();
    for (name, entries) in VARIABLES {
        let (value, complete) = join(&entries(&told));
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

/// The entries with commas between them, and whether all of them fitted.
pub(super) fn join(entries: &[String]) -> (String, bool) {
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
