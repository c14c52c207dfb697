//! What is known of the cluster, and answers that contradict it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::{Header, Op, Request};

/// Shared by everything that asks the same cluster.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The cluster that answered first.
    cluster: OnceLock<u64>,
    /// The highest revision of the store that an answer proved.
    revision: AtomicI64,
    /// That a read was answered as of an older one, and nothing was answered since.
    doubt: AtomicBool,
    /// That it went back, and from where: then no answer is believed any more.
    went_back: OnceLock<String>,
}

/// What was known when something was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The highest revision of the store: the answer must see at least this one.
    revision: i64,
    in_doubt: bool,
}

impl Known {
    /// The highest revision of the store that an answer proved; 0 before any has.
    pub(crate) fn revision(&self) -> i64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// To be called before something is asked.
    pub(crate) fn asking(&self) -> Asked {
        Asked {
            revision: self.revision(),
            in_doubt: self.in_doubt(),
        }
    }

    /// Whether a second read is to tell if the store went back, or only a member lags behind.
    pub(crate) fn in_doubt(&self) -> bool {
        self.doubt.load(Ordering::Relaxed)
    }

    /// That the store went back, once it has.
    pub(crate) fn went_back(&self) -> Option<&str> {
        self.went_back.get().map(String::as_str)
    }

    /// Whether an answer is about the store that answered before. `asked` is what [`Known::asking`] said before it was asked.
    ///
    /// A store that went back was restored from a backup or lost its data, and nothing that was proved of it before holds any
    /// more. Its cluster may have the same id all the same. Others write on, and its revision passes the one that was known: so
    /// it is remembered. A renewal is no longer believed either, so that a place in such a store ends by itself; a revocation
    /// is, since there is nothing to lose by it.
    ///
    /// One read alone proves nothing: a member that was stopped for a while may answer it as of before (fixed in etcd 3.4.42,
    /// 3.5.28 and 3.6.9). A second one that is asked after it decides. A write is answered at the revision where it took place.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn believe(
        &self,
        request: &Request,
        header: &Header,
        asked: Asked,
    ) -> Result<(), String> {
        self.check_cluster(header.cluster_id)?;
        let revision = asked.revision;
        if sees_the_present(request) {
            let older = header.revision < revision;
            self.doubt
                .store(older && !asked.in_doubt, Ordering::Relaxed);
            if older && !asked.in_doubt && !request.writes() {
                return Err(format!(
                    "its store is at revision {}, and {revision} was known: it may lag behind, which a second look tells",
                    header.revision
                ));
            }
            if older {
                let why = format!(
                    "its store is at revision {}, and was at {revision} before: it was restored from a backup, lost its data, or \
                     disagrees with the other members; look after the nodes that are down or drained, then restart this program",
                    header.revision
                );
                let _ = self.went_back.set(why); // the first time is as good
            } else {
                self.revision.fetch_max(header.revision, Ordering::Relaxed);
            }
        }
        match self.went_back() {
            Some(why) if !matches!(request, Request::Revoke { .. }) => Err(why.to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether an answer came from the cluster that answered first. One from another says nothing of what stands in that one.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_cluster(&self, answered: u64) -> Result<(), String> {
        let first = *self.cluster.get_or_init(|| answered);
        if answered == first {
            return Ok(());
        }
        Err(format!(
            "it belongs to the etcd cluster {answered:x}, and {first:x} answered before"
        ))
    }
}

/// Whether the revision in the answer is one at or after the moment of asking. Of other answers it is the member's own, which may
/// lag behind.
fn sees_the_present(request: &Request) -> bool {
    match request {
        Request::Range(range) => !range.serializable,
        Request::Put(_) | Request::Delete(_) => true,
        Request::Txn(txn) => {
            let mut ops = txn.success.iter().chain(&txn.failure).peekable();
            let local = |op: &Op| matches!(op, Op::Range(range) if range.serializable);
            // One without operations is answered by the member as it stands.
            ops.peek().is_some() && !ops.any(local)
        }
        Request::Grant { .. }
        | Request::Revoke { .. }
        | Request::KeepAlive { .. }
        | Request::TimeToLive { .. }
        | Request::Compact { .. }
        | Request::Status
        | Request::Members => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keys, Range, Txn};

    #[test]
    fn a_store_that_went_back_is_not_believed_again() {
        let known = Known::default();
        let read = Request::Range(Range::of(Keys::one("k")));
        let renewal = Request::KeepAlive { id: 1 };
        let stale = Request::Range(Range {
            serializable: true,
            ..Range::of(Keys::one("k"))
        });
        let at = |revision| Header {
            cluster_id: 7,
            revision,
            ..Header::default()
        };
        let believes = |request: &Request, asked_at, revision| {
            let asked = Asked {
                revision: asked_at,
                in_doubt: known.in_doubt(),
            };
            known.believe(request, &at(revision), asked).is_ok()
        };
        assert!(believes(&read, 0, 9));
        assert_eq!(known.asking().revision, 9);
        // What was asked before may be answered late, and what a member says of itself may lag.
        assert!(believes(&read, 5, 6));
        for lagging in [&renewal, &stale, &Request::Txn(Txn::default())] {
            assert!(believes(lagging, 9, 3), "{lagging:?}");
        }
        assert_eq!((known.asking().revision, known.went_back()), (9, None));
        // One older answer is not believed, and is no verdict: the next one is.
        assert!(!believes(&read, 9, 8) && known.in_doubt());
        assert!(believes(&read, 9, 9) && !known.in_doubt());
        let before = known.asking();
        assert!(!believes(&read, 9, 8));
        assert!(known.believe(&read, &at(8), before).is_err());
        assert_eq!(
            known.went_back(),
            None,
            "both were asked before there was a doubt"
        );
        assert!(!believes(&read, 9, 8));
        assert!(
            known
                .went_back()
                .is_some_and(|why| why.contains("at revision 8, and was at 9"))
        );
        for request in [&read, &renewal, &stale] {
            assert!(!believes(request, 9, 100), "{request:?}");
        }
        assert!(believes(&Request::Revoke { id: 1 }, 9, 100));
        assert_eq!(
            known.asking().revision,
            100,
            "it was seen, whatever it is worth"
        );
        let put = crate::Put::new("k", "v", 0);
        let txn = |op| {
            Request::Txn(Txn {
                success: vec![op],
                ..Txn::default()
            })
        };
        let Request::Range(lagging) = &stale else {
            panic!("it is a read");
        };
        for (write, lags) in [
            (Request::Put(put.clone()), false),
            (txn(Op::Put(put)), false),
            (txn(Op::Range(lagging.clone())), true),
        ] {
            let fresh = Known::default();
            assert!(fresh.believe(&read, &at(9), fresh.asking()).is_ok());
            let believed = fresh.believe(&write, &at(8), fresh.asking());
            assert_eq!(believed.is_ok(), lags, "{write:?}");
            assert_eq!(fresh.went_back().is_none(), lags, "{write:?}");
        }
    }
}
