//! Every command line in every document is one that the program, or the script, takes. Those in blocks marked `sh` are also
//! run, see [`crate::typed`]; the others are shown only, and checked here.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::{blocks, collect, documents, read, root};

/// A line without its comment, as words; quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if !open => break,
            (None, '\'' | '"') => (quote, open) = (Some(c), true),
            (Some(q), c) if q == c => quote = None,
            (None, ' ') => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            // The end of a command in a pipe or list.
            (None, '|' | ';' | '&' | '>') => break,
            (_, c) => {
                open = true;
                word.push(c);
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}

/// The words of a line from the one that names a command on.
fn command(line: &str, is_it: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let words = words(line.trim_start_matches("$ ").trim_end_matches('\\'));
    let first = words.iter().position(|word| word != "sudo")?;
    is_it(&words[first]).then(|| words[first..].to_vec())
}

/// What stands between backquotes in a document's text and begins with the name of the program or a script.
fn inline(text: &str) -> Vec<String> {
    let parts = text.split('`').enumerate().filter(|(at, _)| at % 2 == 1);
    let spans = parts.map(|(_, it)| it.to_owned());
    spans
        .filter(|it| {
            (it.starts_with("reboot-coordinator ") || it.starts_with("scripts/"))
                && !it.contains('\n')
                && !it.contains('…')
        })
        .collect()
}

/// Every line of every block of code, and every command in a text, with where it stands.
fn lines_of_code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for document in documents() {
        let (text, path) = (read(&document), document.display().to_string());
        for block in blocks(&text) {
            let numbered = block.lines.into_iter().enumerate();
            found.extend(numbered.map(|(i, line)| (format!("{path}:{}", block.line + i), line)));
        }
        found.extend(inline(&text).into_iter().map(|line| (path.clone(), line)));
    }
    found
}

#[test]
fn every_line_that_calls_the_program_has_words_that_it_takes() {
    let mut seen = 0;
    for (place, line) in lines_of_code() {
        let Some(words) = command(&line, |word| word == "reboot-coordinator") else {
            continue;
        };
        let words = words.iter().map(|it| it.replace("COMMAND", "status"));
        // `--help` at the end: the line is taken apart, and nothing is done.
        let ended = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
            .args(words.skip(1))
            .arg("--help")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{place}: {line}\n{said}");
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_line_that_calls_a_script_of_ours_has_flags_that_its_help_names() {
    let mut help: BTreeMap<String, String> = BTreeMap::new();
    for (place, line) in lines_of_code() {
        let Some(words) = command(&line, |word| word.starts_with("scripts/")) else {
            continue;
        };
        let script = root().join(&words[0]);
        assert!(script.is_file(), "{place}: there is no {}", words[0]);
        let text = help
            .entry(words[0].clone())
            .or_insert_with(|| flags_of(&words[0]));
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(
                text.contains(flag.as_str()),
                "{place}: {} knows no {flag}",
                words[0]
            );
        }
    }
}

/// Where a script names its flags: its own text, and the sources of the package it hands them to, since calling it for its
/// help may build something first.
fn flags_of(script: &str) -> String {
    let mut text = read(script);
    for package in ["chaos", "demo", "fleet", "mutants", "simulation"] {
        if text.contains(package) {
            let mut files = Vec::new();
            collect(
                &root().join("tests").join(package).join("src"),
                "rs",
                &mut files,
            );
            text.extend(files.iter().map(read));
        }
    }
    text
}
