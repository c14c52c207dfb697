//! Failure domains: whose turn it is, and how many of a domain are down. Told from the specification, apart from the code under
//! test.

use std::collections::{BTreeMap, BTreeSet};

use reboot_coordinator::lock::Claim;

use super::known::Standing;
use super::limit;
use crate::world::World;

/// The limit that a claim heeds for its own domain of a label.
fn own_limit(claim: &Claim, label: &str) -> usize {
    let limit = claim.domains.limits.get(label);
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(*limit).unwrap_or(usize::MAX)
    })
}

impl World {
    /// Of the committed claims that say the same of a label, there are never more than the largest limit among them.
    pub(super) fn check_domains(&mut self) {
        let mut down: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for standing in self.check.claims.iter().flatten() {
            let committed = standing.granted.is_some();
            for (label, value) in standing.claim.domains.labels.iter().filter(|_| committed) {
                let limit = own_limit(&standing.claim, label);
                let domain = down.entry((label.clone(), value.clone())).or_default();
                domain.push(limit);
            }
        }
        for ((label, value), limits) in down {
            let (count, largest) = (limits.len(), limits.iter().max().copied());
            if largest.is_some_and(|largest| count > largest) {
                self.fail(
                    "domains",
                    format!("{count} nodes of {label} {value} are committed"),
                );
            }
        }
    }

    /// Why it is not the turn of a claim yet.
    pub(super) fn waits(&self, standing: &Standing) -> Option<String> {
        let claims = self.check.claims.iter().flatten();
        let older: Vec<&Claim> = claims
            .filter(|other| other.create < standing.create)
            .map(|other| &other.claim)
            .collect();
        let own = &standing.claim;
        let seen = limit(own).saturating_mul(4).saturating_add(32);
        if !own.domains.limits.is_empty() && older.len() > seen {
            return Some("more are before it than it looks at".to_owned());
        }
        let mut could_be_down = older.len();
        for label in own.domains.limits.keys() {
            let says = |claim: &Claim| claim.domains.labels.get(label).cloned();
            let mine = says(own);
            let against = older
                .iter()
                .filter(|claim| mine.is_none() || says(claim).is_none() || says(claim) == mine)
                .count();
            if against >= own_limit(own, label) {
                return Some(format!("{against} of its {label} are before it"));
            }
            let values: BTreeSet<Option<String>> = older.iter().map(|claim| says(claim)).collect();
            let of_value = |value: &Option<String>| {
                let them = older.iter().filter(|claim| says(claim) == *value);
                let count = them.clone().count();
                match value {
                    None => count,
                    Some(_) => {
                        let largest = them.map(|claim| own_limit(claim, label)).max();
                        count.min(largest.unwrap_or(0))
                    }
                }
            };
            could_be_down = could_be_down.min(values.iter().map(of_value).sum());
        }
        let most = limit(own);
        (could_be_down >= most).then(|| format!("{could_be_down} of those before it could be down"))
    }
}
