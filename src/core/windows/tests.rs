//! Tables of the grammar and of verdicts. The simulation's tests compare them with a naive evaluation.

mod grammar;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;

fn windows(zone: &str, deny: &[&str], allow: &[&str]) -> Windows {
    let texts = |entries: &[&str]| {
        entries
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    Windows::parse(zone, &texts(deny), &texts(allow)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The instant at which a wall clock in `zone` shows `civil`; of two, the earlier.
fn at(zone: &str, civil: &str) -> Timestamp {
    let civil: DateTime = civil.parse().unwrap();
    TimeZone::get(zone)
        .unwrap()
        .to_ambiguous_timestamp(civil)
        .compatible()
        .unwrap()
}

#[test]
fn deny_wins_and_the_deciding_entry_is_named() {
    let windows = windows(
        "UTC",
        &["Wed 03:00-04:00"],
        &["* 02:00-05:00", "Wed 03:30-23:00"],
    );
    let verdict = |time: &str| windows.verdict(at("UTC", time));
    // 2026-07-01 is a Wednesday.
    for (time, open, by) in [
        ("2026-07-01T01:59", false, None),
        ("2026-07-01T02:00", true, Some("* 02:00-05:00")),
        ("2026-07-01T03:00", false, Some("Wed 03:00-04:00")),
        ("2026-07-01T03:59:59", false, Some("Wed 03:00-04:00")),
        ("2026-07-01T04:00", true, Some("* 02:00-05:00")),
        ("2026-07-01T05:00", true, Some("Wed 03:30-23:00")),
        ("2026-07-01T23:00", false, None),
        ("2026-07-02T03:00", true, Some("* 02:00-05:00")),
    ] {
        assert_eq!(
            verdict(time),
            WindowVerdict {
                open,
                by: by.map(str::to_owned)
            },
            "{time}"
        );
    }
}

#[test]
fn without_allow_entries_everything_not_denied_is_open() {
    let windows = windows("UTC", &["Wed 03:00-04:00"], &[]);
    let open = WindowVerdict {
        open: true,
        by: None,
    };
    assert_eq!(windows.verdict(at("UTC", "2026-07-01T02:00")), open);
    assert!(!windows.verdict(at("UTC", "2026-07-01T03:30")).open);
}

#[test]
fn the_last_change_is_found_as_far_back_as_is_asked() {
    let windows = windows("Europe/Berlin", &[], &["Tue 22:00-04:00"]);
    let since = |now: &str, days: i64| {
        windows.since(
            at("Europe/Berlin", now),
            SignedDuration::from_hours(24 * days),
        )
    };
    let berlin = |text| Some(at("Europe/Berlin", text));
    // Tuesday, 24 November 2026.
    assert_eq!(since("2026-11-24T22:00", 8), berlin("2026-11-24T22:00"));
    assert_eq!(since("2026-11-25T03:59", 8), berlin("2026-11-24T22:00"));
    assert_eq!(since("2026-11-30T12:00", 8), berlin("2026-11-25T04:00"));
    assert_eq!(since("2026-11-30T12:00", 3), None);
}

#[test]
fn next_change_and_next_open_are_exact() {
    let allow = windows("Europe/Berlin", &[], &["Sat,Sun 02:00-04:00"]);
    // 2026-07-04 is a Saturday.
    let saturday = at("Europe/Berlin", "2026-07-04T02:00");
    assert_eq!(
        allow.next_change(at("Europe/Berlin", "2026-07-01T12:34:56.5")),
        Some(saturday)
    );
    assert_eq!(
        allow.next_change(saturday),
        Some(at("Europe/Berlin", "2026-07-04T04:00"))
    );
    assert_eq!(allow.next_open(saturday), Some(saturday));
    assert_eq!(
        allow.next_open(at("Europe/Berlin", "2026-07-04T04:00")),
        Some(at("Europe/Berlin", "2026-07-05T02:00"))
    );
}

#[test]
fn a_state_that_never_changes_again_has_no_next_change() {
    let now = at("UTC", "2026-07-01T12:00");
    for (deny, allow) in [
        (vec!["* 00:00-24:00"], vec![]),
        (vec![], vec!["* 00:00-12:00", "* 12:00-24:00"]),
        (vec!["2020-01-01 00:00-2020-02-01 00:00"], vec![]),
        (vec!["Mon 00:00-Mon 00:00"], vec!["* 02:00-03:00"]),
        (vec![], vec![]),
    ] {
        for zone in ["UTC", "Europe/Berlin"] {
            let windows = windows(zone, &deny, &allow);
            assert_eq!(windows.next_change(now), None, "{deny:?} {allow:?} {zone}");
            assert_eq!(windows.next_open(now).is_some(), windows.verdict(now).open);
        }
    }
}

#[test]
fn the_nth_weekday_is_found_from_any_day_of_the_year() {
    let yearly = windows(
        "Europe/Berlin",
        &["last Sun 02:00-04:00"],
        &["Mar 4th,last Sun 02:00-04:00"],
    );
    // In 2027 the 4th Sunday of March is the last one.
    let wanted = at("Europe/Berlin", "2026-03-22T02:00");
    for days in [1, 100, 300] {
        let before = wanted - SignedDuration::from_hours(24 * days);
        assert_eq!(yearly.next_open(before), Some(wanted));
    }
    let monthly = windows("UTC", &[], &["1st Sun 02:00-04:00"]);
    let openings: Vec<String> = monthly
        .openings(at("UTC", "2026-12-01T00:00"))
        .take(3)
        .map(|(start, end)| format!("{start} {}", end.unwrap()))
        .collect();
    assert_eq!(
        openings,
        [
            "2026-12-06T02:00:00Z 2026-12-06T04:00:00Z",
            "2027-01-03T02:00:00Z 2027-01-03T04:00:00Z",
            "2027-02-07T02:00:00Z 2027-02-07T04:00:00Z"
        ]
    );
    let open = monthly
        .openings(at("UTC", "2026-12-06T03:00"))
        .next()
        .unwrap();
    assert_eq!(open.0, at("UTC", "2026-12-06T03:00"));
    assert_eq!(windows("UTC", &[], &[]).openings(wanted).count(), 1);
    assert_eq!(
        windows("UTC", &["* 00:00-24:00"], &[])
            .openings(wanted)
            .count(),
        0
    );
}

#[test]
fn dates_far_ahead_are_found() {
    let zone = "Europe/Berlin";
    let now = at(zone, "2026-07-01T12:00");
    let deny = windows(
        zone,
        &[
            "2031-12-20 00:00-2032-01-05 00:00",
            "2040-01-01 00:00-2040-01-02 00:00",
        ],
        &["* 00:00-24:00"],
    );
    let first = deny.next_change(now).unwrap();
    assert_eq!(first, at(zone, "2031-12-20T00:00"));
    let second = deny.next_change(first).unwrap();
    assert_eq!(second, at(zone, "2032-01-05T00:00"));
    assert_eq!(deny.next_change(second), Some(at(zone, "2040-01-01T00:00")));
    // A date that hides every weekly entry for as long as is searched without one.
    let hiding = windows(
        "UTC",
        &["2026-07-01 00:00-2026-07-15 12:00"],
        &["Wed 00:00-01:00"],
    );
    assert_eq!(
        hiding.next_open(at("UTC", "2026-07-01T00:00")),
        Some(at("UTC", "2026-07-22T00:00"))
    );
    // Two dates that touch are one stretch.
    let touching = windows(
        zone,
        &[
            "2030-01-01 00:00-2035-01-01 00:00",
            "2035-01-01 00:00-2039-01-01 00:00",
        ],
        &[],
    );
    assert_eq!(
        touching.next_open(at(zone, "2031-01-01T00:00")),
        Some(at(zone, "2039-01-01T00:00"))
    );
}

#[test]
fn a_window_that_begins_in_a_skipped_hour_begins_at_the_jump() {
    // On 2026-03-29 the clock in Berlin goes from 02:00 to 03:00.
    let zone = "Europe/Berlin";
    let windows = windows(zone, &[], &["Sun 02:30-04:00"]);
    let midnight = at(zone, "2026-03-29T00:00");
    let open = windows.next_open(midnight).unwrap();
    assert_eq!(open, at(zone, "2026-03-29T03:00"));
    assert_eq!(
        windows.next_change(open),
        Some(at(zone, "2026-03-29T04:00"))
    );
}

#[test]
fn a_window_inside_of_a_skipped_hour_does_not_happen_that_day() {
    let zone = "Europe/Berlin";
    let windows = windows(zone, &[], &["* 02:15-02:45"]);
    assert_eq!(
        windows.next_open(at(zone, "2026-03-28T12:00")),
        Some(at(zone, "2026-03-30T02:15"))
    );
}

#[test]
fn a_window_in_a_repeated_hour_applies_both_times() {
    // On 2026-10-25 the clock in Berlin goes from 03:00 back to 02:00.
    let zone = "Europe/Berlin";
    let windows = windows(zone, &[], &["* 02:15-02:45"]);
    let mut now = at(zone, "2026-10-25T00:00");
    let mut changes = Vec::new();
    for _ in 0..4 {
        now = windows.next_change(now).unwrap();
        changes.push(now.to_string());
    }
    assert_eq!(
        changes,
        [
            "2026-10-25T00:15:00Z",
            "2026-10-25T00:45:00Z",
            "2026-10-25T01:15:00Z",
            "2026-10-25T01:45:00Z"
        ]
    );
}

#[test]
fn zones_are_found_or_explained() {
    for name in [
        "UTC",
        "utc",
        "local",
        "Local",
        "Europe/Berlin",
        "Asia/Kolkata",
        "Pacific/Apia",
    ] {
        windows(name, &[], &["* 00:00-01:00"]);
    }
    for name in ["Europe/Berlim", "Berlin", "", "+02:00", "../../etc/passwd"] {
        let errors = Windows::parse(name, &[], &[]).unwrap_err();
        assert_eq!(
            (errors.len(), errors[0].field),
            (1, WindowsField::Timezone),
            "{name}"
        );
        assert!(
            errors[0].message.contains("time zone database"),
            "{}",
            errors[0].message
        );
    }
}

#[test]
fn all_errors_come_at_once_with_their_place() {
    let deny = ["* 00:00-01:00", "nonsense"].map(str::to_owned);
    let allow = ["Mon 25:00-26:00"].map(str::to_owned);
    let fields: Vec<_> = Windows::parse("Nowhere", &deny, &allow)
        .unwrap_err()
        .iter()
        .map(|error| error.field)
        .collect();
    assert_eq!(
        fields,
        [
            WindowsField::Timezone,
            WindowsField::Deny(1),
            WindowsField::Allow(0)
        ]
    );
    let errors = Windows::parse("UTC", &deny, &[]).unwrap_err();
    assert_eq!(errors.len(), 1, "the zone is good");
    assert_eq!(errors[0].field, WindowsField::Deny(1));
}

#[test]
fn texts_are_kept_and_decide_equality() {
    let (deny, allow) = (["  Mon 01:00-02:00 "], ["* 02:00-04:00", "Sun 00:00-24:00"]);
    let one = windows("UTC", &deny, &allow);
    assert_eq!(one.deny().collect::<Vec<_>>(), ["Mon 01:00-02:00"]);
    assert_eq!(one.allow().collect::<Vec<_>>(), allow);
    assert_eq!((one.timezone(), one.zone()), ("UTC", &TimeZone::UTC));
    assert_eq!(one, one.clone());
    assert_ne!(one, windows("Europe/Berlin", &deny, &allow));
    assert_ne!(one, windows("UTC", &deny, &allow[..1]));
}

#[test]
fn entries_are_counted_together() {
    let parse = |deny: usize, allow: usize| {
        let entries = |count| vec!["* 02:00-04:00".to_owned(); count];
        let parsed = Windows::parse("UTC", &entries(deny), &entries(allow));
        parsed.map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    };
    for (deny, allow) in [(0, 1), (1, 0), (3, 4), (100, 100), (0, 200), (200, 0)] {
        let windows = parse(deny, allow).unwrap_or_else(|wrong: Vec<_>| panic!("{wrong:?}"));
        let looks = windows.most_boundaries() * (deny + allow);
        let most = MOST_LOOKS / 2..=MOST_LOOKS;
        assert!(most.contains(&looks), "{looks}");
    }
    for (deny, allow, wrong) in [
        (101, 100, WindowsField::Deny(100)),
        (100, 101, WindowsField::Allow(100)),
        (101, 101, WindowsField::Allow(99)),
        (202, 0, WindowsField::Deny(200)),
    ] {
        assert_eq!(parse(deny, allow), Err(vec![wrong]), "{deny} {allow}");
    }
}

#[test]
fn windows_are_the_same_by_their_words_wherever_local_is() {
    let one = windows("UTC", &["Mon 01:00-02:00"], &["* 02:00-04:00"]);
    let moved = Windows {
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        ..one.clone()
    };
    assert!(one != moved && one.are_written_as(&moved));
    let open = one.without_deny();
    assert_eq!(open, windows("UTC", &[], &["* 02:00-04:00"]));
    for other in [
        open,
        windows("UTC", &["Mon 01:00-02:00"], &[]),
        windows("utc", &["Mon 01:00-02:00"], &["* 02:00-04:00"]),
    ] {
        assert!(!one.are_written_as(&other), "{other:?}");
    }
}

#[test]
fn the_longest_opening_is_told_when_all_of_them_end() {
    let now = at("UTC", "2026-07-01T12:00");
    let longest = |deny: &[&str], allow: &[&str]| windows("UTC", deny, allow).longest(now);
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    assert_eq!(
        longest(&[], &["* 02:00-04:00", "Sun 01:00-06:00"]),
        hours(5)
    );
    assert_eq!(longest(&["Sun 02:00-06:00"], &["* 02:00-04:00"]), hours(2));
    assert_eq!(longest(&[], &["* 00:00-24:00"]), None);
    assert_eq!(longest(&["2026-07-02 00:00-24:00"], &[]), None);
    assert_eq!(longest(&["* 00:00-24:00"], &[]), None);
}

/// A last Sunday that is not the 4th comes in every month but February within a year.
#[test]
fn what_comes_once_a_year_is_found_and_what_comes_more_rarely_when_it_is_near() {
    let yearly = windows("UTC", &[], &["Feb last Sun 02:00-04:00"]);
    // 371 days.
    let next = yearly.next_open(at("UTC", "2026-02-22T04:00"));
    assert_eq!(next, Some(at("UTC", "2027-02-28T02:00")));
    // Five Sundays of February: in 2032.
    let rare = windows(
        "UTC",
        &["4th Sun 00:00-24:00"],
        &["Feb last Sun 02:00-04:00"],
    );
    assert_eq!(rare.next_open(at("UTC", "2026-12-01T00:00")), None);
    let next = rare.next_open(at("UTC", "2031-03-01T00:00"));
    assert_eq!(next, Some(at("UTC", "2032-02-29T02:00")));
}

/// Entries of every week cost a search no more than a fortnight, so that it gets to a date however many they are.
#[test]
fn a_date_far_ahead_is_found_behind_many_entries_of_every_day() {
    let minute = |at: usize| format!("* {:02}:{:02}-{:02}:00", at / 60, at % 60, at / 60 + 1);
    let mut allow: Vec<String> = (0..198).map(minute).collect();
    allow.push("* 00:00-24:00".to_owned());
    let deny = ["2040-01-01 00:00-24:00".to_owned()];
    let windows = Windows::parse("UTC", &deny, &allow).unwrap();
    let next = windows.next_change(at("UTC", "2026-07-01T12:00"));
    assert_eq!(next, Some(at("UTC", "2040-01-01T00:00")));
}

/// A zone file of version 1 has a table and no rule for what follows it; neither have the `right/` zones of some systems.
#[test]
fn a_search_ends_in_a_zone_whose_table_has_ended() {
    for transitions in [&[][..], &[0_i32], &[-1_000_000_000, 0, 78_796_800]] {
        let zone = TimeZone::tzif("Made/Up", &version_1(transitions)).unwrap();
        let windows = Windows {
            timezone: "Made/Up".to_owned(),
            zone,
            deny: vec![Entry::parse("Sat,Sun 00:00-24:00").unwrap()],
            allow: vec![Entry::parse("* 02:00-04:00").unwrap()],
        };
        // A Friday.
        let now: Timestamp = "2026-11-27T05:00:00Z".parse().unwrap();
        let last = transitions.last().map(|at| i64::from(*at));
        let ended = windows.table_ended(now);
        assert_eq!(ended.map(Timestamp::as_second), last);
        let next = windows.next_change(now).unwrap();
        assert_eq!(next.to_string(), "2026-11-30T02:00:00Z");
        let since = windows.since(now, SignedDuration::from_hours(48)).unwrap();
        assert_eq!(since.to_string(), "2026-11-27T04:00:00Z");
        // A Saturday, at the last transition of the table to the second.
        let next = windows.next_change("1972-07-01T00:00:00Z".parse().unwrap());
        assert_eq!(next.unwrap().to_string(), "1972-07-03T02:00:00Z");
    }
}

/// UTC, with transitions to itself.
fn version_1(transitions: &[i32]) -> Vec<u8> {
    let mut file = b"TZif\0".to_vec();
    file.extend([0; 15]);
    let count = u32::try_from(transitions.len()).unwrap();
    for number in [0, 0, 0, count, 2, 4] {
        file.extend(number.to_be_bytes());
    }
    file.extend(transitions.iter().flat_map(|at| at.to_be_bytes()));
    file.extend((0..transitions.len()).map(|at| u8::from(at % 2 == 0)));
    for _ in 0..2 {
        file.extend([0, 0, 0, 0, 0, 0]);
    }
    file.extend(b"UTC\0");
    file
}

/// Every zone of the system, those with leap seconds too, gives an answer.
#[test]
fn a_search_ends_in_every_zone_file_of_the_system() {
    let mut folders = vec![std::path::PathBuf::from("/usr/share/zoneinfo")];
    let now: Timestamp = "2026-11-27T05:00:00Z".parse().unwrap();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let Ok(zone) = TimeZone::tzif("Some/Where", &bytes) else {
                continue;
            };
            let windows = Windows {
                timezone: "Some/Where".to_owned(),
                zone,
                deny: vec![],
                allow: vec![Entry::parse("Mon 02:00-04:00").unwrap()],
            };
            let open = windows.next_open(now).unwrap();
            let ended = windows.table_ended(now).is_some();
            assert!(
                !ended || path.to_string_lossy().contains("/right/"),
                "{}",
                path.display()
            );
            assert!(open > now && windows.is_open(open), "{}", path.display());
        }
    }
}

/// The main loop waits for a search: what it may cost has a bound, whatever is written.
#[test]
fn a_search_through_as_many_entries_as_there_may_be_ends_soon() {
    let many =
        |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>();
    let daily = |at: usize| {
        format!(
            "* {:02}:{:02}-{:02}:{:02}",
            at / 60 % 24,
            at % 60,
            (at / 60 + 5) % 24,
            at * 7 % 60
        )
    };
    let dated = |at: usize| {
        format!(
            "{}-{:02}-{:02} 01:00-03:00",
            2027 + at / 300,
            1 + at / 25 % 12,
            1 + at % 25
        )
    };
    let never = vec!["* 00:00-24:00".to_owned()];
    let mixed = [many(99, &daily), many(100, &dated)].concat();
    let now: Timestamp = "2026-11-27T05:00:00Z".parse().unwrap();
    for allow in [many(199, &daily), many(199, &dated), mixed] {
        let windows = Windows::parse("Europe/Berlin", &never, &allow).unwrap();
        let looks = windows.most_boundaries() * 200;
        assert!(looks <= MOST_LOOKS, "{looks}");
        assert_eq!(windows.next_open(now), None);
        assert!(!windows.verdict(now).open);
    }
    let errors = Windows::parse("UTC", &never, &many(200, &daily)).unwrap_err();
    assert_eq!(errors[0].field, WindowsField::Allow(199));
    assert!(
        errors[0].message.contains("201 entries"),
        "{}",
        errors[0].message
    );
}
