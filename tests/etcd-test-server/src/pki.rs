//! Certificates for one test, as files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
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
    /// A CA that signed nothing of this cluster.
    pub other_ca: PathBuf,
    /// A client's, signed by the other CA.
    pub other_client: CertFiles,
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

    pub(crate) fn create(folder: &Path, host: &str) -> Pki {
        fs::create_dir_all(folder).expect("the test's folder can be made");
        let ca = authority("test CA");
        let other = authority("other test CA");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).expect("the test's folder can be written");
            // Who checks that a key is not readable by others finds this one good.
            fs::set_permissions(&path, Permissions::from_mode(0o600))
                .expect("the test's own file can be changed");
            path
        };
        let signed = |name: &str, by: &CertifiedIssuer<'static, KeyPair>, subject: Vec<String>| {
            let key = KeyPair::generate().expect("a key can be made");
            let mut params = CertificateParams::new(subject).expect("the names are valid");
            params.distinguished_name = DistinguishedName::new();
            // A server also needs `clientAuth`: its gateway is a client of the server itself.
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let certificate = params.signed_by(&key, by).expect("the CA can sign");
            CertFiles {
                cert: write(&format!("{name}.pem"), certificate.pem()),
                key: write(&format!("{name}-key.pem"), key.serialize_pem()),
            }
        };
        let names = vec![
            host.to_owned(),
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
        ];
        Pki {
            server: signed("server", &ca, names),
            client: signed("client", &ca, Vec::new()),
            other_client: signed("other-client", &other, Vec::new()),
            ca: write("ca.pem", ca.pem()),
            other_ca: write("other-ca.pem", other.pem()),
        }
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key can be made");
    CertifiedIssuer::self_signed(params, key).expect("a CA can sign itself")
}
