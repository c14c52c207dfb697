//! What it does to the others that a claim does not move.

use super::describe::{committed, of_node, places};
use super::node_state::{NodeState, Rank};
use super::stood::Reader;
use crate::core::line::{self, Still};
use crate::lock::line::Line;
use crate::lock::survey::Survey;

/// Whether failed reboots stop somebody who goes by `halt_after`, as far as it can be read.
pub(super) fn stopped(halt_after: u32, node: &str, line: &Line, still: &[Still]) -> bool {
    line::judge(halt_after, node, None, line, still).is_err()
}

/// The claims that stand for too long, as far as this host can tell.
pub(super) fn late(survey: &Survey, reader: &Reader<'_>) -> Vec<Still> {
    let claims = survey.claims.iter();
    let late = claims.filter(|(_, found)| committed(found) && reader.is_late(found));
    let still = late.map(|(node, found)| Still {
        node: node.clone(),
        claim: found.create,
        target: None,
        why: String::new(),
    });
    still.collect()
}

/// Those that need somebody, when they hold every place there is: then nobody else goes.
pub(super) fn keep_all<'a>(
    survey: &Survey,
    reader: &Reader<'_>,
    states: &'a [NodeState],
) -> Option<Vec<&'a str>> {
    let holds =
        |it: &&NodeState| it.rank == Rank::Stuck && of_node(&survey.claims, &it.node).is_some();
    let stuck: Vec<&str> = states
        .iter()
        .filter(holds)
        .map(|it| it.node.as_str())
        .collect();
    (stuck.len() >= places(survey, reader.limit).max(1)).then_some(stuck)
}

/// What the others hear of a node that needs somebody.
pub(super) fn consequence(
    survey: &Survey,
    reader: &Reader<'_>,
    states: &[NodeState],
    node: &str,
) -> String {
    let still = late(survey, reader);
    // Only what concerns it, which an operator may have excused.
    let mut own = survey.line.clone();
    own.failures.retain(|known| known.node == node);
    let own_still: Vec<Still> = still.iter().filter(|it| it.node == node).cloned().collect();
    let stops =
        stopped(reader.halt_after, "", &survey.line, &still) && stopped(1, "", &own, &own_still);
    let places = places(survey, reader.limit);
    if places <= 1 || stops {
        return format!("While {node} holds its claim the line stands still");
    }
    let too = match keep_all(survey, reader, states) {
        Some(_) => ", and nobody goes, as the others are kept so, too",
        None => "",
    };
    format!("It keeps one of {places} places{too}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::line::{GoOn, Known};
    use crate::lock::record::RecordError;
    use crate::lock::{Failure, FailureKind, Phase};
    use crate::status::fixtures::{found, local, now, view};
    use crate::status::headline::headline;

    /// node-a has not come back, and neither has node-b where there are two; which of their failures are marked and excused.
    fn told(
        (limit, queued): (u32, bool),
        halt_after: u32,
        stuck: usize,
        marked: &[&str],
        excused: &[&str],
    ) -> String {
        let mut claims: Vec<_> = [("node-a", 1), ("node-b", 2)]
            .into_iter()
            .take(stuck)
            .map(|(node, create)| found(node, Phase::Rebooting, create, "11:00"))
            .collect();
        // Others go by limits of their own: who waits, and where nobody does, this host.
        let (own, stuck_says) = if queued { (1, 1) } else { (limit, 9) };
        for (_, found) in &mut claims {
            found.claim.as_mut().unwrap().limit = stuck_says;
        }
        if queued {
            claims.push(found("node-d", Phase::Queued, 3, "11:30"));
            claims.last_mut().unwrap().1.claim.as_mut().unwrap().limit = limit;
        }
        let id = |node: &str| if node == "node-a" { 1 } else { 2 };
        let known = |node: &&str| Known {
            node: (*node).to_owned(),
            id: id(node),
            failure: Ok(Failure {
                v: 1,
                node: (*node).to_owned(),
                claim: id(node),
                kind: FailureKind::NotBack,
                detail: "rebooting".to_owned(),
                reasons: Vec::new(),
                target: None,
                since: String::new(),
                by: None,
            }),
        };
        let word = GoOn {
            v: 1,
            by: "eva".to_owned(),
            reason: "looked".to_owned(),
            since: String::new(),
            left: None,
            known: excused
                .iter()
                .map(|node| ((*node).to_owned(), id(node)))
                .collect(),
        };
        let line = Line {
            failures: marked.iter().map(known).collect(),
            go_on: (!excused.is_empty()).then_some((9, Ok(word))),
            ..Line::default()
        };
        let survey = Survey {
            claims,
            line,
            ..Survey::default()
        };
        let mut local = local();
        local.config.halt_after = halt_after;
        local.config.max_concurrent_reboots = own;
        headline(&view(local, survey), now())[0]
            .more
            .clone()
            .unwrap()
    }

    /// A daemon that was started a moment ago has seen nothing stand still.
    #[test]
    fn what_others_have_marked_is_told_by_who_has_seen_less() {
        for (claim, mark) in [(1, " (its reboot is marked as failed)"), (9, "")] {
            let known = Known {
                node: "node-a".to_owned(),
                id: claim,
                failure: Err(RecordError::Version(2)),
            };
            let mut survey = Survey {
                claims: vec![found("node-a", Phase::Rebooting, 1, "11:59")],
                ..Survey::default()
            };
            survey.line.failures.push(known);
            let parts = headline(&view(local(), survey), now());
            assert_eq!(
                parts[0].fact,
                format!("node-a reboots{mark}; nobody waits.")
            );
        }
    }

    #[test]
    fn the_line_is_said_to_stand_still_only_where_it_does() {
        let (still, place) = (
            "For 1 h. While node-a holds its claim the line stands still: look at that machine.",
            "For 1 h. It keeps one of 2 places: look at that machine.",
        );
        let both = "For 1 h. It keeps one of 2 places, and nobody goes, as the others are kept so, too: look at that machine.";
        for (limit, halt_after, stuck, marked, excused, expected) in [
            (1, 1, 1, &["node-a"][..], &[][..], still),
            // There is no other place.
            (1, 0, 1, &["node-a"], &[], still),
            (1, 1, 1, &["node-a"], &["node-a"], still),
            (2, 1, 1, &["node-a"], &[], still),
            // Whoever waits sees that it is late.
            (2, 1, 1, &[], &[], still),
            (2, 0, 1, &["node-a"], &[], place),
            (2, 2, 1, &["node-a"], &[], place),
            (2, 1, 1, &["node-a"], &["node-a"], place),
            (2, 2, 2, &["node-a", "node-b"], &[], still),
            (2, 0, 2, &["node-a", "node-b"], &[], both),
            (2, 1, 2, &["node-a", "node-b"], &["node-a"], both),
        ] {
            for queued in [false, true] {
                let told = told((limit, queued), halt_after, stuck, marked, excused);
                assert_eq!(
                    told, expected,
                    "{limit} {queued} {halt_after} {stuck} {marked:?} {excused:?}"
                );
            }
        }
    }
}
