//! One consistent look at everything that is known of the cluster.

use etcd_rs_sync::{KeyValue, Keys as Span, Op, Order, Range, RangeReply, Reply, Txn};
use serde_json::Value;

use super::Keys;
use super::answer::{Found, Malformed, named, ranges, single, txn};
use super::compare::read;
use super::keys::shown;
use super::line::{self, Line};
use super::read::line as line_of;
use super::reboot_requests;
use super::record::{
    self, Cooldown, History, NodeRecord, Pause, RebootRequest, RecordError, Standing, decode,
};

/// How many pairs are read at once. A registration with its JSON and base64 is under a kilobyte, so a page stays far below
/// what a server sends and the client takes.
pub const PAGE: i64 = 500;

/// How many of the last attempts a survey holds.
const RECENT: i64 = 5;

/// Everything that is known of the cluster at one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// The store's revision.
    pub revision: i64,
    /// The cluster-wide kill switch. One that cannot be read still counts.
    pub pause: Option<Result<Pause, RecordError>>,
    /// The cooldown. One that cannot be read still counts.
    pub cooldown: Option<Result<Cooldown, RecordError>>,
    /// The claims by node, first come first.
    pub claims: Vec<(String, Found)>,
    /// The members by name.
    pub nodes: Vec<(String, Result<NodeRecord, RecordError>)>,
    /// What members report of their health.
    pub reports: Vec<(String, Said)>,
    /// What members say of themselves.
    pub standings: Vec<(String, Result<Standing, RecordError>)>,
    /// What machines say that were refused their names.
    pub refused: Vec<Standing>,
    /// The operators' requests by node.
    pub requests: Vec<(String, Result<RebootRequest, RecordError>)>,
    /// What is known of failures.
    pub line: Line,
    /// The last finished attempts, newest first.
    pub recent: Vec<History>,
    /// Keys among these that name no node, every byte of them seen. They are ignored.
    pub foreign: Vec<String>,
    /// There are more claims, members or reports than were read.
    pub partial: bool,
}

/// What a report says, as far as it can be read: one that says nothing is there all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether the member is healthy.
    pub healthy: Option<bool>,
    /// Why not.
    pub reason: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
}

/// The first page of everything. See [`Pages`] for the others.
pub fn survey(keys: &Keys) -> Txn {
    let recent = Range {
        limit: RECENT,
        order: Order::CreateRevisionDescending,
        ..Range::of(Span::prefix(keys.histories()))
    };
    let mut success = vec![read(keys.pause()), read(keys.cooldown())];
    success.extend(lists(keys).map(|prefix| Op::Range(first_page(&prefix))));
    success.extend([Op::Range(recent), read(keys.go_on())]);
    success.push(Op::Range(line::failures(keys)));
    Txn {
        success,
        ..Txn::default()
    }
}

/// What all claims, registrations, reports, requests and standings start with.
fn lists(keys: &Keys) -> [String; 5] {
    [
        keys.claims(),
        keys.nodes(),
        keys.alives(),
        keys.requests(),
        keys.standings(),
    ]
}

/// The first page of the keys below `prefix`.
pub fn first_page(prefix: &str) -> Range {
    Range {
        limit: PAGE,
        ..Range::of(Span::prefix(prefix))
    }
}

/// The page of the keys below `prefix` that comes after these, as of the same revision.
pub fn next_page(prefix: &str, so_far: &[KeyValue], revision: i64) -> Range {
    let mut range = first_page(prefix);
    range.revision = revision;
    if let Some(last) = so_far.last() {
        range.keys.key = [last.key.as_slice(), &[0]].concat();
    }
    range
}

/// A survey that may lack pages.
#[derive(Clone, Debug)]
pub struct Pages {
    survey: Survey,
    /// Each of the [`lists`]: its prefix, the pairs so far, and whether there are more.
    lists: [(String, Vec<KeyValue>, bool); 5],
}

impl Pages {
    /// Reads the answer to [`survey`].
    ///
    /// # Errors
    /// [`Malformed`] when the reply has another shape.
    pub fn of(reply: Reply, keys: &Keys) -> Result<Pages, Malformed> {
        let txn = txn(reply)?;
        let [pause, cooldown, pages @ .., recent, go_on, failed] = ranges::<10>(&txn)?;
        let mut pages = pages.into_iter();
        let list = |prefix| {
            let page = pages.next().expect("there is a page for each list");
            (prefix, page.kvs.clone(), page.more)
        };
        Ok(Pages {
            survey: Survey {
                revision: txn.header.revision,
                pause: single(pause)?.map(record::pause),
                cooldown: single(cooldown)?.map(|kv| record::cooldown(&kv.value, kv.lease)),
                recent: recent
                    .kvs
                    .iter()
                    .filter(|kv| keys.is_of_history(&kv.key))
                    .filter_map(|kv| decode(&kv.value).ok())
                    .collect(),
                line: line_of(keys, failed, single(go_on)?),
                ..Survey::default()
            },
            lists: lists(keys).map(list),
        })
    }

    /// The next page to ask for; `None` when the survey is complete.
    pub fn missing(&self) -> Option<Range> {
        let (prefix, pairs, _) = self.lists.iter().find(|(_, _, more)| *more)?;
        Some(next_page(prefix, pairs, self.survey.revision))
    }

    /// Takes the answer to what was [missing](Pages::missing).
    pub fn add(&mut self, page: RangeReply) {
        if let Some((_, pairs, more)) = self.lists.iter_mut().find(|(_, _, more)| *more) {
            // An empty page ends the list, whatever the server says, so that this ends.
            *more = page.more && !page.kvs.is_empty();
            pairs.extend(page.kvs);
        }
    }

    /// How many claims, registrations and reports there are so far.
    pub fn so_far(&self) -> usize {
        self.lists.iter().map(|(_, pairs, _)| pairs.len()).sum()
    }

    /// The survey; a partial one when something is missing.
    pub fn complete(self) -> Survey {
        let partial = self.missing().is_some();
        let mut refused = Vec::new();
        let mut foreign = self.survey.line.foreign.clone();
        for (prefix, pairs, _) in &self.lists {
            let nameless = pairs
                .iter()
                .filter(|kv| Keys::node_of(prefix, &kv.key).is_none());
            for kv in nameless {
                match decode::<Standing>(&kv.value) {
                    Ok(standing) if is_refusal(&standing, prefix, &kv.key) => {
                        refused.push(standing)
                    }
                    _ => foreign.push(shown(&kv.key)),
                }
            }
        }
        let [claims, nodes, reports, requests, standings] = self.lists;
        Survey {
            foreign,
            refused,
            claims: claims_of(&claims.0, &claims.1),
            nodes: named(&nodes.0, &nodes.1, |kv| decode(&kv.value)),
            reports: named(&reports.0, &reports.1, said),
            partial,
            requests: named(&requests.0, &requests.1, |kv| reboot_requests::of(kv).1),
            standings: named(&standings.0, &standings.1, record::alive),
            ..self.survey
        }
    }
}

fn is_refusal(standing: &Standing, prefix: &str, key: &[u8]) -> bool {
    let (node, id) = (&standing.node, &standing.node_id);
    standing.state == Standing::REFUSED && key == format!("{prefix}{node}/{id}").as_bytes()
}

/// The claims among these pairs, by node, first come first.
pub fn claims_of(prefix: &str, pairs: &[KeyValue]) -> Vec<(String, Found)> {
    let mut claims = named(prefix, pairs, Found::of);
    claims.sort_by_key(|(_, found)| found.create);
    claims
}

fn said(pair: &KeyValue) -> Said {
    let record: Value = record::alive(pair).unwrap_or_default();
    let text = |field: &str| Some(record.get(field)?.as_str()?.to_owned());
    Said {
        healthy: record.get("healthy").and_then(Value::as_bool),
        reason: text("reason"),
        since: text("since"),
    }
}
