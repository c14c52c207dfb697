//! Operators request reboots and withdraw their requests; and what must hold of that: a request ends by a boot after it, and
//! no commit is made for one that a boot has satisfied, or without knowing of it.

use reboot_coordinator::lock::record::decode;
use reboot_coordinator::lock::{Keys, RebootRequest, requests};

use etcd_rs_sync::Request;

use crate::etcd::Change;
use crate::network::{Message, Operator, Sender};
use crate::world::World;

impl World {
    pub(crate) fn operator_requests(&mut self, node: usize) {
        let record = RebootRequest {
            v: 1,
            node: format!("n{node}"),
            by: "operator".to_owned(),
            reason: "to see".to_owned(),
            since: format!("{} us", self.now),
            boot_id: None,
        };
        let txn = requests::ask(&Keys::new("", "/r"), &record);
        self.operator(Operator::Request, Request::Txn(txn));
    }

    /// Withdraws the request that stands there now.
    pub(crate) fn operator_withdraws(&mut self, node: usize) {
        let (keys, name) = (Keys::new("", "/r"), format!("n{node}"));
        let Some(kv) = self.etcd.get(keys.request(&name).as_bytes()) else {
            return;
        };
        let txn = requests::withdraw(&keys, &name, kv.mod_revision);
        self.operator(Operator::Withdraw, Request::Txn(txn));
    }

    pub(crate) fn request_changed(&mut self, node: usize, change: &Change, by: Option<&Message>) {
        let boot = self.hosts[node].boot;
        let by_node = matches!(
            by.map(|message| message.sender),
            Some(Sender::Node { host, .. }) if host == node
        );
        match (&change.before, &change.after) {
            (None, Some(_)) => self.check.requests[node] = Some(boot),
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
