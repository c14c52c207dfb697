//! The rules of the configuration, from files in temporary folders.

mod compatibility;
mod damage;
mod documentation;
mod drop_ins;
mod refused;
mod rules;
mod secrets;
mod syntax;
mod variables;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::host::Host;
use super::load::{Last, load_on};
use super::{Loaded, Problems};

/// A folder with a health script, a host of its own, and a configuration to be written.
struct Fixture {
    folder: tempfile::TempDir,
    last: Last,
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture {
            folder: tempfile::tempdir().unwrap(),
            last: Last::default(),
        };
        fixture.file("health.sh", "#!/bin/sh\nexit 0\n", 0o755);
        fixture.file("hostname", "web-1.example.com\n", 0o644);
        fixture.file("machine-id", "0123456789abcdef0123456789abcdef\n", 0o644);
        fixture.file("localtime", "", 0o644);
        fixture.file("bin/needs-restarting", "#!/bin/sh\n", 0o755);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn host(&self) -> Host {
        Host {
            hostname_file: self.path("hostname"),
            machine_id_file: self.path("machine-id"),
            localtime_file: self.path("localtime"),
            path: ["bin", "local/sbin", "local/bin"]
                .map(|place| self.path(place))
                .into(),
        }
    }

    /// Loads `text`, in which `DIR` stands for the folder.
    fn load(&self, text: &str) -> Result<Loaded, Problems> {
        let text = text.replace("DIR", self.folder.path().to_str().unwrap());
        let path = self.file("config.yaml", &text, 0o644);
        load_on(&path, &self.host(), &self.last)
    }

    /// The problems of `text`, one a line, without the folder.
    fn problems(&self, text: &str) -> Vec<String> {
        match self.load(text) {
            Ok(loaded) => panic!("accepted:\n{text}\n{loaded:?}"),
            Err(problems) => self.lines(&problems),
        }
    }

    fn lines(&self, problems: &Problems) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        let text = problems.to_string().replace(&folder, "");
        text.lines().map(str::to_owned).collect()
    }
}

/// The least configuration that is valid.
const LEAST: &str = "\
node_name: node-a
reboot_required_detectors:
  - type: file
    path: /var/run/reboot-required
health_script: DIR/health.sh
lock_key: /cluster/lock
etcd_endpoints: [127.0.0.1:2379]
";

/// [`LEAST`] with some of its top-level fields replaced or added.
fn with(fields: &str) -> String {
    let replaced = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        fields
            .lines()
            .any(|field| field.split(':').next() == Some(name))
    };
    let mut text = String::new();
    let mut skipping = false;
    for line in LEAST.lines() {
        if !line.starts_with(' ') {
            skipping = replaced(line);
        }
        if !skipping {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + fields
}
