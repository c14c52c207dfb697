//! What may be written, what it covers at its edges, and how the rest is refused.

use super::super::entry::Entry;
use super::*;

/// An entry, civil times that it covers, civil times that it does not.
/// July 2026: the 1st is a Wednesday, the 4th a Saturday, the 6th a Monday.
const COVERS: &[(&str, &[&str], &[&str])] = &[
    // Days of the start, crossing midnight.
    (
        "* 02:00-04:00",
        &["01T02:00", "06T03:59:59"],
        &["01T01:59:59", "01T04:00"],
    ),
    ("02:00-04:00", &["01T02:00", "06T03:59"], &["01T04:00"]),
    (
        "Tue-Thu 22:00-04:00",
        &["01T22:00", "02T03:59", "03T03:59", "01T00:00"],
        &["03T22:00", "04T03:59", "01T04:00", "01T21:59"],
    ),
    (
        "Wed 22:00-04:00",
        &["01T23:59", "02T00:00", "02T03:59"],
        &["01T03:59", "02T04:00", "02T22:00"],
    ),
    (
        "Sun 22:00-04:00",
        &["05T22:00", "06T03:59"],
        &["06T04:00", "06T22:00"],
    ),
    (
        "* 23:00-06:00",
        &["01T23:00", "01T00:00", "02T05:59"],
        &["01T06:00", "01T22:59"],
    ),
    // 24:00.
    (
        "Sat,Sun 00:00-24:00",
        &["04T00:00", "04T23:59:59", "05T23:59"],
        &["03T23:59", "06T00:00"],
    ),
    ("Wed 22:00-24:00", &["01T22:00", "01T23:59"], &["02T00:00"]),
    ("* 00:00-24:00", &["01T00:00", "01T23:59", "05T23:59"], &[]),
    (
        "Sat 12:00-Sun 24:00",
        &["04T12:00", "05T23:59"],
        &["06T00:00", "04T11:59"],
    ),
    // An end day, across the end of the week.
    (
        "Fri 18:00-Mon 08:00",
        &["03T18:00", "04T12:00", "05T23:59", "06T07:59"],
        &["03T17:59", "06T08:00", "01T12:00"],
    ),
    (
        "Mon 00:00-Tue 00:00",
        &["06T00:00", "06T23:59"],
        &["07T00:00", "05T23:59"],
    ),
    (
        "Sun 23:00-Mon 01:00",
        &["05T23:00", "06T00:59"],
        &["06T01:00", "05T22:59"],
    ),
    (
        "Wed 10:00-Wed 12:00",
        &["01T10:00", "01T11:59"],
        &["01T12:00", "02T10:30"],
    ),
    (
        "Wed 12:00-Wed 10:00",
        &["01T12:00", "02T11:00", "08T09:59", "01T09:00"],
        &["01T10:00", "01T11:59"],
    ),
    (
        "Wed 12:00-Wed 12:00",
        &["01T12:00", "01T11:59", "04T00:00"],
        &[],
    ),
    (
        "Mon 12:00-Sun 24:00",
        &["06T12:00", "05T23:59"],
        &["06T00:00", "06T11:59"],
    ),
    // The same start and end is the whole day, as clusterrebootd reads it.
    (
        "Wed 12:00-12:00",
        &["01T12:00", "02T11:59"],
        &["01T11:59", "02T12:00"],
    ),
    // Lists and ranges of days.
    (
        "Mon,Wed,Fri 10:00-11:00",
        &["06T10:00", "01T10:00", "03T10:59"],
        &["07T10:00", "02T10:00", "04T10:00"],
    ),
    (
        "Mon, Wed 10:00-11:00",
        &["06T10:00", "01T10:00"],
        &["07T10:00"],
    ),
    (
        "Fri-Mon 10:00-11:00",
        &["03T10:00", "04T10:00", "05T10:00", "06T10:00"],
        &["07T10:00", "01T10:00", "02T10:00"],
    ),
    (
        "Sun-Sat 10:00-11:00",
        &["01T10:00", "04T10:00", "05T10:00"],
        &["01T11:00"],
    ),
    ("Wed-Wed 10:00-11:00", &["01T10:00"], &["02T10:00"]),
    (
        "Mon-Tue,Thu-Fri 10:00-11:00",
        &["06T10:00", "07T10:00", "02T10:00", "03T10:00"],
        &["01T10:00", "04T10:00"],
    ),
    (
        "Mon - Wed 10:00 - 11:00",
        &["06T10:00", "01T10:30"],
        &["02T10:00"],
    ),
    // Names in any case, long or short.
    ("wednesday 10:00-11:00", &["01T10:00"], &["02T10:00"]),
    ("WED 10:00-11:00", &["01T10:00"], &["02T10:00"]),
    (
        "Saturday-SUNDAY 10:00-11:00",
        &["04T10:00", "05T10:00"],
        &["06T10:00"],
    ),
    (
        "tues,weds,thur,thurs 10:00-11:00",
        &["07T10:00", "01T10:00", "02T10:00"],
        &["03T10:00"],
    ),
    ("friday 18:00-monday 08:00", &["04T00:00"], &["06T08:00"]),
    // Blanks and short hours.
    ("  Wed   2:00  -  4:00 ", &["01T02:00"], &["01T04:00"]),
    ("Wed 9:05-9:06", &["01T09:05"], &["01T09:04", "01T09:06"]),
    // Dates.
    (
        "2026-07-01 10:00-2026-07-03 12:00",
        &["01T10:00", "02T00:00", "03T11:59"],
        &["01T09:59", "03T12:00", "08T11:00"],
    ),
    (
        "2026-07-01 10:00-12:00",
        &["01T10:00", "01T11:59"],
        &["01T12:00", "02T10:00"],
    ),
    (
        "2026-07-01 22:00-04:00",
        &["01T22:00", "02T03:59"],
        &["02T04:00", "01T03:00"],
    ),
    (
        "2026-07-01 10:00-10:00",
        &["01T10:00", "02T09:59"],
        &["01T09:59", "02T10:00"],
    ),
    // The nth weekday, and months.
    (
        "1st Sun 02:00-04:00",
        &["05T02:00"],
        &["12T02:00", "19T02:00", "26T02:00", "04T02:00"],
    ),
    ("FIRST sunday 02:00-04:00", &["05T03:59"], &["12T02:00"]),
    (
        "last Fri 22:00-04:00",
        &["31T22:00", "31T23:59"],
        &["24T22:00", "25T03:00", "01T00:00"],
    ),
    (
        "2nd,4th Tue 10:00-11:00",
        &["14T10:00", "28T10:00"],
        &["07T10:00", "21T10:00"],
    ),
    (
        "1st, 3rd Sat - Sun 10:00-11:00",
        &["04T10:00", "05T10:00", "18T10:00", "19T10:00"],
        &["11T10:00", "12T10:00"],
    ),
    (
        "last Tue 22:00-Sat 04:00",
        &["28T22:00", "30T12:00", "31T23:59", "01T12:00", "04T03:59"],
        &["27T23:00", "04T04:00", "21T23:00"],
    ),
    (
        "Jul Sat 10:00-11:00",
        &["04T10:00", "25T10:00"],
        &["03T10:00"],
    ),
    ("Jan-Jun,aug-December Sat 10:00-11:00", &[], &["04T10:00"]),
    ("Sept-Oct 10:00-11:00", &[], &["01T10:00"]),
    (
        "Nov-July 10:00-11:00",
        &["01T10:00", "31T10:00"],
        &["01T11:00"],
    ),
    (
        "Mar-Sept last Wed 10:00-11:00",
        &["29T10:00"],
        &["22T10:00", "01T10:00"],
    ),
    (
        "Jun Tue 22:00-04:00",
        &["01T03:59"],
        &["01T22:00", "08T03:00"],
    ),
    ("May * 00:00-24:00", &[], &["01T00:00"]),
    ("Wed 10:59-11:00", &["01T10:59"], &["01T10:58", "01T11:00"]),
    (
        "2026-07-01 00:00-24:00",
        &["01T00:00", "01T23:59"],
        &["02T00:00"],
    ),
    (
        "2026-06-30 00:00-2026-07-01 24:00",
        &["01T23:59"],
        &["02T00:00"],
    ),
    (
        "2025-12-20 00:00-2027-01-05 00:00",
        &["01T00:00", "31T12:00"],
        &[],
    ),
];

#[test]
fn entries_cover_what_a_wall_clock_shows() {
    for (text, inside, outside) in COVERS {
        let entry = Entry::parse(text).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(entry.text, text.trim());
        for (times, expected) in [(inside, true), (outside, false)] {
            for time in *times {
                let civil: DateTime = format!("2026-07-{time}").parse().unwrap();
                assert_eq!(
                    entry.span.covers(civil),
                    expected,
                    "{text} at {civil} {:?}",
                    civil.weekday()
                );
            }
        }
    }
}

#[test]
fn the_next_start_or_end_is_told_to_the_second() {
    let civil: DateTime = "2026-07-01T10:00".parse().unwrap();
    for (text, seconds) in [
        ("Wed 10:00-11:00", Some(3600)),
        ("Wed 09:00-10:00", Some(7 * 86_400 - 3600)),
        ("Tue 10:00-10:30", Some(6 * 86_400)),
        ("Wed 10:00-Wed 10:00", Some(7 * 86_400)),
        ("2026-07-03 10:00-11:00", Some(2 * 86_400)),
        ("2026-07-01 10:00-11:00", Some(3600)),
        ("2026-07-01 09:00-10:00", None),
    ] {
        let entry = Entry::parse(text).unwrap();
        assert_eq!(entry.span.seconds_to_boundary(civil), seconds, "{text}");
    }
}

const REFUSED: &[(&str, &str)] = &[
    ("", "\"\": is empty; write it as [MONTHS]"),
    ("   ", "\"\": is empty; write it as [MONTHS]"),
    ("every", "has no time; write it as [MONTHS]"),
    ("not-a-window", "has no time"),
    ("Mon", "has no time"),
    ("Mon 02-04", "has no time"),
    ("Mon 02:00", "has no end"),
    ("Mon 02:00-", "has no end"),
    ("Mon 02:00-Tue", "\"Tue\" is not a time"),
    ("Mon 02:00 04:00", "has no end"),
    ("Mon 02:00-04", "\"04\" is not a time"),
    ("Mon 02:60-04:00", "\"02:60\" is not a time"),
    ("Mon 25:00-26:00", "\"25:00\" is not a time"),
    ("Mon 24:00-04:00", "24:00 can only be an end"),
    ("Mon 02:00-24:01", "\"24:01\" is not a time"),
    ("Mon 2:0-4:00", "\"2:0\" is not a time"),
    ("Mon 002:00-04:00", "\"002:00\" is not a time"),
    ("Mon 02:00:00-04:00", "\"02:00:00\" is not a time"),
    ("Mon -2:00-04:00", "\"-2:00\" is not a time"),
    ("Mon +2:00-04:00", "\"+2:00\" is not a time"),
    ("Mon 02:00-04:00 UTC", "\"UTC\" is not a time"),
    ("Mon 02:00-04:00-06:00", "\"04:00-06:00\" is not a time"),
    ("Mon 2am:00-04:00", "\"2am:00\" is not a time"),
    ("Mo 02:00-04:00", "\"Mo\" is not a day"),
    ("Montag 02:00-04:00", "\"Montag\" is not a day"),
    ("Mon,, 02:00-04:00", "\"\" is not a day"),
    (", 02:00-04:00", "\"\" is not a day"),
    ("Mon- 02:00-04:00", "\"\" is not a day"),
    ("Mon-Wed-Fri 02:00-04:00", "\"Wed-Fri\" is not a day"),
    ("Mon Tue 02:00-04:00", "\"Mon Tue\" is not a day"),
    ("*,Mon 02:00-04:00", "\"*\" is not a day"),
    ("Mon-Tue 22:00-Wed 04:00", "exactly one day on both sides"),
    ("Mon 22:00-Tue,Wed 04:00", "exactly one day on both sides"),
    ("* 22:00-Wed 04:00", "exactly one day on both sides"),
    ("Mon 22:00-* 04:00", "exactly one day on both sides"),
    (
        "2026-13-01 00:00-2027-01-01 00:00",
        "\"2026-13-01\" is not a date",
    ),
    ("2026-02-30 00:00-24:00", "\"2026-02-30\" is not a date"),
    ("2026-2-3 00:00-24:00", "\"2026-2-3\" is not a date"),
    ("20260203 00:00-24:00", "\"20260203\" is not a date"),
    ("2027-01-05 00:00-2026-12-20 00:00", "ends before it begins"),
    (
        "2026-12-20 00:00-2026-12-20 00:00",
        "ends where it begins; write a later end",
    ),
    (
        "2026-12-20 00:00-Mon 00:00",
        "begins at a date and ends on \"Mon\"",
    ),
    ("Mon 00:00-2026-12-20 00:00", "ends at a date"),
    ("00:00-2026-12-20 00:00", "ends at a date"),
    ("Möndäy 02:00-04:00", "is not a day"),
    ("Mon 0२:00-04:00", "is not a time"),
    (
        "5th Sun 02:00-04:00",
        "\"5th\" is not in every month; use last",
    ),
    ("1st 02:00-04:00", "\"1st\" needs a weekday behind it"),
    ("last * 02:00-04:00", "\"last\" needs a weekday behind it"),
    ("Sun 1st 02:00-04:00", "\"Sun 1st\" is not a day"),
    ("-1 Sun 02:00-04:00", "is not a day"),
    ("1st Jan 02:00-04:00", "\"Jan\" is not a day"),
    ("Janu Sun 02:00-04:00", "is not a day"),
    ("6th Sun 02:00-04:00", "is not a date"),
    ("1st Sun 02:00-last Mon 04:00", "is not a day"),
    ("Jan,Mon 02:00-04:00", "\"Jan\" is not a day"),
    (
        "1st Sat,Sun 02:00-Mon 04:00",
        "exactly one day on both sides",
    ),
];

#[test]
fn anything_else_is_refused_with_a_reason() {
    for (text, expected) in REFUSED {
        let why = Entry::parse(text).expect_err(text);
        assert!(
            why.contains(expected),
            "{text}: {why}\ndoes not contain\n{expected}"
        );
        assert!(why.starts_with(&format!("{:?}: ", text.trim())), "{why}");
    }
}

/// What people try first, and what they are told to write.
const HINTS: &[(&str, &str)] = &[
    ("1-5 22:00-04:00", "write \"Mon-Fri 22:00-04:00\""),
    ("6,0 02:00-04:00", "write \"Sat,Sun 02:00-04:00\""),
    (
        "Mon-Fri 22:00\u{2013}04:00",
        "write \"Mon-Fri 22:00-04:00\"",
    ),
    (
        "Mon\u{2014}Fri 22:00 \u{2014} 04:00",
        "write \"Mon-Fri 22:00-04:00\"",
    ),
    ("22:00-04:00 Mon-Fri", "write \"Mon-Fri 22:00-04:00\""),
    ("02:00-04:00 on weekdays", "write \"Mon-Fri 02:00-04:00\""),
    (
        "Mon 02:00-04:00 Europe/Berlin",
        "\"Mon 02:00-04:00\", and Europe/Berlin as windows.timezone",
    ),
    (
        "02:00-04:00Z",
        "write \"02:00-04:00\", and UTC as windows.timezone",
    ),
    ("Mon..Fri 22:00..04:00", "write \"Mon-Fri 22:00-04:00\""),
    ("WEEKENDS 00:00-24:00", "write \"Sat,Sun 00:00-24:00\""),
    ("2026-02-30 00:00-24:00", "that day is not in the calendar"),
    ("2026-2-3 00:00-24:00", "write \"2026-02-03 00:00-24:00\""),
    ("3.2.2026 00:00-24:00", "write \"2026-02-03 00:00-24:00\""),
    ("2026/02/03 02:00-04:00", "write \"2026-02-03 02:00-04:00\""),
    (
        "2026-12-20T00:00/2027-01-05T00:00",
        "write \"2026-12-20 00:00-2027-01-05 00:00\"",
    ),
    ("2026-12-24", "write \"2026-12-24 00:00-24:00\""),
    (
        "2026-12-24..2026-12-26",
        "write \"2026-12-24 00:00-2026-12-26 24:00\"",
    ),
    (
        "Mon..Fri *-*-* 02:00:00",
        "a window has an end; write for example \"Mon-Fri 02:00-24:00\"",
    ),
    (
        "0 2 * * 1-5",
        "cron names an instant, and a window has an end; write for example \"Mon-Fri 02:00-04:00\"",
    ),
    ("0 255 * * mon", "has no time"),
    ("*/5 * * * *", "steps are not known"),
    ("@daily", "write for example * 02:00-04:00"),
    ("2am-4am", "write \"02:00-04:00\""),
    ("Mon-Fri 10:30 p.m. - 4 am", "write \"Mon-Fri 22:30-04:00\""),
    ("Mon 24:00-04:00", "begin at 00:00 of the next day"),
    ("MONTAG 02:00-04:00", "write \"Mon 02:00-04:00\""),
    ("dienstags 22 bis 4 Uhr", "write \"Tue 22:00-04:00\""),
    ("Mo-Fr 22:00-04:00", "write \"Mon-Fri 22:00-04:00\""),
    ("Lundi 02:00-04:00", "write \"Mon 02:00-04:00\""),
    ("22-4", "write \"22:00-04:00\""),
    ("Mon 0200-0400", "write \"Mon 02:00-04:00\""),
    ("Mon 22h30-04h", "write \"Mon 22:30-04:00\""),
    ("Mon 02:00 until 04:00", "write \"Mon 02:00-04:00\""),
    ("Mon Tue 02:00-04:00", "write \"Mon,Tue 02:00-04:00\""),
    ("Mon 02:00:00-04:00:00", "write \"Mon 02:00-04:00\""),
    ("Mon 02:00+2h", "a length is not known; write the end"),
    (
        "Mon 02:00-04:00, Tue 03:00-05:00",
        "write each window as an entry of its own",
    ),
    ("every day 02:00-04:00", "write \"* 02:00-04:00\""),
    ("\"* 02:00-04:00\"", "write \"* 02:00-04:00\""),
    (
        "not Mon 02:00-04:00",
        "exceptions are entries of windows.deny",
    ),
    ("2026-02-300 00:00-24:00", "is not a date; write YYYY-MM-DD"),
    (
        "Mon 02:00-04:00; Tue 03:00-05:00",
        "write each window as an entry of its own",
    ),
    (
        "Mon 02:00-04:00 UTC",
        "\"Mon 02:00-04:00\", and UTC as windows.timezone",
    ),
    (
        "Mon 02:00-04:00 GMT",
        "\"Mon 02:00-04:00\", and UTC as windows.timezone",
    ),
    (
        "Mon 02:00-04:00 CET",
        "\"Mon 02:00-04:00\", and a name such as Europe/Berlin as windows.timezone",
    ),
    (
        "2026-12-20T20:00/2026-12-20T22:00",
        "write \"2026-12-20 20:00-2026-12-20 22:00\"",
    ),
    (
        "2026-12-20T10:00/2026-12-20T12:00",
        "write \"2026-12-20 10:00-2026-12-20 12:00\"",
    ),
    ("20:00-22:00 Tue", "write \"Tue 20:00-22:00\""),
    ("20260203 02:00-04:00", "write \"2026-02-03 02:00-04:00\""),
    ("1-5 2am-4am", "write \"Mon-Fri 02:00-04:00\""),
    ("1-5 2pm-4pm", "write \"Mon-Fri 14:00-16:00\""),
    ("02:00-04:00 1-5", "write \"Mon-Fri 02:00-04:00\""),
    ("Mon 22:00-2 04:00", "write \"Mon 22:00-Tue 04:00\""),
    ("Mon noon-14:00", "write \"Mon 12:00-14:00\""),
    ("Mon 2:30-4.30", "write \"Mon 02:30-04:30\""),
    ("Mon 2.30-4.30", "write \"Mon 02:30-04:30\""),
    ("2-4", "write \"02:00-04:00\""),
];

#[test]
fn first_tries_are_told_what_to_write() {
    for (text, expected) in HINTS {
        let why = Entry::parse(text).expect_err(text);
        assert!(
            why.contains(expected),
            "{text}: {why}\ndoes not contain\n{expected}"
        );
    }
}

/// Some write the month first.
#[test]
fn a_date_that_may_be_another_day_gets_no_hint() {
    for text in ["3/2/2026 02:00-04:00", "3-2-2026 02:00-04:00"] {
        let why = Entry::parse(text).unwrap_err();
        assert!(!why.contains("2026-0"), "{text}: {why}");
    }
}

#[test]
fn what_is_longer_than_anybody_writes_gets_no_hint() {
    for (length, has_hint) in [(199, true), (200, true), (201, false), (202, false)] {
        let width = length - "02:00-04:00".len();
        let why = Entry::parse(&format!("{:<width$}02:00-04:00", "Montag")).unwrap_err();
        assert_eq!(
            why.ends_with("; write \"Mon 02:00-04:00\""),
            has_hint,
            "{length}"
        );
    }
}
