//! Certificates and a password for etcd that are replaced on disk are used without a restart, and without losing a place.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use etcd_rs_sync::Client;

use super::threads::spawn;
use crate::config::{Auth, Config, Tls, certificate_end};
use crate::etcd;
use crate::observe::metrics::Metrics;

/// Between two looks at the files. Whoever replaces certificates does so hours before the old ones end, or is in a hurry.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Follows the files that the configuration names, in a thread of its own: a file system that hangs holds nobody else up. Begins
/// with what they hold now, which may be something else than what the client was made with. Ends when what it returns is dropped.
pub(super) fn follow(
    config: &Config,
    (client, metrics): (Client, Arc<Metrics>),
    every: Duration,
) -> Result<Option<Sender<()>>, String> {
    let (tls, auth) = (config.etcd.tls.clone(), config.etcd.auth.clone());
    if tls.is_none() {
        metrics.certificates(None, None);
    }
    if tls.is_none() && auth.is_none() {
        return Ok(None);
    }
    let (alive, ended) = channel();
    let work = move || {
        let (mut refused, mut told, mut refused_password) = (None, false, None);
        loop {
            if let Some(files) = &tls {
                let taken = look(files, &client, &mut refused);
                // What is refused is not what is used.
                if taken || (!told && refused.is_none()) {
                    tell_ends(files, &metrics);
                    told = true;
                }
            }
            if let Some(auth) = &auth {
                look_at_password(auth, &client, &mut refused_password);
            }
            if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    spawn("certificates", work)
        .map_err(|error| format!("the certificates thread cannot be started: {error}"))?;
    Ok(Some(alive))
}

/// Takes what the files hold now, when that is something else and can be used. What cannot is said once: files are often replaced
/// one after the other. Whether it took something.
fn look(files: &Tls, client: &Client, refused: &mut Option<String>) -> bool {
    let found = etcd::tls(files).and_then(|found| {
        if client.tls().as_ref() != Some(&found) {
            client.set_tls(found).map_err(|error| error.to_string())?;
            log::info!(event = "certificates_replaced"; "the certificates for etcd were replaced on disk and are in use");
            return Ok(true);
        }
        Ok(false)
    });
    let taken = found == Ok(true);
    if let Some(why) = newly(refused, found.err()) {
        log::warn!(event = "certificates_unusable"; "the certificate files for etcd changed and cannot be used, the old ones stay in use: {why}; correct the files");
    }
    taken
}

/// The same for the password.
fn look_at_password(auth: &Auth, client: &Client, refused: &mut Option<String>) {
    let found = etcd::login(auth);
    let why = found.as_ref().err().cloned();
    if let Ok((user, password)) = found
        && client.auth().is_none_or(|used| used.1 != password)
    {
        client.set_auth(user, password);
        log::info!(event = "password_replaced"; "the password for etcd was replaced on disk and is used at the next login");
    }
    if let Some(why) = newly(refused, why) {
        log::warn!(event = "password_unusable"; "the password file for etcd changed and cannot be used, the old password stays in use: {why}; correct the file");
    }
}

/// Why something is refused, when that is another reason than before.
fn newly(refused: &mut Option<String>, why: Option<String>) -> Option<&String> {
    let known = *refused == why;
    *refused = why;
    refused.as_ref().filter(|_| !known)
}

fn tell_ends(files: &Tls, metrics: &Metrics) {
    let client = files.client.as_ref().map(|(cert, _)| cert.as_path());
    let ends = |file: Option<&Path>| file.and_then(certificate_end);
    metrics.certificates(ends(client), ends(files.ca_file.as_deref()));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use etcd_rs_sync::Options;
    use log::LevelFilter;

    use super::*;
    use crate::daemon::tests::lab::{Lab, wait};
    use crate::daemon::tests::logged::{hush, listen, said};

    const CA: &str = include_str!("../config/tests/tls/ca.crt");
    const NODE: (&str, &str) = (
        include_str!("../config/tests/tls/node.crt"),
        include_str!("../config/tests/tls/node.key"),
    );
    const OTHER: (&str, &str) = (
        include_str!("../config/tests/tls/other.crt"),
        include_str!("../config/tests/tls/other.key"),
    );

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// An authority, a certificate and its key, with their paths.
    fn files_in(lab: &Lab) -> (Tls, [std::path::PathBuf; 3]) {
        let paths = ["ca", "cert", "key"].map(|name| lab.path(name));
        for (path, text) in paths.iter().zip([CA, NODE.0, NODE.1]) {
            write(path, text);
        }
        let [ca, cert, key] = paths.clone();
        let files = Tls {
            ca_file: Some(ca),
            client: Some((cert, key)),
            insecure_skip_verify: false,
        };
        (files, paths)
    }

    fn end(metrics: &Metrics, file: &str) -> bool {
        let text = metrics.render();
        let line = text.lines().find(|line| {
            line.starts_with("reboot_coordinator_etcd_certificate") && line.contains(file)
        });
        !line.unwrap_or_else(|| panic!("{text}")).ends_with(" 0")
    }

    /// Made with what the files hold now.
    fn client_of(files: &Tls) -> Client {
        let mut options = Options::new(["https://127.0.0.1:1"]);
        options.tls = Some(etcd::tls(files).unwrap());
        Client::new(options).unwrap()
    }

    #[test]
    fn files_that_are_replaced_are_taken_when_they_fit_together_and_said_once_when_not() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Warn);
        let (files, [_, cert, key]) = files_in(&lab);
        let metrics = Metrics::new("1", "abc", ["f"]);
        tell_ends(&files, &metrics);
        assert!(
            end(&metrics, "cert_file") && end(&metrics, "ca_file"),
            "{}",
            metrics.render()
        );
        let client = client_of(&files);
        let (first, mut refused) = (client.tls(), None);
        assert!(!look(&files, &client, &mut refused));
        assert_eq!(refused, None);
        // One of the two is there already.
        write(&cert, OTHER.0);
        assert!(!look(&files, &client, &mut refused));
        assert!(refused.is_some() && client.tls() == first);
        assert!(!look(&files, &client, &mut refused));
        assert_eq!(said("certificates_unusable"), 1);
        write(&key, OTHER.1);
        assert!(look(&files, &client, &mut refused));
        assert!(refused.is_none() && client.tls() != first);
        assert!(!look(&files, &client, &mut refused));
        fs::remove_file(&key).unwrap();
        assert!(!look(&files, &client, &mut refused));
        assert!(refused.is_some_and(|why| why.contains("key")));
        assert_eq!(said("certificates_unusable"), 1);
        hush();
    }

    #[test]
    fn a_key_that_is_no_pem_any_more_is_not_repeated() {
        let lab = Lab::new();
        let (files, paths) = files_in(&lab);
        let client = client_of(&files);
        let line = NODE.1.lines().nth(1).unwrap();
        let bytes = format!("{:?}", &line.as_bytes()[..8]);
        for path in &paths {
            let good = fs::read_to_string(path).unwrap();
            for end in [" ", "\\n"] {
                write(path, &NODE.1.replace('\n', end));
                let mut refused = None;
                assert!(!look(&files, &client, &mut refused));
                let why = refused.unwrap();
                assert!(why.contains("PEM"), "{why}");
                assert!(!why.contains(&line[..8]), "{why}");
                assert!(!why.contains(bytes.trim_matches(['[', ']'])), "{why}");
            }
            write(path, &good);
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_as_at_start() {
        let lab = Lab::new();
        let readable = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let told = |why: Option<String>| {
            why.is_some_and(|why| why.contains("can be read by its group or others; run chmod 600"))
        };
        let (files, [_, cert, key]) = files_in(&lab);
        let password_file = lab.path("password");
        write(&password_file, "new");
        let auth = Auth {
            username: "rc".to_owned(),
            password_file: password_file.clone(),
        };
        let client = client_of(&files);
        client.set_auth("rc".to_owned(), "old".to_owned());
        let first = client.tls();
        write(&cert, OTHER.0);
        write(&key, OTHER.1);
        for mode in [0o640, 0o604] {
            let (mut refused, mut refused_password) = (None, None);
            readable(&key, mode);
            assert!(!look(&files, &client, &mut refused));
            assert!(told(refused) && client.tls() == first, "{mode:o}");
            readable(&password_file, mode);
            look_at_password(&auth, &client, &mut refused_password);
            assert!(told(refused_password), "{mode:o}");
            assert_eq!(client.auth().unwrap().1, "old");
        }
        readable(&key, 0o600);
        assert!(look(&files, &client, &mut None));
        readable(&password_file, 0o600);
        look_at_password(&auth, &client, &mut None);
        assert_eq!(client.auth().unwrap().1, "new");
    }

    #[test]
    fn a_password_that_is_replaced_is_taken_and_an_empty_file_is_refused() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Warn);
        let (mut config, _) = lab.loaded(crate::core::Mode::Daemon, false);
        let password_file = lab.path("password");
        write(&password_file, "new\n");
        config.etcd.auth = Some(Auth {
            username: "rc".to_owned(),
            password_file: password_file.clone(),
        });
        let mut options = Options::new(["http://127.0.0.1:1"]);
        options.auth = Some(("rc".to_owned(), "old".to_owned()));
        let client = Client::new(options).unwrap();
        let metrics = Arc::new(Metrics::new("1", "abc", ["f"]));
        let followed = (client.fork().unwrap(), metrics);
        let _followed = follow(&config, followed, Duration::from_millis(5)).unwrap();
        let used = |password: &str| (client.auth().unwrap().1 == password).then_some(());
        wait("the new password", || used("new"));
        write(&password_file, "\n");
        wait("a look at it", || {
            (said("password_unusable") == 1).then_some(())
        });
        assert!(used("new").is_some());
        write(&password_file, "newer");
        wait("the next", || used("newer"));
        hush();
    }

    #[test]
    fn files_are_followed_when_there_are_some() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Info);
        let (mut config, _) = lab.loaded(crate::core::Mode::Daemon, false);
        let metrics = Arc::new(Metrics::new("1", "abc", ["f"]));
        let follow = |config: &Config, client: &Client| {
            let followed = (client.fork().unwrap(), Arc::clone(&metrics));
            follow(config, followed, Duration::from_millis(5))
        };
        let plain = Client::new(Options::new(["http://127.0.0.1:1"])).unwrap();
        assert!(follow(&config, &plain).unwrap().is_none());
        let ca = lab.path("ca.crt");
        write(&ca, CA);
        let files = Tls {
            ca_file: Some(ca.clone()),
            client: None,
            insecure_skip_verify: false,
        };
        config.etcd.tls = Some(files.clone());
        let followed = follow(&config, &client_of(&files)).unwrap();
        assert!(followed.is_some());
        wait("the first look", || end(&metrics, "ca_file").then_some(()));
        assert!(!end(&metrics, "cert_file"));
        // It is looked at again and again.
        for text in [OTHER.0, CA] {
            metrics.certificates(None, None);
            write(&ca, text);
            wait("the new file", || end(&metrics, "ca_file").then_some(()));
        }
        assert_eq!(said("certificates_replaced"), 2);
        drop(followed);
        // Replaced before anybody followed them.
        let client = client_of(&files);
        metrics.certificates(None, None);
        write(&ca, OTHER.0);
        let new = etcd::tls(&files).ok();
        let followed = follow(&config, &client).unwrap();
        wait("their use", || (client.tls() == new).then_some(()));
        wait("its end", || end(&metrics, "ca_file").then_some(()));
        drop(followed);
        // What is gone for a moment ends nothing, and nothing is told of it.
        metrics.certificates(None, None);
        said("certificates_unusable");
        fs::remove_file(&ca).unwrap();
        let _followed = follow(&config, &client).unwrap();
        wait("a look at nothing", || {
            (said("certificates_unusable") > 0).then_some(())
        });
        assert!(!end(&metrics, "ca_file"));
        hush();
    }
}
