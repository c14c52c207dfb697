//! Certificates for one test, as files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

/// A certificate and its private key, PEM files.
#[derive(Clone, Debug)]
pub struct CertFiles {
    /// The certificate.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl CertFiles {
    /// The contents of both.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn pem(&self) -> (Vec<u8>, Vec<u8>) {
        let read =
            |path: &Path| fs::read(path).expect("a certificate file of this test can be read");
        (read(&self.cert), read(&self.key))
    }
}

/// The certificates of a cluster with TLS.
#[derive(Clone, Debug)]
pub struct Pki {
    /// The CA that signed the servers and the client.
    pub ca: PathBuf,
    /// The servers'.
    pub server: CertFiles,
    /// A client's. Its subject is empty: etcd's gateway refuses client certificates with a common name when users are enabled.
    pub client: CertFiles,
    /// A client's with a common name.
    pub named_client: CertFiles,
    /// A CA that signed nothing of this cluster.
    pub other_ca: PathBuf,
    /// A client's, signed by the other CA.
    pub other_client: CertFiles,
    ca_key: PathBuf,
    host: String,
}

impl Pki {
    /// The CA's PEM.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn ca_pem(&self) -> Vec<u8> {
        fs::read(&self.ca).expect("the CA file of this test can be read")
    }

    /// The other CA's PEM.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn other_ca_pem(&self) -> Vec<u8> {
        fs::read(&self.other_ca).expect("the CA file of this test can be read")
    }

    /// Replaces the servers' and the client's certificates and keys by others of the same CA, which end after `lifetime`.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn renew(&self, lifetime: Duration) {
        let key = fs::read_to_string(&self.ca_key).expect("the CA's key of this test can be read");
        let key = KeyPair::from_pem(&key).expect("it was written as PEM");
        let ca = Issuer::new(authority("test CA"), key);
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock after 1970");
        let end = date_time_ymd(1970, 1, 1) + now + lifetime;
        for (files, names) in [
            (&self.server, names(&self.host)),
            (&self.client, Vec::new()),
        ] {
            let key = KeyPair::generate().expect("a key can be made");
            let mut params = member(names);
            params.not_after = end;
            let certificate = params.signed_by(&key, &ca).expect("the CA can sign");
            // Who reads in between finds files that do not fit together, as with every tool that renews.
            write(&files.key, &key.serialize_pem());
            write(&files.cert, &certificate.pem());
        }
    }

    pub(crate) fn create(folder: &Path, host: &str) -> Pki {
        fs::create_dir_all(folder).expect("the test's folder can be made");
        let ca = signs_itself("test CA");
        let other = signs_itself("other test CA");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            write(&path, &text);
            path
        };
        let make =
            |name: &str, by: &CertifiedIssuer<'static, KeyPair>, params: CertificateParams| {
                let key = KeyPair::generate().expect("a key can be made");
                let certificate = params.signed_by(&key, by).expect("the CA can sign");
                CertFiles {
                    cert: write(&format!("{name}.pem"), certificate.pem()),
                    key: write(&format!("{name}-key.pem"), key.serialize_pem()),
                }
            };
        let mut named = member(Vec::new());
        named.distinguished_name.push(DnType::CommonName, "node");
        Pki {
            server: make("server", &ca, member(names(host))),
            client: make("client", &ca, member(Vec::new())),
            named_client: make("named-client", &ca, named),
            other_client: make("other-client", &other, member(Vec::new())),
            ca: write("ca.pem", ca.pem()),
            other_ca: write("other-ca.pem", other.pem()),
            ca_key: write("ca-key.pem", ca.key().serialize_pem()),
            host: host.to_owned(),
        }
    }
}

/// Whole at once. Who checks that a key is not readable by others finds this one good.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the test's folder can be written");
    fs::set_permissions(&new, Permissions::from_mode(0o600))
        .expect("the test's own file can be changed");
    fs::rename(&new, path).expect("the test's own file can be replaced");
}

fn names(host: &str) -> Vec<String> {
    [host, "127.0.0.1", "localhost"].map(str::to_owned).to_vec()
}

/// A server's, or a client's without names.
fn member(names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("the names are valid");
    params.distinguished_name = DistinguishedName::new();
    // A server also needs `clientAuth`: its gateway is a client of the server itself.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn signs_itself(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key can be made");
    CertifiedIssuer::self_signed(authority(name), key).expect("a CA can sign itself")
}
