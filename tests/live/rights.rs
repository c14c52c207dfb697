//! A user of etcd with the least rights.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use etcd_test_server::Cluster;

use crate::host::Host;

/// The roles that the script makes, and a user for each.
fn make_roles(cluster: &Cluster, arguments: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/etcd-roles");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        cluster.etcdctl(&words);
    }
}

fn user(cluster: &Cluster, name: &str, role: &str) {
    cluster.etcdctl(&["user", "add", &format!("{name}:secret")]);
    cluster.etcdctl(&["user", "grant-role", name, role]);
}

fn host(cluster: &Cluster, name: &str, user: &str) -> Host {
    let host = Host::new(name, &cluster.endpoints());
    let file = host.path("password");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let auth = format!("{{username: {user}, password_file: {file:?}}}");
    host.with("etcd_auth", &auth)
}

#[test]
fn a_node_with_the_least_rights_reboots_once() {
    let cluster = Cluster::builder().auth("root").start();
    make_roles(&cluster, &["/rc", "node-a", "operator"]);
    user(&cluster, "a", "reboot-node-node-a");
    user(&cluster, "eva", "reboot-operator");
    let mut node = host(&cluster, "node-a", "a");
    node.start();
    node.wait_until("the reboot command", || node.reboots() == 1);
    node.remove("required");
    node.reboot();
    node.wait_event("released");
    assert_eq!(node.reboots(), 1);
    assert!(!node.log().contains("permission"), "{}", node.log());
    assert_eq!(node.history_proves(), ("kept".to_owned(), 1, vec![]));
    // An operator may do what operators do.
    let desk = host(&cluster, "node-a", "eva");
    let urge = ["request", "node-a", "--urgent", "--reason", "work"];
    for command in [&["pause", "--reason", "work"][..], &["resume"][..], &urge] {
        let output = desk.command(command).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    // What the operator's lease ends its node may note, and end.
    node.wait_until("the second reboot", || node.reboots() == 2);
    node.reboot();
    node.wait_until("the release", || {
        !node.log().contains("permission") && {
            cluster
                .etcdctl(&["get", "--prefix", "/rc/requests/"])
                .is_empty()
        }
    });
}

#[test]
fn a_password_that_is_replaced_in_etcd_and_in_its_file_needs_no_reload() {
    let cluster = Cluster::builder().auth("root").start();
    make_roles(&cluster, &["/rc", "node-a"]);
    user(&cluster, "a", "reboot-node-node-a");
    let mut node = host(&cluster, "node-a", "a");
    node.remove("required");
    node.start();
    node.wait_event("not_required");
    // Which ends its tokens, as another password does.
    cluster.etcdctl(&["user", "delete", "a"]);
    cluster.etcdctl(&["user", "add", "a:another"]);
    cluster.etcdctl(&["user", "grant-role", "a", "reboot-node-node-a"]);
    node.touch("required");
    let refused = node.wait_blocked("etcd");
    assert!(refused["msg"].as_str().unwrap().contains("password_file"));
    fs::write(node.path("password"), "another").unwrap();
    node.wait_event("password_replaced");
    node.wait_until("the reboot command", || node.reboots() == 1);
}

#[test]
fn a_right_that_is_missing_is_named_with_its_key() {
    let cluster = Cluster::builder().auth("root").start();
    make_roles(&cluster, &["/rc", "node-b"]);
    user(&cluster, "b", "reboot-node-node-b");
    let mut node = host(&cluster, "node-a", "b");
    node.start();
    node.wait_event("etcd_error");
    let log = node.log();
    assert!(log.contains("write /rc/nodes/node-a"), "{log}");
    assert_eq!(node.reboots(), 0);
    assert_eq!(cluster.etcdctl(&["get", "--prefix", "/rc/claims/"]), "");
}

#[test]
fn a_machine_that_is_refused_its_name_may_say_so() {
    let cluster = Cluster::builder().auth("root").start();
    make_roles(&cluster, &["/rc", "node-a"]);
    user(&cluster, "a", "reboot-node-node-a");
    let mut first = host(&cluster, "node-a", "a");
    first.remove("required");
    first.start();
    first.wait_event("not_required");
    let mut second = host(&cluster, "node-a", "a").with("node_id", "\"another-machine\"");
    second.start();
    assert_eq!(second.wait_exit().code(), Some(2), "{}", second.log());
    let key = "/rc/standing/node-a/another-machine";
    let said = cluster.etcdctl(&["get", key]);
    assert!(said.contains("name_taken"), "{said}, {}", second.log());
}
