//! A node dies before or after every single action of its life, once and twice, and every property holds.

use simulation::crash::{Death, LIVES, Life, actions, once, sides, twice};

#[test]
fn one_death_at_every_action() {
    let mut points = 0;
    for life in LIVES {
        for action in 1..=actions(life) {
            for at in sides(action) {
                for death in [Death::Kill, Death::Power] {
                    points += 1;
                    let violation = once(life, at, death);
                    assert_eq!(violation, None, "{life:?} {at:?} {death:?}");
                }
            }
        }
    }
    println!("{points} points");
    assert!(points > 500, "the lives are too short: {points} points");
}

/// The second death may fall into what the first made longer.
#[test]
fn two_deaths_at_every_pair_of_actions() {
    let mut pairs = 0;
    for (life, death) in [(Life::Drained, Death::Kill), (Life::Retried, Death::Power)] {
        let last = actions(life) + 20;
        for first in 1..=last {
            for second in first + 1..=last {
                let at = (sides(first)[1], death);
                let then = (sides(second)[0], Death::Kill);
                pairs += 1;
                let violation = twice(life, at, then);
                assert_eq!(violation, None, "{life:?} {at:?} {then:?}");
            }
        }
    }
    println!("{pairs} pairs");
}
