//! `cluster_policies` and `windows`.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::ClusterPolicies;
use super::host::Host;
use super::programs::argv;
use super::reader::Field;
use crate::core::windows::{Windows, WindowsField};
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};

const NEVER: &str = "this node can never reboot, because";

/// Nobody's cluster under one lock has more members; a policy that asks for more is a mistake.
const LARGE: f64 = 1000.0;

/// `cluster_policies`; `None` also when they ask for nothing.
pub(super) fn cluster_policies(field: &Field<'_>) -> Option<ClusterPolicies> {
    let map = field.map()?;
    let fraction = map.field("min_healthy_fraction");
    let absolute = map.field("min_healthy_absolute");
    let min_healthy_fraction = match fraction.number("a number above 0 and up to 1") {
        Some(value) if value <= 0.0 || value > 1.0 => fraction.refuse(format!(
            "must be above 0 and at most 1, but is {value}; 0.5 means half of the members"
        )),
        fits => fits,
    };
    let policies = ClusterPolicies {
        min_healthy_fraction,
        min_healthy_absolute: absolute.whole(0, u32::MAX.into()),
        forbid_if_only_fallback_left: map.field("forbid_if_only_fallback_left").bool(),
        fallback_nodes: fallback_nodes(&map.field("fallback_nodes")),
    };
    if !policies.fallback_nodes.is_empty() && !policies.forbid_if_only_fallback_left {
        map.field("fallback_nodes").warning(
            "no policy asks for them while forbid_if_only_fallback_left is false; set that to true, or remove them where no script reads them",
        );
    }
    let least = min_healthy_fraction.map(|least| 1.0 / (1.0 - least));
    warn_of_many_members(&fraction, least);
    let least = policies.min_healthy_absolute;
    warn_of_many_members(&absolute, least.map(|least| f64::from(least) + 1.0));
    // Written out as empty, as in a template, it asks for nothing.
    (policies != ClusterPolicies::default()).then_some(policies)
}

/// A policy that lets this node go only among so many members.
fn warn_of_many_members(field: &Field<'_>, members: Option<f64>) {
    match members {
        Some(f64::INFINITY) => field.warning(format!(
            "{NEVER} it counts as not healthy while it is down, so 1 is never reached; use less, for example 0.9"
        )),
        Some(members) if members > LARGE => field.warning(format!(
            "this node can reboot only in a cluster of at least {} members; use less",
            (members - 1e-6).ceil()
        )),
        _ => {}
    }
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
    let timezone = zone.text_or_default();
    let missing = timezone.eq_ignore_ascii_case("local")
        && std::env::var_os("TZ").is_none()
        && !host.localtime_file.exists();
    if missing && host.localtime_file.is_symlink() {
        return zone.refuse(format!(
            "is the local one, and {} is a link to a zone that is not there; install tzdata, correct the link, or name a zone",
            host.localtime_file.display()
        ));
    }
    if missing {
        zone.warning(format!(
            "{} does not exist, so local time is UTC",
            host.localtime_file.display()
        ));
    }
    let denied = deny.texts().unwrap_or_default();
    let allowed = allow.texts().unwrap_or_default();
    match Windows::parse(&timezone, &argv(&denied), &argv(&allowed)) {
        Ok(windows) => {
            warn_of_never(&denied, &allowed, &windows);
            if let Some(last) = windows.table_ended(Timestamp::now()) {
                zone.warning(format!(
                    "the file of this zone knows no change of the clock after {last}, and no rule, so that windows may open at the wrong \
                     hour; install a current tzdata, or name a zone that is not below right/"
                ));
            }
            (!denied.is_empty() || !allowed.is_empty()).then_some(windows)
        }
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

/// Windows that never open are valid, and rarely meant.
fn warn_of_never(
    denied: &[(Field<'_>, String)],
    allowed: &[(Field<'_>, String)],
    windows: &Windows,
) {
    let now = Timestamp::now();
    let closed = |windows: &Windows| windows.next_open(now).is_none();
    if !closed(windows) {
        return;
    }
    let (field, why) = match (allowed.first(), denied.first()) {
        (Some((field, _)), _) if closed(&windows.without_deny()) => (
            field,
            "every entry of windows.allow is over or shows no time that comes; write one that comes",
        ),
        (Some(_), Some((field, _))) => (
            field,
            "windows.deny covers every entry of windows.allow; shorten one of them",
        ),
        (_, Some((field, _))) => (field, "windows.deny covers every time; shorten it"),
        (_, None) => return,
    };
    field.warning(format!("{NEVER} {why}"));
}

/// More at once than the policies let go in any cluster there is.
pub(super) fn warn_of_a_limit_never_reached(
    field: &Field<'_>,
    limit: u32,
    policies: &ClusterPolicies,
) {
    let Some(fraction) = policies.min_healthy_fraction.filter(|least| *least < 1.0) else {
        return;
    };
    let members = (f64::from(limit) / (1.0 - fraction) - 1e-6).ceil();
    if limit > 1 && members > LARGE {
        field.warning(format!(
            "{limit} nodes go at once only in a cluster of at least {members} members, because of min_healthy_fraction ({fraction}); use less"
        ));
    }
}

/// What is rarer than a window is long comes at most once in it.
pub(super) fn warn_of_rare_checks(field: &Field<'_>, pause: Duration, windows: &Windows) {
    let longest = windows.longest(Timestamp::now());
    if let Some(longest) = longest.filter(|longest| *longest < pause) {
        field.warning(format!(
            "{} is longer than the longest window, {} s; what fails, or a place that is taken, then costs the whole window; use less",
            pause.as_secs_f64(),
            longest.as_secs()
        ));
    }
}
