//! Certificates for etcd that are replaced on disk are used without a restart, and without losing a place.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use etcd_rs_sync::{Client, TlsOptions};

use super::lanes::STACK;
use crate::config::{Config, Tls, certificate_end};
use crate::observe::metrics::Metrics;
use crate::store;

/// Between two looks at the files. Whoever replaces certificates does so hours before the old ones end, or is in a hurry.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Follows the files that the configuration names, in a thread of its own: a file system that hangs holds nobody else up. Ends when
/// what it returns is dropped.
pub(super) fn follow(
    config: &Config,
    client: Client,
    metrics: Arc<Metrics>,
) -> Result<Option<Sender<()>>, String> {
    let Some(files) = config.etcd.tls.clone() else {
        metrics.certificates(None, None);
        return Ok(None);
    };
    let (alive, ended) = channel();
    let mut used = store::tls(&files)?;
    tell_ends(&files, &metrics);
    let work = move || {
        let mut refused = None;
        while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if look(&files, &client, &mut used, &mut refused) {
                tell_ends(&files, &metrics);
            }
        }
    };
    thread::Builder::new()
        .name("certificates".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| format!("the certificates thread cannot be started: {error}"))?;
    Ok(Some(alive))
}

/// Takes what the files hold now, when that is something else and can be used. What cannot is said once: files are often replaced
/// one after the other. Whether it took something.
fn look(files: &Tls, client: &Client, used: &mut TlsOptions, refused: &mut Option<String>) -> bool {
    let found = store::tls(files).and_then(|found| {
        if found != *used {
            client.set_tls(found.clone()).map_err(|error| error.to_string())?;
            log::info!(event = "certificates_replaced"; "the certificates for etcd were replaced on disk and are in use");
            *used = found;
            return Ok(true);
        }
        Ok(false)
    });
    let taken = found == Ok(true);
    let why = found.err();
    if let Some(why) = &why
        && refused.as_ref() != Some(why)
    {
        log::warn!(event = "certificates_unusable"; "the certificate files for etcd changed and cannot be used, the old ones stay in use: {why}; correct the files");
    }
    *refused = why;
    taken
}

fn tell_ends(files: &Tls, metrics: &Metrics) {
    let client = files.client.as_ref();
    metrics.certificates(
        client.and_then(|(cert, _)| certificate_end(cert)),
        files.ca_file.as_deref().and_then(certificate_end),
    );
}
