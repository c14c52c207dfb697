//! What several failed attempts mean together, and whether a request may be sent again.

use crate::{Error, Keys, Op, Request, Txn};

/// Whether sending a request twice is the same as sending it once.
pub(super) fn repeatable(request: &Request) -> bool {
    match request {
        Request::Grant { id, .. } => *id != 0,
        Request::KeepAlive { .. } | Request::Revoke { .. } => true,
        _ => !request.writes(),
    }
}

/// What the attempts of one call came to.
#[derive(Default)]
pub(super) struct Failures(Vec<Error>);

/// How many attempts an error tells about; the last ones.
const MAX_TOLD: usize = 4;

impl Failures {
    pub(super) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    fn may_have_had_effect(&self) -> bool {
        self.0.iter().any(|error| !error.is_definite())
    }

    pub(super) fn allow_repeat(&self, request: &Request) -> bool {
        repeatable(request) || !self.may_have_had_effect()
    }

    /// The cluster's definite answer, in the light of what was sent before.
    pub(super) fn settle(self, request: &Request, mut last: Error) -> Error {
        if let Error::PermissionDenied { detail } = &mut last {
            *detail = format!("{detail}; this needs the rights: {}", needs(request));
        }
        let explained =
            matches!(last, Error::LeaseExists | Error::LeaseNotFound) || !last.is_definite();
        if explained || !request.writes() || !self.may_have_had_effect() {
            return last;
        }
        let detail = last.to_string();
        self.into_error(&detail)
    }

    pub(super) fn into_error(mut self, why: &str) -> Error {
        let no_leader =
            self.0.iter().all(|e| matches!(e, Error::NoLeader { .. })) && !self.0.is_empty();
        let unknown = self.may_have_had_effect();
        if self.0.len() == 1
            && let Some(only) = self.0.pop()
        {
            return only;
        }
        let from = self.0.len().saturating_sub(MAX_TOLD);
        let told: Vec<String> = self.0[from..].iter().map(detail_of).collect();
        let detail = match told.is_empty() {
            true => why.to_owned(),
            false => format!("{} ({why})", told.join("; ")),
        };
        match (no_leader, unknown) {
            (true, _) => Error::NoLeader { detail },
            (false, true) => Error::OutcomeUnknown { detail },
            (false, false) => Error::NotSent { detail },
        }
    }
}

fn detail_of(error: &Error) -> String {
    if let Error::NotSent { detail }
    | Error::OutcomeUnknown { detail }
    | Error::NoLeader { detail } = error
    {
        return detail.clone();
    }
    error.to_string()
}

/// The rights that a request needs, each with its key. etcd does not say which of them is missing.
fn needs(request: &Request) -> String {
    let mut rights = Vec::new();
    match request {
        Request::Range(range) => rights.push(right("read", &range.keys)),
        Request::Put(put) => rights.push(right("write", &Keys::one(put.key.clone()))),
        Request::Delete(delete) => rights.push(right("write", &delete.keys)),
        Request::Txn(txn) => of_txn(txn, &mut rights),
        Request::Grant { .. }
        | Request::Revoke { .. }
        | Request::KeepAlive { .. }
        | Request::TimeToLive { .. } => rights.push("write all keys of the lease".to_owned()),
        Request::Compact { .. } | Request::Status | Request::Members => {
            rights.push("the role root".to_owned());
        }
    }
    rights.sort();
    rights.dedup();
    rights.join(", ")
}

fn of_txn(txn: &Txn, rights: &mut Vec<String>) {
    rights.extend(
        txn.compares
            .iter()
            .map(|compare| right("read", &compare.keys)),
    );
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            Op::Range(range) => rights.push(right("read", &range.keys)),
            Op::Put(put) => rights.push(right("write", &Keys::one(put.key.clone()))),
            Op::Delete(delete) => rights.push(right("write", &delete.keys)),
            Op::Txn(nested) => of_txn(nested, rights),
        }
    }
}

fn right(what: &str, keys: &Keys) -> String {
    let all = if keys.range_end.is_empty() { "" } else { "…" };
    format!("{what} {}{all}", keys.key.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keys, Put, Range};

    fn not_sent(detail: &str) -> Error {
        let detail = detail.to_owned();
        Error::NotSent { detail }
    }

    fn unknown(detail: &str) -> Error {
        let detail = detail.to_owned();
        Error::OutcomeUnknown { detail }
    }

    fn no_leader() -> Error {
        let detail = "no leader".to_owned();
        Error::NoLeader { detail }
    }

    fn denied() -> Error {
        let detail = "denied".to_owned();
        Error::PermissionDenied { detail }
    }

    fn after(errors: impl IntoIterator<Item = Error>) -> Failures {
        let mut failures = Failures::default();
        errors.into_iter().for_each(|error| failures.push(error));
        failures
    }

    fn put() -> Request {
        Request::Put(Put::new("k", "v", 0))
    }

    fn range() -> Request {
        Request::Range(Range::of(Keys::one("k")))
    }

    #[test]
    fn a_write_is_repeated_only_while_nothing_of_it_can_have_arrived() {
        assert!(after([]).allow_repeat(&put()));
        assert!(after([not_sent("a"), not_sent("b")]).allow_repeat(&put()));
        assert!(!after([not_sent("a"), unknown("b")]).allow_repeat(&put()));
        assert!(!after([no_leader()]).allow_repeat(&put()));
        for repeatable in [
            range(),
            Request::Grant { id: 7, ttl_sec: 60 },
            Request::Revoke { id: 7 },
            Request::KeepAlive { id: 7 },
        ] {
            assert!(after([unknown("a")]).allow_repeat(&repeatable));
        }
        // The server chooses the id: a second one would be a second lease.
        let grant = Request::Grant { id: 0, ttl_sec: 60 };
        assert!(!after([unknown("a")]).allow_repeat(&grant));
    }

    #[test]
    fn a_refusal_says_nothing_of_an_earlier_attempt_that_may_have_arrived() {
        assert!(after([]).settle(&put(), denied()).is_definite());
        assert!(
            after([not_sent("a")])
                .settle(&put(), denied())
                .is_definite()
        );
        assert!(
            after([unknown("a")])
                .settle(&range(), denied())
                .is_definite()
        );
        let error = after([unknown("the first was lost")]).settle(&put(), denied());
        assert!(!error.is_definite(), "{error}");
        let error = after([not_sent("a"), unknown("b")])
            .settle(&put(), denied())
            .to_string();
        assert!(
            error.contains("a; b (etcd denies permission: denied; this needs the rights: write k)"),
            "{error}"
        );
        // What a repeated grant or revocation finds is what it wanted.
        for last in [Error::LeaseExists, Error::LeaseNotFound] {
            let said = last.to_string();
            let revoke = Request::Revoke { id: 7 };
            assert_eq!(
                after([unknown("a")]).settle(&revoke, last).to_string(),
                said
            );
        }
    }

    #[test]
    fn a_denied_transaction_names_the_rights_of_all_that_is_in_it() {
        let nested = Txn {
            success: vec![Op::Delete(crate::Delete::of(Keys::one("d")))],
            ..Txn::default()
        };
        let txn = Txn {
            compares: vec![crate::Compare::create_revision(Keys::prefix("c/"), 0)],
            success: vec![Op::Put(Put::new("p", "v", 0)), Op::Txn(nested)],
            failure: vec![Op::Range(Range::of(Keys::one("r")))],
        };
        let error = after([]).settle(&Request::Txn(txn), denied()).to_string();
        let rights = "the rights: read c/…, read r, write d, write p";
        assert!(error.contains(rights), "{error}");
    }

    #[test]
    fn the_worst_of_several_failures_counts_and_the_last_ones_are_told() {
        assert!(
            matches!(after([not_sent("a")]).into_error("why"), Error::NotSent { detail } if detail == "a")
        );
        let none = after([]).into_error("why");
        assert!(
            matches!(&none, Error::NotSent { detail } if detail == "why"),
            "{none:?}"
        );
        let two = after([not_sent("a"), not_sent("b")]).into_error("why");
        assert!(
            matches!(&two, Error::NotSent { detail } if detail == "a; b (why)"),
            "{two:?}"
        );
        let lost = after([unknown("a"), not_sent("b")]).into_error("why");
        assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
        let leaderless = after([no_leader(), no_leader()]).into_error("why");
        assert!(
            matches!(leaderless, Error::NoLeader { .. }),
            "{leaderless:?}"
        );
        let mixed = after([no_leader(), not_sent("b")]).into_error("why");
        assert!(matches!(mixed, Error::OutcomeUnknown { .. }), "{mixed:?}");
        let many = after(["a", "b", "c", "d", "e"].map(not_sent))
            .into_error("why")
            .to_string();
        assert!(many.ends_with("b; c; d; e (why)"), "{many}");
    }
}
