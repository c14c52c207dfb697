//! A record as a line of JSON and of text: fields, limits, and what must not reach a terminal.

use super::*;
use log::kv::ToValue;

const TS: &str = "2026-01-02T03:04:05.678Z";
const PLAIN: Style = Style {
    colour: false,
    journal: false,
};

type Pairs<'a> = &'a [(&'a str, Value<'a>)];

fn with<T>(level: Level, msg: &str, kvs: Pairs<'_>, render: impl Fn(&Record<'_>) -> T) -> T {
    let args = format_args!("{msg}");
    render(
        &Record::builder()
            .level(level)
            .target("module")
            .args(args)
            .key_values(&kvs)
            .build(),
    )
}

fn json_of(msg: &str, kvs: Pairs<'_>) -> String {
    with(Level::Warn, msg, kvs, |record| json(record, "n1", TS))
}

fn text_of(msg: &str, kvs: Pairs<'_>) -> String {
    with(Level::Warn, msg, kvs, |record| text(record, TS, PLAIN))
}

/// One line, and JSON.
fn parsed(line: &str) -> serde_json::Value {
    assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
    assert!(line.len() <= LINE_LIMIT, "{}", line.len());
    serde_json::from_str(line).unwrap()
}

#[test]
fn json_has_the_five_fields_first_and_keeps_types() {
    let line = json_of(
        "health \"failed\"\n",
        &[
            ("exit_code", (-3).to_value()),
            ("event", "health_check".to_value()),
            ("duration_ms", 1234u64.to_value()),
            ("ratio", 0.5.to_value()),
            ("ok", false.to_value()),
            ("stdout", "a\tb".to_value()),
            ("big", u128::MAX.to_value()),
            ("nan", f64::NAN.to_value()),
        ],
    );
    let expected = concat!(
        r#"{"ts":"2026-01-02T03:04:05.678Z","level":"warn","node":"n1","event":"health_check","#,
        r#""msg":"health \"failed\"\n","exit_code":-3,"duration_ms":1234,"ratio":0.5,"ok":false,"#,
        r#""stdout":"a\tb","big":340282366920938463463374607431768211455,"nan":"NaN"}"#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_record_without_event_is_named_by_its_module_and_no_name_appears_twice() {
    let twice = [
        ("node", "other".to_value()),
        ("x", 1.to_value()),
        ("x", 2.to_value()),
        ("x", 3.to_value()),
    ];
    let line = json_of("m", &twice);
    assert!(line.ends_with(
        r#""node":"n1","event":"module","msg":"m","node_":"other","x":1,"x_":2,"x__":3}
"#
    ));
    let number = json_of("m", &[("event", 5.to_value())]);
    assert!(
        number.contains(r#""event":"module","msg":"m","event_":5"#),
        "{number}"
    );
}

#[test]
fn text_is_one_line_whatever_is_in_it() {
    let line = text_of(
        "two\nlines \u{1b}[31m red \u{202e}",
        &[
            ("event", "e".to_value()),
            ("n", 1.to_value()),
            ("plain", "a-b/c:d".to_value()),
            ("empty", "".to_value()),
            ("spaces", "a b".to_value()),
            ("quote", "say \"hi\"=\\".to_value()),
            ("lines", "é\r\n".to_value()),
        ],
    );
    let expected = concat!(
        r"2026-01-02T03:04:05.678Z warn  two\nlines \u{1b}[31m red \u{202e} event=e n=1 plain=a-b/c:d ",
        r#"empty="" spaces="a b" quote="say \"hi\"=\\" lines="é\r\n""#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn levels_are_prefixed_for_the_journal_and_coloured_for_terminals() {
    let rows = [
        (Level::Error, "<3>", "31"),
        (Level::Warn, "<4>", "33"),
        (Level::Info, "<6>", "32"),
        (Level::Debug, "<7>", "2"),
        (Level::Trace, "<7>", "2"),
    ];
    for (level, prefix, colour) in rows {
        let journal = with(level, "m", &[], |r| {
            text(
                r,
                TS,
                Style {
                    colour: false,
                    journal: true,
                },
            )
        });
        assert!(journal.starts_with(&format!("{prefix}{TS} ")), "{journal}");
        let terminal = with(level, "m", &[], |r| {
            text(
                r,
                TS,
                Style {
                    colour: true,
                    journal: false,
                },
            )
        });
        assert!(
            terminal.contains(&format!("\x1b[{colour}m")) && terminal.contains("\x1b[0m"),
            "{terminal:?}"
        );
    }
}

#[test]
fn long_values_are_cut_and_say_by_how_much() {
    let long = "x".repeat(64 * 1024);
    let line = json_of(
        "m",
        &[("stdout", long.to_value()), ("exit_code", 1.to_value())],
    );
    let stdout = parsed(&line)["stdout"].as_str().unwrap().to_string();
    assert_eq!(
        stdout,
        format!(
            "{}… ({} more bytes)",
            "x".repeat(VALUE_LIMIT),
            64 * 1024 - VALUE_LIMIT
        )
    );
    assert_eq!(parsed(&line)["exit_code"], 1);
    let text = text_of("m", &[("stdout", long.to_value())]);
    assert!(text.len() < VALUE_LIMIT + 200 && text.contains("more bytes"));
}

#[test]
fn the_worst_values_still_make_one_short_line() {
    for filler in [
        "\0",
        "\u{1f}",
        "\"",
        "\\",
        "é",
        "\u{10ffff}",
        "\u{7f}",
        "\u{202e}",
        "\n",
    ] {
        let long = filler.repeat(64 * 1024);
        let names: Vec<String> = (0..20).map(|n| format!("field{n}")).collect();
        let kvs: Vec<(&str, Value<'_>)> = names
            .iter()
            .map(|name| (name.as_str(), long.to_value()))
            .collect();
        let line = json_of(&long, &kvs);
        let value = parsed(&line);
        assert_eq!(value["cut"], true, "{filler:?}");
        assert!(
            value["field2"].as_str().unwrap().contains("more bytes"),
            "{filler:?}"
        );
        let line = text_of(&long, &kvs);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{filler:?}");
        assert!(
            line.len() <= LINE_LIMIT && line.ends_with(" cut=true\n"),
            "{filler:?} {}",
            line.len()
        );
    }
}
