//! What goes into a watch and what comes out, as plain data.

use std::time::Duration;

use crate::{KeyValue, Keys};

/// How long a stream may be silent before it is taken for dead and opened again, by default. A network that drops packets
/// without a word is noticed after this; opening again costs one small request.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub keys: Keys,
    /// The first revision whose events are wanted; 0 for those after the watch is established.
    pub start_revision: i64,
    /// With each event, the pair as it was before.
    pub prev_kv: bool,
    /// Have the server send a sign of life every ten minutes or so. Of use with a `silence_limit` longer than that.
    pub progress_notify: bool,
    /// How long the stream may be silent before it is opened again.
    pub silence_limit: Duration,
}

impl WatchRequest {
    /// Events from now on, without the old pairs, and [`SILENCE_LIMIT`].
    pub fn new(keys: Keys) -> WatchRequest {
        WatchRequest {
            keys,
            start_revision: 0,
            prev_kv: false,
            progress_notify: false,
            silence_limit: SILENCE_LIMIT,
        }
    }
}

/// What a watch yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// A stream stands, the first or a later one. Nothing was missed; who keeps a copy may want to read again all the same.
    Connected {
        /// The store's revision then, at the answering member.
        revision: i64,
    },
    /// What happened.
    Events(WatchBatch),
    /// Events between the last one seen and this revision are lost to compaction. Read again. The watch goes on from here.
    Compacted {
        /// The first revision that is still there.
        compact_revision: i64,
    },
}

/// Events in the order of their revisions. All events of one revision are in one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The store's revision when the batch was sent.
    pub revision: i64,
    /// At least one.
    pub events: Vec<Event>,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to the key.
    pub kind: EventKind,
    /// The pair as it is now; of a deleted one only `key` and `mod_revision`, the revision of the deletion.
    pub kv: KeyValue,
    /// The pair as it was, when asked for, when there was one and when it is not compacted.
    pub prev_kv: Option<KeyValue>,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted, or its lease ended.
    Delete,
}
