//! From the configuration to what the parts of the daemon are made of.

use std::time::Duration;

use crate::config::Config;
use crate::core::{Mode, Settings};
use crate::host;
use crate::lock::Keys;
use crate::lock::outcome::HOST_LIMIT;

/// What the machine knows.
pub(super) fn settings(config: &Config, mode: Mode) -> Result<Settings, String> {
    let boot_id = host::boot_id(&config.boot_id_file)
        .map_err(|error| format!("the boot id cannot be read: {error}; check boot_id_file"))?;
    Ok(Settings {
        node: config.node_name.clone(),
        node_id: config.node_id.clone(),
        boot_id,
        memory: host::read_memory(&config.run_dir)
            .and_then(|json| serde_json::from_str(&json).ok()),
        keys: Keys::new(&config.etcd.namespace, &config.lock_key),
        max_concurrent_reboots: config.max_concurrent_reboots,
        domains: config.domains.clone(),
        wave: config.wave,
        halt_after: config.halt_after,
        halt_scope: config.halt_scope,
        check_interval: config.check_interval,
        health_publish_interval: (mode == Mode::Daemon).then_some(config.health_publish_interval),
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
        min_reboot_interval: config.min_reboot_interval,
        lock_ttl: config.lock_ttl,
        etcd_timeout: config.etcd.timeout,
        gates_limit: gates_limit(config),
        hold_timeout: config.hold_timeout,
        reboot_timeout: config.reboot_timeout,
        drain_timeout: config.pre_reboot_hook.as_ref().map(|hook| hook.timeout),
        undoes: config.post_boot_hook.is_some(),
        undo_timeout: (config.post_boot_hook.as_ref()).map_or(Duration::ZERO, |hook| hook.timeout),
        post_boot_settle: config.post_boot_settle,
        max_reboots_without_clearing: config.max_reboots_without_clearing,
        policies: config.cluster_policies.clone(),
        many_members: MANY_MEMBERS,
        windows: config.windows.clone(),
        dry_run: config.dry_run,
        mode,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// When all of so many members read all of them at each check, that costs etcd a seventh of a core.
const MANY_MEMBERS: u32 = 500;

/// What detectors and health script may take, the two reads, and the looks at the host and at its name and zone.
fn gates_limit(config: &Config) -> Duration {
    let detectors = config.detectors.iter().map(|detector| detector.timeout);
    detectors.sum::<Duration>() + config.health_timeout + config.etcd.timeout * 2 + HOST_LIMIT * 2
}
