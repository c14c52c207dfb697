//! `resume`: the end of a pause.

use jiff::Timestamp;

use super::cluster::{Cluster, Done, queue};
use super::exit::Exit;
use super::output::{print, say};
use super::pause::standing;
use crate::etcd::Trouble;
use crate::lock::record::{self, RecordError};
use crate::lock::{keys, operator as request};
use crate::status::describe::paused_text;
use crate::status::times::zone;

/// Lifts the pause there is.
pub(super) fn resume(cluster: &Cluster) -> Done {
    end_cooldown(cluster)?;
    let Some(standing) = standing(cluster)? else {
        print("the cluster is not paused");
        return Ok(Exit::Done);
    };
    let txn = request::resume(&cluster.keys, standing.modified);
    let (now, zone) = (Timestamp::now(), zone(&cluster.config));
    // Gone is gone, whoever did it.
    if let Err(Some(other)) = cluster.settle(txn, request::paused)? {
        return Err(Trouble::new(format!(
            "the pause changed meanwhile, so nothing was done; it is now {}; run resume again to end that one",
            paused_text(&other.pause, now, &zone)
        )));
    }
    say(&format!(
        "resumed; it was {}",
        paused_text(&standing.pause, now, &zone)
    ));
    // Only to be helpful: that the pause is over is known.
    if let Some(waiting) = cluster.survey().ok().and_then(|it| queue(&it, "claims")) {
        say(&waiting);
    }
    Ok(Exit::Done)
}

/// Removes a cooldown that would last for ever, because it hangs on no lease. Any other ends by itself.
fn end_cooldown(cluster: &Cluster) -> Result<(), Trouble> {
    let Some(pair) = cluster.one(cluster.keys.cooldown())? else {
        return Ok(());
    };
    let Err(error @ RecordError::Endless(_)) = record::cooldown(&pair.value, pair.lease) else {
        return Ok(());
    };
    let says = keys::shown(&pair.value);
    say(&format!("a cooldown stands there: {error}; it says {says}"));
    let txn = request::end_cooldown(&cluster.keys, pair.mod_revision);
    if !cluster.settle(txn, request::cooldown_ended)? {
        return Err(Trouble::new(
            "the cooldown changed meanwhile, so nothing was done; run resume again",
        ));
    }
    print("removed that cooldown");
    Ok(())
}
