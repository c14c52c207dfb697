//! `status` for programs. Part of the interface: fields are added, never renamed. Times are RFC 3339.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::View;
use super::describe::{by_node, committed, limits, of_node, phase};
use super::domains::in_use;
use super::forecast::forecast;
use super::headline::{Part, headline};
use super::times::rfc3339;
use crate::lock::outcome::Found;
use crate::lock::record::RecordError;
use crate::lock::survey::Survey;

/// The whole of it.
pub(crate) fn json(view: &View, now: Timestamp) -> Value {
    let survey = view.survey.as_ref();
    json!({
        "at": rfc3339(now),
        "lock_key": view.lock_key,
        "etcd": {
            "reachable": survey.is_ok(),
            "error": survey.err().map(|trouble| trouble.text.as_str()),
            "version": view.version,
            "revision": view.known().map(|survey| survey.revision),
            "read_at": view.read_at.map(rfc3339),
            "endpoints": view.endpoints().1,
        },
        "headline": headline(view, now).iter().map(part).collect::<Vec<_>>(),
        "cluster": view.known().map(cluster),
        "forecast": forecast(view, None, now),
        "node": {
            "name": view.local.node(),
            "node_id": view.local.config.node_id,
            "max_concurrent_reboots": view.local.config.max_concurrent_reboots,
            "dry_run": view.local.config.dry_run,
            "daemon_pid": view.local.daemon.as_ref().ok(),
            "claim": own_claim(view),
            "state": view.own().map(|own| own.state.as_str()),
            "state_text": view.own().map(|own| own.text.as_str()),
            "etcd_trouble": view.own().and_then(|own| own.etcd.as_ref()),
            "gates": view.gates,
        },
    })
}

fn cluster(survey: &Survey) -> Value {
    let claims = |past: bool| -> Vec<Value> {
        let those = survey.claims.iter();
        let those = those.filter(|(_, found)| committed(found) == past);
        those.map(|(node, found)| claim(node, found)).collect()
    };
    let (reports, standings) = (by_node(&survey.reports), by_node(&survey.standings));
    let members = survey.nodes.iter().map(|(node, record)| {
        json!({
            "node": node,
            "healthy": reports.get(node.as_str()).and_then(|said| said.healthy),
            "standing": standings.get(node.as_str()).copied().map(readable),
            "record": readable(record),
        })
    });
    let requests = survey.requests.iter();
    let requests = requests.map(|(node, it)| json!({ "node": node, "record": readable(it) }));
    json!({
        "pause": survey.pause.as_ref().map(readable),
        "cooldown": survey.cooldown.as_ref().map(readable),
        "limits": limits(survey),
        "domains": in_use(survey),
        "holders": claims(true),
        "queue": claims(false),
        "requests": requests.collect::<Vec<_>>(),
        "foreign": survey.foreign,
        "members": members.collect::<Vec<_>>(),
        "recent": survey.recent,
        "partial": survey.partial,
    })
}

fn claim(node: &str, found: &Found) -> Value {
    json!({
        "node": node,
        "phase": phase(found),
        "create_revision": found.create,
        "mod_revision": found.modified,
        "record": readable(&found.claim),
    })
}

/// How far this node is, by its own word where etcd does not answer; `None` where that is not known. A daemon that is committed under
/// another key or name than the file has now, is.
fn own_claim(view: &View) -> Option<&'static str> {
    let phase = view.own().and_then(|own| own.phase);
    if phase.is_some_and(|phase| phase.committed()) {
        return Some("committed");
    }
    let Ok(survey) = &view.survey else {
        let phase = view.here()?.phase?;
        return Some(["queued", "committed"][usize::from(phase.committed())]);
    };
    let node = view.local.node();
    match of_node(&survey.claims, node) {
        Some(found) if committed(found) => Some("committed"),
        Some(_) => Some("queued"),
        None => (!survey.partial).then_some("none"),
    }
}

/// A record as it is in etcd, or why it cannot be read.
pub(crate) fn readable<T: Serialize>(record: &Result<T, RecordError>) -> Value {
    match record {
        Ok(record) => json!(record),
        Err(error) => json!({ "unreadable": error.to_string() }),
    }
}

/// A part of the headline.
pub(crate) fn part(part: &Part) -> Value {
    let command = part.command.as_ref();
    json!({
        "tone": part.tone.shown().0,
        "text": part.fact,
        "more": part.more,
        "command": command.map(|(_, words)| format!("reboot-coordinator {words}")),
    })
}
