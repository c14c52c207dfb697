//! What on this host forbids a reboot: the kill switch, and a configuration or a boot id by which the next start would not find its
//! claim. And what the host has changed under the configuration: its name, its time zone.

use std::path::{Display, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::inbox::{Event, Inbox};
use super::{Start, reload};
use crate::config::{self, Config};
use crate::core::{Mode, Refusal};
use crate::host::{self, KillSwitch};
use crate::lock::outcome::HOST_LIMIT;
use crate::process::{Cancel, bounded};
use crate::trust;

/// Between two reads of a configuration that cannot be used.
const AGAIN: Duration = Duration::from_millis(200);

/// How long it takes at most until a cancel is seen between them.
const SLICE: Duration = Duration::from_millis(20);

/// For how long a configuration that cannot be used is read again. What is left of [`HOST_LIMIT`] is for the last read.
pub(super) const PATIENCE: Duration = HOST_LIMIT.saturating_sub(Duration::from_secs(1));

/// The look under way, or the one that hangs, is past the kill switch. There is one at a time.
static PAST_SWITCH: AtomicBool = AtomicBool::new(false);

/// Why the host forbids a reboot now, within [`HOST_LIMIT`]. No answer is a "no".
pub(super) fn forbids(
    file: &Path,
    config: Arc<Config>,
    boot_id: Option<String>,
    committed: bool,
    patience: Duration,
    cancel: &Cancel,
) -> Option<Refusal> {
    let (of, ended) = (file.to_owned(), cancel.clone());
    let switch = config.kill_switch_file.clone();
    let look = move || {
        let shown = config.kill_switch_file.display();
        if let Some(why) = switched_off(host::kill_switch(&config.kill_switch_file), &shown) {
            return Some(Refusal::KillSwitch(why));
        }
        PAST_SWITCH.store(true, Ordering::Release);
        let like = once_whole(patience, &ended, || match unlike(&of, &config)? {
            None => not_runnable(&config, committed)
                .or_else(|| another_boot(&config.boot_id_file, boot_id.as_deref()?))
                .map_or(Ok(None), Err),
            wrong => Ok(wrong),
        });
        PAST_SWITCH.store(false, Ordering::Release);
        like.unwrap_or_else(Some).map(Refusal::Configuration)
    };
    bounded("host", HOST_LIMIT, cancel, look).unwrap_or_else(|_| {
        Some(if PAST_SWITCH.load(Ordering::Acquire) {
            let file = file.display();
            Refusal::Configuration(format!("no answer about {file} or a path in it"))
        } else {
            let path = switch.display();
            Refusal::KillSwitch(format!("it cannot be checked: no answer about {path}"))
        })
    })
}

/// Reads what cannot be used again for as long as `patience`: files are replaced one after the other, and who reads in between finds
/// a key that does not belong to its certificate. A place in the queue is not given up for that moment.
fn once_whole<T>(
    patience: Duration,
    cancel: &Cancel,
    mut read: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let began = Instant::now();
    loop {
        let found = read();
        if found.is_ok() || began.elapsed() >= patience || cancelled_within(AGAIN, cancel) {
            return found;
        }
    }
}

/// Waits for that long, or for a cancel: whoever looks next waits for this look to end.
fn cancelled_within(wait: Duration, cancel: &Cancel) -> bool {
    let began = Instant::now();
    while !cancel.is_cancelled() {
        if began.elapsed() >= wait {
            return false;
        }
        thread::sleep(SLICE);
    }
    true
}

/// What takes a node out of service must be followed by what reboots it and what brings it back. After the drain, which may have taken
/// away what the hooks lie on, only the reboot is to be possible.
fn not_runnable(config: &Config, committed: bool) -> Option<String> {
    let hook = |hook: &Option<config::Hook>| {
        let hook = hook.as_ref().filter(|_| !committed);
        hook.map(|hook| hook.command.clone())
    };
    let commands = [
        ("pre_reboot_hook", hook(&config.pre_reboot_hook)),
        ("post_boot_hook", hook(&config.post_boot_hook)),
        ("reboot_command", Some(config.reboot_command.clone())),
    ];
    commands.into_iter().find_map(|(field, command)| {
        let command = command?;
        let (at, why) = trust::command(&command).err()?;
        let word = command.get(at).map_or("", String::as_str);
        Some(format!("{field} cannot run {word}: {why}"))
    })
}

/// A claim says in which boot it was committed. With another one than the host's, as in a container that was moved alive, the next
/// start would take it for a reboot that has happened.
fn another_boot(file: &Path, running: &str) -> Option<String> {
    match host::boot_id(file) {
        Ok(now) if now == running => None,
        Ok(now) => Some(format!(
            "the boot id is {running:?} in this process and {now:?} by {}",
            file.display()
        )),
        Err(error) => Some(format!("the boot id cannot be read: {error}")),
    }
}

/// Hands the configuration over when it takes another name or time zone from the host than before.
pub(super) fn follow_host(start: &Start, config: &Arc<Config>, inbox: &Inbox, cancel: &Cancel) {
    let (begun, running) = (start.clone(), Arc::clone(config));
    let look = move || reload::of_host(&begun, &running);
    if start.mode == Mode::Daemon
        && config.asks_host()
        && let Ok(Some(found)) = bounded("name and zone", HOST_LIMIT, cancel, look)
    {
        inbox.hand_over(Event::Host(Box::new(found)));
    }
}

/// Why the kill switch forbids a reboot, or `None`.
fn switched_off(seen: KillSwitch, path: &Display<'_>) -> Option<String> {
    match seen {
        KillSwitch::Absent => None,
        KillSwitch::Present { text, since } => {
            let since = since
                .and_then(|at| jiff::Timestamp::try_from(at).ok())
                .map_or_else(String::new, |at| {
                    format!(" since {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
                });
            let text = match text.as_str() {
                "" => text,
                _ => format!(" ({text})"),
            };
            Some(format!("{path} exists{since}{text}"))
        }
        KillSwitch::Unknown(why) => Some(format!("it cannot be checked: {why}")),
    }
}

/// Why a start with what the configuration file says now would not find the claim that this process commits, or would commit none;
/// `None` when it would.
///
/// # Errors
/// What makes it unusable.
fn unlike(file: &Path, running: &Config) -> Result<Option<String>, String> {
    let unusable = |problems: config::Problems| {
        if let Some(lack) = problems.lack() {
            return format!("{} cannot be judged: {lack}", file.display());
        }
        let first = problems.0.first().map(ToString::to_string);
        first.unwrap_or_else(|| "no configuration".to_owned())
    };
    let mut found = config::load(file).map_err(unusable)?.config;
    found.dry_run |= running.dry_run;
    // Whether other endpoints lead to the same cluster only a reload can tell.
    let told = |config: &Config| {
        let etcd = &config.etcd;
        [
            ("node_name", config.node_name.clone()),
            ("node_id", config.node_id.clone()),
            ("etcd_namespace", etcd.namespace.clone()),
            ("lock_key", config.lock_key.clone()),
            ("etcd_endpoints", etcd.endpoints.join(", ")),
            ("etcd_tls", format!("{:?}", etcd.tls)),
            ("etcd_auth", format!("{:?}", etcd.auth)),
            ("run_dir", config.run_dir.display().to_string()),
            ("boot_id_file", config.boot_id_file.display().to_string()),
            // Whoever has written it there counts on it, though nothing was reloaded.
            ("dry_run", config.dry_run.to_string()),
        ]
    };
    let pairs = told(running).into_iter().zip(told(&found));
    let unlike = pairs.into_iter().find(|(before, after)| before != after);
    Ok(unlike.map(|((name, before), (_, after))| {
        let file = file.display();
        match name {
            "etcd_tls" | "etcd_auth" => {
                format!("{name} is another in this process than by {file} and its config.d")
            }
            _ => format!(
                "{name} is {before:?} in this process and {after:?} by {file} and its config.d"
            ),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_replaced_one_after_the_other_are_read_again_until_they_fit_together() {
        let mut reads = 0;
        let torn_twice = || {
            reads += 1;
            if reads > 2 {
                Ok(())
            } else {
                Err("torn".to_owned())
            }
        };
        assert_eq!(once_whole(HOST_LIMIT, &Cancel::new(), torn_twice), Ok(()));
        assert_eq!(reads, 3);
        let torn = || Err::<(), _>("torn".to_owned());
        let began = Instant::now();
        assert!(once_whole(Duration::ZERO, &Cancel::new(), torn).is_err());
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(once_whole(HOST_LIMIT, &cancel, torn).is_err());
        assert!(began.elapsed() < HOST_LIMIT);
        // One that comes while it waits ends the wait: nothing is read any more.
        let (cancel, mut reads) = (Cancel::new(), 0);
        let read = once_whole(HOST_LIMIT, &cancel, || {
            reads += 1;
            let canceller = cancel.clone();
            thread::spawn(move || canceller.cancel());
            torn()
        });
        assert!(read.is_err());
        assert_eq!(reads, 1);
    }

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
