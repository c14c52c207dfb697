//! What on this host forbids a reboot: the kill switch, and a configuration by which the next start would not find its claim. And
//! what the host has changed under the configuration: its name, its time zone.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Event, Inbox, Start, reload};
use crate::config::{self, Config};
use crate::core::{Mode, Refusal};
use crate::host::{self, KillSwitch};
use crate::lock::outcome::HOST_LIMIT;
use crate::process::{Cancel, bounded};

/// Why the host forbids a reboot now, within [`HOST_LIMIT`]. No answer is a "no".
pub(super) fn forbids(file: &Path, config: Arc<Config>, cancel: &Cancel) -> Option<Refusal> {
    let began = Instant::now();
    let path = config.kill_switch_file.clone();
    let shown = path.display().to_string();
    let look = move || host::kill_switch(&path);
    let switch = bounded("kill switch", HOST_LIMIT, cancel, look).ok();
    if let Some(why) = switched_off(switch, &shown) {
        return Some(Refusal::KillSwitch(why));
    }
    let left = HOST_LIMIT.saturating_sub(began.elapsed());
    let of = file.to_owned();
    let unlike = bounded("configuration", left, cancel, move || unlike(&of, &config));
    let unknown = |_| {
        Some(format!(
            "no answer about {} or a path in it",
            file.display()
        ))
    };
    unlike.unwrap_or_else(unknown).map(Refusal::Configuration)
}

/// Hands the configuration over when it takes another name or time zone from the host than before.
pub(super) fn follow_host(start: &Start, config: &Arc<Config>, inbox: &Inbox, cancel: &Cancel) {
    let (begun, running) = (start.clone(), Arc::clone(config));
    let look = move || reload::of_host(&begun, &running);
    if start.mode == Mode::Daemon
        && let Ok(Some(found)) = bounded("name and zone", HOST_LIMIT, cancel, look)
    {
        inbox.hand_over(Event::Host(Box::new(found)));
    }
}

/// Why the kill switch forbids a reboot, or `None`. No answer is a "no".
fn switched_off(seen: Option<KillSwitch>, path: &str) -> Option<String> {
    match seen {
        Some(KillSwitch::Absent) => None,
        Some(KillSwitch::Present { text, since }) => {
            let since = since
                .and_then(|at| jiff::Timestamp::try_from(at).ok())
                .map_or_else(String::new, |at| {
                    format!(" since {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
                });
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(" ({text})")
            };
            Some(format!("{path} exists{since}{text}"))
        }
        Some(KillSwitch::Unknown(why)) => Some(format!("it cannot be checked: {why}")),
        None => Some(format!("it cannot be checked: no answer about {path}")),
    }
}

/// Why a start with what the configuration file says now would not find the claim that this process commits, or `None`.
fn unlike(file: &Path, running: &Config) -> Option<String> {
    let found = match config::load(file) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            let first = problems.0.first().map(ToString::to_string);
            return Some(first.unwrap_or_else(|| "no configuration".to_owned()));
        }
    };
    // Whether other endpoints lead to the same cluster only a reload can tell.
    let told = |config: &Config| {
        let tls = config.etcd.tls.as_ref();
        let client = tls.and_then(|tls| tls.client.as_ref());
        [
            ("node_name", config.node_name.clone()),
            ("node_id", config.node_id.clone()),
            ("etcd_namespace", config.etcd.namespace.clone()),
            ("lock_key", config.lock_key.clone()),
            ("etcd_endpoints", config.etcd.endpoints.join(", ")),
            (
                "etcd_tls",
                format!(
                    "{:?}",
                    tls.map(|tls| (&tls.ca_file, client, tls.insecure_skip_verify))
                ),
            ),
            (
                "etcd_auth",
                format!(
                    "{:?}",
                    config
                        .etcd
                        .auth
                        .as_ref()
                        .map(|auth| (&auth.username, &auth.password_file))
                ),
            ),
            ("run_dir", config.run_dir.display().to_string()),
            ("boot_id_file", config.boot_id_file.display().to_string()),
        ]
    };
    let pairs = told(running).into_iter().zip(told(&found));
    let ((name, before), (_, after)) = pairs.into_iter().find(|(before, after)| before != after)?;
    let file = file.display();
    Some(format!(
        "{name} is {before:?} in this process and {after:?} in {file}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever somebody has written there, it must not end the daemon.
    #[test]
    fn a_file_of_brackets_is_read_within_the_stack_of_a_bounded_check() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        for depth in [100, 126, 127, 128, 10_000] {
            let nested = format!("log: {}1{}\n", "[".repeat(depth), "]".repeat(depth));
            std::fs::write(&file, nested).unwrap();
            let (file, cancel) = (file.clone(), Cancel::new());
            // The stack is what this is about, and not the time.
            let limit = 12 * HOST_LIMIT;
            let read = bounded("brackets", limit, &cancel, move || {
                config::load(&file).is_err()
            });
            assert_eq!(read, Ok(true), "{depth}");
        }
    }
}
