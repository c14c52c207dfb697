//! What the packages are made of, as far as it can be judged without building them; scripts/test-packages does the rest.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const RULES: &str = include_str!("../../debian/rules");
const SPEC: &str = include_str!("../../rpm/reboot-coordinator.spec");
const CHANGELOG: &str = include_str!("../../debian/changelog");
const NEWS: &str = include_str!("../../debian/NEWS");

#[test]
fn all_say_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let first = |text: &str| text.lines().next().unwrap().to_owned();
    let entry = format!("reboot-coordinator ({version}) unstable; urgency=medium");
    assert_eq!(first(CHANGELOG), entry);
    assert_eq!(first(NEWS).split(' ').next(), entry.split(' ').next());
    let field = SPEC.lines().find(|line| line.starts_with("Version:"));
    assert_eq!(
        field.unwrap().split_whitespace().last().unwrap(),
        version,
        "Version of the spec"
    );
    let logged = SPEC.lines().find(|line| line.starts_with("* ")).unwrap();
    assert!(logged.ends_with(&format!("- {version}-1")), "{logged}");
}

/// Mode, source and destination of what is installed one by one; `root` is what the destinations begin with.
fn installed(text: &str, root: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("install -D -m "))
        .map(|line| {
            line.replace(root, "")
                .replace("%{libexec}", "/usr/libexec/reboot-coordinator")
                .replace("%{unitdir}", "/usr/lib/systemd/system")
                .replace("%{binary}", "$(binary)")
                // The place for completions that packages bring.
                .replace("zsh/site-functions", "zsh/vendor-completions")
        })
        .collect()
}

#[test]
fn the_deb_and_the_rpm_install_the_same_files() {
    let deb = installed(RULES, "$(root)");
    let mut rpm = installed(SPEC, "%{buildroot}");
    // debhelper installs it.
    let unit =
        "644 debian/reboot-coordinator.service /usr/lib/systemd/system/reboot-coordinator.service";
    assert!(rpm.remove(unit), "{rpm:#?}");
    assert_eq!(deb, rpm);
    assert_eq!(deb.len(), 8);
    for list in ["docs", "examples", "manpages"] {
        let name = format!("debian/reboot-coordinator.{list}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        for file in fs::read_to_string(path).unwrap().lines() {
            let file = file.trim_end_matches('*');
            assert!(SPEC.contains(file), "{name} has {file}, the spec has not");
        }
    }
}

/// debian/maintain with its places in a folder of the test, and a systemctl that writes down what it is asked for.
struct Maintain {
    folder: TempDir,
}

impl Maintain {
    fn new() -> Maintain {
        let maintain = Maintain {
            folder: tempfile::tempdir().unwrap(),
        };
        let root = maintain.folder.path();
        for folder in ["run/systemd/system", "run/reboot-coordinator", "bin"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let text = include_str!("../../debian/maintain")
            .replace("/run/", &format!("{}/run/", root.display()))
            .replace("/usr/sbin/", &format!("{}/bin/", root.display()))
            .replace(
                "program=/usr",
                &format!("patience=3 program={}", root.display()),
            )
            .replace("\npatience=10\n", "\n");
        fs::write(root.join("maintain"), text).unwrap();
        maintain.program(
            "systemctl",
            "echo \"$@\" >>\"${0%/*}/../asked\"\ncase $1 in show) echo 42 ;; esac",
        );
        maintain
    }

    fn program(&self, name: &str, body: &str) {
        // By a process of its own: what this one writes may still be open in a child that another test is just starting, and the
        // kernel starts no file that is open for writing.
        let mut install = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(self.folder.path().join("bin").join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("#!/bin/sh\n{body}\n");
        let mut stdin = install.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert!(install.wait().unwrap().success());
    }

    fn claim(&self, text: &str) {
        let path = self.folder.path().join("run/reboot-coordinator/claim");
        fs::write(path, text).unwrap();
    }

    /// What it says; it never fails.
    fn run(&self, what: &str) -> String {
        let ended = Command::new("sh")
            .arg(self.folder.path().join("maintain"))
            .arg(what)
            .env(
                "PATH",
                format!("{}/bin:/usr/bin:/bin", self.folder.path().display()),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{said}");
        said
    }

    fn restarted(&self) -> bool {
        let asked = fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        asked
            .lines()
            .any(|line| line == "restart reboot-coordinator.service")
    }
}

#[test]
fn an_upgrade_restarts_only_a_daemon_that_says_that_no_reboot_has_begun() {
    for (claim, restarts, says) in [
        ("none 42\n", true, "was restarted"),
        ("queued 42\n", true, "was restarted"),
        (
            "committed 42\n",
            false,
            "between the commit to a reboot and the release",
        ),
        ("unknown 42\n", false, "does not say"),
        // Of a daemon that is not there any more, or of one that is not systemd's.
        ("none 41\n", false, "does not say"),
        ("none\n", false, "does not say"),
        ("none 42", false, "does not say"),
        ("nonesuch 42\n", false, "does not say"),
        ("", false, "does not say"),
    ] {
        let maintain = Maintain::new();
        maintain.claim(claim);
        let said = maintain.run("upgraded");
        assert_eq!(maintain.restarted(), restarts, "{claim:?}: {said}");
        assert!(said.contains(says), "{claim:?}: {said}");
        assert_eq!(said.contains("NOT restarted"), !restarts, "{claim:?}");
    }
    let maintain = Maintain::new();
    let said = maintain.run("upgraded");
    assert!(
        !maintain.restarted() && said.contains("does not say"),
        "{said}"
    );
}

#[test]
fn an_upgrade_restarts_nothing_that_does_not_run_or_must_not() {
    let maintain = Maintain::new();
    maintain.claim("none 42\n");
    maintain.program("policy-rc.d", "exit 101");
    let said = maintain.run("upgraded");
    assert!(!maintain.restarted() && said.contains("policy-rc.d"));

    let maintain = Maintain::new();
    maintain.claim("none 42\n");
    maintain.program(
        "systemctl",
        "echo \"$@\" >>\"${0%/*}/../asked\"; [ $1 != is-active ]",
    );
    assert_eq!(maintain.run("upgraded"), "");
    assert!(!maintain.restarted());

    // A chroot: systemd is installed, and does not run.
    let maintain = Maintain::new();
    maintain.claim("none 42\n");
    fs::remove_dir(maintain.folder.path().join("run/systemd/system")).unwrap();
    assert_eq!(maintain.run("upgraded"), "");
    assert!(!maintain.folder.path().join("asked").exists());
}

#[test]
fn a_removal_warns_of_a_claim_that_is_held_or_may_be() {
    let release = "reboot-coordinator release web-7 --reason TEXT";
    for (claim, etcd, warns) in [
        (Some("none 42\n"), Some("committed"), false),
        (Some("queued 42\n"), None, false),
        (Some("committed 42\n"), Some("committed"), true),
        (Some("committed 42\n"), None, true),
        // An operator took it away meanwhile.
        (Some("committed 42\n"), Some("none"), false),
        (Some("unknown 42\n"), Some("none"), false),
        (Some("unknown 42\n"), None, true),
        (None, Some("committed"), true),
        (None, None, true),
    ] {
        let maintain = Maintain::new();
        if let Some(claim) = claim {
            maintain.claim(claim);
        }
        let status = match etcd {
            Some(word) => {
                format!("echo '{{\"node\":{{\"claim\":\"{word}\",\"name\":\"web-7\"}}}}'")
            }
            None => "exit 1".to_owned(),
        };
        maintain.program(
            "reboot-coordinator",
            &format!("case $1 in status) {status} ;; *) echo '  node       web-7' ;; esac"),
        );
        let said = maintain.run("removing");
        let case = format!("{claim:?}, etcd {etcd:?}: {said}");
        assert_eq!(said.contains("WARNING"), warns, "{case}");
        assert_eq!(said.contains(release), warns, "{case}");
        assert!(said.contains("reboot-coordinator forget web-7"), "{case}");
    }
    // Whoever never used it is not bothered.
    let maintain = Maintain::new();
    fs::remove_dir(maintain.folder.path().join("run/reboot-coordinator")).unwrap();
    maintain.program("systemctl", "exit 1");
    maintain.program("reboot-coordinator", "exit 1");
    assert_eq!(maintain.run("removing"), "");
}
