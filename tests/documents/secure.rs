//! What docs/etcd.md says to type for three members with TLS and users is typed: only the addresses and the folders differ.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use etcd_test_server::default_version;
use tempfile::TempDir;

use crate::{blocks, read, root};

/// How long etcd may take to be there on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands for it in the document.
const LOCK: &str = "/cluster/reboot-coordinator";

/// A folder that stands for all the machines, and a network of its own in the loopback one.
struct Site {
    folder: TempDir,
    network: String,
    members: Vec<Child>,
}

impl Drop for Site {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        symlink(root().join("scripts"), folder.path().join("scripts")).unwrap();
        let [.., low, high] = std::process::id().to_be_bytes();
        Site {
            folder,
            network: format!("127.{}.{}.", high.clamp(1, 254), low.clamp(1, 254)),
            members: Vec::new(),
        }
    }

    /// The blocks of a language, as they are here.
    fn typed(&self, language: &str) -> Vec<String> {
        let text = read("docs/etcd.md");
        let (_, text) = text.split_once("step by step").unwrap();
        let (text, _) = text.split_once("\n## ").unwrap();
        let marked = blocks(text)
            .into_iter()
            .filter(|it| it.language == language);
        let here = |lines: Vec<String>| {
            let folder = self.folder.path().display();
            lines
                .join("\n")
                // On one machine members call each other from the first loopback address.
                .replace("IP:10.0.0.$n", "IP:10.0.0.$n,IP:127.0.0.1")
                .replace("10.0.0.", &self.network)
                .replace("/etc/reboot-coordinator/", &format!("{folder}/"))
                .replace("/etc/etcd/", &format!("{folder}/"))
        };
        marked.map(|block| here(block.lines)).collect()
    }

    fn shell(&self, folder: &Path, commands: &str) -> Output {
        let etcdctl = default_version().etcdctl;
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-euc", commands])
            .current_dir(folder)
            .env(
                "PATH",
                format!("{}:{path}", etcdctl.parent().unwrap().display()),
            )
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// One etcd, with the settings of the block.
    fn start(&mut self, settings: &str, n: u8) {
        let settings = settings.replace("$n", &n.to_string());
        let variables = settings.lines().filter(|line| line.starts_with("ETCD_"));
        let data = self.folder.path().join(format!("member-{n}"));
        let log = fs::File::create(self.folder.path().join(format!("{n}.log"))).unwrap();
        // The kernel ends it when the test is gone, however it went.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(default_version().etcd)
            .envs(variables.map(|line| line.split_once('=').unwrap()))
            .env("ETCD_DATA_DIR", data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.members.push(command.spawn().unwrap());
    }

    /// A member serves clients when it has found the others.
    fn wait(&self, n: u8) {
        let began = Instant::now();
        while TcpStream::connect(format!("{}{n}:2379", self.network)).is_err() {
            let log = fs::read_to_string(self.folder.path().join(format!("{n}.log")));
            assert!(began.elapsed() < PATIENCE, "{log:?}");
            sleep(Duration::from_millis(20));
        }
    }

    /// What `check-etcd` says of the configuration in the document with another text at a place, and how it ends.
    fn check(&self, from: &str, to: &str) -> (i32, String) {
        let folder = self.folder.path();
        let secure = self.typed("yaml").concat();
        let config = folder.join("config.yaml");
        let text = format!(
            "node_name: web-1\nnode_id: typed\nreboot_required_detectors: [{{type: kernel}}]\nhealth_script: /bin/true\n\
             lock_key: {LOCK}\nrun_dir: {folder}\n{secure}\n",
            folder = folder.display()
        );
        assert!(text.contains(from), "{text}");
        fs::write(&config, text.replace(from, to)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
            .args(["check-etcd", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (output.status.code().unwrap(), said)
    }
}

#[test]
fn etcd_with_tls_and_users_is_set_up_as_the_document_says() {
    let mut site = Site::new();
    let typed = site.typed("sh");
    let settings = site.typed("console").concat();
    assert_eq!(typed.len(), 2);
    site.shell(site.folder.path(), &typed[0]);
    for n in 1..=3 {
        site.start(&settings, n);
    }
    for n in 1..=3 {
        site.wait(n);
    }
    let pki = site.folder.path().join("pki");
    site.shell(&pki, &typed[1]);
    let (code, said) = site.check("", "");
    assert_eq!((code, said.contains("FAILS")), (0, false), "{said}");
    assert_eq!(said.matches("https://").count(), 3, "{said}");

    let certificate = |line: &str| {
        line.trim_start().starts_with("cert_file") || line.trim_start().starts_with("key_file")
    };
    let yaml = site.typed("yaml").concat();
    let without: Vec<&str> = yaml.lines().filter(|line| !certificate(line)).collect();
    fs::write(pki.join("wrong"), "wrong").unwrap();
    fs::set_permissions(pki.join("wrong"), fs::Permissions::from_mode(0o600)).unwrap();
    // etcd 3.4 cannot say which of the two it is.
    let missing = match default_version().number() >= (3, 5, 0) {
        true => "client-missing",
        false => "client-refused",
    };
    for (cause, from, to) in [
        ("login-refused", "web-1.password", "wrong"),
        ("denied", LOCK, "/another/key"),
        (missing, yaml.as_str(), &without.join("\n")),
        ("server-unknown", "pki/ca.crt", "pki/web-1.crt"),
    ] {
        let (code, said) = site.check(from, to);
        assert!(
            code == 1 && said.contains(&remedy(cause)),
            "{cause}: {said}"
        );
    }
}

/// What the document says to do about a cause.
fn remedy(cause: &str) -> String {
    let text = read("docs/etcd.md");
    let row = text
        .lines()
        .find(|line| line.starts_with(&format!("| `{cause}` |")));
    row.unwrap()
        .split(" | ")
        .last()
        .unwrap()
        .trim_end_matches(" |")
        .to_owned()
}

#[test]
fn every_key_that_a_role_may_write_is_in_the_table_of_rights() {
    let output = Command::new(root().join("scripts/etcd-roles"))
        .args(["/rc", "web-1"])
        .output()
        .unwrap();
    let commands = String::from_utf8(output.stdout).unwrap();
    let text = read("docs/etcd.md");
    let node = text.lines().find(|line| line.starts_with("| a node |"));
    let mut seen = 0;
    for line in commands.lines().filter(|line| line.contains(" readwrite ")) {
        let key = line.rsplit(' ').next().unwrap();
        assert!(node.unwrap().contains(&format!("`{key}`")), "{key}");
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}
