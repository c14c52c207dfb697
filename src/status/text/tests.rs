//! What `status` prints: what matters first, on screens of any size.

use super::*;
use crate::escape::uncoloured;
use crate::etcd::Trouble;
use crate::lock::record::RecordError;
use crate::status::describe::rebooted;
use crate::status::fixtures::says;
use crate::status::fixtures::{busy, cooldown, history, local, now, pause, view};
use crate::status::gates::gates;
use crate::status::table::WIDTH;

fn shown(view: &View) -> String {
    uncoloured(&text(view, now()))
}

#[test]
fn a_busy_cluster() {
    assert_eq!(
        shown(&view(local(), busy())),
        "\
node-a has not come back, by its own clock; 2 nodes wait.
Only when it will not return: reboot-coordinator release node-a --reason TEXT

Cluster    /cluster/lock, etcd 3.5.16
Pause      none
Cooldown   none
Limit      1 at a time
Rebooting  1
  node-a  rebooting  12 min  kernel
Queue      2
  1  node-b  4 min  kernel
  2  node-c  2 min  kernel
Forecast   2 left, how long is not known: every place is kept by node-a
Members    3, 0 with nothing to do
  node-a  12 min  has not come back, by its own clock; rebooted 10 h ago:
                  kernel; budget used: 1
  node-b          waits for its turn; no reboot yet
  node-c          waits for its turn; no reboot yet
Recent
  35 min ago  node-x  completed  kernel

This node  node-c
  daemon       runs       process id 123
  detectors    not asked  not run by status (use simulate)
  kill switch  ok         /etc/reboot-coordinator/disable is not there
  window       ok         allowed by \"Mon 08:00-18:00\" since Mon 2026-11-23
                          08:00 UTC; closes Mon 2026-11-23 18:00 UTC (in 6 h)
  pause        ok         the cluster is not paused
  cooldown     ok         the cluster does not cool down
  budget       ok         0 of 1 used
  health       not asked  not run now, and this node does not report its health
                          (use simulate --health)
  turn         blocks     in the queue for 2 min; 2 before it: node-a, node-b"
    );
}

#[test]
fn an_attempt_that_is_under_way_has_used_nothing_yet() {
    let (_, record) = crate::status::fixtures::member("node-a", None, 2);
    let mut record = record.unwrap();
    assert_eq!(rebooted(&record, now()), "no reboot yet; budget used: 2");
    for (used, told) in [(2, "no reboot yet; budget used: 1"), (1, "no reboot yet")] {
        record.budget_used = used;
        record.attempt = Some(crate::lock::record::Attempt {
            boot_before: String::new(),
            committed_at: String::new(),
        });
        assert_eq!(rebooted(&record, now()), told);
    }
}

#[test]
fn an_empty_cluster() {
    let text = shown(&view(local(), Survey::default()));
    for line in [
        "Rebooting  none",
        "Queue      empty",
        "Members    none registered yet",
        "  budget       ok         not used; this node is not registered yet",
        "  turn         ok         not in the queue; its turn is free",
    ] {
        assert!(
            text.contains(&format!("{line}\n")) || text.ends_with(line),
            "{line}\n{text}"
        );
    }
    assert!(!text.contains("Recent"), "{text}");
}

#[test]
fn a_stopped_cluster_says_who_stopped_it_and_until_when() {
    let survey = Survey {
        pause: Some(Ok(pause(Some("16:00")))),
        cooldown: Some(Ok(cooldown())),
        ..busy()
    };
    let text = shown(&view(local(), survey));
    assert!(
        text.contains(
            "Pause      paused by eva@admin 10 min ago, until Mon 2026-11-23 16:00 UTC (in 4
           h): bad kernel
Cooldown   until Mon 2026-11-23 12:10 UTC (in 10 min); node-x rebooted 20 min
           ago\n"
        ),
        "{text}"
    );
    assert!(text.contains("  pause        blocks "), "{text}");
}

#[test]
fn limits_that_differ_are_shown() {
    let mut survey = busy();
    if let Ok(claim) = &mut survey.claims[1].1.claim {
        claim.limit = 3;
    }
    let text = shown(&view(local(), survey));
    assert!(
        text.contains("1 at a time here, but claims were made with 1, 3; each goes"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_shown_and_counts() {
    let mut survey = busy();
    survey.claims[0].1.claim = Err(RecordError::Version(2));
    survey.nodes[0].1 = Err(RecordError::Version(2));
    survey.pause = Some(Err(RecordError::Version(2)));
    let text = shown(&view(local(), survey));
    assert!(
        text.contains("  node-a  unreadable    the record has version 2"),
        "{text}"
    );
    assert!(
        text.contains("Pause      paused, but the record has version 2"),
        "{text}"
    );
}

#[test]
fn keys_that_are_no_records_are_shown_and_are_no_members() {
    assert!(!shown(&view(local(), busy())).contains("Foreign"));
    let survey = Survey {
        foreign: (0..25)
            .map(|n| format!("/cluster/lock/claims/nodes/x{n}"))
            .collect(),
        ..busy()
    };
    let text = shown(&view(local(), survey));
    assert!(
        text.contains(
            "\nForeign    25, ignored: of a tool, or of a group whose lock_key lies below
  /cluster/lock/claims/nodes/x0
"
        ) && text.contains("x19\n  and 5 more")
            && text.contains("Members    3, "),
        "{text}"
    );
}

#[test]
fn who_is_ill_or_silent_comes_first_and_with_why() {
    let survey = Survey {
        claims: vec![],
        reports: vec![
            ("node-a".into(), says(true)),
            ("node-c".into(), says(false)),
        ],
        ..busy()
    };
    let text = shown(&view(local(), survey));
    assert!(
        text.contains("Members    3, 1 with nothing to do\n  node-b          is silent")
            && text.contains("\n  node-c  30 min  is unhealthy: exit code 1;")
            && text.contains("\n  node-a          needs no reboot;"),
        "{text}"
    );
}

#[test]
fn without_etcd_it_shows_what_is_known_here() {
    let local = local();
    let view = View {
        lock_key: "/cluster/lock".into(),
        version: None,
        gates: gates(&local, None, now(), now()),
        survey: Err(Trouble::new("etcd is not reachable: refused; check it")),
        earlier: None,
        read_at: None,
        said: None,
        doubt: None,
        asked: Vec::new(),
        since_boot: std::time::Duration::ZERO,
        local,
    };
    let text = shown(&view);
    assert!(
        text.starts_with("Nothing is known of the cluster: etcd does not answer.\nWhat is wrong with it: reboot-coordinator check-etcd\n\nCluster  /cluster/lock\netcd     etcd is not reachable: refused; check it\n\nThis node  node-c\n"),
        "{text}"
    );
    for gate in [
        "pause        unknown",
        "turn         unknown",
        "window       ok",
    ] {
        assert!(text.contains(gate), "{gate}\n{text}");
    }
}

#[test]
fn many_members_are_counted_and_not_listed() {
    let mut survey = busy();
    survey.nodes = (0..1000)
        .map(|n| crate::status::fixtures::member(&format!("node-{n:03}"), None, 0))
        .collect();
    let text = shown(&view(local(), survey));
    assert!(
        text.contains("Members    1003, 0 with nothing to do\n") && text.contains("  and 983 more"),
        "{text}"
    );
    assert!(text.lines().count() < 60);
}

#[test]
fn everything_fits_and_no_record_commands_the_terminal() {
    let mut survey = Survey {
        pause: Some(Ok(pause(None))),
        recent: vec![history("node-x", "aborted")],
        ..busy()
    };
    if let Ok(claim) = &mut survey.claims[0].1.claim {
        claim.reasons = vec!["many words ".repeat(20), "\x1b[2J".into()];
    }
    let text = shown(&view(local(), survey));
    assert!(!text.contains('\x1b'), "{text:?}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
}

#[test]
fn a_daemon_that_this_user_may_not_see_is_not_said_to_be_away() {
    let mut local = local();
    local.daemon = Err("only root may see whether a daemon runs here".into());
    let text = shown(&view(local, busy()));
    assert!(
        text.contains("\n  daemon       unknown    only root may see whether a daemon runs here\n"),
        "{text}"
    );
}
