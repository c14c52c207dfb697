//! The line: does a failed reboot stop everybody else?

use crate::lock::line::{GoOn, Known, Line};

/// A claim that stands still for too long, as far as the judge saw it himself or its node's clock tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Whose claim.
    pub node: String,
    /// Its create revision.
    pub claim: i64,
    /// What was seen.
    pub why: String,
}

/// Judges whether `node` may go, when `halt_after` failed reboots of others stop the line (0: none does). Answers the operator's
/// word, with its mod revision, when it goes only because of that.
///
/// # Errors
/// Which failures stop it.
pub fn judge(
    halt_after: u32,
    node: &str,
    line: &Line,
    still: &[Still],
) -> Result<Option<(i64, GoOn)>, String> {
    if halt_after == 0 {
        return Ok(None);
    }
    if line.more {
        return Err("more reboots failed than can be read".to_owned());
    }
    let marked = line.failures.iter().map(|known| Failed {
        node: &known.node,
        id: known.id,
        why: words(known),
    });
    let unmarked = |still: &&Still| !line.failures.iter().any(|known| known.node == still.node);
    let seen = still.iter().filter(unmarked).map(|still| Failed {
        node: &still.node,
        id: still.claim,
        why: still.why.clone(),
    });
    let failed: Vec<Failed> = marked.chain(seen).filter(|it| it.node != node).collect();
    let many = |count: usize, limit: u32| count >= usize::try_from(limit).unwrap_or(usize::MAX);
    if !many(failed.len(), halt_after) {
        return Ok(None);
    }
    let word = match &line.go_on {
        Some((modified, Ok(word))) if word.left != Some(0) => Some((*modified, word.clone())),
        _ => None,
    };
    let excused = |it: &&Failed| {
        let known = word.as_ref().map(|(_, word)| &word.known);
        known.is_some_and(|known| known.get(it.node) == Some(&it.id))
    };
    let standing: Vec<&Failed> = failed.iter().filter(|it| !excused(it)).collect();
    // Only a word excuses, and there is a failure.
    if standing.is_empty() {
        return Ok(word);
    }
    let named: Vec<String> = standing
        .iter()
        .map(|it| format!("{} ({})", it.node, it.why))
        .collect();
    Err(named.join(", "))
}

/// A failure that counts.
struct Failed<'a> {
    node: &'a str,
    id: i64,
    why: String,
}

fn words(known: &Known) -> String {
    match &known.failure {
        Ok(failure) => format!("{}, since {}", failure.detail, failure.since),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Failure, FailureKind};

    fn known(node: &str, id: i64) -> Known {
        let failure = Failure {
            v: 1,
            node: node.to_owned(),
            claim: id,
            kind: FailureKind::NotBack,
            detail: "rebooting and not moved for 9 s".to_owned(),
            reasons: Vec::new(),
            since: "2026-01-01T00:00:00Z".to_owned(),
            by: None,
        };
        Known {
            node: node.to_owned(),
            id,
            failure: Ok(failure),
        }
    }

    fn line(failures: Vec<Known>, excused: &[(&str, i64)]) -> Line {
        let known = excused.iter().map(|(node, id)| ((*node).to_owned(), *id));
        let word = GoOn {
            v: 1,
            by: "me".to_owned(),
            reason: "looked at".to_owned(),
            since: String::new(),
            left: None,
            known: known.collect(),
        };
        Line {
            failures,
            more: false,
            go_on: (!excused.is_empty()).then_some((7, Ok(word))),
        }
    }

    #[test]
    fn a_failure_that_is_marked_and_seen_counts_once() {
        let marked = line(vec![known("b", 3)], &[]);
        let seen = |node: &str| Still {
            node: node.to_owned(),
            claim: 3,
            why: "still".to_owned(),
        };
        assert_eq!(judge(2, "a", &marked, &[seen("b")]), Ok(None));
        let both = "b (rebooting and not moved for 9 s, since 2026-01-01T00:00:00Z), c (still)";
        assert_eq!(
            judge(2, "a", &marked, &[seen("b"), seen("c")]),
            Err(both.to_owned())
        );
    }

    #[test]
    fn a_word_is_about_the_failures_that_it_names_and_no_others() {
        let failures = || vec![known("b", 3), known("c", 4)];
        let all = line(failures(), &[("b", 3), ("c", 4)]);
        let word = judge(1, "a", &all, &[]).unwrap();
        assert_eq!(word.map(|(modified, _)| modified), Some(7));
        for excused in [[("b", 3), ("c", 5)], [("b", 3), ("d", 4)]] {
            let why = judge(1, "a", &line(failures(), &excused), &[]).unwrap_err();
            assert!(why.starts_with("c (") && !why.contains("b ("), "{why}");
        }
    }
}
