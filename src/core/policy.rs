//! Cluster policies: may this node be taken away from the healthy ones?

use std::collections::BTreeSet;

use crate::lock::outcome::Members;

/// What the operator demands of the cluster while this node is down. At least one of the first three asks for something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// Share of all members that must stay healthy, in (0, 1].
    pub min_healthy_fraction: Option<f64>,
    /// Members that must stay healthy.
    pub min_healthy_absolute: Option<u32>,
    /// Whether somebody other than the fallback nodes must stay healthy.
    pub forbid_if_only_fallback_left: bool,
    /// The fallback nodes.
    pub fallback_nodes: Vec<String>,
}

/// What is said when nothing but present claims is in the way.
pub const PASSES: &str = "it allows it once those that are taken away are back";

/// What is said when nobody's health would help.
pub const NEVER: &str = "can never hold";

/// Judges `members` with `node` taken away.
///
/// # Errors
/// Which policy forbids it, with the figures; and whether that passes by itself, or never.
pub fn judge(policies: &Policies, members: &Members, node: &str) -> Result<(), String> {
    let Err(why) = judge_now(policies, members, node) else {
        return Ok(());
    };
    let all_well = |healthy: Vec<String>| Members {
        healthy,
        down: Vec::new(),
        ..members.clone()
    };
    let back = members.healthy.iter().chain(&members.down).cloned();
    let holds = |members: &Members| judge_now(policies, members, node).is_ok();
    if !holds(&all_well(members.all.clone())) {
        let count = members.all.len();
        return Err(format!("{why}, which {NEVER} with {count} members"));
    }
    match holds(&all_well(back.collect())) {
        true => Err(format!("{why}; {PASSES}")),
        false => Err(why),
    }
}

fn judge_now(policies: &Policies, members: &Members, node: &str) -> Result<(), String> {
    let all = members.all.len();
    let known: BTreeSet<&String> = members.all.iter().collect();
    let down: BTreeSet<&String> = members.down.iter().collect();
    let healthy = members.healthy.iter();
    let left: Vec<&str> = healthy
        .filter(|name| known.contains(name))
        .filter(|name| *name != node && !down.contains(name))
        .map(String::as_str)
        .collect();
    let stay = left.len();
    if let Some(least) = policies.min_healthy_absolute
        && stay < usize::try_from(least).unwrap_or(usize::MAX)
    {
        return Err(format!(
            "{stay} of {all} members would stay healthy, min_healthy_absolute is {least}"
        ));
    }
    if let Some(least) = policies.min_healthy_fraction
        && !reaches(stay, all, least)
    {
        return Err(format!(
            "{stay} of {all} members would stay healthy, min_healthy_fraction is {least}"
        ));
    }
    let fallback = |name: &&&str| policies.fallback_nodes.iter().any(|known| known == **name);
    if policies.forbid_if_only_fallback_left && left.iter().filter(fallback).count() == stay {
        return Err(match stay {
            0 => "no member would stay healthy".to_owned(),
            _ => format!(
                "only fallback nodes would stay healthy: {}",
                left.join(", ")
            ),
        });
    }
    Ok(())
}

/// Whether `part` of `whole` is at least `fraction`, with room for what decimal fractions lose in binary. Nobody is no share of nobody:
/// where no member is registered, as by passes of `--once`, it is not known who stays healthy.
fn reaches(part: usize, whole: usize, fraction: f64) -> bool {
    const ROUNDING: f64 = 1e-9;
    let as_float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    whole > 0 && as_float(part) + ROUNDING >= as_float(whole) * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn members(all: &str, healthy: &str, down: &str) -> Members {
        Members {
            all: names(all),
            healthy: names(healthy),
            down: names(down),
            foreign: None,
        }
    }

    #[test]
    fn a_member_is_healthy_or_not_and_a_report_of_nobody_counts_for_nothing() {
        assert_eq!(members("a b c", "b x", "a").counts(), (1, 2));
    }

    #[test]
    fn the_fraction_is_of_all_members_with_this_one_taken_away() {
        let policies = Policies {
            min_healthy_fraction: Some(0.6),
            ..Policies::default()
        };
        let allowed = |members: &Members| judge(&policies, members, "a").is_ok();
        // Two of six are dead: three would stay, which is half.
        assert!(!allowed(&members("a b c d e f", "a b c d", "")));
        assert!(allowed(&members("a b c d e f", "a b c d e", "")));
        // Forgotten, they do not count any more: three of four.
        assert!(allowed(&members("a b c d", "a b c d", "")));
        assert!(!allowed(&members("a b c d", "a b c d", "b")));
        // 0.6 of five is three, exactly.
        assert!(allowed(&members("a b c d e", "a b c d", "")));
        assert!(!allowed(&members("", "", "")), "nobody is registered");
    }

    #[test]
    fn the_absolute_number_leaves_out_this_node_the_down_and_the_unknown() {
        let policies = Policies {
            min_healthy_absolute: Some(2),
            ..Policies::default()
        };
        let allowed = |members: &Members| judge(&policies, members, "a").is_ok();
        assert!(allowed(&members("a b c", "a b c", "")));
        assert!(allowed(&members("a b c", "b c", "")), "itself ill");
        assert!(!allowed(&members("a b c", "a b", "")));
        assert!(!allowed(&members("a b c", "a b c", "c")));
        assert!(!allowed(&members("a b", "a b c", "")), "c is no member");
        assert!(!allowed(&members("", "", "")));
    }

    #[test]
    fn whether_it_passes_by_itself_or_never_is_said() {
        let absolute = |least| Policies {
            min_healthy_absolute: Some(least),
            ..Policies::default()
        };
        let fraction = |least| Policies {
            min_healthy_fraction: Some(least),
            ..Policies::default()
        };
        let others = |fallback: &str| Policies {
            forbid_if_only_fallback_left: true,
            fallback_nodes: names(fallback),
            ..Policies::default()
        };
        for (policies, all, healthy, down, passes, never) in [
            // Who reboots reports nothing, or still that it is well.
            (absolute(2), "a b c d", "a c", "b", true, false),
            (absolute(2), "a b c d", "a b c", "b", true, false),
            (absolute(2), "a b c d", "a c", "", false, false),
            // Of those who are down too few would be back.
            (absolute(3), "a b c d", "a c", "b", false, false),
            // Whoever is forgotten does not come back.
            (absolute(3), "a b c", "a b c", "", false, true),
            (absolute(3), "a b c", "a", "b", false, true),
            (fraction(0.7), "a b c", "a b c", "", false, true),
            (fraction(0.5), "a b c", "a b", "b", true, false),
            (others("f"), "a f", "a f", "", false, true),
            (others("f"), "a b f", "a f", "b", true, false),
        ] {
            let why = judge(&policies, &members(all, healthy, down), "a").unwrap_err();
            let told = (why.contains(PASSES), why.contains(NEVER));
            assert_eq!(told, (passes, never), "{why}");
        }
    }

    #[test]
    fn somebody_other_than_the_fallback_nodes_must_stay() {
        let policies = Policies {
            forbid_if_only_fallback_left: true,
            fallback_nodes: names("f g"),
            ..Policies::default()
        };
        let allowed = |members: &Members| judge(&policies, members, "a").is_ok();
        assert!(allowed(&members("a b f g", "a b f g", "")));
        assert!(!allowed(&members("a b f g", "a f g", "")));
        assert!(!allowed(&members("a b f g", "a b f g", "b")));
        let why = judge(&policies, &members("a b f g", "a", ""), "a").unwrap_err();
        assert_eq!(why, "no member would stay healthy");
        let why = judge(&policies, &members("a f", "a f", ""), "a").unwrap_err();
        assert!(
            why.starts_with("only fallback nodes would stay healthy: f,"),
            "{why}"
        );
    }
}
