//! `status` for a browser: one page without anything from elsewhere, which fetches itself again every five seconds.
//!
//! Everything that comes from etcd or from this host's configuration is text, never markup, and short. The page only shows;
//! there is nothing in it to press.

mod html;
mod tables;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use self::html::{Html, text};
use self::tables::{down, members, node, queue, recent, requests};
use super::View;
use super::headline::{Part, headline};
use super::table::Tone;
use super::times::ago;
use crate::lock::survey::Survey;

/// How many parts of the headline are told above the tables.
const SHOWN: usize = 6;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// What the browser may do with it: use this style and this script, and ask this server again. A test compares the hashes.
pub(crate) const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     connect-src 'self'; img-src data:; \
     style-src 'sha256-m0ZweiA10bb77Xf9i9GhtjqAADkNYy52iN/jBXcyKD0='; \
     script-src 'sha256-MpxEv01HXr1cJBTmFThcZx9MuJLgZC9a/n8q5jL7bqQ='";

/// The whole of it.
pub(crate) fn page(view: &View, now: Timestamp) -> String {
    let parts = headline(view, now);
    let first = parts.first();
    let (tone, fact) = first.map_or((Tone::Plain, ""), |part| (part.tone, part.fact.as_str()));
    let mut page = Html::default();
    let (mark, colour) = sign(tone);
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        // Otherwise the browser asks for an icon that is not there.
        .raw("<link rel=\"icon\" id=\"icon\" href=\"data:image/svg+xml,")
        .raw("%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' ")
        .raw(&format!("fill='%23{colour}'/%3E%3C/svg%3E\"><title>{mark} {}", text(fact)))
        .raw(&format!(" - reboot-coordinator</title><style>{STYLE}</style></head>"))
        .raw("<body><header><h1>Coordinated reboots below <code>")
        .text(&view.lock_key)
        .raw("</code></h1></header><main><p id=\"lost\" role=\"alert\" hidden></p>");
    // What is announced when it changes; ages are elsewhere, because they change all the time.
    page.raw("<p id=\"headline\" role=\"status\" data-live>")
        .toned(tone, fact)
        .raw("</p>");
    let mut advice = String::new();
    for (index, part) in parts.iter().enumerate().take(SHOWN) {
        advice += &told(part, index > 0);
    }
    if parts.len() > SHOWN {
        advice += &format!("<p>and {} more below</p>", parts.len() - SHOWN);
    }
    page.live("advice", &advice).live("age", &age(view, now));
    let known = view.known();
    let part = |of: &dyn Fn(&Survey) -> String| known.map(of).unwrap_or_default();
    page.live("down", &part(&|survey| down(survey, view, now)))
        .live("queue", &part(&|survey| queue(survey, view, now)))
        .live("requests", &part(&|survey| requests(survey, now)))
        .live("members", &part(&|survey| members(survey, view, now)))
        .live("recent", &part(&|survey| recent(survey, now)))
        .live("node", &node(view))
        .raw("</main><footer><p>This page only shows. While it is visible it asks this node every 5 seconds; the node reads etcd ")
        .raw("at most that often, and only while somebody looks. For programs: <a href=\"status.json\">status.json</a>, ")
        .raw("<a href=\"metrics\">metrics</a>.</p><noscript><p>Scripts are off: load the page again to see what is new.</p>")
        .raw("</noscript></footer><script>")
        .raw(SCRIPT)
        .raw("</script></body></html>\n");
    page.0
}

/// One part of the headline: the first stands above already.
fn told(part: &Part, with_fact: bool) -> String {
    let mut html = Html::default();
    if with_fact {
        html.raw("<p>").toned(part.tone, &part.fact).raw("</p>");
    }
    if let Some(more) = &part.more {
        html.raw("<p>").text(more).raw("</p>");
    }
    if let Some((when, words)) = &part.command {
        let words = format!("reboot-coordinator {words}");
        html.raw("<p>").text(when).raw(" <code>");
        html.text(&words).raw("</code></p>");
    }
    html.0
}

/// What a tab shows before the sentence, and the colour of the disc that is its icon.
fn sign(tone: Tone) -> (char, &'static str) {
    match tone {
        Tone::Bad => ('\u{2717}', "b3141d"),
        Tone::Notice => ('\u{25cf}', "d08700"),
        Tone::Good | Tone::Plain | Tone::Dim | Tone::Heading => ('\u{2713}', "1a6b35"),
    }
}

/// How old everything below is.
fn age(view: &View, now: Timestamp) -> String {
    let mut html = Html::default();
    let read = view.read_at.map(|at| ago(now, at));
    match (&view.survey, read) {
        (Ok(_), Some(read)) => {
            let version = view.version.as_deref().unwrap_or_default();
            html.raw("<p class=\"dim\">As ").text(view.local.node());
            html.raw(&format!(" sees it, {read}; etcd ")).text(version);
            html.raw(".</p>");
        }
        (Ok(_), None) => {}
        (Err(trouble), read) => {
            html.raw("<p>").toned(Tone::Bad, "etcd does not answer");
            html.raw(": ").text(&trouble.text);
            match read {
                Some(read) => html.raw(". What follows was read ").raw(&read).raw(".</p>"),
                None => html.raw(". Only this node is known.</p>"),
            };
        }
    }
    if view.known().is_some_and(|survey| survey.partial) {
        html.raw("<p>The cluster is too large for this page: not everything was read. <code>reboot-coordinator ");
        html.raw("status --json</code> has all of it.</p>");
    }
    html.0
}
