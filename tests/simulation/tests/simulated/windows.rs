//! Maintenance windows against an evaluation that shares no code with the real one: for every minute, lay each entry out over the
//! surrounding calendar days and see whether the minute lies between two civil times.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use reboot_coordinator::core::windows::Windows;

/// An entry in the words of the documentation: days on which it starts (0 = Monday), start, how many days later it ends, end.
struct Rule {
    text: &'static str,
    days: &'static [i8],
    start: (i8, i8),
    later: i64,
    end: (i8, i8),
    /// Months of the start, none for all.
    months: &'static [i8],
    /// Which of these weekdays in its month, counted from either end (-1 is the last), none for all.
    nths: &'static [i8],
}

const fn of(months: &'static [i8], nths: &'static [i8], rule: Rule) -> Rule {
    Rule {
        months,
        nths,
        ..rule
    }
}

const fn rule(
    text: &'static str,
    days: &'static [i8],
    start: (i8, i8),
    later: i64,
    end: (i8, i8),
) -> Rule {
    Rule {
        text,
        days,
        start,
        later,
        end,
        months: &[],
        nths: &[],
    }
}

const EVERY: &[i8] = &[0, 1, 2, 3, 4, 5, 6];

/// (deny, allow)
const SETS: &[(&[Rule], &[Rule])] = &[
    (
        &[],
        &[
            rule("Tue-Thu 22:00-04:00", &[1, 2, 3], (22, 0), 1, (4, 0)),
            rule("Sun 01:30-02:30", &[6], (1, 30), 0, (2, 30)),
        ],
    ),
    (
        &[rule("Fri 18:00-Mon 08:00", &[4], (18, 0), 3, (8, 0))],
        &[rule("* 02:10-02:50", EVERY, (2, 10), 0, (2, 50))],
    ),
    (
        &[
            rule("* 00:00-01:45", EVERY, (0, 0), 0, (1, 45)),
            rule("Sat,Sun 00:00-24:00", &[5, 6], (0, 0), 1, (0, 0)),
        ],
        &[],
    ),
    (
        &[
            rule("* 00:00-02:00", EVERY, (0, 0), 0, (2, 0)),
            rule("* 03:00-24:00", EVERY, (3, 0), 1, (0, 0)),
        ],
        &[],
    ),
    (
        &[],
        &[
            rule("Sun 23:30-Fri 00:30", &[6], (23, 30), 5, (0, 30)),
            rule("Sat 00:10-23:00", &[5], (0, 10), 0, (23, 0)),
        ],
    ),
    (
        &[of(
            &[11, 12, 1, 2],
            &[],
            rule("Nov-Feb Sun 01:00-02:00", &[6], (1, 0), 0, (2, 0)),
        )],
        &[
            of(
                &[],
                &[1, -1],
                rule("1st,last Sun 00:30-03:30", &[6], (0, 30), 0, (3, 30)),
            ),
            of(
                &[],
                &[2],
                rule("second Tue,Fri 22:00-04:00", &[1, 4], (22, 0), 1, (4, 0)),
            ),
            of(
                &[4, 12],
                &[4],
                rule(
                    "Apr,December 4th Fri 18:00-Mon 08:00",
                    &[4],
                    (18, 0),
                    3,
                    (8, 0),
                ),
            ),
        ],
    ),
    (
        &[
            of(
                &[],
                &[-1],
                rule("last Sat,Sun 00:00-24:00", &[5, 6], (0, 0), 1, (0, 0)),
            ),
            of(
                &[3, 10],
                &[],
                rule("Mar,Oct * 00:00-24:00", EVERY, (0, 0), 1, (0, 0)),
            ),
        ],
        &[],
    ),
];

fn covers(rule: &Rule, civil: DateTime) -> bool {
    (-rule.later..=0).any(|back| {
        let day = civil.date().checked_add(back.days()).unwrap();
        if !rule.days.contains(&day.weekday().to_monday_zero_offset()) {
            return false;
        }
        if !(rule.months.is_empty() || rule.months.contains(&day.month())) {
            return false;
        }
        // Counted along the month, as a person with a calendar would.
        let counted = || {
            let same = |other: &Date| other.weekday() == day.weekday();
            let days = (1..=31).filter_map(|n| Date::new(day.year(), day.month(), n).ok());
            let (until, from): (Vec<Date>, Vec<Date>) =
                days.filter(same).partition(|other| *other <= day);
            let (nth, left) = (until.len(), from.len() + 1);
            [i8::try_from(nth).unwrap(), -i8::try_from(left).unwrap()]
        };
        if !rule.nths.is_empty() && !counted().iter().any(|nth| rule.nths.contains(nth)) {
            return false;
        }
        let start = day.at(rule.start.0, rule.start.1, 0, 0);
        let last = day.checked_add(rule.later.days()).unwrap();
        let end = last.at(rule.end.0, rule.end.1, 0, 0);
        start <= civil && civil < end
    })
}

fn naively_open(set: &(&[Rule], &[Rule]), civil: DateTime) -> bool {
    let any = |rules: &[Rule]| rules.iter().any(|rule| covers(rule, civil));
    !any(set.0) && (set.1.is_empty() || any(set.1))
}

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
];

/// Every minute of these years is compared: in them Apia skipped a day, Sao Paulo changed its rules, and every zone with
/// summer time went through six changes.
const YEARS: std::ops::Range<i16> = 2010..2013;

/// Compares verdicts minute by minute, and the changes of each year with [`Windows::next_change`].
fn compare(name: &str, year: i16, set: &(&[Rule], &[Rule])) -> usize {
    let zone = TimeZone::get(name).unwrap();
    let texts = |rules: &[Rule]| {
        rules
            .iter()
            .map(|rule| rule.text.to_owned())
            .collect::<Vec<_>>()
    };
    let windows = Windows::parse(name, &texts(set.0), &texts(set.1)).unwrap();
    let new_year = |year| {
        let midnight = date(year, 1, 1).at(0, 0, 0, 0);
        midnight.to_zoned(TimeZone::UTC).unwrap().timestamp()
    };
    let (from, until) = (new_year(year), new_year(year + 1));
    let (mut minutes, mut changes, mut before, mut now) = (0, Vec::new(), None, from);
    while now < until {
        let expected = naively_open(set, zone.to_datetime(now));
        assert_eq!(
            windows.verdict(now).open,
            expected,
            "{name} {now} {:?}",
            texts(set.1)
        );
        if before.is_some_and(|before| before != expected) {
            changes.push(now);
        }
        before = Some(expected);
        now += 1.minute();
        minutes += 1;
    }
    let next = |at: &Timestamp| windows.next_change(*at).filter(|change| *change < until);
    let found: Vec<_> = std::iter::successors(next(&from), next).collect();
    assert_eq!(found, changes, "{name} in {year}");
    minutes
}

#[test]
fn agrees_with_the_naive_evaluation_in_every_minute_of_three_years() {
    let compare_zone = |index: usize| {
        // Another set each year, so that every set meets several zones.
        let set = |year: i16| &SETS[(index + usize::try_from(year).unwrap()) % SETS.len()];
        YEARS
            .map(|year| compare(ZONES[index], year, set(year)))
            .sum::<usize>()
    };
    let minutes: usize = std::thread::scope(|scope| {
        let zones = (0..ZONES.len()).map(|index| scope.spawn(move || compare_zone(index)));
        let zones: Vec<_> = zones.collect();
        zones.into_iter().map(|zone| zone.join().unwrap()).sum()
    });
    assert_eq!(minutes, ZONES.len() * 1096 * 24 * 60);
}

#[test]
fn next_change_finds_every_change_of_several_years() {
    let set = &SETS[0];
    let zone = TimeZone::get("America/New_York").unwrap();
    let allow = set.1.iter().map(|rule| rule.text.to_owned());
    let windows = Windows::parse("America/New_York", &[], &allow.collect::<Vec<_>>()).unwrap();
    let new_year = |year| date(year, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
    let (mut now, end) = (new_year(2026), new_year(2029));
    let mut count = 0;
    while let Some(change) = windows.next_change(now).filter(|change| *change < end) {
        let open = |instant: Timestamp| naively_open(set, zone.to_datetime(instant));
        assert_ne!(open(change), open(change - 1.second()), "{change}");
        count += 1;
        now = change;
    }
    // Four windows a week, two changes each, and a few more in repeated hours.
    assert!((3 * 52 * 8..3 * 53 * 8 + 20).contains(&count), "{count}");
}
