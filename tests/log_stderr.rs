//! The log as it comes out of a process: this binary starts itself again with a scenario in its environment.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use log::LevelFilter;
use reboot_coordinator::config::LogFormat;
use reboot_coordinator::observe::log::init;

/// Only what the program says itself is logged.
const TARGET: &str = "reboot_coordinator";

const SCENARIO: &str = "LOG_TEST_SCENARIO";

/// What the started process does; as a test it does nothing.
#[test]
fn scenario() {
    match std::env::var(SCENARIO).as_deref() {
        Ok("reload") => {
            init(LevelFilter::Info, None, "n1");
            log::info!(target: TARGET, event = "first", exit_code = 3; "shown");
            log::debug!(target: TARGET, "not shown");
            init(LevelFilter::Debug, Some(LogFormat::Text), "n1");
            log::debug!(target: TARGET, event = "second"; "shown now");
            init(LevelFilter::Error, Some(LogFormat::Json), "n2");
            log::warn!(target: TARGET, "not shown");
            log::error!(target: TARGET, event = "third"; "shown");
        }
        Ok("many") => {
            init(LevelFilter::Info, Some(LogFormat::Json), "n1");
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    std::thread::spawn(move || {
                        let filler = "y".repeat(3000);
                        (0..200)
                            .for_each(|n| log::info!(target: TARGET, thread, n, filler:%; "line"));
                    })
                })
                .collect();
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            println!("scenario done");
        }
        _ => {}
    }
}

fn start(scenario: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "scenario", "--nocapture"])
        .env(SCENARIO, scenario)
        .env("JOURNAL_STREAM", "1:1");
    command
}

#[test]
fn level_format_and_node_change_at_run_time() {
    let output = start("reload").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let (first, third) = (json(lines[0]), json(lines[2]));
    assert_eq!(
        (&first["event"], &first["exit_code"], &first["node"]),
        (&"first".into(), &3.into(), &"n1".into())
    );
    assert_eq!(
        (&third["event"], &third["level"], &third["node"]),
        (&"third".into(), &"error".into(), &"n2".into())
    );
    let ts = first["ts"].as_str().unwrap();
    assert!(
        ts.len() == 24 && ts.ends_with('Z') && ts.parse::<jiff::Timestamp>().is_ok(),
        "{ts}"
    );
    // JOURNAL_STREAM names another stream, and a pipe is no terminal: neither prefix nor colour.
    assert!(
        lines[1].starts_with("20") && lines[1].ends_with("debug shown now event=second"),
        "{}",
        lines[1]
    );
}

#[test]
fn lines_of_several_threads_do_not_mix() {
    let output = start("many").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let parsed = stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(
        parsed
            .filter(|value| value["filler"].as_str().unwrap().len() == 3000)
            .count(),
        800
    );
}

#[test]
fn a_full_disk_and_a_closed_pipe_do_not_end_the_process() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for stderr in [Stdio::from(full), Stdio::from(closed)] {
        let output = start("many").stderr(stderr).output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("scenario done")
        );
    }
}
