//! Running children leaks nothing. A binary of its own, because parallel tests would disturb the counts.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

use std::fs;
use std::time::{Duration, Instant};

use reboot_coordinator::core::facts::ScriptOutcome;
use reboot_coordinator::process::{Cancel, Command, run};

fn entries(dir: &str) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn counts() -> (usize, usize) {
    (entries("/proc/self/fd"), entries("/proc/self/task"))
}

/// Children of this process that nobody reaped.
fn zombies() -> usize {
    let me = std::process::id().to_string();
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let fields = stats.map(|stat| stat.rsplit(')').next().unwrap_or_default().to_string());
    fields
        .filter(|rest| rest.split_whitespace().take(2).eq(["Z", me.as_str()]))
        .count()
}

#[test]
fn two_hundred_runs_leave_no_descriptor_no_thread_and_no_zombie() {
    let cancel = Cancel::new();
    let scripts = [
        ("exit 3", ScriptOutcome::Exited(3)),
        ("kill -9 $$", ScriptOutcome::Signalled(9)),
        ("exec sleep 1000", ScriptOutcome::TimedOut),
        ("setsid sleep 2 & exit 0", ScriptOutcome::Exited(0)),
    ];
    let threads = counts().1;
    // The first child that is waited for opens what tells of the ends of all of them.
    let first = Command {
        argv: ["/bin/sh", "-c", "exec >&- 2>&-; sleep 0.3"]
            .map(String::from)
            .to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        timeout: Duration::from_secs(20),
        begins_within: Duration::from_secs(20),
        detach: false,
        stdin: None,
    };
    assert!(run(&first, &cancel).outcome.success());
    let deadline = Instant::now() + Duration::from_secs(20);
    while counts().1 != threads && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let before = counts();
    for n in 0..200 {
        let (script, outcome) = &scripts[n % scripts.len()];
        // Few of the slow ones.
        let (script, outcome) = if n >= 20 && n % 4 >= 2 {
            &scripts[0]
        } else {
            &(*script, outcome.clone())
        };
        let limit = if *outcome == ScriptOutcome::TimedOut {
            50
        } else {
            20_000
        };
        let argv = vec!["/bin/sh".into(), "-c".into(), script.to_string()];
        let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let detach = n % 3 == 0 && n >= 20;
        let spec = Command {
            argv,
            env,
            timeout: Duration::from_millis(limit),
            begins_within: Duration::from_secs(20),
            detach,
            stdin: None,
        };
        assert_eq!(run(&spec, &cancel).outcome, *outcome, "{script}");
        let spec = Command {
            argv: vec!["/nonexistent".into()],
            ..spec
        };
        assert!(matches!(
            run(&spec, &cancel).outcome,
            ScriptOutcome::NotStarted(_)
        ));
    }
    // The threads of failed starts end by themselves, an instant later.
    let deadline = Instant::now() + Duration::from_secs(20);
    while counts() != before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(counts(), before);
    assert_eq!(zombies(), 0);
}
