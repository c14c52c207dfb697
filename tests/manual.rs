//! The manual page is what the program's tables say.

#![allow(clippy::unwrap_used)] // helpers of tests count as tests

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn page_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reboot-coordinator.8")
}

#[test]
fn the_page_is_up_to_date() {
    let made = reboot_coordinator::cli::man::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page_file(), &made).unwrap();
    }
    let stands = fs::read_to_string(page_file()).unwrap_or_default();
    assert!(
        stands == made,
        "docs/reboot-coordinator.8 is not what the tables say; write it again with `UPDATE_DOCS=1 cargo test --test manual`"
    );
}

#[test]
fn troff_has_nothing_to_complain_about() {
    let checked = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
        .arg(page_file())
        .env("MANROFFSEQ", "")
        .env("LC_ALL", "C.UTF-8")
        .output();
    let Ok(checked) = checked else {
        eprintln!("man is not installed: not checked");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
