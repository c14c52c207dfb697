//! What the operator's commands send, against the simulated etcd: each does what it says, once, and finds out afterwards whether
//! it was done when its answer was lost.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

use etcd_rs_sync::{Put, Reply, Request, Txn};
use reboot_coordinator::lock::Keys;
use reboot_coordinator::lock::operator::{
    Forgotten, Released, Shown, StandingPause, forget, forgotten, pause, paused, release, released,
    reset_budget, resume, was_reset,
};
use reboot_coordinator::lock::record::{History, Pause};
use simulation::etcd::FakeEtcd;

struct Store {
    etcd: FakeEtcd,
    keys: Keys,
}

impl Store {
    fn new() -> Store {
        Store {
            etcd: FakeEtcd::default(),
            keys: Keys::new("", "/r"),
        }
    }

    fn put(&mut self, key: &str, value: &str) -> i64 {
        let put = Put::new(key, value, 0);
        self.etcd.apply(0, &Request::Put(put)).unwrap();
        self.etcd.revision()
    }

    fn send(&mut self, txn: &Txn) -> Reply {
        self.etcd.apply(0, &Request::Txn(txn.clone())).unwrap()
    }

    fn has(&self, key: &str) -> bool {
        self.etcd.get(key.as_bytes()).is_some()
    }
}

fn entry(outcome: &str) -> History {
    History {
        v: 1,
        node: "n".to_owned(),
        outcome: outcome.to_owned(),
        detail: "the disk died".to_owned(),
        reasons: Vec::new(),
        since: "s".to_owned(),
        committed_at: None,
        ended_at: "e".to_owned(),
        by: Some("op".to_owned()),
        count: None,
        passed: Vec::new(),
    }
}

#[test]
fn a_claim_is_released_once_and_a_repetition_finds_that_it_was() {
    let mut store = Store::new();
    let created = store.put("/r/claims/n", "not readable");
    let shown = Shown {
        key: b"/r/claims/n",
        create: created,
        modified: created,
    };
    let history = entry("released");
    let txn = release(&store.keys, shown, (&history, 0, "t"));
    assert_eq!(released(store.send(&txn), &history), Ok(Released::Done));
    assert!(!store.has("/r/claims/n") && store.has("/r/history/t-n"));
    assert_eq!(released(store.send(&txn), &history), Ok(Released::Done));
    // Somebody else's entry under this name does not say that ours was done.
    assert_eq!(
        released(store.send(&txn), &entry("taken-away")),
        Ok(Released::Gone)
    );
}

#[test]
fn a_claim_that_moved_on_is_not_released() {
    let mut store = Store::new();
    let created = store.put("/r/claims/n", "1");
    let modified = store.put("/r/claims/n", "2");
    let history = entry("released");
    for (create, seen) in [(created, created), (modified, modified)] {
        let shown = Shown {
            key: b"/r/claims/n",
            create,
            modified: seen,
        };
        let txn = release(&store.keys, shown, (&history, 0, "t"));
        let Ok(Released::Changed(found)) = released(store.send(&txn), &history) else {
            panic!("it is another claim");
        };
        assert_eq!((found.create, found.modified), (created, modified));
        assert!(store.has("/r/claims/n") && !store.has("/r/history/t-n"));
    }
}

#[test]
fn a_pause_is_set_changed_and_lifted_as_it_was_seen() {
    let mut store = Store::new();
    let record = |reason: &str| Pause {
        v: 1,
        by: "op".to_owned(),
        reason: reason.to_owned(),
        since: "s".to_owned(),
        until: None,
    };
    let first = pause(&store.keys, &record("bad kernel"), 0, 0);
    assert_eq!(paused(store.send(&first)), Ok(Ok(())));
    let standing = StandingPause {
        modified: store.etcd.revision(),
        pause: Ok(record("bad kernel")),
    };
    // Not seen: neither changed nor lifted.
    assert_eq!(paused(store.send(&first)), Ok(Err(Some(standing.clone()))));
    let lift = resume(&store.keys, standing.modified - 1);
    assert_eq!(paused(store.send(&lift)), Ok(Err(Some(standing.clone()))));
    let change = pause(&store.keys, &record("worse"), 0, standing.modified);
    assert_eq!(paused(store.send(&change)), Ok(Ok(())));
    let lift = resume(&store.keys, store.etcd.revision());
    assert_eq!(paused(store.send(&lift)), Ok(Ok(())));
    assert!(!store.has("/r/pause"));
    assert_eq!(paused(store.send(&lift)), Ok(Err(None)));
}

#[test]
fn forgetting_tells_what_there_was_and_spares_a_claim() {
    let mut store = Store::new();
    let all = forget(&store.keys, "n", &[]);
    let kinds = [
        "alive",
        "nodes",
        "requests",
        "standing",
        "line/failed",
        "waves",
    ];
    for present in 0..1 << kinds.len() {
        for (bit, kind) in kinds.iter().enumerate() {
            if present & (1 << bit) != 0 {
                store.put(&format!("/r/{kind}/n"), "x");
            }
        }
        let expected = Forgotten::Done {
            removed: present != 0,
            report: present & 1 != 0,
        };
        assert_eq!(forgotten(store.send(&all)), Ok(expected));
        assert!(kinds.iter().all(|kind| !store.has(&format!("/r/{kind}/n"))));
    }
    store.put("/r/nodes/n", "x");
    let created = store.put("/r/claims/n", "x");
    let Ok(Forgotten::Claimed(found)) = forgotten(store.send(&all)) else {
        panic!("it holds a claim");
    };
    assert_eq!(found.create, created);
    assert!(store.has("/r/nodes/n"));
}

#[test]
fn a_budget_is_reset_once_and_a_repetition_finds_that_it_was() {
    let mut store = Store::new();
    let seen = store.put("/r/nodes/n", "old");
    let history = entry("budget-reset");
    let txn = reset_budget(
        &store.keys,
        "n",
        (b"new".to_vec(), seen),
        (&history, 0, "t"),
    );
    assert_eq!(was_reset(store.send(&txn), &history), Ok(true));
    assert_eq!(store.etcd.get(b"/r/nodes/n").unwrap().value, b"new");
    assert_eq!(was_reset(store.send(&txn), &history), Ok(true));
    let late = reset_budget(
        &store.keys,
        "n",
        (b"late".to_vec(), seen),
        (&history, 0, "u"),
    );
    assert_eq!(was_reset(store.send(&late), &history), Ok(false));
    assert_eq!(store.etcd.get(b"/r/nodes/n").unwrap().value, b"new");
}

#[test]
fn every_kind_of_record_has_its_place() {
    let keys = Keys::new("/ns", "/r");
    let places = [
        (keys.prefix().to_owned(), "/ns/r"),
        (keys.claim("n"), "/ns/r/claims/n"),
        (keys.claims(), "/ns/r/claims/"),
        (keys.pause(), "/ns/r/pause"),
        (keys.cooldown(), "/ns/r/cooldown"),
        (keys.node("n"), "/ns/r/nodes/n"),
        (keys.nodes(), "/ns/r/nodes/"),
        (keys.alive("n"), "/ns/r/alive/n"),
        (keys.alives(), "/ns/r/alive/"),
        (keys.request("n"), "/ns/r/requests/n"),
        (keys.requests(), "/ns/r/requests/"),
        (keys.history("t", "n"), "/ns/r/history/t-n"),
        (keys.histories(), "/ns/r/history/"),
    ];
    for (place, expected) in places {
        assert_eq!(place, expected);
    }
    let node = |key: &'static [u8]| Keys::node_of("/ns/r/claims/", key);
    assert_eq!(node(b"/ns/r/claims/n"), Some("n"));
    assert_eq!(node(b"/ns/r/nodes/n"), None);
    assert_eq!(node(b"/ns/r/claims/\xff"), None);
}
