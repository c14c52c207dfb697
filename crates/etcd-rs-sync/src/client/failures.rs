//! What several failed attempts mean together.

use super::repeatable;
use crate::{Error, Request};

/// What the attempts of one call came to.
#[derive(Default)]
pub(super) struct Failures {
    errors: Vec<Error>,
}

/// How many attempts an error tells about; the last ones.
const MAX_TOLD: usize = 4;

impl Failures {
    pub(super) fn push(&mut self, error: Error) {
        self.errors.push(error);
    }

    fn may_have_had_effect(&self) -> bool {
        self.errors.iter().any(|error| !error.is_definite())
    }

    pub(super) fn allow_repeat(&self, request: &Request) -> bool {
        repeatable(request) || !self.may_have_had_effect()
    }

    /// The cluster's definite answer, in the light of what was sent before.
    pub(super) fn settle(self, request: &Request, last: Error) -> Error {
        let explained =
            matches!(last, Error::LeaseExists | Error::LeaseNotFound) || !last.is_definite();
        if explained || !request.writes() || !self.may_have_had_effect() {
            return last;
        }
        let detail = last.to_string();
        self.into_error(&detail)
    }

    pub(super) fn into_error(mut self, why: &str) -> Error {
        let no_leader = self
            .errors
            .iter()
            .all(|e| matches!(e, Error::NoLeader { .. }))
            && !self.errors.is_empty();
        let unknown = self.may_have_had_effect();
        if self.errors.len() == 1
            && let Some(only) = self.errors.pop()
        {
            return only;
        }
        let from = self.errors.len().saturating_sub(MAX_TOLD);
        let told: Vec<String> = self.errors[from..].iter().map(detail_of).collect();
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
