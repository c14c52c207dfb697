//! Scripts for databases and storage.

use crate::Stage;

#[test]
fn a_galera_node_goes_while_all_are_there_and_returns_when_it_is_synced() {
    let script = "health/galera.sh";
    let stage = Stage::new();
    stage.tool("mysql", "cat $STAGE/status");
    let status = |cluster: &str, state: &str, ready: &str, size: u32| {
        let lines = [
            format!("wsrep_cluster_size\t{size}"),
            format!("wsrep_cluster_status\t{cluster}"),
            format!("wsrep_local_state_comment\t{state}"),
            format!("wsrep_ready\t{ready}"),
        ];
        stage.write("status", &lines.join("\n"));
    };
    status("Primary", "Synced", "ON", 3);
    stage.passes(script, "pre-lock");
    assert!(
        stage
            .calls()
            .contains("--defaults-file=/etc/reboot-coordinator/mysql.cnf")
    );
    status("Primary", "Synced", "ON", 2);
    stage.refuses(script, "post-lock", "the cluster has 2 of 3 nodes");
    stage.passes(script, "post-boot");
    status("Primary", "Joining: receiving State Transfer", "OFF", 3);
    stage.refuses(script, "post-boot", "not synced: Joining");
    status("non-Primary", "Synced", "ON", 3);
    stage.refuses(
        script,
        "pre-lock",
        "not in the primary component: non-Primary",
    );
    stage.write("status", "");
    stage.refuses(script, "post-boot", "not in the primary component");
}

/// A Ceph whose flags are a file.
const CEPH: &str = r#"
case "$*" in
"osd dump "*) flags='{}'; [ ! -e "$STAGE/noout" ] || flags='{"node-a":["noout"]}'; echo "{\"crush_node_flags\":$flags}" ;;
"osd set-group noout node-a") : >"$STAGE/noout" ;;
"osd unset-group noout node-a") rm "$STAGE/noout" ;;
"osd tree-from node-a "*) cat "$STAGE/tree" ;;
"status "*) cat "$STAGE/pgs" ;;
"osd ls-tree node-a") printf '0\n1\n' ;;
"osd ok-to-stop 0 1") [ ! -e "$STAGE/busy" ] || { echo "unsafe to stop" >&2; exit 16; } ;;
*) exit 22 ;;
esac
"#;

#[test]
fn ceph_keeps_data_in_place_during_a_reboot_and_a_flag_that_was_there_before_stays() {
    let (drain, undo) = ("hooks/ceph-noout.sh", "hooks/ceph-noout-undo.sh");
    let stage = Stage::new();
    let state = stage.path("state");
    let stage = stage.set("STATE", state);
    stage.tool("ceph", CEPH);
    stage.passes(undo, "post-boot");
    stage.passes(drain, "pre-reboot");
    // A drain that is repeated does not take its own flag for an operator's.
    stage.passes(drain, "pre-reboot");
    assert!(stage.path("noout").exists());
    stage.passes(undo, "post-boot");
    assert!(!stage.path("noout").exists());
    stage.passes(undo, "post-boot");

    stage.write("noout", "");
    stage.passes(drain, "pre-reboot");
    stage.passes(undo, "post-boot");
    assert!(stage.path("noout").exists());
}

#[test]
fn a_ceph_host_goes_when_its_osds_may_stop_and_returns_when_they_are_up() {
    let script = "health/ceph-node.sh";
    let stage = Stage::new();
    stage.tool("ceph", CEPH);
    let tree = |status: &str| {
        let osd = format!(r#"{{"type":"osd","name":"osd.0","status":"{status}"}}"#);
        stage.write(
            "tree",
            &format!(r#"{{"nodes":[{{"type":"host","name":"node-a"}},{osd}]}}"#),
        );
    };
    let pgs = |state: &str| {
        let state = format!(r#"{{"state_name":"{state}","count":3}}"#);
        stage.write(
            "pgs",
            &format!(r#"{{"pgmap":{{"pgs_by_state":[{state}]}}}}"#),
        );
    };
    tree("up");
    pgs("active+clean");
    stage.passes(script, "pre-lock");
    pgs("active+clean+scrubbing");
    stage.passes(script, "pre-lock");
    stage.write("busy", "");
    stage.refuses(script, "post-lock", "unsafe to stop");
    pgs("active+undersized+degraded");
    stage.refuses(
        script,
        "pre-lock",
        "not clean: 3 active+undersized+degraded",
    );
    stage.passes(script, "post-boot");
    tree("down");
    stage.refuses(script, "post-boot", "are not up: osd.0");
    stage.write("tree", r#"{"nodes":[]}"#);
    stage.refuses(script, "post-boot", "are not up: all of them");
}

/// An OpenSearch whose allocation is a file.
const OPENSEARCH: &str = r#"
case "$*" in
*"/_cluster/health"*) cat "$STAGE/health" ;;
*"/_cluster/settings?"*) [ ! -e "$STAGE/allocation" ] || echo '{"persistent":{"cluster.routing.allocation.enable":"none"}}' ;;
*'"primaries"'*) echo primaries >"$STAGE/allocation" ;;
*'"cluster.routing.allocation.enable":null'*) rm "$STAGE/allocation" ;;
*"/_flush"*) exit 22 ;;
*) exit 9 ;;
esac
"#;

#[test]
fn opensearch_does_not_copy_shards_during_a_reboot_and_a_restriction_that_was_there_stays() {
    let (drain, undo) = ("hooks/opensearch-drain.sh", "hooks/opensearch-undrain.sh");
    let stage = Stage::new();
    let state = stage.path("state");
    let stage = stage.set("STATE", state);
    stage.tool("curl", OPENSEARCH);
    stage.passes(undo, "post-boot");
    stage.passes(drain, "pre-reboot");
    stage.passes(drain, "pre-reboot");
    assert!(stage.path("allocation").exists());
    stage.passes(undo, "post-boot");
    assert!(!stage.path("allocation").exists());

    stage.write("allocation", "by hand");
    stage.passes(drain, "pre-reboot");
    stage.passes(undo, "post-boot");
    assert!(stage.path("allocation").exists());
}

#[test]
fn an_undo_is_not_done_while_opensearch_is_away() {
    let stage = Stage::new();
    let state = stage.path("state");
    let stage = stage.set("STATE", state);
    stage.tool("curl", OPENSEARCH);
    stage.passes("hooks/opensearch-drain.sh", "pre-reboot");
    stage.tool("curl", "exit 7");
    stage.refuses("hooks/opensearch-undrain.sh", "post-boot", "");
    stage.tool("curl", OPENSEARCH);
    stage.passes("hooks/opensearch-undrain.sh", "post-boot");
    assert!(!stage.path("allocation").exists());
}

#[test]
fn an_opensearch_node_goes_while_all_is_green_and_returns_before_it_is() {
    let script = "health/opensearch.sh";
    let stage = Stage::new();
    stage.tool("curl", OPENSEARCH);
    let health = |status: &str, nodes: u32| {
        let text = format!(
            r#"{{"cluster_name":"x","status":"{status}","number_of_nodes":{nodes},"number_of_data_nodes":9}}"#
        );
        stage.write("health", &text);
    };
    health("green", 3);
    stage.passes(script, "pre-lock");
    health("yellow", 3);
    stage.refuses(script, "post-lock", "the cluster is yellow");
    stage.passes(script, "post-boot");
    health("green", 2);
    stage.refuses(script, "pre-lock", "2 of 3 nodes");
    stage.write("health", "<html>");
    stage.refuses(script, "post-boot", "no of 3 nodes");
}

#[test]
fn a_postgres_leader_goes_only_while_somebody_can_take_over() {
    let script = "health/patroni.sh";
    let stage = Stage::new();
    stage.tool(
        "curl",
        "case $* in */health*) [ ! -e $STAGE/ill ] ;; *) cat $STAGE/cluster ;; esac",
    );
    let member = |name: &str, role: &str, state: &str, lag: &str| {
        format!(r#"{{"name":"{name}","role":"{role}","state":"{state}","lag":{lag}}}"#)
    };
    let members = |all: &[String]| {
        stage.write("cluster", &format!(r#"{{"members":[{}]}}"#, all.join(",")));
    };
    let leader = member("node-a", "leader", "running", "null");
    members(&[
        leader.clone(),
        member("node-b", "replica", "streaming", "0"),
    ]);
    stage.passes(script, "pre-lock");
    let why = "nobody who could take over from node-a";
    members(&[
        leader.clone(),
        member("node-b", "replica", "streaming", "99999999999"),
    ]);
    stage.refuses(script, "pre-lock", why);
    members(&[leader.clone(), member("node-b", "replica", "stopped", "0")]);
    stage.refuses(script, "post-lock", why);
    members(&[
        leader,
        member("node-b", "replica", "streaming", r#""unknown""#),
    ]);
    stage.refuses(script, "post-lock", why);
    members(&[
        member("node-a", "replica", "streaming", "0"),
        member("node-b", "leader", "running", "null"),
    ]);
    stage.passes(script, "pre-lock");
    members(&[member("node-a", "replica", "streaming", "0")]);
    stage.refuses(script, "pre-lock", "no leader");
    stage.passes(script, "post-boot");
    stage.write("ill", "");
    stage.refuses(script, "post-boot", "");
}

#[test]
fn a_postgres_leader_hands_over_first() {
    let script = "hooks/patroni-switchover.sh";
    let stage = Stage::new().set("TRIES", "3");
    let patroni = r#"
case "$*" in
*/leader) [ -e "$STAGE/leads" ] && printf 200 || printf 503 ;;
*/replica) [ -e "$STAGE/leads" ] && printf 503 || printf 200 ;;
*/switchover) [ -e "$STAGE/stubborn" ] || rm "$STAGE/leads" ;;
*) exit 9 ;;
esac
"#;
    stage.tool("curl", patroni);
    stage.passes(script, "pre-reboot");
    assert!(!stage.calls().contains("switchover"));
    stage.write("leads", "");
    stage.passes(script, "pre-reboot");
    assert!(stage.calls().contains("--data {\"leader\":\"node-a\"}"));
    stage.write("leads", "");
    stage.write("stubborn", "");
    stage.refuses(script, "pre-reboot", "did not become a replica");
    stage.tool("curl", "printf 000; exit 7");
    stage.refuses(script, "pre-reboot", "");
    stage.tool("curl", "printf 503");
    stage.refuses(script, "pre-reboot", "neither leader nor replica");
}
