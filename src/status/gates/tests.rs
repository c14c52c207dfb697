//! What `explain` says of each gate of a host that is made up.

use std::time::{Duration, SystemTime};

use super::*;
use crate::core::facts::DetectorReport;
use crate::core::facts::DetectorResult;
use crate::core::policy::Policies;
use crate::core::windows::Windows;
use crate::host::KillSwitch;
use crate::lock::record::RecordError;
use crate::lock::{Domains, Phase};
use crate::status::fixtures::{busy, configured, cooldown, found, local, member, now, pause, says};

fn gate(local: &Local, survey: &Survey, name: &str) -> Verdict {
    let gates = gates(local, Some(survey), now(), now());
    gates.into_iter().find(|gate| gate.gate == name).unwrap()
}

fn told(gate: &Verdict) -> (Word, Option<&str>, &str) {
    (gate.verdict, gate.reason.as_deref(), gate.text.as_str())
}

fn report(name: &str, result: DetectorResult) -> DetectorReport {
    DetectorReport {
        name: name.into(),
        result,
        target: None,
        took: Duration::ZERO,
    }
}

#[test]
fn they_stand_in_the_order_in_which_the_daemon_judges() {
    let gates = gates(&local(), Some(&busy()), now(), now());
    let names: Vec<&str> = gates.iter().map(|gate| gate.gate.as_str()).collect();
    assert_eq!(
        names,
        [
            "detectors",
            "kill switch",
            "window",
            "pause",
            "cooldown",
            "budget",
            "health",
            "turn"
        ]
    );
}

#[test]
fn detectors() {
    let required = || {
        report(
            "reboot-required",
            DetectorResult::Required("/r exists".into()),
        )
    };
    let clear = || report("other", DetectorResult::Clear);
    let failed = || report("kernel", DetectorResult::Failed("no /boot".into()));
    let command = || vec!["needrestart".to_owned()];
    for (detectors, verdict, label, text) in [
        (
            Some((vec![clear(), required()], command())),
            Word::Ok,
            None,
            "a reboot is required (reboot-required: /r exists)",
        ),
        (
            Some((vec![clear()], vec![])),
            Word::Blocks,
            Some("not_required"),
            "no reboot is required",
        ),
        (
            Some((vec![clear(), failed()], vec![])),
            Word::Unknown,
            Some("detector"),
            "whether a reboot is required is unknown: kernel: no /boot",
        ),
        (
            Some((vec![clear()], command())),
            Word::NotAsked,
            None,
            "no file asks for a reboot; commands were not run: needrestart (use simulate)",
        ),
        (
            None,
            Word::NotAsked,
            None,
            "not run by status (use simulate)",
        ),
    ] {
        let local = Local {
            detectors,
            ..local()
        };
        assert_eq!(
            told(&gate(&local, &busy(), "detectors")),
            (verdict, label, text)
        );
    }
}

#[test]
fn an_urgent_request_passes_the_window_and_the_cooldown_and_nothing_else() {
    let windows = Windows::parse("UTC", &["* 00:00-24:00".to_owned()], &[]);
    let local = configured(|it| it.windows = Some(windows.unwrap()));
    for (boot_id, urgent_until, passes) in [
        (None, Some("2026-11-23T14:00:00Z"), true),
        (local.boot_id.as_deref(), Some("2026-11-23T14:00:00Z"), true),
        (Some("another"), Some("2026-11-23T14:00:00Z"), false),
        (None, None, false),
    ] {
        let request = crate::lock::RebootRequest {
            v: 1,
            node: local.node().to_owned(),
            by: "eva@admin".into(),
            reason: "it drops packets".into(),
            since: "2026-11-23T11:50:00.000Z".into(),
            boot_id: boot_id.map(str::to_owned),
            urgent_until: urgent_until.map(str::to_owned),
        };
        let survey = Survey {
            cooldown: Some(Ok(cooldown())),
            pause: Some(Ok(pause(None))),
            requests: vec![(local.node().to_owned(), Ok(request))],
            ..busy()
        };
        for name in ["window", "cooldown"] {
            let gate = gate(&local, &survey, name);
            assert_eq!(gate.blocks(), !passes, "{gate:?}");
            let why = "urgently requested by eva@admin: it drops packets; ";
            assert_eq!(gate.text.starts_with(why), passes, "{gate:?}");
        }
        assert!(gate(&local, &survey, "pause").blocks());
        let detectors = gate(&local, &survey, "detectors").text;
        let when = "(etcd: requested urgently (ends in 2 h) by eva@admin 10 min ago";
        assert_eq!(detectors.contains(when), passes, "{detectors}");
    }
}

#[test]
fn kill_switch() {
    let since =
        SystemTime::UNIX_EPOCH + Duration::from_secs(now().as_second().unsigned_abs() - 3 * 3600);
    for (kill_switch, text) in [
        (
            KillSwitch::Present {
                since: Some(since),
                text: "raid rebuild".into(),
            },
            "/etc/reboot-coordinator/disable is there, written 3 h ago: raid rebuild",
        ),
        (
            KillSwitch::Present {
                since: None,
                text: String::new(),
            },
            "/etc/reboot-coordinator/disable is there",
        ),
        (
            KillSwitch::Unknown("/x: denied".into()),
            "it cannot be checked, so it counts as on: /x: denied",
        ),
    ] {
        let local = Local {
            kill_switch,
            ..local()
        };
        let gate = gate(&local, &busy(), "kill switch");
        assert_eq!(told(&gate), (Word::Blocks, Some("kill_switch"), text));
        let remedy = "remove the file when this node may reboot again, or correct a path that cannot be checked";
        assert_eq!(gate.remedy, remedy);
    }
}

#[test]
fn windows() {
    let texts = |entries: &[&str]| entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>();
    for (deny, allow, verdict, text) in [
        (
            &["Mon 00:00-24:00"][..],
            &["* 00:00-24:00"][..],
            Word::Blocks,
            "denied by \"Mon 00:00-24:00\" since Mon 2026-11-23 00:00 UTC; opens Tue 2026-11-24 00:00 UTC (in 12 h)",
        ),
        (
            &[],
            &["Tue 22:00-04:00"],
            Word::Blocks,
            "no allow entry covers it since Wed 2026-11-18 04:00 UTC; opens Tue 2026-11-24 22:00 UTC (in 1 d 10 h)",
        ),
        (
            &["Fri 12:00-Mon 18:00"],
            &["Tue 22:00-04:00"],
            Word::Blocks,
            "denied by \"Fri 12:00-Mon 18:00\" since Fri 2026-11-20 12:00 UTC; opens Tue 2026-11-24 22:00 UTC (in 1 d 10 h)",
        ),
        (
            &["Fri 00:00-24:00"],
            &[],
            Word::Ok,
            "nothing denies it since Sat 2026-11-21 00:00 UTC; closes Fri 2026-11-27 00:00 UTC (in 3 d 12 h)",
        ),
        (
            &[],
            &["* 00:00-24:00"],
            Word::Ok,
            "allowed by \"* 00:00-24:00\"; never closes",
        ),
        (
            &[],
            &["2025-01-01 00:00-2025-01-02 00:00"],
            Word::Blocks,
            "no allow entry covers it; never opens: change `windows` in the configuration",
        ),
    ] {
        let windows = Windows::parse("UTC", &texts(deny), &texts(allow)).unwrap();
        let local = configured(|it| it.windows = Some(windows));
        let gate = gate(&local, &busy(), "window");
        assert_eq!((gate.verdict, gate.text.as_str()), (verdict, text));
    }
}

#[test]
fn a_window_is_judged_at_another_time() {
    let then = "2026-11-23T20:00:00Z".parse().unwrap();
    let gates = gates(&local(), Some(&busy()), now(), then);
    assert_eq!(
        told(&gates[2]),
        (
            Word::Blocks,
            Some("window"),
            "at Mon 2026-11-23 20:00 UTC: no allow entry covers it since Mon 2026-11-23 18:00 UTC; opens Mon 2026-11-30 08:00 UTC (in 6 d 20 h)"
        )
    );
}

#[test]
fn the_cluster_and_the_budget() {
    let survey = Survey {
        pause: Some(Ok(pause(None))),
        cooldown: Some(Ok(cooldown())),
        nodes: vec![member("node-c", Some("10:00"), 1)],
        ..Survey::default()
    };
    for (name, label, text) in [
        (
            "pause",
            "paused",
            "paused by eva@admin 10 min ago, until somebody resumes: bad kernel",
        ),
        (
            "cooldown",
            "cooldown",
            "until Mon 2026-11-23 12:10 UTC (in 10 min); node-x rebooted 20 min ago",
        ),
        (
            "budget",
            "budget",
            "1 of 1 reboots used, requirement not cleared; last reboot 2 h ago; whole again once no detector asks; \
             to let it try again: reboot-coordinator reset-budget node-c --reason TEXT",
        ),
    ] {
        assert_eq!(
            told(&gate(&local(), &survey, name)),
            (Word::Blocks, Some(label), text)
        );
    }
    let roomy = configured(|it| it.max_reboots_without_clearing = 2);
    assert_eq!(gate(&roomy, &survey, "budget").verdict, Word::Ok);
}

#[test]
fn turn() {
    let claims = |list: &[(&str, Phase)]| Survey {
        claims: list
            .iter()
            .zip(1..)
            .map(|((node, phase), create)| found(node, *phase, create, "11:55"))
            .collect(),
        ..Survey::default()
    };
    use Phase::{Draining, Queued, Rebooting};
    for (list, limit, verdict, text) in [
        (&[][..], 1, Word::Ok, "not in the queue; its turn is free"),
        (
            &[("node-a", Rebooting)],
            1,
            Word::Blocks,
            "not in the queue; 1 before it: node-a",
        ),
        (
            &[("node-a", Rebooting), ("node-c", Queued)],
            2,
            Word::Ok,
            "in the queue for 5 min; its turn is free",
        ),
        (
            &[("node-c", Queued), ("node-a", Queued)],
            1,
            Word::Ok,
            "in the queue for 5 min; its turn is free",
        ),
        (
            &[("node-a", Queued), ("node-c", Draining)],
            1,
            Word::Ok,
            "this node holds its claim: draining for 5 min",
        ),
    ] {
        let local = configured(|it| it.max_concurrent_reboots = limit);
        let gate = gate(&local, &claims(list), "turn");
        assert_eq!((gate.verdict, gate.text.as_str()), (verdict, text));
    }
    let other = configured(|it| it.node_id = "another".into());
    let gate = gate(&other, &claims(&[("node-c", Queued)]), "turn");
    assert_eq!(gate.verdict, Word::NotAsked);
    let name = name(&other, &claims(&[("node-c", Queued)])).unwrap();
    assert_eq!(name.reason.as_deref(), Some("name_conflict"));
    assert!(name.text.contains("change node_name"), "{name:?}");
}

#[test]
fn the_turn_is_judged_by_failure_domains_too() {
    let of_rack = |node: &str, rack: &str, phase, create| {
        let (name, mut found) = found(node, phase, create, "11:55");
        if let Ok(claim) = &mut found.claim {
            claim.domains = rack_domains(rack);
        }
        (name, found)
    };
    let told = |own: &str, claims: Vec<_>| {
        let local = configured(|it| {
            it.max_concurrent_reboots = 2;
            it.domains = rack_domains(own);
        });
        let survey = Survey {
            claims,
            ..Survey::default()
        };
        let gate = gate(&local, &survey, "turn");
        (gate.verdict, gate.text)
    };
    let down = || of_rack("node-a", "r1", Phase::Rebooting, 1);
    let full = "rack r1 is full (1 at a time): node-a before it";
    assert_eq!(
        told("r1", vec![down()]),
        (Word::Blocks, format!("not in the queue; {full}"))
    );
    // Its claim was made before the configuration named another rack.
    let own = || of_rack("node-c", "r1", Phase::Queued, 3);
    assert_eq!(
        told("r2", vec![down(), own()]),
        (Word::Blocks, format!("in the queue for 5 min; {full}"))
    );
    // Of the two in one rack only one goes down at once: a place is left.
    let waits = || of_rack("node-b", "r1", Phase::Queued, 2);
    assert_eq!(
        told("r2", vec![down(), waits()]),
        (Word::Ok, "not in the queue; its turn is free".to_owned())
    );
}

fn rack_domains(rack: &str) -> Domains {
    Domains {
        labels: [("rack".to_owned(), rack.to_owned())].into(),
        limits: [("rack".to_owned(), 1)].into(),
    }
}

#[test]
fn the_next_opening_is_the_earliest_of_the_closed() {
    let survey = Survey {
        pause: Some(Ok(pause(Some("16:00")))),
        cooldown: Some(Ok(cooldown())),
        ..Survey::default()
    };
    let gates = gates(&local(), Some(&survey), now(), now());
    assert_eq!(
        next_opening(&gates, now(), &TimeZone::UTC).as_deref(),
        Some("Next to let it pass by itself: cooldown, Mon 2026-11-23 12:10 UTC (in 10 min).")
    );
}

#[test]
fn what_the_daemon_knows_better_keeps_it_though_all_that_is_seen_lets_it_pass() {
    let refused = |gate: &str, refusal| Verdict::refused(gate, &refusal);
    let own = Own {
        gates: vec![
            refused("pause", Refusal::Paused("by me".to_owned())),
            refused("wave", Refusal::Wave("1 sec ago".to_owned())),
            refused("line", Refusal::Line("node-b stands still".to_owned())),
            refused("policies", Refusal::Policy("a foreign key".to_owned())),
            refused("health", Refusal::Health("exit code 1".to_owned())),
        ],
        ..Own::default()
    };
    let seen = ["pause", "wave", "line", "policies", "health"];
    let seen = seen.map(|gate| Verdict::ok(gate, "seen"));
    let told = with_own(&own, &seen, now());
    let blocks: Vec<&str> = told
        .iter()
        .filter(|gate| gate.blocks())
        .map(|gate| gate.gate.as_str())
        .collect();
    // A pause that is over is over: it has yet to look.
    assert_eq!(blocks, ["wave", "line", "policies", "health"]);
    let wave = "members of lower waves go first: 1 sec ago; it goes on by itself unless";
    assert!(told[1].text.starts_with(wave), "{}", told[1].text);
}

/// Who is below wave 0 has a key beside its registration, by which alone the daemons up to wave 0 look for it.
#[test]
fn a_registration_that_cannot_be_read_holds_up_later_waves_only() {
    let mut survey = Survey::default();
    let error = RecordError::Version(2);
    survey.nodes.push(("node-x".to_owned(), Err(error)));
    for (own, is_held) in [(-1, false), (0, false), (1, true)] {
        let local = configured(|config| config.wave = own);
        let gates = gates(&local, Some(&survey), now(), now());
        let held = gates.iter().any(|it| it.gate == "wave" && it.blocks());
        assert_eq!(held, is_held, "{own}");
    }
}

#[test]
fn policies_are_a_gate_only_where_they_are_configured() {
    let survey = Survey {
        nodes: ["node-a", "node-b"]
            .map(|node| (node.to_owned(), Err(RecordError::Version(2))))
            .to_vec(),
        reports: vec![("node-b".to_owned(), says(true))],
        ..Survey::default()
    };
    let gate = |least: Option<u32>| {
        let local = configured(|it| {
            it.node_name = "node-a".to_owned();
            it.cluster_policies = least.map(|least| Policies {
                min_healthy_absolute: Some(least),
                ..Policies::default()
            });
        });
        let all = gates(&local, Some(&survey), now(), now());
        all.into_iter().find(|gate| gate.gate == "policies")
    };
    assert_eq!(gate(None), None);
    assert_eq!(gate(Some(1)).map(|gate| gate.verdict), Some(Word::Ok));
    let closed = gate(Some(2)).expect("it is configured");
    assert_eq!(
        (closed.verdict, closed.reason.as_deref()),
        (Word::Blocks, Some("policy"))
    );
    assert_eq!(
        closed.text,
        "1 of 2 members would stay healthy, min_healthy_absolute is 2, which can never hold with 2 members; not healthy or silent: node-a"
    );
    // Waiting does not help.
    assert!(closed.remedy.starts_with("relax"), "{}", closed.remedy);
}

#[test]
fn health_is_what_the_monitor_said_last() {
    let with = |said: Option<bool>| {
        let survey = Survey {
            reports: said
                .map(|healthy| ("node-c".to_owned(), says(healthy)))
                .into_iter()
                .collect(),
            ..Survey::default()
        };
        let gate = gate(&local(), &survey, "health");
        (gate.verdict, gate.reason, gate.text)
    };
    let not_run = |text: &str| (Word::NotAsked, None, text.to_owned());
    assert_eq!(
        with(Some(true)),
        not_run("not run now; as monitor it has passed for 30 min (use simulate --health)")
    );
    assert_eq!(
        with(None),
        not_run("not run now, and this node does not report its health (use simulate --health)")
    );
    assert_eq!(
        with(Some(false)),
        (
            Word::Blocks,
            Some("health".to_owned()),
            "not run now; as monitor it has failed for 30 min: exit code 1 (use simulate --health)"
                .to_owned()
        )
    );
}

/// Here it is 15:00, by a clock that is three hours ahead.
#[test]
fn what_others_wrote_is_as_old_as_by_the_clock_of_etcd() {
    let survey = Survey {
        pause: Some(Ok(pause(Some("13:00")))),
        ..busy()
    };
    let mut local = local();
    local.skew_sec = 3 * 3600;
    let here = "2026-11-23T15:00:00Z".parse().unwrap();
    let gates = gates(&local, Some(&survey), here, here);
    let text = |name| {
        let mut gates = gates.iter();
        gates.find(|it| it.gate == name).unwrap().text.as_str()
    };
    let paused =
        "paused by eva@admin 10 min ago, until Mon 2026-11-23 13:00 UTC (in 1 h): bad kernel";
    assert_eq!(text("pause"), paused);
    assert!(text("turn").starts_with("in the queue for 2 min;"));
    // Its own window is by its own clock.
    assert!(text("window").ends_with("closes Mon 2026-11-23 18:00 UTC (in 3 h)"));
}
