//! Names in the text of documents, as in `hold_timeout_sec`, are names of the program.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{blocks, documents, read, root};

/// Names of other programs, parts of a file's name, and the beginning of a test's name.
const FOREIGN: [&str; 4] = [
    "coordinator_0",
    "pg_isready",
    "ureq_proto",
    "whatever_the_limit",
];

/// Every word with an underscore in a text, in small letters, as fields, events, metrics and keys are written.
fn names(text: &str) -> BTreeSet<String> {
    let part_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.contains('_') && word.chars().all(part_of_name))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

/// `NotBack` as `not_back`.
fn snake(text: &str) -> String {
    let mut made = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            made.push('_');
        }
        made.push(c.to_ascii_lowercase());
        before = c;
    }
    made
}

/// All that is in the repository and no document for people: the program, scripts, tests, examples, packaging.
fn code() -> String {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            ".",
            ":!*.md",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let files = String::from_utf8(output.stdout).unwrap();
    let texts = files
        .split('\0')
        .map(|file| std::fs::read(root().join(file)));
    let texts: Vec<String> = texts
        .filter_map(|bytes| String::from_utf8(bytes.ok()?).ok())
        .collect();
    texts.concat()
}

#[test]
fn every_name_in_the_text_of_a_document_is_one_in_the_code() {
    let code = code();
    // Records and states are written as serde turns the names of variants.
    let known = &names(&code) | &names(&snake(&code));
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        let text = read(&document);
        let spans = text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        let yaml = blocks(&text)
            .into_iter()
            .filter(|it| it.language == "yaml" || it.language.is_empty());
        let code: Vec<String> = yaml.flat_map(|block| block.lines).collect();
        for name in names(
            &spans
                .chain(code.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" "),
        ) {
            seen += 1;
            if !known.contains(&name) && !FOREIGN.contains(&name.as_str()) {
                wrong.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert!(
        wrong.is_empty(),
        "these are no names of the program: {wrong:#?}"
    );
}
