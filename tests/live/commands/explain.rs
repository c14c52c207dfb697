//! `explain`, and the questions that `release` asks on a terminal.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use etcd_test_server::Proxy;
use serde_json::json;

use super::support::{BOOT, Field, eventually, run};

#[test]
fn a_node_that_needs_no_reboot_says_so_first() {
    let field = Field::new();
    let ended = field.run(&["explain"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        ended
            .stdout
            .starts_with("Nothing to do: nobody reboots, nobody waits.\nadmin does not reboot now: no reboot is required.\n"),
        "{ended:?}"
    );
}

#[test]
fn every_gate_is_named_in_order_with_what_closes_it() {
    let field = Field::new();
    fs::write(field.path("admin.required"), "").unwrap();
    fs::write(field.path("admin.disable"), "raid rebuild\n").unwrap();
    field.claim("node-a", "rebooting");
    assert_eq!(
        field
            .run(&["pause", "--for", "4h", "--reason", "upgrade"])
            .code,
        0
    );
    let more = "windows: {timezone: UTC, deny: ['2020-01-01 00:00-2090-01-01 00:00']}\n";
    let ended = run(&field.config("admin", more), &["explain"]);
    assert_eq!(
        ended.stdout.lines().next(),
        Some("node-a has not come back, by its own clock; nobody waits.")
    );
    let parts = [
        "release node-a",
        "admin does not reboot now; what blocks: kill switch, window, pause, turn.",
        "daemon none",
        "detectors ok a reboot is required (required:",
        "kill switch blocks",
        ": raid rebuild",
        "window blocks denied by \"2020-01-01 00:00-2090-01-01 00:00\"; opens Sun 2090-01-01 00:00 UTC",
        "pause blocks paused by eva@",
        ": upgrade",
        "cooldown ok",
        "budget ok",
        "health not asked",
        "turn blocks not in the queue; 1 before it: node-a",
        "Next to let it pass by itself: pause,",
    ];
    in_order(&ended.stdout, &parts);
}

/// However the text is broken into lines.
fn in_order(text: &str, parts: &[&str]) {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = folded.as_str();
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

/// The one line of each gate says why it is closed, since when, and when it opens if that is known.
#[test]
fn a_node_with_every_gate_closed() {
    let field = Field::new();
    let ago = |minutes: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        at.to_string()
    };
    let member = |node: &str, budget_used: u32| {
        let last =
            json!({"boot_before": "b0", "boot_after": BOOT, "at": ago(130), "reasons": ["kernel"]});
        let record = json!({"v": 1, "node": node, "node_id": format!("id-{node}"), "version": "0.1.0",
            "budget_used": budget_used, "last_reboot": last});
        field.put(&format!("nodes/{node}"), &record);
    };
    member("admin", 1);
    member("node-a", 0);
    member("node-b", 0);
    let ill = json!({"v": 1, "node": "admin", "healthy": false, "reason": "exit code 1", "since": ago(25)});
    field.put("alive/admin", &ill);
    field.put(
        "alive/node-b",
        &json!({"v": 1, "healthy": true, "since": ago(60)}),
    );
    field.claim("node-a", "rebooting");
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(20);
    let cooldown = json!({"v": 1, "node": "node-b", "since": ago(10), "until": until.to_string()});
    field.put("cooldown", &cooldown);
    fs::write(field.path("admin.disable"), "raid rebuild\n").unwrap();
    let paused = field.run(&["pause", "--for", "4h", "--reason", "bad kernel"]);
    assert_eq!(paused.code, 0);
    let day = |hours: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        at.strftime("%Y-%m-%d").to_string()
    };
    let (yesterday, later) = (day(-24), day(48));
    let more = format!(
        "reboot_required_detectors: [{{type: file, name: marker, path: {}/below}}]\n\
         windows: {{timezone: UTC, deny: ['{yesterday} 00:00-{later} 00:00']}}\n\
         cluster_policies: {{min_healthy_absolute: 2}}\ndry_run: true\n",
        field.path("admin.disable").display()
    );
    let ended = run(&field.config("admin", &more), &["explain"]);
    let parts = [
        "what blocks: kill switch, window, pause, cooldown, budget, policies, health, turn, dry run; unknown, which counts as no: detectors.",
        "detectors unknown whether a reboot is required is unknown: marker:",
        "kill switch blocks",
        ": raid rebuild",
        "window blocks denied by",
        " since ",
        "; opens ",
        "pause blocks paused by eva@",
        ", until",
        "): bad kernel",
        "cooldown blocks the record hangs on no lease",
        "budget blocks 1 of 1 reboots used, requirement not cleared; last reboot 2 h 1",
        "reset-budget admin",
        "policies blocks 1 of 3 members would stay healthy, min_healthy_absolute is 2; it allows it once those that are taken away are back: node-a; not healthy or silent: admin",
        "health blocks not run now; as monitor it has failed for 2",
        "turn blocks not in the queue; 1 before it: node-a",
        "dry run blocks",
        "Next to let it pass by itself: pause,",
    ];
    in_order(&ended.stdout, &parts);
}

/// A pause does not stop it: it comes too late for that.
#[test]
fn a_node_that_has_begun_does_not_wait_for_a_gate() {
    let field = Field::new();
    field.claim("node-a", "queued");
    field.claim("admin", "rebooting");
    assert_eq!(
        field
            .run(&["pause", "--for", "4h", "--reason", "upgrade"])
            .code,
        0
    );
    let told = run(&field.config("admin", ""), &["explain"]).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let begun = "admin has begun its reboot and waits for none of these; once its reboot command runs the kill switch cannot stop it.";
    assert!(told.contains(begun), "{told}");
    assert!(
        !told.contains("before it") && !told.contains("forecast"),
        "{told}"
    );
    assert!(
        told.contains("pause blocks") && !told.contains("Next to let it pass"),
        "{told}"
    );
}

/// From any host, and for programs; a name that nobody has is an error.
#[test]
fn another_node_is_explained_from_what_it_says_itself() {
    let field = Field::new();
    let ago = |minutes: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        at.to_string()
    };
    let member = |node: &str| json!({"v": 1, "node": node, "node_id": format!("id-{node}"), "version": "0.1.0"});
    field.put("nodes/web-3", &member("web-3"));
    let standing = json!({"v": 1, "node": "web-3", "node_id": "id-web-3", "state": "blocked", "since": ago(12),
        "required": {"since": ago(40), "by": ["kernel"]},
        "blocked": {"gate": "health", "label": "health", "since": ago(12),
            "text": "the health script does not allow it: exit code 1: disk sda1 is full"}});
    field.put("standing/web-3", &standing);
    let headline = "web-3 needs a reboot and is blocked: the health script does not allow it: exit code 1: disk sda1 is full.";
    for arguments in [&["explain", "web-3"][..], &["status"]] {
        let ended = field.run(arguments);
        let folded = ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(ended.code == 0 && folded.starts_with(headline), "{ended:?}");
    }
    let told = field.run(&["explain", "web-3"]).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("required for 40 min: kernel blocked by health for 12 min:"),
        "{told}"
    );
    // With what to do, and not with the command that was typed.
    assert!(
        told.contains("disk sda1 is full; run the script by hand and repair what it reports")
            && !told.contains("More of it"),
        "{told}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&field.run(&["explain", "web-3", "--json"]).stdout).unwrap();
    assert_eq!(json["headline"][0]["tone"], "bad");
    assert_eq!(json["standing"]["blocked"]["label"], "health");
    let ended = field.run(&["explain", "wbe-3"]);
    assert!(
        ended.code == 1 && ended.stderr.ends_with("there is a web-3\n"),
        "{ended:?}"
    );
}

#[test]
fn the_age_of_a_claim_that_cannot_be_read_is_left_out() {
    let field = Field::new();
    field.put("claims/admin", &json!({"v": 9}));
    let member = json!({"v": 1, "node": "admin", "node_id": "id-admin", "version": "0.1.0", "budget_used": 1});
    field.put("nodes/admin", &member);
    let told = field.run(&["explain"]).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("claim unreadable: the record has version 9")
            && told.ends_with("this node holds its claim: unreadable"),
        "{told}"
    );
    let ended = field.run(&["reset-budget", "admin", "--reason", "x"]);
    let told = "admin is unreadable, and how that ends";
    assert!(ended.stderr.contains(told), "{ended:?}");
}

/// The other one needs no reboot, or is in the queue: that says nothing of this host.
#[test]
fn another_machine_of_this_name_is_not_taken_for_this_host() {
    let standing = json!({"v": 1, "node": "admin", "node_id": "id-other", "state": "idle", "since": "2026-01-05T10:00:00Z"});
    let record = json!({"v": 1, "node": "admin", "node_id": "id-other", "version": "0.1.0"});
    let claim = json!({"v": 1, "node": "admin", "node_id": "id-other", "boot_id": BOOT, "session": "s1", "phase": "rebooting",
        "limit": 1, "reasons": ["kernel"], "since": "2026-01-05T10:00:00Z", "committed_at": "2026-01-05T10:02:00Z",
        "attempts": 1, "version": "0.1.0"});
    for (records, typed) in [
        (&[("standing/admin", &standing)][..], "forget admin"),
        (
            &[("standing/admin", &standing), ("nodes/admin", &record)],
            "forget admin",
        ),
        // Nobody is forgotten who has a claim.
        (&[("claims/admin", &claim)], "release admin --reason TEXT"),
    ] {
        let field = Field::new();
        for (key, value) in records {
            field.put(key, value);
        }
        let ended = field.run(&["explain"]);
        let told = ended.stdout.split_whitespace().collect::<Vec<_>>();
        let told = told.join(" ");
        let first = format!(
            "Two machines use the name admin: this one is id-admin, the other is id-other; give one of them another \
             node_name. When the other one is gone for good: reboot-coordinator {typed} admin does not reboot now"
        );
        assert!(told.starts_with(&first), "{told}");
        for of_other in [
            "admin needs no reboot",
            "state idle",
            "claim rebooting",
            "has begun",
        ] {
            assert!(!told.contains(of_other), "{of_other}: {told}");
        }
        let told: serde_json::Value =
            serde_json::from_str(&field.run(&["explain", "--json"]).stdout).unwrap();
        assert!(
            told["standing"].is_null() && told["what"].is_null(),
            "{told}"
        );
    }
}

#[test]
fn the_window_is_judged_at_another_time() {
    let field = Field::new();
    let more = "windows: {timezone: UTC, allow: ['Sat 10:00-12:00']}\n";
    let config = field.config("admin", more);
    for (at, verdict) in [
        ("2026-11-28 11:00", "window ok"),
        ("2026-11-28T11:00:00Z", "window ok"),
        ("2026-11-28 12:00", "window blocks"),
    ] {
        let ended = run(&config, &["explain", "--at", at]);
        let folded = ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(folded.contains(verdict), "{at}\n{}", ended.stdout);
    }
}

#[test]
fn a_running_daemon_is_seen() {
    let field = Field::new();
    let daemon = field.daemon("node-b");
    eventually("the daemon holds its lock", || {
        let ended = run(&field.path("node-b.yaml"), &["explain"]);
        ended.stdout.contains("  daemon       runs")
    });
    // As a full disk leaves it.
    let number = fs::read(field.path("node-b.run/instance.lock")).unwrap();
    fs::write(field.path("node-b.run/instance.lock"), "").unwrap();
    let ended = run(&field.path("node-b.yaml"), &["explain"]);
    let number = String::from_utf8(number).unwrap();
    let runs = format!("  daemon       runs       process id {}", number.trim());
    assert!(ended.stdout.contains(&runs), "{ended:?}");
    drop(daemon);
    let ended = run(&field.path("node-b.yaml"), &["explain"]);
    assert!(ended.stdout.contains("  daemon       none"), "{ended:?}");
}

/// On a terminal, which `script` of util-linux makes.
#[test]
fn release_asks_on_a_terminal() {
    let field = Field::new();
    for (answer, code, left) in [("n\n", 1, true), ("\n", 1, true), ("y\n", 0, false)] {
        field.claim("node-a", "rebooting");
        let line = format!(
            "{} release node-a --reason x --config {}",
            env!("CARGO_BIN_EXE_reboot-coordinator"),
            field.config("admin", "").display()
        );
        let child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("`script` is not installed: not tested");
            return;
        };
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(answer.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("Release the claim of node-a? [y/N]"),
            "{said}"
        );
        assert_eq!(field.get("claims/node-a").is_some(), left, "{said}");
    }
}

#[test]
fn a_pass_that_called_its_attempt_off_leaves_what_blocks() {
    let field = Field::new();
    let more = "pre_reboot_hook: {command: [/bin/false], timeout_sec: 9}\n";
    let config = field.config("admin", more);
    std::fs::write(field.path("admin.required"), "").unwrap();
    assert_eq!(run(&config, &["run", "--once"]).code, 1);
    let told = run(&config, &["explain"]).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("admin does not reboot now; what blocks: attempt.")
            && told.contains("the drain hook failed: exit code 1"),
        "{told}"
    );
    // What it was for is gone since.
    std::fs::remove_file(field.path("admin.required")).unwrap();
    let told = run(&config, &["explain"]).stdout;
    assert!(told.contains("admin needs no reboot."), "{told}");
    assert!(
        !told.contains("needs a reboot") && !told.contains("blocked by"),
        "{told}"
    );
}

/// The claim stays as it was when etcd went away in the drain.
#[test]
fn a_pass_that_gives_up_in_its_drain_says_that_its_claim_stays() {
    let field = Field::new();
    let proxy = Proxy::new(field.cluster.client_address(0));
    let drains = field.path("admin.drains");
    let hook = format!(
        "pre_reboot_hook: {{command: [/bin/sh, -c, \": >{}; sleep 2\"], timeout_sec: 9}}\n",
        drains.display()
    );
    let config = field.config_through(&proxy, "admin", &hook);
    std::fs::write(field.path("admin.required"), "").unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("it drains", || drains.exists());
            proxy.refuse();
        });
        run(&config, &["run", "--once"])
    });
    let stays = "this host keeps its committed claim, and the next start goes on with it";
    assert!(ended.code == 1 && ended.stderr.contains(stays), "{ended:?}");
    let told = run(&config, &["explain"]).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let begun = "admin has begun its reboot and no daemon runs on it: its next start goes on.";
    assert!(told.contains(begun), "{told}");
}
