//! `check-etcd`: what is wrong is found in the layer where it is, with what to do, and nothing is left behind.

use std::path::{Path, PathBuf};

use etcd_rs_sync::{Client, Etcd as _, Options, Put, REMEDIES};
use etcd_test_server::{Action, Cluster, Proxy, Rule, Tls};
use serde_json::Value;

use super::support::{Ended, Field, LOCK, configuration, run};

fn todo(row: &str) -> &'static str {
    let row = REMEDIES.iter().find(|remedy| remedy.name == row);
    row.unwrap().todo
}

/// The line of a check.
fn line<'a>(ended: &'a Ended, check: &str) -> &'a str {
    let mut lines = ended.stdout.lines();
    let found = lines.find(|line| {
        line.get(13..)
            .is_some_and(|it| it.split(' ').next() == Some(check))
    });
    found.unwrap_or_else(|| panic!("no line {check}: {ended:?}"))
}

/// That this check fails, with that remedy, that everything before it is well, and that the exit code says so.
fn fails(ended: &Ended, check: &str, remedy: &str) {
    let found = line(ended, check);
    assert!(found.starts_with("  FAILS"), "{found}\n{}", ended.stdout);
    assert!(found.contains(remedy), "{found}\n{remedy}");
    assert_eq!(ended.stdout.matches("FAILS").count(), 1, "{}", ended.stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    println!("{check}:\n{}", ended.stdout);
}

fn doctor(folder: &Path, endpoint: &str, more: &str) -> Ended {
    run(
        &configuration(folder, "web-1", endpoint, more),
        &["check-etcd"],
    )
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_good_endpoint_passes_every_check_and_nothing_is_left_behind() {
    let field = Field::new();
    let ended = field.run(&["check-etcd"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(
        ended.stdout.matches("  ok ").count(),
        13,
        "{}",
        ended.stdout
    );
    println!("{}", ended.stdout);
    assert_eq!((field.list("").len(), field.leases()), (0, 0));
    let found: Value = serde_json::from_str(&field.run(&["check-etcd", "--json"]).stdout).unwrap();
    assert_eq!(found["ok"], true);
    let checks = found["endpoints"][0]["checks"].as_array().unwrap();
    assert!(
        checks.len() == 13 && checks.iter().all(|check| check["result"] == "ok"),
        "{found}"
    );
}

#[test]
fn addresses_that_lead_nowhere_and_what_is_no_etcd() {
    let field = Field::new();
    let folder = field.folder.path();
    fails(
        &doctor(folder, "http://no-such-host.invalid:2379", ""),
        "name",
        todo("name"),
    );
    fails(
        &doctor(folder, "http://127.0.0.1:1", ""),
        "tcp",
        todo("refused"),
    );
    let without = Cluster::builder()
        .arg("--enable-grpc-gateway=false")
        .start();
    fails(
        &doctor(folder, without.client_url(0), ""),
        "gateway",
        todo("gateway-off"),
    );
    // Of several endpoints each is looked at, and one that is bad is enough.
    let both = format!("{}, http://127.0.0.1:1", field.cluster.client_url(0));
    let ended = doctor(folder, &both, "");
    assert_eq!(
        (ended.code, ended.stdout.matches("  ok ").count()),
        (1, 14),
        "{ended:?}"
    );
}

#[test]
fn tls_where_there_is_none_and_the_reverse_and_a_ca_that_did_not_sign() {
    let plain = Field::new();
    let folder = plain.folder.path();
    let cluster = Cluster::builder().tls(Tls::Server).start();
    let tls = |ca: &Path| format!("etcd_tls: {{enabled: true, ca_file: {}}}\n", ca.display());
    let ours = tls(&file(folder, "ca.pem", &cluster.pki().ca_pem()));
    let other = tls(&file(folder, "other.pem", &cluster.pki().other_ca_pem()));
    let url = cluster.client_url(0);
    let well = doctor(folder, url, &ours);
    assert_eq!(well.code, 0, "{well:?}");
    assert!(line(&well, "tls").contains(" days"), "{}", well.stdout);
    fails(&doctor(folder, url, &other), "tls", todo("server-unknown"));
    fails(
        &doctor(folder, &url.replace("https", "http"), ""),
        "version",
        todo("plain-to-tls"),
    );
    let to_plain = plain.cluster.client_url(0).replace("http", "https");
    fails(
        &doctor(folder, &to_plain, &ours),
        "tls",
        todo("tls-to-plain"),
    );
}

#[test]
fn a_wrong_password_and_rights_that_are_missing() {
    let field = Field::new();
    let folder = field.folder.path();
    let cluster = Cluster::builder().auth("root-pw").start();
    cluster.add_user("node", "right", LOCK);
    cluster.add_user("reader", "right", "/elsewhere");
    cluster.etcdctl(&[
        "role",
        "grant-permission",
        "--prefix=true",
        "reader",
        "read",
        &format!("{LOCK}/"),
    ]);
    let nodes = format!("{LOCK}/nodes/web-1");
    cluster.etcdctl(&["role", "grant-permission", "reader", "readwrite", &nodes]);
    let good = file(folder, "good", b"right\n");
    let bad = file(folder, "bad", b"wrong\n");
    let auth = |user: &str, file: &Path| {
        format!(
            "etcd_auth: {{username: {user}, password_file: {}}}\n",
            file.display()
        )
    };
    let url = cluster.client_url(0);
    let well = doctor(folder, url, &auth("node", &good));
    assert_eq!(well.code, 0, "{well:?}");
    fails(
        &doctor(folder, url, &auth("node", &bad)),
        "login",
        todo("login-refused"),
    );
    fails(&doctor(folder, url, ""), "login", todo("login-needed"));
    let missing = doctor(folder, url, &auth("reader", &good));
    fails(&missing, "rights", todo("denied"));
    let rights = line(&missing, "rights");
    for key in [
        "claims/web-1",
        "alive/web-1",
        "standing/web-1",
        "standing/web-1/",
        "waves/web-1",
        "cooldown",
        "history/",
        "check/web-1/",
    ] {
        assert!(
            rights.contains(&format!("write {LOCK}/{key}")),
            "{key}: {rights}"
        );
    }
    assert!(!rights.contains(&nodes), "{rights}");
    // Nothing was written to find that out.
    assert_eq!(
        cluster
            .etcdctl(&["get", "--prefix", "--keys-only", LOCK])
            .trim(),
        ""
    );
}

#[test]
fn a_full_database_small_limits_and_a_member_without_a_leader() {
    let field = Field::new();
    let folder = field.folder.path();
    let full = Cluster::builder()
        .arg("--quota-backend-bytes=16777216")
        .start();
    let etcd = Client::new(Options::new(full.endpoints())).unwrap();
    let megabyte = vec![b'x'; 1_000_000];
    while etcd.put(Put::new("k", megabyte.clone(), 0)).is_ok() {}
    fails(
        &doctor(folder, full.client_url(0), ""),
        "alarms",
        todo("no-space"),
    );
    for small in ["--max-txn-ops=5", "--max-request-bytes=600"] {
        let small = Cluster::builder().arg(small).start();
        let ended = doctor(folder, small.client_url(0), "");
        fails(&ended, "guards", todo("limits"));
    }
    let enough = Cluster::builder().arg("--max-txn-ops=10").start();
    let ended = doctor(folder, enough.client_url(0), "");
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let lonely = Cluster::builder().members(3).start();
    lonely.kill(1);
    lonely.kill(2);
    let ended = doctor(folder, lonely.client_url(0), "");
    // Until its election is lost the member waits.
    let found = ["leader", "gateway"]
        .into_iter()
        .find(|check| line(&ended, check).starts_with("  FAILS"));
    let remedy = if found == Some("leader") {
        "no-leader"
    } else {
        "silent"
    };
    fails(&ended, found.unwrap(), todo(remedy));
}

#[test]
fn proxies_that_hold_back_repeat_nothing_and_ignore_guards_and_clocks_that_differ() {
    let field = Field::new();
    let folder = field.folder.path();
    let proxy = || Proxy::new(field.cluster.client_address(0));
    let holds_back = proxy();
    holds_back.rule(Rule::on("/v3/watch", Action::Swallow));
    fails(
        &doctor(folder, &holds_back.url(), ""),
        "watch",
        todo("watch-held-back"),
    );
    let ignores = proxy();
    ignores.rule(Rule::on(
        "/v3/kv/txn",
        Action::Rewrite("9223372036854775806".to_owned(), "0".to_owned()),
    ));
    fails(
        &doctor(folder, &ignores.url(), ""),
        "guards",
        "connect to etcd 3.4 or later directly",
    );
    let late = proxy();
    let body = r#"{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    late.rule(Rule::on("/version", Action::Answer(answer.into_bytes())));
    fails(&doctor(folder, &late.url(), ""), "clock", "set both by NTP");
    assert_eq!((field.list("").len(), field.leases()), (0, 0));
}
