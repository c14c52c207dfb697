//! From the tree to a [`Config`]: every rule that is not about one of the larger groups, which have files of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::host::Host;
use super::reader::{Field, Map, Sink};
use super::tree::Node;
use super::{Config, Detector, DetectorKind, Log, LogFormat};
use super::{commands, detectors, domains, etcd, files, key, policies};
use crate::core::line::HaltScope;
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};

/// Reads the whole tree. Problems and warnings go to the sink; the configuration counts only if there are no problems.
pub(super) fn config(root: &Node, host: &Host, sink: &Sink) -> Option<Config> {
    let top = Map::top(root, sink);
    let names = node_name(&top.field("node_name"), host);
    let node_id = node_id(&top.field("node_id"), host);
    let detectors = detectors::read(&top.field("reboot_required_detectors"), host);
    let health_script = files::health_script(&top.field("health_script"));
    let health_timeout = top.field("health_timeout_sec").seconds(30);
    let health_publish_interval = top.field("health_publish_interval_sec").seconds(60);
    let check_interval = top.field("check_interval_sec").seconds(60);
    let backoff = backoff(&top);
    let min_reboot_interval = top.field("min_reboot_interval_sec").seconds_or_zero(0);
    let max_concurrent_reboots = at_least(1, &top.field("max_concurrent_reboots"), 1);
    let (labels, limits) = (top.field("labels"), top.field("limits"));
    let domains = domains::read(&labels, &limits, max_concurrent_reboots.unwrap_or(1));
    let wave = wave(&top.field("wave"));
    let lock_key = key::lock_key(&top.field("lock_key"));
    let lock_ttl = lock_ttl(
        &top.field("lock_ttl_sec"),
        &top.field("health_timeout_sec"),
        health_timeout,
    );
    let reboot_timeout = top.field("reboot_timeout_sec").seconds(600);
    let etcd = etcd::read(&top);
    let reboot_command = commands::reboot_command(&top.field("reboot_command"), host);
    let pre_reboot_hook = commands::hook(&top.field("pre_reboot_hook"), host, 300);
    let post_boot_hook = commands::hook(&top.field("post_boot_hook"), host, 300);
    let event_hook = commands::hook(&top.field("event_hook"), host, 30);
    let post_boot_settle = top.field("post_boot_settle_sec").seconds_or_zero(0);
    let hooks = [&pre_reboot_hook, &post_boot_hook];
    let hooks = hooks.into_iter().flatten().map(|hook| hook.timeout);
    let away = hooks.chain(reboot_timeout).chain(post_boot_settle).sum();
    let hold_timeout = hold_timeout(&top.field("hold_timeout_sec"), away);
    let max_reboots_without_clearing = at_least(1, &top.field("max_reboots_without_clearing"), 1);
    let halt_after = at_least(0, &top.field("halt_after"), 1);
    let halt_scope = halt_scope(&top.field("halt_scope"), detectors.as_deref());
    let cluster_policies = policies::cluster_policies(&top.field("cluster_policies"));
    if let Some(policies) = &cluster_policies {
        let limit = max_concurrent_reboots.unwrap_or(1);
        policies::warn_of_a_limit_never_reached(
            &top.field("max_concurrent_reboots"),
            limit,
            policies,
        );
    }
    let windows = policies::windows(&top.field("windows"), host);
    if let (Some(windows), Some(interval)) = (&windows, check_interval) {
        policies::warn_of_rare_checks(&top.field("check_interval_sec"), interval, windows);
    }
    let kill_switch_file = path_or(
        &top.field("kill_switch_file"),
        "/etc/reboot-coordinator/disable",
    );
    let (metrics, metrics_names) = metrics(&top.field("metrics")).unwrap_or_default();
    let log = log(&top.field("log"));
    let dry_run = top.field("dry_run").bool(false);
    let run_dir = path_or(&top.field("run_dir"), "/run/reboot-coordinator");
    let boot_id_file = path_or(
        &top.field("boot_id_file"),
        "/proc/sys/kernel/random/boot_id",
    );

    // Every `None` here has left a problem behind.
    let (node_name, node_name_as_written) = names?;
    let (backoff_min, backoff_max) = backoff?;
    Some(Config {
        node_name,
        node_name_as_written,
        node_id: node_id?,
        detectors: detectors?,
        health_script: health_script?,
        health_timeout: health_timeout?,
        health_publish_interval: health_publish_interval?,
        check_interval: check_interval?,
        backoff_min,
        backoff_max,
        min_reboot_interval: min_reboot_interval?,
        max_concurrent_reboots: max_concurrent_reboots?,
        domains: domains?,
        wave: wave?,
        lock_key: lock_key?,
        lock_ttl: lock_ttl?,
        hold_timeout,
        etcd: etcd?,
        reboot_command: reboot_command?,
        reboot_timeout: reboot_timeout?,
        pre_reboot_hook,
        post_boot_hook,
        event_hook,
        post_boot_settle: post_boot_settle?,
        max_reboots_without_clearing: max_reboots_without_clearing?,
        halt_after: halt_after?,
        halt_scope,
        cluster_policies,
        windows,
        kill_switch_file,
        metrics,
        metrics_names,
        log,
        dry_run,
        run_dir,
        boot_id_file,
    })
}

fn halt_scope(field: &Field<'_>, detectors: Option<&[Detector]>) -> HaltScope {
    match field.text().as_deref() {
        None | Some("all") => return HaltScope::All,
        Some("target") => {}
        Some(other) => field.problem(format!("{other:?} is no scope; use all or target")),
    }
    let kernel = |it: &Detector| matches!(it.kind, DetectorKind::Kernel);
    if detectors.is_some_and(|detectors| !detectors.iter().any(kernel)) {
        field.warning(
            "without a detector of type kernel it is not known what this node would boot, so that every failure counts; add one"
                .to_owned(),
        );
    }
    HaltScope::Target
}

/// The first and the last wave.
const WAVES: [i64; 2] = [-99, 99];

fn wave(field: &Field<'_>) -> Option<i32> {
    match field.is_set() {
        true => field.whole(WAVES[0], WAVES[1]),
        false => Some(0),
    }
}

/// The name, and as it is written.
fn node_name(field: &Field<'_>, host: &Host) -> Option<(String, String)> {
    if !field.is_given() {
        field.missing("use %H for the host name");
        return None;
    }
    let text = field.any_text()?;
    let name = host.expand(&text).map_err(|why| field.problem(why)).ok()?;
    if !is_node_name(&name) {
        field.problem(format!("{name:?} is not a node name; {NODE_NAME_RULE}"));
        return None;
    }
    Some((name, text))
}

fn node_id(field: &Field<'_>, host: &Host) -> Option<String> {
    if field.is_given() {
        return key::node_id(field);
    }
    host.machine_id().map_err(|why| field.problem(why)).ok()
}

fn backoff(top: &Map<'_>) -> Option<(Duration, Duration)> {
    let (least, most) = (top.field("backoff_min_sec"), top.field("backoff_max_sec"));
    // Both are read before either can end this, so that both are checked.
    let (min, max) = (least.seconds(5), most.seconds(60));
    let (min, max) = (min?, max?);
    if min > max {
        let blamed = if most.is_set() { &most } else { &least };
        blamed.problem(format!(
            "backoff_min_sec ({}) must not exceed backoff_max_sec ({}); change one of them",
            min.as_secs_f64(),
            max.as_secs_f64()
        ));
        return None;
    }
    Some((min, max))
}

fn at_least(least: u32, field: &Field<'_>, default: u32) -> Option<u32> {
    match field.is_set() {
        true => field.whole(least.into(), u32::MAX.into()),
        false => Some(default),
    }
}

/// The lease must outlive one health check and the wait for the next renewal, at a third of the TTL; else a healthy holder loses its place.
fn lock_ttl(
    field: &Field<'_>,
    health: &Field<'_>,
    health_timeout: Option<Duration>,
) -> Option<Duration> {
    let ttl = field.seconds(90)?;
    let timeout = health_timeout?;
    if ttl > timeout + ttl / 3 {
        return Some(ttl);
    }
    let blamed = if field.is_set() { field } else { health };
    blamed.problem(format!(
        "lock_ttl_sec ({}) must exceed health_timeout_sec ({}) plus the renewal interval, a third of the TTL; set lock_ttl_sec to at least {}",
        ttl.as_secs_f64(),
        timeout.as_secs_f64(),
        (timeout.as_secs_f64() * 1.5).floor() + 1.0
    ));
    None
}

/// `away` is how long a node that is well may take from its commit to its release.
fn hold_timeout(field: &Field<'_>, away: Duration) -> Option<Duration> {
    if !field.is_set() {
        return None;
    }
    let hold = field.seconds(0)?;
    if hold < away {
        field.warning(format!(
            "is shorter than the drain, the reboot, what undoes the drain and the time to settle may take together ({} s), so a node that \
             is well can lose its claim and another one goes down with it; use more than that, or set no hold_timeout_sec",
            away.as_secs_f64()
        ));
    }
    Some(hold)
}

fn path_or(field: &Field<'_>, default: &str) -> PathBuf {
    field
        .absolute_path()
        .unwrap_or_else(|| PathBuf::from(default))
}

/// Where it is served, when it is, and by which names.
fn metrics(field: &Field<'_>) -> Option<(Option<SocketAddr>, Vec<String>)> {
    let map = field.map()?;
    let names = map.field("names").texts().unwrap_or_default();
    let listen = map.field("listen");
    let address = match listen.text() {
        Some(text) => listen_address(&text).or_else(|| {
            listen.problem(format!(
                "{text:?} must be an IP address and a port, for example 127.0.0.1:9746"
            ));
            None
        }),
        None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9746))),
    };
    let enabled = map.field("enabled").bool(false);
    let names = names.into_iter().map(|(_, name)| name).collect();
    Some((address.filter(|_| enabled), names))
}

/// `IP:port`, and the forms `:port` (every address) and `localhost:port`, which need no name service.
fn listen_address(text: &str) -> Option<SocketAddr> {
    let with_port =
        |rest: &str, ip: IpAddr| rest.parse().ok().map(|port| SocketAddr::new(ip, port));
    if let Some(port) = text.strip_prefix(':') {
        return with_port(port, Ipv6Addr::UNSPECIFIED.into());
    }
    match text.strip_prefix("localhost:") {
        Some(port) => with_port(port, Ipv4Addr::LOCALHOST.into()),
        None => text.parse().ok(),
    }
}

fn log(field: &Field<'_>) -> Log {
    let mut log = Log {
        level: log::LevelFilter::Info,
        format: None,
    };
    let Some(map) = field.map() else { return log };
    let (level, format) = (map.field("level"), map.field("format"));
    if let Some(text) = level.text() {
        match text.parse() {
            Err(_) | Ok(log::LevelFilter::Off) => level.problem(format!(
                "{text:?} is no level; use error, warn, info, debug or trace"
            )),
            Ok(known) => log.level = known,
        }
    }
    if let Some(text) = format.text() {
        match text.to_ascii_lowercase().as_str() {
            "json" => log.format = Some(LogFormat::Json),
            "text" => log.format = Some(LogFormat::Text),
            _ => format.problem(format!(
                "{text:?} is no format; use json or text, or leave it out"
            )),
        }
    }
    log
}
