//! Files that a configuration names: who may change or read them, and whether TLS material fits together.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::reader::Field;
use crate::trust;

/// More than the certificates of every authority there is.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What is often lost of PEM on its way through other files.
const LINES: &str = "with each BEGIN and END on a line of its own";

/// `health_script`: it decides over reboots as root. So does what it finds in these places.
pub(super) fn health_script(field: &Field<'_>, places: &[PathBuf]) -> Option<PathBuf> {
    let places = places.iter().filter(|place| place.is_dir());
    let doubts = places.filter_map(|place| {
        let error = trust::folder(place).err()?;
        Some(unusable(place, "used", error))
    });
    // Places below one open folder are told once.
    for why in doubts.collect::<BTreeSet<_>>() {
        field.warning(format!("scripts look for their commands in PATH: {why}"));
    }
    let remedy = "the script that exits 0 while this node may reboot";
    let path = field.required(remedy)?.absolute_path()?;
    let judged = trust::program(&path);
    field.accept(judged.map_err(|error| unusable(&path, "used", error)))?;
    Some(path)
}

/// The password that a file holds, without the line end.
pub(crate) fn password(path: &Path) -> Result<String, String> {
    // A password may begin with a slash, too, and stand where its file should be.
    let folder = path.parent().filter(|folder| *folder != Path::new("/"));
    let shown = match path.exists() || folder.is_some_and(Path::is_dir) {
        true => path.display().to_string(),
        false => "what is named there".to_owned(),
    };
    let content = trust::secret(path, MAX_BYTES).map_err(|error| {
        trust::words(error, |error| {
            format!(
                "{shown} cannot be read: {error}; run this as root, or create the file with mode 600"
            )
        })
    })?;
    let text = String::from_utf8(content)
        .map_err(|_| format!("{shown} is not text in UTF-8; etcd takes no other passwords"))?;
    // As editors leave it, those of other systems too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim_matches(['\r', '\n']).is_empty() {
        return Err(format!("{shown} is empty; write the password into it"));
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// The file of authorities that a field names, each of which can be used.
pub(super) fn authorities(field: &Field<'_>) -> Option<PathBuf> {
    let path = field.absolute_path()?;
    let mut store = RootCertStore::empty();
    for certificate in field.accept(certificates(&path))? {
        let added = store.add(certificate).map_err(|error| {
            format!(
                "{} holds a certificate that cannot be used: {error}; export it anew",
                path.display()
            )
        });
        field.accept(added)?;
    }
    Some(path)
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    // What the parser says repeats what it read, which may be a key.
    let found = found.map_err(|_| format!("{shown} is not PEM, {LINES}; export it anew"))?;
    if found.is_empty() {
        return Err(format!(
            "{shown} holds no certificate; it must begin with -----BEGIN CERTIFICATE-----"
        ));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&secret(path)?).map_err(|_| {
        format!(
            "{} holds no usable private key; it must be PEM, {LINES}, and not encrypted",
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
            "cannot be used with cert_file: {error}; make both anew, with a key of P-256, P-384, Ed25519, or RSA from 2048 bits"
        )),
    }
}

/// What etcd is known by, and what is shown to it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    trust::read(path, MAX_BYTES).map_err(|error| unusable(path, "read", error))
}

/// A private key.
pub(crate) fn secret(path: &Path) -> Result<Vec<u8>, String> {
    trust::secret(path, MAX_BYTES).map_err(|error| unusable(path, "read", error))
}

fn unusable(path: &Path, done: &str, error: io::Error) -> String {
    let shown = path.display();
    trust::words(error, |error| {
        format!("{shown} cannot be {done}: {error}; create it or correct the path")
    })
}
