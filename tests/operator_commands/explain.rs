//! `explain`, and the questions that `release` asks on a terminal.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Field, eventually, run};

#[test]
fn a_node_that_needs_no_reboot_says_so_first() {
    let field = Field::new();
    let ended = field.run(&["explain"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        ended
            .stdout
            .starts_with("admin does not reboot now: no reboot is required.\n"),
        "{ended:?}"
    );
}

#[test]
fn every_gate_is_named_in_order_with_what_closes_it() {
    let field = Field::new();
    fs::write(field.path("admin.required"), "").unwrap();
    fs::write(field.path("admin.disable"), "raid rebuild\n").unwrap();
    field.claim("node-a", "rebooting");
    assert_eq!(
        field
            .run(&["pause", "--for", "4h", "--reason", "upgrade"])
            .code,
        0
    );
    let more = "windows: {timezone: UTC, deny: ['2020-01-01 00:00-2090-01-01 00:00']}\n";
    let ended = run(&field.config("admin", more), &["explain"]);
    assert_eq!(
        ended.stdout.lines().next(),
        Some("admin does not reboot now; closed: kill switch, window, pause, turn.")
    );
    let folded = ended
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let mut rest = folded.as_str();
    for part in [
        "daemon none",
        "detectors open a reboot is required (required:",
        "kill switch closed",
        ": raid rebuild",
        "window closed denied by \"2020-01-01 00:00-2090-01-01 00:00\"; opens Sun 2090-01-01 00:00 UTC",
        "pause closed paused by eva@",
        ": upgrade",
        "cooldown open",
        "budget open",
        "health not run",
        "turn closed not in the queue; 1 before it: node-a",
        "Next to open by itself: pause,",
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part}\n{}", ended.stdout));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_window_is_judged_at_another_time() {
    let field = Field::new();
    let more = "windows: {timezone: UTC, allow: ['Sat 10:00-12:00']}\n";
    let config = field.config("admin", more);
    for (at, verdict) in [
        ("2026-11-28 11:00", "window open"),
        ("2026-11-28T11:00:00Z", "window open"),
        ("2026-11-28 12:00", "window closed"),
    ] {
        let ended = run(&config, &["explain", "--at", at]);
        let folded = ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(folded.contains(verdict), "{at}\n{}", ended.stdout);
    }
}

#[test]
fn a_running_daemon_is_seen() {
    let field = Field::new();
    let daemon = field.daemon("node-b");
    eventually("the daemon holds its lock", || {
        let ended = run(&field.path("node-b.yaml"), &["explain"]);
        ended.stdout.contains("  daemon       runs")
    });
    drop(daemon);
    let ended = run(&field.path("node-b.yaml"), &["explain"]);
    assert!(ended.stdout.contains("  daemon       none"), "{ended:?}");
}

/// On a terminal, which `script` of util-linux makes.
#[test]
fn release_asks_on_a_terminal() {
    let field = Field::new();
    for (answer, code, left) in [("n\n", 1, true), ("\n", 1, true), ("y\n", 0, false)] {
        field.claim("node-a", "rebooting");
        let line = format!(
            "{} release node-a --reason x --config {}",
            env!("CARGO_BIN_EXE_reboot-coordinator"),
            field.config("admin", "").display()
        );
        let child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("`script` is not installed: not tested");
            return;
        };
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(answer.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("Release the claim of node-a? [y/N]"),
            "{said}"
        );
        assert_eq!(field.get("claims/node-a").is_some(), left, "{said}");
    }
}
