//! Comparison with an evaluation that shares no code with the real one: for every minute, lay each entry out over the
//! surrounding calendar days and see whether the minute lies between two civil times.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};

use super::*;

/// An entry in the words of the documentation: days on which it starts (0 = Monday), start, how many days later it ends, end.
struct Rule {
    text: &'static str,
    days: &'static [i8],
    start: (i8, i8),
    later: i64,
    end: (i8, i8),
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
];

fn covers(rule: &Rule, civil: DateTime) -> bool {
    (-rule.later..=0).any(|back| {
        let day = civil.date().checked_add(back.days()).unwrap();
        let start = day.at(rule.start.0, rule.start.1, 0, 0);
        let end = day
            .checked_add(rule.later.days())
            .unwrap()
            .at(rule.end.0, rule.end.1, 0, 0);
        rule.days.contains(&day.weekday().to_monday_zero_offset()) && start <= civil && civil < end
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

/// Minutes around every change of the clock in several years, plus a plain week.
fn stretches(zone: &TimeZone) -> Vec<(Timestamp, Timestamp)> {
    let first = date(2010, 1, 1)
        .at(0, 0, 0, 0)
        .to_zoned(TimeZone::UTC)
        .unwrap()
        .timestamp();
    let last = date(2015, 1, 1)
        .at(0, 0, 0, 0)
        .to_zoned(TimeZone::UTC)
        .unwrap()
        .timestamp();
    let around = |center: Timestamp, before: i64, after: i64| {
        (center - before.hours(), center + after.hours())
    };
    let mut stretches = vec![around(first, 0, 8 * 24)];
    let changes = zone
        .following(first)
        .map(|change| change.timestamp())
        .take_while(|change| *change < last);
    stretches.extend(changes.map(|change| around(change, 4, 24)));
    stretches
}

/// Compares verdicts minute by minute, and the changes of each stretch with [`Windows::next_change`].
fn compare(name: &str, set: &(&[Rule], &[Rule])) -> usize {
    let zone = TimeZone::get(name).unwrap();
    let texts = |rules: &[Rule]| {
        rules
            .iter()
            .map(|rule| rule.text.to_owned())
            .collect::<Vec<_>>()
    };
    let windows = Windows::parse(name, &texts(set.0), &texts(set.1)).unwrap();
    let mut minutes = 0;
    for (from, until) in stretches(&zone) {
        let (mut changes, mut before, mut now) = (Vec::new(), None, from);
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
        assert_eq!(found, changes, "{name} from {from}");
    }
    minutes
}

#[test]
fn agrees_with_the_naive_evaluation_at_every_change_of_the_clock() {
    let mut minutes = 0;
    for (index, zone) in ZONES.iter().enumerate() {
        // Two sets a zone, in turn, so that every set meets several zones.
        minutes += compare(zone, &SETS[index % SETS.len()])
            + compare(zone, &SETS[(index + 2) % SETS.len()]);
    }
    assert!(minutes > 150_000, "only {minutes} minutes were compared");
}

#[test]
fn next_change_finds_every_change_of_several_years() {
    let set = &SETS[0];
    let zone = TimeZone::get("America/New_York").unwrap();
    let windows = windows(
        "America/New_York",
        &[],
        &["Tue-Thu 22:00-04:00", "Sun 01:30-02:30"],
    );
    let end = at("America/New_York", "2029-01-01T00:00");
    let mut now = at("America/New_York", "2026-01-01T00:00");
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
