//! Six nodes in each of the bad states, and the first lines of `status` on another node: who, why, and what to type.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use etcd_test_server::{Action, Cluster, Proxy, Rule};
use serde_json::json;

use crate::host::{Host, wait};
use crate::store::{Store, claim};

/// What somebody reads first.
const LINES: usize = 3;

/// How wide a terminal is.
const COLUMNS: usize = 80;

struct Fleet {
    cluster: Cluster,
    store: Store,
    nodes: Vec<Host>,
}

impl Fleet {
    /// Six nodes of which none needs a reboot.
    fn of(cluster: Cluster, set: impl Fn(Host) -> Host) -> Fleet {
        let node = |number: usize| {
            let host = Host::new(&format!("n{number}"), &cluster.endpoints())
                .with("check_interval_sec", "1")
                .with("health_publish_interval_sec", "1");
            let host = set(host);
            host.remove("required");
            host
        };
        let mut nodes: Vec<Host> = (1..=6).map(node).collect();
        nodes.iter_mut().for_each(Host::start);
        let store = Store::of(&cluster);
        store.wait("six members", || store.list("/rc/alive/").len() == 6);
        Fleet {
            cluster,
            store,
            nodes,
        }
    }

    fn new(set: impl Fn(Host) -> Host) -> Fleet {
        Fleet::of(Cluster::single(), set)
    }

    fn needs_reboot(&self, number: usize) -> &Host {
        let host = &self.nodes[number - 1];
        host.touch("required");
        host
    }

    /// The first lines on the last node hold all of these.
    fn says(&self, wanted: &[&str]) {
        says(|| self.nodes[5].command(&["status"]), wanted);
    }
}

fn says(command: impl Fn() -> Command, wanted: &[&str]) {
    let mut lines = Vec::new();
    let mut shown = String::new();
    let holds = wait(|| {
        let output = command().output().unwrap();
        shown = String::from_utf8(output.stdout).unwrap();
        lines = shown.lines().take(LINES).map(str::to_owned).collect();
        let folded = lines.join(" ");
        wanted.iter().all(|words| folded.contains(words))
    });
    assert!(holds, "{wanted:?}\n{shown}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= COLUMNS),
        "{shown}"
    );
    println!("{}\n", lines.join("\n"));
}

#[test]
fn the_line_is_stopped_by_a_node_that_is_back_and_ill() {
    let mut fleet = Fleet::new(|host| host.with("reboot_timeout_sec", "4"));
    let first = fleet.needs_reboot(1);
    first.wait_until("the reboot command", || first.reboots() == 1);
    first.touch("fail-post-boot");
    fleet.nodes[0].reboot();
    fleet.needs_reboot(2);
    fleet.says(&[
        "n1 is back, but the health script does not pass: exit code 1: told to fail",
        "Only when it cannot be repaired: reboot-coordinator release n1",
    ]);
}

#[test]
fn somebody_wrote_a_claim_by_hand_that_never_ends() {
    let fleet = Fleet::new(|host| host);
    fleet.store.put("/rc/claims/n9", &claim("n9", "queued"));
    fleet.needs_reboot(2);
    fleet.says(&[
        "n9 has a place in the queue that hangs on no lease, so that it never ends by itself; 2 nodes wait.",
        "release n9 --reason TEXT",
    ]);
}

#[test]
fn a_pause_is_forgotten() {
    let fleet = Fleet::new(|host| host);
    let pause = fleet.nodes[2]
        .command(&["pause", "--reason", "moving racks"])
        .status();
    assert!(pause.unwrap().success());
    fleet.needs_reboot(1);
    fleet.says(&[
        "Paused: nobody begins to reboot",
        "When reboots may go on: reboot-coordinator resume",
        "n1 needs a reboot and is blocked: the cluster is paused:",
    ]);
}

#[test]
fn health_fails_on_one_that_needs_a_reboot() {
    let fleet = Fleet::new(|host| host);
    fleet.nodes[0].touch("fail-pre-lock");
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 needs a reboot and is blocked: the health script does not allow it: exit code 1:",
        "told to fail pre-lock",
        "More of it: reboot-coordinator explain n1",
    ]);
}

#[test]
fn a_reboot_did_not_help() {
    let mut fleet = Fleet::new(|host| host);
    let first = fleet.needs_reboot(1);
    first.wait_until("the reboot command", || first.reboots() == 1);
    let first = &mut fleet.nodes[0];
    first.kill();
    first.next_boot();
    first.start();
    fleet.says(&[
        "n1 needs a reboot and is blocked: the reboot budget is used up",
        "reboot-coordinator reset-budget n1",
    ]);
}

#[test]
fn etcd_is_away() {
    let fleet = Fleet::new(|host| host.with("etcd_timeout_sec", "1"));
    fleet.cluster.stop(0);
    fleet.says(&[
        "Nothing is known of the cluster: etcd does not answer.",
        "reboot-coordinator check-etcd",
    ]);
}

#[test]
fn etcd_has_no_quorum() {
    let cluster = Cluster::builder().members(3).start();
    let fleet = Fleet::of(cluster, |host| host.with("etcd_timeout_sec", "2"));
    fleet.cluster.kill(1);
    fleet.cluster.kill(2);
    fleet.says(&[
        "Nothing is known of the cluster",
        "reboot-coordinator check-etcd",
    ]);
}

#[test]
fn a_policy_forbids_it() {
    let fleet = Fleet::new(|host| host.with("cluster_policies", "{min_healthy_absolute: 5}"));
    fleet.nodes[1].touch("fail-monitor");
    fleet.store.wait("an ill member", || {
        fleet
            .store
            .get("/rc/alive/n2")
            .is_some_and(|report| report["healthy"] == false)
    });
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 needs a reboot and is blocked: a cluster policy forbids it: 4 of 6 members",
        "More of it: reboot-coordinator explain n1",
    ]);
}

#[test]
fn the_window_is_closed() {
    let fleet = Fleet::new(|host| {
        host.with(
            "windows",
            "{timezone: UTC, allow: ['2090-01-01 00:00-2090-01-02 00:00']}",
        )
    });
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 needs a reboot and is blocked: outside the maintenance window",
        "2090-01-01",
    ]);
}

#[test]
fn two_machines_use_one_name() {
    let fleet = Fleet::new(|host| host);
    let mut copy = Host::new("n1", &fleet.cluster.endpoints()).with("node_id", "\"id-of-another\"");
    copy.start();
    assert!(!copy.wait_exit().success(), "{}", copy.log());
    says(
        || copy.command(&["status"]),
        &[
            "Two machines use the name n1: this one is",
            "reboot-coordinator forget n1",
        ],
    );
    fleet.says(&[
        "two machines use the name n1: id-of-n1 has it, and id-of-another was refused; give one of them another node_name.",
        "When one of them is gone for good: reboot-coordinator forget n1",
    ]);
    // Under a name of its own it is one of them.
    copy.set("node_name", "n7");
    copy.remove("required");
    copy.start();
    fleet.says(&["Nothing to do: nobody reboots, nobody waits."]);
}

/// What `run_dir` is for goes on without it, and the next one to look is told.
#[test]
fn the_folder_for_its_state_is_gone() {
    let fleet = Fleet::new(|host| host);
    let folder = fleet.nodes[0].path("run");
    fs::remove_dir_all(&folder).unwrap();
    fleet.says(&[
        "n1 cannot write to its run_dir",
        "No such file or directory",
        "make room there, or make it anew.",
    ]);
    fs::create_dir(&folder).unwrap();
    fleet.says(&["Nothing to do: nobody reboots, nobody waits."]);
}

#[test]
fn the_disk_for_its_state_is_full() {
    let mut fleet = Fleet::new(|host| host);
    let first = &mut fleet.nodes[0];
    first.stop();
    let Some(folder) = small(first) else {
        return println!("skipped: no mount namespace is to be had here");
    };
    first.start();
    fleet
        .store
        .wait("six members", || fleet.store.list("/rc/alive/").len() == 6);
    let full = fs::write(folder(&fleet.nodes[0]).join("fill"), vec![0; 1 << 20]);
    assert!(full.is_err());
    fleet.says(&[
        "n1 cannot write to its run_dir",
        "No space left on device",
        "make room there, or make it anew.",
    ]);
    // The end of the old file makes room for one, and then for none again: that is said once.
    let events = fleet.nodes[0].events();
    let said = events
        .iter()
        .filter(|line| line["event"] == "standing_not_written");
    assert!(said.count() < 4);
    fs::remove_file(folder(&fleet.nodes[0]).join("fill")).unwrap();
    fleet.says(&["Nothing to do: nobody reboots, nobody waits."]);
}

/// From now on this host's `run_dir` has its own small disk. Returns where it is to be seen.
fn small(host: &mut Host) -> Option<impl Fn(&Host) -> PathBuf + use<>> {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    tried.ok().filter(ExitStatus::success)?;
    let folder = host.path("run").display().to_string();
    let script = format!("mount -t tmpfs -o size=256k,mode=755 none {folder} && exec \"$@\"");
    let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    host.wrap(words.map(str::to_owned).to_vec());
    Some(move |host: &Host| PathBuf::from(format!("/proc/{}/root{folder}", host.pid())))
}

/// It is tried again later, and until when nothing else keeps it up is said there and elsewhere.
#[test]
fn an_attempt_was_called_off() {
    let mut fleet = Fleet::new(|host| {
        let host = host
            .with("backoff_min_sec", "3000")
            .with("backoff_max_sec", "3600");
        host.with_hooks()
    });
    fleet.nodes[0].touch("fail-drain");
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 needs a reboot and is blocked: the attempt was called off: the drain hook failed: exit code 1",
        "next try 20",
        "More of it: reboot-coordinator explain n1",
    ]);
    let explained = fleet.nodes[0].command(&["explain"]).output().unwrap();
    let explained = String::from_utf8(explained.stdout).unwrap();
    let folded = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "what blocks: attempt.",
        "attempt blocks the attempt was called off: the drain hook failed",
        "a daemon that is restarted tries at once",
        "Next to let it pass by itself: attempt,",
    ] {
        assert!(folded.contains(part), "{part}:\n{explained}");
    }
    let first = &mut fleet.nodes[0];
    first.remove("fail-drain");
    first.stop();
    first.start();
    first.wait_until("the reboot command", || first.reboots() == 1);
}

#[test]
fn clocks_differ_by_three_hours() {
    let fleet = Fleet::new(|host| host);
    // That of this host, as etcd sees it.
    let proxy = Proxy::new(fleet.cluster.client_address(0));
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(3);
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let version = json!({"etcdserver": "3.5.0", "etcdcluster": "3.5.0"}).to_string();
    let reply = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{version}",
        version.len()
    );
    proxy.rule(Rule::on("/version", Action::Answer(reply.into_bytes())));
    let here = Host::new("n7", &[proxy.url()]);
    says(
        || here.command(&["status"]),
        &[
            "Nothing to do",
            "The clock of this host is 3 h ahead of etcd's.",
        ],
    );
    // That of a node that is down: how long it has been is not known.
    let mut ahead = claim("n1", "rebooting");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
    ahead["committed_at"] = json!(later.to_string());
    fleet.store.put("/rc/claims/gone", &ahead);
    fleet.says(&["gone reboots; since when is not known, as its clock is ahead by 2 h 59 min"]);
}

#[test]
fn the_kill_switch_is_on() {
    let fleet = Fleet::new(|host| host);
    fleet.nodes[0].touch("disable");
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 needs a reboot and is blocked: the kill switch of this node is on",
        "More of it: reboot-coordinator explain n1",
    ]);
}

#[test]
fn a_drain_hangs() {
    let fleet = Fleet::new(Host::with_hooks);
    fleet.nodes[0].touch("block-drain");
    fleet.needs_reboot(1);
    fleet.says(&["n1 is being drained: the drain hook runs, at most 20 s"]);
}

#[test]
fn a_reboot_command_does_nothing() {
    let fleet = Fleet::new(|host| host.with("reboot_timeout_sec", "1"));
    fleet.needs_reboot(1);
    fleet.says(&[
        "n1 is still up and may yet go down: the attempt was called off: the host is still up",
        "reboot-coordinator release n1",
    ]);
}

#[test]
fn a_machine_with_a_claim_is_gone() {
    let fleet = Fleet::new(|host| host.with("reboot_timeout_sec", "2"));
    fleet.store.claim_of_another("gone");
    fleet.needs_reboot(1);
    fleet.says(&[
        "gone has not come back; ",
        "Only when it will not return: reboot-coordinator release gone",
    ]);
}

/// A host that makes passes by a timer is not silent between them.
#[test]
fn what_a_pass_came_to_stands_until_the_next_one() {
    let (cluster, store) = Store::single();
    let mut host = Host::new("timer", &cluster.endpoints());
    let other = Host::new("other", &cluster.endpoints());
    host.touch("disable");
    let mut pass = || {
        host.start_with(&["run", "--once"]);
        host.wait_exit();
    };
    pass();
    let standing = store.get("/rc/standing/timer").unwrap();
    assert_eq!(
        (&standing["state"], &standing["once"]),
        (&json!("blocked"), &json!(true))
    );
    says(
        || other.command(&["status"]),
        &["timer needs a reboot and is blocked: the kill switch of this node is on"],
    );
    // The next one that comes to the same writes nothing, and leaves no second lease.
    let (before, leases) = (store.revision(), cluster.etcdctl(&["lease", "list"]));
    pass();
    assert_eq!(store.get("/rc/standing/timer").unwrap(), standing);
    assert_eq!(cluster.etcdctl(&["lease", "list"]), leases);
    let written = store.revision() - before;
    assert_eq!(written, 0, "{written}");
}
