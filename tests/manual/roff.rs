//! Pieces of manual pages, in the `man` macros of troff.

use std::fmt::Write as _;

/// A page in the making.
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn section(&mut self, name: &str) {
        let _ = writeln!(self.0, ".SH {name}");
    }

    /// Paragraphs apart by an empty line.
    pub(crate) fn paragraphs(&mut self, text: &str) {
        let paragraphs: Vec<String> = text.split("\n\n").map(escaped).collect();
        let _ = writeln!(self.0, "{}", paragraphs.join("\n.PP\n"));
    }

    /// An item of a list.
    pub(crate) fn item(&mut self, text: &str) {
        let _ = writeln!(self.0, ".IP \\(bu 2\n{}", escaped(text));
    }

    /// A tag, ready to print, and a text.
    pub(crate) fn tagged(&mut self, tag: &str, text: &str) {
        let _ = writeln!(self.0, ".TP\n{tag}\n{}", escaped(text));
    }
}

pub(crate) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

pub(crate) fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escaped(text))
}

/// Text that troff prints as it is, with what stands in backticks in bold. A hyphen would become a typographic one, which
/// nobody can paste into a shell.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for (index, letter) in text.chars().enumerate() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '.' if index == 0 => out.push_str("\\&."),
            '…' => out.push_str("..."),
            '`' => {
                code = !code;
                out.push_str(if code { "\\fB" } else { "\\fR" });
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_printed_as_it_is() {
        assert_eq!(escaped("a-b\\c 'd'"), "a\\-b\\ec \\(aqd\\(aq");
        assert_eq!(escaped(".hidden"), "\\&.hidden");
        assert_eq!(escaped("use `status`"), "use \\fBstatus\\fR");
        assert_eq!(escaped("${RC_…}"), "${RC_...}");
    }
}
