//! Keys, revisions and transactions.

use etcd_rs_sync::{
    Compare, Delete, DeleteReply, Error, Header, Is, KeyValue, Keys, Op, OpReply, Order, Put,
    PutReply, Range, RangeReply, Target, Txn, TxnReply,
};

use super::{Change, FakeEtcd, rejected};

impl FakeEtcd {
    pub(super) fn txn_request(&mut self, txn: &Txn) -> Result<TxnReply, Error> {
        // All compares are judged before anything runs, those of nested transactions too.
        let mut path = Vec::new();
        self.decide(txn, &mut path);
        self.check_ops(txn, &mut path.iter(), &|op| match op {
            Op::Put(put) => self.check_kept(put).and_then(|()| self.check_lease(put)),
            Op::Range(_) | Op::Delete(_) | Op::Txn(_) => Ok(()),
        })?;
        self.check_ops(txn, &mut path.iter(), &|op| match op {
            Op::Range(range) => self.check_revision(range.revision),
            Op::Put(_) | Op::Delete(_) | Op::Txn(_) => Ok(()),
        })?;
        let revision = self.revision + 1;
        let before = self.log.len();
        let mut reply = self.run(txn, revision, &mut path.iter());
        if self.log.len() > before {
            self.revision = revision;
        }
        reply.header = self.header();
        Ok(reply)
    }

    pub(super) fn put_request(&mut self, put: &Put) -> Result<PutReply, Error> {
        self.check_lease(put)?;
        self.check_kept(put)?;
        let revision = self.revision + 1;
        let mut reply = self.put(put, revision);
        self.revision = revision;
        reply.header = self.header();
        Ok(reply)
    }

    pub(super) fn delete_request(&mut self, delete: &Delete) -> DeleteReply {
        let revision = self.revision + 1;
        let mut reply = self.delete(delete, revision);
        if reply.deleted > 0 {
            self.revision = revision;
        }
        reply.header = self.header();
        reply
    }

    pub(super) fn range(&self, range: &Range) -> Result<RangeReply, Error> {
        self.range_at(range, self.revision)
    }

    /// Inside a transaction `now` is its revision as soon as it has changed something.
    fn range_at(&self, range: &Range, now: i64) -> Result<RangeReply, Error> {
        let at = range.revision;
        let pairs: Vec<&KeyValue>;
        let past: Vec<KeyValue>;
        if at == 0 || at == now {
            pairs = self.select(&range.keys).collect();
        } else {
            self.check_revision(at)?;
            past = self.at(&range.keys, at);
            pairs = past.iter().collect();
        }
        let count = i64::try_from(pairs.len()).unwrap_or(i64::MAX);
        let newest = range.max_create_revision;
        let mut found: Vec<&KeyValue> = pairs
            .into_iter()
            .filter(|kv| newest == 0 || kv.create_revision <= newest)
            .collect();
        match range.order {
            Order::Key => {}
            Order::CreateRevision => found.sort_by_key(|kv| kv.create_revision),
            Order::CreateRevisionDescending => {
                found.sort_by_key(|kv| std::cmp::Reverse(kv.create_revision));
            }
            Order::ModRevision => found.sort_by_key(|kv| kv.mod_revision),
        }
        let limit = usize::try_from(range.limit).unwrap_or(0);
        let more = limit > 0 && found.len() > limit && !range.count_only;
        if more {
            found.truncate(limit);
        }
        if range.count_only {
            found.clear();
        }
        let kvs = found
            .into_iter()
            .map(|kv| {
                let mut kv = kv.clone();
                if range.keys_only {
                    kv.value.clear();
                }
                kv
            })
            .collect();
        Ok(RangeReply {
            header: self.header(),
            kvs,
            more,
            count,
        })
    }

    fn decide(&self, txn: &Txn, path: &mut Vec<bool>) {
        let succeeded =
            self.ignores_guards || txn.compares.iter().all(|compare| self.holds(compare));
        path.push(succeeded);
        for op in if succeeded {
            &txn.success
        } else {
            &txn.failure
        } {
            if let Op::Txn(nested) = op {
                self.decide(nested, path);
            }
        }
    }

    fn run(&mut self, txn: &Txn, revision: i64, path: &mut std::slice::Iter<'_, bool>) -> TxnReply {
        let succeeded = path.next().copied().unwrap_or_default();
        let ops = if succeeded {
            &txn.success
        } else {
            &txn.failure
        };
        let replies = ops
            .iter()
            .map(|op| match op {
                Op::Range(range) => {
                    let now = self.within(revision).revision;
                    let mut reply = self.range_at(range, now).unwrap_or_default();
                    reply.header = self.within(revision);
                    OpReply::Range(reply)
                }
                Op::Put(put) => OpReply::Put(self.put(put, revision)),
                Op::Delete(delete) => OpReply::Delete(self.delete(delete, revision)),
                Op::Txn(nested) => OpReply::Txn(self.run(nested, revision, path)),
            })
            .collect();
        TxnReply {
            header: Header::default(),
            succeeded,
            replies,
        }
    }

    /// The header of an operation inside the transaction that makes this revision: as far as it has got, and nothing else.
    fn within(&self, revision: i64) -> Header {
        let changed = self
            .log
            .last()
            .is_some_and(|last| last.revision == revision);
        Header {
            revision: if changed { revision } else { self.revision },
            ..Header::default()
        }
    }

    fn put(&mut self, put: &Put, revision: i64) -> PutReply {
        let before = self.keys.get(&put.key).cloned();
        let lease = match &before {
            Some(kv) if put.ignore_lease => kv.lease,
            _ => put.lease,
        };
        let value = match &before {
            Some(kv) if put.ignore_value => kv.value.clone(),
            _ => put.value.clone(),
        };
        self.detach(before.as_ref());
        if let Some(lease) = self.leases.get_mut(&lease) {
            lease.keys.insert(put.key.clone());
        }
        let after = KeyValue {
            key: put.key.clone(),
            value,
            create_revision: before.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: before.as_ref().map_or(0, |kv| kv.version) + 1,
            lease,
        };
        self.keys.insert(put.key.clone(), after.clone());
        self.log.push(Change {
            revision,
            key: put.key.clone(),
            before: before.clone(),
            after: Some(after),
        });
        PutReply {
            header: self.within(revision),
            prev_kv: before.filter(|_| put.prev_kv),
        }
    }

    fn delete(&mut self, delete: &Delete, revision: i64) -> DeleteReply {
        let found: Vec<KeyValue> = self.select(&delete.keys).cloned().collect();
        for kv in &found {
            self.remove(&kv.key, revision);
        }
        DeleteReply {
            header: self.within(revision),
            deleted: i64::try_from(found.len()).unwrap_or(i64::MAX),
            prev_kvs: if delete.prev_kv { found } else { Vec::new() },
        }
    }

    pub(super) fn remove(&mut self, key: &[u8], revision: i64) {
        let Some(before) = self.keys.remove(key) else {
            return;
        };
        self.detach(Some(&before));
        self.log.push(Change {
            revision,
            key: key.to_vec(),
            before: Some(before),
            after: None,
        });
    }

    fn detach(&mut self, kv: Option<&KeyValue>) {
        if let Some(kv) = kv
            && let Some(lease) = self.leases.get_mut(&kv.lease)
        {
            lease.keys.remove(&kv.key);
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let mut any = false;
        for kv in self.select(&compare.keys) {
            any = true;
            if !compare_one(compare, Some(kv)) {
                return false;
            }
        }
        any || compare_one(compare, None)
    }

    fn select(&self, keys: &Keys) -> impl Iterator<Item = &KeyValue> {
        self.keys
            .range(keys.key.clone()..)
            .map(|(_, kv)| kv)
            .take_while(|kv| keys.contains(&kv.key))
    }

    /// The pairs as of an older revision, told from the log.
    fn at(&self, keys: &Keys, revision: i64) -> Vec<KeyValue> {
        let mut pairs = std::collections::BTreeMap::new();
        for change in self
            .log
            .iter()
            .take_while(|change| change.revision <= revision)
        {
            if keys.contains(&change.key) {
                match &change.after {
                    Some(kv) => pairs.insert(change.key.clone(), kv.clone()),
                    None => pairs.remove(&change.key),
                };
            }
        }
        pairs.into_values().collect()
    }

    fn check_revision(&self, revision: i64) -> Result<(), Error> {
        if revision > self.revision {
            return Err(gone("is a future revision"));
        }
        if revision != 0 && revision < self.compacted {
            return Err(gone("has been compacted"));
        }
        Ok(())
    }

    /// Checks every operation that will run.
    fn check_ops(
        &self,
        txn: &Txn,
        path: &mut std::slice::Iter<'_, bool>,
        check: &dyn Fn(&Op) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let succeeded = path.next().copied().unwrap_or_default();
        let ops = if succeeded {
            &txn.success
        } else {
            &txn.failure
        };
        ops.iter().try_for_each(|op| match op {
            Op::Txn(nested) => self.check_ops(nested, path, check),
            Op::Put(_) | Op::Range(_) | Op::Delete(_) => check(op),
        })
    }

    fn check_lease(&self, put: &Put) -> Result<(), Error> {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return Err(Error::LeaseNotFound);
        }
        Ok(())
    }

    fn check_kept(&self, put: &Put) -> Result<(), Error> {
        if (put.ignore_lease || put.ignore_value) && !self.keys.contains_key(&put.key) {
            return Err(rejected(400, 3, "etcdserver: key not found"));
        }
        Ok(())
    }
}

/// Whether either branch could put.
pub(super) fn puts(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        Op::Put(_) => true,
        Op::Txn(nested) => puts(nested),
        Op::Range(_) | Op::Delete(_) => false,
    })
}

/// The server's words for a revision that it does not have.
pub(super) fn gone(why: &str) -> Error {
    Error::Compacted {
        detail: format!("etcdserver: mvcc: required revision {why}"),
    }
}

fn compare_one(compare: &Compare, kv: Option<&KeyValue>) -> bool {
    let number = |actual: i64, wanted: i64| relation(compare.result, actual.cmp(&wanted));
    match &compare.target {
        Target::CreateRevision(wanted) => number(kv.map_or(0, |kv| kv.create_revision), *wanted),
        Target::ModRevision(wanted) => number(kv.map_or(0, |kv| kv.mod_revision), *wanted),
        Target::Version(wanted) => number(kv.map_or(0, |kv| kv.version), *wanted),
        Target::Lease(wanted) => number(kv.map_or(0, |kv| kv.lease), *wanted),
        Target::Value(wanted) => {
            kv.is_some_and(|kv| relation(compare.result, kv.value.cmp(wanted)))
        }
    }
}

fn relation(is: Is, actual: std::cmp::Ordering) -> bool {
    match is {
        Is::Equal => actual.is_eq(),
        Is::NotEqual => actual.is_ne(),
        Is::Greater => actual.is_gt(),
        Is::Less => actual.is_lt(),
    }
}
