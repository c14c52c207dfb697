//! The line: does a failed reboot stop everybody else?

use std::collections::BTreeSet;

use crate::lock::line::{GoOn, Known, Line};

/// Which failures stop a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HaltScope {
    /// All.
    #[default]
    All,
    /// Those of the kernel that the node would boot, and all of which one of the two kernels is not known.
    Target,
}

/// A claim that stands still for too long, as far as the judge saw it himself or its node's clock tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Whose claim.
    pub node: String,
    /// Its create revision.
    pub claim: i64,
    /// What was to be booted.
    pub target: Option<String>,
    /// What was seen.
    pub why: String,
}

/// Judges whether `node` may go, when `halt_after` failed reboots of others stop the line (0: none does). Those to another kernel
/// than `target` do not, where both are known. Answers the operator's word, with its mod revision, when it goes only because of that.
///
/// # Errors
/// Which failures stop it.
pub fn judge(
    halt_after: u32,
    node: &str,
    target: Option<&str>,
    line: &Line,
    still: &[Still],
) -> Result<Option<(i64, GoOn)>, String> {
    if halt_after == 0 {
        return Ok(None);
    }
    if line.more {
        return Err(too_many(line));
    }
    let marked = line.failures.iter().map(|known| Failed {
        node: &known.node,
        id: known.id,
        target: known
            .failure
            .as_ref()
            .ok()
            .and_then(|it| it.target.as_deref()),
        why: words(known),
    });
    let is_of = |known: &Known, still: &Still| known.node == still.node && known.id == still.claim;
    let unmarked = |still: &&Still| !line.failures.iter().any(|known| is_of(known, still));
    let seen = still.iter().filter(unmarked).map(|still| Failed {
        node: &still.node,
        id: still.claim,
        target: still.target.as_deref(),
        why: still.why.clone(),
    });
    let other = |of: Option<&str>| target.zip(of).is_some_and(|(target, of)| target != of);
    let failed: Vec<Failed> = marked
        .chain(seen)
        .filter(|it| it.node != node && !other(it.target))
        .collect();
    let many = |count: usize, limit: u32| count >= usize::try_from(limit).unwrap_or(usize::MAX);
    let nodes: BTreeSet<&str> = failed.iter().map(|it| it.node).collect();
    if !many(nodes.len(), halt_after) {
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

/// More than can be read: among them may be any failure.
fn too_many(line: &Line) -> String {
    if let Some(key) = line.foreign.first() {
        return format!(
            "whether others did is not known, as there are more keys than are read, and {key} names no node"
        );
    }
    let some: Vec<&str> = line.failures.iter().take(3).map(|it| &*it.node).collect();
    format!(
        "more reboots failed than can be read, such as those of {}",
        some.join(", ")
    )
}

/// A failure that counts.
struct Failed<'a> {
    node: &'a str,
    id: i64,
    target: Option<&'a str>,
    why: String,
}

fn words(known: &Known) -> String {
    match &known.failure {
        Ok(failure) => {
            let target = failure.target.as_ref();
            let to = target.map_or_else(String::new, |target| format!(" to kernel {target}"));
            format!("{}{to}, since {}", failure.detail, failure.since)
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Refusal;
    use crate::lock::record::RecordError;
    use crate::lock::{Failure, FailureKind};

    fn known(node: &str, id: i64) -> Known {
        let failure = Failure {
            v: 1,
            node: node.to_owned(),
            claim: id,
            kind: FailureKind::NotBack,
            detail: "rebooting and not moved for 9 s".to_owned(),
            reasons: Vec::new(),
            target: None,
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
            foreign: Vec::new(),
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
            target: None,
            why: "still".to_owned(),
        };
        assert_eq!(judge(2, "a", None, &marked, &[seen("b")]), Ok(None));
        let both = "b (rebooting and not moved for 9 s, since 2026-01-01T00:00:00Z), c (still)";
        assert_eq!(
            judge(2, "a", None, &marked, &[seen("b"), seen("c")]),
            Err(both.to_owned())
        );
    }

    /// A word for the reboot before says nothing of a claim that stands still since.
    #[test]
    fn a_word_for_an_earlier_failure_of_a_node_does_not_excuse_its_next() {
        let excused = line(vec![known("b", 3)], &[("b", 3)]);
        let still = |claim: i64| Still {
            node: "b".to_owned(),
            claim,
            target: None,
            why: "still".to_owned(),
        };
        assert!(judge(1, "a", None, &excused, &[still(3)]).is_ok());
        let why = judge(1, "a", None, &excused, &[still(5)]);
        assert_eq!(why, Err("b (still)".to_owned()));
        assert_eq!(judge(2, "a", None, &excused, &[still(5)]), Ok(None));
    }

    #[test]
    fn more_than_can_be_read_stop_everybody_and_some_of_what_is_there_is_named() {
        let mut all = line(vec![known("b", 3), known("c", 4)], &[("b", 3), ("c", 4)]);
        all.more = true;
        let why = judge(3, "a", None, &all, &[]).unwrap_err();
        assert!(why.ends_with("such as those of b, c"), "{why}");
        all.foreign = vec!["/k/line/failed/claims/x".to_owned()];
        let why = judge(3, "a", None, &all, &[]).unwrap_err();
        assert!(
            why.contains("/k/line/failed/claims/x names no node"),
            "{why}"
        );
        let remedy = Refusal::Line(why).remedy();
        assert!(remedy.contains("another `lock_key`"), "{remedy}");
    }

    #[test]
    fn a_word_is_about_the_failures_that_it_names_and_no_others() {
        let failures = || vec![known("b", 3), known("c", 4)];
        let all = line(failures(), &[("b", 3), ("c", 4)]);
        let word = judge(1, "a", None, &all, &[]).unwrap();
        assert_eq!(word.map(|(modified, _)| modified), Some(7));
        for excused in [[("b", 3), ("c", 5)], [("b", 3), ("d", 4)]] {
            let why = judge(1, "a", None, &line(failures(), &excused), &[]).unwrap_err();
            assert!(why.starts_with("c (") && !why.contains("b ("), "{why}");
        }
    }

    #[test]
    fn a_failure_of_another_kernel_counts_unless_both_kernels_are_known() {
        let marked = |target: Option<&str>| {
            let mut known = known("b", 3);
            if let Ok(failure) = &mut known.failure {
                failure.target = target.map(str::to_owned);
            }
            line(vec![known], &[])
        };
        let seen = |target: Option<&str>| Still {
            node: "b".to_owned(),
            claim: 3,
            target: target.map(str::to_owned),
            why: "still".to_owned(),
        };
        for (own, of, goes) in [
            (Some("6.1"), Some("6.2"), true),
            (Some("6.1"), Some("6.1"), false),
            (Some("6.1"), None, false),
            (None, Some("6.2"), false),
            (None, None, false),
        ] {
            let by_mark = judge(1, "a", own, &marked(of), &[]);
            assert_eq!(by_mark.is_ok(), goes, "{own:?} {of:?}");
            let by_sight = judge(1, "a", own, &Line::default(), &[seen(of)]);
            assert_eq!(by_sight.is_ok(), goes, "{own:?} {of:?}");
        }
        let mut garbled = known("b", 3);
        garbled.failure = Err(RecordError::Malformed("x".to_owned()));
        let unknown = line(vec![garbled], &[]);
        assert!(judge(1, "a", Some("6.1"), &unknown, &[]).is_err());
    }
}
