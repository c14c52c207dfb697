//! The scripts of `docs/examples`, run as the daemon runs them: no HOME, no LANG, the variables of the daemon, and tools that
//! are made up for each test. etcd is a real one, and so is the API server's client where there is one.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

mod all;
mod etcd;
mod events;
mod kubernetes;
mod machines;
mod storage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reboot_coordinator::config::{self, variables::environment};
use reboot_coordinator::core::io::ScriptFacts;
use reboot_coordinator::scripts::PATH;
use tempfile::TempDir;

const CONFIGURATION: &str = "\
node_name: node-a
lock_key: /rc
etcd_endpoints: [127.0.0.1:2379]
reboot_required_detectors: [{type: kernel}]
health_script: /bin/true
";

/// Where the scripts are.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples")
}

/// A host: a folder whose `bin` is looked into first, settings of the script, and what the made-up tools were told.
struct Stage {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// How a script ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stderr: String,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let stage = Stage {
            folder,
            settings: Vec::new(),
        };
        // What is waited for is there at the first look, or never.
        stage.tool("sleep", "");
        stage.tool("hostname", "echo node-a");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A setting of the script, which an operator changes in its first lines.
    fn set(mut self, name: &str, value: impl AsRef<Path>) -> Stage {
        let value = value.as_ref().to_str().unwrap().to_owned();
        self.settings.push((name.to_owned(), value));
        self
    }

    /// A tool in place of the real one: commands of a shell. What it was told is in the file `calls`, and below `$STAGE` is
    /// what it remembers.
    fn tool(&self, name: &str, body: &str) {
        let stage = self.folder.path().display();
        let log = format!("printf '%s\\n' \"{name} $*\" >>\"$STAGE/calls\"");
        let text = format!("#!/bin/sh\nSTAGE={stage}\n{log}\n{body}\n");
        let path = self.path("bin").join(name);
        install(&path, &text, "755");
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs a script of `docs/examples` in a phase; it may read the file `stdin`.
    fn run(&self, script: &str, phase: &str) -> Ended {
        self.write("config.yaml", CONFIGURATION);
        let config = config::load(&self.path("config.yaml")).unwrap().config;
        let facts = ScriptFacts {
            reasons: vec!["kernel".to_owned()],
            ..ScriptFacts::default()
        };
        let mut variables = environment(&config, phase, Some(&facts));
        variables.retain(|(name, _)| name != "PATH");
        variables.extend(self.settings.iter().cloned());
        let output = Command::new(examples().join(script))
            .env_clear()
            .env("PATH", format!("{}:{PATH}", self.path("bin").display()))
            .envs(variables)
            .current_dir("/")
            .stdin(fs::File::open(self.path("stdin")).map_or(Stdio::null(), Stdio::from))
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The script agrees.
    fn passes(&self, script: &str, phase: &str) {
        let ended = self.run(script, phase);
        assert_eq!(ended.code, 0, "{script} {phase}: {ended:?}");
    }

    /// The script refuses, and says why.
    fn refuses(&self, script: &str, phase: &str, why: &str) {
        let ended = self.run(script, phase);
        assert_ne!(ended.code, 0, "{script} {phase}");
        assert!(ended.stderr.contains(why), "{script} {phase}: {ended:?}");
    }

    /// What the made-up tools were told since the last look.
    fn calls(&self) -> String {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls
    }
}

/// Writes a program by a process of its own. One that this process had open for writing could not be started while a thread
/// beside it is about to start another: its child has the file open for a moment, too.
fn install(path: &Path, text: &str, mode: &str) {
    let plain = path.with_extension("text");
    fs::write(&plain, text).unwrap();
    let done = Command::new("install")
        .arg("-m")
        .arg(mode)
        .args([&plain, path])
        .status();
    assert!(done.unwrap().success());
    fs::remove_file(plain).unwrap();
}
