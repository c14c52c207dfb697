//! An operator's request to reboot a node: made and withdrawn by operators, noted and ended by the node.
//!
//! The node writes into it the boot in which it first saw it, guarded by its mod revision. From then on another boot id proves
//! a boot after the request, whatever clocks say and whoever caused the boot. A commit compares the request's mod revision, so
//! that no commit is made without knowing of every request before it, and none for a request that was withdrawn.
//!
//! An urgent one hangs on a lease. While it stands its node waits for no window and no cooldown; etcd ends it, as a whole.

use etcd_rs_sync::{KeyValue, Keys as Span, Op, Put, Range, Reply, Txn};

use super::Keys;
use super::answer::{Malformed, Registered, dated, guarded, ranges, single, unguarded};
use super::compare::{delete, over, put, reads};
use super::record::{self, RebootRequest, RecordError, encode};

/// A request with its mod revision, when there is one.
pub type Seen = Option<(i64, Result<RebootRequest, RecordError>)>;

/// What stands of a node's report and of what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The revision of the store at which that was so.
    pub revision: i64,
    /// The mod revision of the report, 0 for none.
    pub report: i64,
    /// That of the standing.
    pub standing: i64,
}

/// The request for one node, its registration, and whether what it shows to others stands.
pub fn look(keys: &Keys, node: &str) -> Txn {
    let mut look = reads(&[keys.request(node), keys.node(node)]);
    let shown = [keys.alive(node), keys.standing(node)].map(|key| Range {
        keys_only: true,
        ..Range::of(Span::one(key))
    });
    look.success.extend(shown.map(Op::Range));
    look
}

/// What [`look`] found: the request, the registration, and what is shown.
///
/// # Errors
/// [`Malformed`] when the reply has another shape.
pub fn seen(reply: Reply) -> Result<(Seen, Registered, Shown), Malformed> {
    let txn = unguarded(reply)?;
    let [request, node, report, standing] = ranges(&txn)?;
    let modified = |found| Ok(single(found)?.map_or(0, |kv| kv.mod_revision));
    let shown = Shown {
        revision: txn.header.revision,
        report: modified(report)?,
        standing: modified(standing)?,
    };
    Ok((single(request)?.map(of), single(node)?.map(dated), shown))
}

/// Write the boot into a request that still has the mod revision seen. It ends when it would have ended.
pub fn note(keys: &Keys, node: &str, noted: &RebootRequest, seen_modified: i64) -> Txn {
    let key = keys.request(node);
    let put = Put {
        ignore_lease: true,
        ..Put::new(key.clone(), encode(noted), 0)
    };
    over(key, seen_modified, Op::Put(put))
}

/// Delete a request that still has the mod revision seen. Otherwise answer what stands there.
pub fn withdraw(keys: &Keys, node: &str, seen_modified: i64) -> Txn {
    let key = keys.request(node);
    over(key.clone(), seen_modified, delete(key))
}

/// Make a request over the one with the mod revision seen (0: none); `lease` 0 for one that lasts. Otherwise answer the one that
/// is there.
pub fn ask(keys: &Keys, request: &RebootRequest, lease: i64, seen_modified: i64) -> Txn {
    let key = keys.request(&request.node);
    over(key.clone(), seen_modified, put(key, request, lease))
}

/// What became of [`ask`]: `Ok` when `request` stands, else the other one that does.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn asked(reply: Reply, request: &RebootRequest) -> Result<Result<(), Seen>, Malformed> {
    // An earlier copy of it may stand there, and its node may have noted its boot already.
    let ours = |found: &RebootRequest| {
        let mut found = found.clone();
        found.boot_id = None;
        found == *request
    };
    Ok(match written(reply)? {
        Ok(()) => Ok(()),
        Err(Some((_, Ok(found)))) if ours(&found) => Ok(()),
        Err(other) => Err(other),
    })
}

/// What became of [`note`] or [`withdraw`]: `Ok` when it was done, else what stands there.
///
/// # Errors
/// [`Malformed`] when the reply has another shape: the outcome is unknown.
pub fn written(reply: Reply) -> Result<Result<(), Seen>, Malformed> {
    let written = guarded(reply)?;
    Ok(written.map(drop).map_err(|[found]| found.as_ref().map(of)))
}

/// The request in this pair, with its mod revision.
pub fn of(kv: &KeyValue) -> (i64, Result<RebootRequest, RecordError>) {
    (kv.mod_revision, record::request(&kv.value, kv.lease))
}
