//! The line: whom a node suspects, whom it stops for, and what it says of itself.

use std::time::Duration;

use etcd_rs_sync::Error;
use reboot_coordinator::core::facts::{DetectorReport, DetectorResult, ScriptOutcome};
use reboot_coordinator::core::line::HaltScope;
use reboot_coordinator::core::{Action, Mode, Settings};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{Claim, Failure, FailureKind, GoOn, History, Phase};
use simulation::by_hand::{Node, asks, detector, settings, time};
use simulation::records::failure;

fn two_may_go() -> Settings {
    Settings {
        max_concurrent_reboots: 2,
        ..settings()
    }
}

/// Somebody else says that the reboot of `n1` failed.
fn told(node: &mut Node) {
    told_to_boot(node, None);
}

fn told_to_boot(node: &mut Node, kernel: Option<&str>) {
    let failure = Failure {
        target: kernel.map(str::to_owned),
        ..failure("n1")
    };
    node.put("/r/line/failed/n1", encode(&failure));
}

/// A claim that, by the clock of its node, should have moved long ago; nobody has told of it.
fn looks_old(node: &mut Node) {
    node.elder("a", Phase::Rebooting);
    let stands = node.stands("/r/claims/a").unwrap().value.clone();
    let claim = Claim {
        committed_at: Some((time(node.now).wall - jiff::SignedDuration::from_hours(1)).to_string()),
        ..decode(&stands).unwrap()
    };
    node.put("/r/claims/a", encode(&claim));
}

/// A claim may say anything, such as that it is this node's: it is told, and taken away, by its key.
#[test]
fn a_claim_that_names_another_node_than_its_key_is_told_by_the_key() {
    let told: Option<Duration> = None;
    let taken = Some(Duration::from_secs(10));
    for (hold_timeout, event) in [(told, "reboot_failed"), (taken, "taken_away")] {
        let mut node = Node::new(Settings {
            hold_timeout,
            ..settings()
        });
        node.elder("z", Phase::Rebooting);
        let stands = node.stands("/r/claims/z").unwrap().value.clone();
        let claim = Claim {
            node: "n0".to_owned(),
            ..decode(&stands).unwrap()
        };
        node.put("/r/claims/z", encode(&claim));
        while !node.notes.iter().any(|note| note.event == event) {
            node.step();
        }
        let words = ["z does not come back", "took the claim of z away"];
        assert!(words.iter().any(|words| node.said(event, words)), "{event}");
        let mut kept = node.etcd.pairs();
        let entry = kept.find(|kv| kv.key.starts_with(b"/r/history/"));
        let entry = entry.map(|kv| decode::<History>(&kv.value).unwrap().node);
        assert_eq!(entry.as_deref(), hold_timeout.map(|_| "z"));
    }
}

/// Those of a group whose lock key lies below this one may be older than all claims of this one.
#[test]
fn a_claim_behind_many_keys_that_are_none_is_suspected_all_the_same() {
    for (many, is_before) in [(1, true), (5, true), (40, true), (5, false), (40, false)] {
        let mut node = Node::new(two_may_go());
        if !is_before {
            let count = node.until_sending("queued");
            node.pass(count);
        }
        for number in 0..many {
            node.put(&format!("/r/claims/claims/x{number}"), "not ours");
        }
        looks_old(&mut node);
        node.until_state("queued");
        node.settle();
        assert!(node.said("blocked", "a ("), "{many}: {:?}", node.notes);
    }
}

/// A failure that is known leaves its node a way to the front; one that this node only suspects it watches on.
#[test]
fn a_place_is_kept_for_what_a_node_suspects_and_left_for_what_is_known() {
    type Change = fn(&mut Node);
    let suspected: Change = looks_old;
    let known: Change = told;
    for (change, keeps) in [(suspected, true), (known, false)] {
        let mut node = Node::new(two_may_go());
        let count = node.until_sending("queued");
        node.pass(count);
        change(&mut node);
        let read = node.until_sending("turn");
        node.pass(read);
        node.settle();
        let state = node.machine.view().state;
        assert_eq!(state, if keeps { "queued" } else { "idle" });
        assert_eq!(node.claim().is_some(), keeps);
        assert_eq!(node.said("blocked", "keeps its place"), keeps);
        assert!(node.said("blocked", if keeps { "a (" } else { "n1 (disk" }));
    }
}

#[test]
fn a_run_of_once_that_may_not_wait_keeps_no_place_for_what_it_suspects() {
    for wait in [0, 20] {
        let mut node = Node::new(Settings {
            mode: Mode::Once {
                wait: Duration::from_secs(wait),
            },
            ..two_may_go()
        });
        let count = node.until_sending("queued");
        node.pass(count);
        looks_old(&mut node);
        node.until_exit();
        assert_eq!(node.said("blocked", "keeps its place"), wait > 0);
        assert!(node.claims("n0").iter().all(|it| !it.phase.committed()));
    }
}

/// Where failures stop nobody, one that is told while the commit travels does not refuse it.
#[test]
fn without_halt_after_a_commit_compares_no_failures() {
    for (halt_after, state) in [(0, "draining"), (1, "turn")] {
        let mut node = Node::new(Settings {
            halt_after,
            ..settings()
        });
        let commit = node.until_sending("committing");
        told(&mut node);
        node.pass(commit);
        assert_eq!(node.machine.view().state, state);
    }
}

fn asks_for(kernel: &str) -> DetectorReport {
    DetectorReport {
        target: Some(kernel.to_owned()),
        ..asks("newer")
    }
}

fn mark(node: &Node, of: &str) -> Option<Failure> {
    let stands = node.stands(&format!("/r/line/failed/{of}"))?;
    Some(decode(&stands.value).unwrap())
}

#[test]
fn a_claim_says_which_kernel_was_there_at_the_last_look_before_its_commit() {
    let mut node = Node::new(settings());
    node.detectors = vec![asks_for("6.1")];
    let count = node.until_sending("queued");
    node.detectors = vec![asks_for("6.2")];
    node.pass(count);
    node.until("reboot");
    let claims = node.claims("n0");
    let committed = claims.iter().find(|it| it.phase.committed()).unwrap();
    assert_eq!(committed.target.as_deref(), Some("6.2"));
}

#[test]
fn a_claim_names_no_kernel_when_detectors_name_two() {
    let mut node = Node::new(settings());
    for (kernels, target) in [(["6.1", "6.1"], Some("6.1")), (["6.1", "6.2"], None)] {
        node.detectors = kernels.map(asks_for).to_vec();
        node.until("reboot");
        assert_eq!(node.claim().unwrap().target.as_deref(), target);
        node = Node::new(settings());
    }
}

/// What its claim says is what another node's mark would say of it.
#[test]
fn a_failure_of_another_kernel_stops_nobody_who_looks_for_his_own_only() {
    for (halt_scope, of, goes) in [
        (HaltScope::Target, Some("6.2"), true),
        (HaltScope::Target, Some("6.1"), false),
        (HaltScope::Target, None, false),
        (HaltScope::All, Some("6.2"), false),
    ] {
        let mut node = Node::new(Settings {
            halt_scope,
            ..two_may_go()
        });
        node.detectors = vec![asks_for("6.1")];
        told_to_boot(&mut node, of);
        let mut claims = Vec::new();
        while !node.said("blocked", "n1 (disk")
            && !claims.iter().any(|it: &Claim| it.phase.committed())
        {
            node.step();
            claims = node.claims("n0");
        }
        let committed = claims.iter().find(|it| it.phase.committed());
        assert_eq!(committed.is_some(), goes, "{halt_scope:?} {of:?}");
        let says = committed.map(|claim| claim.target.as_deref());
        assert!(says.is_none_or(|target| target == Some("6.1")));
    }
}

/// A claim behind this node's own was committed, since its labels let it, and does not come back.
#[test]
fn a_node_at_the_head_tells_of_a_claim_behind_it_that_stands_still() {
    let mut node = Node::new(two_may_go());
    node.detectors = vec![asks_for("6.1")];
    let count = node.until_sending("queued");
    node.put("/r/pause", "unreadable, but there");
    node.pass(count);
    node.elder("z", Phase::Rebooting);
    let claim = Claim {
        target: Some("6.2".to_owned()),
        ..node.claims("z").pop().unwrap()
    };
    node.put("/r/claims/z", encode(&claim));
    let (begun, patience) = (node.now, settings().reboot_timeout);
    while node.stands("/r/line/failed/z").is_none() {
        node.step();
        assert!(node.now < begun + 3 * patience);
    }
    assert!(node.now >= begun + patience);
    assert!(node.stands("/r/line/failed/n0").is_none());
    // The kernel of its claim, and not of whoever tells.
    assert_eq!(mark(&node, "z").unwrap().target.as_deref(), Some("6.2"));
}

#[test]
fn a_node_that_is_back_and_ill_says_after_a_quarter_of_its_timeout_that_its_reboot_failed() {
    let mut node = Node::new(settings());
    node.detectors = vec![asks_for("6.1")];
    node.until("reboot");
    let mut node = node.followed_by(Settings {
        boot_id: "boot-2".to_owned(),
        ..settings()
    });
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.health = ScriptOutcome::Exited(1);
    let health = node.until("health");
    let (ill, quarter) = (node.now, settings().reboot_timeout / 4);
    node.perform(health);
    while node.stands("/r/line/failed/n0").is_none() {
        node.step();
        assert!(node.now <= ill + quarter + settings().backoff_max);
    }
    assert!(node.now >= ill + quarter, "{:?}", node.now - ill);
    assert_eq!(mark(&node, "n0").unwrap().target.as_deref(), Some("6.1"));
    // Once is enough, and recovery ends it.
    let revision = node.etcd.revision();
    while node.now < ill + 4 * quarter {
        node.step();
    }
    assert_eq!(node.etcd.revision(), revision);
    node.health = ScriptOutcome::Exited(0);
    node.until_state("idle");
    assert!(node.stands("/r/line/failed/n0").is_none());
}

/// Each of its passes moves the claim, so that nobody else sees it stand still.
#[test]
fn passes_of_once_on_a_node_that_is_back_and_ill_for_long_say_that_its_reboot_failed() {
    let patience = settings().reboot_timeout + settings().post_boot_settle;
    let drain = Duration::from_secs(1000);
    for (drain_timeout, ago, tells) in [
        (None, patience / 2, false),
        (None, patience * 9 / 8, false),
        (None, 2 * patience, true),
        (Some(drain), 2 * patience, false),
        (Some(drain), drain + 2 * patience, true),
    ] {
        let before = Settings {
            drain_timeout,
            ..settings()
        };
        let mut node = Node::new(before.clone());
        node.until("reboot");
        node.now += ago;
        let once = Mode::Once {
            wait: Duration::ZERO,
        };
        for pass in 0..2 {
            node = node.followed_by(Settings {
                boot_id: "boot-2".to_owned(),
                mode: once,
                ..before.clone()
            });
            node.health = ScriptOutcome::Exited(1);
            node.until_exit();
            assert_eq!(node.exit, Some(3));
            let mark = node.stands("/r/line/failed/n0");
            assert_eq!(mark.is_some(), tells, "{ago:?}, pass {pass}");
        }
    }
}

/// A pass has no later look at its claim, so that it tells before it ends; while etcd does not answer, for a few tries.
#[test]
fn a_pass_of_once_that_holds_after_its_command_ran_says_so_before_it_ends() {
    for (lost, code, tells) in [(0, 3, true), (1, 3, true), (usize::MAX, 1, false)] {
        let mut node = Node::new(settings());
        node.until("reboot");
        for pass in 0..2 {
            node.now += settings().reboot_timeout;
            node = node.followed_by(Settings {
                mode: Mode::Once {
                    wait: Duration::ZERO,
                },
                ..settings()
            });
            node.health = ScriptOutcome::Exited(1);
            let mut asked = 0;
            while node.exit.is_none() {
                let action = node.next_action();
                match action {
                    Action::Etcd(ticket, _)
                        if node.machine.view().state == "holding" && asked < lost =>
                    {
                        asked += 1;
                        let detail = "refused".to_owned();
                        node.answer(ticket, Err(Error::NotSent { detail }));
                    }
                    action => node.perform(action),
                }
            }
            assert_eq!(node.exit, Some(code), "{lost}, pass {pass}");
            let kind = mark(&node, "n0").map(|failure| failure.kind);
            let told = tells.then_some(FailureKind::Stuck);
            assert_eq!(kind, told, "{lost}, pass {pass}");
        }
    }
}

#[test]
fn a_word_of_an_operator_that_is_used_up_lets_nobody_go() {
    for left in [None, Some(1), Some(0)] {
        let mut node = Node::new(settings());
        told(&mut node);
        let word = GoOn {
            v: 1,
            by: "operator".to_owned(),
            reason: "known".to_owned(),
            since: "s".to_owned(),
            left,
            known: [("n1".to_owned(), 3)].into(),
        };
        node.put("/r/line/go-on", encode(&word));
        let detect = node.until("detect");
        node.perform(detect);
        loop {
            let state = node.machine.view().state;
            if state == "idle" || state == "draining" {
                assert_eq!(state == "draining", left != Some(0), "{left:?}");
                break;
            }
            node.step();
        }
    }
}
