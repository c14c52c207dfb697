//! Failure domains: how many nodes with the same value of a label may be down at once, and whose turn it is then.
//!
//! Everything here rests on what claims say, never on a configuration, and a claim says the same as long as it exists. What is
//! not known of a claim counts against whoever asks. `docs/protocol.md` says why that bounds what is down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::NEAR;

/// What a claim says of the domains of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domains {
    /// Where the node is: its value of each label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many nodes with the same value of a label its node lets be down at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u32>,
}

/// Why it is not the turn of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// What it waits for.
    pub text: String,
    /// Whose older claims fill a domain of it, or do not say; `None` when it is how many could be down at once in all.
    pub full: Option<Vec<String>>,
}

/// An older claim: whose it is, and what it says; `None` when it cannot be read.
pub type Older<'a> = (&'a str, Option<&'a Domains>);

impl Domains {
    /// How many older claims a node looks at, for a limit in all. Who has more before it waits.
    pub fn window(&self, limit: u32) -> u32 {
        if self.limits.is_empty() {
            // Only who has fewer than `limit` before it goes: the others need no more than to see that coming.
            return limit.saturating_add(NEAR);
        }
        limit.saturating_mul(4).saturating_add(32)
    }

    /// Whether it is the turn of the claim that says this, under a limit in all, after these older claims: all that there are.
    ///
    /// # Errors
    /// What it waits for. The answer to the same question can only become yes while older claims go away.
    pub fn turn(&self, limit: u32, older: &[Older<'_>]) -> Result<(), Waits> {
        for (label, limit) in &self.limits {
            let who = self.sharers(label, older);
            if who.len() >= size(*limit) {
                let value = self.labels.get(label).map_or("", String::as_str);
                let names = who.join(", ");
                return Err(Waits {
                    text: format!("{label} {value} is full ({limit} at a time): {names} before it"),
                    full: Some(who),
                });
            }
        }
        let (most, older) = (self.most_at_once(older), older.len());
        let text = match older {
            _ if most < size(limit) => return Ok(()),
            _ if most == older => format!("{older} before it"),
            _ => format!(
                "{older} before it, of which {most} could be down at once, and {limit} may be"
            ),
        };
        Err(Waits { text, full: None })
    }

    /// Whose claims have its value of a label, or may have it.
    fn sharers(&self, label: &str, older: &[Older<'_>]) -> Vec<String> {
        let own = self.labels.get(label);
        let shares = |domains: &Option<&Domains>| {
            let value = domains.and_then(|domains| domains.labels.get(label));
            own.is_none() || value.is_none() || value == own
        };
        let sharing = older.iter().filter(|(_, domains)| shares(domains));
        sharing.map(|(node, _)| (*node).to_owned()).collect()
    }

    /// The most of them that could ever be committed at once: the least of what the limit of each label leaves.
    fn most_at_once(&self, older: &[Older<'_>]) -> usize {
        let by_label = self.limits.keys().map(|label| most(label, older));
        by_label.fold(older.len(), usize::min)
    }
}

/// The most that could ever be committed at once as far as one label tells. Of those that share a value no more are than the
/// largest of their own limits says: that is what each of them heeds, whatever others are configured for.
fn most(label: &str, older: &[Older<'_>]) -> usize {
    let mut domains: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut unknown = 0;
    for (_, said) in older {
        let Some((said, value)) = said.and_then(|it| Some((it, it.labels.get(label)?))) else {
            unknown += 1;
            continue;
        };
        let limit = said.limits.get(label).map_or(usize::MAX, |it| size(*it));
        let (count, largest) = domains.entry(value).or_default();
        *count += 1;
        *largest = limit.max(*largest);
    }
    let bounds = domains.into_values().map(|(count, limit)| count.min(limit));
    bounds.sum::<usize>() + unknown
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rack(rack: &str, limit: u32) -> Domains {
        Domains {
            labels: BTreeMap::from([("rack".to_owned(), rack.to_owned())]),
            limits: BTreeMap::from([("rack".to_owned(), limit)]),
        }
    }

    fn older(claims: &[Option<Domains>]) -> Vec<Older<'_>> {
        claims.iter().map(|it| ("other", it.as_ref())).collect()
    }

    fn waits(own: &Domains, limit: u32, claims: &[Option<Domains>]) -> Option<String> {
        let waits = own.turn(limit, &older(claims)).err();
        waits.map(|waits| waits.text)
    }

    #[test]
    fn without_limits_of_labels_the_number_of_older_claims_decides() {
        let own = Domains::default();
        let two = [Some(rack("a", 1)), None];
        assert_eq!(waits(&own, 3, &two), None);
        assert_eq!(waits(&own, 2, &two).as_deref(), Some("2 before it"));
        assert_eq!(own.window(3), 3 + NEAR);
        let roomy = waits(&rack("b", 9), 2, &two);
        assert_eq!(roomy.as_deref(), Some("2 before it"));
    }

    #[test]
    fn a_rack_that_waits_for_itself_does_not_hold_up_another() {
        let queue = [Some(rack("a", 1)), Some(rack("a", 1)), Some(rack("a", 1))];
        assert_eq!(waits(&rack("b", 1), 2, &queue), None);
        assert_eq!(
            waits(&rack("a", 1), 9, &queue[..1]).as_deref(),
            Some("rack a is full (1 at a time): other before it")
        );
        assert_eq!(
            waits(&rack("b", 1), 1, &queue).as_deref(),
            Some("3 before it, of which 1 could be down at once, and 1 may be")
        );
    }

    #[test]
    fn a_claim_that_does_not_say_counts_against_every_domain() {
        for unknown in [None, Some(Domains::default())] {
            let told = waits(&rack("b", 1), 9, &[unknown]);
            assert!(told.is_some_and(|told| told.starts_with("rack b is full")));
        }
        // A claim whose own domain is not known waits for everybody.
        let lost = Domains {
            labels: BTreeMap::new(),
            ..rack("a", 1)
        };
        assert!(lost.turn(9, &older(&[Some(rack("b", 1))])).is_err());
    }

    #[test]
    fn others_are_bounded_by_their_own_limits() {
        let unlimited = Domains {
            limits: BTreeMap::new(),
            ..rack("a", 1)
        };
        let queue = [Some(rack("a", 1)), Some(unlimited)];
        assert!(rack("b", 1).turn(2, &older(&queue)).is_err());
        assert!(rack("b", 1).turn(3, &older(&queue)).is_ok());
        let larger = [Some(rack("a", 1)), Some(rack("a", 2)), Some(rack("a", 1))];
        assert!(rack("b", 1).turn(2, &older(&larger)).is_err());
        assert!(rack("b", 1).turn(3, &older(&larger)).is_ok());
    }

    /// Whatever claim goes away, a turn that was there stays.
    #[test]
    fn a_turn_lasts_while_older_claims_go_away() {
        let kinds = [
            None,
            Some(Domains::default()),
            Some(rack("a", 1)),
            Some(rack("a", 2)),
            Some(rack("b", 1)),
            Some(rack("c", 3)),
        ];
        for number in 0..6_usize.pow(4) {
            let digit = |place: u32| kinds[number / 6_usize.pow(place) % 6].clone();
            let queue: Vec<_> = (0..4).map(digit).collect();
            for limit in 1..5 {
                if rack("a", 2).turn(limit, &older(&queue)).is_err() {
                    continue;
                }
                for gone in 0..queue.len() {
                    let mut left = queue.clone();
                    left.remove(gone);
                    let still = rack("a", 2).turn(limit, &older(&left));
                    assert_eq!(still, Ok(()), "{queue:?} without {gone}, limit {limit}");
                }
            }
        }
    }
}
