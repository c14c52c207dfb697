//! What stands in a host's folder: the scripts that its daemon runs, and the daemon's configuration.

use std::path::Path;

use crate::ledger::LOCK_KEY;
use crate::plan::{Settings, TTL_SEC};

/// What the host's daemon runs. Each script that disrupts, undoes or proves something says so in the ledger first.
pub(crate) fn scripts(
    folder: &Path,
    name: &str,
    ledger: &Path,
    power: &Path,
) -> [(&'static str, String); 4] {
    let head = format!(
        "#!/bin/sh\n\
         own='{own}/{name}'\n\
         read -r boot <\"$own/boot_id\"\n\
         read -r now rest </proc/uptime\n\
         say() {{ echo \"$now {name} $1\" >>'{ledger}'; }}\n\
         mode() {{\n\
         \x20 mode=ok\n\
         \x20 if [ -e \"$own/mode-$1\" ]; then read -r mode <\"$own/mode-$1\"; rm \"$own/mode-$1\"; fi\n\
         }}\n",
        own = folder.display(),
        ledger = ledger.display(),
    );
    let health = "result=good\n\
         if [ -e \"$own/ill\" ]; then result=bad; fi\n\
         if [ \"$RC_PHASE\" = post-boot ]; then say \"health-$result $boot\"; fi\n\
         [ $result = good ]\n";
    // The FIFO is opened for reading too, so that it never waits for a reader.
    let ask = format!(
        "echo \"{name} $boot $mode $now\" 1<>'{}'\n",
        power.display()
    );
    let drain = format!(
        "mode drain\n\
         say \"drain $boot\"\n\
         if [ $mode = dying ]; then {ask}fi\n\
         sleep 0.2\n\
         [ $mode != fail ]\n"
    );
    let undrain = "say \"undrain $boot\"\n";
    let reboot = format!(
        "mode reboot\n\
         say \"reboot $boot $mode\"\n\
         case $mode in\n\
         fail) exit 1 ;;\n\
         nothing) exit 0 ;;\n\
         esac\n\
         {ask}\
         [ $mode != failing ]\n"
    );
    [
        ("health", format!("{head}{health}")),
        ("drain", format!("{head}{drain}")),
        ("undrain", format!("{head}{undrain}")),
        ("reboot", format!("{head}{reboot}")),
    ]
}

/// The configuration of a host's daemon.
pub(crate) fn config(
    own: &Path,
    name: &str,
    settings: &Settings,
    limit: usize,
    (rack, wave): (Option<(String, usize)>, i32),
    endpoints: &[String],
) -> String {
    let own = own.display();
    let mut text = format!(
        "node_name: {name}\n\
         node_id: machine-of-{name}\n\
         reboot_required_detectors:\n\
         \x20 - {{type: file, name: required, path: {own}/required}}\n\
         health_script: {own}/health\n\
         health_timeout_sec: 2\n\
         health_publish_interval_sec: 2\n\
         check_interval_sec: 1\n\
         backoff_min_sec: 0.3\n\
         backoff_max_sec: 1.5\n\
         max_concurrent_reboots: {limit}\n\
         halt_after: {halts}\n\
         lock_key: {key}\n\
         lock_ttl_sec: {ttl}\n\
         etcd_endpoints: [{endpoints}]\n\
         etcd_timeout_sec: 1.5\n\
         reboot_command: [{own}/reboot]\n\
         reboot_timeout_sec: 6\n\
         min_reboot_interval_sec: {cooldown}\n\
         post_boot_settle_sec: {settle}\n\
         kill_switch_file: {own}/disable\n\
         run_dir: {own}/run\n\
         boot_id_file: {own}/boot_id\n\
         log: {{level: debug, format: json}}\n",
        key = LOCK_KEY,
        ttl = TTL_SEC,
        halts = u8::from(settings.halts),
        endpoints = endpoints.join(", "),
        cooldown = settings.cooldown_sec,
        settle = settings.settle_sec,
    );
    if settings.hooks {
        text.push_str(&format!(
            "pre_reboot_hook: {{command: [{own}/drain], timeout_sec: 3}}\n\
             post_boot_hook: {{command: [{own}/undrain], timeout_sec: 3}}\n"
        ));
    }
    if settings.policies {
        text.push_str("cluster_policies: {min_healthy_fraction: 0.4}\n");
    }
    if let Some((rack, limit)) = rack {
        text.push_str(&format!(
            "labels: {{rack: {rack}}}\nlimits: {{rack: {limit}}}\n"
        ));
    }
    if wave != 0 {
        text.push_str(&format!("wave: {wave}\n"));
    }
    text
}
