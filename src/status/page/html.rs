//! Markup with text in it.

use crate::escape::is_hidden;
use crate::status::table::Tone;

/// The longest piece of text from elsewhere.
const LONGEST: usize = 300;

/// The longest word that is kept on one line.
const WHOLE: usize = 20;

/// Markup under construction.
#[derive(Default)]
pub(crate) struct Html(pub(crate) String);

impl Html {
    /// Our own markup, or what [`text`] made.
    pub(crate) fn raw(&mut self, markup: &str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Anybody's text. A narrow screen would break a name after its hyphens.
    pub(crate) fn text(&mut self, words: &str) -> &mut Html {
        for (index, word) in text(words).split(' ').enumerate() {
            self.raw(if index > 0 { " " } else { "" });
            match word.contains('-') && word.len() <= WHOLE {
                true => self.raw("<span class=\"w\">").raw(word).raw("</span>"),
                false => self.raw(word),
            };
        }
        self
    }

    /// Text in the colour of its meaning, which the words say too.
    pub(crate) fn toned(&mut self, tone: Tone, words: &str) -> &mut Html {
        let (_, _, class) = tone.shown();
        if class.is_empty() {
            return self.text(words);
        }
        self.raw(&format!("<span class=\"{class}\">"));
        self.text(words).raw("</span>")
    }

    /// A part that is exchanged when it changes.
    pub(crate) fn live(&mut self, id: &str, markup: &str) -> &mut Html {
        self.raw(&format!("<div id=\"{id}\" data-live>{markup}</div>"))
    }
}

/// Text as markup: what means something in HTML is escaped, what a screen would obey is replaced, and what is too long ends.
pub(crate) fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len().min(LONGEST) + 16);
    for (index, c) in words.chars().enumerate() {
        if index == LONGEST {
            out.push('…');
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hidden(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
