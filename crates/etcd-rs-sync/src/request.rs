//! Everything a caller can ask of etcd, as plain data. Shapes and names follow etcd's `rpc.proto`; revisions, lease ids and TTLs are
//! `i64` as there. A TTL is in seconds. Keys and values are bytes.

/// A key or a value.
pub type Bytes = Vec<u8>;

/// One call to etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read keys.
    Range(Range),
    /// Write one key.
    Put(Put),
    /// Delete keys.
    Delete(Delete),
    /// Compare, then run one of two lists of operations, atomically.
    Txn(Txn),
    /// Create a lease. A repeated grant with the same id is answered [`crate::Error::LeaseExists`]: with an id drawn at
    /// random that is as good as a grant.
    Grant {
        /// The lease's id, chosen by the caller; 0 lets the server choose, and then a lost reply leaks a lease.
        id: i64,
        /// Time to live, seconds. The server may raise it.
        ttl_sec: i64,
    },
    /// End a lease and delete its keys.
    Revoke {
        /// The lease.
        id: i64,
    },
    /// Renew a lease once.
    KeepAlive {
        /// The lease.
        id: i64,
    },
    /// Ask how long a lease has to live.
    TimeToLive {
        /// The lease.
        id: i64,
        /// Also list the keys attached to it.
        keys: bool,
    },
    /// Forget revisions before this one.
    Compact {
        /// The first revision to keep.
        revision: i64,
    },
    /// The answering member's status.
    Status,
    /// The cluster's members.
    Members,
}

impl Request {
    /// Whether the request can change the store, so that a lost reply leaves its effect unknown.
    pub fn writes(&self) -> bool {
        match self {
            Request::Put(_)
            | Request::Delete(_)
            | Request::Grant { .. }
            | Request::Revoke { .. }
            | Request::KeepAlive { .. }
            | Request::Compact { .. } => true,
            Request::Txn(txn) => txn.writes(),
            Request::Range(_) | Request::TimeToLive { .. } | Request::Status | Request::Members => {
                false
            }
        }
    }
}

/// Which keys: one key, a half-open range, or a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The key, or the first key of the range.
    pub key: Bytes,
    /// The end of the range, exclusive; empty for a single key; `[0]` for "to the last key".
    pub range_end: Bytes,
}

impl Keys {
    /// One key.
    pub fn one(key: impl Into<Bytes>) -> Keys {
        Keys {
            key: key.into(),
            range_end: Bytes::new(),
        }
    }

    /// Every key that starts with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Keys {
        let mut key = prefix.into();
        let mut range_end = key.clone();
        while range_end.pop_if(|last| *last == 0xff).is_some() {}
        match range_end.last_mut() {
            Some(last) => *last += 1,
            None => range_end.push(0),
        }
        if key.is_empty() {
            key.push(0);
        }
        Keys { key, range_end }
    }

    /// Whether `key` is among these.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self.range_end.as_slice() {
            [] => key == self.key.as_slice(),
            [0] => key >= self.key.as_slice(),
            end => key >= self.key.as_slice() && key < end,
        }
    }
}

/// Read keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub keys: Keys,
    /// At most this many pairs; 0 for all.
    pub limit: i64,
    /// Read as of this revision; 0 for the newest.
    pub revision: i64,
    /// Answer from the contacted member alone, maybe stale. Linearizable when false.
    pub serializable: bool,
    /// Leave the values out. (etcd 3.7 then leaves out `lease` as well.)
    pub keys_only: bool,
    /// Only count.
    pub count_only: bool,
    /// Order of the result.
    pub order: Order,
    /// Only pairs with a create revision up to this; 0 for no bound.
    pub max_create_revision: i64,
}

impl Range {
    /// A linearizable read of the newest state.
    pub fn of(keys: Keys) -> Range {
        Range {
            keys,
            ..Range::default()
        }
    }
}

/// Order of a range's pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By key, ascending.
    #[default]
    Key,
    /// By create revision, ascending.
    CreateRevision,
    /// By create revision, newest first.
    CreateRevisionDescending,
    /// By modification revision, ascending.
    ModRevision,
}

/// Write one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Attach to this lease; 0 for none, which *detaches* a key that had one.
    pub lease: i64,
    /// Answer with the pair as it was before.
    pub prev_kv: bool,
    /// Keep the lease the key has. The key must exist; `lease` must be 0.
    pub ignore_lease: bool,
    /// Keep the value the key has. The key must exist; `value` must be empty.
    pub ignore_value: bool,
}

impl Put {
    /// A put; `lease` 0 for none.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>, lease: i64) -> Put {
        Put {
            key: key.into(),
            value: value.into(),
            lease,
            ..Put::default()
        }
    }
}

/// Delete keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Which keys.
    pub keys: Keys,
    /// Answer with the pairs as they were.
    pub prev_kv: bool,
}

impl Delete {
    /// A delete without the old pairs in the reply.
    pub fn of(keys: Keys) -> Delete {
        Delete {
            keys,
            prev_kv: false,
        }
    }
}

/// A guarded set of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `success` to run.
    pub compares: Vec<Compare>,
    /// Run when every compare holds.
    pub success: Vec<Op>,
    /// Run otherwise.
    pub failure: Vec<Op>,
}

impl Txn {
    /// Whether either branch can write.
    pub fn writes(&self) -> bool {
        self.success.iter().chain(&self.failure).any(|op| match op {
            Op::Put(_) | Op::Delete(_) => true,
            Op::Txn(nested) => nested.writes(),
            Op::Range(_) => false,
        })
    }
}

/// An operation inside a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read.
    Range(Range),
    /// Write.
    Put(Put),
    /// Delete.
    Delete(Delete),
    /// A nested transaction.
    Txn(Txn),
}

/// A guard. Over a range it must hold for every key there; it holds for an empty range when it would hold for an absent key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Which keys are compared.
    pub keys: Keys,
    /// How.
    pub result: Is,
    /// What is compared, with what.
    pub target: Target,
}

/// The relation a [`Compare`] demands: `actual IS target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// Equal.
    Equal,
    /// Greater.
    Greater,
    /// Less.
    Less,
    /// Not equal.
    NotEqual,
}

/// What a [`Compare`] looks at, with the value it is compared to. An absent key has revision, version and lease 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The revision that created the key.
    CreateRevision(i64),
    /// The revision that last wrote the key.
    ModRevision(i64),
    /// Writes since creation.
    Version(i64),
    /// The attached lease.
    Lease(i64),
    /// The value; a compare with the value of an absent key fails.
    Value(Bytes),
}

impl Compare {
    /// `create_revision(keys) == revision`; 0 means "does not exist".
    pub fn create_revision(keys: Keys, revision: i64) -> Compare {
        Compare {
            keys,
            result: Is::Equal,
            target: Target::CreateRevision(revision),
        }
    }

    /// `mod_revision(keys) == revision`.
    pub fn mod_revision(keys: Keys, revision: i64) -> Compare {
        Compare {
            keys,
            result: Is::Equal,
            target: Target::ModRevision(revision),
        }
    }
}
