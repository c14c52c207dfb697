//! `status --watch`: the status again whenever something changes.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Error, Keys, Watch, WatchItem, WatchRequest};

use jiff::Timestamp;
use rustix::termios::tcgetwinsize;

use super::cluster::Cluster;
use super::exit::Exit;
use super::output::print_if_open;
use super::status::{Form, look};
use crate::etcd::Trouble;
use crate::lock::survey::Survey;
use crate::status::Size;

/// The shortest time between two looks, however much happens.
const SHORTEST: Duration = Duration::from_secs(1);

/// On a terminal it is drawn again after this, from what is known, so that ages go on and this host is looked at.
const REDRAW: Duration = Duration::from_secs(5);

/// Clears the screen and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Something happened: read again. Errors are told by the reading that follows.
struct Changed;

/// Until Ctrl-C, whose default effect is the right one, or until nobody reads any more.
pub(super) fn watch(cluster: &Cluster, form: Form) -> Result<Exit, Trouble> {
    let changes = follow(cluster)?;
    let terminal = std::io::stdout().is_terminal() && !form.json;
    let mut survey = cluster.survey().map(Arc::new);
    loop {
        let drawn = Instant::now();
        if !draw(cluster, &survey, form, terminal) {
            return Ok(Exit::Done);
        }
        match changes.recv_timeout(if terminal { REDRAW } else { Duration::MAX }) {
            Ok(Changed) => {
                // What else happens within this time is shown at once.
                thread::sleep(SHORTEST.saturating_sub(drawn.elapsed()));
                while changes.try_recv().is_ok() {}
                survey = cluster.survey().map(Arc::new);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Failure),
        }
    }
}

fn draw(
    cluster: &Cluster,
    survey: &Result<Arc<Survey>, Trouble>,
    form: Form,
    terminal: bool,
) -> bool {
    let view = look(cluster, survey.clone());
    let mut shown = form.shown(&view);
    let text = match (terminal, form.json) {
        (true, _) => {
            let size = size();
            if !form.verbose || !size.fits(&shown) {
                shown = view.fitted(size, Timestamp::now());
            }
            // Ours, and not to be shown as an escape; whether anybody reads is told by what follows.
            let _ = std::io::stdout().write_all(CLEAR.as_bytes());
            shown
        }
        (false, true) => shown,
        (false, false) => format!("{shown}\n"),
    };
    print_if_open(&text)
}

/// How large the terminal is, which may change at any time.
fn size() -> Size {
    let (rows, columns) = match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    };
    // The line of the cursor is one of them.
    let rows = usize::from(rows).saturating_sub(1);
    Size {
        rows,
        columns: usize::from(columns),
    }
}

/// Follows everything below the lock key, from a thread that ends with the program.
fn follow(cluster: &Cluster) -> Result<Receiver<Changed>, Trouble> {
    let setup = |error: Error| Trouble::new(error.to_string());
    let prefix = format!("{}/", cluster.keys.prefix());
    let request = WatchRequest::new(Keys::prefix(prefix));
    let watch = cluster.client.watch(request).map_err(setup)?;
    let (sender, changes) = sync_channel(1);
    thread::Builder::new()
        .name("watch".into())
        .spawn(move || tell(watch, &sender))
        .map_err(|error| Trouble::new(format!("no thread for the watch: {error}")))?;
    Ok(changes)
}

/// Every item is a reason to read again: events, a stream that stands (again), and its loss, which tells that etcd is away.
fn tell(mut watch: Watch, changes: &SyncSender<Changed>) {
    while let Some(item) = watch.next() {
        match item {
            Ok(
                WatchItem::Connected { .. } | WatchItem::Events(_) | WatchItem::Compacted { .. },
            )
            | Err(_) => {
                // A change that is already announced and not yet read covers this one.
                let _ = changes.try_send(Changed);
            }
        }
    }
}
