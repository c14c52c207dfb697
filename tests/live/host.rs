//! A host: a folder with its configuration, scripts and boot id, and the real daemon running on it.
//!
//! Its scripts are steered by files in the folder: `block-X` holds step X until it is removed (the step says `reached-X`
//! first), `fail-X` makes it fail. X is a phase of health (`pre-lock`, `post-lock`, `post-boot`), `drain`, `undo` or `reboot`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take. Far more than it does; reached only when something is wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

const SCRIPT: &str = r#"#!/bin/sh
here=${0%/*}
step=$1
[ -n "$step" ] || step=$RC_PHASE
echo "$step" >> "$here/actions"
: > "$here/reached-$step"
while [ -e "$here/block-$step" ]; do sleep 0.02; done
[ ! -e "$here/fail-$step" ] || { echo "told to fail $step" >&2; exit 1; }
"#;

pub(crate) struct Host {
    pub(crate) name: String,
    folder: TempDir,
    fields: Vec<(String, String)>,
    /// What the daemon finds in its environment, beside ours.
    env: Vec<(&'static str, String)>,
    /// What starts the program, with its arguments; empty for nothing.
    wrapped: Vec<String>,
    child: Option<Child>,
    boots: u32,
    starts: u32,
}

/// The boot id of a host's boot, the first being 1.
pub(crate) fn boot_id(node: &str, boot: u32) -> String {
    let name = node.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(byte.into())
    });
    format!("b007{boot:04x}-0000-4000-8000-0000{name:08x}")
}

impl Host {
    /// A host that requires a reboot, with a configuration that makes tests quick.
    pub(crate) fn new(name: &str, endpoints: &[String]) -> Host {
        let folder = tempfile::Builder::new()
            .prefix("rc-host")
            .tempdir()
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut host = Host {
            name: name.to_owned(),
            folder,
            fields: Vec::new(),
            env: Vec::new(),
            wrapped: Vec::new(),
            child: None,
            boots: 0,
            starts: 0,
        };
        // A host with a past: one without a record runs its undo hook at its first start.
        fs::create_dir(host.path("run")).unwrap();
        fs::write(host.path("run/memory.json"), "{}").unwrap();
        let script = host.path("script");
        fs::write(&script, SCRIPT).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let script = script.display().to_string();
        let text = |value: &str| format!("{value:?}");
        host.set("node_name", name);
        host.set("node_id", &text(&format!("id-of-{name}")));
        let marker = host.path("required").display().to_string();
        host.set(
            "reboot_required_detectors",
            &format!("[{{type: file, name: marker, path: {marker:?}}}]"),
        );
        host.set("health_script", &text(&script));
        for (field, value) in [
            ("health_timeout_sec", "5"),
            ("check_interval_sec", "0.2"),
            ("backoff_min_sec", "0.1"),
            ("backoff_max_sec", "0.4"),
            ("lock_key", "/rc"),
            ("lock_ttl_sec", "10"),
            ("etcd_timeout_sec", "2"),
            ("reboot_timeout_sec", "60"),
            ("log", "{level: debug, format: json}"),
        ] {
            host.set(field, value);
        }
        host.set("etcd_endpoints", &format!("{endpoints:?}"));
        host.set("reboot_command", &format!("[{script:?}, reboot]"));
        for (field, file) in [
            ("run_dir", "run"),
            ("boot_id_file", "boot-id"),
            ("kill_switch_file", "disable"),
        ] {
            let path = host.path(file).display().to_string();
            host.set(field, &text(&path));
        }
        host.touch("required");
        host.next_boot();
        host
    }

    /// The same with another value of a field.
    pub(crate) fn with(mut self, field: &str, value: &str) -> Host {
        self.set(field, value);
        self
    }

    /// The same with a drain hook and its undo.
    pub(crate) fn with_hooks(self) -> Host {
        let script = self.path("script").display().to_string();
        let hook = |step: &str| format!("{{command: [{script:?}, {step}], timeout_sec: 20}}");
        let (drain, undo) = (hook("drain"), hook("undo"));
        self.with("pre_reboot_hook", &drain)
            .with("post_boot_hook", &undo)
    }

    pub(crate) fn set(&mut self, field: &str, value: &str) {
        self.fields.retain(|(known, _)| known != field);
        self.fields.push((field.to_owned(), value.to_owned()));
    }

    pub(crate) fn set_env(&mut self, name: &'static str, value: impl Into<String>) {
        self.env.push((name, value.into()));
    }

    pub(crate) fn wrap(&mut self, words: Vec<String>) {
        self.wrapped = words;
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn touch(&self, file: &str) {
        fs::write(self.path(file), "").unwrap();
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub(crate) fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    pub(crate) fn write_config(&self) {
        let lines: Vec<String> = self
            .fields
            .iter()
            .map(|(field, value)| format!("{field}: {value}\n"))
            .collect();
        // As a whole: a daemon that runs may read it at any moment.
        fs::write(self.path("config.yaml.new"), lines.concat()).unwrap();
        fs::rename(self.path("config.yaml.new"), self.path("config.yaml")).unwrap();
    }

    /// The program with these arguments and this host's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.write_config();
        let program = env!("CARGO_BIN_EXE_reboot-coordinator").to_owned();
        let words = [self.wrapped.clone(), vec![program]].concat();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .arg("--config")
            .arg(self.path("config.yaml"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon. Its log begins anew.
    pub(crate) fn start(&mut self) {
        self.start_with(&["run"]);
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let log = fs::File::create(self.log_path()).unwrap();
        let child = self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn log_path(&self) -> PathBuf {
        self.path(&format!("log-{}", self.starts))
    }

    /// The process id of the daemon.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// SIGSTOP returns when no thread of the daemon runs any more: on a busy machine a signal takes its time.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the daemon runs");
        let pid = Pid::from_child(child);
        kill_process(pid, signal).unwrap();
        if signal == Signal::STOP {
            let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(pid), stopped).unwrap();
        }
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the daemon's end by itself.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon runs");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{} does not end; its log:\n{}", self.name, self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    /// SIGTERM; returns how long the daemon took to end.
    pub(crate) fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait_exit();
        assert_eq!(
            status.code(),
            Some(0),
            "SIGTERM is exit 0; log:\n{}",
            self.log()
        );
        began.elapsed()
    }

    /// The host goes down and comes up again: the daemon dies, the boot id changes, the marker is gone.
    pub(crate) fn reboot(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        let _ = fs::remove_file(self.path("required"));
        self.next_boot();
        self.start();
    }

    pub(crate) fn next_boot(&mut self) {
        self.boots += 1;
        fs::write(self.path("boot-id"), boot_id(&self.name, self.boots) + "\n").unwrap();
    }

    /// What scripts, hooks and the reboot command did, in order; the monitor, which runs beside them, left out.
    pub(crate) fn actions(&self) -> Vec<String> {
        let mut actions = self.all_actions();
        actions.retain(|action| action != "monitor");
        actions
    }

    /// How often the health script ran as monitor.
    pub(crate) fn monitored(&self) -> usize {
        let actions = self.all_actions().into_iter();
        actions.filter(|action| action == "monitor").count()
    }

    fn all_actions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("actions")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn reboots(&self) -> usize {
        self.actions().iter().filter(|a| *a == "reboot").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The events of the present log, whole lines only.
    pub(crate) fn events(&self) -> Vec<Value> {
        let log = self.log();
        log.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    pub(crate) fn has_event(&self, event: &str) -> bool {
        self.events().iter().any(|line| line["event"] == event)
    }

    /// Waits until an event was logged, and returns it.
    pub(crate) fn wait_event(&self, event: &str) -> Value {
        self.wait_line(event, |line| line["event"] == event)
    }

    /// Waits until the daemon said that it is blocked for this reason.
    pub(crate) fn wait_blocked(&self, reason: &str) -> Value {
        self.wait_line(reason, |line| {
            line["event"] == "blocked" && line["reason"] == reason
        })
    }

    fn wait_line(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        self.wait_until(what, || {
            found = self.events().into_iter().find(|line| wanted(line));
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits until a step of the scripts was reached.
    pub(crate) fn wait_reached(&self, step: &str) {
        self.wait_until(step, || self.exists(&format!("reached-{step}")));
    }

    /// What etcd's history proves: the verdict, how many committed, and which rules were broken.
    pub(crate) fn history_proves(&self) -> (String, u64, Vec<String>) {
        let output = self
            .command(&["verify-history", "--json"])
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rules = told["findings"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&told["verdict"]),
            told["commits"].as_u64().unwrap(),
            rules.map(|it| text(&it["rule"])).collect(),
        )
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        if !wait(condition) {
            panic!("{}: no sign of {what}; log:\n{}", self.name, self.log());
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for a condition; false when it does not come about within [`LIMIT`].
pub(crate) fn wait(mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > LIMIT {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}
