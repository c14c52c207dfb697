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
use super::headline::headline;
use super::table::Tone;
use super::times::ago;
use crate::lock::survey::Survey;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// What the browser may do with it: use this style and this script, and ask this server again. A test compares the hashes.
pub(crate) const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     connect-src 'self'; img-src data:; \
     style-src 'sha256-thXlRqoDFErWaqZI28UEqBSzz2OJx7uX+zjvTHbMiL8='; \
     script-src 'sha256-K9+SrdmNufSpkGuXff1aDQsvBhcldIyBgTXDakEyNLw='";

/// The whole of it.
pub(crate) fn page(view: &View, now: Timestamp) -> String {
    let headline = headline(view, now);
    let mut page = Html::new();
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        // Otherwise the browser asks for an icon that is not there.
        .raw("<link rel=\"icon\" href=\"data:,\"><title>")
        .text(&headline.fact)
        .raw(" - reboot-coordinator</title><style>")
        .raw(STYLE)
        .raw("</style></head><body><header><h1>Coordinated reboots below <code>")
        .text(&view.lock_key)
        .raw("</code>, as ")
        .text(&view.local.node)
        .raw(" sees them</h1></header><main><p id=\"lost\" role=\"alert\" hidden></p>");
    // What is announced when it changes; ages are elsewhere, because they change all the time.
    page.raw("<p id=\"headline\" role=\"status\" data-live>")
        .toned(headline.tone, &headline.fact)
        .raw("</p>");
    let more = headline.more.iter();
    let mut advice: String = more.map(|line| format!("<p>{}</p>", text(line))).collect();
    if let Some((when, words)) = &headline.command {
        advice += &format!(
            "<p>{when} <code>reboot-coordinator {}</code></p>",
            text(words)
        );
    }
    page.live("advice", &advice).live("age", &age(view, now));
    let known = view.known();
    let part = |of: &dyn Fn(&Survey) -> String| known.map(of).unwrap_or_default();
    page.live("down", &part(&|survey| down(survey, view, now)))
        .live("queue", &part(&|survey| queue(survey, now)))
        .live("requests", &part(&|survey| requests(survey, now)))
        .live("members", &part(&|survey| members(survey, now)))
        .live("recent", &part(&|survey| recent(survey, now)))
        .live("node", &node(view))
        .raw("</main><footer><p>This page only shows. While it is visible it asks this node every 5 seconds; the node reads etcd ")
        .raw("at most that often, and only while somebody looks. For programs: <a href=\"status.json\">status.json</a>, ")
        .raw("<a href=\"metrics\">metrics</a>.</p><noscript><p>Scripts are off: load the page again to see what is new.</p>")
        .raw("</noscript></footer><script>")
        .raw(SCRIPT)
        .raw("</script></body></html>\n");
    page.done()
}

/// How old everything below is.
fn age(view: &View, now: Timestamp) -> String {
    let mut html = Html::new();
    let read = view.read_at.map(|at| ago(now, at));
    match (&view.survey, read) {
        (Ok(_), Some(read)) => {
            let version = view.version.as_deref().unwrap_or_default();
            html.raw("<p class=\"dim\">Read from etcd ").text(version);
            html.raw(" ").raw(&read).raw(".</p>");
        }
        (Ok(_), None) => {}
        (Err(trouble), read) => {
            html.raw("<p>").toned(Tone::Bad, "etcd does not answer");
            html.raw(": ").text(&trouble.0);
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
    html.done()
}
