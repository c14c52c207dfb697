//! `cluster_policies` and `windows`.

use std::collections::HashSet;

use super::ClusterPolicies;
use super::host::Host;
use super::reader::Field;
use crate::core::windows::{Windows, WindowsField};
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};

/// `cluster_policies`; `None` also when they ask for nothing.
pub(super) fn cluster_policies(field: &Field<'_>) -> Option<ClusterPolicies> {
    let map = field.map()?;
    let fraction = map.field("min_healthy_fraction");
    let min_healthy_fraction = fraction
        .number("a number above 0 and up to 1")
        .filter(|&value| {
            let fits = value > 0.0 && value <= 1.0;
            if !fits {
                fraction.problem(format!(
                    "must be above 0 and at most 1, but is {value}; 0.5 means half of the members"
                ));
            }
            fits
        });
    let policies = ClusterPolicies {
        min_healthy_fraction,
        min_healthy_absolute: map
            .field("min_healthy_absolute")
            .whole(0, u32::MAX.into())
            .and_then(|n| u32::try_from(n).ok()),
        forbid_if_only_fallback_left: map.field("forbid_if_only_fallback_left").bool(false),
        fallback_nodes: fallback_nodes(&map.field("fallback_nodes")),
    };
    // Written out as empty, as in a template, it asks for nothing.
    (policies != ClusterPolicies::default()).then_some(policies)
}

fn fallback_nodes(field: &Field<'_>) -> Vec<String> {
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for (item, name) in field.texts().unwrap_or_default() {
        if !is_node_name(&name) {
            item.problem(format!("{name:?} is not a node name; {NODE_NAME_RULE}"));
        } else if !known.insert(name.clone()) {
            item.warning(format!("{name} is named twice"));
        } else {
            names.push(name);
        }
    }
    names
}

/// `windows`; `None` also when there are no entries.
pub(super) fn windows(field: &Field<'_>, host: &Host) -> Option<Windows> {
    let map = field.map()?;
    let (zone, deny, allow) = (map.field("timezone"), map.field("deny"), map.field("allow"));
    let mut timezone = zone.text().unwrap_or_else(|| "local".to_owned());
    if timezone.eq_ignore_ascii_case("local")
        && std::env::var_os("TZ").is_none()
        && !host.localtime_file.exists()
    {
        // As systemd documents: a host without /etc/localtime is in UTC.
        zone.warning(format!(
            "{} does not exist, so local time is UTC",
            host.localtime_file.display()
        ));
        timezone = "UTC".to_owned();
    }
    let (denied, allowed) = (
        deny.texts().unwrap_or_default(),
        allow.texts().unwrap_or_default(),
    );
    let texts = |entries: &[(Field<'_>, String)]| {
        entries
            .iter()
            .map(|(_, text)| text.clone())
            .collect::<Vec<_>>()
    };
    match Windows::parse(&timezone, &texts(&denied), &texts(&allowed)) {
        Ok(windows) => (!denied.is_empty() || !allowed.is_empty()).then_some(windows),
        Err(errors) => {
            for error in errors {
                match error.field {
                    WindowsField::Timezone => zone.problem(error.message),
                    WindowsField::Deny(index) => denied[index].0.problem(error.message),
                    WindowsField::Allow(index) => allowed[index].0.problem(error.message),
                }
            }
            None
        }
    }
}
