//! What the others are to a node that is held up, as they are now.

use super::{NodeState, Rank};
use crate::core::machine::{judge_cooldown, judge_pause};
use crate::core::wave::{self, First};
use crate::core::{Refusal, policy};
use crate::lock::record::{Blocked, Standing};
use crate::lock::survey::Survey;
use crate::status::describe::{by_node, committed, names, of_node};
use crate::status::gates::members;
use crate::status::standstill::{late, stopped};
use crate::status::stood::Reader;

/// The cluster around a node.
pub(super) struct Around<'a> {
    survey: &'a Survey,
    reader: &'a Reader<'a>,
    /// Who goes first of those that do not go by themselves, and of all; judged once, however many are behind a wave.
    first: Option<[Option<First>; 2]>,
    /// Whether somebody who is down needs somebody.
    is_stuck: bool,
}

impl<'a> Around<'a> {
    pub(super) fn of(survey: &'a Survey, reader: &'a Reader<'a>) -> Around<'a> {
        Around {
            survey,
            reader,
            first: None,
            is_stuck: false,
        }
    }

    /// Looks at the members, of which these have been judged already.
    pub(super) fn look(&mut self, states: &[NodeState]) {
        let standings = by_node(&self.survey.standings);
        let is_dry = |node: &str| {
            let said = standings.get(node).and_then(|it| it.as_ref().ok());
            said.and_then(Standing::label) == Some(Refusal::DryRun.label())
        };
        let needs_somebody = |state: &NodeState| match state.rank {
            Rank::Stuck | Rank::Blocked | Rank::Ill => true,
            Rank::Under | Rank::Waits | Rank::Queued | Rank::Fine => is_dry(&state.node),
        };
        let those: Vec<&str> = (states.iter().filter(|it| needs_somebody(it)))
            .map(|it| it.node.as_str())
            .collect();
        let is_down = |node: &&str| of_node(&self.survey.claims, node).is_some_and(committed);
        let mut stuck = states.iter().filter(|it| it.rank == Rank::Stuck);
        self.is_stuck = stuck.any(|it| is_down(&it.node.as_str()));
        let all = members(self.survey);
        let slow = all.iter().filter(|it| those.contains(&it.node.as_str()));
        let slow: Vec<_> = slow.cloned().collect();
        self.first = Some([&slow, &all].map(|of| wave::judge(i32::MAX, "", of).err()));
    }

    /// Why what held a node up is over, which it finds out when it looks again.
    pub(super) fn lifted(&self, node: &str, blocked: &Blocked) -> Option<&'static str> {
        let survey = self.survey;
        let record = of_node(&survey.nodes, node).and_then(|it| it.as_ref().ok());
        let still = || late(survey, self.reader);
        match blocked.label.as_str() {
            "budget" if record.is_some_and(|record| record.budget_used == 0) => {
                Some("its budget was reset")
            }
            "paused" if survey.pause.is_none() => Some("the pause is over"),
            "cooldown" if survey.cooldown.is_none() => Some("the cooldown is over"),
            // One failure may stop it.
            "line" if !survey.partial && !stopped(1, node, &survey.line, &still()) => {
                Some("no failure stops it")
            }
            "wave" if !of(blocked).passes() && self.first(node) == Some(None) => {
                Some("nobody of a lower wave goes before it")
            }
            _ => None,
        }
    }

    /// Who of a lower wave goes before a node: first whoever does not go by itself, and then whether anybody is of that kind.
    /// `None` where that cannot be judged.
    fn first(&self, node: &str) -> Option<Option<(Refusal, bool)>> {
        // Whoever was not read is not silent.
        let firsts = self.first.as_ref().filter(|_| !self.survey.partial)?;
        let own = of_node(&self.survey.nodes, node)?.as_ref().ok()?.wave;
        let mut lower = firsts
            .iter()
            .zip([false, true])
            .filter_map(|(first, goes)| {
                let first = first.as_ref().filter(|first| first.wave < own)?;
                Some((Refusal::Wave(first.why.clone()), goes))
            });
        Some(lower.next())
    }

    /// What holds a node up, as it is now: it may have looked at another pause, cooldown or member.
    pub(super) fn as_it_is(&self, node: &str, blocked: &Blocked) -> Option<String> {
        let survey = self.survey;
        let refusal = match blocked.label.as_str() {
            "paused" => judge_pause(survey.pause.as_ref()).err(),
            "cooldown" => judge_cooldown(survey.cooldown.as_ref()).err(),
            "wave" => self.first(node).flatten().map(|(refusal, _)| refusal),
            "policy" if blocked.text.ends_with(policy::PASSES) => {
                let down = survey.claims.iter().filter(|(_, found)| committed(found));
                let down = names(down.map(|(node, _)| node.as_str()));
                return (!down.is_empty()).then(|| format!("{}: {down}", blocked.text));
            }
            _ => None,
        };
        refusal.map(|refusal| refusal.text())
    }

    /// Whether it is held up by others that go by themselves.
    pub(super) fn passes(&self, node: &str, blocked: &Blocked) -> bool {
        let passes = of(blocked).passes();
        match blocked.label.as_str() {
            "wave" => self.first(node).flatten().map_or(passes, |(_, goes)| goes),
            _ => passes && !self.is_stuck,
        }
    }
}

/// The refusal that a node told.
pub(super) fn of(blocked: &Blocked) -> Refusal {
    let refusal = Refusal::of(&blocked.label, &blocked.text);
    refusal.unwrap_or(Refusal::Aborted(String::new()))
}

#[cfg(test)]
mod tests {
    use super::super::node_states;
    use super::*;
    use crate::escape::uncoloured;
    use crate::lock::Phase;
    use crate::lock::record::Required;
    use crate::status::explanation;
    use crate::status::fixtures::{found, local, member, now, view};
    use crate::status::forecast::forecast;
    use crate::status::headline::headline;
    use crate::status::table::Tone;

    /// Who says it, in which state, and what holds it up.
    type Says<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

    fn says(node: &str, state: &str, blocked: Option<(&str, &str)>) -> Standing {
        Standing {
            node: node.to_owned(),
            node_id: format!("id-{node}"),
            state: state.to_owned(),
            required: (state != "idle").then(Required::default),
            blocked: blocked.map(|(label, text)| Blocked {
                label: label.to_owned(),
                gate: label.to_owned(),
                text: text.to_owned(),
                ..Blocked::default()
            }),
            ..Standing::default()
        }
    }

    /// node-b is held up by this, and these say what they say; who reboots is at it since 11:59.
    fn survey(held: (&str, &str), others: &[Says<'_>]) -> Survey {
        let mut survey = Survey::default();
        for name in ["c1", "c2", "node-b"] {
            let (name, mut record) = member(name, None, 0);
            record.as_mut().unwrap().wave = -i32::from(name != "node-b");
            survey.nodes.push((name, record));
        }
        for (index, (node, state, blocked)) in others.iter().enumerate() {
            if ["rebooting", "holding"].contains(state) {
                let create = i64::try_from(index).unwrap() + 1;
                survey
                    .claims
                    .push(found(node, Phase::Rebooting, create, "11:59"));
            }
            let said = says(node, state, *blocked);
            survey.standings.push(((*node).to_owned(), Ok(said)));
        }
        let said = says("node-b", "blocked", Some(held));
        survey.standings.push(("node-b".to_owned(), Ok(said)));
        survey
    }

    /// How node-b is told of, whether it waits for others, and what explain says holds it up.
    fn told(survey: Survey) -> (Rank, String, String) {
        let view = view(local(), survey);
        let reader = view.reader(now());
        let states = node_states(view.known().unwrap(), &reader);
        let under = states.iter().filter(|it| it.rank == Rank::Under).count();
        let state = states.into_iter().find(|it| it.node == "node-b").unwrap();
        let parts = headline(&view, now());
        let own = parts.iter().find(|it| it.fact.starts_with("node-b"));
        let (tone, waits) = (own.unwrap().tone, state.rank == Rank::Waits);
        assert_eq!(tone == Tone::Notice, waits, "{parts:?}");
        let left = forecast(&view, None, now()).map_or(0, |it| it.left);
        assert_eq!(left - under, usize::from(waits), "{parts:?}");
        let explained = uncoloured(&explanation::text(&view, Some("node-b"), now()));
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        (state.rank, state.fact, explained)
    }

    #[test]
    fn who_is_behind_a_wave_waits_while_those_before_it_go_and_names_who_does_not() {
        const FIRST: &str =
            "node-b needs a reboot and is blocked: members of lower waves go first: ";
        const OLD: &str =
            "members of lower waves go first: c1 (wave -1) is rebooting, committed long ago";
        let idle = |node| (node, "idle", None);
        let goes = |node| (node, "rebooting", None);
        let dry = ("c2", "blocked", Some(("dry_run", "it looks only")));
        let ill = ("c2", "blocked", Some(("health", "exit code 1")));
        for (others, rank, named) in [
            (
                vec![goes("c1"), idle("c2")],
                Rank::Waits,
                "c1 (wave -1) is rebooting",
            ),
            // Another one by now.
            (
                vec![idle("c1"), goes("c2")],
                Rank::Waits,
                "c2 (wave -1) is rebooting",
            ),
            // One that says nothing needs somebody, whoever goes meanwhile.
            (vec![goes("c1")], Rank::Blocked, "c2 (wave -1) says nothing"),
            (
                vec![goes("c1"), ill],
                Rank::Blocked,
                "c2 (wave -1) requires a reboot",
            ),
            (
                vec![idle("c1"), dry],
                Rank::Blocked,
                "c2 (wave -1) requires a reboot",
            ),
        ] {
            // It may have looked before they did.
            let look = Refusal::Wave(wave::NOT_LOOKED.to_owned()).text();
            let (is, ..) = told(survey(("wave", &look), &others));
            assert_eq!(is, rank, "{named}");
            let (is, fact, explained) = told(survey(("wave", OLD), &others));
            assert_eq!(is, rank, "{fact}");
            assert!(fact.starts_with(&format!("{FIRST}{named}")), "{fact}");
            let remedy = explained.contains("forget` it when it is gone");
            assert_eq!(remedy, rank == Rank::Blocked, "{explained}");
            let by = explained.split("blocked by").nth(1).unwrap();
            assert!(by.contains(named), "{explained}");
        }
    }

    #[test]
    fn where_not_all_were_read_its_own_words_stand() {
        for (label, text) in [
            (
                "wave",
                "members of lower waves go first: c1 (wave -1) is rebooting",
            ),
            ("line", "the reboot of c1 failed"),
        ] {
            let mut survey = survey((label, text), &[("c1", "idle", None)]);
            survey.partial = true;
            let parts = headline(&view(local(), survey), now());
            let own = parts.iter().find(|it| it.fact.starts_with("node-b"));
            let words = format!("node-b needs a reboot and is blocked: {text}.");
            assert_eq!(own.unwrap().fact, words);
        }
    }

    #[test]
    fn what_is_over_needs_no_remedy() {
        for (label, text) in [
            ("paused", "paused by eva: disk swap"),
            ("budget", "3 of 3 reboots did not help"),
            ("line", "the reboot of c1 failed"),
            ("cooldown", "it does not end"),
        ] {
            let (rank, _, explained) = told(survey((label, text), &[]));
            assert_eq!(rank, Rank::Waits, "{explained}");
            let by = explained.split(text).nth(1).unwrap();
            assert!(!by.starts_with(';'), "{explained}");
        }
    }

    #[test]
    fn who_is_behind_nobody_any_more_goes_on_and_who_waits_for_a_look_waits() {
        let idle = [("c1", "idle", None), ("c2", "idle", None)];
        let held = "members of lower waves go first: c1 (wave -1) is rebooting";
        let (rank, fact, _) = told(survey(("wave", held), &idle));
        let on = "node-b needs a reboot and goes on with its next check: nobody of a lower wave goes before it";
        assert_eq!((rank, fact.as_str()), (Rank::Waits, on));
        let look = Refusal::Wave(format!("{}, but", wave::NOT_LOOKED)).text();
        let (rank, fact, explained) = told(survey(("wave", &look), &idle));
        assert_eq!(
            fact,
            format!("node-b needs a reboot and is blocked: {look}")
        );
        assert_eq!(rank, Rank::Waits);
        assert!(!explained.contains("see to"), "{explained}");
    }

    #[test]
    fn a_policy_that_holds_but_for_present_claims_is_a_wait_and_names_whose() {
        const HELD: &str = "node-b needs a reboot and is blocked: ";
        let why = "a cluster policy forbids it: 1 of 3 members would stay healthy, min_healthy_absolute is 2";
        let passes = format!("{why}; {}", policy::PASSES);
        let goes = [("c1", "rebooting", None), ("c2", "idle", None)];
        let (rank, fact, explained) = told(survey(("policy", &passes), &goes));
        assert_eq!((rank, fact), (Rank::Waits, format!("{HELD}{passes}: c1")));
        assert!(!explained.contains("forget"), "{explained}");
        let parts = headline(&view(local(), survey(("policy", &passes), &goes)), now());
        assert!(parts[0].fact.ends_with("; 1 node waits."), "{parts:?}");
        // Who needs somebody does not come back by itself.
        let stuck = ("c1", "holding", Some(("aborted", "it is still up")));
        let (rank, fact, explained) = told(survey(("policy", &passes), &[stuck]));
        assert_eq!((rank, fact), (Rank::Blocked, format!("{HELD}{passes}: c1")));
        assert!(explained.contains("forget those"), "{explained}");
        let (rank, _, explained) = told(survey(("policy", why), &goes));
        assert_eq!(rank, Rank::Blocked);
        assert!(explained.contains("forget those"), "{explained}");
        let never = format!("{why}, which {} with 2 members", policy::NEVER);
        let (_, _, explained) = told(survey(("policy", &never), &goes));
        assert!(explained.contains("; relax the policy"), "{explained}");
        assert!(!explained.contains("forget"), "{explained}");
    }
}
