//! Text for people: aligned columns that fit a terminal, colours when wanted, and nothing that a terminal would obey.

use crate::escape::is_hidden;

/// How wide output for people is.
pub(crate) const WIDTH: usize = 80;

/// The last column is never narrower, however long the names before it are.
const LAST_COLUMN: usize = 24;

/// What a piece of text means, and so its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// To be noticed.
    Notice,
    /// Wrong.
    Bad,
    /// Of less interest.
    Dim,
    /// A heading.
    Heading,
}

impl Tone {
    /// A fixed name for programs, the code of its colour for terminals, and its class on the page.
    pub(crate) fn shown(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Tone::Good => ("good", "32", "good"),
            Tone::Notice => ("notice", "33", "note"),
            Tone::Bad => ("bad", "31", "bad"),
            Tone::Dim => ("plain", "2", "dim"),
            Tone::Heading => ("plain", "1", ""),
            Tone::Plain => ("plain", "", ""),
        }
    }
}

/// The text in the colour of its meaning, which is taken away again where it is printed and nobody wants it.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    let (_, code, _) = tone.shown();
    if code.is_empty() || text.is_empty() {
        return text.to_owned();
    }
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A cell of a [`table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// A cell.
pub(crate) fn cell(tone: Tone, text: impl Into<String>) -> Cell {
    let text = text.into();
    Cell { text, tone }
}

/// A cell without a tone.
pub(crate) fn plain(text: impl Into<String>) -> Cell {
    cell(Tone::Plain, text)
}

/// Text without what a terminal could take for commands, or a reader would not see; each is one character wide.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Rows as lines: their columns are aligned, and the last one is wrapped. They begin this far to the right. What comes from etcd is
/// somebody else's text: control characters are replaced.
pub(crate) fn table<R: Into<Vec<Cell>>>(
    indent: usize,
    rows: impl IntoIterator<Item = R>,
) -> Vec<String> {
    let mut rows: Vec<Vec<Cell>> = rows.into_iter().map(Into::into).collect();
    for cell in rows.iter_mut().flatten() {
        cell.text = clean(&cell.text);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.saturating_sub(1))
        .map(|column| {
            let cells = rows.iter().filter(|row| row.len() > column + 1);
            let widths = cells.map(|row| width(&row[column].text));
            // One that leaves no room for the last column moves its own row only.
            let widths = widths.filter(|it| *it <= WIDTH - LAST_COLUMN);
            widths.max().unwrap_or(0)
        })
        .collect();
    let lines = |row: &Vec<Cell>| row_lines(indent, row, &widths);
    rows.iter().flat_map(lines).collect()
}

/// Names of facts, and the facts.
pub(crate) fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> Vec<String> {
    let row = |(name, text)| [cell(Tone::Dim, name), plain(text)];
    table(2, facts.into_iter().map(row))
}

fn row_lines(indent: usize, row: &[Cell], widths: &[usize]) -> Vec<String> {
    let Some((last, others)) = row.split_last() else {
        return vec![String::new()];
    };
    let mut line = " ".repeat(indent);
    let mut column = indent;
    for (cell, wanted) in others.iter().zip(widths) {
        let padding = wanted - width(&cell.text).min(*wanted) + 2;
        line.push_str(&paint(cell.tone, &cell.text));
        line.push_str(&" ".repeat(padding));
        column += width(&cell.text) + padding;
    }
    let room = WIDTH.saturating_sub(column).max(LAST_COLUMN);
    let mut lines = Vec::new();
    for part in wrap(&last.text, room) {
        let start = std::mem::replace(&mut line, " ".repeat(column));
        let full = start + &paint(last.tone, &part);
        lines.push(full.trim_end().to_owned());
    }
    lines
}

/// A sentence in lines that fit a terminal.
pub(crate) fn folded(text: &str) -> String {
    wrap(&clean(text), WIDTH).join("\n")
}

/// Breaks a text at spaces into lines of at most `room` characters; a longer word stays whole, because it is a path or a name
/// that somebody will copy. At least one line.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_wrapped() {
        let long = "word ".repeat(20);
        let rows = [["a", "queued", "short"], ["node-b", "x", long.trim()]];
        let lines = table(2, rows.map(|row| row.map(plain)));
        assert_eq!(lines[0], "  a       queued  short");
        assert!(lines[1].starts_with("  node-b  x       word word"));
        assert!(lines[2].starts_with("                  word"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_name_as_long_as_may_be_moves_no_other_row() {
        let long = "x".repeat(253);
        let rows = [["a", "1", "short"], [&long, "2", "short"]];
        let lines = table(2, rows.map(|row| row.map(plain)));
        assert_eq!(lines[0], "  a  1  short");
        assert_eq!(lines[1], format!("  {long}  2  short"));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = [
            [cell(Tone::Good, "ok"), plain("x")],
            [cell(Tone::Bad, "closed"), plain("y")],
        ];
        let lines = table(0, rows);
        assert_eq!(lines[0], "\x1b[32mok\x1b[0m      x");
        assert_eq!(lines[1], "\x1b[31mclosed\x1b[0m  y");
    }

    #[test]
    fn no_text_from_elsewhere_commands_the_terminal() {
        let lines = table(0, [["a\x1b[2Jb", "c\nd\u{9b}"].map(plain)]);
        assert_eq!(lines, ["a\u{fffd}[2Jb  c\u{fffd}d\u{fffd}"]);
    }

    #[test]
    fn long_words_stay_whole() {
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(
            wrap("a /a/very/long/path b", 8),
            ["a", "/a/very/long/path", "b"]
        );
    }
}
