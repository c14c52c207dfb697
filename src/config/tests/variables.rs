//! What scripts are told through the environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::config::variables::{VALUE_LIMIT, environment, join};
use crate::core::facts::ScriptOutcome;
use crate::core::io::ScriptFacts;
use crate::process::Cancel;
use crate::scripts;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn configured(fields: &str) -> Config {
    Fixture::new().load(&with(fields)).unwrap().config
}

fn full() -> Config {
    configured(
        "lock_key: /cluster/reboot
dry_run: true
etcd_endpoints: [e1:2379, e2:2379]
cluster_policies:
  min_healthy_fraction: 0.75
  min_healthy_absolute: 2
  forbid_if_only_fallback_left: true
  fallback_nodes: [cp-a, cp-b]
windows: {allow: ['Sat,Sun 00:00-24:00', '* 02:00-04:00'], deny: ['Fri 18:00-Mon 08:00']}
metrics: {enabled: true, listen: '127.0.0.1:9746'}
",
    )
}

fn facts() -> ScriptFacts {
    ScriptFacts {
        held: true,
        attempts: 3,
        members: strings(&["cp-a", "cp-b", "node-a"]),
        healthy: strings(&["cp-a", "node-a"]),
        reasons: strings(&["kernel", "request: line one\nline\0two"]),
    }
}

fn environment_of_all() -> Vec<(String, String)> {
    environment(&full(), "post-lock", Some(&facts()))
}

#[test]
fn every_variable_says_what_is_configured_and_what_is_known() {
    let expected = "\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RC_NODE_NAME=node-a
RC_PHASE=post-lock
RC_DRY_RUN=true
RC_LOCK_KEY=/cluster/reboot
RC_LOCK_ENABLED=true
RC_LOCK_HELD=true
RC_LOCK_ATTEMPTS=3
RC_ETCD_ENDPOINTS=http://e1:2379,http://e2:2379
RC_KILL_SWITCH_FILE=/etc/reboot-coordinator/disable
RC_CLUSTER_MIN_HEALTHY_FRACTION=0.75
RC_CLUSTER_MIN_HEALTHY_ABSOLUTE=2
RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT=true
RC_CLUSTER_FALLBACK_NODES=cp-a,cp-b
RC_CLUSTER_NODES=cp-a,cp-b,node-a
RC_CLUSTER_HEALTHY_NODES=cp-a,node-a
RC_WINDOWS_ALLOW=Sat,Sun 00:00-24:00,* 02:00-04:00
RC_WINDOWS_DENY=Fri 18:00-Mon 08:00
RC_METRICS_ENDPOINT=127.0.0.1:9746
RC_REASONS=kernel,request: line one line two";
    let env = environment_of_all();
    let lines: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn an_empty_context_has_the_same_variables() {
    let least = configured("");
    let env = environment(&least, "pre-lock", None);
    let named = |env: &[(String, String)]| env.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(named(&env), named(&environment_of_all()));
    let env: BTreeMap<String, String> = env.into_iter().collect();
    assert_eq!(env["RC_CLUSTER_FORBID_IF_ONLY_FALLBACK_LEFT"], "false");
    assert_eq!(env["RC_CLUSTER_MIN_HEALTHY_FRACTION"], "");
    assert_eq!(env["RC_LOCK_ENABLED"], "false");
}

#[test]
fn a_fleet_too_large_for_the_environment_is_cut_and_said_so_and_the_script_still_starts() {
    let nodes: Vec<String> = (0..10_000)
        .map(|n| format!("node-{n:05}.region.example.net"))
        .collect();
    let facts = ScriptFacts {
        members: nodes.clone(),
        healthy: nodes,
        ..facts()
    };
    let env = environment(&full(), "post-lock", Some(&facts));
    let map: BTreeMap<String, String> = env.iter().cloned().collect();
    assert_eq!(
        map["RC_TRUNCATED"],
        "RC_CLUSTER_NODES,RC_CLUSTER_HEALTHY_NODES"
    );
    assert!(
        map["RC_CLUSTER_NODES"].len() <= VALUE_LIMIT
            && map["RC_CLUSTER_NODES"].ends_with(".example.net")
    );
    let report = scripts::check(
        Path::new("/bin/true"),
        Duration::from_secs(20),
        &env,
        &Cancel::new(),
    );
    assert_eq!(report.outcome, ScriptOutcome::Exited(0));
}

#[test]
fn a_list_may_fill_a_variable_to_its_last_byte() {
    // Five thousand names and more fit into what is kept.
    assert!(join(&vec!["worker-1234.cluster".to_owned(); 4900]).1);
    for (first, second, fits) in [(VALUE_LIMIT - 2, 1, true), (VALUE_LIMIT - 1, 1, false)] {
        let entries = [first, second].map(|length| "x".repeat(length));
        let (value, complete) = join(&entries);
        assert_eq!(complete, fits);
        assert_eq!(value.len(), if fits { VALUE_LIMIT } else { first });
    }
}
