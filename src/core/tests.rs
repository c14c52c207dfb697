//! Words, codes and small arithmetic that the simulation does not look at.

use std::time::Duration;

use super::budget::backoff;
use super::facts::{HealthPhase, ScriptOutcome};
use super::note::Note;
use super::refusal::Refusal;
use super::rng::Rng;
use super::text::bounded;

#[test]
fn each_refusal_has_its_label_its_exit_code_and_its_words() {
    let why = || "why".to_owned();
    let table: [(Refusal, &str, &str, u8, bool); 17] = [
        (Refusal::NotRequired, "not_required", "detectors", 0, false),
        (Refusal::DryRun, "dry_run", "dry run", 0, false),
        (Refusal::Unknown(why()), "detector", "detectors", 6, true),
        (
            Refusal::KillSwitch(why()),
            "kill_switch",
            "kill switch",
            5,
            true,
        ),
        (
            Refusal::Configuration(why()),
            "configuration",
            "configuration",
            2,
            true,
        ),
        (Refusal::Paused(why()), "paused", "pause", 5, true),
        (Refusal::Window(why()), "window", "window", 7, false),
        (Refusal::Cooldown(why()), "cooldown", "cooldown", 8, true),
        (Refusal::Budget(why()), "budget", "budget", 8, true),
        (Refusal::Health(why()), "health", "health", 3, true),
        (Refusal::Policy(why()), "policy", "policies", 3, true),
        (Refusal::Line(why()), "line", "line", 5, true),
        (Refusal::Wave(why()), "wave", "wave", 4, true),
        (Refusal::NotTurn(why()), "not_turn", "turn", 4, false),
        (Refusal::Etcd(why()), "etcd", "etcd", 1, false),
        (Refusal::Lost(why()), "lost", "turn", 1, false),
        (Refusal::Aborted(why()), "aborted", "attempt", 1, true),
    ];
    for (refusal, label, gate, exit_code, has_remedy) in table {
        assert_eq!((refusal.label(), refusal.exit_code()), (label, exit_code));
        assert_eq!(refusal.gate(), gate, "{label}");
        let (text, remedy) = (refusal.text(), refusal.remedy());
        assert!(text.contains(' '), "{label}: {text}");
        // A remedy is more than a word.
        assert_eq!(remedy.contains(' '), has_remedy, "{label}: {remedy}");
        assert_eq!(remedy.is_empty(), !has_remedy, "{label}: {remedy}");
    }
    let away = "etcd is not reachable";
    assert_eq!(Refusal::Etcd(away.to_owned()).text(), away);
}

/// A standing and a gate hold the sentence.
#[test]
fn the_remedy_is_the_same_by_the_reason_and_by_the_sentence() {
    for (make, why) in [
        (
            Refusal::Configuration as fn(String) -> Refusal,
            "run_dir is ",
        ),
        (Refusal::Configuration, "the boot id is "),
        (Refusal::Cooldown, "it does not end by itself"),
        (Refusal::Policy, crate::core::policy::NEVER),
        (Refusal::Line, "it names no node"),
    ] {
        let refusal = make(why.to_owned());
        let again = make(refusal.text());
        assert_eq!(again.remedy(), refusal.remedy(), "{why}");
        assert_ne!(refusal.remedy(), make(String::new()).remedy(), "{why}");
    }
}

#[test]
fn the_end_of_a_script_and_its_phase_have_words() {
    for (outcome, words) in [
        (ScriptOutcome::Exited(3), "exit code 3"),
        (ScriptOutcome::Signalled(9), "killed by signal 9"),
        (ScriptOutcome::TimedOut, "timed out"),
        (
            ScriptOutcome::NotStarted("no such file".to_owned()),
            "could not be started: no such file",
        ),
        (ScriptOutcome::Cancelled, "stopped"),
    ] {
        assert_eq!(outcome.to_string(), words);
        assert!(!outcome.success());
    }
    assert!(ScriptOutcome::Exited(0).success());
    for (phase, word) in [
        (HealthPhase::PreLock, "pre-lock"),
        (HealthPhase::PostLock, "post-lock"),
        (HealthPhase::Monitor, "monitor"),
        (HealthPhase::PostBoot, "post-boot"),
    ] {
        assert_eq!(phase.as_str(), word);
    }
}

#[test]
fn the_generator_is_the_published_one() {
    let mut rng = Rng(0);
    let words: Vec<u64> = (0..3).map(|_| rng.next()).collect();
    assert_eq!(
        words,
        [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f
        ]
    );
    // The first word of seed 0 without its last bit.
    assert_eq!(Rng(0).lease_id(), 0x7110_541c_bd8e_e6d7);
}

#[test]
fn jitter_lies_between_half_and_all_and_is_not_always_the_same() {
    let span = Duration::from_secs(8);
    let mut rng = Rng(1);
    let drawn: Vec<Duration> = (0..1000).map(|_| rng.jitter(span)).collect();
    assert!(
        drawn
            .iter()
            .all(|pause| span / 2 <= *pause && *pause <= span)
    );
    let near = Duration::from_millis(100);
    assert!(drawn.iter().any(|pause| *pause < span / 2 + near));
    assert!(drawn.iter().any(|pause| *pause > span - near));
}

#[test]
fn a_pause_doubles_up_to_the_longest() {
    let (min, max) = (Duration::from_secs(2), Duration::from_secs(30));
    let pauses = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|n| backoff(n, min, max).as_secs());
    assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30, 30]);
}

#[test]
fn a_lease_counts_whole_seconds_and_at_least_one() {
    let seconds = |nanos: u64| super::text::seconds(Duration::from_nanos(nanos));
    assert_eq!(seconds(0), 1);
    assert_eq!(seconds(1), 1);
    assert_eq!(seconds(1_000_000_000), 1);
    assert_eq!(seconds(1_000_000_001), 2);
    assert_eq!(seconds(90_000_000_000), 90);
}

#[test]
fn notes_take_each_others_place_by_what_they_are_about() {
    let detector = |name: &str| Note::info("detector", "x").with("detector", name);
    for (event, is_outcome) in [
        ("blocked", true),
        ("released", true),
        ("etcd_back", true),
        ("queued", false),
    ] {
        assert_eq!(Note::info(event, "x").is_outcome(), is_outcome, "{event}");
    }
    let outcome = Note::info("holding", "x").key();
    assert_eq!(
        Note::info("blocked", "y").with("detector", "d").key(),
        outcome
    );
    assert_eq!(detector("a").key(), detector("a").with("why", "b").key());
    assert_ne!(detector("a").key(), detector("b").key());
    assert_ne!(
        detector("a").key(),
        Note::info("detector", "x").with("other", "a").key()
    );
    let (plain, caused) = (
        Note::warn("e", "words"),
        Note::warn("e", "words").caused_by("c"),
    );
    assert_eq!((plain.same(), caused.same()), ("words", "c"));
    assert_ne!(plain.key(), caused.key());
}

#[test]
fn what_others_said_becomes_a_line_of_three_hundred_characters_that_a_terminal_does_not_obey() {
    let long = |of: &str, times: usize| of.repeat(times);
    for (said, kept) in [
        (long("a", 300), long("a", 300)),
        (long("a", 301), long("a", 300)),
        (long("ä", 300), long("ä", 300)),
        (long("ä", 301), long("ä", 300)),
        ("~ !\u{1b}[2J".to_owned(), "~ ! [2J".to_owned()),
        ("a\tb\nc\u{7f}d\u{9b}e".to_owned(), "a b c d e".to_owned()),
        (String::new(), String::new()),
    ] {
        assert_eq!(bounded(&said), kept);
    }
}
