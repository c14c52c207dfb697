//! What systemd is told, by a socket of the test.

use super::*;
use crate::core::Refusal;

const SECOND: Duration = Duration::from_secs(1);

fn view(state: &'static str, refusal: Option<Refusal>) -> View {
    View {
        state,
        refusal,
        ..View::default()
    }
}

fn environment(socket: &str) -> Environment {
    Environment {
        socket: Some(socket.into()),
        ..Environment::default()
    }
}

/// A service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn named(name: &str) -> Manager {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).unwrap(),
            None => SocketAddr::from_pathname(name).unwrap(),
        };
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Manager(socket)
    }

    fn got(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut messages = Vec::new();
        while let Ok(count) = self.0.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
        }
        messages
    }
}

fn pair() -> (tempfile::TempDir, Manager, Notify) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify").display().to_string();
    let manager = Manager::named(&path);
    let notify = Notify::new(&environment(&path), 1);
    (folder, manager, notify)
}

#[test]
fn ready_is_said_once_and_a_status_when_it_changes() {
    let (_folder, manager, mut notify) = pair();
    notify.rests(&view("starting", None), false);
    notify.rests(&view("starting", None), false);
    notify.rests(&view("checking", None), false);
    assert_eq!(manager.got(), ["STATUS=starting", "STATUS=checking"]);
    let idle = view("idle", Some(Refusal::NotRequired));
    notify.rests(&idle, true);
    assert_eq!(
        manager.got(),
        ["STATUS=idle: no reboot is required", "READY=1"]
    );
    // A day of passes that find nothing is silent.
    for _ in 0..1440 {
        notify.rests(&view("checking", None), false);
        notify.rests(&idle, true);
    }
    assert_eq!(manager.got(), [""; 0]);
    let waiting = View {
        ahead: Some((2, true)),
        ..view("queued", Some(Refusal::Paused("by ann:\nupgrade".into())))
    };
    notify.rests(&waiting, true);
    assert_eq!(
        manager.got(),
        ["STATUS=queued, 2 or more before this node: the cluster is paused: by ann: upgrade"]
    );
}

#[test]
fn an_abstract_name_is_reached_too() {
    let name = format!("@reboot-coordinator-test-{}", std::process::id());
    let manager = Manager::named(&name);
    let mut notify = Notify::new(&environment(&name), 1);
    notify.stopping();
    notify.stopping();
    assert_eq!(manager.got(), ["STOPPING=1\nSTATUS=stopping"]);
}

#[test]
fn a_reload_is_framed_only_when_the_start_is_over() {
    let (_folder, manager, mut notify) = pair();
    notify.reloading(SECOND);
    notify.reloaded();
    assert_eq!(manager.got(), [""; 0]);
    notify.rests(&view("idle", None), true);
    manager.got();
    notify.reloading(SECOND);
    notify.reloaded();
    assert_eq!(
        manager.got(),
        ["RELOADING=1\nMONOTONIC_USEC=1000000", "READY=1"]
    );
}

#[test]
fn a_sign_of_life_is_sent_twice_in_the_time_and_only_by_whom_it_is_meant_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify").display().to_string();
    let manager = Manager::named(&path);
    let watched = |usec: &str, pid: Option<&str>| {
        let environment = Environment {
            watchdog_usec: Some(usec.into()),
            watchdog_pid: pid.map(str::to_owned),
            ..environment(&path)
        };
        Notify::new(&environment, 7)
    };
    for (usec, pid) in [
        ("30000000", Some("8")),
        ("0", None),
        ("x", None),
        ("1", None),
    ] {
        assert_eq!(watched(usec, pid).due(), None, "{usec} {pid:?}");
    }
    let mut notify = watched("30000000", Some("7"));
    notify.turns(SECOND);
    notify.turns(SECOND * 2);
    assert_eq!((notify.due(), manager.got().len()), (Some(SECOND * 16), 1));
    notify.turns(SECOND * 16);
    assert_eq!(
        (notify.due(), manager.got()),
        (Some(SECOND * 31), vec!["WATCHDOG=1".into()])
    );
}

#[test]
fn without_a_service_manager_nothing_happens() {
    for name in ["", "/nonexistent/socket", "@", "vsock:2:1234"] {
        let mut notify = Notify::new(&environment(name), 1);
        notify.rests(&view("idle", None), true);
        notify.turns(SECOND);
        notify.stopping();
        assert_eq!(notify.due(), None);
    }
}
