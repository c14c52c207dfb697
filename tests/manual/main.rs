//! The manual pages and completions that packages ship are what the program's tables and the documentation say. All of them are
//! written again with `UPDATE_DOCS=1 cargo test --test manual`.

#![allow(clippy::unwrap_used)] // helpers of tests count as tests

mod completions;
mod man;
mod man_configuration;
mod roff;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use reboot_coordinator::config::FIELDS;

const PAGES: [&str; 2] = ["reboot-coordinator.8", "reboot-coordinator.yaml.5"];

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name)
}

/// Whether the file is `made`, written again first when that is asked for.
fn stands_as(name: &str, made: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(shipped(name), made).unwrap();
    }
    let stands = fs::read_to_string(shipped(name)).unwrap_or_default();
    assert!(
        stands == made,
        "docs/{name} is not what the program makes; write it again with `UPDATE_DOCS=1 cargo test --test manual`"
    );
}

#[test]
fn the_page_of_the_program_is_up_to_date() {
    stands_as(PAGES[0], &man::page());
}

#[test]
fn the_page_of_the_configuration_is_up_to_date_and_has_every_field() {
    let markdown = fs::read_to_string(shipped("configuration.md")).unwrap();
    let page = man_configuration::page(&markdown);
    stands_as(PAGES[1], &page);
    for (path, _) in FIELDS {
        let tag = format!(".TP\n\\fB{}\\fR\n", path.replace('-', "\\-"));
        assert!(page.contains(&tag), "{path}");
    }
}

#[test]
fn the_completions_are_up_to_date() {
    for (shell, name) in completions::SHELLS {
        stands_as(name, &completions::script(shell));
    }
}

#[test]
fn troff_has_nothing_to_complain_about() {
    for page in PAGES {
        let checked = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(shipped(page))
            .env("MANROFFSEQ", "")
            .env("LC_ALL", "C.UTF-8")
            .output();
        let Ok(checked) = checked else {
            eprintln!("man is not installed: not checked");
            return;
        };
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.success() && said.is_empty(),
            "{page}: {said}"
        );
    }
}
