//! From the tree to a [`Config`]: every rule that is not about one of the larger groups, which have files of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::host::Host;
use super::reader::{Field, Sink};
use super::tree::Node;
use super::{Config, Detector, DetectorKind, Log, LogFormat};
use super::{detectors, domains, etcd, files, key, policies, programs};
use crate::core::line::HaltScope;
use crate::host::{InstanceLock, KillSwitch, boot_id, kill_switch};
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};
use crate::scripts;

/// Reads the whole tree. Problems and warnings go to the sink, and there is a configuration only when everything could be read.
pub(super) fn config(root: &Node, host: &Host, sink: &Sink) -> Option<Config> {
    let top = Field::top(root, sink);
    let field = |name: &str| top.field(name);
    let seconds = |name| sink.read(top.field(name).seconds());
    let count = |name, least: u32| sink.read(top.field(name).whole(least.into(), u32::MAX.into()));
    let hook = |name, more| programs::hook(&top.field(name), host, more);
    let (node_name, node_name_as_written) = sink.read(names(&field("node_name"), host));
    let detectors = detectors::read(&field("reboot_required_detectors"), host);
    let (backoff_min, backoff_max) = sink.read(backoff(&top));
    let limit = count("max_concurrent_reboots", 1);
    let (metrics, metrics_names) = metrics(&field("metrics"));
    let mut config = Config {
        node_name,
        node_name_as_written,
        node_id: sink.read(node_id(&field("node_id"), host)),
        halt_scope: halt_scope(&field("halt_scope"), detectors.as_deref()),
        detectors: sink.read(detectors),
        health_script: sink.read(files::health_script(&field("health_script"), &host.path)),
        health_timeout: seconds("health_timeout_sec"),
        health_publish_interval: seconds("health_publish_interval_sec"),
        check_interval: seconds("check_interval_sec"),
        backoff_min,
        backoff_max,
        min_reboot_interval: sink.read(field("min_reboot_interval_sec").seconds_or_zero()),
        max_concurrent_reboots: limit,
        domains: domains::read(&field("labels"), &field("limits"), limit),
        wave: sink.read(field("wave").whole(-99, 99)),
        lock_key: sink.read(key::lock_key(&field("lock_key"))),
        lock_ttl: seconds("lock_ttl_sec"),
        hold_timeout: None,
        etcd: etcd::read(&top, sink),
        reboot_command: sink.read(programs::reboot_command(&field("reboot_command"), host)),
        reboot_timeout: seconds("reboot_timeout_sec"),
        pre_reboot_hook: hook("pre_reboot_hook", &[]),
        post_boot_hook: hook("post_boot_hook", &[]),
        event_hook: hook("event_hook", &scripts::EVENT),
        post_boot_settle: sink.read(field("post_boot_settle_sec").seconds_or_zero()),
        max_reboots_without_clearing: count("max_reboots_without_clearing", 1),
        halt_after: count("halt_after", 0),
        cluster_policies: policies::cluster_policies(&field("cluster_policies")),
        windows: policies::windows(&field("windows"), host),
        kill_switch_file: kill_switch_file(&field("kill_switch_file")),
        metrics,
        metrics_names,
        log: log(&field("log")),
        dry_run: field("dry_run").bool(),
        run_dir: run_dir(&field("run_dir")),
        boot_id_file: boot_id_file(&field("boot_id_file")),
    };
    config.hold_timeout = hold_timeout(&field("hold_timeout_sec"), &config);
    fit_together(&top, &config);
    sink.is_clean().then_some(config)
}

/// What several fields say together. A time of zero was a mistake, and is told as such.
fn fit_together(top: &Field<'_>, config: &Config) {
    let (ttl, health) = (top.field("lock_ttl_sec"), top.field("health_timeout_sec"));
    lock_ttl(&ttl, &health, config);
    if let Some(policies) = &config.cluster_policies {
        let field = top.field("max_concurrent_reboots");
        policies::warn_of_a_limit_never_reached(&field, config.max_concurrent_reboots, policies);
    }
    if let Some(windows) = &config.windows {
        for (name, pause) in [
            ("check_interval_sec", config.check_interval),
            ("backoff_max_sec", config.backoff_max),
        ] {
            policies::warn_of_rare_checks(&top.field(name), pause, windows);
        }
    }
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

/// The name, and as it is written.
fn names(field: &Field<'_>, host: &Host) -> Option<(String, String)> {
    let text = field.required("use %H for the host name")?.any_text()?;
    let name = field.accept(host.expand(&text))?;
    match is_node_name(&name) {
        true => Some((name, text)),
        false => field.refuse(format!("{name:?} is not a node name; {NODE_NAME_RULE}")),
    }
}

fn node_id(field: &Field<'_>, host: &Host) -> Option<String> {
    if field.is_given() {
        return key::node_id(field);
    }
    field.accept(host.machine_id())
}

fn backoff(top: &Field<'_>) -> Option<(Duration, Duration)> {
    let (least, most) = (top.field("backoff_min_sec"), top.field("backoff_max_sec"));
    // Both are read before either can end this, so that both are checked.
    let (min, max) = (least.seconds(), most.seconds());
    let (min, max) = (min?, max?);
    if min > max {
        let blamed = if most.is_set() { &most } else { &least };
        return blamed.refuse(format!(
            "backoff_min_sec ({}) must not exceed backoff_max_sec ({}); change one of them",
            min.as_secs_f64(),
            max.as_secs_f64()
        ));
    }
    Some((min, max))
}

/// The lease must outlive one health check and the wait for the next renewal, at a third of the TTL; else a healthy holder loses its place.
fn lock_ttl(field: &Field<'_>, health: &Field<'_>, config: &Config) {
    let (ttl, timeout) = (config.lock_ttl, config.health_timeout);
    if ttl.is_zero() || timeout.is_zero() || ttl > timeout + ttl / 3 {
        return;
    }
    let blamed = if field.is_set() { field } else { health };
    blamed.problem(format!(
        "lock_ttl_sec ({}) must exceed health_timeout_sec ({}) plus the renewal interval, a third of the TTL; set lock_ttl_sec to at least {}",
        ttl.as_secs_f64(),
        timeout.as_secs_f64(),
        (timeout.as_secs_f64() * 1.5).floor() + 1.0
    ));
}

/// Compared with how long a node that is well may take from its commit to its release.
fn hold_timeout(field: &Field<'_>, config: &Config) -> Option<Duration> {
    let hold = field.seconds()?;
    let hooks = [&config.pre_reboot_hook, &config.post_boot_hook];
    let hooks: Duration = hooks.into_iter().flatten().map(|hook| hook.timeout).sum();
    let away = hooks + config.reboot_timeout + config.post_boot_settle;
    if hold < away {
        field.warning(format!(
            "is shorter than the drain, the reboot, what undoes the drain and the time to settle may take together ({} s), so a node that \
             is well can lose its claim and another one goes down with it; use more than that, or set no hold_timeout_sec",
            away.as_secs_f64()
        ));
    }
    Some(hold)
}

fn run_dir(field: &Field<'_>) -> PathBuf {
    let folder = field.path_or_default();
    if folder.exists() && !folder.is_dir() {
        field.problem("is no folder; name another, or remove what is there");
    } else if let Err(error) = InstanceLock::fits(&folder) {
        field.warning(format!(
            "this program cannot start: the instance lock cannot be taken: {error}"
        ));
    }
    folder
}

fn boot_id_file(field: &Field<'_>) -> PathBuf {
    let file = field.path_or_default();
    if let Err(error) = boot_id(&file) {
        field.warning(format!(
            "the boot id cannot be read: {error}; nothing runs without it"
        ));
    }
    file
}

fn kill_switch_file(field: &Field<'_>) -> PathBuf {
    let file = field.path_or_default();
    if file.is_dir() {
        field.warning(
            "this node cannot reboot while this folder is there; name a file in it, or remove it",
        );
    } else if let KillSwitch::Unknown(why) = kill_switch(&file) {
        field.warning(format!(
            "this node cannot reboot while this cannot be checked: {why}; correct the path"
        ));
    }
    file
}

/// Where it is served, when it is, and by which names.
fn metrics(metrics: &Field<'_>) -> (Option<SocketAddr>, Vec<String>) {
    let enabled = metrics.map().is_some_and(Field::enabled);
    let names = metrics.field("names").texts().unwrap_or_default();
    for (field, name) in &names {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || ":/@".contains(c)) {
            field.warning(format!(
                "{name:?} is no host name, so that nobody asks for it; write it without scheme, port and path, for example node-7.example.com"
            ));
        }
    }
    let listen = metrics.field("listen");
    let text = listen.text_or_default();
    let address = listen_address(&text).or_else(|| {
        listen.refuse(format!(
            "{text:?} must be an IP address or localhost, and a port, for example 127.0.0.1:9746"
        ))
    });
    (address.filter(|_| enabled), programs::argv(&names))
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

fn log(log: &Field<'_>) -> Log {
    log.map();
    let (level, format) = (log.field("level"), log.field("format"));
    let text = level.text_or_default();
    let known = text.parse().ok().filter(|known| *known != LevelFilter::Off);
    Log {
        level: known.unwrap_or_else(|| {
            level.problem(format!(
                "{text:?} is no level; use error, warn, info, debug or trace"
            ));
            LevelFilter::Info
        }),
        format: format
            .text()
            .and_then(|text| match text.to_ascii_lowercase().as_str() {
                "json" => Some(LogFormat::Json),
                "text" => Some(LogFormat::Text),
                _ => format.refuse(format!(
                    "{text:?} is no format; use json or text, or leave it out"
                )),
            }),
    }
}
