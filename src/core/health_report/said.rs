//! What a node says of itself, and what of it stands in etcd.

use std::time::Duration;

use etcd_rs_sync::Txn;

use crate::lock::reboot_requests::Shown;
use crate::lock::record::{Standing, decode};
use crate::lock::{Keys, request};

/// How long a reason that is put otherwise stands in etcd as it was put before.
const TEXT_AFTER: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) standing: Option<Standing>,
    since: Duration,
    sending: Option<Standing>,
    /// What of it stands in etcd, and under which mod revision.
    stood: Option<Standing>,
    modified: i64,
}

impl Said {
    /// Why the node is held up is said anew now and then when that alone changes, and what changes all the time not at all.
    pub(super) fn now(&mut self, standing: &Standing, now: Duration) {
        if is_only_etcd(standing) {
            return;
        }
        let text = |it: &Standing| it.blocked.as_ref().map(|blocked| blocked.text.clone());
        let known = self.standing.as_ref().is_some_and(|known| {
            let fresh = now.saturating_sub(self.since) < TEXT_AFTER;
            known.same(standing) && (fresh || text(known) == text(standing))
        });
        if !known {
            self.standing = Some(standing.clone());
            self.since = now;
        }
    }

    /// The write of what does not stand in etcd yet.
    pub(super) fn due(&mut self, keys: &Keys, lease: i64) -> Option<Txn> {
        let standing = self
            .standing
            .as_ref()
            .filter(|_| self.stood != self.standing)?;
        self.sending.clone_from(&self.standing);
        Some(request::stand(keys, standing, lease, self.modified))
    }

    /// Whether this is what was sent.
    pub(super) fn is_sent(&self, value: &[u8]) -> bool {
        decode::<Standing>(value).ok() == self.sending
    }

    /// etcd has answered: what stands there now, and whether that is what was sent.
    pub(super) fn written(&mut self, modified: i64, done: bool) {
        self.modified = modified;
        let sent = self.sending.take();
        if done {
            self.stood = sent;
        }
    }

    /// What stands of it, by whoever wrote it.
    pub(super) fn saw(&mut self, shown: Shown) {
        if shown.revision >= self.modified && shown.standing != self.modified {
            self.stood = None;
            self.modified = shown.standing;
        }
    }

    /// Nothing of it stands in etcd.
    pub(super) fn forgotten(&mut self) {
        self.stood = None;
        self.modified = 0;
    }
}

/// Whether an idle node only says that etcd does not answer: once that can be written it is over.
fn is_only_etcd(standing: &Standing) -> bool {
    standing.required.is_none() && standing.label() == Some("etcd")
}
