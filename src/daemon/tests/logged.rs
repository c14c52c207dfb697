//! What a running daemon says, and how often.

use std::fs;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd_rs_sync::Client;
use log::LevelFilter;
use serde_json::{Value, json};

use super::super::inbox::Event;
use super::lab::{LIMIT, Lab, wait};
use super::pages::{free, served};
use crate::config::LogFormat;
use crate::core::Mode;
use crate::etcd;
use crate::observe::log::init;
use crate::observe::log::tests::heard;

/// What a daemon logs from here on. The level is that of the whole process: whatever others say, this one is called `heard`.
pub(in crate::daemon) fn listen(lab: &mut Lab, level: LevelFilter) {
    lab.set(
        "log",
        &format!("{{level: {}, format: json}}", level.as_str().to_lowercase()),
    );
    init(level, Some(LogFormat::Json), "heard");
    heard();
}

fn of<'a>(events: &'a [Value], event: &str) -> Vec<&'a Value> {
    let of = |line: &&Value| line["event"] == event && line["node"] == "heard";
    events.iter().filter(of).collect()
}

/// How often this was said since the last time somebody asked.
pub(in crate::daemon) fn said(event: &str) -> usize {
    heard_of(event).len()
}

/// In which words.
pub(in crate::daemon) fn heard_of(event: &str) -> Vec<String> {
    let heard = heard();
    let words = of(&heard, event).into_iter();
    words.map(|line| line["msg"].to_string()).collect()
}

/// Back to what the other tests expect.
pub(in crate::daemon) fn hush() {
    init(LevelFilter::Error, None, "a");
}

#[test]
fn what_is_run_is_logged_with_its_outcome_and_its_time() {
    let mut lab = Lab::new();
    listen(&mut lab, LevelFilter::Debug);
    let slow = "#!/bin/sh\necho said\necho why >&2\nsleep 0.05\nexit 3\n";
    lab.script("slow", "");
    fs::write(lab.path("slow"), slow).unwrap();
    let slow = format!("{:?}", lab.path("slow").display().to_string());
    lab.set(
        "pre_reboot_hook",
        &format!("{{command: [{slow}], timeout_sec: 30}}"),
    );
    lab.start();
    lab.wait_step("undo");
    lab.stop();
    hush();
    let events = heard();
    let started = of(&events, "started");
    assert_eq!(started.len(), 1);
    assert_eq!(
        (
            started[0]["level"].as_str(),
            started[0]["dry_run"].as_bool()
        ),
        (Some("info"), Some(false))
    );
    let detector = of(&events, "detector")[0];
    assert_eq!(
        (detector["detector"].as_str(), detector["result"].as_str()),
        (Some("marker"), Some("required"))
    );
    let checked = of(&events, "health_check")[0];
    assert_eq!(
        (checked["level"].as_str(), checked["exit_code"].as_u64()),
        (Some("debug"), Some(0))
    );
    let hook = of(&events, "hook")
        .into_iter()
        .find(|line| line["phase"] == "pre-reboot")
        .unwrap();
    assert_eq!(
        (hook["level"].as_str(), hook["exit_code"].as_u64()),
        (Some("warn"), Some(3))
    );
    assert_eq!(
        (hook["stdout"].as_str(), hook["stderr"].as_str()),
        (Some("said\n"), Some("why\n"))
    );
    let took = hook["duration_ms"].as_u64().unwrap();
    assert!((50..20_000).contains(&took), "{hook}");
    assert_eq!(of(&events, "aborted").len(), 1);
}

#[test]
fn an_outcome_that_stays_is_said_once_beside_what_else_is_wrong_and_what_is_not_asked_for_is_not_said()
 {
    let mut lab = Lab::new();
    listen(&mut lab, LevelFilter::Warn);
    lab.script("broken", "");
    let broken = "#!/bin/sh\necho detect >> \"${0%/*}/actions\"\nexit 127\n";
    fs::write(lab.path("broken"), broken).unwrap();
    let command = format!("{:?}", lab.path("broken").display().to_string());
    let detectors = format!("[{{name: marker, type: command, cmd: [{command}]}}]");
    lab.set("reboot_required_detectors", &detectors);
    lab.start();
    lab.wait_passes(5);
    // Something else is in the way.
    lab.touch("disable");
    lab.script("mended", "");
    fs::write(lab.path("mended"), broken.replace("127", "1")).unwrap();
    fs::rename(lab.path("mended"), lab.path("broken")).unwrap();
    lab.wait_passes(3);
    lab.stop();
    hush();
    let events = heard();
    let said = |event: &str, words: &str| {
        let all = of(&events, event).into_iter();
        all.filter(|line| line["msg"].as_str().is_some_and(|msg| msg.contains(words)))
            .count()
    };
    assert_eq!(said("blocked", "unknown"), 1, "{events:?}");
    // Once more after the outcome, which was news.
    assert!(said("detector_failed", "127") <= 2, "{events:?}");
    assert_eq!(said("blocked", "kill switch"), 1, "{events:?}");
    let loud = ["warn", "error"];
    let mine = events.iter().filter(|line| line["node"] == "heard");
    assert!(
        mine.clone()
            .all(|line| loud.contains(&line["level"].as_str().unwrap())),
        "{events:?}"
    );
}

#[test]
fn a_health_script_that_goes_on_failing_alike_is_said_once() {
    let mut lab = Lab::new();
    listen(&mut lab, LevelFilter::Warn);
    let ill = |code: u8| format!("#!/bin/sh\necho ill >> \"${{0%/*}}/actions\"\nexit {code}\n");
    lab.script("ill", "");
    fs::write(lab.path("ill"), ill(1)).unwrap();
    let path = format!("{:?}", lab.path("ill").display().to_string());
    lab.set("health_script", &path);
    lab.start();
    lab.wait_passes_of("ill", 5);
    lab.script("worse", "");
    fs::write(lab.path("worse"), ill(2)).unwrap();
    fs::rename(lab.path("worse"), lab.path("ill")).unwrap();
    lab.wait_passes_of("ill", 5);
    lab.stop();
    hush();
    let events = heard();
    let checks = of(&events, "health_check").into_iter();
    // The stop may have ended one, which has no code.
    let codes = checks.filter_map(|line| line["exit_code"].as_u64());
    assert_eq!(codes.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn whoever_sets_dry_run_is_warned_at_each_start() {
    let mut lab = Lab::new();
    lab.remove("required");
    listen(&mut lab, LevelFilter::Warn);
    lab.set("dry_run", "true");
    lab.start();
    lab.stop();
    hush();
    let events = heard();
    let started = of(&events, "started");
    assert_eq!(
        (started.len(), started[0]["dry_run"].as_bool()),
        (1, Some(true))
    );
}

#[test]
fn a_file_that_cannot_be_followed_is_refused_in_words() {
    let mut lab = Lab::new();
    let (mut daemon, events) = lab.daemon();
    listen(&mut lab, LevelFilter::Warn);
    lab.set("run_dir", "/tmp/elsewhere");
    daemon.read_again();
    let Ok(Event::Configuration(found)) = events.recv_timeout(LIMIT) else {
        panic!("the file is read");
    };
    daemon.on_configuration(found);
    hush();
    assert_eq!(said("reload_refused"), 1);
}

#[test]
fn what_cannot_be_written_for_the_commands_is_said_once_and_written_when_it_can_be() {
    let mut lab = Lab::new();
    let (mut daemon, _events) = lab.daemon();
    listen(&mut lab, LevelFilter::Warn);
    let in_the_way = lab.path("run/standing.json.tmp");
    fs::create_dir_all(in_the_way.join("some")).unwrap();
    while daemon.machine.next_action().is_some() {}
    let mut rests = || {
        let (_, hampered) = daemon.observer.rests(&daemon.machine);
        (said("standing_not_written"), hampered.is_some())
    };
    assert_eq!([rests(), rests()], [(1, true), (0, true)]);
    fs::remove_dir_all(in_the_way).unwrap();
    assert_eq!(rests(), (0, false));
    assert!(lab.path("run/standing.json").exists());
    hush();
}

#[test]
fn a_registration_that_stays_under_the_former_lock_key_is_told() {
    let mut lab = Lab::new();
    lab.remove("required");
    // A reload says the name that the log goes by.
    lab.set("node_name", "heard");
    for refused in [true, false] {
        listen(&mut lab, LevelFilter::Warn);
        lab.set("lock_key", "/rc");
        lab.start();
        wait("the registration", || lab.etcd.get("/rc/nodes/heard"));
        if refused {
            // Somebody's word on a reboot of this node.
            lab.etcd.put("/rc/line/failed/heard", &json!({}));
        } else {
            // The request is not answered, and not done.
            let key = STANDARD.encode("/rc/nodes/heard");
            lab.etcd.before(move |_, body| {
                let first = &body["success"][0]["request_delete_range"];
                first["key"] != key.as_str()
            });
        }
        lab.set("lock_key", "/elsewhere");
        lab.reload();
        wait("the registration there", || {
            lab.etcd.get("/elsewhere/nodes/heard")
        });
        let told = wait("what is told", || heard_of("registration_left").pop());
        assert!(told.contains("/rc/nodes/heard stays"), "{told}");
        assert!(lab.etcd.get("/rc/nodes/heard").is_some());
        lab.stop();
        for key in [
            "/rc/line/failed/heard",
            "/rc/nodes/heard",
            "/elsewhere/nodes/heard",
        ] {
            lab.etcd.delete(key);
        }
    }
    hush();
}

/// Who looks for the metrics must know where they are meanwhile.
#[test]
fn an_address_that_is_taken_is_told_with_the_one_that_serves_meanwhile() {
    let mut lab = Lab::new();
    let before = free();
    served(&mut lab, before);
    let (mut daemon, _events) = lab.daemon();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    served(&mut lab, taken.local_addr().unwrap());
    listen(&mut lab, LevelFilter::Error);
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let client = Client::new(etcd::options(&config).unwrap()).unwrap();
    daemon.observer.follow(&config, &client).unwrap();
    hush();
    let told = heard_of("no_metrics");
    let words = format!("this node serves them at http://{before}/metrics meanwhile");
    assert!(told.len() == 1 && told[0].contains(&words), "{told:?}");
}
