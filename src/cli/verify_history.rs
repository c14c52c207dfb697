//! `verify-history`: what etcd's own history proves of the promises.
//!
//! A watch does not say that it has told everything, so the end is what it has to lead to: every key below the prefix, with the
//! revision that last wrote it, as it stood when the command began.

use std::collections::BTreeMap;
use std::iter::once;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Error, Event, Keys, Range, Watch, WatchItem, WatchRequest};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::cluster::{Cluster, Done};
use super::exit::Exit;
use super::output::print;
use crate::etcd::Trouble;
use crate::lock::proof::{Proof, Told};
use crate::lock::survey;
use crate::status::describe::framed;
use crate::status::table::{Tone, cell, facts, paint, plain, table};
use crate::status::times::ago_text;

/// A watch that stands and says nothing more for this long has told everything, when it led to the end.
const QUIET: Duration = Duration::from_secs(2);

/// When nothing comes for this many times the limit of a request, the watch is given up.
const SILENCES: u32 = 6;

/// How often it starts over because etcd compacted what it was about to read.
const TRIES: u32 = 3;

/// What nothing in etcd proves.
const NOT_JUDGED: &str = "windows, health, policies, budgets, kill switches and the line, and of a member of a lower wave \
                          whether it required a reboot: etcd holds no proof of them";

const WHAT_TO_DO: &str = "This program does not write so, and its guards forbid it: something else wrote there, or it has a fault. Pause, look \
                          after these nodes, see who may write there (docs/runbook.md), and keep the output of --json.";

/// What was read, and what it proves.
#[derive(Serialize)]
struct Report {
    lock_key: String,
    /// The first revision that was judged, and the last.
    from: i64,
    to: i64,
    /// What was written up to this revision is compacted.
    compacted: Option<i64>,
    #[serde(flatten)]
    told: Told,
}

/// Reads etcd's history and judges it.
pub(super) fn verify_history(cluster: &Cluster, from: Option<i64>, json: bool) -> Done {
    let report = read(cluster, from)?;
    print(&match json {
        true => report.json(),
        false => report.text(Timestamp::now()),
    });
    Ok(report.judged().0)
}

/// From `from`, or the oldest revision there is, to the one that stands now.
fn read(cluster: &Cluster, from: Option<i64>) -> Result<Report, Trouble> {
    let mut end = BTreeMap::new();
    let range = Range {
        keys_only: true,
        ..survey::first_page(&below(cluster))
    };
    let to = cluster.each(range, |pair| {
        end.insert(pair.key, pair.mod_revision);
    })?;
    // At revision 1 every store is empty. Of 0 it would be read as it is now.
    let base = (from.unwrap_or(1) - 1).max(1);
    if base > to {
        let (from, next) = (base + 1, to + 1);
        let why = format!("--from {from}: etcd is at revision {to}, and {next} is the next one");
        return Err(Trouble::new(why));
    }
    let (mut proof, begun) = begin(cluster, base)?;
    let compacted = (begun > base).then_some(begun);
    if let (Some(from), Some(compacted)) = (from, compacted) {
        proof.unknown(format!(
            "--from {from} is compacted, up to revision {compacted}"
        ));
    }
    let mut done = begun;
    match follow(cluster, &mut proof, (&mut done, to), &end) {
        Ok(()) => done = to,
        Err(why) => proof.unknown(why),
    }
    Ok(Report {
        lock_key: cluster.keys.prefix().to_owned(),
        from: begun + 1,
        to: done,
        compacted,
        told: proof.told,
    })
}

fn below(cluster: &Cluster) -> String {
    format!("{}/", cluster.keys.prefix())
}

/// What stood at this revision; when it is compacted, at the first that is not.
fn begin(cluster: &Cluster, mut base: i64) -> Result<(Proof, i64), Trouble> {
    let mut tries = 0;
    loop {
        let mut proof = Proof::new(cluster.keys.clone());
        let range = Range {
            revision: base,
            ..survey::first_page(&below(cluster))
        };
        match cluster.each(range, |pair| proof.stood(&pair)) {
            Ok(_) => {
                proof.begin(base);
                return Ok((proof, base));
            }
            Err(Error::Compacted { .. }) if tries < TRIES => base = compacted(cluster, base)?,
            Err(error) => return Err(error.into()),
        }
        tries += 1;
    }
}

/// Up to where etcd has compacted its history, when it has compacted this revision: only a watch is told.
fn compacted(cluster: &Cluster, base: i64) -> Result<i64, Trouble> {
    for item in watch(cluster, base)?.take(2) {
        if let WatchItem::Compacted { compact_revision } = item? {
            return Ok(compact_revision);
        }
    }
    Err(Trouble::new(format!(
        "etcd says that revision {base} is compacted, and not up to where; try again"
    )))
}

fn watch(cluster: &Cluster, start_revision: i64) -> Result<Watch, Trouble> {
    let request = WatchRequest {
        start_revision,
        silence_limit: QUIET,
        ..WatchRequest::new(Keys::prefix(below(cluster)))
    };
    Ok(cluster.client.watch(request)?)
}

/// Judges everything after `done` up to `to`, where `end` stands; `done` is how far it came.
fn follow(
    cluster: &Cluster,
    proof: &mut Proof,
    (done, to): (&mut i64, i64),
    end: &BTreeMap<Vec<u8>, i64>,
) -> Result<(), String> {
    let give_up = cluster.config.etcd.timeout * SILENCES;
    let (mut heard, mut quiet, mut why) = (Instant::now(), false, String::new());
    for item in watch(cluster, *done + 1).map_err(|trouble| trouble.text)? {
        let told = match item {
            // A watch that was silent is opened again. A member that lags has not told everything when it is silent.
            Ok(WatchItem::Connected { revision }) => {
                std::mem::replace(&mut quiet, revision >= to) && proof.leads_to(end)
            }
            Ok(WatchItem::Events(batch)) => {
                heard = Instant::now();
                judge(proof, &batch.events, done, to)
            }
            Ok(WatchItem::Compacted { compact_revision }) => {
                return Err(format!(
                    "etcd compacted its history up to revision {compact_revision} while it was read: what came after revision {done} \
                     is not known"
                ));
            }
            Err(error) => {
                let trouble = Trouble::from(error);
                (quiet, why) = (false, format!(": {}", trouble.text));
                if trouble.refused {
                    break;
                }
                false
            }
        };
        if told && proof.leads_to(end) {
            return Ok(());
        }
        if told || heard.elapsed() > give_up {
            break;
        }
    }
    Err(format!(
        "what etcd told, up to revision {done}, does not lead to what stands at revision {to}: something of it is missing; run it \
         again when etcd is well{why}"
    ))
}

/// Judges these; whether one of them came after the end.
fn judge(proof: &mut Proof, events: &[Event], done: &mut i64, to: i64) -> bool {
    let same = |one: &Event, other: &Event| one.kv.mod_revision == other.kv.mod_revision;
    for events in events.chunk_by(same) {
        let revision = events.first().map_or(0, |event| event.kv.mod_revision);
        if revision > to {
            return true;
        }
        proof.revision(revision, events);
        *done = revision;
    }
    false
}

impl Report {
    /// A violation that was seen is one, whatever else could not be read.
    fn judged(&self) -> (Exit, Tone, &'static str) {
        match (self.told.violations, self.told.unknown.is_empty()) {
            (0, true) => (Exit::DONE, Tone::Good, "kept"),
            (0, false) => (Exit::FAILURE, Tone::Notice, "unknown"),
            _ => (Exit::VIOLATED, Tone::Bad, "violated"),
        }
    }

    fn text(&self, now: Timestamp) -> String {
        let (exit, tone, _) = self.judged();
        let verdict = match (exit, self.told.violations) {
            (Exit::DONE, _) => "KEPT: no limit, domain, turn, pause, cooldown or wave was violated",
            (_, 0) => "NOT PROVED: nothing was found, and not all could be judged",
            (_, 1) => "VIOLATED: 1 finding",
            (_, count) => &format!("VIOLATED: {count} findings"),
        };
        let mut lines = vec![paint(tone, verdict)];
        lines.extend(self.scope(now));
        if self.told.violations > 0 {
            lines.extend(self.findings(now));
        }
        lines.join("\n")
    }

    /// What was looked at, and what was not.
    fn scope(&self, now: Timestamp) -> Vec<String> {
        let (told, from, to, key) = (&self.told, self.from, self.to, &self.lock_key);
        let looked_at = match (from > to, told.events) {
            (true, _) => format!("nothing below {key} was written after revision {to}"),
            (false, events) => format!("revisions {from} to {to} below {key}: {events} events"),
        };
        let when = told.first_commit.iter().chain(&told.last_commit);
        let when: Vec<String> = when.map(|at| ago_text(now, at)).collect();
        let when = framed(" (", &when.join(" to "), ")");
        let (commits, most) = (told.commits, told.most_committed);
        let commits = format!("{commits}{when}; at most {most} down at once");
        let mut rows = vec![("looked at", looked_at), ("commits", commits)];
        if let Some(compacted) = self.compacted {
            let text = format!("what was written up to revision {compacted} was not looked at");
            rows.push(("compacted", text));
        }
        if !told.committed_before.is_empty() {
            let why = "committed before, so they count and their turn is not judged";
            let before = told.committed_before.join(", ");
            rows.push(("before", format!("{before}: {why}")));
        }
        let unknown = told.unknown.iter().cloned();
        rows.extend(unknown.map(|why| ("not proved", why)));
        rows.push(("not judged", NOT_JUDGED.to_owned()));
        facts(rows)
    }

    fn findings(&self, now: Timestamp) -> Vec<String> {
        let names = ["REVISION", "COMMITTED", "NODE", "RULE", "WHAT"];
        let names = names.map(|name| cell(Tone::Dim, name)).to_vec();
        let rows = self.told.findings.iter().map(|it| {
            let at = it.committed_at.as_ref().map(|at| ago_text(now, at));
            let (node, others) = it.nodes.split_at(1);
            let beside = framed(" (beside it: ", &others.join(", "), ")");
            vec![
                plain(it.revision.to_string()),
                plain(at.as_deref().unwrap_or("-")),
                plain(node.concat()),
                cell(Tone::Bad, it.rule),
                plain(format!("{}{beside}", it.text)),
            ]
        });
        let more = match self.told.violations - self.told.findings.len() as u64 {
            0 => String::new(),
            more => format!("{more} more findings are not shown. "),
        };
        let advice = vec![plain(format!("{more}{WHAT_TO_DO}"))];
        table(0, once(names).chain(rows).chain(once(advice)))
    }

    fn json(&self) -> String {
        let mut json = json!(self);
        json["verdict"] = json!(self.judged().2);
        json.to_string()
    }
}
