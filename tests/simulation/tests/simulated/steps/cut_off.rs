//! A node that cannot watch, or that hears nothing but renewals.

use std::time::Duration;

use etcd_rs_sync::{Reply, Request, TxnReply};
use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Action, Input, Settings, WatchEvent};
use reboot_coordinator::lock::Phase;
use reboot_coordinator::lock::record::encode;
use simulation::by_hand::{Node, detector, settings, unreachable};
use simulation::records::request;

/// A node behind another that it can follow.
fn waiting() -> Node {
    let mut node = Node::new(Settings {
        check_interval: Duration::from_secs(3600),
        ..settings()
    });
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.settle();
    node
}

fn watch_says(node: &mut Node, event: WatchEvent) {
    let (watch, ..) = node.watch.clone().expect("it watches");
    node.give(Input::Watch(watch, event));
}

/// New connections fail, the keepalive's old one works: others must not wait for such a node.
#[test]
fn a_place_that_its_node_cannot_use_is_given_up_after_a_ttl_although_it_is_renewed() {
    let mut node = waiting();
    let ttl = node.machine.settings().lock_ttl;
    watch_says(&mut node, WatchEvent::Failing("no route".to_owned()));
    let (begun, mut renewed) = (node.now, 0);
    let revoke = loop {
        match node.next_action() {
            Action::Etcd(ticket, revoke @ Request::Revoke { .. }) => break (ticket, revoke),
            Action::Etcd(ticket, _) => node.answer(ticket, Err(unreachable())),
            action => {
                renewed += u32::from(matches!(action, Action::Renew(..)));
                node.perform(action);
            }
        }
        assert!(node.now - begun < 4 * ttl, "{:?}", node.machine.state());
    };
    let silence = (node.now - begun).as_secs();
    assert!(renewed > 0);
    assert!(
        node.now - begun >= ttl && node.now - begun <= 2 * ttl,
        "{:?}",
        node.now - begun
    );
    node.wait(4 * ttl);
    let renews =
        std::iter::from_fn(|| node.due()).any(|action| matches!(action, Action::Renew(..)));
    assert!(
        !renews,
        "it ends by itself when the revoke does not get through"
    );
    node.pass(revoke);
    node.until_state("idle");
    let told: Vec<u64> = (0..=silence)
        .filter(|told| node.said("blocked", &format!("for {told} s every request")))
        .collect();
    assert!(
        matches!(told[..], [told] if told >= ttl.as_secs()),
        "{told:?}"
    );
}

#[test]
fn a_failure_that_the_next_request_does_not_repeat_costs_nothing() {
    let mut node = waiting();
    let ttl = node.machine.settings().lock_ttl;
    for _ in 0..5 {
        watch_says(&mut node, WatchEvent::Lost);
        let (ticket, _) = node.until_sending("queued");
        node.answer(ticket, Err(unreachable()));
        let before = node.now;
        let count = node.until_sending("queued");
        assert!(node.now - before <= ttl / 3);
        node.pass(count);
        node.settle();
        node.now += 2 * ttl / 5;
        node.give(Input::Tick);
    }
    assert!(node.claim().is_some());
    assert_eq!(node.machine.view().state, "queued");
}

#[test]
fn a_queue_that_cannot_be_watched_is_counted_each_ttl_and_the_remedy_is_said_once() {
    let mut node = waiting();
    let ttl = node.machine.settings().lock_ttl;
    watch_says(&mut node, WatchEvent::Failing("silence".to_owned()));
    node.settle();
    assert!(node.said("watch_failing", "silence") && !node.said("watch_blind", ""));
    let (begun, mut counted) = (node.now, Vec::new());
    while node.now < begun + 4 * ttl {
        let action = node.next_action();
        let watches = matches!(action, Action::Watch(Some(_)));
        node.perform(action);
        if watches {
            counted.push(node.now - begun);
            watch_says(&mut node, WatchEvent::Failing("silence".to_owned()));
        }
    }
    assert!(counted[0] <= ttl / 3, "{counted:?}");
    assert!(
        counted.windows(2).all(|pair| pair[1] - pair[0] <= ttl),
        "{counted:?}"
    );
    assert!(counted.len() <= 9, "{counted:?}");
    assert!(node.said("watch_blind", "proxy_buffering off"));
    watch_says(&mut node, WatchEvent::Stands);
    node.settle();
    let stands = node.now;
    let _ = node.until_sending("queued"); // the count that was due
    node.until_state("queued");
    assert!(node.now - stands <= ttl);
}

/// A proxy passes on that the watch stands, and then keeps everything to itself.
#[test]
fn a_watch_that_tells_nothing_is_made_up_for_by_counting_each_ttl_near_the_head_and_that_is_said() {
    let mut node = waiting();
    let ttl = node.machine.settings().lock_ttl;
    node.elder("n8", Phase::Queued); // behind this node
    let (begun, mut counts) = (node.now, 0);
    while node.now < begun + 4 * ttl {
        let action = node.next_action();
        counts += u32::from(matches!(&action, Action::Etcd(_, Request::Range(_))));
        node.perform(action);
    }
    assert!((3..=4).contains(&counts), "{counts}");
    assert!(!node.said("watch_blind", ""));
    node.delete("/r/claims/a");
    let gone = node.now;
    node.until("detect");
    assert!(node.now - gone <= ttl);
    assert!(node.said("watch_blind", "it did not tell that a claim is gone"));
}

#[test]
fn the_nearer_the_turn_the_sooner_a_queue_that_tells_nothing_is_counted() {
    for (limit, elders, ttls) in [(1, 1, 1), (1, 3, 3), (2, 4, 2), (2, 5, 2)] {
        let mut node = Node::new(Settings {
            check_interval: Duration::from_secs(3600),
            max_concurrent_reboots: limit,
            ..settings()
        });
        for elder in 0..elders {
            node.elder(&format!("e{elder}"), Phase::Queued);
        }
        node.until_state("queued");
        node.settle();
        let counted = node.now;
        node.until_sending("queued");
        assert_eq!(node.now - counted, ttls * node.machine.settings().lock_ttl);
    }
}

/// A node behind so many others.
fn behind(elders: usize) -> Node {
    let mut node = Node::new(Settings {
        check_interval: Duration::from_secs(360_000),
        ..settings()
    });
    for elder in 0..elders {
        node.elder(&format!("e{elder}"), Phase::Queued);
    }
    // Its random numbers are others for each number of elders.
    let settings = node.machine.settings().clone();
    node.followed_by(settings)
}

/// Lets time pass until the queue is looked at; whether all of it is read.
fn next_look(node: &mut Node) -> (bool, Duration) {
    let before = node.now;
    let (ticket, request) = node.until_sending("queued");
    let whole = matches!(request, Request::Range(_));
    let took = node.now - before;
    node.pass((ticket, request));
    node.settle();
    (whole, took)
}

/// Sorting a queue costs etcd as much as the queue is long.
#[test]
fn far_back_a_look_at_two_claims_backs_the_watch_up_and_all_is_read_now_and_then() {
    let mut node = behind(7);
    node.until_state("queued");
    let (begun, ttl) = (node.now, node.machine.settings().lock_ttl);
    let mut looks = 0;
    let counted = loop {
        let (whole, took) = next_look(&mut node);
        assert!(took <= 5 * ttl, "{took:?}");
        match whole {
            true => break node.now - begun,
            false => looks += 1,
        }
    };
    assert!(looks > 1, "{looks}");
    let minutes = counted.as_secs() / 60;
    assert!((5..=10).contains(&minutes), "{counted:?}");
    // One goes of whom nothing is told, and who is not the one that is followed: it is found at the next count.
    for elder in 0..7 {
        if elder != 2 {
            node.delete(&format!("/r/claims/e{elder}"));
        }
    }
    while !next_look(&mut node).0 {}
    assert_eq!(node.machine.view().ahead, Some((1, false)));
}

#[test]
fn far_back_it_is_noticed_that_the_one_that_is_followed_or_the_own_claim_is_gone() {
    for (gone, blind) in [("e2", true), ("n0", false)] {
        let mut node = behind(7);
        node.until_state("queued");
        node.delete(&format!("/r/claims/{gone}"));
        assert!(!next_look(&mut node).0);
        assert_eq!(node.said("watch_blind", "that a claim is gone"), blind);
        match blind {
            true => assert_eq!(node.machine.view().ahead, Some((5, true))),
            false => assert_ne!(node.machine.view().state, "queued"),
        }
    }
}

#[test]
fn a_look_that_is_answered_without_sense_is_made_again_and_said() {
    let mut node = behind(7);
    node.until_state("queued");
    let (ticket, _) = node.until_sending("queued");
    node.answer(ticket, Ok(Reply::Txn(TxnReply::default())));
    node.settle();
    assert!(node.said("etcd_error", "another number of reads"));
    assert!(!next_look(&mut node).0);
    assert_eq!(node.machine.view().ahead, Some((5, true)));
    assert!(!node.said("watch_blind", ""));
}

/// Ten thousand that join within a minute would have etcd sort ten thousand claims ten thousand times in that minute.
#[test]
fn those_that_join_a_crowd_count_it_one_after_the_other_and_seldom() {
    let first_count = |elders| {
        let mut node = behind(elders);
        while node.claim().is_none() {
            node.step();
        }
        let (whole, took) = next_look(&mut node);
        assert!(whole && node.machine.view().ahead == Some((5, true)));
        (node, took)
    };
    assert_eq!(first_count(998).1, Duration::ZERO);
    let pauses: Vec<Duration> = (2_000..2_008).map(|elders| first_count(elders).1).collect();
    let within = |from, to| {
        let seconds = from..to;
        pauses
            .iter()
            .any(|pause| seconds.contains(&pause.as_secs()))
    };
    assert!(within(0, 60) && within(60, 120), "{pauses:?}");
    assert!(!within(120, u64::MAX), "{pauses:?}");
    // However many there are, or somebody says there are.
    assert!(first_count(30_000).1 <= Duration::from_secs(600));
    let (mut node, _) = first_count(2_000);
    let begun = node.now;
    while !next_look(&mut node).0 {}
    let minutes = (node.now - begun).as_secs() / 60;
    assert!((10..=20).contains(&minutes), "{minutes}");
}

#[test]
fn events_that_are_lost_again_and_again_are_counted_with_a_pause() {
    let mut node = waiting();
    let (begun, mut counts) = (node.now, 0);
    while node.now < begun + Duration::from_secs(60) {
        watch_says(&mut node, WatchEvent::Lost);
        let action = node.next_action();
        counts += u32::from(matches!(&action, Action::Etcd(_, Request::Range(_))));
        node.perform(action);
    }
    let most = 60
        / u32::try_from(node.machine.settings().backoff_min.as_secs())
            .unwrap()
            .max(1);
    assert!(counts > 2 && counts <= most + 5, "{counts}, {most}");
    // That a claim is gone was not kept from it: it was told that it had to count.
    for pause in [Duration::ZERO, Duration::from_secs(20)] {
        let mut node = waiting();
        node.wait(pause);
        node.settle();
        node.delete("/r/claims/a");
        watch_says(&mut node, WatchEvent::Lost);
        node.until("reboot");
        assert!(!node.said("watch_blind", ""), "{pause:?}");
    }
}

/// What the driver would log of these notes: one line for each key until an hour has passed.
fn lines(node: &Node, event: &str) -> usize {
    let of_event = node.notes.iter().filter(|note| note.event == event);
    let keys: std::collections::BTreeSet<_> =
        of_event.map(reboot_coordinator::core::Note::key).collect();
    keys.len()
}

#[test]
fn one_cause_is_one_line_however_its_words_change_while_it_lasts() {
    let mut node = Node::new(settings());
    let errors = [
        "http://a: io: Broken pipe",
        "http://b: io: Connection reset",
        "http://a: io: received fatal alert: CertificateExpired",
    ];
    for round in 0..30 {
        let (ticket, _) = node.until_sending("starting");
        let detail = errors[round % 3].to_owned();
        node.answer(ticket, Err(etcd_rs_sync::Error::NotSent { detail }));
    }
    node.settle();
    assert_eq!(
        lines(&node, "etcd_error"),
        2,
        "the network, and the client's certificate"
    );
}

/// No answer came to the look for the request it waits for, and the place is kept: whether it was an accident is found out soon.
#[test]
fn a_request_that_failed_while_a_node_waits_is_followed_by_a_count() {
    let mut node = Node::new(Settings {
        check_interval: Duration::from_secs(11),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.put("/r/requests/n0", encode(&request()));
    node.elder("a", Phase::Queued);
    node.until_state("queued");
    node.settle();
    let look = node.until("detect");
    node.perform(look);
    let (ticket, _) = node.until_sending("queued");
    node.answer(ticket, Err(unreachable()));
    let failed = node.now;
    let (_, next) = node.until_sending("queued");
    assert!(matches!(next, Request::Range(_)), "{next:?}");
    assert!(node.now - failed <= node.machine.settings().lock_ttl / 3);
}

#[test]
fn a_pass_that_etcd_ends_is_told_by_its_cause_and_followed_by_the_next_at_the_interval() {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    for detail in [
        "http://a: io: Broken pipe",
        "http://b: io: Connection reset",
    ] {
        let (ticket, _) = node.until_sending("checking");
        let detail = detail.to_owned();
        node.answer(ticket, Err(etcd_rs_sync::Error::NotSent { detail }));
        node.until_state("idle");
        assert!(node.pause() >= node.machine.settings().check_interval);
    }
    let causes: std::collections::BTreeSet<_> = node
        .notes
        .iter()
        .filter(|note| note.event == "blocked")
        .map(|note| note.cause.clone())
        .collect();
    assert_eq!(causes.len(), 1);
    assert!(causes.iter().all(Option::is_some));
}
