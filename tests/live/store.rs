//! What stands in etcd, read past the program.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use etcd_rs_sync::{Client, Delete, Etcd, Keys, Options, Put, Range, Reply, Request};
use etcd_test_server::{Action, Cluster, HttpRequest, Rule};
use serde_json::{Value, json};

use crate::host::{boot_id, wait};

pub(crate) struct Store {
    client: Client,
}

impl Store {
    /// An etcd of its own, and what it stores.
    pub(crate) fn single() -> (Cluster, Store) {
        let cluster = Cluster::single();
        let store = Store::of(&cluster);
        (cluster, store)
    }

    pub(crate) fn of(cluster: &Cluster) -> Store {
        Store::with(Options::new(cluster.endpoints()))
    }

    pub(crate) fn with(options: Options) -> Store {
        Store {
            client: Client::new(options).unwrap(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.list(key).into_iter().next().map(|(_, value)| value)
    }

    pub(crate) fn list(&self, key: &str) -> Vec<(String, Value)> {
        let keys = if key.ends_with('/') {
            Keys::prefix(key)
        } else {
            Keys::one(key)
        };
        let Reply::Range(reply) = self.client.call(&Request::Range(Range::of(keys))).unwrap()
        else {
            panic!("a range answers a range");
        };
        let pairs = reply.kvs.into_iter();
        pairs
            .map(|kv| {
                let key = String::from_utf8(kv.key).unwrap();
                (key, serde_json::from_slice(&kv.value).unwrap())
            })
            .collect()
    }

    pub(crate) fn claim(&self, node: &str) -> Option<Value> {
        self.get(&format!("/rc/claims/{node}"))
    }

    pub(crate) fn phase(&self, node: &str) -> Option<String> {
        Some(self.claim(node)?["phase"].as_str().unwrap().to_owned())
    }

    pub(crate) fn claims(&self) -> Vec<String> {
        let claims = self.list("/rc/claims/").into_iter();
        claims
            .map(|(key, _)| key["/rc/claims/".len()..].to_owned())
            .collect()
    }

    pub(crate) fn outcomes(&self, node: &str) -> Vec<String> {
        let all = self.list("/rc/history/").into_iter();
        all.filter(|(_, entry)| entry["node"] == node)
            .map(|(_, entry)| entry["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn put(&self, key: &str, value: &Value) {
        let put = Put::new(key, value.to_string(), 0);
        self.client.call(&Request::Put(put)).unwrap();
    }

    pub(crate) fn delete(&self, key: &str) {
        self.client
            .call(&Request::Delete(Delete::of(Keys::one(key))))
            .unwrap();
    }

    /// A committed claim of a node that is not there.
    pub(crate) fn claim_of_another(&self, node: &str) {
        self.put(&format!("/rc/claims/{node}"), &claim(node, "rebooting"));
    }

    pub(crate) fn revision(&self) -> i64 {
        let range = Range::of(Keys::one("/"));
        match self.client.call(&Request::Range(range)).unwrap() {
            Reply::Range(reply) => reply.header.revision,
            _ => panic!("a range answers a range"),
        }
    }

    pub(crate) fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        assert!(
            wait(condition),
            "no sign of {what}; claims: {:?}",
            self.list("/rc/claims/")
        );
    }

    pub(crate) fn wait_phase(&self, node: &str, phase: &str) {
        self.wait(phase, || self.phase(node).as_deref() == Some(phase));
    }

    pub(crate) fn wait_gone(&self, node: &str) {
        self.wait("the end of the claim", || self.claim(node).is_none());
    }
}

/// One that was committed just now: one that has stood for long stops the line.
pub(crate) fn claim(node: &str, phase: &str) -> Value {
    let now = jiff::Timestamp::now().to_string();
    json!({
        "v": 1, "node": node, "node_id": format!("id-of-{node}"), "boot_id": boot_id(node, 1),
        "session": "by hand", "phase": phase, "limit": 1, "reasons": ["by hand"],
        "since": now, "committed_at": now, "attempts": 1, "version": "0.1.0",
    })
}

/// Whether a request is a commit: a transaction that writes, guarded by the cluster's pause.
pub(crate) fn is_commit(request: &HttpRequest) -> bool {
    request.contains("request_put") && request.contains(&BASE64_STANDARD.encode("/rc/pause"))
}

/// A rule for the first commit that passes.
pub(crate) fn first_commit(action: Action) -> Rule {
    Rule {
        matches: Box::new(is_commit),
        action,
        times: Some(1),
    }
}
