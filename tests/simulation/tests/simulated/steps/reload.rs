//! A new configuration while a node joins, waits or drains.

use etcd_rs_sync::Request;
use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::io::Ticket;
use reboot_coordinator::core::{Action, Input, Reload, Settings, State};
use reboot_coordinator::lock::Phase;
use reboot_coordinator::lock::record::encode;
use simulation::by_hand::{Node, detector, ended, settings};
use simulation::records::request;

fn reload(node: &mut Node, name: &str, drains_otherwise: bool) {
    let settings = Settings {
        node: name.to_owned(),
        ..settings()
    };
    node.give(Input::Reload(Box::new(Reload {
        settings,
        drains_otherwise,
        elsewhere: false,
    })));
}

#[test]
fn a_node_that_joins_keeps_its_lease_under_its_name_and_gives_it_back_with_another() {
    for (name, keeps) in [("n0", true), ("web", false)] {
        let mut node = Node::new(settings());
        let (ticket, grant) = node.until_sending("joining");
        let Request::Grant { id, .. } = grant else {
            panic!("a lease comes first: {grant:?}");
        };
        reload(&mut node, name, false);
        let (_, request) = match node.until("etcd") {
            Action::Etcd(ticket, request) => (ticket, request),
            other => panic!("{other:?}"),
        };
        match request {
            Request::Grant { id: again, .. } => assert_eq!((again, keeps), (id, true)),
            Request::Revoke { id: given } => assert_eq!((given, keeps), (id, false)),
            other => panic!("{name}: {other:?}"),
        }
        let _ = ticket; // nobody waits for that answer any more
    }
}

#[test]
fn a_node_that_waits_keeps_its_place_under_its_name_and_gives_it_up_with_another() {
    for (name, keeps) in [("n0", true), ("web", false)] {
        let mut node = Node::new(settings());
        node.elder("n9", Phase::Queued);
        node.until_state("queued");
        node.settle();
        let place = node.stands("/r/claims/n0").unwrap().clone();
        reload(&mut node, name, false);
        node.until_state("queued");
        let stands = node.stands("/r/claims/n0");
        let kept = stands.is_some_and(|kv| kv.create_revision == place.create_revision);
        assert_eq!(kept, keeps, "{name}");
        assert_eq!(node.stands("/r/claims/web").is_some(), !keeps);
    }
}

#[test]
fn a_drain_goes_on_unless_its_hook_or_its_limit_is_another() {
    for otherwise in [false, true] {
        let mut node = Node::new(settings());
        let Action::Hook(ticket, ..) = node.until("hook") else {
            unreachable!("it was waited for");
        };
        reload(&mut node, "n0", otherwise);
        let cancelled =
            std::iter::from_fn(|| node.due()).any(|action| matches!(action, Action::CancelScripts));
        assert_eq!(cancelled, otherwise);
        if !otherwise {
            drained(&mut node, ticket);
        }
    }
}

/// The gates are judged anew before the command runs: the permit was given by the old file.
fn drained(node: &mut Node, ticket: Ticket) {
    node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(0))));
    node.until("detect");
    assert!(!node.done.contains(&"reboot"));
}

/// A boot goes by the file, and would not find the claim.
#[test]
fn a_node_that_is_named_otherwise_does_not_reboot_by_a_claim_of_its_old_name() {
    let fields = [
        "node_name",
        "node_id",
        "boot_id_file",
        "lock_key or etcd_namespace",
    ];
    for (at, field) in fields.into_iter().enumerate() {
        let mut other = settings();
        match at {
            0 => "web".clone_into(&mut other.node),
            1 => "machine-7".clone_into(&mut other.node_id),
            2 => "boot-7".clone_into(&mut other.boot_id),
            _ => other.keys = reboot_coordinator::lock::Keys::new("", "/other"),
        }
        let load = |settings: &Settings| {
            Input::Reload(Box::new(Reload {
                settings: settings.clone(),
                drains_otherwise: false,
                elsewhere: false,
            }))
        };
        let mut node = Node::new(settings());
        let hook = node.until("hook");
        let before = node.claim().unwrap();
        node.give(load(&other));
        node.perform(hook);
        node.until_sending("releasing");
        assert!(node.said("reload_waits", field));
        assert!(node.said("aborted", field), "{field}");
        assert!(!node.done.contains(&"reboot"), "{field}");
        let after = node.claim().unwrap();
        assert_eq!(
            (after.node_id, after.boot_id),
            (before.node_id, before.boot_id)
        );

        // The host may go down from a command that ran: the claim is kept, and no other command runs.
        let mut node = Node::new(settings());
        let Action::Reboot(ticket, ..) = node.until("reboot") else {
            unreachable!("it was waited for");
        };
        node.give(load(&other));
        let ran = ended(ScriptOutcome::Exited(0));
        node.give(Input::RebootCommand(ticket, ran));
        node.until_state("holding");
        assert!(node.said("holding", field), "{field}");
        node.give(load(&settings()));
        node.until("reboot");
    }
}

/// Others wait for a claim by what it says, and a drain that is none any more would only keep them longer.
#[test]
fn a_commit_says_how_long_its_claim_may_stand_by_the_file_of_now() {
    let mut node = Node::new(settings());
    node.elder("n9", Phase::Queued);
    node.until_state("queued");
    node.settle();
    node.delete("/r/claims/n9");
    node.give(Input::Reload(Box::new(Reload {
        settings: Settings {
            drain_timeout: None,
            reboot_timeout: std::time::Duration::from_secs(777),
            ..settings()
        },
        drains_otherwise: true,
        elsewhere: false,
    })));
    node.until("reboot");
    let claim = node.claim().unwrap();
    assert_eq!((claim.patience_sec, claim.drain_sec), (Some(777), None));
}

#[test]
fn a_node_that_writes_its_place_writes_it_again_under_its_name_and_leaves_with_another() {
    for (name, keeps) in [("n0", true), ("web", false)] {
        let mut node = Node::new(settings());
        let grant = node.until_sending("joining");
        node.pass(grant);
        let (_, join) = node.until_sending("joining");
        reload(&mut node, name, false);
        let Action::Etcd(_, next) = node.until("etcd") else {
            unreachable!("it was waited for");
        };
        assert_eq!(next == join, keeps, "{name}: {next:?}");
        assert_eq!(matches!(next, Request::Revoke { .. }), !keeps);
    }
}

/// Others count on what it says.
#[test]
fn the_place_of_a_node_that_waits_says_the_limit_of_the_new_file() {
    let mut node = Node::new(settings());
    for elder in ["n7", "n8", "n9"] {
        node.elder(elder, Phase::Queued);
    }
    node.until_state("queued");
    node.settle();
    let place = node.stands("/r/claims/n0").unwrap().create_revision;
    node.reload(Settings {
        max_concurrent_reboots: 3,
        check_interval: std::time::Duration::from_secs(3600),
        ..settings()
    });
    node.settle();
    assert_eq!(node.claim().unwrap().limit, 3);
    let kept = node.stands("/r/claims/n0").unwrap();
    assert_eq!(kept.create_revision, place);
}

#[test]
fn a_turn_that_was_held_is_judged_again_at_once_under_a_new_file() {
    let mut node = Node::new(settings());
    let count = node.until_sending("queued");
    node.put("/r/pause", "unreadable, but there");
    node.pass(count);
    node.settle();
    assert_eq!(node.machine.view().state, "queued");
    node.delete("/r/pause");
    let now = node.now;
    reload(&mut node, "n0", false);
    node.until("hook");
    assert_eq!(node.now, now);
}

#[test]
fn a_write_to_a_request_that_a_reload_interrupts_is_judged_anew() {
    let mut node = Node::new(settings());
    node.detectors = vec![detector(DetectorResult::Clear)];
    node.put("/r/requests/n0", encode(&request()));
    while !matches!(node.machine.state(), State::Noting(_)) {
        node.step();
    }
    node.until("etcd");
    reload(&mut node, "n0", false);
    node.until("reboot");
}

#[test]
fn a_node_whose_command_ran_waits_no_longer_than_the_new_file_says() {
    let mut node = Node::new(settings());
    let Action::Reboot(ticket, ..) = node.until("reboot") else {
        unreachable!("it was waited for");
    };
    node.give(Input::RebootCommand(
        ticket,
        ended(ScriptOutcome::Exited(0)),
    ));
    let shorter = settings().reboot_timeout / 10;
    node.reload(Settings {
        reboot_timeout: shorter,
        ..settings()
    });
    let reloaded = node.now;
    node.until("detect");
    assert!(node.said("reboot_did_nothing", "still up"));
    assert_eq!(node.now - reloaded, shorter);
}

/// The file may say another cluster: what the old one has not answered is nobody's to wait for.
#[test]
fn a_process_that_has_just_begun_tests_the_server_of_the_new_file_first() {
    for (keys, node_name) in [("/r", "n0"), ("/other", "n0"), ("/other", "web")] {
        let mut node = Node::new(settings());
        let test = node.until_sending("starting");
        let (_, first) = test.clone();
        node.pass(test);
        let read = node.until_sending("starting");
        assert_ne!(read.1, first);
        node.give(Input::Reload(Box::new(Reload {
            settings: Settings {
                node: node_name.to_owned(),
                keys: reboot_coordinator::lock::Keys::new("", keys),
                ..settings()
            },
            drains_otherwise: false,
            elsewhere: true,
        })));
        let (_, next) = node.until_sending("starting");
        let Request::Txn(next) = next else {
            panic!("{next:?}");
        };
        let own = format!("{keys}/claims/{node_name}");
        assert_eq!(next.compares[0].keys.key, own.as_bytes());
        assert_eq!(next.failure.len(), 4, "it is no self-test");
    }
}
