//! The real driver, with threads, sockets, processes and files, around an etcd that is steered.

mod end;
pub(super) mod etcd;
pub(super) mod lab;
mod lanes;
pub(super) mod logged;
mod observer;
mod pages;
mod reload;
mod settings;
mod tasks;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::end::CHILDREN_GRACE;
use super::*;
use crate::core::Ticket;
use crate::core::facts::HealthPhase;
use crate::core::io::ScriptFacts;
use lab::{LIMIT, Lab, commits, wait};

#[test]
fn a_reboot_from_the_first_look_to_the_release() {
    let mut lab = Lab::new();
    lab.start();
    lab.wait_step("reboot");
    assert_eq!(lab.phase().as_deref(), Some("rebooting"));
    let before = ["pre-lock", "post-lock", "drain", "reboot"];
    assert_eq!(lab.actions(), before);
    lab.stop();
    // What is committed outlives the process.
    assert_eq!(lab.phase().as_deref(), Some("rebooting"));
    lab.boots(2);
    lab.remove("required");
    lab.start();
    lab.wait_phase(None);
    assert_eq!(lab.actions()[before.len()..], ["undo", "post-boot"]);
    assert_eq!(lab.etcd.get("/rc/nodes/a").unwrap()["node_id"], "id-of-a");
    wait("the marker", || {
        fs::read_to_string(lab.path("run/completed.json")).ok()
    });
    lab.stop();
}

#[test]
fn packages_are_told_of_a_commit_before_etcd_is() {
    let mut lab = Lab::new();
    let file = lab.path("run/claim");
    let told = Arc::new(Mutex::new(Vec::new()));
    let (noted, seen) = (Arc::clone(&told), file.clone());
    lab.etcd.before(move |_, body| {
        if commits(body) {
            noted
                .lock()
                .unwrap()
                .push(fs::read_to_string(&seen).unwrap_or_default());
        }
        true
    });
    lab.touch("block-pre-lock");
    lab.start();
    lab.wait_step("pre-lock");
    assert_eq!(lab.word(), "none");
    lab.remove("block-pre-lock");
    lab.wait_step("reboot");
    let committed = format!("committed {}\n", std::process::id());
    let told = told.lock().unwrap();
    assert!(!told.is_empty());
    assert!(told.iter().all(|word| *word == committed), "{told:?}");
    lab.stop();
}

#[test]
fn a_commit_whose_answer_is_lost_is_decided_before_anything_is_done() {
    let mut lab = Lab::new();
    let first = AtomicBool::new(true);
    let (sent, was_sent) = channel();
    lab.etcd.before(move |_, body| {
        if commits(body) && first.swap(false, Ordering::SeqCst) {
            let _ = sent.send(());
            return false;
        }
        true
    });
    lab.start();
    was_sent.recv_timeout(LIMIT).expect("a commit is sent");
    lab.wait_step("reboot");
    assert_eq!(lab.count("drain"), 1);
    assert_eq!(lab.count("reboot"), 1);
    lab.stop();
}

#[test]
fn while_etcd_does_not_answer_nothing_is_done_and_afterwards_it_goes_on() {
    let mut lab = Lab::new();
    let (asked, was_asked) = channel();
    lab.etcd.before(move |_, _| {
        let _ = asked.send(());
        false
    });
    lab.start();
    for _ in 0..3 {
        was_asked.recv_timeout(LIMIT).expect("etcd is asked again");
    }
    assert_eq!(lab.word(), "unknown");
    assert_eq!(lab.actions(), Vec::<String>::new());
    lab.etcd.before(|_, _| true);
    lab.wait_step("reboot");
    lab.stop();
}

#[test]
fn the_kill_switch_holds_a_node_back_until_it_is_gone() {
    let mut lab = Lab::new();
    lab.detect_by_command("script");
    fs::write(lab.path("disable"), "while we look\n").unwrap();
    lab.start();
    lab.wait_passes(3);
    assert_eq!(lab.count("pre-lock"), 0);
    lab.touch("block-post-lock");
    lab.remove("disable");
    lab.wait_step("post-lock");
    lab.touch("disable");
    lab.remove("block-post-lock");
    lab.wait_passes(2);
    assert_eq!(lab.count("drain"), 0);
    lab.remove("disable");
    lab.wait_step("reboot");
    lab.stop();
}

#[test]
fn a_waiting_node_is_woken_by_the_watch_and_follows_nothing_afterwards() {
    let mut lab = Lab::new();
    lab.set("check_interval_sec", "3600");
    lab.claim_of_another();
    lab.start();
    lab.wait_phase(Some("queued"));
    wait("a watch", || (lab.etcd.watches().0 == 1).then_some(()));
    lab.etcd.delete("/rc/claims/other");
    lab.wait_step("reboot");
    wait("the end of the watch", || {
        (lab.etcd.watches().0 == 0).then_some(())
    });
    lab.stop();
}

#[test]
fn a_stop_takes_no_time_and_gives_the_place_up() {
    let mut lab = Lab::new();
    lab.claim_of_another();
    lab.start();
    lab.wait_phase(Some("queued"));
    wait("a watch", || (lab.etcd.watches().0 == 1).then_some(()));
    // The grant of a lease that is under way when it is revoked may come after that.
    wait("the report", || lab.etcd.get("/rc/alive/a"));
    let took = lab.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(lab.phase(), None);
    assert_eq!(lab.etcd.leases(), 0);
    wait("the end of the watch", || {
        (lab.etcd.watches().0 == 0).then_some(())
    });
}

#[test]
fn a_stop_does_not_wait_for_the_end_of_a_script() {
    let mut lab = Lab::new();
    lab.touch("block-pre-lock");
    lab.start();
    lab.wait_step("pre-lock");
    let took = lab.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn scripts_are_waited_for_at_the_end_but_not_for_ever() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    lab.touch("block-pre-lock");
    let facts = ScriptFacts::default();
    assert!(
        daemon
            .tasks
            .health(Ticket(1), HealthPhase::PreLock, &facts)
            .is_none()
    );
    lab.wait_step("pre-lock");
    let began = daemon.clock.now().mono;
    daemon.wait_for_children(&events);
    assert!(daemon.tasks.running());
    assert!(daemon.clock.now().mono - began >= CHILDREN_GRACE);
    // From here on it is being killed, which ends while it is waited for.
    daemon.tasks.cancel();
    daemon.stopped_at = None;
    daemon.wait_for_children(&events);
    assert!(!daemon.tasks.running());
}

#[test]
fn the_moment_of_the_signal_counts_and_not_that_of_the_end() {
    let lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    lab.touch("block-pre-lock");
    let facts = ScriptFacts::default();
    daemon.tasks.health(Ticket(1), HealthPhase::PreLock, &facts);
    lab.wait_step("pre-lock");
    wait("the grace", || {
        (daemon.clock.now().mono > CHILDREN_GRACE).then_some(())
    });
    daemon.stopped_at = Some(Duration::ZERO);
    daemon.wait_for_children(&events);
    assert!(daemon.tasks.running());
    daemon.tasks.cancel();
    daemon.stopped_at = None;
    daemon.wait_for_children(&events);
}

#[test]
fn one_pass_ends_with_what_came_of_it() {
    let wait = Duration::ZERO;
    let mut lab = Lab::new();
    lab.remove("required");
    lab.start_as(Mode::Once { wait }, false);
    assert_eq!(lab.wait_exit(), 0);
    assert_eq!(lab.actions(), Vec::<String>::new());
    let left = |state: &str| {
        let standing = lab.etcd.get("/rc/standing/a").expect("a pass leaves it");
        assert_eq!(
            (&standing["once"], &standing["state"]),
            (&true.into(), &state.into())
        );
    };
    left("idle");
    lab.touch("required");
    lab.touch("fail-pre-lock");
    lab.start_as(Mode::Once { wait }, false);
    assert_ne!(lab.wait_exit(), 0);
    assert_eq!(lab.actions(), ["pre-lock"]);
    assert_eq!(lab.phase(), None);
}

#[test]
fn who_may_not_take_the_lock_is_told_to_be_root() {
    for (why, is_root, remedy) in [
        (ErrorKind::PermissionDenied, false, "run it as root"),
        (ErrorKind::PermissionDenied, true, "check run_dir"),
        (ErrorKind::ReadOnlyFilesystem, false, "check run_dir"),
    ] {
        assert_eq!(lock_remedy(why, is_root), remedy);
    }
}

#[test]
fn beside_another_instance_nothing_is_begun() {
    let lab = Lab::new();
    let (config, start) = lab.loaded(
        Mode::Once {
            wait: Duration::ZERO,
        },
        false,
    );
    let _other = InstanceLock::acquire(&config.run_dir).unwrap();
    assert_eq!(run(config, start), EXIT_ANOTHER_INSTANCE);
    let (mut config, start) = lab.loaded(
        Mode::Once {
            wait: Duration::ZERO,
        },
        false,
    );
    config.run_dir = lab.path("script");
    assert_eq!(run(config, start), EXIT_FAILURE);
    assert_eq!(lab.actions(), Vec::<String>::new());
}

/// Another health script and another detector in the file: they tell of themselves.
fn with_another_script(lab: &mut Lab) {
    lab.script("script-2", "2-");
    let script = format!("{:?}", lab.path("script-2").display().to_string());
    lab.set("health_script", &script);
    lab.detect_by_command("script-2");
}

#[test]
fn a_reload_is_in_force_for_the_next_pass() {
    let mut lab = Lab::new();
    lab.remove("required");
    lab.start();
    wait("the registration", || lab.etcd.get("/rc/nodes/a"));
    // What stands in the file by the second one counts.
    lab.set("health_script", "/bin/false");
    lab.reload();
    with_another_script(&mut lab);
    lab.reload();
    lab.wait_step("2-detect");
    lab.touch("required");
    lab.wait_step("2-pre-lock");
    lab.wait_step("reboot");
    assert_eq!(lab.count("pre-lock"), 0);
    lab.stop();
}

#[test]
fn dry_run_of_the_command_line_outlives_a_reload() {
    let mut lab = Lab::new();
    lab.start_as(Mode::Daemon, true);
    lab.wait_step("post-lock");
    with_another_script(&mut lab);
    lab.reload();
    lab.wait_step("2-post-lock");
    let passes = lab.count("2-post-lock");
    wait("another pass", || {
        (lab.count("2-post-lock") > passes).then_some(())
    });
    assert_eq!(lab.count("drain") + lab.count("reboot"), 0);
    lab.stop();
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    for (field, value) in [
        ("run_dir", "/tmp/elsewhere"),
        ("boot_id_file", "/nowhere/boot_id"),
        ("max_concurrent_reboots", "0"),
    ] {
        let mut lab = Lab::new();
        lab.detect_by_command("script");
        lab.remove("required");
        let good = lab.loaded(Mode::Daemon, false).1.path;
        let good = fs::read_to_string(good).unwrap();
        lab.start();
        lab.wait_passes(1);
        with_another_script(&mut lab);
        lab.set(field, value);
        lab.reload();
        lab.touch("required");
        lab.wait_passes(2);
        fs::write(lab.path("config.yaml"), &good).unwrap();
        lab.wait_step("reboot");
        assert!(
            lab.actions().iter().all(|step| !step.starts_with("2-")),
            "{field}"
        );
        lab.stop();
    }
}

#[test]
fn an_answer_that_is_there_at_once_is_handed_on() {
    let mut lab = Lab::new();
    // The drain hook was there when the gates were judged, and is not when it is to run: the answer needs no thread.
    lab.unset("pre_reboot_hook");
    lab.unset("post_boot_hook");
    let (daemon, _events) = lab.daemon();
    let hook = crate::core::Hook::Undo;
    let answer = daemon.tasks.hook(Ticket(7), hook, &ScriptFacts::default());
    let Some(Input::Script(Ticket(7), report)) = answer else {
        panic!("{answer:?}");
    };
    assert!(!report.outcome.success());
}

#[test]
fn a_pass_that_is_over_lets_its_event_hook_end_and_a_daemon_or_a_stop_does_not() {
    let once = Mode::Once {
        wait: Duration::ZERO,
    };
    for (mode, stopped, ends) in [
        (once, false, true),
        (once, true, false),
        (Mode::Daemon, false, false),
    ] {
        let mut lab = Lab::new();
        let script = lab.path("slow");
        let seconds = if ends { "0.3" } else { "600" };
        let text = format!("cd ${{0%/*}}; : >begun; sleep {seconds}; : >ended\n");
        fs::write(&script, text).unwrap();
        let hook = format!(
            "{{command: [/bin/sh, {:?}], timeout_sec: 60}}",
            script.display().to_string()
        );
        lab.set("event_hook", &hook);
        let (mut daemon, events) = lab.daemon();
        daemon.start.mode = mode;
        daemon.told.note(&Note::info("back", ""));
        wait("its begin", || lab.path("begun").exists().then_some(()));
        if stopped {
            daemon.inbox.hand_over(Event::Stop);
        }
        daemon.wait_until_told(&events);
        assert_eq!(lab.path("ended").exists(), ends);
        assert_eq!(daemon.stopped_at.is_some(), stopped);
        // Nothing goes on after the end.
        wait("the end of the hook", || {
            daemon.told.is_idle_within(Duration::ZERO).then_some(())
        });
    }
}
