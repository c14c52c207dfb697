//! What is known of each endpoint of etcd.

use std::time::Instant;

use etcd_rs_sync::EndpointHealth;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::View;
use super::table::{Tone, cell, paint, plain, table};
use super::times::{ago_text, rfc3339};

/// What is known of one endpoint of etcd. Times are RFC 3339, by the clock of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// What it said it runs.
    pub(crate) version: Option<String>,
    /// Whether it failed when it was asked last.
    pub(crate) fails: bool,
    /// When it answered last before that; while it works, since when that is known.
    pub(crate) answered: Option<String>,
    /// When and how it failed last.
    pub(crate) failed: Option<(String, String)>,
}

impl Endpoint {
    /// As a connection knows it.
    pub(crate) fn of(health: &EndpointHealth) -> Endpoint {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let at = |then: Instant| {
            let ago = now.saturating_duration_since(then);
            rfc3339(wall.checked_sub(ago).unwrap_or(wall))
        };
        let failed = health.failed.as_ref();
        Endpoint {
            url: health.url.clone(),
            version: health.version.clone(),
            fails: health.fails,
            answered: health.answered.map(at),
            failed: failed.map(|(then, why)| (at(*then), why.replace('\n', " "))),
        }
    }
}

/// Each endpoint of etcd: whether it works, since when, and how it failed last.
pub(super) fn lines(view: &View, now: Timestamp) -> Vec<String> {
    let (of_daemon, known) = view.endpoints();
    let whose = match of_daemon {
        true => "as the daemon of this node finds them",
        false => "as this command found them; those it did not need were not asked",
    };
    let heading = paint(Tone::Heading, "Endpoints");
    let row = |endpoint: &Endpoint| {
        let ago = |at: &String| ago_text(now, at);
        let failed = endpoint.failed.as_ref();
        let failed = failed.map(|(at, why)| format!("failed {}: {why}", ago(at)));
        let answered = endpoint.answered.as_ref();
        let (tone, word, text) = match (endpoint.fails, answered) {
            (true, at) => {
                let answered = at.map(|at| format!("; answered last {}", ago(at)));
                let text = failed.unwrap_or_default() + &answered.unwrap_or_default();
                (Tone::Bad, "fails", text)
            }
            (false, Some(_)) => {
                let version = endpoint.version.as_deref().unwrap_or("?");
                let before = failed.map_or_else(String::new, |failed| format!("; {failed}"));
                (Tone::Good, "works", format!("etcd {version}{before}"))
            }
            (false, None) => (Tone::Dim, "not asked", String::new()),
        };
        [plain(&endpoint.url), cell(tone, word), plain(text)]
    };
    let head = vec![String::new(), format!("{heading}  {whose}")];
    [head, table(2, known.iter().map(row))].concat()
}
