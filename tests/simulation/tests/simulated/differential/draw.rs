//! Requests from a seed: few keys, few leases and few values, so that they meet.

use etcd_rs_sync::{Compare, Delete, Is, Keys, Op, Order, Put, Range, Request, Target, Txn};
use simulation::etcd::FakeEtcd;
use simulation::rng::Rng;

/// Not more than six: up to there the sort of every etcd keeps the order of pairs that compare equal.
const KEYS: [&[u8]; 6] = [b"a", b"b", b"b\0", b"ba", b"c/1", b"\xfe\xff"];

/// The leases.
pub(crate) const LEASES: [i64; 3] = [11, 12, (1 << 53) + 1];

/// Leases end in a test of their own, not here.
const TTL_SEC: i64 = 6000;

/// The longest lease that etcd grants, seconds.
const LONGEST_TTL_SEC: i64 = 9_000_000_000;

/// How deep transactions are nested.
const DEPTH: usize = 2;

pub(crate) fn request(rng: &mut Rng, etcd: &FakeEtcd) -> Request {
    let mut draw = Draw { rng, etcd };
    match draw.rng.between(0, 99) {
        0..=19 => Request::Put(draw.put()),
        20..=29 => Request::Delete(draw.delete()),
        30..=47 => Request::Range(draw.range()),
        48..=79 => Request::Txn(draw.txn(DEPTH)),
        80..=87 => Request::Grant {
            id: draw.rng.pick(&LEASES),
            ttl_sec: draw.ttl(),
        },
        88..=90 => Request::Revoke {
            id: draw.rng.pick(&LEASES),
        },
        91..=94 => Request::KeepAlive {
            id: draw.rng.pick(&LEASES),
        },
        95..=98 => Request::TimeToLive {
            id: draw.rng.pick(&LEASES),
            keys: draw.rng.chance(1, 2),
        },
        _ => Request::Compact {
            revision: draw.revision(),
        },
    }
}

struct Draw<'a> {
    rng: &'a mut Rng,
    /// Its revisions make guards that just hold or just fail.
    etcd: &'a FakeEtcd,
}

impl Draw<'_> {
    fn ttl(&mut self) -> i64 {
        match self.rng.between(0, 19) {
            0 => LONGEST_TTL_SEC,
            1 => LONGEST_TTL_SEC + 1,
            _ => TTL_SEC,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        if self.rng.chance(1, 60) {
            return Vec::new();
        }
        self.rng.pick(&KEYS).to_vec()
    }

    fn keys(&mut self) -> Keys {
        let key = self.key();
        match self.rng.between(0, 9) {
            0..=5 => Keys::one(key),
            6 => Keys::prefix(self.rng.pick(&[&b"b"[..], b"c/", b"none", b""])),
            // The end may lie before the start.
            7 | 8 => Keys {
                range_end: self.key(),
                key,
            },
            _ => Keys {
                key,
                range_end: vec![0],
            },
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.rng
            .pick(&[&b""[..], b"1", b"2", b"\0\xff{\"v\":1}"])
            .to_vec()
    }

    /// None, mostly; else one that may exist.
    fn lease(&mut self) -> i64 {
        if self.rng.chance(1, 3) {
            return self.rng.pick(&LEASES);
        }
        0
    }

    /// One that means something now, or its neighbour.
    fn revision(&mut self) -> i64 {
        let now = self.etcd.revision();
        let near = i64::try_from(self.rng.between(0, 12)).unwrap();
        if self.rng.chance(1, 2) {
            return (now + 2 - near).max(0);
        }
        let key = self.rng.pick(&KEYS);
        let pair = self.etcd.get(key);
        let of = if self.rng.chance(1, 2) {
            pair.map(|kv| kv.create_revision)
        } else {
            pair.map(|kv| kv.mod_revision)
        };
        let beside = i64::try_from(self.rng.between(0, 2)).unwrap() - 1;
        (of.unwrap_or(0) + beside).max(0)
    }

    fn put(&mut self) -> Put {
        let ignore_lease = self.rng.chance(1, 8);
        let ignore_value = self.rng.chance(1, 10);
        // What contradicts the flags is refused; mostly it does not.
        let lease = match ignore_lease && self.rng.chance(9, 10) {
            true => 0,
            false => self.lease(),
        };
        let value = match ignore_value && self.rng.chance(9, 10) {
            true => Vec::new(),
            false => self.value(),
        };
        Put {
            key: self.key(),
            value,
            lease,
            prev_kv: self.rng.chance(1, 3),
            ignore_lease,
            ignore_value,
        }
    }

    fn delete(&mut self) -> Delete {
        Delete {
            keys: self.keys(),
            prev_kv: self.rng.chance(1, 3),
        }
    }

    fn range(&mut self) -> Range {
        let part = |rng: &mut Rng| rng.chance(1, 6);
        Range {
            keys: self.keys(),
            limit: self.rng.pick(&[0, 0, 0, 1, 2, 3]),
            revision: if part(self.rng) { self.revision() } else { 0 },
            serializable: part(self.rng),
            keys_only: part(self.rng),
            count_only: part(self.rng),
            order: self.rng.pick(&[
                Order::Key,
                Order::CreateRevision,
                Order::CreateRevisionDescending,
                Order::ModRevision,
            ]),
            max_create_revision: if part(self.rng) { self.revision() } else { 0 },
        }
    }

    fn txn(&mut self, depth: usize) -> Txn {
        let compares = self.rng.between(0, 3);
        Txn {
            compares: (0..compares).map(|_| self.compare()).collect(),
            success: self.ops(depth),
            failure: self.ops(depth),
        }
    }

    fn ops(&mut self, depth: usize) -> Vec<Op> {
        if self.rng.chance(1, 150) {
            let read = Op::Range(Range::of(Keys::one("a")));
            return vec![read; self.rng.pick(&[128, 129])];
        }
        let count = self.rng.between(0, 3);
        (0..count).map(|_| self.op(depth)).collect()
    }

    fn op(&mut self, depth: usize) -> Op {
        match self.rng.between(0, 9) {
            0..=3 => Op::Put(self.put()),
            4 | 5 => Op::Delete(self.delete()),
            6 | 7 => Op::Range(self.range()),
            _ if depth > 0 => Op::Txn(self.txn(depth - 1)),
            _ => Op::Range(self.range()),
        }
    }

    fn compare(&mut self) -> Compare {
        Compare {
            keys: self.keys(),
            result: self
                .rng
                .pick(&[Is::Equal, Is::NotEqual, Is::Greater, Is::Less]),
            target: match self.rng.between(0, 4) {
                0 => Target::CreateRevision(self.revision()),
                1 => Target::ModRevision(self.revision()),
                2 => Target::Version(self.rng.pick(&[0, 1, 2, 3])),
                3 => Target::Lease(self.lease()),
                _ => Target::Value(self.value()),
            },
        }
    }
}
