//! `pause` and `resume`: the kill switch of the whole cluster, and its end.

use std::time::Duration;

use jiff::Timestamp;

use super::cluster::{Cluster, Done, contested, operator, queue};
use super::confirm::confirm;
use super::exit::Exit;
use super::invocation::PauseOptions;
use super::output::{print, say};
use crate::etcd::Trouble;
use crate::lock::Pause;
use crate::lock::keys;
use crate::lock::operator::{self as request, StandingPause};
use crate::lock::outcome::Found;
use crate::lock::record::{self, RECORD_VERSION, RecordError};
use crate::status::describe::{began, committed, holder_row, pause_text, paused_text};
use crate::status::table::table;
use crate::status::times::{instant, rfc3339, since_text, zone};

/// The pause that stands.
fn standing(cluster: &Cluster) -> Result<Option<StandingPause>, Trouble> {
    Ok(cluster
        .one(cluster.keys.pause())?
        .map(|pair| StandingPause {
            modified: pair.mod_revision,
            pause: record::pause(&pair),
        }))
}

/// Pauses the cluster, or changes the pause there is.
pub(super) fn pause(cluster: &Cluster, options: &PauseOptions) -> Done {
    let zone = zone(&cluster.config);
    let busy =
        "somebody else changes the pause at the same time; look with `reboot-coordinator status`";
    contested(busy, || {
        let standing = standing(cluster)?;
        let now = Timestamp::now();
        let mut change = "";
        if let Some(standing) = &standing {
            let already = format!("already {}", paused_text(&standing.pause, now, &zone));
            if changes_nothing(standing, options) {
                say(&already);
                return past_commit(cluster).map(Some);
            }
            if ends_earlier(standing, options.length, now) && !options.yes {
                say(&already);
                let nobody = "the new pause would end earlier, so nothing was changed; add --yes to replace it";
                if let Err(exit) = confirm("Replace it by a pause that ends earlier?", nobody) {
                    return Ok(Some(exit));
                }
            }
            change = "changed the pause: ";
        }
        let Some(pause) = write(cluster, standing.as_ref(), options, now)? else {
            return Ok(None);
        };
        say(&format!("{change}{}", pause_text(&pause, now, &zone)));
        past_commit(cluster).map(Some)
    })
}

/// Writes the pause over the one seen; `None` when that has changed.
fn write(
    cluster: &Cluster,
    standing: Option<&StandingPause>,
    options: &PauseOptions,
    now: Timestamp,
) -> Result<Option<Pause>, Trouble> {
    let (lease, until) = cluster.grant(options.length, now)?;
    let pause = record(standing, options.reason.as_deref(), until, operator(), now);
    let seen = standing.map_or(0, |standing| standing.modified);
    let txn = request::pause(&cluster.keys, &pause, lease, seen);
    match cluster.settle(txn, request::paused)? {
        Ok(()) => Ok(Some(pause)),
        // The copy of a write whose answer was lost.
        Err(Some(there)) if there.pause.as_ref() == Ok(&pause) => Ok(Some(pause)),
        Err(_) => {
            cluster.revoke(lease);
            Ok(None)
        }
    }
}

fn record(
    standing: Option<&StandingPause>,
    reason: Option<&str>,
    until: Option<Timestamp>,
    by: String,
    now: Timestamp,
) -> Pause {
    let before = standing.and_then(|standing| standing.pause.as_ref().ok());
    // Who changes it stands for it from now on.
    let reason = reason
        .or(before.map(|pause| pause.reason.as_str()))
        .unwrap_or("no reason given");
    Pause {
        v: RECORD_VERSION,
        by,
        reason: reason.to_owned(),
        since: rfc3339(now),
        until: until.map(rfc3339),
    }
}

/// Without a reason and a length it asks for a pause until somebody resumes.
fn changes_nothing(standing: &StandingPause, options: &PauseOptions) -> bool {
    let pause = standing.pause.as_ref();
    let endless = pause.is_ok_and(|pause| pause.until.is_none());
    endless && options.reason.is_none() && options.length.is_none()
}

/// Whether the pause of somebody who may rely on it would be shortened. One whose end cannot be read counts as endless.
fn ends_earlier(standing: &StandingPause, length: Option<Duration>, now: Timestamp) -> bool {
    let Some(end) = length.and_then(|length| now.checked_add(length).ok()) else {
        return false;
    };
    let before = standing.pause.as_ref().ok();
    let until = before.and_then(|pause| pause.until.as_deref());
    until.and_then(instant).is_none_or(|until| end < until)
}

/// Who had begun before the pause and will finish. No commit can follow a pause, so that what is read now is all there is.
fn past_commit(cluster: &Cluster) -> Done {
    let survey = cluster.survey().map_err(|trouble| {
        Trouble::new(format!(
            "the cluster is paused, but who had begun before could not be read: {}",
            trouble.text
        ))
    })?;
    print(&begun(&survey.claims, Timestamp::now()));
    Ok(Exit::DONE)
}

fn begun(claims: &[(String, Found)], now: Timestamp) -> String {
    let (down, queued): (Vec<_>, Vec<_>) = claims.iter().partition(|(_, found)| committed(found));
    let head = match down.is_empty() {
        true => "no node is rebooting",
        false => "these had begun before, and finish:",
    };
    let down = down.iter();
    let rows = down.map(|(node, found)| holder_row(node, found, since_text(now, began(found))));
    let mut lines = vec![head.to_owned()];
    lines.extend(table(2, rows));
    match queued.len() {
        0 => {}
        1 => lines.push("1 node waits in the queue".to_owned()),
        more => lines.push(format!("{more} nodes wait in the queue")),
    }
    lines.join("\n")
}

/// Lifts the pause there is.
pub(super) fn resume(cluster: &Cluster) -> Done {
    end_cooldown(cluster)?;
    let Some(standing) = standing(cluster)? else {
        print("the cluster is not paused");
        return Ok(Exit::DONE);
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
    Ok(Exit::DONE)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn standing(until: Option<&str>) -> StandingPause {
        StandingPause {
            modified: 3,
            pause: Ok(Pause {
                v: 1,
                by: "eva@admin".into(),
                reason: "bad kernel".into(),
                since: "2026-11-23T11:00:00.000Z".into(),
                until: until.map(str::to_owned),
            }),
        }
    }

    #[test]
    fn a_pause_is_never_shortened_without_a_question() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (until, length, earlier) in [
            (None, None, false),
            (None, hours(4), true),
            (Some("2026-11-23T14:00:00.000Z"), None, false),
            (Some("2026-11-23T14:00:00.000Z"), hours(1), true),
            (Some("2026-11-23T14:00:00.000Z"), hours(3), false),
            (Some("whenever"), hours(3), true),
        ] {
            assert_eq!(
                ends_earlier(&standing(until), length, now()),
                earlier,
                "{until:?} {length:?}"
            );
        }
    }

    #[test]
    fn a_changed_pause_keeps_what_was_not_given() {
        let before = standing(None);
        let until = "2026-11-23T13:00:00Z".parse().unwrap();
        let pause = record(Some(&before), None, Some(until), "ben@admin".into(), now());
        assert_eq!(
            (
                pause.by.as_str(),
                pause.reason.as_str(),
                pause.since.as_str()
            ),
            ("ben@admin", "bad kernel", "2026-11-23T12:00:00.000Z")
        );
        assert_eq!(pause.until.as_deref(), Some("2026-11-23T13:00:00.000Z"));
        let fresh = record(None, None, None, "ben@admin".into(), now());
        assert_eq!(
            (fresh.reason.as_str(), fresh.since.as_str()),
            ("no reason given", "2026-11-23T12:00:00.000Z")
        );
    }

    #[test]
    fn only_a_bare_pause_of_an_endless_one_changes_nothing() {
        let bare = PauseOptions::default();
        assert!(changes_nothing(&standing(None), &bare));
        assert!(!changes_nothing(
            &standing(Some("2026-11-23T14:00:00.000Z")),
            &bare
        ));
        let reason = PauseOptions {
            reason: Some("x".into()),
            ..bare
        };
        assert!(!changes_nothing(&standing(None), &reason));
    }

    #[test]
    fn nobody_and_somebody_had_begun() {
        assert_eq!(begun(&[], now()), "no node is rebooting");
    }
}
