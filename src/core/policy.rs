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

/// Judges `members` with `node` taken away.
///
/// # Errors
/// Which policy forbids it, with the figures.
pub fn judge(policies: &Policies, members: &Members, node: &str) -> Result<(), String> {
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
        assert_eq!(why, "only fallback nodes would stay healthy: f");
    }
}
