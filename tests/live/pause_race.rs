//! `pause` against nodes that commit at the same moment: the real requests, twenty connections, one etcd.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use etcd_rs_sync::{
    Client, Delete, Etcd, Keys as Span, Op, Options, Put, Range, Reply, Request, Txn,
};
use etcd_test_server::Cluster;
use reboot_coordinator::lock::outcome::{self, Commit};
use reboot_coordinator::lock::record::encode;
use reboot_coordinator::lock::request::{self, Judged};
use reboot_coordinator::lock::{Claim, Domains, Held, Keys, NodeRecord, Pause, Phase, operator};

const NODES: usize = 20;
const ROUNDS: usize = 200;

fn claim(node: usize) -> Claim {
    Claim {
        v: 1,
        node: format!("n{node}"),
        node_id: String::new(),
        boot_id: String::new(),
        session: String::new(),
        phase: Phase::Queued,
        limit: 20,
        domains: Domains::default(),
        reasons: Vec::new(),
        since: String::new(),
        committed_at: None,
        attempts: 0,
        patience_sec: None,
        drain_sec: None,
        passed: Vec::new(),
        target: None,
        version: String::new(),
    }
}

fn registration(node: usize) -> NodeRecord {
    NodeRecord {
        v: 1,
        node: format!("n{node}"),
        node_id: String::new(),
        version: String::new(),
        wave: 0,
        boot_id: None,
        last_reboot: None,
        budget_used: 1,
        attempt: None,
        request: None,
    }
}

fn client(cluster: &Cluster) -> Client {
    Client::new(Options::new(cluster.endpoints())).unwrap()
}

fn txn(client: &Client, txn: Txn) -> Reply {
    client.call(&Request::Txn(txn)).unwrap()
}

/// Gives every node a place at revision `held`, and nobody a pause.
fn everybody_has_a_turn(client: &Client, keys: &Keys) -> i64 {
    let remove = |prefix: String| {
        let keys = Span::prefix(prefix);
        client.call(&Request::Delete(Delete::of(keys))).unwrap();
    };
    remove(format!("{}/", keys.prefix()));
    let place = |node| {
        Op::Put(Put::new(
            keys.claim(&format!("n{node}")),
            encode(&claim(node)),
            0,
        ))
    };
    let places = Txn {
        compares: vec![],
        success: (0..NODES).map(place).collect(),
        failure: vec![],
    };
    match txn(client, places) {
        Reply::Txn(reply) => reply.header.revision,
        _ => panic!("a txn answers a txn"),
    }
}

/// One node's commit, with every other gate open.
fn commit(client: &Client, keys: &Keys, node: usize, held: i64) {
    let seen = Held {
        create: held,
        modified: held,
        claim: claim(node),
    };
    let committed = Claim {
        phase: Phase::Rebooting,
        attempts: 1,
        ..claim(node)
    };
    let judged = Judged {
        waves: None,
        registration: (0, 0),
        request: 0,
        past_cooldown: false,
        members: None,
        line: None,
    };
    let reply = txn(
        client,
        request::commit(keys, &seen, &committed, &registration(node), judged),
    );
    match outcome::commit(reply, &seen, &committed, Duration::ZERO).unwrap() {
        Commit::Committed(..) => {}
        Commit::Refused(read) => {
            assert!(read.pause.is_some(), "nothing but the pause may refuse it");
        }
        other => panic!("{other:?}"),
    }
}

/// Pauses as the command does; the revision at which the pause stands.
fn pause(client: &Client, keys: &Keys) -> i64 {
    let record = Pause {
        v: 1,
        by: "test".into(),
        reason: "race".into(),
        since: String::new(),
        until: None,
    };
    let reply = txn(client, operator::pause(keys, &record, 0, 0));
    let Reply::Txn(answer) = &reply else {
        panic!("a txn answers a txn");
    };
    let revision = answer.header.revision;
    assert_eq!(operator::paused(reply), Ok(Ok(())));
    revision
}

/// The committed claims in etcd, by their revisions.
fn committed(client: &Client, keys: &Keys) -> Vec<i64> {
    let claims = Range::of(Span::prefix(keys.claims()));
    let Reply::Range(found) = client.call(&Request::Range(claims)).unwrap() else {
        panic!("a range answers a range");
    };
    let past = found
        .kvs
        .iter()
        .filter(|kv| outcome::Found::of(kv).claim.unwrap().phase.committed());
    past.map(|kv| kv.mod_revision).collect()
}

#[test]
fn no_commit_has_a_revision_after_a_pause() {
    let cluster = Cluster::single();
    let keys = Keys::new("", "/rc");
    let own = client(&cluster);
    let nodes: Vec<Client> = (0..NODES).map(|_| client(&cluster)).collect();
    let (mut before, mut mixed) = (0, 0);
    for round in 0..ROUNDS {
        let held = everybody_has_a_turn(&own, &keys);
        let start = Barrier::new(NODES + 1);
        let (paused_at, at_return) = thread::scope(|scope| {
            for (node, client) in nodes.iter().enumerate() {
                let (keys, start) = (&keys, &start);
                scope.spawn(move || {
                    start.wait();
                    commit(client, keys, node, held);
                });
            }
            start.wait();
            // Sometimes among the first, sometimes among the last.
            let late = u64::try_from(round % 10).unwrap();
            thread::sleep(Duration::from_micros(late * 200));
            (pause(&own, &keys), committed(&own, &keys))
        });
        let at_end = committed(&own, &keys);
        assert!(
            at_end.iter().all(|commit| *commit < paused_at),
            "round {round}: paused at {paused_at}, commits at {at_end:?}"
        );
        assert_eq!(
            at_return, at_end,
            "round {round}: nobody commits once the pause has returned"
        );
        before += at_end.len();
        mixed += usize::from((1..NODES).contains(&at_end.len()));
    }
    println!(
        "{before} of {} commits before a pause, {mixed} rounds with both",
        NODES * ROUNDS
    );
    assert!(mixed > 0, "{before} commits before a pause: it was no race");
}
