//! A moment on a command line.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// A moment as it was written, before it is known in which time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// RFC 3339, with its offset.
    Instant(Timestamp),
    /// What a clock and a calendar show.
    Civil(DateTime),
    /// The next time that a clock shows this.
    Clock(Time),
}

impl Moment {
    /// The instant it means in this zone. In an hour that a change of the clocks repeats it is the first, in one that it skips
    /// the time after the change.
    pub fn at(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let instant = |civil| zone.to_ambiguous_timestamp(civil).compatible().ok();
        match self {
            Moment::Instant(at) => Some(at),
            Moment::Civil(civil) => instant(civil),
            Moment::Clock(time) => {
                let today = zone.to_datetime(now).date();
                let first = instant(today.to_datetime(time)).filter(|at| *at >= now);
                first.or_else(|| instant(today.checked_add(1.day()).ok()?.to_datetime(time)))
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let text = text.trim();
        let instant = text.parse().ok().map(Moment::Instant);
        // Anything shorter than a date is a time: 22:00 must not be taken for the year 22.
        let is_date = text.len() >= "2026-01-01 00:00".len();
        let civil = || text.parse().ok().filter(|_| is_date).map(Moment::Civil);
        let is_time = text.contains(':') && text.len() <= "00:00:00".len();
        let clock = || text.parse().ok().filter(|_| is_time).map(Moment::Clock);
        let moment = instant.or_else(civil).or_else(clock);
        moment.ok_or_else(|| {
            format!(
                "{text:?} is not a time; write 2026-12-24T22:00:00Z, \"2026-12-24 22:00\" or 22:00"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_zone_they_mean() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, instant) in [
            ("2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z"),
            ("2026-11-23T22:00:00+01:00", "2026-11-23T21:00:00Z"),
            ("2026-11-23 22:00", "2026-11-23T21:00:00Z"),
            ("2026-11-23T22:00", "2026-11-23T21:00:00Z"),
            ("22:00", "2026-11-23T21:00:00Z"),
            ("13:00", "2026-11-23T12:00:00Z"),
            ("12:59", "2026-11-24T11:59:00Z"),
            ("04:30", "2026-11-24T03:30:00Z"),
            // The clock goes from 02:00 to 03:00.
            ("2027-03-28 02:30", "2027-03-28T01:30:00Z"),
        ] {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(
                moment.at(now, &berlin),
                Some(instant.parse().unwrap()),
                "{text}"
            );
        }
        for text in [
            "",
            "soon",
            "25:00",
            "2026-13-01 00:00",
            "22",
            "2026-11-23",
            "1732363200",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
