//! `config.d/*.yaml` beside the configuration.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::*;

#[test]
fn drop_ins_are_merged_in_name_order() {
    let fixture = Fixture::new();
    fixture.file(
        "config.d/20-b.yaml",
        "check_interval_sec: 20\nlog: {format: json}\n",
        0o644,
    );
    fixture.file(
        "config.d/10-a.yaml",
        "check_interval_sec: 10\nbackoff_max_sec: 99\n",
        0o644,
    );
    let loaded = fixture
        .load(&with(
            "check_interval_sec: 5\nlog: {level: debug, format: text}",
        ))
        .unwrap();
    let config = loaded.config;
    assert_eq!(config.check_interval, Duration::from_secs(20));
    assert_eq!(config.backoff_max, Duration::from_secs(99));
    assert_eq!(config.log.level, log::LevelFilter::Debug);
    assert_eq!(config.log.format, Some(super::super::LogFormat::Json));
    let files: Vec<_> = loaded
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(files, ["config.yaml", "10-a.yaml", "20-b.yaml"]);
}

#[test]
fn lists_are_replaced_as_a_whole() {
    let fixture = Fixture::new();
    fixture.file("config.d/one.yaml", "etcd_endpoints: [b:1]\n", 0o644);
    let config = fixture
        .load(&with("etcd_endpoints: [a:1, a:2]"))
        .unwrap()
        .config;
    assert_eq!(config.etcd.endpoints, ["http://b:1"]);
}

#[test]
fn null_in_a_drop_in_brings_the_default_back() {
    let fixture = Fixture::new();
    fixture.file("config.d/one.yaml", "check_interval_sec: null\n", 0o644);
    let config = fixture.load(&with("check_interval_sec: 5")).unwrap().config;
    assert_eq!(config.check_interval, Duration::from_secs(60));
}

#[test]
fn a_line_end_in_the_name_of_a_file_breaks_no_line() {
    let fixture = Fixture::new();
    fixture.file(
        "config.d/a\nconfig.yaml: all is well\u{1b}[2J.yaml",
        "wave: x\n",
        0o644,
    );
    let problems = fixture.problems(LEAST);
    let told = "config.d/a\\u000aconfig.yaml: all is well\\u001b[2J.yaml:1: wave: must be";
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(told), "{problems:#?}");
    let name = std::ffi::OsStr::from_bytes(b"config.d/\xff.yaml");
    fs::write(fixture.folder.path().join(name), "wave: y\n").unwrap();
    let Problems(problems) = fixture.load(LEAST).unwrap_err();
    let json = serde_json::to_string(&problems).unwrap();
    assert!(json.contains("config.d/\u{fffd}.yaml"), "{json}");
}

#[test]
fn problems_name_the_file_they_come_from() {
    let fixture = Fixture::new();
    fixture.file(
        "config.d/one.yaml",
        "# a comment\nlog:\n  levl: debug\nbackoff_min_sec: -1\n",
        0o644,
    );
    fixture.file(
        "config.d/two.yaml",
        "backoff_max_sec: x\nbackoff_max_sec: y\n",
        0o644,
    );
    let mut problems = fixture.problems(&with("log: {level: loud}"));
    problems.sort();
    let places = [
        "config.d/one.yaml:3: log.levl: unknown key",
        "config.d/one.yaml:4: backoff_min_sec:",
        "config.d/two.yaml:1: backoff_max_sec: must be",
        "config.d/two.yaml:2: backoff_max_sec: is written twice",
        "config.yaml:8: log.level:",
    ];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(place), "{problem}\nis not at\n{place}");
    }
}

#[test]
fn every_file_that_is_no_yaml_is_reported() {
    let fixture = Fixture::new();
    fixture.file("config.d/one.yaml", "a: [\n", 0o644);
    fixture.file("config.d/two.yaml", "b: }\n", 0o644);
    let problems = fixture.problems(LEAST);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0].starts_with("config.d/one.yaml:")
            && problems[1].starts_with("config.d/two.yaml:")
    );
}

#[test]
fn other_names_are_not_read() {
    let fixture = Fixture::new();
    fixture.file("config.d/.hidden.yaml", "nonsense: 1\n", 0o644);
    fixture.file("config.d/README", "nonsense: 1\n", 0o644);
    for silent in ["a.yaml~", "a.yaml.bak", "a.yaml.dpkg-old", "a.yaml.rpmsave"] {
        fixture.file(&format!("config.d/{silent}"), "nonsense: 1\n", 0o644);
    }
    let told = ["a.YAML", "b.yml", "c.Yml", "d.yaml.txt", "e.json", "f.conf"];
    for name in told {
        fixture.file(&format!("config.d/{name}"), "nonsense: 1\n", 0o644);
    }
    let mut warnings = fixture.load(LEAST).unwrap().warnings;
    warnings.sort_by(|a, b| a.file.cmp(&b.file));
    assert_eq!(warnings.len(), told.len(), "{warnings:?}");
    for (warning, name) in warnings.iter().zip(told) {
        let wanted = format!("config.d/{name}: is not read");
        assert!(warning.to_string().contains(&wanted), "{warning}");
    }
}

#[test]
fn an_empty_drop_in_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.load(LEAST).unwrap().config;
    fixture.file("config.d/empty.yaml", "# all commented out\n", 0o644);
    assert_eq!(fixture.load(LEAST).unwrap().config, before);
}

#[test]
fn a_configuration_others_may_change_is_refused() {
    let only = |fixture: &Fixture, expected: &str| {
        let problems = fixture.problems(LEAST);
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{problems:?}"
        );
    };
    for mode in [0o666, 0o602, 0o620] {
        let fixture = Fixture::new();
        fixture.file("config.d/open.yaml", "dry_run: true\n", mode);
        only(
            &fixture,
            "config.d/open.yaml: can be changed by its group or others; run chmod go-w",
        );
    }
    for folder in ["config.d", "."] {
        let fixture = Fixture::new();
        fixture.file("config.d/more.yaml", "dry_run: true\n", 0o644);
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(fixture.path(folder), open).unwrap();
        let problems = fixture.problems(LEAST).join("\n");
        assert!(
            problems.contains("can be changed by its group or others"),
            "{folder}: {problems}"
        );
    }
    // Others may put a drop-in there.
    let fixture = Fixture::new();
    fixture.file("config.d/more.yaml", "dry_run: true\n", 0o644);
    let sticky = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(fixture.path("config.d"), sticky).unwrap();
    only(&fixture, "config.d: can be changed by its group or others");
}

#[test]
fn a_drop_in_that_holds_no_fields_is_the_only_problem() {
    for text in ["- a\n", "hello\n"] {
        let fixture = Fixture::new();
        fixture.file("config.d/10.yaml", text, 0o644);
        let problems = fixture.problems(LEAST);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("must hold fields"), "{problems:?}");
    }
}

/// What the files hold is made sense of once while they hold the same; whether it can be used is found out each time.
#[test]
fn a_configuration_that_is_read_again_is_what_files_and_host_say_then() {
    let fixture = Fixture::new();
    let text = with("check_interval_sec: 10");
    let interval = |text: &str| {
        let loaded = fixture.load(text).unwrap();
        loaded.config.check_interval.as_secs()
    };
    assert_eq!((interval(&text), interval(&text)), (10, 10));
    assert_eq!(interval(&with("check_interval_sec: 20")), 20);
    assert_eq!(interval(&text), 10);
    let more = fixture.file("config.d/a.yaml", "check_interval_sec: 30", 0o644);
    assert_eq!((interval(&text), interval(&text)), (30, 30));
    fixture.file("config.d/a.yaml", "check_interval_sec: 40", 0o644);
    assert_eq!(interval(&text), 40);
    fixture.file("config.d/a.yaml", "check_interval_sec: 40", 0o666);
    assert!(fixture.problems(&text)[0].contains("config.d/a.yaml"));
    fs::remove_file(more).unwrap();
    assert_eq!(interval(&text), 10);
    fs::remove_file(fixture.path("health.sh")).unwrap();
    let told = fixture.problems(&text);
    assert_eq!(fixture.problems(&text), told);
    assert!(told[0].contains("config.yaml:5: health_script"), "{told:?}");
    // A key that stands twice is told each time.
    let twice = text + "\ncheck_interval_sec: 20\n";
    let told = fixture.problems(&twice);
    assert!(told[0].contains("is written twice"), "{told:?}");
    assert_eq!(fixture.problems(&twice), told);
}
