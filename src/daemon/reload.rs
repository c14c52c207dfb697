//! SIGHUP: a new configuration is read in a thread of its own and with a limit, so that neither a large file nor a dead network
//! file system holds the main thread. One that cannot be used changes nothing. What can be used is taken over in `take_over.rs`.
//! For what the old one took from the host, its name
//! and its time zone, nobody sends a signal: that is looked up in every pass.

use std::time::Duration;

use super::inbox::{Event, Found, Inbox};
use super::threads::spawn;
use super::{Start, setup};
use crate::config::{self, Config};
use crate::etcd;
use crate::process::{Cancel, NoAnswer, bounded};

/// How long reading the files may take, those of TLS and passwords among them.
const LIMIT: Duration = Duration::from_secs(30);

/// Reads, and hands over what was found, or `None` when the old configuration is to be kept; why is in the log by then.
///
/// # Errors
/// When no thread could be started: nothing will be handed over.
pub(super) fn read(start: &Start, inbox: Inbox) -> Result<(), String> {
    let start = start.clone();
    let work = move || {
        let found = found(&start).inspect_err(|why| {
            log::error!(event = "reload_refused"; "{why}; keeping the old configuration");
        });
        inbox.hand_over(Event::Configuration(found.ok().map(Box::new)));
    };
    spawn("reload", work).map_err(|error| format!("no thread could be started to read it: {error}"))
}

fn found(start: &Start) -> Result<Found, String> {
    let cancel = Cancel::new();
    let begun = start.clone();
    let read = bounded("the configuration", LIMIT, &cancel, move || load(&begun));
    match read {
        Ok(found) => found,
        Err(NoAnswer::NotStarted(why)) => Err(why),
        Err(NoAnswer::TimedOut | NoAnswer::StillBusy | NoAnswer::Cancelled) => Err(format!(
            "{} or a file that it names could not be read within {} s",
            start.path.display(),
            LIMIT.as_secs()
        )),
    }
}

/// The same configuration with another name or time zone of the host; `None` also when the file says something else by now, which
/// takes a signal, or nothing usable.
pub(super) fn of_host(start: &Start, running: &Config) -> Option<Found> {
    if running.is_still_named() {
        return None;
    }
    let mut config = config::load(&start.path).ok()?.config;
    config.dry_run |= start.dry_run;
    let mut before = config.clone();
    if config.node_name_as_written == running.node_name_as_written {
        before.node_name.clone_from(&running.node_name);
    }
    if let (Some(now), Some(then)) = (&mut before.windows, &running.windows)
        && now.are_written_as(then)
    {
        now.clone_from(then);
    }
    (config != *running && before == *running)
        .then(|| with(config, start).ok())
        .flatten()
}

fn load(start: &Start) -> Result<Found, String> {
    let loaded = config::load(&start.path).map_err(|problems| {
        if let Some(lack) = problems.lack() {
            return format!("the configuration cannot be judged: {lack}");
        }
        for problem in &problems.0 {
            log::error!(event = "configuration"; "{problem}");
        }
        "the configuration is invalid".to_owned()
    })?;
    for warning in &loaded.warnings {
        log::warn!(event = "configuration"; "{warning}");
    }
    with(loaded.config, start)
}

fn with(mut config: Config, start: &Start) -> Result<Found, String> {
    config.dry_run |= start.dry_run;
    Ok(Found {
        settings: setup::settings(&config, start.mode)?,
        options: etcd::options(&config)?,
        config,
    })
}
