//! Scripts for what stands before and around services: load balancers, addresses, Consul, alerts, sessions.

use std::fs;

use crate::Stage;

const BALANCER: [&str; 2] = [
    "hooks/load-balancer-drain.sh",
    "hooks/load-balancer-undrain.sh",
];
const KEEPALIVED: [&str; 2] = ["hooks/keepalived-drain.sh", "hooks/keepalived-undrain.sh"];

#[test]
fn a_health_page_says_down_until_the_undo() {
    let stage = Stage::new();
    let flag = stage.path("maintenance");
    let idle = stage.path("bin/idle");
    let stage = stage.set("FLAG", &flag).set("IDLE", idle);
    stage.tool("idle", "[ ! -e $STAGE/busy ]");
    stage.passes(BALANCER[0], "pre-reboot");
    let text = std::fs::read_to_string(&flag).unwrap();
    assert_eq!(text, "reboot of node-a: kernel\n");
    assert_eq!(stage.calls(), "sleep 60\nidle \n");
    stage.write("busy", "");
    stage.refuses(BALANCER[0], "pre-reboot", "");
    stage.passes(BALANCER[1], "post-boot");
    stage.passes(BALANCER[1], "post-boot");
    assert!(!flag.exists());
}

#[test]
fn an_address_moves_away_before_the_reboot() {
    let stage = Stage::new();
    let flag = stage.path("maintenance");
    let stage = stage.set("FLAG", &flag).set("TRIES", "3");
    stage.tool(
        "ip",
        "[ -e $STAGE/maintenance ] && [ ! -e $STAGE/alone ] || echo '2: eth0    inet 10.0.0.100/24 scope global eth0'",
    );
    stage.passes(KEEPALIVED[0], "pre-reboot");
    stage.passes(KEEPALIVED[1], "post-boot");
    assert!(!flag.exists());
    stage.write("alone", "");
    stage.refuses(KEEPALIVED[0], "pre-reboot", "still has 10.0.0.100");
}

/// A HAProxy whose server's state and connections are files.
const SOCAT: &str = r#"
read -r command
printf '%s\n' "$command" >>"$STAGE/calls"
case $command in
"show stat")
	state=UP; [ ! -e "$STAGE/state" ] || state=$(cat "$STAGE/state")
	connections=0; [ ! -e "$STAGE/connections" ] || connections=$(cat "$STAGE/connections")
	printf '# pxname,svname,qcur,scur,status,\nweb,FRONTEND,,7,OPEN,\nweb,node-a,0,%s,%s,\n' "$connections" "$state" ;;
"set server web/node-a state drain") echo DRAIN >"$STAGE/state" ;;
"set server web/node-a state ready") [ ! -e "$STAGE/stubborn" ] && rm "$STAGE/state" || echo "Permission denied" ;;
esac
"#;

#[test]
fn haproxy_sends_nobody_to_a_server_that_reboots_and_one_that_was_out_stays_out() {
    let (drain, undo) = ("hooks/haproxy-drain.sh", "hooks/haproxy-undrain.sh");
    let stage = Stage::new();
    let state = stage.path("marks");
    let stage = stage.set("STATE", state).set("TRIES", "2");
    stage.tool("socat", SOCAT);
    stage.passes(undo, "post-boot");
    stage.passes(drain, "pre-reboot");
    stage.passes(drain, "pre-reboot");
    assert!(stage.path("state").exists());
    stage.write("stubborn", "");
    stage.refuses(undo, "post-boot", "Permission denied");
    std::fs::remove_file(stage.path("stubborn")).unwrap();
    stage.passes(undo, "post-boot");
    assert!(!stage.path("state").exists());

    stage.write("connections", "4");
    stage.refuses(drain, "pre-reboot", "still has 4 connections");
    stage.passes(undo, "post-boot");

    for by_hand in ["MAINT", "DRAIN"] {
        stage.write("state", by_hand);
        stage.passes(drain, "pre-reboot");
        stage.passes(undo, "post-boot");
        assert!(stage.path("state").exists(), "{by_hand}");
    }
    let stage = stage.set("SERVER", "web/node-z");
    stage.refuses(drain, "pre-reboot", "knows no server web/node-z");
}

#[test]
fn consul_is_told_of_maintenance_and_what_an_operator_began_stays() {
    let (drain, undo) = (
        "hooks/consul-maintenance.sh",
        "hooks/consul-maintenance-undo.sh",
    );
    let stage = Stage::new();
    stage.tool(
        "consul",
        "case $2 in '') cat $STAGE/mode 2>/dev/null || : ;; -enable) printf 'Node:\\n  Reason: %s\\n' \"$4\" >$STAGE/mode ;; \
         -disable) rm $STAGE/mode ;; esac",
    );
    stage.passes(drain, "pre-reboot");
    stage.passes(drain, "pre-reboot");
    let calls = stage.calls();
    assert_eq!(calls.matches("-enable").count(), 1, "{calls}");
    assert!(
        calls.contains("reboot-coordinator: kernel") && calls.contains("sleep 15"),
        "{calls}"
    );
    stage.passes(undo, "post-boot");
    stage.passes(undo, "post-boot");
    assert!(!stage.path("mode").exists());

    stage.write("mode", "Node:\n  Reason: disk swap\n");
    stage.passes(drain, "pre-reboot");
    stage.passes(undo, "post-boot");
    assert!(stage.path("mode").exists());
    stage.tool("consul", "exit 1");
    stage.refuses(undo, "post-boot", "");
}

#[test]
fn consul_checks_of_everybody_count_before_and_of_this_node_after() {
    let script = "health/consul.sh";
    let stage = Stage::new();
    stage.tool("curl", "case $* in */state/critical) cat $STAGE/critical ;; */node/node-a) cat $STAGE/node ;; esac");
    let check =
        |id: &str, status: &str| format!(r#"{{"Node":"x","CheckID":"{id}","Status":"{status}"}}"#);
    stage.write("critical", "[]");
    stage.write("node", &format!("[{}]", check("serfHealth", "passing")));
    stage.passes(script, "pre-lock");
    stage.passes(script, "post-boot");
    stage.write(
        "critical",
        &format!("[{}]", check("service:web", "critical")),
    );
    stage.refuses(script, "post-lock", "\"CheckID\":\"service:web\"");
    stage.passes(script, "post-boot");
    stage.write("node", &format!("[{}]", check("service:db", "critical")));
    stage.refuses(script, "post-boot", "service:db");
    stage.write("node", "[]");
    stage.refuses(script, "post-boot", "knows no node node-a");
    stage.write("critical", "rpc error");
    stage.refuses(script, "pre-lock", "gave no list");
}

#[test]
fn alerts_of_everybody_count_before_and_of_this_host_after() {
    let script = "health/prometheus-alerts.sh";
    let stage = Stage::new();
    stage.tool("curl", "cat $STAGE/answer");
    stage.write(
        "answer",
        r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
    );
    stage.passes(script, "pre-lock");
    let before = stage.calls();
    assert!(
        before.contains("severity=\"critical\"") && !before.contains("instance"),
        "{before}"
    );
    stage.passes(script, "post-boot");
    assert!(stage.calls().contains("instance=~\"node-a(:[0-9]+)?\""));
    stage.write(
        "answer",
        r#"{"status":"success","data":{"result":[{"metric":{},"value":[1,"2"]}]}}"#,
    );
    stage.refuses(script, "pre-lock", "alerts fire");
    stage.write("answer", r#"{"status":"error","error":"out of memory"}"#);
    stage.refuses(script, "post-lock", "out of memory");
    stage.write("answer", "");
    stage.refuses(script, "pre-lock", "alerts fire");
}

#[test]
fn somebody_who_is_logged_in_holds_up_a_reboot_and_not_the_return() {
    let script = "health/no-sessions.sh";
    let stage = Stage::new();
    stage.tool("who", "cat $STAGE/who 2>/dev/null || :");
    stage.passes(script, "pre-lock");
    stage.write("who", "eva  pts/0  2026-11-25 12:00\n");
    stage.refuses(script, "post-lock", "eva");
    stage.passes(script, "post-boot");
    stage.passes(script, "monitor");
}

#[test]
fn a_service_is_healthy_while_its_unit_runs_it_answers_and_there_is_room() {
    let script = "health/service.sh";
    let stage = Stage::new();
    stage.tool("systemctl", "[ ! -e $STAGE/stopped ]");
    stage.tool("curl", "[ ! -e $STAGE/silent ]");
    stage.tool("df", "echo Use%; cat $STAGE/used");
    stage.write("used", " 41%\n");
    stage.passes(script, "pre-lock");
    stage.write("used", " 95%\n");
    stage.refuses(script, "pre-lock", "/ is 95% full");
    stage.write("silent", "");
    stage.refuses(script, "post-boot", "");
    stage.write("stopped", "");
    stage.refuses(script, "post-boot", "nginx.service does not run");
}

#[test]
fn a_package_manager_at_work_holds_up_a_reboot_and_not_the_return() {
    let script = "health/packages-idle.sh";
    let stage = Stage::new();
    let root = stage.path("root");
    let stage = stage.set("ROOT", &root);
    let file = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    };
    stage.tool("dpkg", "cat $STAGE/audit 2>/dev/null || :");
    stage.tool("rpm-ostree", "cat $STAGE/ostree");
    stage.passes(script, "pre-lock");
    for name in [
        "var/lib/dpkg/lock-frontend",
        "run/unattended-upgrades.lock",
        "usr/lib/sysimage/rpm/.rpm.lock",
        "var/lib/rpm/.rpm.lock",
        "lib/apk/db/lock",
        "run/tukit.lock",
    ] {
        let held = fs::File::create(file(name)).unwrap();
        stage.passes(script, "pre-lock");
        held.lock().unwrap();
        stage.refuses(script, "post-lock", &format!("holds /{name}"));
        stage.refuses(script, "pre-reboot", &format!("holds /{name}"));
        stage.passes(script, "post-boot");
        held.unlock().unwrap();
        stage.passes(script, "pre-lock");
    }
    let lock = file("var/lib/pacman/db.lck");
    stage.refuses(script, "pre-lock", "pacman is at work");
    fs::remove_file(lock).unwrap();
    for name in ["run/zypp.pid", "run/transactional-update.pid"] {
        let pid = file(name);
        fs::write(&pid, "999999999\n").unwrap();
        stage.passes(script, "pre-lock");
        fs::write(&pid, std::process::id().to_string()).unwrap();
        stage.refuses(script, "pre-lock", &format!("of /{name} is at work"));
        fs::remove_file(pid).unwrap();
    }
    file("var/lib/dpkg/status");
    stage.passes(script, "pre-lock");
    stage.write("audit", "half configured: linux-image-6.1.0-28-amd64");
    stage.refuses(script, "pre-lock", "run dpkg --configure -a");
    stage.write("audit", "");
    file("run/ostree-booted");
    stage.write("ostree", "State: busy\n");
    stage.refuses(script, "pre-lock", "rpm-ostree says: busy");
    stage.write("ostree", "State: idle\n");
    stage.passes(script, "pre-lock");
    let stage = stage.set("LOCKS", "/proc/nowhere/locks");
    stage.refuses(script, "pre-lock", "cannot be read");
}
