//! What each gate says, as it was judged last. The one truth that log, metrics, `status`, `explain` and the page render.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::text::rfc3339;

/// The gates, in the order in which people read them.
pub const GATES: [&str; 14] = [
    "etcd",
    "detectors",
    "kill switch",
    "configuration",
    "window",
    "pause",
    "cooldown",
    "budget",
    "attempt",
    "line",
    "policies",
    "wave",
    "health",
    "turn",
];

/// What a gate says. Programs read the names that it had before people got better ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It lets this node pass.
    #[serde(rename = "open")]
    Ok,
    /// It does not.
    #[serde(rename = "closed")]
    Blocks,
    /// It could not be known, which counts as no.
    #[serde(rename = "unknown")]
    Unknown,
    /// It was not asked: something before it blocks, or nothing asks for a reboot.
    #[default]
    #[serde(rename = "not run")]
    NotAsked,
}

impl Word {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Ok => "ok",
            Word::Blocks => "blocks",
            Word::Unknown => "unknown",
            Word::NotAsked => "not asked",
        }
    }
}

/// One gate's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// One of [`GATES`], or `dry run`.
    pub gate: String,
    /// What it says.
    pub verdict: Word,
    /// The label of the refusal in logs and metrics, when it does not let this node pass.
    pub reason: Option<String>,
    /// Why, for people, without anything that changes while nothing changes.
    #[serde(default)]
    pub text: String,
    /// Since when it says so, RFC 3339, by the clock of its node.
    pub since: Option<String>,
    /// When it changes by itself, RFC 3339.
    pub changes_at: Option<String>,
    /// What to do; empty when there is nothing to do.
    #[serde(default)]
    pub remedy: String,
}

impl Verdict {
    /// A gate that lets this node pass.
    pub fn ok(gate: &str, text: impl Into<String>) -> Verdict {
        Verdict::new(gate, Word::Ok, text)
    }

    /// A gate that was not asked.
    pub fn not_asked(gate: &str, text: impl Into<String>) -> Verdict {
        Verdict::new(gate, Word::NotAsked, text)
    }

    /// A gate that does not let this node pass.
    pub fn refused(gate: &str, refusal: &Refusal) -> Verdict {
        Verdict {
            reason: Some(refusal.label().to_owned()),
            remedy: refusal.remedy().to_owned(),
            ..Verdict::new(gate, refusal.word(), refusal.text())
        }
    }

    /// Whether the gate keeps this node from rebooting.
    pub fn blocks(&self) -> bool {
        matches!(self.verdict, Word::Blocks | Word::Unknown)
    }

    fn new(gate: &str, verdict: Word, text: impl Into<String>) -> Verdict {
        Verdict {
            gate: gate.to_owned(),
            verdict,
            text: text.into(),
            ..Verdict::default()
        }
    }
}

/// The verdicts of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts(Vec<Verdict>);

impl Default for Verdicts {
    fn default() -> Verdicts {
        Verdicts(GATES.map(|gate| Verdict::not_asked(gate, "")).to_vec())
    }
}

impl Verdicts {
    /// All of them, in order.
    pub fn all(&self) -> &[Verdict] {
        &self.0
    }

    /// What one gate says.
    pub(super) fn of(&self, gate: &str) -> Option<&Verdict> {
        self.0.iter().find(|said| said.gate == gate)
    }

    /// Another judgement begins: what the last one said stands until it is asked again.
    ///
    /// These gates were asked together. Up to the one that refuses they let the node pass; what comes after it was not asked.
    pub(super) fn judged(
        &mut self,
        gates: &[&str],
        judged: &Result<(), Refusal>,
        later: &[&str],
        now: Timestamp,
    ) {
        let passed = match judged {
            Ok(()) => Some(gates.len()),
            Err(refusal) => gates.iter().position(|gate| *gate == refusal.gate()),
        };
        let (passed, unasked) = gates.split_at(passed.unwrap_or(0));
        for gate in passed {
            self.say(Verdict::ok(gate, ""), now);
        }
        let Err(refusal) = judged else { return };
        let refusing = refusal.gate();
        let unasked = unasked.iter().chain(later);
        for gate in unasked.filter(|gate| **gate != refusing) {
            self.say(Verdict::not_asked(gate, ""), now);
        }
        self.say(Verdict::refused(refusing, refusal), now);
    }

    /// One gate's answer. Its moment is that of the first answer with the same reason.
    pub(super) fn say(&mut self, mut said: Verdict, now: Timestamp) {
        let Some(place) = self.0.iter_mut().find(|known| known.gate == said.gate) else {
            return;
        };
        let same = place.verdict == said.verdict && place.reason == said.reason;
        said.since = match (&place.since, said.verdict) {
            (_, Word::NotAsked) => None,
            (Some(since), _) if same => Some(since.clone()),
            _ => Some(rfc3339(now)),
        };
        *place = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What some gates say and since which second.
    fn said(verdicts: &Verdicts) -> Vec<(&str, &str, Option<i64>)> {
        let since = |it: &Verdict| {
            let since: Timestamp = it.since.as_ref()?.parse().unwrap();
            Some(since.as_second())
        };
        let all = verdicts.all().iter();
        all.map(|it| (it.gate.as_str(), it.verdict.as_str(), since(it)))
            .filter(|(gate, ..)| ["window", "pause", "cooldown", "line", "turn"].contains(gate))
            .collect()
    }

    const GATES: [&str; 3] = ["window", "pause", "cooldown"];
    const LATER: [&str; 2] = ["line", "turn"];

    #[test]
    fn up_to_the_gate_that_refuses_all_let_pass_and_what_comes_after_was_not_asked() {
        let mut verdicts = Verdicts::default();
        let paused = Refusal::Paused("by me".to_owned());
        let line = Err(Refusal::Line("b failed".to_owned()));
        verdicts.judged(&GATES, &Ok(()), &LATER, at(1));
        let none = ["line", "turn"].map(|gate| (gate, "not asked", None));
        let open = GATES.map(|gate| (gate, "ok", Some(1)));
        assert_eq!(said(&verdicts), [&open[..], &none].concat());
        // What it said last stands since it was first said.
        for now in [2, 3] {
            verdicts.judged(&GATES, &Err(paused.clone()), &LATER, at(now));
            let asked = [("window", "ok", Some(1)), ("pause", "blocks", Some(2))];
            let after = [("cooldown", "not asked", None)];
            assert_eq!(said(&verdicts), [&asked[..], &after, &none].concat());
        }
        let pause = verdicts.of("pause").unwrap();
        assert_eq!(pause.reason.as_deref(), Some("paused"));
        assert!(pause.blocks() && pause.text.contains("by me"));
        assert_eq!(pause.remedy, paused.remedy());
        for now in [4, 5] {
            verdicts.judged(&GATES, &line, &LATER, at(now));
            let asked = GATES.map(|gate| (gate, "not asked", None));
            let later = [("line", "blocks", Some(4)), ("turn", "not asked", None)];
            assert_eq!(said(&verdicts), [&asked[..], &later].concat());
        }
        verdicts.say(Verdict::ok("no gate", ""), at(6));
        assert_eq!(verdicts.of("no gate"), None);
        assert_eq!(verdicts.all().len(), super::GATES.len());
    }

    #[test]
    fn a_gate_says_something_else_by_another_word_or_for_another_reason() {
        let mut verdicts = Verdicts::default();
        let mut since = |reason: &str, verdict: Word, now: i64| {
            let said = Verdict {
                reason: Some(reason.to_owned()),
                ..Verdict::new("turn", verdict, format!("at {now}"))
            };
            verdicts.say(said, at(now));
            let turn = verdicts.of("turn").unwrap();
            assert_eq!(turn.text, format!("at {now}"), "the newest words");
            turn.since.clone()
        };
        for (reason, word, now, first) in [
            ("not_turn", Word::Blocks, 1, Some(1)),
            ("not_turn", Word::Blocks, 2, Some(1)),
            ("lost", Word::Blocks, 3, Some(3)),
            ("lost", Word::Unknown, 4, Some(4)),
            ("lost", Word::NotAsked, 5, None),
            ("lost", Word::Unknown, 6, Some(6)),
        ] {
            let first = first.map(|first| rfc3339(at(first)));
            assert_eq!(since(reason, word, now), first, "{now}");
        }
    }

    #[test]
    fn a_judgement_becomes_a_verdict() {
        let lost = Err(Refusal::Lost("it".to_owned()));
        for (judged, word, blocks) in [(Ok(()), "ok", false), (lost, "unknown", true)] {
            let verdict = match &judged {
                Ok(()) => Verdict::ok("turn", "passed"),
                Err(refusal) => Verdict::refused("turn", refusal),
            };
            assert_eq!(
                (verdict.gate.as_str(), verdict.verdict.as_str()),
                ("turn", word)
            );
            assert_eq!(
                (verdict.blocks(), verdict.text == "passed"),
                (blocks, !blocks)
            );
        }
        assert!(!Verdict::not_asked("turn", "").blocks());
    }
}
