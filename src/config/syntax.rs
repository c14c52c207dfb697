//! What is wrong with a text that is no YAML, and what to write instead: the parser's own words lead nobody on.

/// Why a text is no YAML.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    /// Line and column, counted from 1, where known.
    pub(super) place: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub(super) message: String,
}

/// How deeply brackets may be nested. The parser takes time that grows with the square of it, and a configuration needs four.
const DEEPEST: usize = 64;

/// Characters that mean something to YAML when a value begins with them.
const SPECIAL: &[char] = &['*', '&', '%', '@', '`', '!', '|', '>', '?'];

/// What comes with text that is copied from a page or typed with another key: YAML takes them for letters.
pub(super) const ODD_SPACES: &[char] = &[
    '\u{a0}', '\u{2002}', '\u{2003}', '\u{2007}', '\u{2009}', '\u{200b}', '\u{202f}', '\u{2060}',
    '\u{3000}', '\u{feff}',
];

/// What is said, with its place, where the parser took such an indent for a part of a word.
pub(super) const ODD_INDENT: &str = "odd indent at line ";

const QUOTE: &str = "the text goes on behind a value; put the whole of it in quotes";
const DIRECTIVE: &str =
    "a line that begins with % is no field; remove it, or put a value in quotes";
const SECOND: &str = "a second document begins here, and a configuration is one; remove `---` or `...`, or put what follows into a file in config.d";
const UNCLOSED: &str =
    "a bracket is not closed, or a comma or the quotes around a text are missing; correct it";
const INDENT: &str = "the indent does not fit the lines before it; fields and items of one level begin in the same column, with spaces";

/// Words of the parser, and ours.
const MEANINGS: &[(&str, &str)] = &[
    (
        "unknown escape",
        "in double quotes a \\ means something; use single quotes",
    ),
    (
        "more than one document",
        "is no list of fields; write each as `name: value`",
    ),
    (
        "quoted scalar at",
        "a quote is opened here and not closed; close it, in the same line",
    ),
    ("unexpected end of stream", UNCLOSED),
    ("scanning a directive", DIRECTIVE),
    (
        "tab character",
        "a tab stands in the indent; use spaces alone",
    ),
    ("expected ',' or", UNCLOSED),
    ("expected comment or line break", QUOTE),
    (
        "scanning a simple key",
        "is no `name: value`; write the name, a colon, a space and the value",
    ),
    (
        "mapping values are not allowed",
        "a second `: `, a wrong indent, or no space after the colon of the line before; put the value in quotes, or correct the indent or the colon",
    ),
    (
        "sequence entries are not allowed",
        "a list begins on a line of its own; write it below, or as [a, b]",
    ),
    (
        "plain name",
        "braces or brackets make a map or list of it; fill in the template, or put the whole of it in quotes",
    ),
    ("expected key", INDENT),
    ("expected '-' indicator", INDENT),
    ("expected <document start>", INDENT),
    (
        "unknown anchor",
        "an alias of something that is not there; put the value in quotes",
    ),
    (
        "repetition limit",
        "aliases repeat too much; write the values out",
    ),
];

/// What the parser does not tell, or not where: found before it is asked.
pub(super) fn before_parsing(text: &str) -> Result<(), SyntaxError> {
    let (mut open, mut content, mut ended) = (0_usize, false, false);
    for (line, shown) in (1..).zip(text.split('\n')) {
        let begins = shown.trim_end() == "---" || shown.starts_with("--- ");
        let is_content = !begins && !shown.trim().is_empty() && !shown.starts_with(['#', '%']);
        let refused = |column: usize, message: &str| {
            Err(SyntaxError {
                place: Some((line, column)),
                message: message.to_owned(),
            })
        };
        if content && shown.starts_with('%') {
            return refused(1, DIRECTIVE);
        }
        if (begins && content) || (is_content && ended) {
            return refused(1, SECOND);
        }
        content |= begins || is_content;
        ended |= content && shown.trim_end() == "...";
        for (column, letter) in (1..).zip(shown.chars()) {
            match letter {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                '\t' | '\r' | '\u{85}' => {}
                '\u{fffe}' | '\u{ffff}' => {
                    let message = format!("the character {letter:?} cannot be here; remove it");
                    return refused(column, &message);
                }
                control if control.is_control() => {
                    let number = u32::from(control);
                    let what = format!("the control character 0x{number:02x}");
                    return refused(column, &format!("{what} cannot be here; remove it"));
                }
                _ => {}
            }
            if open > DEEPEST {
                let message = format!("brackets are nested more than {DEEPEST} deep");
                return refused(column, &message);
            }
        }
    }
    Ok(())
}

/// What this line begins with where its indent has one of these.
pub(super) fn odd_indent(text: &str, line: usize) -> Option<char> {
    let line = text.split('\n').nth(line.checked_sub(1)?)?;
    let first = line.trim_start_matches([' ', '\t']).chars().next();
    first.filter(|letter| ODD_SPACES.contains(letter))
}

/// The parser's error with our words, at the place where the mistake begins.
pub(super) fn explained(text: &str, error: &serde_yaml::Error) -> SyntaxError {
    let said = error.to_string().replace('\n', " ");
    let told = error.location().map(|at| (at.line(), at.column()));
    // Where a quote or a name was opened says more than where its end was missed.
    let opened = [ODD_INDENT, "quoted scalar at line ", "simple key at line "];
    let opened = opened.iter().find_map(|words| place_behind(&said, words));
    let place = opened.or(told).map(|place| within(text, place));
    let line = place.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1)));
    let line = line.unwrap_or_default();
    let meaning = || MEANINGS.iter().find(|(words, _)| said.contains(words));
    let message = if line.trim_start_matches(' ').starts_with('\t') {
        "a tab stands in the indent; use spaces alone".to_owned()
    } else if let Some(odd) = place.and_then(|(line, _)| odd_indent(text, line)) {
        format!(
            "the character U+{:04X} in the indent only looks like a space; use plain spaces",
            u32::from(odd)
        )
    } else if let Some((odd, at)) = place.and_then(|(line, _)| odd_behind_colon(text, line)) {
        format!(
            "the character U+{:04X} behind the colon of line {at} only looks like a space; use plain spaces",
            u32::from(odd)
        )
    } else if let Some((special, quoted)) = quoted(line) {
        format!(
            "{special} at the beginning of a value means something else in YAML; write {quoted}"
        )
    } else if said.contains("expected key") && place.is_some_and(|at| at.1 > first_column(line)) {
        QUOTE.to_owned()
    } else if let Some((_, meaning)) = meaning() {
        (*meaning).to_owned()
    } else {
        let end = said.find(" at line ").unwrap_or(said.len());
        said[..end].trim_end_matches(',').to_owned()
    };
    SyntaxError { place, message }
}

/// What stands behind a colon of this line or of the one before, where that is one of these, and in which line.
fn odd_behind_colon(text: &str, line: usize) -> Option<(char, usize)> {
    let lines = text
        .split('\n')
        .zip(1..)
        .take(line)
        .skip(line.saturating_sub(2));
    let mut behind = lines.flat_map(|(line, at)| line.split(':').skip(1).map(move |it| (it, at)));
    behind.find_map(|(it, at)| Some((it.chars().next().filter(|it| ODD_SPACES.contains(it))?, at)))
}

fn first_column(line: &str) -> usize {
    line.len() - line.trim_start().len() + 1
}

/// The line and the column that are told behind these words.
pub(super) fn place_behind(said: &str, words: &str) -> Option<(usize, usize)> {
    let (_, rest) = said.split_once(words)?;
    let (line, column) = rest.split_once(" column ")?;
    let digits = column.find(|letter: char| !letter.is_ascii_digit());
    let column = &column[..digits.unwrap_or(column.len())];
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// The parser takes the end of a text without a final newline for the start of one more line; that is the end of its last one.
fn within(text: &str, (line, column): (usize, usize)) -> (usize, usize) {
    let last = text.strip_suffix('\n').unwrap_or(text);
    let lines = last.split('\n').count();
    if line <= lines {
        return (line, column);
    }
    let last = last.rsplit('\n').next().unwrap_or_default();
    (lines, last.chars().count() + 1)
}

/// The line with the first value in quotes that begins with a special character, and that character.
fn quoted(line: &str) -> Option<(char, String)> {
    let (mut quote, mut depth, mut starts) = (None, 0_usize, true);
    // Of a text of several lines.
    let is_mark = |rest: &str| {
        let mark = rest.split(" #").next().unwrap_or_default().trim_end();
        mark.chars().all(|c| "+-123456789".contains(c))
    };
    for (at, letter) in line.char_indices() {
        let rest = &line[at..];
        match (quote, letter) {
            (Some(open), _) => quote = Some(open).filter(|open| *open != letter),
            (None, '"' | '\'') if starts => quote = Some(letter),
            (None, '#') if starts => return None,
            (None, '|' | '>') if depth == 0 && is_mark(&rest[1..]) => return None,
            (None, special) if starts && at > 0 && SPECIAL.contains(&special) => {
                let end = if depth > 0 {
                    rest.find([',', ']', '}'])
                } else {
                    rest.find(" #")
                };
                let end = end.unwrap_or(rest.len());
                let value = rest[..end].trim_end();
                let mark = if value.contains('"') { '\'' } else { '"' };
                let (before, after) = (line[..at].trim_start(), &rest[value.len()..]);
                return Some((
                    special,
                    format!("{before}{mark}{value}{mark}{}", after.trim_end()),
                ));
            }
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let before =
            line[..at].ends_with([':', '-', ',', '[', '{']) || line[..at].trim().is_empty();
        starts = match letter {
            '[' | '{' => true,
            ',' => depth > 0,
            ' ' => starts || before,
            _ => false,
        };
    }
    None
}
