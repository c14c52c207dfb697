//! Waves: members of a lower wave go first. Which those are, and what is known of each of them.
//!
//! A registration says the wave of its member. Beside it a member of a wave below 0 has a key under `waves/`, so that the many in
//! wave 0 learn from one short read that there is one, and read more only then.

use std::collections::BTreeMap;

use etcd_rs_sync::{KeyValue, Keys as Span, Op, Range, Reply, Txn, TxnReply};

use serde::{Deserialize, Serialize};

use super::answer::{Found, Malformed, reads, single};
use super::compare::{delete, put, read};
use super::keys::Keys;
use super::record::{self, NodeRecord, RecordError, Standing, decode};

/// How many members are looked at one by one. etcd takes 128 operations in one transaction.
const MOST: usize = 20;

/// That a member is in a wave below 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The version of the record.
    pub v: u32,
    /// Who.
    pub node: String,
    /// Its wave, for people: what counts stands in the registration.
    pub wave: i32,
}

/// Whose facts a judge of waves reads, beside who is in a wave below 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Those of these members.
    Named(Vec<String>),
    /// Those of every member.
    Everybody,
}

impl Default for Look {
    fn default() -> Look {
        Look::Named(Vec::new())
    }
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// Its wave; 0 where no registration says it.
    pub wave: Result<i32, RecordError>,
    /// Its claim.
    pub claim: Option<Found>,
    /// What it says of itself.
    pub standing: Option<Result<Standing, RecordError>>,
}

impl Member {
    /// What these say of a member; `None` when nothing is known of it.
    pub fn of(
        node: &str,
        record: Option<&Result<NodeRecord, RecordError>>,
        claim: Option<Found>,
        standing: Option<Result<Standing, RecordError>>,
    ) -> Option<Member> {
        if record.is_none() && claim.is_none() && standing.is_none() {
            return None;
        }
        let wave = match record {
            None => Ok(0),
            Some(Ok(record)) => Ok(record.wave),
            Some(Err(error)) => Err(error.clone()),
        };
        Some(Member {
            node: node.to_owned(),
            wave,
            claim,
            standing,
        })
    }
}

/// What a [`Look`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Who is in a wave below 0; not asked where everybody was.
    pub below: Vec<String>,
    /// The members that were looked at.
    pub members: Vec<Member>,
}

impl Look {
    /// A look at these, or at everybody when they are many.
    pub fn at(nodes: Vec<String>) -> Look {
        match nodes.len() > MOST {
            true => Look::Everybody,
            false => Look::Named(nodes),
        }
    }

    /// Adds what it reads to a read.
    pub fn ask(&self, keys: &Keys, txn: &mut Txn) {
        let all = |prefix: String| Range::of(Span::prefix(prefix));
        match self {
            Look::Named(nodes) => {
                let below = Range {
                    keys_only: true,
                    ..all(keys.waves())
                };
                txn.success.push(Op::Range(below));
                let of = |node: &String| [keys.node(node), keys.claim(node), keys.standing(node)];
                txn.success.extend(nodes.iter().flat_map(of).map(read));
            }
            Look::Everybody => {
                let prefixes = [keys.nodes(), keys.claims(), keys.standings()];
                txn.success.extend(prefixes.map(all).map(Op::Range));
            }
        }
    }

    /// Takes the answers to what it [added](Look::ask) off the reply.
    ///
    /// # Errors
    /// [`Malformed`] when the reply has another shape.
    pub fn take(&self, keys: &Keys, reply: &mut Reply) -> Result<Seen, Malformed> {
        const SHAPE: Malformed = Malformed("a txn answered another number of reads");
        let Reply::Txn(txn) = reply else {
            return Err(Malformed("a txn was answered by something else"));
        };
        let count = match self {
            Look::Named(nodes) => 1 + 3 * nodes.len(),
            Look::Everybody => 3,
        };
        let own = txn.replies.len().checked_sub(count).ok_or(SHAPE)?;
        let added = TxnReply {
            replies: txn.replies.split_off(own),
            ..TxnReply::default()
        };
        let ranges = reads(&added);
        match (self, ranges.as_slice()) {
            _ if ranges.len() != count => Err(SHAPE),
            (Look::Named(nodes), [below, rest @ ..]) => {
                let mut members = Vec::new();
                for (node, parts) in nodes.iter().zip(rest.chunks_exact(3)) {
                    let part = |index: usize| single(parts[index]);
                    members.extend(member(node, [part(0)?, part(1)?, part(2)?]));
                }
                let prefix = keys.waves();
                let named = below.kvs.iter();
                let named = named.filter_map(|kv| Keys::node_of(&prefix, &kv.key));
                Ok(Seen {
                    below: named.map(str::to_owned).collect(),
                    members,
                })
            }
            (Look::Named(_), []) => Err(SHAPE),
            (Look::Everybody, all) => {
                let mut members: BTreeMap<&str, [Option<&KeyValue>; 3]> = BTreeMap::new();
                let prefixes = [keys.nodes(), keys.claims(), keys.standings()];
                for (place, range) in all.iter().enumerate() {
                    for kv in &range.kvs {
                        if let Some(node) = Keys::node_of(&prefixes[place], &kv.key) {
                            members.entry(node).or_default()[place] = Some(kv);
                        }
                    }
                }
                let members = members.into_iter();
                let members = members.filter_map(|(node, kvs)| member(node, kvs));
                Ok(Seen {
                    below: Vec::new(),
                    members: members.collect(),
                })
            }
        }
    }
}

fn member(node: &str, [record, claim, standing]: [Option<&KeyValue>; 3]) -> Option<Member> {
    let record = record.map(|kv| decode(&kv.value));
    let standing = standing.map(record::alive);
    Member::of(node, record.as_ref(), claim.map(Found::of), standing)
}

/// What is written with a registration: that its member is in a wave below 0, or no longer in the one it was in. Nothing in a
/// fleet without waves: not even the right to it is needed there.
pub(super) fn named(keys: &Keys, record: &NodeRecord, was: i32) -> Option<Op> {
    let below = || Below {
        v: record.v,
        node: record.node.clone(),
        wave: record.wave,
    };
    match (record.wave < 0, was < 0) {
        (true, _) => Some(put(keys.wave(&record.node), &below(), 0)),
        (false, true) => Some(delete(keys.wave(&record.node))),
        (false, false) => None,
    }
}
