//! `status`: the cluster and this node, as they are now, and with `--watch` again whenever something changes.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Keys, WatchRequest};
use jiff::Timestamp;
use rustix::termios::tcgetwinsize;

use super::cluster::{Cluster, Done};
use super::exit::Exit;
use super::output::{print, print_if_open};
use crate::etcd::Trouble;
use crate::status::{Known, Size, View};

/// The shortest time between two looks, however much happens.
const SHORTEST: Duration = Duration::from_secs(1);

/// On a terminal it is drawn again after this, from what is known, so that ages go on and this host is looked at.
const REDRAW: Duration = Duration::from_secs(5);

/// Clears the screen and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows it once; `verbose` with the endpoints of etcd.
pub(super) fn status(cluster: &Cluster, json: bool, verbose: bool) -> Done {
    let view = look(cluster, cluster.survey().map(Arc::new));
    print(&shown(&view, json, verbose));
    Ok(view.survey.map_or(Exit::FAILURE, |_| Exit::DONE))
}

/// Looks at this host, and takes what was read of the cluster.
fn look(cluster: &Cluster, survey: Known) -> View {
    View::of_command(&cluster.config, survey, &cluster.client.endpoints())
}

fn shown(view: &View, json: bool, verbose: bool) -> String {
    match json {
        true => view.json(Timestamp::now()),
        false => view.text(verbose, Timestamp::now()),
    }
}

/// Until Ctrl-C, whose default effect is the right one, or until nobody reads any more.
pub(super) fn watch(cluster: &Cluster, json: bool, verbose: bool) -> Done {
    let changes = follow(cluster)?;
    let terminal = std::io::stdout().is_terminal() && !json;
    let mut survey = cluster.survey().map(Arc::new);
    loop {
        let drawn = Instant::now();
        let view = look(cluster, survey.clone());
        let mut text = shown(&view, json, verbose);
        if terminal {
            let size = size();
            if !verbose || !size.fits(&text) {
                text = view.fitted(size, Timestamp::now());
            }
            // Ours, and not to be shown as an escape; whether anybody reads is told by what follows.
            let _ = std::io::stdout().write_all(CLEAR.as_bytes());
        } else if !json {
            text.push('\n');
        }
        if !print_if_open(&text) {
            return Ok(Exit::DONE);
        }
        match changes.recv_timeout(if terminal { REDRAW } else { Duration::MAX }) {
            Ok(()) => {
                // What else happens within this time is shown at once.
                thread::sleep(SHORTEST.saturating_sub(drawn.elapsed()));
                while changes.try_recv().is_ok() {}
                survey = cluster.survey().map(Arc::new);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::FAILURE),
        }
    }
}

/// How large the terminal is, which may change at any time.
fn size() -> Size {
    let (rows, columns) = match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    };
    Size {
        // The line of the cursor is one of them.
        rows: usize::from(rows).saturating_sub(1),
        columns: usize::from(columns),
    }
}

/// Follows everything below the lock key, from a thread that ends with the program. Every item is a reason to read again: events,
/// a stream that stands (again), and its loss, which tells that etcd is away; errors are told by the reading that follows.
fn follow(cluster: &Cluster) -> Result<Receiver<()>, Trouble> {
    let prefix = format!("{}/", cluster.keys.prefix());
    let request = WatchRequest::new(Keys::prefix(prefix));
    let watch = cluster.client.watch(request);
    let watch = watch.map_err(|error| Trouble::new(error.to_string()))?;
    let (sender, changes) = sync_channel(1);
    let follow = move || {
        for _ in watch {
            // A change that is already announced and not yet read covers this one.
            let _ = sender.try_send(());
        }
    };
    let named = thread::Builder::new().name("watch".into());
    let follower = named.spawn(follow);
    follower.map_err(|error| Trouble::new(format!("no thread for the watch: {error}")))?;
    Ok(changes)
}
