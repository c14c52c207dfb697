//! The way to etcd: in plain HTTP, with certificates, with users, or with both.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd_rs_sync::{Options as EtcdOptions, TlsOptions};
use etcd_test_server::{Cluster, Tls};

use crate::host::yaml_quoted;
use crate::{Error, LOCK_KEY, Options};

/// The user of the demo itself, who sees everything.
const ROOT: &str = "root";

/// The operator among the users.
pub(crate) const OPERATOR: &str = "operator";

/// How hosts and the demo reach etcd.
pub(crate) struct Way {
    tls: bool,
    /// Where the users' passwords are.
    passwords: Option<PathBuf>,
}

impl Way {
    /// Starts etcd.
    pub(crate) fn cluster(options: &Options) -> Cluster {
        let mut cluster = Cluster::builder();
        if options.tls {
            cluster = cluster.tls(Tls::Mutual);
        }
        if options.auth {
            cluster = cluster.auth(&password(ROOT));
        }
        cluster.start()
    }

    /// Makes users with the least rights, when etcd knows users.
    pub(crate) fn new(options: &Options, cluster: &Cluster, folder: &Path) -> Result<Way, Error> {
        let passwords = options.auth.then(|| folder.to_path_buf());
        if let Some(folder) = &passwords {
            let nodes = (1..=options.nodes).map(|number| format!("node-{number}"));
            let users: Vec<String> = nodes.chain([OPERATOR.to_owned()]).collect();
            make_roles(cluster, &users)?;
            for user in &users {
                ctl(
                    cluster,
                    &["user", "add", &format!("{user}:{}", password(user))],
                )?;
                ctl(cluster, &["user", "grant-role", user, &role(user)])?;
                keep_password(folder, user).map_err(Error::io("a password cannot be written"))?;
            }
        }
        Ok(Way {
            tls: options.tls,
            passwords,
        })
    }

    /// Whether anybody reaches etcd.
    pub(crate) fn is_open(&self) -> bool {
        !self.tls && self.passwords.is_none()
    }

    /// A user's lines of the configuration.
    pub(crate) fn lines(&self, cluster: &Cluster, user: &str) -> String {
        let mut lines = String::new();
        if self.tls {
            let pki = cluster.pki();
            let [ca, cert, key] =
                [&pki.ca, &pki.client.cert, &pki.client.key].map(|it| yaml_quoted(it));
            lines += &format!(
                "etcd_tls: {{enabled: true, ca_file: {ca}, cert_file: {cert}, key_file: {key}}}\n"
            );
        }
        if let Some(folder) = &self.passwords {
            let file = yaml_quoted(&password_file(folder, user));
            lines += &format!("etcd_auth: {{username: {user}, password_file: {file}}}\n");
        }
        lines
    }

    /// The demo's own.
    pub(crate) fn client(&self, cluster: &Cluster) -> EtcdOptions {
        let mut options = EtcdOptions::new(cluster.endpoints());
        options.tls = self.tls.then(|| TlsOptions {
            ca_pem: Some(cluster.pki().ca_pem()),
            client_pem: Some(cluster.pki().client.pem()),
            insecure_skip_verify: false,
        });
        options.auth = self
            .passwords
            .is_some()
            .then(|| (ROOT.to_owned(), password(ROOT)));
        options
    }
}

/// What scripts/etcd-roles says is done.
fn make_roles(cluster: &Cluster, users: &[String]) -> Result<(), Error> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/etcd-roles");
    let output = Command::new(script).arg(LOCK_KEY).args(users).output();
    let output = output.map_err(Error::io("scripts/etcd-roles cannot be run"))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        ctl(cluster, &words)?;
    }
    Ok(())
}

fn ctl(cluster: &Cluster, arguments: &[&str]) -> Result<(), Error> {
    let done = cluster.try_etcdctl(arguments);
    done.map(drop)
        .map_err(|why| Error::Died(format!("etcdctl failed: {why}")))
}

fn role(user: &str) -> String {
    match user {
        OPERATOR => "reboot-operator".to_owned(),
        node => format!("reboot-node-{node}"),
    }
}

fn password(user: &str) -> String {
    format!("secret-of-{user}")
}

fn password_file(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("password-of-{user}"))
}

fn keep_password(folder: &Path, user: &str) -> io::Result<()> {
    let path = password_file(folder, user);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(password(user).as_bytes())
}

/// A host's configuration as the operator has it; `None` when there is no other way for the operator.
pub(crate) fn of_operator(
    way: &Way,
    cluster: &Cluster,
    config: &Path,
) -> io::Result<Option<PathBuf>> {
    let Some(folder) = &way.passwords else {
        return Ok(None);
    };
    let text = fs::read_to_string(config)?;
    let other = text.lines().filter(|line| !line.starts_with("etcd_"));
    let mut text: String = other.map(|line| format!("{line}\n")).collect();
    text += &format!("etcd_endpoints: {:?}\n", cluster.endpoints());
    text += &way.lines(cluster, OPERATOR);
    let path = folder.join("operator.yaml");
    fs::write(&path, text)?;
    Ok(Some(path))
}
