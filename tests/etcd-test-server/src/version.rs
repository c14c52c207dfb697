//! Which etcd binaries there are.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One version of etcd on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Such as `3.5.16`.
    pub name: String,
    /// The server.
    pub etcd: PathBuf,
    /// The command line client.
    pub etcdctl: PathBuf,
}

impl Version {
    /// Major, minor and patch number.
    pub fn number(&self) -> (u64, u64, u64) {
        let mut parts = self
            .name
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next(), next())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The first version that the client supports.
const OLDEST: (u64, u64, u64) = (3, 4, 0);

/// Every version from 3.4 on that was found, oldest first: those that `scripts/get-etcd` unpacked into `target/etcd/<version>/` of the workspace, or
/// into the folder that the environment's `ETCD_TEST_VERSIONS_DIR` names; without any, the `etcd` on the path.
///
/// # Panics
/// When there is none.
pub fn versions() -> Vec<Version> {
    let mut found = unpacked(&folder());
    found.retain(|version| version.number() >= OLDEST);
    if found.is_empty() {
        found.extend(on_path());
    }
    assert!(
        !found.is_empty(),
        "no etcd to test with, neither in {} nor on the path: run scripts/get-etcd --all",
        folder().display()
    );
    found.sort_by_key(Version::number);
    found
}

/// Those before 3.4 that were unpacked, oldest first; there may be none. The client does not support them, but their store
/// behaves as that of later ones.
pub fn old_versions() -> Vec<Version> {
    let mut found = unpacked(&folder());
    found.retain(|version| version.number() < OLDEST);
    found.sort_by_key(Version::number);
    found
}

/// The newest of [`versions`].
///
/// # Panics
/// When there is none.
pub fn default_version() -> Version {
    versions()
        .pop()
        .expect("the list is not empty, or it had panicked")
}

fn folder() -> PathBuf {
    env::var_os("ETCD_TEST_VERSIONS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/etcd"),
        PathBuf::from,
    )
}

fn unpacked(folder: &Path) -> Vec<Version> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let dir = entry.ok()?.path();
            let name = dir.file_name()?.to_str()?.to_owned();
            let (etcd, etcdctl) = (dir.join("etcd"), dir.join("etcdctl"));
            let usable = !name.starts_with('.') && etcd.is_file() && etcdctl.is_file();
            usable.then_some(Version {
                name,
                etcd,
                etcdctl,
            })
        })
        .collect()
}

fn on_path() -> Option<Version> {
    let output = Command::new("etcd").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: "))?;
    Some(Version {
        name: name.trim().to_owned(),
        etcd: "etcd".into(),
        etcdctl: "etcdctl".into(),
    })
}
