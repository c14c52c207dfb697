//! Operators request reboots and withdraw their requests; and what must hold of that: a request ends by a boot after it, and
//! no commit is made for one that a boot has satisfied, or without knowing of it. And what an urgent one lets its node past.

use reboot_coordinator::lock::record::decode;
use reboot_coordinator::lock::{Keys, RebootRequest, reboot_requests};

use etcd_rs_sync::Request;

use crate::etcd::Change;
use crate::host::GateLog;
use crate::network::message::{Message, Operator, Sender};
use crate::world::World;
use crate::{SECOND, Time};

impl World {
    pub(crate) fn operator_requests(&mut self, node: usize) {
        let txn = reboot_requests::ask(&Keys::new("", "/r"), &self.wanted(node, None), 0, 0);
        self.operator(Operator::Request, Request::Txn(txn));
    }

    fn wanted(&self, node: usize, urgent_until: Option<String>) -> RebootRequest {
        RebootRequest {
            v: 1,
            node: format!("n{node}"),
            by: "operator".to_owned(),
            reason: "to see".to_owned(),
            since: format!("{} us", self.now),
            boot_id: None,
            urgent_until,
        }
    }

    /// Makes an urgent request, also in the place of one that is not.
    pub(crate) fn operator_urges(&mut self, node: usize, span: Time) {
        let keys = Keys::new("", "/r");
        let wanted = self.wanted(node, Some("soon".to_owned()));
        let stands = self.etcd.get(keys.request(&wanted.node).as_bytes());
        let stands = stands.map(|kv| (kv.mod_revision, kv.lease));
        if stands.is_some_and(|(_, lease)| lease != 0) {
            return;
        }
        let id = i64::try_from(self.rng.word() >> 2).unwrap_or(1);
        let ttl_sec = i64::try_from(span / SECOND).unwrap_or(1).max(1);
        let grant = Request::Grant { id, ttl_sec };
        if self.etcd.apply(self.now, &grant).is_ok() {
            self.watch_lease(id);
            let seen = stands.map_or(0, |(modified, _)| modified);
            let txn = reboot_requests::ask(&keys, &wanted, id, seen);
            self.operator(Operator::Urge, Request::Txn(txn));
        }
    }

    /// Withdraws the request that stands there now.
    pub(crate) fn operator_withdraws(&mut self, node: usize) {
        let (keys, name) = (Keys::new("", "/r"), format!("n{node}"));
        let Some(kv) = self.etcd.get(keys.request(&name).as_bytes()) else {
            return;
        };
        let txn = reboot_requests::withdraw(&keys, &name, kv.mod_revision);
        self.operator(Operator::Withdraw, Request::Txn(txn));
    }

    pub(crate) fn request_changed(&mut self, node: usize, change: &Change, by: Option<&Message>) {
        let boot = self.hosts[node].boot;
        let sender = by.map(|message| message.sender);
        let by_node = matches!(sender, Some(Sender::Node { host, .. }) if host == node);
        match (&change.before, &change.after) {
            (None, Some(_)) => self.check.requests[node] = Some(boot),
            (Some(_), Some(_)) if sender == Some(Sender::Operator(Operator::Urge)) => {
                self.check.requests[node] = Some(boot);
            }
            (_, None) => {
                let made = self.check.requests[node].take();
                if by_node && made.is_none_or(|made| made >= boot) {
                    self.fail(
                        "requests",
                        format!("n{node} ended a request without a boot after it"),
                    );
                }
            }
            (Some(_), Some(_)) if by_node => {
                let made = self.check.requests[node].unwrap_or_default();
                let noted = self.noted(node);
                let known =
                    (made..=boot).any(|boot| noted.as_ref() == Some(&self.boot_of(node, boot)));
                if !known {
                    self.fail(
                        "requests",
                        format!("n{node} noted {noted:?} in a request made in boot {made}"),
                    );
                }
            }
            (Some(_), Some(_)) => self.fail(
                "requests",
                format!("a request for n{node} was changed by somebody else"),
            ),
        }
    }

    /// Whether a request stands at a commit that took effect. Then it must be one of the boot that committed.
    pub(crate) fn check_request(&mut self, node: usize) -> bool {
        if self.check.requests[node].is_none() {
            return false;
        }
        let noted = self.noted(node);
        let standing = self.check.claims[node].as_ref();
        if noted.as_ref() != standing.map(|standing| &standing.claim.boot_id) {
            self.fail(
                "requests",
                format!("n{node} committed beside a request that says {noted:?}"),
            );
        }
        true
    }

    /// Whether an urgent request of this boot stands, under a lease that has not ended.
    pub(crate) fn is_urgent(&self, node: usize) -> bool {
        let key = format!("/r/requests/n{node}");
        let kv = self.etcd.get(key.as_bytes());
        let leased = kv.is_some_and(|kv| self.etcd.lease(kv.lease).is_some());
        let says = kv.and_then(|kv| decode::<RebootRequest>(&kv.value).ok());
        let standing = self.check.claims[node].as_ref();
        leased
            && says.is_some_and(|says| {
                says.urgent_until.is_some()
                    && says.boot_id.as_ref() == standing.map(|standing| &standing.claim.boot_id)
            })
    }

    /// P2: nobody commits in a cooldown, or outside of its window, but for an urgent request that stands at that revision; and the
    /// claim says what it was let past. Gives what counts of the gates.
    pub(crate) fn check_urgent(&mut self, node: usize, mut gates: GateLog, first: bool) -> GateLog {
        let urgent = self.is_urgent(node);
        let cools = self.etcd.get(b"/r/cooldown").is_some();
        if cools && !urgent {
            self.fail("P2", format!("n{node} committed although it cools down"));
        }
        let closed =
            gates.look.is_some_and(|(_, free)| !free) && gates.switch.is_some_and(|(_, free)| free);
        if urgent {
            gates.look = gates.switch;
        }
        let standing = self.check.claims[node].as_ref();
        let passed = standing.map_or_else(Vec::new, |standing| standing.claim.passed.clone());
        for (gate, was) in [("cooldown", cools), ("window", closed)] {
            let said = passed.iter().any(|passed| passed == gate);
            if urgent && was && !said {
                let detail = format!("n{node} committed past the {gate} and does not say so");
                self.fail("passed", detail);
            }
            if first && said && !urgent {
                let detail =
                    format!("n{node} committed past the {gate}, and nothing urgent stands");
                self.fail("P2", detail);
            }
        }
        gates
    }

    /// The boot that stands in the request.
    fn noted(&self, node: usize) -> Option<String> {
        let key = format!("/r/requests/n{node}");
        let kv = self.etcd.get(key.as_bytes())?;
        decode::<RebootRequest>(&kv.value).ok()?.boot_id
    }

    fn boot_of(&self, node: usize, boot: u32) -> String {
        format!("{}{boot}", self.hosts[node].boots_of())
    }
}
