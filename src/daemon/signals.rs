//! SIGTERM and SIGINT stop, SIGHUP reloads.

use std::io;
use std::sync::mpsc::SyncSender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::inbox::Event;
use super::threads::spawn;
use crate::core::Mode;

/// Receives signals from now on. `--once` says that it does not heed SIGHUP.
pub(super) fn listen(events: SyncSender<Event>, mode: Mode) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let receive = move || {
        for signal in signals.forever() {
            let asked = match signal {
                SIGHUP if mode != Mode::Daemon => {
                    log::warn!(event = "reload_refused"; "SIGHUP: a pass of --once reads its configuration once, and goes on by that");
                    continue;
                }
                SIGHUP => Event::Reload,
                _ => Event::Stop,
            };
            if events.send(asked).is_err() {
                return;
            }
        }
    };
    spawn("signals", receive)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;
    use crate::daemon::tests::lab::Lab;
    use crate::daemon::tests::logged;

    fn next(events: &Receiver<Event>) -> Event {
        match events.recv_timeout(Duration::from_secs(20)) {
            Ok(asked @ (Event::Stop | Event::Reload)) => asked,
            _ => panic!("the signal arrives"),
        }
    }

    #[test]
    fn hup_reloads_a_daemon_and_is_refused_by_one_pass_and_the_others_stop() {
        let mut lab = Lab::new();
        logged::listen(&mut lab, log::LevelFilter::Warn);
        let wait = Duration::ZERO;
        for mode in [Mode::Daemon, Mode::Once { wait }] {
            let (sender, events) = sync_channel(8);
            listen(sender, mode).unwrap();
            for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
                kill_process(getpid(), signal).unwrap();
                if signal == Signal::HUP && mode != Mode::Daemon {
                    continue;
                }
                let reloads = matches!(next(&events), Event::Reload);
                assert_eq!(reloads, signal == Signal::HUP, "{signal:?}");
            }
        }
        logged::hush();
        assert_eq!(logged::said("reload_refused"), 1);
    }
}
