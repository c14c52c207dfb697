//! First tries that are no YAML, or mean something else in it, with the words that answer them.

use super::*;

/// Each row: a whole file, the place of its first problem, and what is said.
const ANSWERED: &[(&str, &str, &str)] = &[
    (
        "windows:\n  allow:\n    - * 02:00-04:00\n",
        "3: column 8",
        "write - \"* 02:00-04:00\";",
    ),
    (
        "windows:\n  allow: [Mon 1:00-2:00, * 02:00-04:00]\n",
        "2: column 27",
        "write allow: [Mon 1:00-2:00, \"* 02:00-04:00\"];",
    ),
    (
        "windows:\n  allow:\n  - *02:00-04:00 # nightly\n",
        "3: column 5",
        "write - \"*02:00-04:00\" # nightly;",
    ),
    (
        "node_name: %H\n",
        "1: column 12",
        "write node_name: \"%H\";",
    ),
    (
        "node_name: @web\n",
        "1: column 12",
        "write node_name: \"@web\";",
    ),
    (
        "node_name: `hostname`\n",
        "1: column 12",
        "in YAML; write node_name: \"`hostname`\";",
    ),
    (
        "node_name: !vault x\n",
        "1: column 12",
        "write node_name: \"!vault x\";",
    ),
    (
        "node_name: {{ name }}\n",
        "1: column 13",
        "fill in the template, or put the whole of it in quotes",
    ),
    (
        "%H: 1\n",
        "1: column 3",
        "a line that begins with % is no field",
    ),
    (
        "node_name: a\n%YAML 1.1\nlock_key: /a\n",
        "2: column 1",
        "a line that begins with % is no field",
    ),
    (
        "node_name: a\nlog:\n  level: info\n  [a]: 4\n",
        "4: column 3",
        "the line reads: [a]: 4",
    ),
    (
        "node_name: a\n? {a: b}\n: 4\n",
        "2: column 3",
        "the line reads: ? {a: b}",
    ),
    (
        "log:\n  level: info\n\tformat: text\n",
        "3: column 1",
        "use spaces alone",
    ),
    (
        "lock_key: /a\nnode_name:web\n",
        "2: column 1",
        "a space and the value; the line reads: node_name:web",
    ),
    (
        "log:\n  level: info\n   format: text\n",
        "3: column 10",
        "correct the indent",
    ),
    (
        "log:\n   level: info\n  format: text\n",
        "3: column 3",
        "the indent does not fit",
    ),
    (
        "lock_key: /a\nnode_name: \"a\nhealth_script: /b\n",
        "2: column 12",
        "a quote is opened here and not closed",
    ),
    ("node_name: \"a\\d\"\n", "1: column", "use single quotes"),
    (
        "node_name: \"a\" b\n",
        "1: column 16",
        "put the whole of it in quotes",
    ),
    (
        "etcd_endpoints: [a:1, b:2\nlock_key: /a\n",
        "2: column 9",
        "a bracket is not closed",
    ),
    (
        "a: - b\n",
        "1: column 4",
        "a list begins on a line of its own",
    ),
    (
        "<<: *base\n",
        "1: column 5",
        "* at the beginning of a value",
    ),
    (
        "x: 1\ny: 1\nnode_name: a\0b\n",
        "3: column 13",
        "the control character 0x00 cannot be here",
    ),
    (
        "node_name: é\u{1b}[31m\n",
        "1: column 13",
        "0x1b cannot be here; remove it",
    ),
    ("# \u{7f}\n", "1: column 3", "0x7f"),
    (
        "node_name: a\n---\nlock_key: b\n",
        "2: column 1",
        "a second document begins here",
    ),
    (
        "# x\n---\nnode_name: a\n...\n# y\nx: 1\n",
        "6: column 1",
        "a second document begins here",
    ),
    (
        "---\n---\nnode_name: a\n",
        "2: column 1",
        "a second document begins here",
    ),
    (
        "a:\n  - x\n - |\n  y\n",
        "3: column 2",
        "the indent does not fit",
    ),
    (
        "a:\n  - x\n - |- # c\n  y\n",
        "3: column 2",
        "the indent does not fit",
    ),
    ("a: > 5\nb: 1\n", "1: column 6", "in YAML; write a: \"> 5\""),
    (
        "a:\n  - |\n    x\n    \u{a0}y\nnode_name:web\n",
        "5: column 1",
        "a space and the value; the line reads: node_name:web",
    ),
    (
        "a:\n  - |\n    x\n    \u{a0}y\nlog:\n  \u{a0}level: info\n",
        "6: column 3",
        "U+00A0 in the indent",
    ),
    (
        "node_name:web\nx: 1\na: |\n  \u{a0}y\n",
        "2: column 2",
        "no space after the colon of the line before",
    ),
    (
        "\u{a0}node_name: a\n",
        "1: column 1",
        "U+00A0 in the indent",
    ),
    (
        "node_name: a\nx:\u{a0}true\n",
        "2: column 1",
        "U+00A0 behind the colon of line 2 only looks like a space",
    ),
    (
        "node_name:\u{a0}a\nx: 1\n",
        "2: column 2",
        "U+00A0 behind the colon of line 1 only looks like a space",
    ),
    (
        "node_name = a\nlock_key = b\n",
        "",
        "write each as `name: value`",
    ),
    (
        "[section]\nnode_name = a\n",
        "",
        "write each as `name: value`",
    ),
];

#[test]
fn what_is_no_yaml_is_answered_in_our_words() {
    let fixture = Fixture::new();
    for (text, place, said) in ANSWERED {
        let problem = fixture.problems(text).remove(0);
        let wanted = format!("config.yaml:{place}");
        assert!(
            problem.starts_with(&wanted),
            "{text}\n{problem}\nis not at {place}"
        );
        assert!(
            problem.contains(said),
            "{text}\n{problem}\ndoes not contain\n{said}"
        );
    }
}

#[test]
fn one_document_may_have_its_marks() {
    for text in ["---\n", "%YAML 1.1\n---\n", "# a\n\n---\n# b\n"] {
        Fixture::new().load(&format!("{text}{LEAST}...\n")).unwrap();
    }
}

#[test]
fn a_file_in_another_encoding_is_named_with_the_line() {
    let fixture = Fixture::new();
    let path = fixture.file("config.yaml", "", 0o644);
    fs::write(&path, b"lock_key: /a\nnode_name: M\xfcnchen\n").unwrap();
    let problems = fixture.lines(&load_on(&path, &fixture.host(), &fixture.last).unwrap_err());
    assert!(
        problems[0].starts_with("config.yaml:2: is not text in UTF-8"),
        "{problems:?}"
    );
}

#[test]
fn a_null_or_an_empty_list_of_a_drop_in_is_blamed_on_it() {
    for (content, line) in [
        ("etcd_endpoints: null\n", 1),
        ("# x\netcd_endpoints: []\n", 2),
        ("health_timeout_sec: 80\n", 1),
    ] {
        let fixture = Fixture::new();
        fixture.file("config.d/50-site.yaml", content, 0o644);
        let problems = fixture.problems(LEAST);
        let wanted = format!("config.d/50-site.yaml:{line}: ");
        assert!(
            problems.len() == 1 && problems[0].starts_with(&wanted),
            "{problems:?}"
        );
    }
}

/// The line is shown, and goes into the log at a reload.
#[test]
fn a_line_that_is_no_yaml_shows_no_secret_and_is_bounded() {
    let long = format!("node_name: a\nx: {}\n", "[".repeat(5000));
    for line in [
        "http: [{url: \"https://u:S3CRET@host/x?t=S3CRET\", codes: [200}]\n",
        "http: [{url: http://host/x#S3CRET, codes: [200}]\n",
        "etcd_auth: {username: u, password: \"S3CRET\n",
        "cmd: [curl, -H, \"Authorization: Bearer S3CRET\n",
        "cmd: [x, \"--token: S3CRET\", * a]\n",
        "etcd_auth: {\"username\": \"u\", \"password\": \"S3CRET\n",
        "cmd: [x, --token=S3CRET, * a]\n",
        "http: [{url: \"https://u:a,S3CRET]@host/x\", codes: [200}]\n",
        "a: 1\nurl:\u{a0}https://u:S3CRET@host/x\n",
        &long,
    ] {
        let problems = Fixture::new().problems(line).join("\n");
        assert!(problems.contains("the line reads: "), "{problems}");
        assert!(!problems.contains("S3CRET"), "{problems}");
        assert!(problems.len() < 1000, "{problems}");
    }
}
