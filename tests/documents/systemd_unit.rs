//! The unit that packages install, judged by systemd's own tools where they are.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const UNIT: &str = include_str!("../../debian/reboot-coordinator.service");

/// The unit with a program that exists, because the package's is not installed here.
fn unit() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reboot-coordinator.service");
    let program = env!("CARGO_BIN_EXE_reboot-coordinator");
    fs::write(&path, UNIT.replace("/usr/bin/reboot-coordinator", program)).unwrap();
    (folder, path)
}

fn analyze(arguments: &[&str], unit: &PathBuf) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(arguments).arg(unit).output().ok();
    if output.is_none() {
        println!("skipped: systemd-analyze is not installed (Debian package systemd)");
    }
    output
}

fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

#[test]
fn systemd_understands_every_line() {
    let (_folder, path) = unit();
    let verify = ["verify", "--recursive-errors=no", "--man=no"];
    let Some(output) = analyze(&verify, &path) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
}

#[test]
fn the_exposure_is_at_most_two_and_a_half() {
    let (_folder, path) = unit();
    let security = ["security", "--offline=true", "--threshold=25", "--no-pager"];
    let Some(output) = analyze(&security, &path) else {
        return;
    };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    println!("{}", said.lines().last().unwrap_or_default());
}

/// What other parts rest on.
#[test]
fn the_daemon_gets_what_it_counts_on() {
    let has = |line: &str| UNIT.lines().any(|it| it == line);
    for line in [
        "Type=notify",
        "WatchdogSec=2min",
        "RuntimeDirectory=reboot-coordinator",
        // The marker of the last completed reboot is there.
        "RuntimeDirectoryPreserve=yes",
        "StateDirectory=reboot-coordinator",
        "KillMode=mixed",
        // Exit codes of an invalid configuration and of wrong usage.
        "RestartPreventExitStatus=2 64",
        "OOMPolicy=continue",
    ] {
        assert!(has(line), "{line}");
    }
    // It would hide the kernels from the kernel detector.
    assert!(
        !UNIT
            .lines()
            .any(|it| it.starts_with("ProtectKernelModules="))
    );
    // It would hide the boot id, /proc/sys/kernel/random/boot_id.
    assert!(!UNIT.lines().any(|it| it.starts_with("ProcSubset=")));
}
