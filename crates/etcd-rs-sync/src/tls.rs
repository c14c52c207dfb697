//! Certificates: checked with rustls when a client is made, because ureq drops unusable roots without a word and panics inside
//! a request when a certificate does not fit its key.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use crate::Error;
use crate::error::setup;

/// Certificates for `https://` endpoints. No public root is ever trusted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The CA certificates that servers must be signed by, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The client's certificate chain and its private key, PEM.
    pub client_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// Accept any server certificate. Then whoever is on the network path can answer instead of etcd.
    pub insecure_skip_verify: bool,
}

/// Without the private key.
impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("ca", &self.ca_pem.is_some())
            .field("client_certificate", &self.client_pem.is_some())
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish()
    }
}

impl TlsOptions {
    /// Checks that everything parses and that the certificate fits its key.
    ///
    /// # Errors
    /// [`Error::Setup`] that says what does not.
    pub fn validate(&self) -> Result<(), Error> {
        self.parse().map(|_| ())
    }

    /// What ureq is given, after the same code path has accepted it that would panic later.
    pub(crate) fn to_ureq(&self) -> Result<TlsConfig, Error> {
        let Parsed { roots, chain, .. } = self.parse()?;
        let of_ureq = |chain: &Chain| -> Vec<Certificate<'static>> {
            let chain = chain.iter();
            chain
                .map(|der| Certificate::from_der(der).to_owned())
                .collect()
        };
        let key = self.client_pem.as_ref();
        let key = key.map(|(_, pem)| PrivateKey::from_pem(pem)).transpose();
        let key = key.map_err(|_| setup("the client key cannot be read".into()))?;
        let client = key.map(|key| ClientCert::new_with_certs(&of_ureq(&chain), key));
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::new_with_certs(&of_ureq(&roots)))
            .client_cert(client)
            .disable_verification(self.insecure_skip_verify)
            .build())
    }

    pub(crate) fn parse(&self) -> Result<Parsed, Error> {
        let roots = match &self.ca_pem {
            Some(pem) => certificates(pem, "the CA file")?,
            None if self.insecure_skip_verify => Vec::new(),
            None => {
                return Err(setup(
                    "no CA is given: it says which servers to trust, and no public CA is built in"
                        .into(),
                ));
            }
        };
        let mut store = RootCertStore::empty();
        for root in &roots {
            store
                .add(root.clone())
                .map_err(|e| setup(format!("a CA certificate cannot be used: {e}")))?;
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| setup(format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(store);
        let Some((cert_pem, key_pem)) = &self.client_pem else {
            return Ok(Parsed {
                roots,
                chain: Vec::new(),
                config: builder.with_no_client_auth(),
            });
        };
        let chain = certificates(cert_pem, "the client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| {
            setup("the client key has no private key in PEM form, unencrypted".into())
        })?;
        // rustls compares the key with the certificate here.
        let config = builder
            .with_client_auth_cert(chain.clone(), key)
            .map_err(|e| {
                setup(format!(
                    "the client certificate and key cannot be used together: {e}"
                ))
            })?;
        Ok(Parsed {
            roots,
            chain,
            config,
        })
    }
}

/// What the PEM texts hold.
pub(crate) struct Parsed {
    roots: Chain,
    /// The client's.
    chain: Chain,
    /// What a handshake is made with that checks the server's certificate.
    pub(crate) config: ClientConfig,
}

type Chain = Vec<CertificateDer<'static>>;

/// ring, named explicitly: no process-wide default is relied on.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8], what: &str) -> Result<Chain, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    // What the parser says repeats what it read, which may be a key.
    let certificates = parsed.map_err(|_| {
        let lines = "each BEGIN and END must be on a line of its own";
        setup(format!("{what} is not valid PEM: {lines}; export it anew"))
    })?;
    if certificates.is_empty() {
        return Err(setup(format!("{what} holds no certificate in PEM form")));
    }
    Ok(certificates)
}
