//! What is done on the host, and what the machine is told of it.

use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::super::Daemon;
use super::super::inbox::Event;
use super::lab::{LIMIT, Lab, input, wait};
use crate::core::facts::{DetectorResult, HealthPhase, ScriptOutcome, ScriptReport};
use crate::core::io::ScriptFacts;
use crate::core::{Hook, Input, Refusal, Ticket};

use crate::lock::Permit;
use crate::process::{Cancel, NoAnswer, bounded};

fn look(daemon: &Daemon, events: &Receiver<Event>) -> Option<Refusal> {
    assert!(daemon.tasks.look_at_host(Ticket(3), false).is_none());
    let Input::Host(Ticket(3), found) = input(events) else {
        panic!("a look at the host is answered as such");
    };
    found
}

fn script(daemon: &mut Daemon, events: &Receiver<Event>, phase: HealthPhase) -> ScriptReport {
    let facts = facts();
    let begun = match phase {
        HealthPhase::Monitor => daemon.tasks.monitor(Ticket(4), &facts),
        phase => daemon.tasks.health(Ticket(4), phase, &facts),
    };
    assert!(begun.is_none());
    match (phase, input(events)) {
        (HealthPhase::Monitor, Input::Monitored(Ticket(4), report)) => report,
        (HealthPhase::Monitor, other) => panic!("{other:?}"),
        (_, Input::Script(Ticket(4), report)) => report,
        (_, other) => panic!("{other:?}"),
    }
}

fn facts() -> ScriptFacts {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    ScriptFacts {
        held: true,
        attempts: 7,
        reasons: texts(&["kernel", "by hand"]),
        members: texts(&["a", "b", "c"]),
        healthy: texts(&["a", "c"]),
    }
}

#[test]
fn a_kill_switch_is_said_with_its_file_its_age_and_its_text() {
    let lab = Lab::new();
    let (daemon, events) = lab.daemon();
    assert_eq!(look(&daemon, &events), None);
    fs::write(lab.path("disable"), "").unwrap();
    let Some(Refusal::KillSwitch(why)) = look(&daemon, &events) else {
        panic!("it is there");
    };
    let path = lab.path("disable").display().to_string();
    assert!(why.starts_with(&format!("{path} exists since 2")), "{why}");
    assert!(why.ends_with('Z'), "{why}");
    fs::write(lab.path("disable"), "until the disk is replaced\n").unwrap();
    let Some(Refusal::KillSwitch(why)) = look(&daemon, &events) else {
        panic!("it is there");
    };
    assert!(why.ends_with("Z (until the disk is replaced)"), "{why}");
}

#[test]
fn a_kill_switch_that_cannot_be_looked_at_is_on() {
    let mut lab = Lab::new();
    let below_a_file = format!("{:?}", lab.path("script/disable").display().to_string());
    lab.set("kill_switch_file", &below_a_file);
    let (daemon, events) = lab.daemon();
    let Some(Refusal::KillSwitch(why)) = look(&daemon, &events) else {
        panic!("nobody knows");
    };
    assert!(why.starts_with("it cannot be checked: "), "{why}");
}

#[test]
fn no_answer_about_the_kill_switch_is_no_permission() {
    let lab = Lab::new();
    let (daemon, events) = lab.daemon();
    // A look that hangs, as on a dead network file system.
    let (release, hangs) = channel::<()>();
    let stuck = move || {
        let _ = hangs.recv();
    };
    let never = Cancel::new();
    let short = Duration::from_millis(1);
    let answer = bounded("host", short, &never, stuck);
    assert_eq!(answer, Err(NoAnswer::TimedOut));
    let Some(Refusal::KillSwitch(why)) = look(&daemon, &events) else {
        panic!("nobody knows");
    };
    assert!(why.contains("no answer about"), "{why}");
    drop(release);
    wait("the end of the look that hung", || {
        look(&daemon, &events).is_none().then_some(())
    });
}

/// Otherwise it would be drained for nothing again and again.
#[test]
fn a_command_that_cannot_be_run_forbids_a_reboot_before_the_drain() {
    for field in ["reboot_command", "pre_reboot_hook", "post_boot_hook"] {
        let mut lab = Lab::new();
        let missing = match field {
            "reboot_command" => "[/not/there]",
            _ => "{command: [/not/there]}",
        };
        lab.set(field, missing);
        let (daemon, events) = lab.daemon();
        let Some(Refusal::Configuration(why)) = look(&daemon, &events) else {
            panic!("{field} cannot be run");
        };
        let said = format!("{field} cannot run /not/there: No such file or directory");
        assert!(why.starts_with(&said), "{why}");
        // The drain may have taken away what the hooks lie on.
        assert!(daemon.tasks.look_at_host(Ticket(3), true).is_none());
        let Input::Host(_, refusal) = input(&events) else {
            panic!("a look at the host is answered as such");
        };
        assert_eq!(refusal.is_some(), field == "reboot_command");
    }
}

/// A drain that is being ended has ended before what undoes it begins.
#[test]
fn two_hooks_never_run_side_by_side() {
    let mut lab = Lab::new();
    let (pid, beside) = (lab.path("pid"), lab.path("beside"));
    let (pid, beside) = (pid.display(), beside.display());
    let sh = |script: &str| format!("{{command: [/bin/sh, -c, {script:?}]}}");
    let drain = format!("echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000");
    lab.set("pre_reboot_hook", &sh(&drain));
    let undo = format!("! kill -0 `cat {pid}` || touch {beside}");
    lab.set("post_boot_hook", &sh(&undo));
    let (mut daemon, events) = lab.daemon();
    let until = daemon.clock.now().mono + LIMIT;
    let drain = Hook::Drain { until };
    assert!(daemon.tasks.hook(Ticket(1), drain, &facts()).is_none());
    wait("the drain", || lab.path("pid").exists().then_some(()));
    daemon.tasks.cancel();
    assert!(daemon.tasks.hook(Ticket(2), Hook::Undo, &facts()).is_none());
    let mut ends = [(); 2].map(|()| match input(&events) {
        Input::Script(of, report) => (of, report.outcome.success()),
        _ => panic!("a hook ends"),
    });
    // The first is over when the second begins; who tells of it first is as it happens.
    ends.sort();
    assert_eq!(ends, [(Ticket(1), false), (Ticket(2), true)]);
    assert!(!lab.path("beside").exists());
}

#[test]
fn a_file_by_which_the_next_start_would_not_find_the_claim_forbids_a_reboot() {
    let mut lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    let file = lab.path("config.yaml");
    let good = fs::read_to_string(&file).unwrap();
    for (field, value) in [
        ("node_name", "another"),
        ("node_id", "another"),
        ("etcd_namespace", "/another"),
        ("lock_key", "/another"),
        ("boot_id_file", "/another/file"),
        ("run_dir", "/another"),
        ("dry_run", "true"),
    ] {
        let others = good.lines().filter(|line| !line.starts_with(field));
        let others = others.collect::<Vec<_>>().join("\n");
        fs::write(&file, format!("{others}\n{field}: {value}\n")).unwrap();
        let refusal = look(&daemon, &events).expect(field);
        let only_restarts = refusal.remedy().contains("a reload does not take it");
        assert_eq!(only_restarts, field == "run_dir", "{refusal:?}");
        let Refusal::Configuration(why) = refusal else {
            panic!("{field} is another one: {refusal:?}");
        };
        assert!(why.starts_with(&format!("{field} is ")), "{why}");
        assert!(why.contains(value), "{why}");
    }
    lab.set("max_concurrent_reboots", "0");
    let found = look(&daemon, &events);
    assert!(
        matches!(found, Some(Refusal::Configuration(_))),
        "{found:?}"
    );
    // What does not lead to the claim may differ.
    lab.set("max_concurrent_reboots", "2");
    assert_eq!(look(&daemon, &events), None);
    let mut config = daemon.config.clone();
    config.dry_run = true; // as by --dry-run
    daemon.tasks.follow(&config);
    assert_eq!(look(&daemon, &events), None);
    // A boot id that has changed without a boot is as good as another file.
    daemon.tasks.boot_id = Some(daemon.machine.settings().boot_id.clone());
    assert_eq!(look(&daemon, &events), None);
    let file = lab.path("boot-id");
    let another = "7c0a1b9e-0000-4000-8000-000000000001";
    for (now, told) in [
        (another, "the boot id is "),
        ("", "the boot id cannot be read"),
    ] {
        fs::write(&file, now).unwrap();
        let refusal = look(&daemon, &events).unwrap();
        assert!(refusal.text().contains(told), "{refusal:?}");
    }
}

#[test]
fn a_permit_that_cannot_be_redeemed_runs_no_command() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    let life = Permit::life(daemon.config.etcd.timeout);
    daemon.tasks = lab.tasks(&daemon, life * 2);
    // The last is as old as it may be, and has the time that a thread takes to start.
    let oldest = life - Duration::from_millis(50);
    for (since, runs) in [(Duration::ZERO, 0), (life * 2, 1), (oldest, 2)] {
        let permit = Permit::of_test(since);
        assert!(daemon.tasks.reboot(Ticket(5), permit, &facts()).is_none());
        let Input::RebootCommand(Ticket(5), report) = input(&events) else {
            panic!("the command is answered");
        };
        assert_eq!(report.outcome.success(), runs > 0, "{report:?}");
        assert_eq!(lab.count("reboot"), runs);
    }
}

#[test]
fn the_reboot_command_is_left_alone() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    lab.touch("block-reboot");
    let permit = Permit::of_test(daemon.clock.now().mono);
    assert!(daemon.tasks.reboot(Ticket(5), permit, &facts()).is_none());
    lab.wait_step("reboot");
    // It shuts the host down: neither the end of a pass nor that of the program may end it, and nobody waits for it.
    assert!(!daemon.tasks.running());
    daemon.tasks.cancel();
    let Input::RebootCommand(Ticket(5), report) = input(&events) else {
        panic!("the command is answered");
    };
    assert_eq!(report.outcome, ScriptOutcome::Cancelled);
    lab.remove("block-reboot");
    wait("its end", || {
        lab.path("ended-reboot").exists().then_some(())
    });
}

#[test]
fn what_is_cancelled_ends_and_what_comes_after_it_runs() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    lab.touch("block-pre-lock");
    daemon
        .tasks
        .health(Ticket(1), HealthPhase::PreLock, &facts());
    lab.wait_step("pre-lock");
    assert!(daemon.tasks.running());
    assert!(daemon.tasks.cancel().is_none());
    let Input::Script(Ticket(1), report) = input(&events) else {
        panic!("a script is answered");
    };
    assert_eq!(report.outcome, ScriptOutcome::Cancelled);
    assert!(!daemon.tasks.running());
    let report = script(&mut daemon, &events, HealthPhase::PostLock);
    assert!(report.outcome.success(), "{report:?}");
    assert!(!lab.path("ended-pre-lock").exists());
}

#[test]
fn scripts_are_told_what_is_known() {
    let mut lab = Lab::new();
    lab.set(
        "cluster_policies",
        "{min_healthy_fraction: 0.5, fallback_nodes: [b], forbid_if_only_fallback_left: true}",
    );
    lab.set(
        "windows",
        "{allow: [\"* 00:00-24:00\"], deny: [\"Sun 01:00-02:00\"]}",
    );
    let (mut daemon, events) = lab.daemon();
    for phase in [
        HealthPhase::PreLock,
        HealthPhase::PostLock,
        HealthPhase::PostBoot,
        HealthPhase::Monitor,
    ] {
        let report = script(&mut daemon, &events, phase);
        assert!(report.outcome.success(), "{report:?}");
        let told = fs::read_to_string(lab.path("environment")).unwrap();
        let etcd = format!("RC_ETCD_ENDPOINTS={}", lab.etcd.url());
        let switch = format!("RC_KILL_SWITCH_FILE={}", lab.path("disable").display());
        for line in [
            "RC_NODE_NAME=a",
            &format!("RC_PHASE={}", phase.as_str()),
            "RC_DRY_RUN=false",
            "RC_LOCK_KEY=/rc",
            "RC_LOCK_ENABLED=true",
            "RC_LOCK_HELD=true",
            "RC_LOCK_ATTEMPTS=7",
            &etcd,
            &switch,
            "RC_CLUSTER_MIN_HEALTHY_FRACTION=0.5",
            "RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT=true",
            "RC_CLUSTER_FALLBACK_NODES=b",
            "RC_CLUSTER_NODES=a,b,c",
            "RC_CLUSTER_HEALTHY_NODES=a,c",
            "RC_WINDOWS_ALLOW=* 00:00-24:00",
            "RC_WINDOWS_DENY=Sun 01:00-02:00",
            "RC_REASONS=kernel,by hand",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} in:\n{told}");
        }
    }
}

#[test]
fn a_failed_script_is_told_as_such_in_every_phase() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    for phase in [HealthPhase::PostBoot, HealthPhase::Monitor] {
        lab.touch(&format!("fail-{}", phase.as_str()));
        let report = script(&mut daemon, &events, phase);
        assert_eq!(report.outcome, ScriptOutcome::Exited(1));
    }
    lab.touch("fail-undo");
    daemon.tasks.hook(Ticket(6), Hook::Undo, &facts());
    let Input::Script(Ticket(6), report) = input(&events) else {
        panic!("a hook is answered");
    };
    assert_eq!(report.outcome, ScriptOutcome::Exited(1));
    assert_eq!(lab.actions(), ["post-boot", "undo"]);
}

#[test]
fn a_proof_of_health_looks_for_what_the_host_has_changed_and_no_other_script_does() {
    let lab = Lab::new();
    for (phase, looks) in [
        (HealthPhase::PostBoot, true),
        (HealthPhase::PreLock, false),
        (HealthPhase::PostLock, false),
    ] {
        let (mut daemon, events) = lab.daemon();
        let mut config = daemon.config.clone();
        config.node_name = "localhost".to_owned();
        daemon.tasks.follow(&config);
        assert!(daemon.tasks.health(Ticket(4), phase, &facts()).is_none());
        let first = events.recv_timeout(LIMIT).unwrap();
        assert_eq!(matches!(first, Event::Host(_)), looks, "{phase:?}");
    }
}

#[test]
fn detectors_are_asked_and_counted_but_not_when_they_were_stopped() {
    let mut lab = Lab::new();
    lab.detect_by_command("script");
    let (mut daemon, events) = lab.daemon();
    let counted = |daemon: &Daemon, result: &str| {
        let name = "reboot_coordinator_detector_checks_total";
        let line = format!("{name}{{detector=\"marker\",result=\"{result}\"}} ");
        let text = daemon.observer.metrics().render();
        let mut lines = text.lines();
        lines.find_map(|text| text.strip_prefix(&line).map(str::to_owned))
    };
    let asked = |events: &Receiver<Event>| match input(events) {
        Input::Detected(Ticket(2), reports) => reports.into_iter().next().unwrap().result,
        other => panic!("{other:?}"),
    };
    assert!(daemon.tasks.detect(Ticket(2)).is_none());
    assert!(matches!(asked(&events), DetectorResult::Required(_)));
    assert_eq!(counted(&daemon, "required").as_deref(), Some("1"));
    lab.touch("block-detect");
    daemon.tasks.detect(Ticket(2));
    wait("the second look", || {
        (lab.count("detect") == 2).then_some(())
    });
    daemon.tasks.cancel();
    assert!(matches!(asked(&events), DetectorResult::Failed(_)));
    assert_ne!(counted(&daemon, "failed").as_deref(), Some("1"));
}
