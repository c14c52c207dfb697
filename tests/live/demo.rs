//! The demo, run as a test: real daemons and a real etcd on made-up hosts, judged from outside.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use demo::{Options, Report, Style};

/// Runs it without a terminal, with short boots, and returns what it saw and printed.
fn run(set: impl FnOnce(&mut Options)) -> (Report, String) {
    let mut options = Options::new(env!("CARGO_BIN_EXE_reboot-coordinator").into());
    options.boot = Duration::from_millis(300);
    options.hold = Duration::from_secs(1);
    set(&mut options);
    let fails = options.fail.is_some();
    let mut printed = Vec::new();
    let stop = AtomicBool::new(false);
    let report = demo::run(&options, Style::PLAIN, &stop, &mut printed);
    let report = report.expect("the demo can be run");
    let printed = String::from_utf8(printed).expect("it prints text");
    assert_eq!(report.broken, Vec::<String>::new(), "{printed}");
    let history = if fails {
        "history      `verify-history` failed: VIOLATED: 1 finding\n"
    } else {
        "history      KEPT: no limit, "
    };
    assert!(printed.contains(history), "{printed}");
    (report, printed)
}

#[test]
fn three_hosts_reboot_once_each_and_one_at_a_time() {
    let (report, printed) = run(|options| options.nodes = 3);
    assert_eq!(report.reboots, 3, "{printed}");
    assert_eq!(
        (report.most_committed, report.most_down),
        (1, 1),
        "{printed}"
    );
}

#[test]
fn nobody_reboots_after_a_failure_until_its_claim_is_taken_away() {
    let (report, printed) = run(|options| {
        options.nodes = 3;
        options.fail = Some(2);
    });
    assert_eq!(report.reboots, 2, "{printed}");
    assert!(report.stopped >= Some(Duration::from_secs(1)), "{printed}");
    let at = |text: &str| {
        printed
            .find(text)
            .unwrap_or_else(|| panic!("{text}\n{printed}"))
    };
    assert!(at("node-2   FAILED") < at("node-2   freed"), "{printed}");
    assert!(at("node-2   freed") < at("node-3   committed"), "{printed}");
}

#[test]
fn four_of_twelve_hosts_are_down_at_once_and_never_two_of_a_rack() {
    let (report, printed) = run(|options| {
        (options.nodes, options.limit) = (12, 4);
        (options.racks, options.rack_limit) = (Some(4), 1);
    });
    assert_eq!(report.reboots, 12, "{printed}");
    assert_eq!(
        (report.most_committed, report.most_of_a_rack),
        (4, 1),
        "{printed}"
    );
    let (report, printed) = run(|options| {
        (options.nodes, options.limit) = (4, 4);
        (options.racks, options.rack_limit) = (Some(1), 1);
    });
    assert_eq!(
        (report.most_committed, report.most_of_a_rack),
        (1, 1),
        "{printed}"
    );
}

#[test]
fn the_line_stands_behind_a_kernel_that_does_not_boot_until_an_operator_lets_it_go_on() {
    let (report, printed) = run(|options| {
        options.nodes = 3;
        options.bad_kernel = true;
    });
    assert_eq!(report.reboots, 3, "{printed}");
    assert!(report.stopped >= Some(Duration::from_secs(1)), "{printed}");
    let at = |text: &str| {
        printed
            .find(text)
            .unwrap_or_else(|| panic!("{text}\n{printed}"))
    };
    assert!(at("node-1   FAILED") < at("operator goes on"), "{printed}");
    assert!(
        at("operator goes on") < at("node-2   committed"),
        "{printed}"
    );
}

#[test]
fn waves_go_one_after_the_other() {
    let (report, printed) = run(|options| {
        (options.nodes, options.limit, options.waves) = (6, 6, 3);
    });
    assert_eq!((report.reboots, report.most_committed), (6, 2), "{printed}");
}

#[test]
fn hosts_that_an_operator_asks_reboot_once_each_in_order_and_leave_no_request() {
    let (report, printed) = run(|options| {
        options.nodes = 4;
        options.request = true;
    });
    assert_eq!(report.reboots, 4, "{printed}");
    assert_eq!(report.most_down, 1, "{printed}");
    let asked = "requested a reboot of node-1, node-2, node-3, node-4";
    assert!(printed.contains(asked), "{printed}");
}

/// Each host with a certificate and a user of its own that may do no more than it must; the failure is dealt with by etcd's root.
#[test]
fn certificates_and_users_with_the_least_rights_cost_nobody_a_turn() {
    for (tls, auth) in [(true, false), (false, true), (true, true)] {
        let (report, printed) = run(|options| {
            options.nodes = 3;
            (options.tls, options.auth) = (tls, auth);
            options.fail = (tls && auth).then_some(2);
        });
        let expected = if tls && auth { 2 } else { 3 };
        assert_eq!(report.reboots, expected, "{printed}");
        assert_eq!(report.most_down, 1, "{printed}");
        let (report, printed) = run(|options| {
            options.nodes = 2;
            (options.tls, options.auth) = (tls, auth);
            options.request = true;
        });
        assert_eq!(report.reboots, 2, "{printed}");
    }
}
