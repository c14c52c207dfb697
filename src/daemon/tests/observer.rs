//! What is shown of the daemon, piece by piece.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use etcd_rs_sync::Client;

use super::super::clock::Clock;
use super::super::inbox::Event;
use super::super::observer::{AGAIN, Observer, has_arrived};
use super::super::pages::json;
use super::lab::{LIMIT, Lab, wait};
use super::pages::{free, get, served};
use crate::config::Config;
use crate::core::machine::DETECTOR;
use crate::core::{Mode, Note};
use crate::etcd;
use crate::observe::notify::Environment;

fn client(config: &Config) -> Client {
    Client::new(etcd::options(config).unwrap()).unwrap()
}

#[test]
fn an_address_that_was_taken_is_served_once_it_is_free_and_not_tried_all_the_time() {
    let mut lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    served(&mut lab, address);
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let clock = Clock::start();
    let mut observer = Observer::start(
        (&config, &client(&config)),
        Mode::Daemon,
        clock,
        &Environment::read(),
    )
    .unwrap();
    let due = observer.listen_again(Duration::ZERO).expect("it was taken");
    assert!(due >= AGAIN && due <= clock.now().mono + AGAIN);
    assert_eq!(observer.listen_again(due), Some(due + AGAIN));
    drop(taken);
    let due = due + AGAIN;
    let early = due - Duration::from_millis(1);
    assert_eq!(observer.listen_again(early), Some(due));
    assert_eq!(get(address, "/healthz"), None);
    assert_eq!(observer.listen_again(due), None);
    let (status, _) = get(address, "/healthz").expect("it is served");
    assert_eq!(status, 200);
    assert_eq!(observer.listen_again(due), None);
}

#[test]
fn systemd_is_told_of_a_reload_and_of_the_end() {
    let lab = Lab::new();
    let path = lab.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let environment = Environment {
        socket: Some(path.into_os_string()),
        ..Environment::default()
    };
    let (config, _) = lab.loaded(Mode::Daemon, false);
    let clock = Clock::start();
    let mut observer = Observer::start(
        (&config, &client(&config)),
        Mode::Daemon,
        clock,
        &environment,
    )
    .unwrap();
    let told = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let (mut daemon, _events) = lab.daemon();
    while daemon.machine.next_action().is_some() {}
    observer.rests(&daemon.machine);
    assert!(told().contains("STATUS=starting"));
    // It is up, though etcd does not answer.
    observer.note(&Note::warn("etcd_error", "no answer"));
    observer.rests(&daemon.machine);
    assert!(told().contains("READY=1"));
    observer.reloading();
    assert!(told().contains("RELOADING=1"));
    observer.notify.reloaded();
    assert!(told().contains("READY=1"));
    observer.notify.stopping();
    assert!(told().contains("STOPPING=1"));
}

#[test]
fn a_main_loop_that_works_for_too_long_is_stuck_and_one_that_sleeps_is_not() {
    let lab = Lab::new();
    let (mut daemon, _events) = lab.daemon();
    let later = Duration::from_secs(24 * 3600);
    let stuck = |observer: &Observer| observer.shown.heartbeat.is_stuck(later);
    daemon.observer.works();
    assert!(stuck(&daemon.observer));
    while daemon.machine.next_action().is_some() {}
    let wake = daemon.observer.rests(&daemon.machine);
    assert_eq!(stuck(&daemon.observer), wake.0.is_some());
    daemon.observer.works();
    assert!(stuck(&daemon.observer));
}

#[test]
fn a_daemon_is_up_when_its_first_pass_is_over_or_etcd_was_tried_in_vain() {
    let lab = Lab::new();
    let (mut daemon, _events) = lab.daemon();
    let mut view = daemon.machine.view();
    assert!(!has_arrived(&view));
    view.state = "idle";
    assert!(has_arrived(&view));
    assert!(!daemon.observer.tried);
    daemon.observer.note(&Note::info("queued", "in the queue"));
    assert!(!daemon.observer.tried);
    daemon.observer.note(&Note::warn("etcd_error", "no answer"));
    assert!(daemon.observer.tried);
    daemon.observer.note(&Note::info("queued", "in the queue"));
    assert!(daemon.observer.tried);
}

#[test]
fn the_page_may_be_asked_for_by_the_names_of_host_and_node_only() {
    let mut lab = Lab::new();
    let address = free();
    served(&mut lab, address);
    lab.remove("required");
    lab.start();
    wait("the page", || get(address, "/healthz"));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim().to_owned();
    for (name, served) in [
        ("a", true),
        (host.as_str(), true),
        ("elsewhere.example", false),
    ] {
        let (head, _) = super::pages::get_as(address, "/", name).unwrap();
        assert_eq!(
            head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
            served,
            "{name}: {head}"
        );
        // The page has a policy of its own.
        assert_eq!(head.contains("form-action"), served, "{head}");
    }
    lab.stop();
}

#[test]
fn what_the_daemon_says_of_itself_is_written_when_it_changes() {
    let mut lab = Lab::new();
    lab.detect_by_command("script");
    lab.remove("required");
    lab.start();
    let file = lab.path("run/standing.json");
    wait("that it is idle", || {
        let text = fs::read_to_string(&file).ok()?;
        text.contains("idle").then_some(())
    });
    lab.wait_passes(2);
    let inode = || {
        ["run/standing.json", "run/claim"]
            .map(|name| fs::metadata(lab.path(name)).map(|meta| meta.ino()).ok())
    };
    wait("a moment of rest", || {
        let before = inode();
        lab.wait_passes(1);
        (inode()[1] == before[1]).then_some(())
    });
    let claim = inode()[1];
    lab.wait_passes(3);
    assert_eq!(inode()[1], claim);
    // What it has to remember of itself is written as well.
    let memory = fs::read_to_string(lab.path("run/memory.json")).unwrap();
    assert!(memory.contains("b0070001-"), "{memory}");
    lab.stop();
}

#[test]
fn each_detector_has_its_series_before_it_was_ever_asked() {
    let lab = Lab::new();
    let (daemon, _events) = lab.daemon();
    let text = daemon.observer.metrics().render();
    for name in ["marker", DETECTOR] {
        let label = format!("reboot_coordinator_detector_checks_total{{detector=\"{name}\",");
        assert!(text.contains(&label), "{name} in:\n{text}");
    }
}

#[test]
fn records_that_are_too_large_for_a_page_are_told_of_instead() {
    let page = |length: usize| json(" ".repeat(length)).status;
    assert_eq!(
        (page(4 << 20), page((4 << 20) + 1), page(5 << 20)),
        (200, 507, 507)
    );
}

/// Whoever sets the clock wakes nobody.
#[test]
fn while_a_window_is_waited_for_the_wall_clock_is_looked_at_every_minute() {
    let mut lab = Lab::new();
    let hour = (jiff::Timestamp::now().as_second() / 3600 + 12) % 24;
    let window = format!("{{timezone: UTC, allow: [\"{hour:02}:00-{hour:02}:59\"]}}");
    lab.set("windows", &window);
    for interval in ["check_interval_sec", "health_publish_interval_sec"] {
        lab.set(interval, "86400");
    }
    let (mut daemon, events) = lab.daemon();
    while !daemon.machine.waits_for_wall() {
        daemon.perform();
        let input = daemon.immediate.pop_front();
        match input.map_or_else(|| events.recv_timeout(LIMIT), |it| Ok(Event::Machine(it))) {
            Ok(Event::Machine(input)) => daemon.machine.handle(daemon.clock.now(), input),
            Ok(Event::Host(found)) => daemon.on_host(*found),
            _ => panic!("the machine is told nothing"),
        }
    }
    let now = daemon.clock.now().mono;
    assert!(daemon.machine.wake_at() > Some(now + Duration::from_secs(3600)));
    let (wake, _) = daemon.observer.rests(&daemon.machine);
    assert!(wake <= Some(now + Duration::from_secs(61)), "{wake:?}");
}
