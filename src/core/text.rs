//! Times, spans, and what scripts printed, as records, requests and notes have them.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::ScriptReport;

/// How much of a text of others is kept.
const LONGEST: usize = 300;

/// RFC 3339 in UTC with milliseconds, as in every record.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Longer than a node waits or is down.
const TOO_LONG: Duration = Duration::from_secs(366 * 24 * 3600);

/// From one time of a record to a later one; nothing where the clock was set meanwhile, as a host does that boots in 1970.
pub(crate) fn took(from: &str, to: &str) -> Option<Duration> {
    let [from, to] = [from, to].map(|at| at.parse::<Timestamp>().ok());
    let took = Duration::try_from(to?.duration_since(from?)).ok();
    took.filter(|took| *took < TOO_LONG)
}

/// Whole seconds, rounded up: a lease counts in seconds.
pub(super) fn seconds(span: Duration) -> i64 {
    let up = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i64::try_from(up).unwrap_or(i64::MAX).max(1)
}

/// One line of bounded length, without what a terminal would obey.
pub(super) fn bounded(text: &str) -> String {
    // Nearly every text is as it should be, and the machine says what it says after each input.
    if text.len() <= LONGEST && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(LONGEST).collect()
}

/// How a script that is not allowed to fail ended, with what it said last.
pub(crate) fn describe(report: &ScriptReport) -> String {
    match last_words(report) {
        Some(said) => format!("{}: {said}", report.outcome),
        None => report.outcome.to_string(),
    }
}

/// What a script said last, when it failed.
pub(super) fn said(report: &ScriptReport) -> Option<String> {
    last_words(report).filter(|_| !report.outcome.success())
}

fn last_words(report: &ScriptReport) -> Option<String> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let last_line = |text: &str| {
        let mut lines = text.lines().map(|line| line.trim_matches(blank));
        let line = lines.rfind(|line| !matches!(*line, "" | "…"))?;
        let Some(cut) = line.strip_prefix('…') else {
            return Some(bounded(line));
        };
        // The beginning is lost, and it was not about the middle.
        let end = cut.char_indices().nth_back(LONGEST - 2);
        Some(bounded(&format!("…{}", &cut[end.unwrap_or_default().0..])))
    };
    last_line(&report.stderr.text).or_else(|| last_line(&report.stdout.text))
}
