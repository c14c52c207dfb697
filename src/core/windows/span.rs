//! The civil times that one window entry covers.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};

pub(super) const DAY: i64 = 24 * 60;
pub(super) const WEEK: i64 = 7 * DAY;

/// The last weekday of its month, among [`Days::nths`].
pub(super) const LAST: i8 = 0;

/// When an entry holds. The end is exclusive.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Span {
    /// Every week: starts in minutes since Monday 00:00, and the length in minutes, at most a week. A start counts on days
    /// that `on` takes.
    Weekly {
        starts: Vec<i64>,
        length: i64,
        on: Days,
    },
    /// Once.
    Once { start: DateTime, end: DateTime },
}

/// Days of the calendar on which a window starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Days {
    /// From 1; empty for all.
    pub(super) months: Vec<i8>,
    /// Which weekday of its month, from 1, or 0 for the last; empty for all.
    pub(super) nths: Vec<i8>,
}

impl Days {
    fn are_all(&self) -> bool {
        self.months.is_empty() && self.nths.is_empty()
    }

    fn take(&self, day: Date) -> bool {
        let nth = (day.day() - 1) / 7 + 1;
        let is_last = day.day() + 7 > day.days_in_month();
        (self.months.is_empty() || self.months.contains(&day.month()))
            && (self.nths.is_empty()
                || self.nths.contains(&nth)
                || is_last && self.nths.contains(&LAST))
    }
}

impl Span {
    /// Whether a wall clock that shows `civil` is inside.
    pub(super) fn covers(&self, civil: DateTime) -> bool {
        match self {
            Span::Weekly { starts, length, on } => {
                let now = second_of_week(civil).div_euclid(60);
                starts.iter().any(|start| {
                    let ago = (now - start).rem_euclid(WEEK);
                    let began = || civil.checked_sub(ago.minutes()).map(DateTime::date);
                    ago < *length && (on.are_all() || began().is_ok_and(|day| on.take(day)))
                })
            }
            Span::Once { start, end } => (*start..*end).contains(&civil),
        }
    }

    /// Seconds until a wall clock that runs on evenly from `civil` shows the next start or end; more than 0.
    pub(super) fn seconds_to_boundary(&self, civil: DateTime) -> Option<i64> {
        match self {
            Span::Weekly { starts, length, .. } => {
                let now = second_of_week(civil);
                let boundaries = starts.iter().flat_map(|start| [*start, start + length]);
                boundaries
                    .map(|minute| (minute * 60 - now - 1).rem_euclid(WEEK * 60) + 1)
                    .min()
            }
            Span::Once { start, end } => {
                let ahead = [*start, *end].map(|date| date.duration_since(civil).as_secs());
                ahead.into_iter().filter(|seconds| *seconds > 0).min()
            }
        }
    }

    /// Whether there are weeks in which it does not happen.
    pub(super) fn skips_weeks(&self) -> bool {
        matches!(self, Span::Weekly { on, .. } if !on.are_all())
    }

    /// Start and end, of an entry that happens once.
    pub(super) fn dates(&self) -> Option<(DateTime, DateTime)> {
        match *self {
            Span::Weekly { .. } => None,
            Span::Once { start, end } => Some((start, end)),
        }
    }
}

fn second_of_week(civil: DateTime) -> i64 {
    let day = i64::from(civil.weekday().to_monday_zero_offset());
    let minute = i64::from(civil.hour()) * 60 + i64::from(civil.minute());
    (day * DAY + minute) * 60 + i64::from(civil.second())
}
