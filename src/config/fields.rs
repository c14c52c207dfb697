//! Every field there is: the one table behind "unknown key", the check of the documentation and the annotated example.

use super::tree::join;

/// A field of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its path, lists as `[]`.
    pub path: &'static str,
    /// What holds when it is absent, as the documentation writes it.
    pub default: &'static str,
}

const fn field(path: &'static str, default: &'static str) -> Field {
    Field { path, default }
}

/// All fields, in the order of the documentation. A map stands before its fields.
pub const FIELDS: &[Field] = &[
    field("node_name", "required"),
    field("node_id", "made of `/etc/machine-id`"),
    field("reboot_required_detectors", "required"),
    field("reboot_required_detectors[].type", "required"),
    field("reboot_required_detectors[].name", "a description"),
    field("reboot_required_detectors[].timeout_sec", "30"),
    field("reboot_required_detectors[].path", "required for `file`"),
    field("reboot_required_detectors[].cmd", "required for `command`"),
    field("reboot_required_detectors[].url", "required for `http`"),
    field("reboot_required_detectors[].pointer", "none"),
    field("reboot_required_detectors[].equals", "none"),
    field("reboot_required_detectors[].status_codes", "none"),
    field(
        "reboot_required_detectors[].tls_ca_file",
        "those of the system",
    ),
    field("reboot_required_detectors[].success_exit_codes", "1 to 125"),
    field("health_script", "required"),
    field("health_timeout_sec", "30"),
    field("health_publish_interval_sec", "60"),
    field("check_interval_sec", "60"),
    field("backoff_min_sec", "5"),
    field("backoff_max_sec", "60"),
    field("min_reboot_interval_sec", "0"),
    field("max_concurrent_reboots", "1"),
    field("labels", "none"),
    field("limits", "none"),
    field("wave", "0"),
    field("lock_key", "required"),
    field("lock_ttl_sec", "90"),
    field("hold_timeout_sec", "none"),
    field("etcd_endpoints", "required"),
    field("etcd_namespace", "empty"),
    field("etcd_timeout_sec", "5"),
    field("etcd_tls", "none"),
    field("etcd_tls.enabled", "false"),
    field("etcd_tls.ca_file", "required with TLS"),
    field("etcd_tls.cert_file", "none"),
    field("etcd_tls.key_file", "none"),
    field("etcd_tls.insecure_skip_verify", "false"),
    field("etcd_auth", "none"),
    field("etcd_auth.username", "required"),
    field("etcd_auth.password_file", "required"),
    field(
        "reboot_command",
        "`[/sbin/shutdown, -r, now, \"coordinated kernel reboot\"]`",
    ),
    field("reboot_timeout_sec", "600"),
    field("pre_reboot_hook", "none"),
    field("pre_reboot_hook.command", "required"),
    field("pre_reboot_hook.timeout_sec", "300"),
    field("post_boot_hook", "none"),
    field("post_boot_hook.command", "required"),
    field("post_boot_hook.timeout_sec", "300"),
    field("event_hook", "none"),
    field("event_hook.command", "required"),
    field("event_hook.timeout_sec", "30"),
    field("post_boot_settle_sec", "0"),
    field("max_reboots_without_clearing", "1"),
    field("halt_after", "1"),
    field("halt_scope", "`all`"),
    field("cluster_policies", "none"),
    field("cluster_policies.min_healthy_fraction", "none"),
    field("cluster_policies.min_healthy_absolute", "none"),
    field("cluster_policies.forbid_if_only_fallback_left", "false"),
    field("cluster_policies.fallback_nodes", "empty"),
    field("windows", "none"),
    field("windows.timezone", "`local`"),
    field("windows.deny", "empty"),
    field("windows.allow", "empty"),
    field("kill_switch_file", "`/etc/reboot-coordinator/disable`"),
    field("metrics", "none"),
    field("metrics.enabled", "false"),
    field("metrics.listen", "`127.0.0.1:9746`"),
    field("metrics.names", "empty"),
    field("log", "none"),
    field("log.level", "`info`"),
    field("log.format", "`json`; `text` on a terminal"),
    field("dry_run", "false"),
    field("run_dir", "`/run/reboot-coordinator`"),
    field("boot_id_file", "`/proc/sys/kernel/random/boot_id`"),
];

/// The names of the fields directly inside of the map `parent` (empty for the top), lists written as `[]`.
pub(super) fn names_in(parent: &str) -> impl Iterator<Item = &'static str> {
    let parent = parent.to_owned();
    FIELDS.iter().filter_map(move |field| {
        let name = match parent.as_str() {
            "" => field.path,
            parent => field.path.strip_prefix(parent)?.strip_prefix('.')?,
        };
        (!name.contains(['.', '['])).then_some(name)
    })
}

/// Whether `name` is one of them. A configuration is read before each commit, so this is quick.
pub(super) fn is_in(parent: &str, name: &str) -> bool {
    let path = join(parent, name);
    !name.contains(['.', '[']) && FIELDS.iter().any(|field| field.path == path)
}

/// Where a field called `name` really belongs, for a key written at the wrong depth.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    let mut paths = FIELDS
        .iter()
        .map(|field| field.path)
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
        for field in FIELDS {
            let (parent, name) = field.path.rsplit_once('.').unwrap_or(("", field.path));
            assert!(is_in(parent, name) && names_in(parent).any(|known| known == name));
            assert!(parent.is_empty() || !is_in("", field.path));
        }
        assert!(!is_in("", "username") && !is_in("etcd_auth", "ca_file") && !is_in("", ""));
    }

    #[test]
    fn a_name_used_twice_has_no_single_home() {
        assert_eq!(elsewhere("ca_file"), Some("etcd_tls.ca_file"));
        assert_eq!(elsewhere("enabled"), None);
    }
}
