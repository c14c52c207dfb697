//! Every field there is: the one table behind "unknown key", the check of the documentation and the annotated example.

use super::tree::join;

/// The path of each field, lists as `[]`, and what holds when it is absent, as the documentation writes it. All are there, in the order of
/// the documentation; a map stands before its fields.
pub const FIELDS: &[(&str, &str)] = &[
    ("node_name", "required"),
    ("node_id", "made of `/etc/machine-id`"),
    ("reboot_required_detectors", "required"),
    ("reboot_required_detectors[].type", "required"),
    ("reboot_required_detectors[].name", "a description"),
    ("reboot_required_detectors[].timeout_sec", "30"),
    ("reboot_required_detectors[].path", "required for `file`"),
    ("reboot_required_detectors[].cmd", "required for `command`"),
    ("reboot_required_detectors[].url", "required for `http`"),
    ("reboot_required_detectors[].pointer", "none"),
    ("reboot_required_detectors[].equals", "none"),
    ("reboot_required_detectors[].status_codes", "none"),
    (
        "reboot_required_detectors[].tls_ca_file",
        "those of the system",
    ),
    ("reboot_required_detectors[].success_exit_codes", "1 to 125"),
    ("health_script", "required"),
    ("health_timeout_sec", "30"),
    ("health_publish_interval_sec", "60"),
    ("check_interval_sec", "60"),
    ("backoff_min_sec", "5"),
    ("backoff_max_sec", "60"),
    ("min_reboot_interval_sec", "0"),
    ("max_concurrent_reboots", "1"),
    ("labels", "none"),
    ("limits", "none"),
    ("wave", "0"),
    ("lock_key", "required"),
    ("lock_ttl_sec", "90"),
    ("hold_timeout_sec", "none"),
    ("etcd_endpoints", "required"),
    ("etcd_namespace", "empty"),
    ("etcd_timeout_sec", "5"),
    ("etcd_tls", "none"),
    ("etcd_tls.enabled", "false"),
    ("etcd_tls.ca_file", "required with TLS"),
    ("etcd_tls.cert_file", "none"),
    ("etcd_tls.key_file", "none"),
    ("etcd_tls.insecure_skip_verify", "false"),
    ("etcd_auth", "none"),
    ("etcd_auth.username", "required"),
    ("etcd_auth.password_file", "required"),
    (
        "reboot_command",
        "`[/sbin/shutdown, -r, now, \"coordinated kernel reboot\"]`",
    ),
    ("reboot_timeout_sec", "600"),
    ("pre_reboot_hook", "none"),
    ("pre_reboot_hook.command", "required"),
    ("pre_reboot_hook.timeout_sec", "300"),
    ("post_boot_hook", "none"),
    ("post_boot_hook.command", "required"),
    ("post_boot_hook.timeout_sec", "300"),
    ("event_hook", "none"),
    ("event_hook.command", "required"),
    ("event_hook.timeout_sec", "30"),
    ("post_boot_settle_sec", "0"),
    ("max_reboots_without_clearing", "1"),
    ("halt_after", "1"),
    ("halt_scope", "`all`"),
    ("cluster_policies", "none"),
    ("cluster_policies.min_healthy_fraction", "none"),
    ("cluster_policies.min_healthy_absolute", "none"),
    ("cluster_policies.forbid_if_only_fallback_left", "false"),
    ("cluster_policies.fallback_nodes", "empty"),
    ("windows", "none"),
    ("windows.timezone", "`local`"),
    ("windows.deny", "empty"),
    ("windows.allow", "empty"),
    ("kill_switch_file", "`/etc/reboot-coordinator/disable`"),
    ("metrics", "none"),
    ("metrics.enabled", "false"),
    ("metrics.listen", "`127.0.0.1:9746`"),
    ("metrics.names", "empty"),
    ("log", "none"),
    ("log.level", "`info`"),
    ("log.format", "`json`; `text` on a terminal"),
    ("dry_run", "false"),
    ("run_dir", "`/run/reboot-coordinator`"),
    ("boot_id_file", "`/proc/sys/kernel/random/boot_id`"),
];

/// The names of the fields directly inside of the map `parent` (empty for the top), lists written as `[]`.
pub(super) fn names_in(parent: &str) -> impl Iterator<Item = &'static str> {
    let parent = parent.to_owned();
    FIELDS.iter().filter_map(move |(path, _)| {
        let name = match parent.as_str() {
            "" => path,
            parent => path.strip_prefix(parent)?.strip_prefix('.')?,
        };
        (!name.contains(['.', '['])).then_some(name)
    })
}

/// Whether `name` is one of them. A configuration is read before each commit, so this is quick.
pub(super) fn is_in(parent: &str, name: &str) -> bool {
    let path = join(parent, name);
    !name.contains(['.', '[']) && FIELDS.iter().any(|(known, _)| *known == path)
}

/// Where a field called `name` really belongs, for a key written at the wrong depth.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    let mut paths = FIELDS
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| path.rsplit('.').next() == Some(name));
    let only = paths.next()?;
    paths.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_one_level() {
        assert_eq!(
            names_in("etcd_auth").collect::<Vec<_>>(),
            ["username", "password_file"]
        );
        assert_eq!(names_in("reboot_required_detectors[]").count(), 11);
        assert!(names_in("").any(|name| name == "etcd_tls"));
        assert!(!names_in("").any(|name| name.contains('.')));
        for (path, _) in FIELDS {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            assert!(is_in(parent, name) && names_in(parent).any(|known| known == name));
            assert!(parent.is_empty() || !is_in("", path));
        }
        assert!(!is_in("", "username") && !is_in("etcd_auth", "ca_file") && !is_in("", ""));
    }

    #[test]
    fn a_name_used_twice_has_no_single_home() {
        assert_eq!(elsewhere("ca_file"), Some("etcd_tls.ca_file"));
        assert_eq!(elsewhere("enabled"), None);
    }
}
