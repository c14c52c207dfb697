//! How a host's state looks: its word, its sign in the bar of time, its colour.

/// How things are with a host, in rising order of what a column of the bar shows when it saw several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Idle,
    Done,
    /// With its place; 1 is next.
    Queued(usize),
    Committed,
    Verifying,
    Down,
    Failed,
}

impl State {
    pub(crate) fn text(self) -> String {
        match self {
            State::Idle => "idle".to_owned(),
            State::Done => "done".to_owned(),
            State::Queued(place) => format!("queued #{place}"),
            State::Committed => "committed".to_owned(),
            State::Verifying => "verifying".to_owned(),
            State::Down => "down".to_owned(),
            State::Failed => "FAILED".to_owned(),
        }
    }

    /// What stands in the bar: with a UTF-8 locale, and without.
    fn glyphs(self) -> (char, char) {
        match self {
            State::Idle => ('·', '.'),
            State::Done => ('─', '='),
            State::Queued(_) => ('░', '-'),
            State::Committed => ('▒', 'c'),
            State::Verifying => ('▓', 'v'),
            State::Down => ('█', '#'),
            State::Failed => ('╳', 'X'),
        }
    }

    /// Its colour, as an SGR parameter.
    pub(crate) fn colour(self) -> &'static str {
        match self {
            State::Idle => "2",
            State::Done => "32",
            State::Queued(_) => "33",
            State::Committed => "35",
            State::Verifying => "36",
            State::Down => "31",
            State::Failed => "1;31",
        }
    }
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Draw in place instead of one line an event.
    pub live: bool,
    /// Somebody watches and can act.
    pub operator: bool,
    /// Colour may be used.
    pub colour: bool,
    /// Characters beyond ASCII may be used.
    pub unicode: bool,
}

impl Style {
    /// Lines, for a file or a pipe.
    pub const PLAIN: Style = Style {
        live: false,
        operator: false,
        colour: false,
        unicode: false,
    };

    pub(crate) fn painted(self, sgr: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn glyph(self, state: State) -> char {
        let (unicode, ascii) = state.glyphs();
        if self.unicode { unicode } else { ascii }
    }
}
