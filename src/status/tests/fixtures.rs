//! What the tests of the commands show: a host and a cluster at noon.

#![allow(clippy::unwrap_used)] // helpers of tests count as tests

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::View;
use super::gates::gates;
use super::local::Local;
use crate::config::{self, Config};
use crate::core::line::HaltScope;
use crate::core::windows::Windows;
use crate::host::KillSwitch;
use crate::lock::outcome::Found;
use crate::lock::record::LastReboot;
use crate::lock::survey::{Said, Survey};
use crate::lock::{Claim, Cooldown, Domains, History, NodeRecord, Pause, Phase};

pub(crate) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A time of this day, as records write it.
pub(crate) fn at(clock: &str) -> String {
    format!("2026-11-23T{clock}:00.000Z")
}

fn config() -> Config {
    let second = Duration::from_secs(1);
    Config {
        node_name: "node-c".into(),
        node_name_as_written: "node-c".into(),
        node_id: "id-node-c".into(),
        detectors: Vec::new(),
        health_script: "/health".into(),
        health_timeout: second,
        health_publish_interval: second,
        check_interval: second,
        backoff_min: second,
        backoff_max: second,
        min_reboot_interval: Duration::ZERO,
        max_concurrent_reboots: 1,
        domains: Domains::default(),
        lock_key: "/cluster/lock".into(),
        lock_ttl: second,
        hold_timeout: None,
        etcd: config::Etcd {
            endpoints: Vec::new(),
            namespace: String::new(),
            tls: None,
            auth: None,
            timeout: second,
        },
        reboot_command: Vec::new(),
        reboot_timeout: Duration::from_secs(600),
        pre_reboot_hook: None,
        post_boot_hook: None,
        event_hook: None,
        post_boot_settle: second,
        max_reboots_without_clearing: 1,
        wave: 0,
        halt_after: 1,
        halt_scope: HaltScope::All,
        cluster_policies: None,
        windows: Some(Windows::parse("UTC", &[], &["Mon 08:00-18:00".into()]).unwrap()),
        kill_switch_file: "/etc/reboot-coordinator/disable".into(),
        metrics: None,
        metrics_names: Vec::new(),
        log: config::Log {
            level: log::LevelFilter::Info,
            format: None,
        },
        dry_run: false,
        run_dir: "/run/reboot-coordinator".into(),
        boot_id_file: "/boot_id".into(),
    }
}

pub(crate) fn local() -> Local {
    Local {
        config: config(),
        boot_id: Some("b1".into()),
        kill_switch: KillSwitch::Absent,
        daemon: Ok(Some(123)),
        skew_sec: 0,
        detectors: None,
    }
}

/// The same host with something else in its configuration.
pub(crate) fn configured(change: impl FnOnce(&mut Config)) -> Local {
    let mut local = local();
    change(&mut local.config);
    local
}

pub(crate) fn found(node: &str, phase: Phase, create: i64, since: &str) -> (String, Found) {
    let committed = phase.committed().then(|| at(since));
    let claim = Claim {
        v: 1,
        node: node.into(),
        node_id: format!("id-{node}"),
        boot_id: "b1".into(),
        session: "s".into(),
        phase,
        limit: 1,
        domains: Domains::default(),
        reasons: vec!["kernel".into()],
        since: if phase.committed() {
            at("11:00")
        } else {
            at(since)
        },
        committed_at: committed,
        attempts: 1,
        patience_sec: None,
        drain_sec: None,
        passed: Vec::new(),
        target: None,
        version: "0.1.0".into(),
    };
    let found = Found {
        create,
        modified: create + 1,
        lease: i64::from(!phase.committed()),
        claim: Ok(claim),
    };
    (node.to_owned(), found)
}

pub(crate) fn member(
    node: &str,
    rebooted: Option<&str>,
    budget_used: u32,
) -> (String, Result<NodeRecord, crate::lock::record::RecordError>) {
    let record = NodeRecord {
        wave: 0,
        boot_id: None,
        v: 1,
        node: node.into(),
        node_id: format!("id-{node}"),
        version: "0.1.0".into(),
        last_reboot: rebooted.map(|clock| LastReboot {
            boot_before: "b0".into(),
            boot_after: "b1".into(),
            at: at(clock),
            reasons: vec!["kernel".into()],
        }),
        budget_used,
        attempt: None,
        request: None,
    };
    (node.to_owned(), Ok(record))
}

/// A report of half an hour ago.
pub(crate) fn says(healthy: bool) -> Said {
    Said {
        healthy: Some(healthy),
        reason: (!healthy).then(|| "exit code 1".to_owned()),
        since: Some(at("11:30")),
    }
}

pub(crate) fn pause(until: Option<&str>) -> Pause {
    Pause {
        v: 1,
        by: "eva@admin".into(),
        reason: "bad kernel".into(),
        since: at("11:50"),
        until: until.map(at),
    }
}

pub(crate) fn cooldown() -> Cooldown {
    Cooldown {
        v: 1,
        node: "node-x".into(),
        since: at("11:40"),
        until: at("12:10"),
    }
}

pub(crate) fn history(node: &str, outcome: &str) -> History {
    History {
        v: 1,
        node: node.into(),
        outcome: outcome.into(),
        detail: "back and healthy".into(),
        reasons: vec!["kernel".into()],
        since: at("11:00"),
        committed_at: Some(at("11:20")),
        ended_at: at("11:25"),
        by: None,
        count: None,
        passed: Vec::new(),
    }
}

/// One node down, two in the queue, one of them ours.
pub(crate) fn busy() -> Survey {
    Survey {
        revision: 42,
        claims: vec![
            found("node-a", Phase::Rebooting, 5, "11:48"),
            found("node-b", Phase::Queued, 7, "11:56"),
            found("node-c", Phase::Queued, 9, "11:58"),
        ],
        nodes: vec![
            member("node-a", Some("02:00"), 1),
            member("node-b", None, 0),
            member("node-c", None, 0),
        ],
        recent: vec![history("node-x", "completed")],
        ..Survey::default()
    }
}

pub(crate) fn view(local: Local, survey: Survey) -> View {
    View {
        lock_key: "/cluster/lock".into(),
        version: Some("3.5.16".into()),
        gates: gates(&local, Some(&survey), now(), now()),
        survey: Ok(Arc::new(survey)),
        earlier: None,
        read_at: Some(now()),
        local,
        said: None,
        doubt: None,
        asked: Vec::new(),
        since_boot: Duration::ZERO,
    }
}
