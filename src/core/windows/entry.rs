//! One window entry as it is written: its grammar.
//!
//! ```text
//! entry = [months] [nths] [days] time "-" [day] time | date time "-" [date] time
//! months = month-or-range { "," month-or-range }       e.g. Jan,Mar-Nov
//! nths  = nth { "," nth }, nth = 1st | 2nd | 3rd | 4th | last, which of the days named behind it in the month
//! days  = "*" | day-or-range { "," day-or-range }      e.g. Mon,Wed-Fri
//! time  = HH:MM, 24:00 only as the end
//! date  = YYYY-MM-DD
//! ```
//! An end that is not after its start is on the next day, or for a named day in the next week.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime, Weekday};

use super::hints::hint;
use super::span::{DAY, Days, LAST, Span, WEEK};

/// A window as written and as understood. The end is exclusive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) span: Span,
}

impl Entry {
    /// Parses one entry. The error says what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Entry, String> {
        let text = text.trim();
        let span = span(text).map_err(|why| {
            let (what, remedy) = why.split_once("; ").unwrap_or((&why, SHAPE));
            let hint = hint(text, |entry| span(entry).is_ok());
            format!(
                "{text:?}: {what}; {}",
                hint.unwrap_or_else(|| remedy.to_owned())
            )
        })?;
        Ok(Entry {
            text: text.to_owned(),
            span,
        })
    }
}

const SHAPE: &str =
    "write it as [MONTHS] [NTH] [DAYS] HH:MM-[DAY] HH:MM, for example Tue-Thu 22:00-04:00";

fn span(text: &str) -> Result<Span, String> {
    if text.is_empty() {
        return Err(format!("is empty; {SHAPE}"));
    }
    // The first colon belongs to the first time, so the dash after it is the one between start and end.
    let colon = text
        .find(':')
        .ok_or_else(|| format!("has no time; {SHAPE}"))?;
    let dash = text[colon..]
        .find('-')
        .ok_or_else(|| format!("has no end; {SHAPE}"))?
        + colon;
    let (start, end) = (text[..dash].trim(), text[dash + 1..].trim());
    let (start_day, start_time) = day_and_time(start)?;
    let (end_day, end_time) = day_and_time(end)?;
    let (from, to) = (time(start_time)?, time(end_time)?);
    if from == DAY {
        return Err("24:00 can only be an end; begin at 00:00 of the next day".to_owned());
    }
    match (date(start_day)?, date(end_day)?) {
        (Some(first), last) if last.is_some() || end_day.is_empty() => once(first, from, last, to),
        (Some(_), _) => Err(format!(
            "begins at a date and ends on {end_day:?}; write a date there too"
        )),
        (None, Some(_)) => Err("ends at a date; write a date before the first time too".to_owned()),
        (None, None) => weekly(start_day, from, end_day, to),
    }
}

fn weekly(start_day: &str, from: i64, end_day: &str, to: i64) -> Result<Span, String> {
    let (on, start_day) = months_and_nths(start_day)?;
    let starts = days(if start_day.is_empty() {
        "*"
    } else {
        &start_day
    })?;
    if end_day.is_empty() {
        let length = if to > from {
            to - from
        } else {
            to + DAY - from
        };
        return Ok(Span::Weekly {
            starts: starts.iter().map(|day| day * DAY + from).collect(),
            length,
            on,
        });
    }
    let ends = days(end_day)?;
    let ([start], [end]) = (starts.as_slice(), ends.as_slice()) else {
        return Err("with a day before the end time there must be exactly one day on both sides; leave the end day out to mean each day".to_owned());
    };
    let start = start * DAY + from;
    let length = (end * DAY + to - start - 1).rem_euclid(WEEK) + 1;
    Ok(Span::Weekly {
        starts: vec![start],
        length,
        on,
    })
}

/// With single blanks, and none around dashes and commas.
pub(super) fn joined(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let blanks = [" -", "- ", " ,", ", "].iter();
    blanks.fold(words, |text, blank| text.replace(blank, blank.trim()))
}

/// The months and the nth weekdays before the days, and the days.
fn months_and_nths(text: &str) -> Result<(Days, String), String> {
    let text = joined(text);
    let mut words: Vec<&str> = text.split(' ').collect();
    let mut on = Days::default();
    if let Some(months) = list(words[0], month, 12) {
        on.months = months;
        words.remove(0);
    }
    if let Some(nths) = words.first().and_then(|word| list(word, nth, 5)) {
        let wrong = |why| Err(format!("{:?} {why}", words[0]));
        if nths.contains(&5) {
            return wrong("is not in every month; use last");
        }
        if words.len() == 1 || words[1] == "*" {
            return wrong("needs a weekday behind it; write for example 1st Sun 02:00-04:00");
        }
        on.nths = nths;
        words.remove(0);
    }
    Ok((on, words.join(" ")))
}

/// What a list of names and ranges of them stands for, or `None` when one of them is no such name. Ranges go on at the first.
fn list(text: &str, value: fn(&str) -> Option<i8>, most: i8) -> Option<Vec<i8>> {
    let mut values = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (value(first)?, value(last)?);
        values.push(at);
        while at != last {
            at = at % most + 1;
            values.push(at);
        }
    }
    Some(values)
}

fn month(text: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let text = text.to_ascii_lowercase();
    let known =
        |name: &&str| *name == text || name[..3] == text || text == "sept" && *name == "september";
    let at = MONTHS.iter().position(known)?;
    i8::try_from(at + 1).ok()
}

fn nth(text: &str) -> Option<i8> {
    Some(match text.to_ascii_lowercase().as_str() {
        "1st" | "first" => 1,
        "2nd" | "second" => 2,
        "3rd" | "third" => 3,
        "4th" | "fourth" => 4,
        "5th" | "fifth" => 5,
        "last" => LAST,
        _ => return None,
    })
}

fn once(first: Date, from: i64, last: Option<Date>, to: i64) -> Result<Span, String> {
    let later = |date: Date| {
        date.tomorrow()
            .map_err(|_| "is beyond the calendar; use an earlier year".to_owned())
    };
    let at = |date: Date, minutes: i64| -> Result<DateTime, String> {
        let (date, minutes) = if minutes == DAY {
            (later(date)?, 0)
        } else {
            (date, minutes)
        };
        let part = |value: i64| {
            i8::try_from(value).expect("hours and minutes were checked when they were parsed")
        };
        Ok(date.at(part(minutes / 60), part(minutes % 60), 0, 0))
    };
    let start = at(first, from)?;
    let end = match last {
        Some(last) => at(last, to)?,
        None if to > from => at(first, to)?,
        None => at(later(first)?, to)?,
    };
    match end.cmp(&start) {
        Ordering::Greater => Ok(Span::Once { start, end }),
        Ordering::Equal => Err("ends where it begins; write a later end".to_owned()),
        Ordering::Less => Err("ends before it begins; swap the two dates".to_owned()),
    }
}

/// The last word is the time, what stands before it the day.
fn day_and_time(part: &str) -> Result<(&str, &str), String> {
    match part.rsplit_once(char::is_whitespace) {
        Some((day, time)) => Ok((day.trim(), time)),
        None if part.is_empty() => Err(format!("has no end; {SHAPE}")),
        None => Ok(("", part)),
    }
}

/// Minutes since midnight, 1440 for 24:00.
fn time(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a time; write HH:MM from 00:00 to 24:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=2).contains(&hour.len()) || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return Err(wrong());
    }
    let (hour, minute): (i64, i64) = (
        hour.parse().map_err(|_| wrong())?,
        minute.parse().map_err(|_| wrong())?,
    );
    let total = hour * 60 + minute;
    if minute > 59 || total > DAY {
        Err(wrong())
    } else {
        Ok(total)
    }
}

/// A date, or `None` for what does not look like one.
fn date(text: &str) -> Result<Option<Date>, String> {
    let first = text.split([',', '-', ' ']).next().unwrap_or_default();
    if !text.starts_with(|first: char| first.is_ascii_digit()) || nth(first).is_some() {
        return Ok(None);
    }
    let shaped = text.bytes().enumerate().all(|(at, byte)| {
        if at == 4 || at == 7 {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    });
    let date = if shaped {
        text.parse::<Date>().ok()
    } else {
        None
    };
    let remedy = if shaped && text.len() == 10 {
        "that day is not in the calendar; write one that is"
    } else {
        "write YYYY-MM-DD"
    };
    date.map(Some)
        .ok_or_else(|| format!("{text:?} is not a date; {remedy}"))
}

/// Days since Monday, in the order written, without repetition.
fn days(text: &str) -> Result<Vec<i64>, String> {
    if text == "*" {
        return Ok((0..7).collect());
    }
    let mut days = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (weekday(first.trim())?, weekday(last.trim())?);
        let length = (last - first).rem_euclid(7);
        for day in (first..=first + length).map(|day| day % 7) {
            if !days.contains(&day) {
                days.push(day);
            }
        }
    }
    Ok(days)
}

fn weekday(text: &str) -> Result<i64, String> {
    let day = match text.to_ascii_lowercase().as_str() {
        "mon" | "monday" => Weekday::Monday,
        "tue" | "tues" | "tuesday" => Weekday::Tuesday,
        "wed" | "weds" | "wednesday" => Weekday::Wednesday,
        "thu" | "thur" | "thurs" | "thursday" => Weekday::Thursday,
        "fri" | "friday" => Weekday::Friday,
        "sat" | "saturday" => Weekday::Saturday,
        "sun" | "sunday" => Weekday::Sunday,
        _ => {
            return Err(format!(
                "{text:?} is not a day; use Mon, Tue, Wed, Thu, Fri, Sat, Sun or *"
            ));
        }
    };
    Ok(i64::from(day.to_monday_zero_offset()))
}
