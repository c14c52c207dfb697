//! Configurations as people write them, with what `validate-config` says: each file of this folder is a case.
//!
//! A case begins with a title as a comment and the expected lines, each behind `#> `: the problems of a file that is refused,
//! or `valid` and the warnings of one that is not. `DIR` is the folder of the file and of its health script. What stands
//! behind the first line without `#` is the rest of the file. A new case is a new file.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// What `validate-config` says of a text: its problems, or `valid` and its warnings.
fn answer(text: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().to_str().unwrap();
    let script = folder.path().join("health.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, replaced(text, shown)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
        .arg("validate-config")
        .arg("--config")
        .arg(&path)
        .env_remove("TZ")
        .output()
        .unwrap();
    let (stdout, stderr) = (text_of(output.stdout), text_of(output.stderr));
    let warnings = stdout.lines().filter(|line| line.starts_with("warning: "));
    let lines: Vec<&str> = match output.status.code() {
        Some(0) => std::iter::once("valid").chain(warnings).collect(),
        Some(2) => stderr.lines().collect(),
        other => panic!("{other:?}: {stderr}"),
    };
    lines
        .iter()
        .map(|line| line.replace(shown, "DIR"))
        .collect()
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// With the folder for `DIR`; the rest may be no text.
fn replaced(text: &[u8], folder: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(3).position(|part| part == b"DIR") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(folder.as_bytes());
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    out
}

/// The expected lines at the head of a case.
fn expected(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let head = text
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("#> "));
    head.map(str::to_owned).collect()
}

#[test]
fn every_configuration_is_answered_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations");
    let (mut cases, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        cases += 1;
        let text = fs::read(&path).unwrap();
        // The expected lines are no part of the file that is judged.
        let keep = |line: &&[u8]| !line.starts_with(b"#> ");
        let judged: Vec<&[u8]> = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(keep)
            .collect();
        let (wanted, found) = (expected(&text), answer(&judged.concat()));
        if std::env::var_os("UPDATE_CASES").is_some() {
            let mut lines = judged.into_iter();
            let mut new = lines.next().unwrap_or_default().to_vec();
            new.extend(
                found
                    .iter()
                    .flat_map(|line| format!("#> {line}\n").into_bytes()),
            );
            new.extend(lines.flatten());
            fs::write(&path, new).unwrap();
        } else if wanted != found {
            wrong.push(format!(
                "{}\n  wanted {wanted:#?}\n  found {found:#?}",
                path.display()
            ));
        }
    }
    assert!(cases >= 60, "{cases} cases are left");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
