//! Waves, by hand: who is looked at, who holds this node up, and what the commit compares.

use std::time::Duration;

use etcd_rs_sync::{Op, Request};
use reboot_coordinator::core::facts::DetectorResult;
use reboot_coordinator::core::{Input, Mode, Refusal, Settings, State};
use reboot_coordinator::lock::record::{Blocked, Required, Standing, encode};
use reboot_coordinator::lock::{NodeRecord, Phase};
use simulation::by_hand::{Node, detector, settings};
use simulation::records::member;

const REQUIRED: &str = "2026-07-14T03:00:00.000Z";

fn in_wave(wave: i32) -> Settings {
    Settings { wave, ..settings() }
}

pub(super) fn register(node: &mut Node, name: &str, wave: i32) {
    let record = NodeRecord {
        wave,
        ..member(name)
    };
    node.put(&format!("/r/nodes/{name}"), encode(&record));
    if wave < 0 {
        node.put(&format!("/r/waves/{name}"), encode(&wave));
    }
}

fn idle() -> Standing {
    Standing {
        v: 1,
        state: "idle".to_owned(),
        ..Standing::default()
    }
}

fn blocked(required: bool) -> Standing {
    Standing {
        state: "blocked".to_owned(),
        required: required.then(|| Required {
            since: REQUIRED.to_owned(),
            by: vec!["kernel".to_owned()],
        }),
        blocked: Some(Blocked {
            gate: "health".to_owned(),
            label: "health".to_owned(),
            text: "disk sda1 is full".to_owned(),
            since: REQUIRED.to_owned(),
        }),
        ..idle()
    }
}

fn says(node: &mut Node, name: &str, standing: &Standing) {
    node.put(&format!("/r/standing/{name}"), encode(standing));
}

/// A node with a member in another wave that has nothing to do.
fn beside(own: i32, other: i32) -> Node {
    let mut node = Node::new(in_wave(own));
    register(&mut node, "a", other);
    says(&mut node, "a", &idle());
    node
}

fn why(node: &Node) -> String {
    match node.machine.view().refusal {
        Some(Refusal::Wave(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Why the first pass that ends idle says so.
fn held_up(node: &mut Node) -> String {
    node.until_state("idle");
    why(node)
}

/// What a request reads beside what the gates read in any case.
fn looked_at((_, request): &(reboot_coordinator::core::Ticket, Request)) -> Vec<(String, bool)> {
    let Request::Txn(txn) = request else {
        panic!("{request:?}");
    };
    let all = txn.success.iter().map(|op| match op {
        Op::Range(range) => {
            let names = range.keys.key == b"/r/waves/";
            assert_eq!(range.keys_only, names, "of an index the names are enough");
            let key = String::from_utf8_lossy(&range.keys.key).into_owned();
            (key, !range.keys.range_end.is_empty())
        }
        other => panic!("{other:?}"),
    });
    // Seven for this node and the line. Without a place in the queue other claims are not asked for.
    all.skip(7).collect()
}

fn reads(node: &mut Node) -> Vec<(String, bool)> {
    let look = node.until("look");
    node.perform(look);
    let look = node.until_sending("checking");
    let keys = looked_at(&look);
    node.pass(look);
    keys
}

fn one(key: &str) -> (String, bool) {
    (key.to_owned(), false)
}

fn all(key: &str) -> (String, bool) {
    (key.to_owned(), true)
}

#[test]
fn a_member_of_a_lower_wave_that_requires_a_reboot_holds_up_and_no_other_does() {
    for (own, other) in [(0, -1), (1, 0), (9, -99), (-1, -2)] {
        let mut node = beside(own, other);
        says(&mut node, "a", &blocked(true));
        assert_eq!(
            held_up(&mut node),
            format!(
                "a (wave {other}) requires a reboot since {REQUIRED}, and is held up by its gate health since {REQUIRED}: disk sda1 \
                 is full"
            )
        );
    }
    for (own, other) in [(0, 0), (0, 1), (-1, -1), (-2, -1), (3, 3)] {
        let mut node = beside(own, other);
        says(&mut node, "a", &blocked(true));
        node.until("reboot");
    }
}

#[test]
fn whatever_is_not_known_to_be_through_holds_up() {
    let at = |state: &str| Standing {
        state: state.to_owned(),
        ..idle()
    };
    let required = Standing {
        blocked: None,
        state: "queued".to_owned(),
        ..blocked(true)
    };
    for own in [0, 1] {
        let hold = |change: &dyn Fn(&mut Node), words: &str| {
            let mut node = beside(own, -1);
            change(&mut node);
            let why = held_up(&mut node);
            assert_eq!(why, format!("a (wave -1) {words}"));
        };
        hold(
            &|node| node.delete("/r/standing/a"),
            "says nothing of itself: its host is down, or its daemon does not run",
        );
        hold(
            &|node| says(node, "a", &blocked(false)),
            "cannot tell whether it requires a reboot; its gate health since 2026-07-14T03:00:00.000Z: disk sda1 is full",
        );
        hold(
            &|node| says(node, "a", &required),
            "requires a reboot since 2026-07-14T03:00:00.000Z, and is queued",
        );
        hold(
            &|node| says(node, "a", &at("verifying")),
            "is verifying since ",
        );
        let unreadable = |node: &mut Node| {
            node.put("/r/standing/a", "{\"v\":9}");
        };
        let words = "says what cannot be read: the record has version 9, this program knows version 1: upgrade this node";
        hold(&unreadable, words);
        for (phase, words) in [
            (Phase::Queued, "is in the queue since since"),
            (Phase::Verifying, "is verifying, committed at committed"),
        ] {
            let claim = |node: &mut Node| {
                node.elder("a", phase);
            };
            hold(&claim, words);
        }
        let mut node = beside(own, -1);
        node.put("/r/claims/a", "nonsense");
        assert!(held_up(&mut node).starts_with("a (wave -1) has a claim that cannot be read: "));
        let mut node = beside(own, -1);
        node.put("/r/nodes/a", "nonsense");
        assert!(held_up(&mut node).starts_with("which wave a is in is not known: "));
        // Forgotten, it is no member any more.
        let mut node = beside(own, -1);
        for key in ["/r/standing/a", "/r/nodes/a", "/r/waves/a"] {
            node.delete(key);
        }
        node.until("reboot");
    }
}

/// Who is not registered, as a host with `--once`, is in wave 0.
#[test]
fn who_says_something_without_a_registration_is_in_wave_0() {
    let silent = |own: i32| {
        let mut node = Node::new(in_wave(own));
        says(&mut node, "a", &blocked(true));
        node
    };
    assert!(held_up(&mut silent(1)).starts_with("a (wave 0) requires a reboot"));
    silent(0).until("reboot");
}

#[test]
fn those_before_a_node_have_the_time_to_look_and_without_them_it_waits_for_nobody() {
    let mut node = beside(0, -1);
    let began = node.now;
    assert!(held_up(&mut node).starts_with("none of them is known to require a reboot"));
    node.until("reboot");
    let waited = node.now - began;
    let interval = settings().check_interval;
    assert!(
        waited >= 2 * interval && waited < 5 * interval,
        "{waited:?}"
    );
    for mut node in [Node::new(in_wave(1)), beside(-1, -1), beside(3, 3)] {
        let began = node.now;
        node.until("reboot");
        assert!(node.now - began < interval);
    }
    // To the moment: the next look is the one at which the time is over.
    let mut node = beside(0, -1);
    held_up(&mut node);
    node.now = began + 2 * interval;
    node.give(Input::Tick);
    node.until("reboot");
    assert_eq!(node.now, began + 2 * interval);
    let mut node = beside(0, -1);
    let began = node.now;
    let once = Settings {
        mode: Mode::Once {
            wait: Duration::ZERO,
        },
        ..in_wave(0)
    };
    node = node.followed_by(once);
    node.until("reboot");
    assert!(node.now - began < interval);
}

#[test]
fn without_waves_one_short_read_says_so_and_with_them_those_are_read_who_matter() {
    let index = || all("/r/waves/");
    let of_a = || {
        [
            index(),
            one("/r/nodes/a"),
            one("/r/claims/a"),
            one("/r/standing/a"),
        ]
    };
    let everybody = || [all("/r/nodes/"), all("/r/claims/"), all("/r/standing/")];
    let mut node = beside(0, 0);
    assert_eq!(reads(&mut node), [index()]);
    let mut node = beside(0, -1);
    says(&mut node, "a", &blocked(true));
    assert_eq!(reads(&mut node), [index()]);
    assert_eq!(looked_at(&node.until_sending("checking")), of_a());
    // Above wave 0 everybody is read, and then only who was found to be first, until he is through.
    let mut node = beside(1, 0);
    register(&mut node, "b", 0);
    says(&mut node, "b", &blocked(true));
    says(&mut node, "a", &blocked(true));
    assert_eq!(reads(&mut node), [index()]);
    let look = node.until_sending("checking");
    assert_eq!(looked_at(&look), everybody());
    node.pass(look);
    assert_eq!(reads(&mut node), of_a());
    says(&mut node, "a", &idle());
    assert_eq!(reads(&mut node), of_a());
    let look = node.until_sending("checking");
    assert_eq!(looked_at(&look), everybody());
    node.pass(look);
    assert!(why(&node).starts_with("b (wave 0)"));
    // When all are through, everybody is read until its own time has come.
    let mut node = beside(1, 0);
    assert_eq!(reads(&mut node), [index()]);
    assert!(held_up(&mut node).starts_with("none of them"));
    assert_eq!(reads(&mut node), everybody());
}

#[test]
fn many_below_wave_0_are_read_together() {
    for (many, together) in [(20, false), (21, true)] {
        let mut node = Node::new(settings());
        for number in 0..many {
            let name = format!("c{number:02}");
            register(&mut node, &name, -1);
            says(&mut node, &name, &idle());
        }
        says(&mut node, "c07", &blocked(true));
        reads(&mut node);
        let look = node.until_sending("checking");
        assert_eq!(looked_at(&look)[0] == all("/r/nodes/"), together);
        node.pass(look);
        assert!(why(&node).starts_with("c07 (wave -1)"));
        says(&mut node, "c07", &idle());
        node.until("reboot");
    }
}

/// Of those who are many and all through, the names are asked for again before anything else.
#[test]
fn after_a_look_at_everybody_the_next_pass_begins_with_the_short_read() {
    let mut node = Node::new(settings());
    for number in 0..21 {
        let name = format!("c{number:02}");
        register(&mut node, &name, -1);
        says(&mut node, &name, &idle());
    }
    for _ in 0..2 {
        assert_eq!(reads(&mut node), [all("/r/waves/")]);
        let look = node.until_sending("checking");
        assert_eq!(looked_at(&look)[0], all("/r/nodes/"));
        node.pass(look);
        assert!(why(&node).starts_with("none of them is known to require a reboot"));
    }
}

/// Of several the lowest wave is named, whatever the names are.
#[test]
fn the_lowest_wave_is_named_first() {
    let mut node = Node::new(in_wave(2));
    for (name, wave) in [("a", 1), ("b", -1), ("c", 0)] {
        register(&mut node, name, wave);
    }
    assert!(held_up(&mut node).starts_with("b (wave -1) says nothing"));
}

#[test]
fn a_commit_compares_the_claims_and_registrations_that_were_judged_where_there_are_lower_waves() {
    type Change = fn(&mut Node);
    let joins: Change = |node| {
        node.elder("a", Phase::Queued);
    };
    let registers: Change = |node| register(node, "b", -1);
    let nothing: Change = |_| {};
    for (own, other, change, state) in [
        (0, -1, joins, "idle"),
        (1, 0, joins, "idle"),
        (0, -1, registers, "idle"),
        // Above wave 0 somebody may come to be before it.
        (1, 1, registers, "idle"),
        (0, -1, nothing, "draining"),
        (1, 0, nothing, "draining"),
        // Nobody is before it: nothing is compared.
        (0, 0, joins, "draining"),
        (0, 0, registers, "draining"),
        (-1, -1, registers, "draining"),
    ] {
        let mut node = beside(own, other);
        let commit = node.until_sending("committing");
        change(&mut node);
        node.pass(commit);
        if state == "idle" {
            assert!(!held_up(&mut node).is_empty());
        }
        assert_eq!(node.machine.view().state, state, "{own} {other}");
    }
}

#[test]
fn after_the_commit_the_waves_are_not_judged_any_more() {
    let mut node = beside(0, -1);
    node.until("hook");
    says(&mut node, "a", &blocked(true));
    let mut node = node.followed_by(settings());
    let hook = node.until("hook");
    node.perform(hook);
    node.until("reboot");
}

#[test]
fn a_registration_says_the_wave_and_below_0_a_key_does_until_that_is_over() {
    let named = |node: &Node| node.stands("/r/waves/n0").is_some();
    let quiet = |wave: i32| {
        let mut node = Node::new(in_wave(wave));
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until_state("idle");
        node
    };
    for wave in [-99, -1, 0, 1] {
        let node = quiet(wave);
        assert_eq!((node.registration().wave, named(&node)), (wave, wave < 0));
        let text = node
            .stands("/r/nodes/n0")
            .expect("it is there")
            .value
            .clone();
        assert_eq!(String::from_utf8_lossy(&text).contains("wave"), wave != 0);
    }
    let mut node = quiet(-1);
    node.reload(in_wave(2));
    node.settle();
    node.until_state("idle");
    assert_eq!((node.registration().wave, named(&node)), (2, false));
    // A commit and a release go on to say it, and make good for what an operator forgot.
    let mut node = Node::new(in_wave(-1));
    let commit = node.until_sending("committing");
    node.delete("/r/waves/n0");
    node.pass(commit);
    assert!(named(&node));
    node.until("reboot");
    node.delete("/r/waves/n0");
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..in_wave(-1)
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.until_state("idle");
    assert!(named(&node) && matches!(node.machine.state(), State::Idle(_)));
    assert_eq!(node.registration().wave, -1);
}

#[test]
fn a_pass_of_once_registers_where_others_wait_for_its_wave() {
    for (was, wave, registers) in [
        (None, -1, true),
        (None, 0, false),
        (None, 1, false),
        (Some(-1), 0, true),
    ] {
        let mut node = Node::new(Settings {
            mode: Mode::Once {
                wait: Duration::ZERO,
            },
            ..in_wave(wave)
        });
        if let Some(was) = was {
            register(&mut node, "n0", was);
            let record = NodeRecord {
                node_id: settings().node_id,
                ..node.registration()
            };
            node.put("/r/nodes/n0", encode(&record));
        }
        node.detectors = vec![detector(DetectorResult::Clear)];
        node.until("detect");
        let stands = node.stands("/r/nodes/n0").is_some();
        assert_eq!(stands, registers, "{was:?} {wave}");
        if stands {
            assert_eq!(node.registration().wave, wave);
        }
        assert_eq!(node.stands("/r/waves/n0").is_some(), wave < 0);
    }
}

#[test]
fn a_wave_below_0_that_is_given_up_over_a_commit_leaves_no_word_of_it() {
    let mut node = Node::new(in_wave(-1));
    node.elder("n9", Phase::Queued);
    node.until_state("queued");
    node.settle();
    assert!(node.stands("/r/waves/n0").is_some());
    node.reload(in_wave(0));
    node.until_state("queued");
    node.delete("/r/claims/n9");
    node.until("reboot");
    assert_eq!(node.registration().wave, 0);
    assert!(node.stands("/r/waves/n0").is_none());
}

/// Two that wait for each other would wait for ever: a place is kept over a reload, and what is registered says the old wave.
#[test]
fn a_wave_that_changed_while_a_place_was_kept_is_registered_when_it_is_given_up() {
    let mut node = Node::new(in_wave(-1));
    register(&mut node, "a", 0);
    says(&mut node, "a", &blocked(true));
    node.elder("n9", Phase::Queued);
    node.until_state("queued");
    node.settle();
    node.reload(in_wave(1));
    node.until_state("queued");
    node.settle();
    node.delete("/r/claims/n9");
    assert!(held_up(&mut node).starts_with("a (wave 0)"));
    assert!(node.claim().is_none());
    node.until("detect");
    assert_eq!(node.registration().wave, 1);
    assert!(node.stands("/r/waves/n0").is_none());
}
