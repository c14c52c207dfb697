//! What a host says of its own node beside etcd, and of which boot and process.

#![allow(clippy::unwrap_used)] // helpers of tests count as tests

use super::*;
use crate::escape::uncoloured;
use crate::etcd::Trouble;
use crate::lock::record::{Blocked, RecordError, Required};
use crate::status::fixtures::{at, configured, found, local, now, view};
use crate::status::gates::unseen;
use crate::status::own::Own;

/// What the process of this host says, or said.
fn own(state: &str, label: Option<&str>, phase: Option<Phase>, once: bool) -> Own {
    let blocked = label.map(|label| Blocked {
        gate: label.into(),
        label: label.into(),
        text: format!("{label}: why"),
        since: at("11:50"),
    });
    let standing = Standing {
        node: "node-c".into(),
        node_id: "id-node-c".into(),
        state: state.into(),
        since: at("11:50"),
        required: (state != "idle").then(Required::default),
        doing: Some("the reboot command is run".into()),
        blocked,
        once,
        ..Standing::default()
    };
    Own {
        phase,
        standing: Some(standing),
        ..Own::default()
    }
}

/// The view of a host whose daemon runs, or has ended and left this.
fn told_by(own: Own, runs: bool, survey: Option<Survey>) -> View {
    let mut local = local();
    local.daemon = Ok(runs.then_some(123));
    let away = survey.is_none();
    let mut view = view(local, survey.unwrap_or_default());
    if away {
        view.survey = Err(Trouble::new("refused"));
    }
    view.said = Some(own);
    view.gates.extend(unseen(&view, now()));
    view
}

fn folded_text(view: &View) -> String {
    let text = uncoloured(&text(view, None, now()));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_request_for_a_name_that_nobody_has_says_so() {
    let mut survey = Survey::default();
    let request = ("node-x".to_owned(), Err(RecordError::Version(2)));
    survey.requests.push(request);
    let text = text(&view(local(), survey), Some("node-x"), now());
    assert!(text.contains("not registered"), "{text}");
}

#[test]
fn a_host_that_has_begun_says_so_while_etcd_is_away() {
    let reboots = "node-c reboots: the reboot command is run.";
    let left = "node-c has begun its reboot and no daemon runs on it: its next start goes on.";
    let begun = "node-c has begun its reboot and waits for none of these";
    for (runs, once, phase, told) in [
        (true, false, Phase::Rebooting, reboots),
        (true, false, Phase::Draining, reboots),
        (false, true, Phase::Draining, left),
        (false, false, Phase::Rebooting, left),
    ] {
        let view = told_by(own("rebooting", None, Some(phase), once), runs, None);
        let text = folded_text(&view);
        assert!(text.contains(told) && text.contains(begun), "{text}");
        assert!(!text.contains("does not reboot now"), "{text}");
        assert_eq!(text.contains("is at"), runs, "{text}");
        let json: serde_json::Value = serde_json::from_str(&view.json(now())).unwrap();
        assert_eq!(json["node"]["claim"], "committed");
        assert_eq!(json["headline"][1]["text"], told);
    }
}

#[test]
fn a_daemon_that_was_started_in_a_drain_says_which_gate_it_judges_next() {
    for (judged, next) in [
        (&[][..], "detectors next."),
        (&["detectors"], "health next."),
        (&["detectors", "health"], "pause next."),
        (&["detectors", "health", "pause"], "kill switch next."),
    ] {
        let gates = judged.iter().map(|gate| Verdict::ok(gate, "")).collect();
        let said = Own {
            standing: None,
            gates,
            ..own("draining", None, Some(Phase::Draining), false)
        };
        let text = folded_text(&told_by(said, true, None));
        let told = format!("it judges these anew before it goes on, {next}");
        assert!(text.contains(&told), "{text}");
        assert!(!text.contains("waits for none of these"), "{text}");
    }
}

/// Packages ask whether they may restart the node.
#[test]
fn a_daemon_that_is_committed_under_another_name_or_key_is_committed() {
    let mut said = own("draining", None, Some(Phase::Draining), false);
    said.key = Some("/another".into());
    let view = told_by(said, true, Some(Survey::default()));
    let json: serde_json::Value = serde_json::from_str(&view.json(now())).unwrap();
    assert_eq!(json["node"]["claim"], "committed");
}

#[test]
fn what_blocks_and_what_is_unknown_are_both_named_and_a_kept_claim_waits_for_them() {
    let mut view = view(local(), Survey::default());
    let gate = |gate: &str, verdict| Verdict {
        gate: gate.into(),
        verdict,
        ..Verdict::default()
    };
    view.gates = vec![gate("turn", Word::Blocks), gate("etcd", Word::Unknown)];
    let both = "node-c does not reboot now; what blocks: turn; unknown, which counts as no: etcd.";
    assert_eq!(summary(&view, "node-c"), both);
    let held = told_by(
        own("holding", Some("attempt"), Some(Phase::Rebooting), false),
        true,
        None,
    );
    let text = folded_text(&held);
    assert!(
        text.contains("node-c keeps its claim, and waits until none of these blocks."),
        "{text}"
    );
}

#[test]
fn a_claim_that_nobody_goes_on_with_is_not_said_to_be_drained() {
    for (phase, runs, told) in [
        (Phase::Draining, true, "node-c is being drained: the reboot"),
        (Phase::Draining, false, "no daemon runs on it: its next"),
    ] {
        let said = own("draining", None, Some(phase), false);
        let survey = Survey {
            claims: vec![found("node-c", phase, 1, "11:59")],
            standings: vec![("node-c".into(), Ok(said.standing.clone().unwrap()))],
            ..Survey::default()
        };
        let text = folded_text(&told_by(said, runs, Some(survey)));
        assert!(text.contains(told), "{text}");
        assert_eq!(text.contains("is being drained"), runs, "{text}");
    }
}

/// Others have only what etcd was told before it took no more.
#[test]
fn the_newer_word_counts_on_its_own_host() {
    for (runs, once) in [(true, false), (false, true)] {
        let before = own("idle", None, None, false).standing.unwrap();
        let survey = Survey {
            standings: vec![("node-c".into(), Ok(before))],
            ..Survey::default()
        };
        let view = told_by(own("blocked", Some("etcd"), None, once), runs, Some(survey));
        let text = folded_text(&view);
        let left = if once {
            ", as its last pass left it"
        } else {
            ""
        };
        let told = format!(
            "node-c needs a reboot and is blocked: etcd: why{left}; others see an older word of it: idle."
        );
        assert!(text.starts_with(&told), "{text}");
        assert!(text.contains("which counts as no: etcd."), "{text}");
    }
}

#[test]
fn what_held_it_up_is_among_the_gates_though_nobody_can_see_it() {
    for label in ["configuration", "aborted"] {
        let survey = Some(Survey::default());
        let view = told_by(own("blocked", Some(label), None, true), false, survey);
        let text = folded_text(&view);
        assert!(
            text.starts_with(&format!("node-c needs a reboot and is blocked: {label}")),
            "{text}"
        );
        assert!(text.contains("does not reboot now; what blocks:"), "{text}");
        assert!(text.contains("as its last pass left it"), "{text}");
    }
}

#[test]
fn what_a_detector_sees_now_is_newer_than_what_its_last_pass_found() {
    let survey = Some(Survey::default());
    let mut view = told_by(own("idle", None, None, false), true, survey);
    assert!(!folded_text(&view).contains("needs a reboot"));
    view.gates.retain(|gate| gate.gate != "detectors");
    view.gates
        .push(Verdict::ok("detectors", "a reboot is required"));
    let text = folded_text(&view);
    let told = "node-c needs a reboot, which it did not when it looked last.";
    assert!(text.starts_with(told), "{text}");
}

#[test]
fn what_was_said_counts_in_the_boot_of_who_said_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut local = configured(|config| config.run_dir = folder.path().into());
    let said = Own {
        pid: 7,
        boot: Some("b1".into()),
        ..own("idle", None, None, true)
    };
    crate::host::write_standing(folder.path(), &said.json()).unwrap();
    for (daemon, boot, living, left) in [
        (Ok(Some(7)), "b1", true, false),
        (Ok(Some(8)), "b1", false, false),
        (Ok(None), "b1", false, true),
        (Ok(None), "b2", false, false),
        (Err("sudo".to_owned()), "b1", false, false),
    ] {
        (local.daemon, local.boot_id) = (daemon, Some(boot.into()));
        let said = Own::read(folder.path(), &local);
        let view = View {
            said,
            ..view(local.clone(), Survey::default())
        };
        let gone = view.said.is_some() && view.own().is_none();
        assert_eq!((view.own().is_some(), gone), (living, left), "{local:?}");
    }
}

/// As before a new `lock_key` was loaded.
#[test]
fn what_was_said_of_another_cluster_is_none_of_this_one() {
    for (key, heeded) in [(None, true), (Some("/other"), false)] {
        let mut said = own("draining", None, Some(Phase::Draining), false);
        said.key = key.map(str::to_owned);
        let view = told_by(said, true, Some(Survey::default()));
        assert_eq!(view.here().unwrap().word.is_some(), heeded);
        let mine = View {
            lock_key: "/other".into(),
            ..view
        };
        assert!(mine.here().unwrap().word.is_some());
    }
}

/// By a release, or the end of a lease.
#[test]
fn what_a_pass_was_at_is_over_when_its_claim_is_gone() {
    for (state, claims, lasts) in [
        ("draining", 1, true),
        ("draining", 0, false),
        ("queued", 0, false),
        ("blocked", 0, true),
    ] {
        let survey = Survey {
            claims: vec![found("node-c", Phase::Draining, 1, "11:59"); claims],
            ..Survey::default()
        };
        let view = told_by(own(state, None, None, true), false, Some(survey));
        assert_eq!(
            view.here().unwrap().word.is_some(),
            lasts,
            "{state} {claims}"
        );
    }
}

#[test]
fn what_an_unreadable_registration_keeps_from_going_on_is_said() {
    let said = own("draining", None, Some(Phase::Draining), false);
    let survey = Survey {
        claims: vec![found("node-c", Phase::Draining, 1, "11:59")],
        nodes: vec![("node-c".into(), Err(RecordError::Version(2)))],
        ..Survey::default()
    };
    let text = folded_text(&told_by(said, false, Some(survey)));
    let told = "node-c has begun its reboot and no daemon runs on it; its next start cannot go on, as its registration cannot be \
                read: the record has version 2, this program knows version 1: upgrade this node; nobody waits. When no newer version wrote it, release \
                it and forget it: reboot-coordinator release node-c --reason TEXT";
    assert!(text.starts_with(told), "{text}");
}

#[test]
fn the_kill_switch_comes_too_late_once_the_reboot_command_runs() {
    let begun = "node-c has begun its reboot and waits for none of these;";
    for (state, phase, told) in [
        (
            "draining",
            Phase::Draining,
            "the kill switch can still stop it before the reboot command runs.",
        ),
        (
            "rebooting",
            Phase::Rebooting,
            "once its reboot command runs the kill switch cannot stop it.",
        ),
    ] {
        let view = told_by(own(state, None, Some(phase), false), true, None);
        let text = folded_text(&view);
        assert!(text.contains(&format!("{begun} {told}")), "{text}");
    }
    let view = told_by(
        own("retrying", None, Some(Phase::Rebooting), false),
        true,
        None,
    );
    let text = folded_text(&view);
    assert!(
        text.contains("node-c keeps its claim, and waits until none of these blocks."),
        "{text}"
    );
}

#[test]
fn what_a_daemon_that_has_just_started_does_not_know_is_said_to_be_unknown() {
    let said = Own {
        state: "starting".into(),
        ..Own::default()
    };
    let view = told_by(said, true, None);
    let told = "node-c was started while etcd is away: whether it has begun a reboot is not known until etcd answers.";
    let text = folded_text(&view);
    assert!(
        text.contains(told) && !text.contains("does not reboot now"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&view.json(now())).unwrap();
    assert_eq!(json["node"]["claim"], serde_json::Value::Null);
    assert_eq!(json["headline"][1]["text"], told);
    // A reload starts over as well, and the node has not forgotten.
    let reloaded = Own {
        state: "starting".into(),
        ..own("idle", None, None, false)
    };
    let text = folded_text(&told_by(reloaded, true, None));
    assert!(!text.contains("is not known until etcd answers"), "{text}");
}

/// A marker that is gone since.
#[test]
fn what_its_last_pass_was_for_is_over_when_no_detector_asks_any_more() {
    for (label, once, asks, over) in [
        ("aborted", true, false, true),
        ("aborted", true, true, false),
        ("etcd", true, false, false),
    ] {
        let survey = Some(Survey::default());
        let mut view = told_by(own("blocked", Some(label), None, once), false, survey);
        let found = match asks {
            true => Verdict::ok("detectors", "a reboot is required"),
            false => Verdict::refused("detectors", &Refusal::NotRequired),
        };
        view.gates.retain(|gate| gate.gate != "detectors");
        view.gates.push(found);
        view.forget_what_is_over();
        let text = folded_text(&view);
        assert_eq!(!text.contains("node-c needs a reboot"), !asks, "{text}");
        assert_eq!(
            !text.contains(&format!("blocked: {label}: why")),
            over,
            "{text}"
        );
    }
}

#[test]
fn a_pass_is_not_told_what_a_daemon_does() {
    let survey = || Some(Survey::default());
    let told = |once| {
        let view = told_by(own("blocked", Some("aborted"), None, once), !once, survey());
        folded_text(&view).contains("a daemon that is restarted tries at once")
    };
    assert!(told(false) && !told(true));
}

/// What is written in a folder of this host, with what etcd has.
fn told_in(folder: &std::path::Path, own: &Own, runs: bool, standing: Option<Standing>) -> View {
    crate::host::write_standing(folder, &own.json()).unwrap();
    let mut local = configured(|config| config.run_dir = folder.into());
    local.daemon = Ok(runs.then_some(own.pid));
    let standings = standing.map(|standing| ("node-c".to_owned(), Ok(standing)));
    let survey = Survey {
        standings: standings.into_iter().collect(),
        ..Survey::default()
    };
    View::at(local, Ok(std::sync::Arc::new(survey)), None, (now(), now()))
}

/// It has another key or name than the file by now, hangs, or has another `run_dir`.
#[test]
fn a_daemon_that_goes_by_something_else_than_file_and_etcd_is_not_told_as_this_node() {
    let folder = tempfile::tempdir().unwrap();
    let silent = "The daemon of this host says nothing to etcd: it may hang; restart it.";
    let elsewhere = "The daemon of this host runs by its word in etcd, but not with this run_dir";
    let unlike = |key, node| {
        format!(
            "The daemon of this host goes by {key} as node {node}, and is draining; the file says otherwise."
        )
    };
    let (one, other) = ("/cluster/lock", "/other");
    for (runs, key, node, since, in_etcd, lock, told) in [
        (
            true,
            other,
            "node-c",
            "12:00",
            true,
            true,
            unlike(other, "node-c"),
        ),
        (
            true,
            one,
            "node-x",
            "12:00",
            true,
            true,
            unlike(one, "node-x"),
        ),
        (true, one, "node-c", "11:50", false, true, silent.to_owned()),
        (true, one, "node-c", "11:50", true, true, String::new()),
        // It has not had the time to say it.
        (true, one, "node-c", "12:00", false, true, String::new()),
        (
            false,
            one,
            "node-c",
            "11:50",
            true,
            false,
            elsewhere.to_owned(),
        ),
        (false, one, "node-c", "11:50", true, true, String::new()),
    ] {
        let lock_file = folder.path().join("instance.lock");
        let _ = std::fs::remove_file(&lock_file);
        if lock {
            std::fs::write(lock_file, "").unwrap();
        }
        let mut said = own("draining", None, Some(Phase::Draining), false);
        let mut standing = said.standing.take().unwrap();
        (standing.node, standing.since) = (node.into(), at(since));
        let there = in_etcd.then(|| standing.clone());
        let said = Own {
            pid: 123,
            state: "draining".into(),
            key: Some(key.into()),
            standing: Some(standing),
            ..said
        };
        let view = told_in(folder.path(), &said, runs, there);
        let text = folded_text(&view);
        let is_told = text.starts_with(told.as_str());
        assert_eq!(view.doubt.is_some(), !told.is_empty(), "{text}");
        let denies =
            text.contains("keeps node-c") || view.text(false, now()).contains("Nothing to");
        assert!(is_told && !(view.doubt.is_some() && denies), "{text}");
        // Programs are told whatever it is that runs.
        let daemon = &serde_json::from_str::<serde_json::Value>(&view.json(now())).unwrap()["node"];
        assert_eq!(
            daemon["daemon_pid"].as_u64(),
            runs.then_some(123),
            "{daemon}"
        );
    }
}

/// It stands there for ever, as on a disk that is read-only.
#[test]
fn what_could_not_be_written_here_any_more_is_older_than_what_etcd_has() {
    let folder = tempfile::tempdir().unwrap();
    let why = "cannot write to its run_dir";
    for (hampered, then, told) in [
        (
            Some(why),
            None,
            "node-c needs a reboot and is blocked: health: why; it cannot write",
        ),
        (Some(why), Some(why), "node-c cannot write"),
        (None, None, "Nothing to do"),
    ] {
        let mut said = Own {
            pid: 123,
            ..own("idle", None, None, false)
        };
        said.standing.as_mut().unwrap().hampered = then.map(str::to_owned);
        let mut there = own("blocked", Some("health"), None, false)
            .standing
            .unwrap();
        there.hampered = hampered.map(str::to_owned);
        let text = folded_text(&told_in(folder.path(), &said, true, Some(there)));
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn an_urgent_node_behind_one_that_waits_in_the_cooldown_is_told_what_to_do() {
    // The racks are those of node-c and node-b, which is before it, too, and goes.
    let told = |label: &str, urgent: bool, limit: u32, racks: Option<(&str, &str)>| {
        let standing = Standing {
            node: "node-a".into(),
            node_id: "id-node-a".into(),
            state: "queued".into(),
            blocked: Some(Blocked {
                label: label.into(),
                ..Blocked::default()
            }),
            ..Standing::default()
        };
        let request = RebootRequest {
            v: 1,
            node: "node-c".into(),
            by: "eva".into(),
            reason: "now".into(),
            since: at("11:50"),
            boot_id: None,
            urgent_until: urgent.then(|| at("15:00")),
        };
        let mut claims = vec![
            found("node-a", Phase::Queued, 1, "11:00"),
            found("node-b", Phase::Draining, 2, "11:55"),
            found("node-c", Phase::Queued, 3, "11:10"),
        ];
        let (own, other) = racks.unwrap_or_default();
        for ((_, found), rack) in claims.iter_mut().zip(["r1", other, own]) {
            let claim = found.claim.as_mut().unwrap();
            claim.limit = limit;
            if racks.is_some() {
                claim.domains.labels.insert("rack".into(), rack.into());
                claim.domains.limits.insert("rack".into(), 1);
            }
        }
        let survey = Survey {
            claims,
            standings: vec![("node-a".into(), Ok(standing))],
            requests: vec![("node-c".into(), Ok(request))],
            ..Survey::default()
        };
        let text = folded_text(&view(local(), survey));
        text.contains("`reboot-coordinator release node-a --reason TEXT`")
    };
    assert!(told("cooldown", true, 2, None) && told("window", true, 2, None));
    assert!(!told("cooldown", false, 2, None) && !told("health", true, 2, None));
    assert!(told("cooldown", true, 3, Some(("r1", "r2"))));
    // It has room beside that one, or waits for another.
    assert!(!told("cooldown", true, 3, None));
    assert!(!told("cooldown", true, 3, Some(("r2", "r2"))));
}
