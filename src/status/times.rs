//! Times for people: how long ago, how long still, and when on the clock of a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
pub(crate) use crate::core::text::rfc3339;
use crate::core::windows::local;

/// The zone in which times are shown: that of the windows, so that they can be compared.
pub(crate) fn zone(config: &Config) -> TimeZone {
    let windows = config.windows.as_ref();
    match windows {
        Some(windows) => windows.zone().clone(),
        None => local().unwrap_or(TimeZone::UTC),
    }
}

/// A span in its two largest units: `45 s`, `12 min`, `2 h 5 min`, `3 d 4 h`. Negative ones are shown as none.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {smaller}"),
    };
    match () {
        () if days > 0 => two(days, "d", hours % 24, "h"),
        () if hours > 0 => two(hours, "h", minutes % 60, "min"),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// By how many seconds a clock is ahead before it is told. Clocks differ between nodes, so that the near future is now.
const SKEW_SEC: i64 = 60;

/// `3 min ago`.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    match now.as_second() - at.as_second() {
        seconds @ 1.. => format!("{} ago", span(seconds)),
        seconds if is_ahead(now, at) => format!("{} in the future", span(-seconds)),
        _ => "just now".to_owned(),
    }
}

/// The instant a record names, when it can be read.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// [`ago`] of a time in a record, which may be anything.
pub(crate) fn ago_text(now: Timestamp, text: &str) -> String {
    match instant(text) {
        Some(at) => ago(now, at),
        None => format!("at {text:?}"),
    }
}

/// Whether the clock that told a time is ahead, so that nobody knows since when.
pub(super) fn is_ahead(now: Timestamp, at: Timestamp) -> bool {
    at.as_second() - now.as_second() > SKEW_SEC
}

/// How long it has been, as far as the clock that told the time was not ahead.
pub(crate) fn since(now: Timestamp, at: Timestamp) -> String {
    match is_ahead(now, at) {
        true => ago(now, at),
        false => span(now.as_second() - at.as_second()),
    }
}

/// [`since`] a time in a record; empty when it cannot be read.
pub(crate) fn since_text(now: Timestamp, text: &str) -> String {
    instant(text).map_or_else(String::new, |at| since(now, at))
}

/// The same behind a word: ` for 3 min`.
pub(crate) fn for_span(now: Timestamp, at: Timestamp) -> String {
    let word = if is_ahead(now, at) { "since" } else { "for" };
    format!(" {word} {}", since(now, at))
}

/// [`for_span`] of a time in a record; empty when it cannot be read.
pub(crate) fn for_text(now: Timestamp, text: &str) -> String {
    instant(text).map_or_else(String::new, |at| for_span(now, at))
}

/// `in 3 min`, or that the moment has passed.
pub(crate) fn until(now: Timestamp, at: Timestamp) -> String {
    match at.as_second() - now.as_second() {
        ..=0 => "any moment".to_owned(),
        seconds => format!("in {}", span(seconds)),
    }
}

/// What a wall clock shows: `Tue 2026-11-24 22:00 CET`.
pub(crate) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%a %Y-%m-%d %H:%M %Z")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (273_600, "3 d 4 h"),
            (i64::MAX, "106751991167300 d 15 h"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn the_past_and_the_future_are_told_apart() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T11:57:00Z", "3 min ago"),
            ("2026-11-23T12:00:00Z", "just now"),
            ("2026-11-23T12:00:09Z", "just now"),
            ("2026-11-23T12:01:00Z", "just now"),
            ("2026-11-23T15:00:00Z", "3 h in the future"),
            ("yesterday", "at \"yesterday\""),
            ("\u{1b}[2J", "at \"\\u{1b}[2J\""),
        ] {
            assert_eq!(ago_text(now, text), expected, "{text:?}");
        }
        let later = "2026-11-23T15:30:00Z".parse().unwrap();
        assert_eq!(until(now, later), "in 3 h 30 min");
        assert_eq!(until(later, now), "any moment");
        assert_eq!(since_text(now, "2026-11-23T11:00:00Z"), "1 h");
        assert_eq!(since_text(now, "soon"), "");
        let ahead = "2026-11-23T15:00:00Z";
        assert_eq!(since_text(now, ahead), "3 h in the future");
        assert_eq!(for_text(now, ahead), " since 3 h in the future");
        assert_eq!(for_text(now, "2026-11-23T12:00:09Z"), " for 0 s");
        assert_eq!(for_text(now, "soon"), "");
        assert_eq!(clock(now, &TimeZone::UTC), "Mon 2026-11-23 12:00 UTC");
        assert_eq!(rfc3339(now), "2026-11-23T12:00:00.000Z");
    }
}
