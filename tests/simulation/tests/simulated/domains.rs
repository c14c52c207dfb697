//! Failure domains in a fleet without trouble: how many are down together, and what a handover costs.

use std::collections::BTreeMap;
use std::time::Duration;

use reboot_coordinator::lock::record::decode;
use reboot_coordinator::lock::{Claim, Domains};
use simulation::plan::Plan;
use simulation::{SECOND, Time, World};

/// Hosts that all need a reboot, rack after rack, with a limit of one in each rack or without.
fn fleet(hosts: usize, racks: usize, limit: u32, labels: bool) -> Plan {
    let mut plan = Plan::plain(hosts);
    plan.quiet_at = 20 * SECOND;
    for (number, node) in plan.nodes.iter_mut().enumerate() {
        node.settings.max_concurrent_reboots = limit;
        node.required_at = Some(10 * SECOND);
        // No boot is slow enough to be taken for a failure: that would empty the queue.
        node.settings.reboot_timeout = Duration::from_secs(300);
        let rack = format!("r{}", number * racks / hosts);
        if labels {
            node.settings.domains = Domains {
                labels: BTreeMap::from([("rack".to_owned(), rack)]),
                limits: BTreeMap::from([("rack".to_owned(), 1)]),
            };
        }
    }
    plan
}

/// How many were down at once, in all and in one rack.
#[derive(Debug, Default, PartialEq, Eq)]
struct Most {
    all: usize,
    of_a_rack: usize,
}

/// Runs to the end; the most that were down, when the last was back, and how many requests were sent.
fn run(plan: Plan) -> (Most, Time, u64) {
    let mut world = World::new(plan);
    let (mut most, mut known) = (Most::default(), 0);
    while !world.over() {
        world.step();
        if std::mem::replace(&mut known, world.etcd.revision()) == known {
            continue;
        }
        let mut racks: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..world.hosts.len() {
            let kv = world.etcd.get(format!("/r/claims/n{number}").as_bytes());
            let claim = kv.and_then(|kv| decode::<Claim>(&kv.value).ok());
            let Some(claim) = claim.filter(|claim| claim.phase.committed()) else {
                continue;
            };
            let rack = claim.domains.labels.get("rack").cloned();
            *racks.entry(rack.unwrap_or_default()).or_default() += 1;
        }
        most.all = most.all.max(racks.values().sum());
        let fullest = racks.values().max().copied();
        most.of_a_rack = most.of_a_rack.max(fullest.unwrap_or(0));
    }
    assert_eq!(world.violation(), None);
    assert!(world.hosts.iter().all(|host| host.rebooted == 1));
    let sent = world.hosts.iter().flat_map(|host| host.sent).sum();
    (most, world.now, sent)
}

#[test]
fn four_racks_go_together_and_no_rack_loses_two() {
    let (most, with, _) = run(fleet(12, 4, 4, true));
    assert_eq!((most.all, most.of_a_rack), (4, 1));
    // Whoever keeps domains apart by a limit of one in all takes turns.
    let (most, without, _) = run(fleet(12, 4, 1, false));
    assert_eq!(most.all, 1);
    assert!(with * 2 < without, "{with} and {without} us");
    // One rack bounds everybody, whatever is allowed in all.
    let (most, ..) = run(fleet(6, 1, 4, true));
    assert_eq!((most.all, most.of_a_rack), (1, 1));
}

/// Also with more of them than a node looks at: labels cost no request.
#[test]
fn a_handover_costs_as_many_requests_with_labels_as_without() {
    for hosts in [24, 72] {
        let (_, _, with) = run(fleet(hosts, 6, 2, true));
        let (_, _, without) = run(fleet(hosts, 6, 2, false));
        println!("{hosts} hosts: {with} requests with labels, {without} without");
        assert!(with * 4 <= without * 5, "{hosts} hosts: {with}, {without}");
    }
}
