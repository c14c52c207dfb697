//! `verify-history`: what etcd's history proves is found in a real one, and what it does not prove is said.

use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use etcd_rs_sync::{Client, Delete, Etcd as _, Keys, Op, Options, Put, Range, Txn};
use etcd_test_server::{Action, Cluster, Gate, Proxy, Rule, versions};
use serde_json::{Value, json};

use super::support::{Ended, Field, LOCK, PATIENCE, claim, configuration, run};

/// A place in the queue: on a lease, as each is.
fn join(field: &Field, node: &str) {
    let lease = i64::from(node.as_bytes()[0]);
    let _ = field.client.grant(lease, 600);
    let value = with(claim(node, "queued"), "attempts", json!(0));
    let key = format!("{LOCK}/claims/{node}");
    let put = Put::new(key, value.to_string(), lease);
    field.client.put(put).unwrap();
}

fn with(mut record: Value, name: &str, value: Value) -> Value {
    record[name] = value;
    record
}

/// As a release does it.
fn release(field: &Field, node: &str) {
    let entry = Put::new(format!("{LOCK}/history/1-{node}"), "{}", 0);
    let claim = Keys::one(format!("{LOCK}/claims/{node}"));
    let txn = Txn {
        success: vec![Op::Delete(Delete::of(claim)), Op::Put(entry)],
        ..Txn::default()
    };
    field.client.txn(txn).unwrap();
}

fn judged(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

const JSON: [&str; 2] = ["verify-history", "--json"];

#[test]
fn a_violation_by_hand_is_found_and_named() {
    let field = Field::new();
    for node in ["a", "b"] {
        join(&field, node);
    }
    field.claim("a", "rebooting");
    release(&field, "a");
    field.claim("b", "rebooting");
    let ended = field.run(&["verify-history"]);
    let kept = "\
KEPT: no limit, domain, turn, pause, cooldown or wave was violated
  looked at   revisions 2 to 6 below /cluster/lock: 6 events
  commits     2 (";
    let once = "ago); at most 1 down at once\n  not judged  windows, ";
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(
        ended.stdout.starts_with(kept) && ended.stdout.contains(once),
        "{}",
        ended.stdout
    );

    join(&field, "c");
    let value = with(claim("c", "rebooting"), "committed_at", json!(null));
    let put = Put::new(format!("{LOCK}/claims/c"), value.to_string(), 0);
    field.client.put(put).unwrap();
    let ended = field.run(&["verify-history"]);
    assert_eq!(ended.code, 9, "{ended:?}");
    let violated = "VIOLATED: 2 findings\n  looked at   revisions 2 to 8 below /cluster/lock: 8 events\n  commits     3 (";
    assert!(ended.stdout.starts_with(violated), "{}", ended.stdout);
    let table = "
REVISION  COMMITTED  NODE  RULE   WHAT
8         -          c     turn   it committed before its turn, with
                                  max_concurrent_reboots 1: 1 before it (beside
                                  it: b)
8         -          c     limit  2 claims are committed at once, and the
                                  largest max_concurrent_reboots that one of
                                  them says is 1 (beside it: b)
This program does not write so, and ";
    assert!(ended.stdout.contains(table), "{}", ended.stdout);

    let ended = field.run(&JSON);
    let told = judged(&ended);
    assert_eq!((ended.code, &told["verdict"]), (9, &json!("violated")));
    assert_eq!(
        told["first_commit"],
        claim("a", "rebooting")["committed_at"]
    );
    let text = "2 claims are committed at once, and the largest max_concurrent_reboots that one of them says is 1";
    let found = json!({"revision": 8, "committed_at": null, "rule": "limit", "nodes": ["c", "b"], "text": text});
    assert_eq!(told["findings"][1], found);
    // From where it was proved to the end, and no further.
    let ended = field.run(&["verify-history", "--json", "--from", "7"]);
    let told = judged(&ended);
    assert_eq!(
        (&told["events"], &told["committed_before"], ended.code),
        (&json!(2), &json!(["b"]), 9)
    );
    // What stands is judged, too, where it stands.
    assert_eq!(field.run(&["verify-history", "--from", "9"]).code, 9);
    release(&field, "c");
    let ended = field.run(&["verify-history", "--from", "10"]);
    let nothing = "nothing below /cluster/lock was written after revision 9\n";
    assert!(
        ended.code == 0 && ended.stdout.contains(nothing),
        "{ended:?}"
    );
    let ended = field.run(&["verify-history", "--from", "11"]);
    assert!(ended.code == 1 && ended.stderr.contains("10 is the next one"));
}

/// The claim that stood at the compacted revision counts, and what ended in it does not come back.
#[test]
fn a_compacted_beginning_is_said_with_each_version_of_etcd() {
    for version in versions() {
        let cluster = Cluster::builder().version(&version).start();
        let client = Client::new(Options::new(cluster.endpoints())).unwrap();
        let field = Field {
            cluster,
            client,
            folder: tempfile::tempdir().unwrap(),
        };
        for node in ["a", "b", "c"] {
            join(&field, node);
        }
        field.claim("a", "rebooting");
        field.claim("b", "rebooting"); // revision 6: compacted, and so not seen
        release(&field, "b");
        field.client.compact(7).unwrap();
        let ended = field.run(&JSON);
        let told = judged(&ended);
        let expected = json!({
            "verdict": "kept", "lock_key": LOCK, "from": 8, "to": 7, "compacted": 7, "events": 0, "commits": 0,
            "first_commit": null, "last_commit": null, "most_committed": 1, "violations": 0, "findings": [], "unknown": [],
            "committed_before": ["a"],
        });
        assert_eq!(told, expected, "etcd {}", version.name);
        field.claim("c", "rebooting");
        let ended = field.run(&["verify-history"]);
        assert_eq!(ended.code, 9, "{ended:?}");
        for said in [
            "VIOLATED: 2 findings\n",
            "c     turn ",
            "c     limit ",
            "compacted   what was written up to revision 7 was not looked at\n  before      a: committed before, so ",
        ] {
            assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
        }
        release(&field, "a");
        release(&field, "c");
        field.client.compact(9).unwrap();
        // Who asks for more than there is does not get a yes.
        let ended = field.run(&["verify-history", "--from", "3"]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let said = "NOT PROVED: nothing was found, and not all could be judged\n  looked at   revisions 10 to 10 below ";
        assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
        let said = "not proved  --from 3 is compacted, up to revision 9\n";
        assert!(ended.stdout.contains(said), "{}", ended.stdout);
    }
}

#[test]
fn a_compaction_in_the_middle_is_no_proof() {
    let field = Field::new();
    let proxy = Proxy::new(field.cluster.client_address(0));
    let gate = Gate::new();
    proxy.rule(Rule::on("/v3/watch", Action::HoldUntil(gate.clone())));
    let config = field.config_through(&proxy, "admin", "");
    join(&field, "a");
    join(&field, "b");
    let verify = thread::spawn(move || run(&config, &JSON));
    proxy.wait_for("/v3/watch", 1, PATIENCE);
    field.client.compact(3).unwrap();
    gate.open();
    let ended = verify.join().unwrap();
    let told = judged(&ended);
    assert_eq!((ended.code, &told["verdict"]), (1, &json!("unknown")));
    let said = "etcd compacted its history up to revision 3 while it was read: what came after revision 1 is not known";
    assert_eq!(told["unknown"], json!([said]));
}

/// What a member, or something before it, answers to a watch: that it stands, and these events.
fn told(field: &Field, events: &[Value]) -> Action {
    let any = Range::of(Keys::one("x"));
    let header = field.client.range(any).unwrap().header;
    let header = json!({
        "cluster_id": header.cluster_id.to_string(), "member_id": header.member_id.to_string(),
        "revision": header.revision.to_string(),
    });
    let mut lines = json!({"result": {"header": header, "created": true}}).to_string() + "\n";
    if !events.is_empty() {
        lines += &(json!({"result": {"header": header, "events": events}}).to_string() + "\n");
    }
    Action::Drip(lines)
}

#[test]
fn a_watch_that_leaves_something_out_is_noticed() {
    let field = Field::new();
    let proxy = Proxy::new(field.cluster.client_address(0));
    let config = field.config_through(&proxy, "admin", "etcd_timeout_sec: 1\n");
    join(&field, "a");
    field.claim("a", "rebooting");
    release(&field, "a");
    join(&field, "b");
    let pair = |revision: i64| {
        json!({"kv": {
            "key": BASE64_STANDARD.encode(format!("{LOCK}/claims/b")), "value": "",
            "create_revision": "5", "mod_revision": revision.to_string(),
        }})
    };
    for (action, done) in [
        (Action::Swallow, 1),
        (told(&field, &[]), 1),
        // What stands at the end was told, and what led to it was not.
        (told(&field, &[pair(5), pair(6)]), 5),
    ] {
        proxy.clear();
        proxy.rule(Rule::on("/v3/watch", action.clone()));
        let ended = run(&config, &JSON);
        let told = judged(&ended);
        assert_eq!(
            (ended.code, &told["verdict"]),
            (1, &json!("unknown")),
            "{action:?}"
        );
        let said = format!(
            "what etcd told, up to revision {done}, does not lead to what stands at revision 5: something "
        );
        let unknown = told["unknown"].to_string();
        assert!(unknown.contains(&said), "{action:?}: {unknown}");
    }
    proxy.clear();
    assert_eq!(run(&config, &JSON).code, 0);
}

#[test]
fn a_connection_that_breaks_in_between_costs_nothing_and_an_etcd_that_is_gone_is_said() {
    let field = Field::new();
    let proxy = Proxy::new(field.cluster.client_address(0));
    proxy.rule(Rule::on("/v3/watch", Action::CutRequest).times(2));
    let config = field.config_through(&proxy, "admin", "etcd_timeout_sec: 1\n");
    join(&field, "a");
    let ended = run(&config, &JSON);
    assert_eq!((ended.code, &judged(&ended)["events"]), (0, &json!(1)));
    field.cluster.stop(0);
    let ended = run(&config, &JSON);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("etcd"), "{}", ended.stderr);
}

/// More than etcd tells in one batch, and more keys than are read in one page.
#[test]
fn a_long_history_is_judged_to_its_end() {
    let field = Field::new();
    let many = |first: usize| {
        let keys = (first..first + 100).map(|n| format!("{LOCK}/history/{n:05}"));
        let success = keys.map(|key| Op::Put(Put::new(key, "{}", 0))).collect();
        Txn {
            success,
            ..Txn::default()
        }
    };
    for first in (0..1200).step_by(100) {
        field.client.txn(many(first)).unwrap();
    }
    let write = |client: Client| {
        for _ in 0..138 {
            let put = Put::new(format!("{LOCK}/standing/a"), "{}", 0);
            client.put(put).unwrap();
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            let client = field.client.fork().unwrap();
            scope.spawn(move || write(client));
        }
    });
    let ended = field.run(&JSON);
    let told = judged(&ended);
    assert_eq!((ended.code, &told["events"]), (0, &json!(1200 + 8 * 138)));
}

#[test]
fn a_user_who_may_only_read_is_enough() {
    let cluster = Cluster::builder().auth("secret").start();
    let grant = [
        "role",
        "grant-permission",
        "--prefix=true",
        "reader",
        "read",
    ];
    cluster.etcdctl(&["role", "add", "reader"]);
    cluster.etcdctl(&[&grant[..], &[&format!("{LOCK}/")]].concat());
    cluster.etcdctl(&["user", "add", "eva:secret"]);
    cluster.etcdctl(&["user", "grant-role", "eva", "reader"]);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&password, mode).unwrap();
    cluster.etcdctl(&["put", &format!("{LOCK}/pause"), "{}"]);
    let user = |lock: &str| {
        let auth = format!(
            "etcd_auth: {{username: eva, password_file: {password:?}}}\nlock_key: {lock}\n"
        );
        let config = configuration(folder.path(), "admin", cluster.client_url(0), &auth);
        run(&config, &JSON)
    };
    let ended = user(LOCK);
    assert_eq!((ended.code, &judged(&ended)["events"]), (0, &json!(1)));
    let ended = user("/elsewhere");
    assert!(
        ended.code == 1 && ended.stderr.contains("permission denied"),
        "{ended:?}"
    );
}
