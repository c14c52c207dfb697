//! A reload that gives this machine another id, or a name that another machine has.

use reboot_coordinator::core::facts::{DetectorResult, ScriptOutcome};
use reboot_coordinator::core::{Action, Input, Settings, State};
use reboot_coordinator::lock::record::{decode, encode};
use reboot_coordinator::lock::{NodeRecord, Phase};
use simulation::by_hand::{Node, asks, detector, ended};

use super::identity::{idle, of_boot};

fn reload(node: &mut Node, settings: Settings) {
    node.reload(settings);
}

fn another_id() -> Settings {
    Settings {
        node_id: "given".to_owned(),
        ..of_boot("boot-1")
    }
}

fn named(name: &str) -> Settings {
    Settings {
        node: name.to_owned(),
        ..of_boot("boot-1")
    }
}

/// The registration is this process's own, and goes by the new id from then on.
#[test]
fn another_id_of_this_machine_is_registered_from_each_state() {
    for state in ["idle", "queued", "draining", "verifying"] {
        let (mut node, mut drains) = (Node::new(of_boot("boot-1")), None);
        match state {
            "idle" => node = idle(),
            "queued" => {
                node.elder("a", Phase::Queued);
                node.until_state("queued");
            }
            _ => {
                let Action::Hook(ticket, ..) = node.until("hook") else {
                    panic!("it drains");
                };
                drains = Some(ticket);
            }
        }
        if state == "verifying" {
            let ticket = drains.take().unwrap();
            node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(1))));
            assert_eq!(node.machine.view().state, "verifying");
        }
        reload(&mut node, another_id());
        node.detectors = vec![detector(DetectorResult::Clear)];
        if let Some(ticket) = drains {
            node.give(Input::Script(ticket, ended(ScriptOutcome::Exited(0))));
        }
        while node.registration().node_id != "given" {
            assert_eq!(node.exit, None, "{state}");
            node.step();
        }
        assert!(node.claim().is_none());
        node.delete("/r/claims/a");
        node.detectors = vec![asks("kernel")];
        node.until("reboot");
        assert_eq!(node.claim().unwrap().node_id, "given");
    }
}

#[test]
fn what_another_machine_registered_since_is_its_own() {
    let mut node = idle();
    let other = NodeRecord {
        node_id: "another".to_owned(),
        ..node.registration()
    };
    node.put("/r/nodes/n0", encode(&other));
    reload(&mut node, another_id());
    node.until_exit();
    assert_eq!((node.exit, node.registration()), (Some(2), other));
}

/// Its host may be given another name, which no end of the daemon would see.
#[test]
fn a_name_that_is_taken_is_waited_for_by_whoever_had_another_one() {
    for corrected in [true, false] {
        let mut node = idle();
        let other = NodeRecord {
            node: "web".to_owned(),
            node_id: "another".to_owned(),
            ..node.registration()
        };
        node.put("/r/nodes/web", encode(&other));
        reload(&mut node, named("web"));
        let until = node.now + 5 * node.machine.settings().check_interval;
        while node.now < until {
            node.step();
        }
        assert!(node.said("name_taken", "two machines use one node_name"));
        assert_eq!(node.exit, None);
        let stands = node.stands("/r/nodes/web").unwrap();
        assert_eq!(decode::<NodeRecord>(&stands.value), Ok(other));
        assert!(node.stands("/r/nodes/n0").is_none());
        let name = if corrected { "n0" } else { "web" };
        match corrected {
            true => reload(&mut node, named("n0")),
            false => node.delete("/r/nodes/web"),
        }
        node.until_state("idle");
        assert!(matches!(node.machine.state(), State::Idle(Some(_))));
        assert!(node.stands(&format!("/r/nodes/{name}")).is_some());
    }
}
