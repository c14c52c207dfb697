//! Waves: members of a lower wave go first, one that is held up holds up the later ones, and how they go on without it.

use etcd_test_server::Cluster;
use serde_json::json;

use crate::host::Host;
use crate::store::Store;

fn host(cluster: &Cluster, name: &str, wave: i32) -> Host {
    Host::new(name, &cluster.endpoints())
        .with("wave", &wave.to_string())
        .with("max_concurrent_reboots", "12")
}

fn explain(from: &Host, name: &str) -> String {
    let explained = from.command(&["explain", name]).output().unwrap();
    let text = String::from_utf8_lossy(&explained.stdout);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All of a wave may be down at once, and nobody of the next one before they are back.
#[test]
fn twelve_nodes_in_three_waves_go_in_order() {
    let (cluster, store) = Store::single();
    let waves = [9, 0, -1].map(|wave| {
        let name = |number: u32| host(&cluster, &format!("w{number}-of{wave}"), wave);
        (0..4).map(name).collect::<Vec<Host>>()
    });
    let mut waves = Vec::from(waves);
    // The last ones start first, and what asks for a reboot comes to all of them when all are there.
    for host in waves.iter_mut().flatten() {
        host.remove("required");
        host.start();
        let key = format!("/rc/standing/{}", host.name);
        store.wait("its standing", || {
            store.get(&key).is_some_and(|said| said["state"] == "idle")
        });
    }
    for host in waves.iter().flatten() {
        host.touch("required");
    }
    for turn in (0..3).rev() {
        for host in &waves[turn] {
            host.wait_until("the reboot command", || host.reboots() == 1);
        }
        for later in waves[..turn].iter().flatten() {
            assert_eq!(later.reboots(), 0, "{}", later.name);
        }
        for host in &mut waves[turn] {
            host.remove("required");
            host.reboot();
            host.wait_event("released");
        }
    }
    let rebooted = waves.iter().flatten().map(Host::reboots);
    assert!(rebooted.eq([1; 12]));
    assert_eq!(
        waves[0][0].history_proves(),
        ("kept".to_owned(), 12, vec![])
    );
    // By hand, as no node does it.
    let claim = |node: &Host, phase: &str| {
        let record = json!({
            "v": 1, "node": node.name, "node_id": "x", "boot_id": "x", "session": "x", "phase": phase, "limit": 12,
            "reasons": [], "since": "", "version": "",
        });
        store.put(&format!("/rc/claims/{}", node.name), &record);
    };
    claim(&waves[2][0], "queued");
    claim(&waves[0][0], "queued");
    claim(&waves[0][0], "rebooting");
    let broken = ("violated".to_owned(), 13, vec!["wave".to_owned()]);
    assert_eq!(waves[0][0].history_proves(), broken);
}

#[test]
fn a_canary_that_is_held_up_holds_up_the_others_and_explain_says_why_and_how_to_go_on() {
    let (cluster, store) = Store::single();
    let (mut canary, mut web) = (host(&cluster, "canary", -1), host(&cluster, "web", 0));
    canary.touch("disable");
    canary.start();
    canary.wait_blocked("kill_switch");
    store.wait("the word of the canary", || {
        let said = store.get("/rc/standing/canary");
        said.is_some_and(|said| said["required"].is_object())
    });
    web.start();
    let held = "canary (wave -1) requires a reboot since ";
    let blocked = || web.wait_blocked("wave")["msg"].as_str().unwrap().to_owned();
    web.wait_until("the canary is named", || blocked().contains(held));
    store.wait("the word of web", || {
        let said = store.get("/rc/standing/web").unwrap_or_default();
        said["blocked"]["text"].to_string().contains(held)
    });
    // On its own host, and from another one.
    for from in [&web, &canary] {
        let explained = explain(from, "web");
        for words in [held, "kill switch", "reboot-coordinator forget", "`wave`"] {
            assert!(explained.contains(words), "{words}: {explained}");
        }
    }
    assert_eq!(web.reboots(), 0);
    // Its daemon is gone: nothing is known of it any more, which is no.
    canary.kill();
    store.wait("its lease", || store.get("/rc/standing/canary").is_none());
    let said = || explain(&web, "web");
    web.wait_until("the canary is gone", || {
        said().contains("says nothing of itself")
    });
    assert_eq!(web.reboots(), 0);
    let done = web.command(&["forget", "canary"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(store.get("/rc/waves/canary"), None);
    web.wait_until("the reboot command", || web.reboots() == 1);
}

/// An operator goes on without a canary that is there and cannot go.
#[test]
fn a_canary_that_gets_a_later_wave_holds_nobody_up_any_more() {
    let (cluster, store) = Store::single();
    let (mut canary, mut web) = (host(&cluster, "canary", -1), host(&cluster, "web", 0));
    canary.touch("disable");
    canary.start();
    canary.wait_blocked("kill_switch");
    web.start();
    web.wait_blocked("wave");
    canary.set("wave", "1");
    canary.reload();
    web.wait_until("the reboot command", || web.reboots() == 1);
    assert_eq!(store.get("/rc/waves/canary"), None);
    assert_eq!(store.get("/rc/nodes/canary").unwrap()["wave"], 1);
    // Now it is the one that waits.
    canary.remove("disable");
    let waits = canary.wait_blocked("wave");
    assert!(
        waits["msg"].as_str().unwrap().contains("web (wave 0)"),
        "{waits}"
    );
    web.remove("required");
    web.reboot();
    web.wait_event("released");
    canary.wait_until("the reboot command", || canary.reboots() == 1);
}
