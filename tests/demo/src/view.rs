//! What the audience sees: a picture that is drawn again in place on a terminal, one line an event elsewhere.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::style::{State, Style};

/// Columns of a terminal line that are used.
const WIDTH: usize = 78;
/// Columns of a host's name, and of its state.
const NAME: usize = 9;
const STATE: usize = 12;
/// Columns of the bar of time.
const BAR: usize = WIDTH - NAME - STATE;

/// The shortest time that a column of the bar stands for.
const FINEST: Duration = Duration::from_micros(1);

/// The picture or the lines.
pub(crate) struct View<'a> {
    out: &'a mut dyn Write,
    style: Style,
    start: Instant,
    title: String,
    rows: Vec<Row>,
    /// The time that one column stands for.
    column: Duration,
    /// Lines of the picture that stand on the terminal.
    drawn: usize,
}

struct Row {
    name: String,
    state: State,
    bar: Vec<State>,
}

impl<'a> View<'a> {
    /// `expected` is how long the whole will take; when it takes longer, a column stands for more.
    pub(crate) fn new(
        out: &'a mut dyn Write,
        style: Style,
        title: String,
        names: &[String],
        expected: Duration,
    ) -> View<'a> {
        let row = |name: &String| Row {
            name: name.clone(),
            state: State::Idle,
            bar: Vec::new(),
        };
        View {
            out,
            style,
            start: Instant::now(),
            title,
            rows: names.iter().map(row).collect(),
            // Not zero, which could be doubled for ever.
            column: (expected / u32::try_from(BAR).unwrap_or(u32::MAX)).max(FINEST),
            drawn: 0,
        }
    }

    /// Something happened. The picture shows it by itself.
    pub(crate) fn event(
        &mut self,
        at: Instant,
        name: &str,
        what: &str,
        detail: &str,
    ) -> io::Result<()> {
        if self.style.live {
            return Ok(());
        }
        let at = at.saturating_duration_since(self.start).as_secs_f64();
        let line = format!("{at:8.3} s  {name:<NAME$}{what:<STATE$}{detail}");
        writeln!(self.out, "{}", line.trim_end())
    }

    /// Text that stays, above the picture.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.wipe()?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// The terminal showed a line end that was typed below the picture.
    pub(crate) fn line_was_typed(&mut self) {
        self.drawn += usize::from(self.drawn > 0);
    }

    /// Takes the hosts' states, in their order, and draws.
    pub(crate) fn show(
        &mut self,
        states: impl Iterator<Item = State>,
        note: &str,
    ) -> io::Result<()> {
        if !self.style.live {
            return Ok(());
        }
        let elapsed = self.start.elapsed();
        let mut column = self.column_at(elapsed);
        while column >= BAR {
            self.rows.iter_mut().for_each(Row::squeeze);
            self.column *= 2;
            column = self.column_at(elapsed);
        }
        for (row, state) in self.rows.iter_mut().zip(states) {
            row.enter(state, column);
        }
        self.draw(elapsed, note)
    }

    fn column_at(&self, elapsed: Duration) -> usize {
        let columns = elapsed.as_nanos() / self.column.as_nanos().max(1);
        usize::try_from(columns).unwrap_or(usize::MAX)
    }

    fn draw(&mut self, elapsed: Duration, note: &str) -> io::Result<()> {
        let style = self.style;
        let mut picture = String::new();
        if self.drawn > 0 {
            picture = format!("\x1b[{}A\r", self.drawn);
        }
        let time = format!("{:.1} s", elapsed.as_secs_f64());
        let room = WIDTH - time.len();
        let mut lines = vec![style.painted("1", &format!("{:<room$}{time}", self.title))];
        lines.extend(self.rows.iter().map(|row| row.line(style)));
        lines.push(legend(style));
        lines.push(style.painted("2", note));
        for line in &lines {
            picture.push_str(line);
            picture.push_str("\x1b[K\n");
        }
        picture.push_str("\x1b[J");
        self.drawn = lines.len();
        self.out.write_all(picture.as_bytes())?;
        self.out.flush()
    }

    fn wipe(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A\r\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }

    /// Ends the picture: it stays, and what follows is written below.
    pub(crate) fn end(self) -> &'a mut dyn Write {
        self.out
    }
}

impl Row {
    fn enter(&mut self, state: State, column: usize) {
        while self.bar.len() <= column {
            self.bar.push(self.state);
        }
        self.bar[column] = self.bar[column].max(state);
        self.state = state;
    }

    /// Two columns become one.
    fn squeeze(&mut self) {
        let pairs = self.bar.chunks(2);
        self.bar = pairs
            .filter_map(|pair| pair.iter().max().copied())
            .collect();
    }

    fn line(&self, style: Style) -> String {
        let state = format!("{:<STATE$}", self.state.text());
        let mut line = format!(
            "{:<NAME$}{}",
            self.name,
            style.painted(self.state.colour(), &state)
        );
        for run in self.bar.chunk_by(|a, b| style.glyph(*a) == style.glyph(*b)) {
            let text: String = run.iter().map(|state| style.glyph(*state)).collect();
            line.push_str(&style.painted(run[0].colour(), &text));
        }
        line
    }
}

fn legend(style: Style) -> String {
    let entries = [
        (State::Queued(1), "queued"),
        (State::Committed, "committed"),
        (State::Down, "down"),
        (State::Verifying, "verifying"),
        (State::Done, "done"),
        (State::Failed, "failed"),
    ];
    let entry = |(state, word): (State, &str)| {
        let glyph = style.glyph(state).to_string();
        format!("{} {word}", style.painted(state.colour(), &glyph))
    };
    let words: Vec<String> = entries.into_iter().map(entry).collect();
    format!("{:width$}{}", "", words.join("  "), width = NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_shows_the_worst_it_saw_and_bars_are_squeezed() {
        let mut row = Row {
            name: "node-1".to_owned(),
            state: State::Idle,
            bar: Vec::new(),
        };
        row.enter(State::Queued(2), 1);
        row.enter(State::Committed, 1);
        row.enter(State::Down, 4);
        row.enter(State::Done, 4);
        row.enter(State::Done, 6);
        let style = Style::PLAIN;
        assert_eq!(row.line(style), "node-1   done        .ccc#==");
        row.squeeze();
        assert_eq!(row.line(style), "node-1   done        cc#=");
    }

    #[test]
    fn the_picture_fits_eighty_columns() {
        let mut out = Vec::new();
        let style = Style {
            live: true,
            ..Style::PLAIN
        };
        let names = ["node-64".to_owned()];
        let title = "64 hosts".to_owned();
        let mut view = View::new(&mut out, style, title, &names, Duration::ZERO);
        view.show([State::Queued(64)].into_iter(), "").unwrap();
        view.show([State::Failed].into_iter(), "").unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            let visible = line.split('\x1b').next().unwrap();
            assert!(visible.len() < 80, "{visible}");
        }
    }
}
