//! Hosts as they are out there: each text file of this folder is one, made anew in a folder and judged by the kernel detector.
//!
//! A file holds a title, where the case comes from (`source:`), the running release, the expected answer (`clear`, `required
//! NAME` or `error WORDS`), and what is in the file system: a path a line, a folder with a `/` at its end, a link as
//! `PATH -> TARGET`; lines that begin with `|` are what stands in the file before them. A new case is a new file.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::detect::kernel::check;

struct Case<'a> {
    title: &'a str,
    running: &'a str,
    expect: &'a str,
    listing: Vec<&'a str>,
}

fn case(text: &str) -> Case<'_> {
    let mut lines = text.lines();
    let mut next = |word: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(word)
            .unwrap_or_else(|| panic!("{line:?} does not begin with {word:?}"))
            .trim()
    };
    let title = next("# ");
    assert!(!next("source: ").is_empty());
    let (running, expect) = (next("running: "), next("expect: "));
    Case {
        title,
        running,
        expect,
        listing: lines.collect(),
    }
}

/// Makes the host's files below `root`. Links are as they are there, so they have to be relative.
fn make(root: &Path, case: &Case<'_>) {
    let at = |path: &str| root.join(path.strip_prefix('/').unwrap());
    let parent = |path: &Path| fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut last = None;
    for line in &case.listing {
        if let Some(text) = line.strip_prefix('|') {
            let mut file = OpenOptions::new().append(true).open(at(last.unwrap()));
            writeln!(
                file.as_mut().unwrap(),
                "{}",
                text.strip_prefix(' ').unwrap_or(text)
            )
            .unwrap();
        } else if let Some((path, target)) = line.split_once(" -> ") {
            assert!(!target.starts_with('/'), "{line}");
            parent(&at(path));
            // The folder that a link names may come later in the list.
            if !target.contains('.') && target.contains("usr/") {
                fs::create_dir_all(root.join(target)).unwrap();
            }
            symlink(target, at(path)).unwrap();
        } else if line.ends_with('/') {
            fs::create_dir_all(at(line)).unwrap();
        } else {
            parent(&at(line));
            fs::write(at(line), "").unwrap();
            last = Some(*line);
        }
    }
    let osrelease = at("/proc/sys/kernel/osrelease");
    parent(&osrelease);
    fs::write(osrelease, format!("{}\n", case.running)).unwrap();
}

fn judged(case: &Case<'_>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), case);
    let (found, target) = check(folder.path());
    let (wanted, words) = case.expect.split_once(' ').unwrap_or((case.expect, ""));
    let fits = match (&found, wanted) {
        (DetectorResult::Clear, "clear") => true,
        (DetectorResult::Required(why), "required") => {
            why.split([' ', ',']).any(|word| word == words) && words != case.running
        }
        (DetectorResult::Failed(why), "error") => why.contains(words),
        _ => false,
    };
    // What is no longer installed says nothing certain of what is started instead.
    let sure = matches!(&found, DetectorResult::Required(why) if why.starts_with("kernel "));
    let named = target.as_deref().is_none_or(|target| target == words);
    if fits && named && target.is_some() == sure {
        return Ok(());
    }
    Err(format!(
        "expected {}, found {found:?} to boot {target:?}",
        case.expect
    ))
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts");
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let mut files: Vec<PathBuf> = texts.collect();
    files.sort();
    files
}

#[test]
fn every_host_gets_its_answer() {
    let files = files();
    assert!(files.len() >= 260, "{} cases are left", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let case = case(&text);
        if let Err(why) = judged(&case) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!("{name} ({}): {why}", case.title));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_answer_is_noticed() {
    let of = |expect: &str| {
        let text = format!(
            "# x\nsource: y\nrunning: 6.1.0-9-amd64\nexpect: {expect}\n/boot/vmlinuz-6.1.0-9-amd64\n/boot/vmlinuz-6.1.0-10-amd64\n"
        );
        judged(&case(&text))
    };
    assert_eq!(of("required 6.1.0-10-amd64"), Ok(()));
    for expect in [
        "clear",
        "required 6.1.0-9-amd64",
        "required 6.1.0-10",
        "error no",
    ] {
        assert!(of(expect).is_err(), "{expect}");
    }
}
