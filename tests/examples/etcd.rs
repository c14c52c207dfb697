//! Scripts for members of etcd, with a real cluster of three.

use std::fs;
use std::os::unix::fs::symlink;

use etcd_test_server::{Cluster, default_version};

use crate::Stage;

/// The host of one member.
fn host(cluster: &Cluster, index: usize) -> Stage {
    let stage = Stage::new();
    let etcdctl = default_version().etcdctl;
    symlink(etcdctl, stage.path("bin").join("etcdctl")).unwrap();
    stage.set("ENDPOINT", cluster.client_url(index))
}

#[test]
fn a_member_may_go_while_all_are_there_and_returns_while_another_is_away() {
    let script = "health/etcd-member.sh";
    let cluster = Cluster::builder().members(3).start();
    let stage = host(&cluster, 0);
    for phase in ["pre-lock", "post-lock", "monitor", "post-boot"] {
        stage.passes(script, phase);
    }
    cluster.kill(2);
    stage.refuses(
        script,
        "pre-lock",
        "2 of 3 members answer; without this one 1 would be left, and a majority is 2",
    );
    stage.passes(script, "post-boot");
    cluster.kill(1);
    stage.refuses(script, "post-boot", "unhealthy");
}

#[test]
fn the_last_member_of_a_small_cluster_does_not_go() {
    let cluster = Cluster::single();
    host(&cluster, 0).refuses("health/etcd-member.sh", "pre-lock", "1 of 1 members answer");
}

#[test]
fn a_leader_hands_over_and_a_follower_has_nothing_to_do() {
    let script = "hooks/etcd-leader-away.sh";
    let cluster = Cluster::builder().members(3).start();
    let leader = cluster.leader();
    host(&cluster, (leader + 1) % 3).passes(script, "pre-reboot");
    assert_eq!(cluster.leader(), leader);
    host(&cluster, leader).passes(script, "pre-reboot");
    assert_ne!(cluster.leader(), leader);
}

#[test]
fn a_leader_without_anybody_to_take_over_says_so() {
    let stage = Stage::new();
    fs::write(stage.path("fields"), "\"MemberID\" : 5\n\"Leader\" : 5\n").unwrap();
    stage.tool(
        "etcdctl",
        "case $* in *fields*) cat $STAGE/fields ;; *simple*) echo 'http://x, 5, 3.5' ;; *'member list'*) \
         printf '5, started, a, p, c, false\\n6, started, b, p, c, true\\n7, started, c, p, c, false\\n' ;; *) exit 1 ;; esac",
    );
    stage.refuses(
        "hooks/etcd-leader-away.sh",
        "pre-reboot",
        "no other one took over",
    );
    let calls = stage.calls();
    assert!(
        calls.contains("move-leader 7") && !calls.contains("move-leader 6"),
        "a learner cannot lead: {calls}"
    );
}
