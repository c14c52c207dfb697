//! A daemon in this process, on a made-up host, with an etcd that is steered.
//!
//! Its scripts are steered by files in the host's folder, as those of the live tests are: `block-X` holds step X until it is
//! removed, `fail-X` makes it fail. What was begun stands in `actions`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::clock::Clock;
use super::super::inbox::{Event, INBOX};
use super::super::tasks::Tasks;
use super::super::{Daemon, Start};
use super::etcd::Etcd;
use crate::config::{self, Config};
use crate::core::{Input, Mode};

/// How long anything may take. Far more than it does; reached only when something is wrong.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

const SCRIPT: &str = r#"#!/bin/sh
here=${0%/*}
step=$1
[ -n "$step" ] || step=$RC_PHASE
[ "$step" = monitor ] || echo "PREFIX$step" >> "$here/actions"
env > "$here/environment"
while [ -e "$here/block-$step" ] && [ -d /proc/$PPID ]; do sleep 0.02; done
: > "$here/ended-$step"
[ "$step" != detect ] || [ -e "$here/required" ] || exit 1
[ ! -e "$here/fail-$step" ]
"#;

/// One at a time: there is one in a process, and it may rely on that.
static ONE: Mutex<()> = Mutex::new(());

pub(in crate::daemon) struct Lab {
    pub(super) etcd: Etcd,
    folder: TempDir,
    fields: Vec<(String, String)>,
    running: Option<(SyncSender<Event>, JoinHandle<u8>)>,
    _one: MutexGuard<'static, ()>,
}

impl Lab {
    /// A host that requires a reboot.
    pub(in crate::daemon) fn new() -> Lab {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let etcd = Etcd::start();
        let path = |name: &str| format!("{:?}", folder.path().join(name).display().to_string());
        let script = path("script");
        let fields = [
            ("node_name", "a".to_owned()),
            ("node_id", "id-of-a".to_owned()),
            ("lock_key", "/rc".to_owned()),
            ("etcd_endpoints", format!("[{:?}]", etcd.url())),
            ("etcd_timeout_sec", "5".to_owned()),
            ("lock_ttl_sec", "30".to_owned()),
            ("health_timeout_sec", "10".to_owned()),
            ("check_interval_sec", "0.2".to_owned()),
            ("health_publish_interval_sec", "60".to_owned()),
            ("backoff_min_sec", "0.05".to_owned()),
            ("backoff_max_sec", "0.1".to_owned()),
            ("reboot_timeout_sec", "60".to_owned()),
            ("log", "{level: error}".to_owned()),
            (
                "reboot_required_detectors",
                format!("[{{name: marker, type: file, path: {}}}]", path("required")),
            ),
            ("health_script", script.clone()),
            (
                "pre_reboot_hook",
                format!("{{command: [{script}, drain], timeout_sec: 30}}"),
            ),
            (
                "post_boot_hook",
                format!("{{command: [{script}, undo], timeout_sec: 31}}"),
            ),
            ("reboot_command", format!("[{script}, reboot]")),
            ("run_dir", path("run")),
            ("boot_id_file", path("boot-id")),
            ("kill_switch_file", path("disable")),
        ];
        let lab = Lab {
            fields: fields
                .map(|(field, value)| (field.to_owned(), value))
                .into(),
            etcd,
            folder,
            running: None,
            _one: one,
        };
        fs::create_dir(lab.path("run")).unwrap();
        // A host with a past: one without a record runs its undo hook at its first start.
        fs::write(lab.path("run/memory.json"), "{}").unwrap();
        lab.script("script", "");
        lab.boots(1);
        lab.touch("required");
        lab
    }

    pub(in crate::daemon) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// The boot id of the host's boot with this number.
    pub(super) fn boots(&self, boot: u32) {
        let id = format!("b007{boot:04x}-0000-4000-8000-000000000000\n");
        fs::write(self.path("boot-id"), id).unwrap();
    }

    /// Changes the file, and nothing else.
    pub(super) fn set(&mut self, field: &str, value: &str) {
        self.fields.retain(|(name, _)| name != field);
        self.fields.push((field.to_owned(), value.to_owned()));
        self.write();
    }

    /// The same as before, by a command that tells when it is asked.
    pub(super) fn detect_by_command(&mut self, script: &str) {
        let command = format!("{:?}, detect", self.path(script).display().to_string());
        self.set(
            "reboot_required_detectors",
            &format!(
                "[{{name: marker, type: command, cmd: [{command}], success_exit_codes: [0]}}]"
            ),
        );
    }

    /// Takes a field out of the file.
    pub(super) fn unset(&mut self, field: &str) {
        self.fields.retain(|(name, _)| name != field);
        self.write();
    }

    fn write(&self) {
        let lines = self.fields.iter();
        let text: String = lines
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        fs::write(self.path("config.yaml"), text).unwrap();
    }

    /// A script that tells of its steps with a prefix.
    pub(super) fn script(&self, name: &str, prefix: &str) {
        fs::write(self.path(name), SCRIPT.replace("PREFIX", prefix)).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(name), mode).unwrap();
    }

    /// The configuration as it stands in the file, for `mode`.
    pub(in crate::daemon) fn loaded(&self, mode: Mode, dry_run: bool) -> (Config, Start) {
        self.write();
        let path = self.path("config.yaml");
        let config = config::load(&path)
            .expect("the configuration is valid")
            .config;
        let start = Start {
            path,
            mode,
            dry_run,
        };
        (config, start)
    }

    /// A daemon whose main loop does not run.
    pub(super) fn daemon(&self) -> (Daemon, Receiver<Event>) {
        let (config, start) = self.loaded(Mode::Daemon, false);
        let (sender, events) = sync_channel(INBOX);
        let mut daemon = Daemon::start(config, start, sender).unwrap();
        // One look is under way at a time in a process, and all tests are one.
        daemon.tasks.patience = Duration::from_millis(100);
        (daemon, events)
    }

    /// The tasks of a daemon that was started so long ago.
    pub(super) fn tasks(&self, daemon: &Daemon, ago: Duration) -> Tasks {
        let (clock, metrics) = (Clock::started_ago(ago), daemon.observer.metrics());
        let inbox = daemon.inbox.clone();
        Tasks::new((&daemon.config, &daemon.start), inbox, clock, metrics)
    }

    pub(super) fn start(&mut self) {
        self.start_as(Mode::Daemon, false);
    }

    pub(super) fn start_as(&mut self, mode: Mode, dry_run: bool) {
        let (config, start) = self.loaded(mode, dry_run);
        self.start_with(config, start);
    }

    /// With the name that the host had a moment ago.
    pub(super) fn start_named(&mut self, name: &str) {
        let (mut config, start) = self.loaded(Mode::Daemon, false);
        config.node_name = name.to_owned();
        self.start_with(config, start);
    }

    fn start_with(&mut self, config: Config, start: Start) {
        let (sender, events) = sync_channel(INBOX);
        let inbox = sender.clone();
        let main = thread::spawn(move || {
            let mut daemon = Daemon::start(config, start, inbox).unwrap();
            daemon.greet();
            daemon.main_loop(&events)
        });
        self.running = Some((sender, main));
    }

    /// SIGHUP.
    pub(super) fn reload(&self) {
        self.signal(Event::Reload);
    }

    fn signal(&self, signal: Event) {
        let (sender, _) = self.running.as_ref().expect("a daemon runs");
        let _ = sender.send(signal); // it may have ended by itself
    }

    /// SIGTERM; how long it took.
    pub(super) fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.signal(Event::Stop);
        assert_eq!(self.wait_exit(), 0);
        began.elapsed()
    }

    pub(super) fn wait_exit(&mut self) -> u8 {
        let (_, main) = self.running.take().expect("a daemon runs");
        wait("the end", || main.is_finished().then_some(()));
        main.join().unwrap()
    }

    /// The steps that were begun, of the health script, hooks and reboot command.
    pub(super) fn actions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("actions")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn count(&self, step: &str) -> usize {
        self.actions().iter().filter(|one| *one == step).count()
    }

    pub(super) fn wait_step(&self, step: &str) {
        wait(step, || (self.count(step) > 0).then_some(()));
    }

    /// So many looks at what requires a reboot, from now on.
    pub(super) fn wait_passes(&self, more: usize) {
        self.wait_passes_of("detect", more);
    }

    pub(super) fn wait_passes_of(&self, step: &str, more: usize) {
        let before = self.count(step);
        wait("passes", || {
            (self.count(step) >= before + more).then_some(())
        });
    }

    /// The phase of the own claim.
    pub(super) fn phase(&self) -> Option<String> {
        let claim = self.etcd.get("/rc/claims/a")?;
        claim["phase"].as_str().map(str::to_owned)
    }

    pub(super) fn wait_phase(&self, phase: Option<&str>) {
        wait(&format!("the phase {phase:?}"), || {
            (self.phase().as_deref() == phase).then_some(())
        });
    }

    /// Another node's claim, which is ahead of ours.
    pub(super) fn claim_of_another(&self) {
        let claim = json!({
            "v": 1, "node": "other", "node_id": "id-of-other", "boot_id": "another", "session": "by hand",
            "phase": "rebooting", "limit": 1, "reasons": ["by hand"], "since": "2026-01-01T00:00:00Z",
            "committed_at": "2026-01-01T00:00:00Z", "attempts": 1, "version": "0.1.0",
        });
        self.etcd.put("/rc/claims/other", &claim);
    }

    /// What stands in `claim`, without the process's number.
    pub(super) fn word(&self) -> String {
        let text = fs::read_to_string(self.path("run/claim")).unwrap_or_default();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some((sender, main)) = self.running.take() {
            // A test failed; the next one needs this host's threads gone.
            let _ = sender.send(Event::Stop);
            drop(main);
        }
    }
}

/// What the machine would be told next.
pub(super) fn input(events: &Receiver<Event>) -> Input {
    match events.recv_timeout(LIMIT) {
        Ok(Event::Machine(input)) => input,
        _ => panic!("the machine is told nothing"),
    }
}

/// Looks until there is something.
pub(in crate::daemon) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a request is a commit: a transaction that writes, guarded by the cluster's pause.
pub(super) fn commits(body: &Value) -> bool {
    let body = body.to_string();
    let pause = base64::engine::general_purpose::STANDARD.encode("/rc/pause");
    body.contains("request_put") && body.contains(&pause)
}
