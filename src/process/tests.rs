//! Children with real processes: limits, groups, output, cancels, and those that are detached.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::core::text::describe;

/// Long enough never to be reached by a test that passes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn command(argv: &[&str]) -> Command {
    let env = vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())];
    Command {
        argv: argv.iter().map(|s| s.to_string()).collect(),
        env,
        timeout: PATIENCE,
        begins_within: PATIENCE,
        detach: false,
        stdin: None,
    }
}

fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

fn run_plain(spec: &Command) -> ScriptReport {
    run(spec, &Cancel::new())
}

fn short(script: &str) -> Command {
    Command {
        timeout: Duration::from_secs(1),
        ..sh(script)
    }
}

/// Waits for a condition that must come true soon.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Not running: no such process, or one that only waits to be reaped.
fn gone(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => true,
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Ends a process that a test let escape on purpose.
fn end(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn exit_codes_are_reported_as_they_are() {
    for code in [0, 1, 2, 75, 126, 127, 255] {
        let report = run_plain(&sh(&format!("exit {code}")));
        assert_eq!(report.outcome, ScriptOutcome::Exited(code));
    }
}

#[test]
fn death_by_a_signal_is_not_an_exit_code() {
    assert_eq!(
        run_plain(&sh("kill -9 $$")).outcome,
        ScriptOutcome::Signalled(9)
    );
    assert_eq!(
        run_plain(&sh("kill -TERM $$")).outcome,
        ScriptOutcome::Signalled(15)
    );
}

#[test]
fn both_outputs_are_captured_apart_and_invalid_utf8_is_replaced() {
    let report = run_plain(&sh(r"printf 'out\377\n'; printf 'no newline' >&2"));
    assert_eq!(
        report.stdout,
        Captured {
            text: "out\u{fffd}\n".into(),
            dropped: 0
        }
    );
    assert_eq!(
        report.stderr,
        Captured {
            text: "no newline".into(),
            dropped: 0
        }
    );
}

#[test]
fn ten_megabytes_are_read_kept_to_the_limit_and_counted() {
    let report = run_plain(&sh(
        "head -c 10485760 /dev/zero | tr '\\0' x; head -c 65537 /dev/zero | tr '\\0' e >&2",
    ));
    assert_eq!(report.outcome, ScriptOutcome::Exited(0));
    let half = |of: &str| of.repeat(OUTPUT_LIMIT / 2);
    let cut = |of: &str| format!("{}…\n…{}", half(of), half(of));
    assert_eq!(report.stdout.text, cut("x"));
    assert_eq!(report.stdout.dropped, 10_485_760 - OUTPUT_LIMIT as u64);
    assert_eq!((report.stderr.text, report.stderr.dropped), (cut("e"), 1));
}

#[test]
fn the_last_words_of_a_long_output_are_its_end_and_blanks_are_none() {
    for (script, words) in [
        ("yes some | head -c 3000000; echo why", ": why"),
        ("head -c 5000000 /dev/zero", ""),
        ("printf 'why\\n \\000\\t\\n'", ": why"),
        ("head -c 100000 /dev/zero | tr '\\0' s; printf why", ": …ss"),
    ] {
        for detach in [false, true] {
            let report = run_plain(&Command {
                detach,
                ..sh(&format!("{{ {script}; }} >&2; exit 1"))
            });
            let told = describe(&report);
            let said = told.strip_prefix("exit code 1").unwrap();
            match words {
                ": …ss" => assert!(said.starts_with(words) && said.ends_with("sswhy"), "{said}"),
                words => assert_eq!(said, words, "{script}"),
            }
        }
    }
}

#[test]
fn a_child_that_closes_its_output_early_is_still_waited_for() {
    let report = run_plain(&sh("echo before; exec >&- 2>&-; sleep 0.2; exit 3"));
    assert_eq!(report.outcome, ScriptOutcome::Exited(3));
    assert_eq!(report.stdout.text, "before\n");
    assert!(
        report.took >= Duration::from_millis(200),
        "{:?}",
        report.took
    );
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let mut spec = command(&["/usr/bin/env"]);
    spec.env = vec![
        ("RC_NODE_NAME".into(), "a=b c".into()),
        ("PATH".into(), "/bin".into()),
        ("EMPTY".into(), String::new()),
    ];
    let report = run_plain(&spec);
    let lines: BTreeSet<&str> = report.stdout.text.lines().collect();
    assert_eq!(
        lines,
        BTreeSet::from(["RC_NODE_NAME=a=b c", "PATH=/bin", "EMPTY="])
    );
}

#[test]
fn a_child_has_no_input_the_root_folder_and_a_group_of_its_own() {
    let report = run_plain(&sh("cat; pwd; cut -d' ' -f5 /proc/$$/stat; echo $$"));
    let lines: Vec<&str> = report.stdout.text.lines().collect();
    assert_eq!(lines[0], "/");
    assert_eq!(lines[1], lines[2], "group and process id");
}

#[test]
fn a_child_inherits_no_descriptor_of_ours() {
    let ours = tempfile::NamedTempFile::new().unwrap();
    let report = run_plain(&sh("ls -l /proc/self/fd"));
    assert!(report.stdout.text.contains("/dev/null"));
    assert!(!report.stdout.text.contains(ours.path().to_str().unwrap()));
    // Nor that of a child that is being started at the same time, which would be kept open.
    assert!(
        !report.stdout.text.contains("memfd:"),
        "{}",
        report.stdout.text
    );
}

#[test]
fn what_cannot_be_started_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32| {
        let path = dir.path().join(name);
        // Written by a child: a descriptor open for writing here could leak into another test's fork and make it busy.
        let made = run_plain(&sh(&format!(
            "echo 'exit 0' > {0}; chmod {mode:o} {0}",
            path.display()
        )));
        assert_eq!(made.outcome, ScriptOutcome::Exited(0));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            mode
        );
        path.to_str().unwrap().to_string()
    };
    let cases = [
        (
            dir.path().join("missing").to_str().unwrap().to_string(),
            "No such file",
        ),
        (file("not-executable", 0o644), "is not executable"),
        (
            dir.path().to_str().unwrap().to_string(),
            "is not a regular file",
        ),
        (
            file("no-shebang", 0o755),
            "no interpreter in its first line",
        ),
    ];
    for (program, reason) in cases {
        let report = run_plain(&command(&[&program]));
        let ScriptOutcome::NotStarted(why) = &report.outcome else {
            panic!("{program}: {}", report.outcome)
        };
        assert!(why.contains(reason) && why.contains(&program), "{why}");
    }
    assert!(matches!(
        run_plain(&command(&[])).outcome,
        ScriptOutcome::NotStarted(_)
    ));
    assert!(matches!(
        run_plain(&command(&["/bin/tr\0ue"])).outcome,
        ScriptOutcome::NotStarted(_)
    ));
}

#[test]
fn a_hanging_script_and_its_background_job_are_killed_at_the_limit() {
    let report = run_plain(&short("echo started; sleep 1000 & echo $!; echo $$; wait"));
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    assert!(report.took < Duration::from_secs(10), "{:?}", report.took);
    let pids: Vec<&str> = report.stdout.text.lines().skip(1).collect();
    assert_eq!(pids.len(), 2);
    eventually("killed", || pids.iter().all(|pid| gone(pid)));
}

#[test]
fn ignoring_sigterm_does_not_help() {
    let report = run_plain(&short(
        "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done",
    ));
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    eventually("killed", || gone(first_line(&report.stdout.text)));
}

#[test]
fn a_background_job_that_keeps_the_output_open_does_not_hold_up_the_result_and_is_killed() {
    let report = run_plain(&sh("sleep 1000 & echo $!; exit 4"));
    assert_eq!(report.outcome, ScriptOutcome::Exited(4));
    assert!(
        report.took >= LINGER_LIMIT && report.took < Duration::from_secs(5),
        "{:?}",
        report.took
    );
    eventually("killed", || gone(first_line(&report.stdout.text)));
}

#[test]
fn a_quiet_background_job_is_killed_without_waiting() {
    let report = run_plain(&sh("sleep 1000 >/dev/null 2>&1 & echo $!"));
    assert_eq!(report.outcome, ScriptOutcome::Exited(0));
    eventually("killed", || gone(first_line(&report.stdout.text)));
}

#[test]
fn a_grandchild_in_another_session_that_keeps_the_output_open_does_not_hold_up_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    let script = "setsid sh -c 'echo $$; touch UP; exec sleep 1000' & while ! [ -e UP ]; do sleep 0.01; done; exit 5";
    let report = run_plain(&sh(&script.replace("UP", up.to_str().unwrap())));
    assert_eq!(report.outcome, ScriptOutcome::Exited(5));
    assert!(report.took < Duration::from_secs(10), "{:?}", report.took);
    let escaped = first_line(&report.stdout.text);
    assert!(!gone(escaped));
    end(escaped);
}

#[test]
fn a_grandchild_in_another_session_does_not_hold_up_the_limit_either() {
    let report = run_plain(&short("setsid sh -c 'echo $$; exec sleep 1000' & wait"));
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    assert!(report.took < Duration::from_secs(10), "{:?}", report.took);
    end(first_line(&report.stdout.text));
}

#[test]
fn endless_output_without_a_newline_ends_at_the_limit() {
    let report = run_plain(&short("tr '\\0' y < /dev/zero"));
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    assert_eq!(report.stdout.text.matches('y').count(), OUTPUT_LIMIT);
    assert!(report.stdout.dropped > 0);
}

#[test]
fn what_a_background_job_prints_last_is_not_lost() {
    let report = run_plain(&sh(
        "(while [ -e /proc/$$/exe ]; do :; done; echo late) & echo early",
    ));
    assert_eq!(report.stdout.text, "early\nlate\n");
}

/// Runs in a thread, cancels once the script said it is up, and tells how long the run still took.
fn cancelled(spec: Command, ready: &Path) -> (ScriptReport, Duration) {
    let cancel = Cancel::new();
    let runner = std::thread::spawn({
        let cancel = cancel.clone();
        move || run(&spec, &cancel)
    });
    eventually("ready", || {
        fs::read_to_string(ready).is_ok_and(|text| text.ends_with('\n'))
    });
    let began = Instant::now();
    cancel.cancel();
    (runner.join().unwrap(), began.elapsed())
}

#[test]
fn a_cancel_from_another_thread_ends_the_run_at_once_and_kills_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let script = format!(
        "trap '' TERM; sleep 1000 & echo out; echo $! > {}; wait",
        ready.display()
    );
    let (report, took) = cancelled(sh(&script), &ready);
    assert_eq!(report.outcome, ScriptOutcome::Cancelled);
    assert_eq!(report.stdout.text, "out\n");
    assert!(took < Duration::from_secs(1), "{took:?}");
    eventually("killed", || {
        gone(fs::read_to_string(&ready).unwrap().trim())
    });
}

#[test]
fn one_cancel_stops_several_runs_and_all_later_ones() {
    let cancel = Cancel::new();
    let runners: Vec<_> = (0..3)
        .map(|_| {
            let cancel = cancel.clone();
            std::thread::spawn(move || run(&sh("sleep 1000"), &cancel))
        })
        .collect();
    cancel.cancel();
    cancel.cancel();
    assert!(cancel.is_cancelled());
    for runner in runners {
        assert_eq!(runner.join().unwrap().outcome, ScriptOutcome::Cancelled);
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("ran");
    let report = run(&sh(&format!("touch {}", trace.display())), &cancel);
    assert_eq!(report.outcome, ScriptOutcome::Cancelled);
    assert!(!trace.exists(), "nothing is started after a cancel");
}

#[test]
fn a_detached_command_survives_the_cancel_and_may_go_on_printing() {
    let dir = tempfile::tempdir().unwrap();
    let (ready, go, done) = (
        dir.path().join("ready"),
        dir.path().join("go"),
        dir.path().join("done"),
    );
    let script = format!(
        "echo rebooting; echo up > {}; while ! [ -e {} ]; do sleep 0.01; done; echo a; echo b >&2; echo end > {}",
        ready.display(),
        go.display(),
        done.display()
    );
    let (report, took) = cancelled(
        Command {
            detach: true,
            stdin: None,
            ..sh(&script)
        },
        &ready,
    );
    assert_eq!(report.outcome, ScriptOutcome::Cancelled);
    assert_eq!(report.stdout.text, "rebooting\n");
    assert!(took < Duration::from_secs(1), "{took:?}");
    fs::write(&go, "").unwrap();
    eventually("the command went on", || {
        fs::read_to_string(&done).is_ok_and(|text| text == "end\n")
    });
}

#[test]
fn a_detached_command_reports_exit_and_output_and_leaves_its_background_job_alone() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let script = format!(
        "head -c 70000 /dev/zero; echo why >&2; (sleep 0.3; echo end > {}) & exit 1",
        done.display()
    );
    let report = run_plain(&Command {
        detach: true,
        stdin: None,
        ..sh(&script)
    });
    assert_eq!(report.outcome, ScriptOutcome::Exited(1));
    assert_eq!(
        (
            report.stdout.text.matches('\0').count(),
            report.stdout.dropped
        ),
        (OUTPUT_LIMIT, 70_000 - OUTPUT_LIMIT as u64)
    );
    assert_eq!(report.stderr.text, "why\n");
    eventually("the background job went on", || done.exists());
}

#[test]
fn a_detached_command_that_hangs_is_killed_at_the_limit() {
    let report = run_plain(&Command {
        detach: true,
        stdin: None,
        ..short("echo $$; sleep 1000")
    });
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    eventually("killed", || gone(first_line(&report.stdout.text)));
}

/// A child that ended before the group was looked at cannot be told from one that was just reaped, so this is asked often.
#[test]
fn a_group_is_killed_after_every_exit_that_leaves_somebody_in_it() {
    for _ in 0..50 {
        let report = run_plain(&sh("sleep 1000 >/dev/null 2>&1 & echo $!"));
        assert_eq!(report.outcome, ScriptOutcome::Exited(0));
        eventually("killed", || gone(first_line(&report.stdout.text)));
    }
}

#[test]
fn what_others_could_have_changed_is_not_started_not_even_as_an_argument() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    let text = format!(
        "printf '#!/bin/sh\\ntouch {0}/ran\\n' > {0}/script; chmod 755 {0}/script",
        dir.path().display()
    );
    assert!(run_plain(&sh(&text)).outcome.success());
    let script = script.to_str().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for argv in [
        vec![script],
        vec!["/bin/sh", script],
        vec!["/usr/bin/env", script],
    ] {
        let report = run_plain(&command(&argv));
        let ScriptOutcome::NotStarted(why) = &report.outcome else {
            panic!("{argv:?}: {}", report.outcome)
        };
        assert!(
            why.contains("can be changed by its group or others"),
            "{why}"
        );
    }
    assert!(!dir.path().join("ran").exists());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(run_plain(&command(&[script])).outcome.success());
    assert!(dir.path().join("ran").exists());
}

#[test]
fn an_enormous_limit_is_no_limit() {
    let report = run_plain(&Command {
        timeout: Duration::MAX,
        ..sh("true")
    });
    assert_eq!(report.outcome, ScriptOutcome::Exited(0));
}

#[test]
fn an_output_that_has_ended_is_waited_for_no_longer() {
    let began = Instant::now();
    for _ in 0..40 {
        assert!(run_plain(&command(&["/bin/true"])).outcome.success());
    }
    // With the time for somebody who keeps it open it would be 10 s at least.
    assert!(began.elapsed() < LINGER_LIMIT * 32, "{:?}", began.elapsed());
}

#[test]
fn a_killed_child_is_reaped_before_its_result_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!(
        "echo $$ > {}; exec sleep 1000 >/dev/null 2>&1",
        pid.display()
    );
    let report = run_plain(&short(&script));
    assert_eq!(report.outcome, ScriptOutcome::TimedOut);
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

/// A child that was started, with its process id.
fn started(spec: &Command, cancel: &Cancel) -> (Run, String) {
    let Ok(run) = start(spec, cancel) else {
        panic!("{spec:?} starts");
    };
    let pid = run.child.as_ref().unwrap().id().to_string();
    (run, pid)
}

#[test]
fn what_a_child_has_printed_by_its_end_is_read_after_a_cancel_too() {
    let cancel = Cancel::new();
    let script = "head -c 60000 /dev/zero | tr '\\0' x";
    let (run, pid) = started(&sh(script), &cancel);
    eventually("its end", || gone(&pid));
    cancel.cancel();
    let (outcome, [out, _]) = run.finish(&cancel, Instant::now() + PATIENCE);
    assert_eq!(outcome, ScriptOutcome::Cancelled);
    assert_eq!((out.text.len(), out.dropped), (60_000, 0));
}

/// The start took so long that nobody waits any more. What shuts the host down goes on all the same.
#[test]
fn a_child_that_comes_too_late_is_ended_and_reaped_but_a_detached_one_not_by_a_cancel() {
    for (detach, cancels) in [(false, false), (false, true), (true, false), (true, true)] {
        let cancel = Cancel::new();
        let spec = Command {
            detach,
            ..sh("exec sleep 1000")
        };
        let (run, pid) = started(&spec, &cancel);
        if cancels {
            cancel.cancel();
        }
        drop(run);
        if detach && cancels {
            assert!(!gone(&pid));
            end(&pid);
        }
        let proc = Path::new("/proc").join(&pid);
        eventually("reaped", || !proc.exists());
    }
}

/// The file system answers only when nobody waits any more: who was told that it has not begun must be right.
#[test]
fn what_was_said_not_to_have_begun_does_not_begin_later() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    for cancelled in [false, true] {
        let spec = Command {
            begins_within: match cancelled {
                false => Duration::from_millis(1),
                true => PATIENCE,
            },
            detach: true,
            ..sh(&format!("touch {}", ran.display()))
        };
        let (answer, hangs) = std::sync::mpsc::channel::<()>();
        let look = move || {
            let _ = hangs.recv();
            Ok(())
        };
        let cancel = Cancel::new();
        if cancelled {
            cancel.cancel();
        }
        let Err(outcome) = start_after(look, &spec, &cancel) else {
            panic!("it cannot have begun");
        };
        match cancelled {
            false => assert!(
                matches!(outcome, ScriptOutcome::NotStarted(_)),
                "{outcome:?}"
            ),
            true => assert_eq!(outcome, ScriptOutcome::Cancelled),
        }
        // What has begun is left running then, and shows that it has when it is given the time.
        cancel.cancel();
        drop(answer);
        assert!(run_plain(&sh("sleep 0.3")).outcome.success());
        assert!(!ran.exists(), "{cancelled}");
    }
}
