//! `history`: finished attempts.

use std::iter::once;

use jiff::Timestamp;
use serde_json::json;

use super::cluster::{Cluster, Done};
use super::exit::Exit;
use super::output::print;
use crate::core::text::took;
use crate::lock::History;
use crate::lock::record::{RecordError, decode};
use crate::status::describe::{ending, outcome};
use crate::status::table::{Tone, cell, plain, table};
use crate::status::times::{ago_text, span};

/// Lists them, newest last.
pub(super) fn history(cluster: &Cluster, json: bool) -> Done {
    // The keys begin with the time, so that their order is the right one.
    let pairs = cluster.all(&cluster.keys.histories())?;
    let ours = pairs
        .iter()
        .filter(|it| cluster.keys.is_of_history(&it.key));
    let entries: Entries = ours.map(|pair| decode(&pair.value)).collect();
    print(&match json {
        true => json!(entries.iter().flatten().collect::<Vec<_>>()).to_string(),
        false => text(&entries, Timestamp::now()),
    });
    Ok(Exit::DONE)
}

type Entries = Vec<Result<History, RecordError>>;

fn text(entries: &Entries, now: Timestamp) -> String {
    if entries.is_empty() {
        return "no attempt has finished in the last 30 days".to_owned();
    }
    let names = ["ENDED", "NODE", "OUTCOME", "WAITED", "DOWN", "WHY"];
    let names = names.map(|name| cell(Tone::Dim, name)).to_vec();
    let rows = entries.iter().map(|entry| match entry {
        Ok(entry) => {
            let (committed, ended) = (entry.committed_at.as_deref(), &entry.ended_at);
            vec![
                plain(ago_text(now, ended)),
                plain(&entry.node),
                outcome(entry),
                plain(between(Some(&entry.since), committed.unwrap_or(ended))),
                plain(between(committed, ended)),
                plain(ending(entry)),
            ]
        }
        Err(error) => vec![plain("?"), cell(Tone::Bad, error.to_string())],
    });
    table(0, once(names).chain(rows)).join("\n")
}

fn between(from: Option<&str>, to: &str) -> String {
    let took = from.and_then(|from| took(from, to));
    let seconds = took.and_then(|took| i64::try_from(took.as_secs()).ok());
    seconds.map_or_else(|| "-".to_owned(), span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::uncoloured;

    fn entry(node: &str, outcome: &str, committed: bool) -> History {
        History {
            v: 1,
            node: node.into(),
            outcome: outcome.into(),
            detail: "back and healthy".into(),
            reasons: vec!["kernel".into()],
            since: "2026-11-23T11:00:00.000Z".into(),
            committed_at: committed.then(|| "2026-11-23T11:20:00.000Z".to_owned()),
            ended_at: "2026-11-23T11:25:30.000Z".into(),
            by: None,
            count: None,
            passed: Vec::new(),
        }
    }

    #[test]
    fn attempts_are_aligned_and_say_what_took_long() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let mut released = entry("web-17", "released", true);
        released.by = Some("eva@admin".into());
        released.detail = "the disk died".into();
        let mut queued = entry("db", "released", false);
        (queued.by, queued.detail) = (Some("eva@admin".into()), "wrong node".into());
        let mut again = entry("node-b", "aborted", true);
        (again.count, again.detail) = (Some(4), "the drain hook failed".into());
        let mut set_back = entry("node-c", "completed", true);
        set_back.ended_at = "2026-11-23T11:10:00.000Z".into();
        let mut from_1970 = entry("node-d", "completed", true);
        from_1970.since = "1970-01-01T00:00:30.000Z".into();
        let entries = vec![
            Ok(entry("node-a", "completed", true)),
            Ok(again),
            Ok(released),
            Ok(queued),
            Ok(set_back),
            Ok(from_1970),
            Err(RecordError::Version(2)),
        ];
        assert_eq!(
            uncoloured(&text(&entries, now)),
            "\
ENDED       NODE    OUTCOME    WAITED  DOWN   WHY
34 min ago  node-a  completed  20 min  5 min  kernel
34 min ago  node-b  aborted    20 min  5 min  4 times: the drain hook failed
                                              (kernel)
34 min ago  web-17  released   20 min  5 min  by eva@admin: the disk died
                                              (kernel)
34 min ago  db      released   25 min  -      by eva@admin: wrong node (kernel)
50 min ago  node-c  completed  20 min  -      kernel
34 min ago  node-d  completed  -       5 min  kernel
?           the record has version 2, this program knows version 1: upgrade this
            node"
        );
        assert_eq!(
            uncoloured(&text(&vec![], now)),
            "no attempt has finished in the last 30 days"
        );
    }
}
