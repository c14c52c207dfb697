//! Files that a configuration names: who may change or read them, and whether TLS material fits together.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::reader::Field;

const GROUP_OR_OTHER_WRITE: u32 = 0o022;
const GROUP_OR_OTHER_READ: u32 = 0o044;
const ANY_EXECUTE: u32 = 0o111;
const STICKY: u32 = 0o1000;

/// `health_script`: it decides over reboots as root, so nobody else may change or replace it.
pub(super) fn health_script(field: &Field<'_>) -> Option<PathBuf> {
    field.required_text("the script that exits 0 while this node may reboot")?;
    let path = field.absolute_path()?;
    // A link is as safe as what it leads to and both folders.
    let target = match fs::canonicalize(&path) {
        Ok(target) => target,
        Err(error) => {
            field.problem(format!(
                "{} cannot be used: {error}; create it or correct the path",
                path.display()
            ));
            return None;
        }
    };
    let mut folders: Vec<&Path> = [path.parent(), target.parent()]
        .into_iter()
        .flatten()
        .collect();
    folders.dedup();
    let verdict = script(&target).and_then(|()| folders.into_iter().try_for_each(folder));
    verdict.map_err(|why| field.problem(why)).ok()?;
    Some(path)
}

fn script(path: &Path) -> Result<(), String> {
    let (shown, meta) = (path.display(), metadata(path)?);
    let mode = meta.permissions().mode();
    if !meta.is_file() {
        Err(format!(
            "{shown} is not a regular file; name the script itself"
        ))
    } else if mode & ANY_EXECUTE == 0 {
        Err(format!("{shown} is not executable; run chmod 755 {shown}"))
    } else if mode & GROUP_OR_OTHER_WRITE != 0 {
        Err(format!(
            "{shown} can be changed by its group or others; run chmod go-w {shown}"
        ))
    } else {
        Ok(())
    }
}

fn folder(path: &Path) -> Result<(), String> {
    let mode = metadata(path)?.permissions().mode();
    // In a sticky folder only the owner of a file may replace it.
    if mode & GROUP_OR_OTHER_WRITE != 0 && mode & STICKY == 0 {
        let shown = path.display();
        return Err(format!(
            "its folder {shown} can be changed by its group or others; run chmod go-w {shown}"
        ));
    }
    Ok(())
}

/// Refuses a secret that others than its owner may read.
pub(super) fn refuse_readers(field: &Field<'_>, path: &Path) -> Option<()> {
    // A file that cannot be looked at is reported by whoever reads its content.
    let Ok(meta) = metadata(path) else {
        return Some(());
    };
    if meta.permissions().mode() & GROUP_OR_OTHER_READ == 0 {
        return Some(());
    }
    let shown = path.display();
    field.problem(format!(
        "{shown} can be read by its group or others; run chmod 600 {shown}"
    ));
    None
}

/// Checks that there is a password. It is read again where it is used and kept nowhere.
pub(super) fn check_password(field: &Field<'_>, path: &Path) -> Option<()> {
    let shown = path.display();
    let why = match fs::read(path) {
        Ok(content) if content.iter().all(|byte| b"\r\n".contains(byte)) => {
            format!("{shown} is empty; write the password into it")
        }
        Ok(content) if std::str::from_utf8(&content).is_err() => {
            format!("{shown} is not text in UTF-8; etcd takes no other passwords")
        }
        Ok(_) => return Some(()),
        Err(error) => format!("{shown} cannot be read: {error}; create it with mode 600"),
    };
    field.problem(why);
    None
}

/// Checks the certificates to trust.
pub(super) fn check_authorities(path: &Path) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = store.add(certificate);
        added.map_err(|error| {
            format!(
                "{} holds a certificate that cannot be used: {error}; export it anew",
                path.display()
            )
        })?;
    }
    Ok(())
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{shown} is not PEM: {error}; export it anew"))?;
    if found.is_empty() {
        return Err(format!(
            "{shown} holds no certificate; it must begin with -----BEGIN CERTIFICATE-----"
        ));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        format!(
            "{} holds no usable private key: {error}; it must be PEM, not encrypted",
            path.display()
        )
    })
}

/// Checks that a client can log in with the two.
pub(super) fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), String> {
    match CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(
            "does not belong to cert_file; name the key the certificate was made for".to_owned(),
        ),
        Err(error) => Err(format!(
            "cannot be used with cert_file: {error}; make both anew"
        )),
    }
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    fs::metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}; create it or correct the path",
            path.display()
        )
    })
}
