//! The parts of the program that are mutated, each with the tests that look at it.

use std::ffi::OsStr;
use std::path::Path;

/// Made-up hosts, for the kernel detector.
const HOSTS: &str = "hosts";

/// What is mutated in one binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What decides.
    Core,
    /// What performs it, and looks at the host.
    Driver,
    /// What talks to etcd.
    Client,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Core => "core",
            Part::Driver => "driver",
            Part::Client => "client",
        }
    }

    /// What is counted by itself.
    pub(crate) fn rooms(self) -> &'static [&'static str] {
        match self {
            Part::Core => &["src/lock/", "src/core/"],
            Part::Driver => &[
                "src/daemon/",
                "src/detect/",
                "src/scripts",
                "src/host",
                "src/process",
                "src/etcd",
            ],
            Part::Client => &[
                "crates/etcd-rs-sync/src/client",
                "crates/etcd-rs-sync/src/endpoints",
                "crates/etcd-rs-sync/src/known",
                "crates/etcd-rs-sync/src/session",
                "crates/etcd-rs-sync/src/watch",
            ],
        }
    }

    /// The score that is asked for, in percent.
    pub(crate) fn least(self) -> f64 {
        match self {
            Part::Core => 95.0,
            Part::Driver | Part::Client => 90.0,
        }
    }

    /// Where its sources come from, below the root.
    pub(crate) fn folder(self) -> &'static Path {
        Path::new(match self {
            Part::Core | Part::Driver => "",
            Part::Client => "crates/etcd-rs-sync",
        })
    }

    /// The path of a file in the copy.
    pub(crate) fn within(self, file: &str) -> &Path {
        let file = Path::new(file);
        file.strip_prefix(self.folder()).unwrap_or(file)
    }

    /// Whether it is about this file, which files of tests only are not.
    pub(crate) fn holds(self, file: &str) -> bool {
        let tests = |part: &OsStr| part == "tests" || part == "tests.rs";
        let rooms = match self {
            Part::Core => &["core", "lock"][..],
            Part::Driver => &["daemon", "detect", "etcd", "host", "process", "scripts"],
            Part::Client => &[
                "backoff",
                "client",
                "endpoints",
                "known",
                "session",
                "watch",
            ],
        };
        let path = Path::new(file).strip_prefix(self.folder().join("src"));
        path.is_ok_and(|path| {
            let room = path.iter().next().map(Path::new).and_then(Path::file_stem);
            rooms.iter().any(|name| room == Some(OsStr::new(name))) && !path.iter().any(tests)
        })
    }

    /// Whether this test says anything of it.
    pub(crate) fn runs(self, test: &str) -> bool {
        match self {
            Part::Core => true,
            Part::Driver => room(test) == HOSTS || self.holds(&format!("src/{}.rs", room(test))),
            // Its inputs are not in the copy, and it looks at what is on the wire.
            Part::Client => room(test) != "fuzz",
        }
    }

    /// Whether a test can notice a mutant in this file. A slow test that stands in a folder of `core` or `lock` looks at nothing outside of
    /// it, and of the driver's rooms only the daemon looks at the others.
    pub(crate) fn concerns(self, test: &str, is_slow: bool, file: &str) -> bool {
        match self {
            Part::Core => {
                let folder = test.split_once("::tests::").filter(|_| is_slow);
                let folder = folder.map(|(folder, _)| folder.replace("::", "/"));
                folder.is_none_or(|folder| file.starts_with(&format!("src/{folder}")))
            }
            Part::Driver => {
                let room = Some(room(test)).filter(|room| *room != HOSTS);
                let room = room.unwrap_or("detect");
                room == "daemon" || file.starts_with(&format!("src/{room}"))
            }
            Part::Client => true,
        }
    }
}

/// The first part of a test's name.
fn room(test: &str) -> &str {
    test.split("::").next().unwrap_or(test)
}
