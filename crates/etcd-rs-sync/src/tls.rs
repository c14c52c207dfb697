//! Certificates: checked with rustls when a client is made, because ureq drops unusable roots without a word and panics inside
//! a request when a certificate does not fit its key.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
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
        let parsed = self.parse()?;
        let roots: Vec<Certificate<'static>> = parsed.roots.iter().map(certificate).collect();
        let client = match (&self.client_pem, parsed.client_chain) {
            (Some((_, key_pem)), Some(chain)) => {
                let chain: Vec<Certificate<'static>> = chain.iter().map(certificate).collect();
                let key = PrivateKey::from_pem(key_pem)
                    .map_err(|_| setup("the client key cannot be read".into()))?;
                Some(ClientCert::new_with_certs(&chain, key))
            }
            _ => None,
        };
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(client)
            .disable_verification(self.insecure_skip_verify)
            .build())
    }

    fn parse(&self) -> Result<Parsed, Error> {
        let roots = self.parse_roots()?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            store
                .add(root.clone())
                .map_err(|e| setup(format!("a CA certificate cannot be used: {e}")))?;
        }
        let Some((cert_pem, key_pem)) = &self.client_pem else {
            return Ok(Parsed {
                roots,
                client_chain: None,
                config: builder()?
                    .with_root_certificates(store)
                    .with_no_client_auth(),
            });
        };
        let chain = certificates(cert_pem, "the client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| {
            setup("the client key has no private key in PEM form, unencrypted".into())
        })?;
        // rustls compares the key with the certificate here.
        let config = builder()?
            .with_root_certificates(store)
            .with_client_auth_cert(chain.clone(), key)
            .map_err(|e| {
                setup(format!(
                    "the client certificate and key cannot be used together: {e}"
                ))
            })?;
        let client_chain = Some(chain);
        Ok(Parsed {
            roots,
            client_chain,
            config,
        })
    }

    /// What a handshake is made with that checks the server's certificate.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, Error> {
        Ok(self.parse()?.config)
    }

    fn parse_roots(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        match &self.ca_pem {
            Some(pem) => certificates(pem, "the CA file"),
            None if self.insecure_skip_verify => Ok(Vec::new()),
            None => Err(setup(
                "no CA is given: it says which servers to trust, and no public CA is built in"
                    .into(),
            )),
        }
    }
}

struct Parsed {
    roots: Vec<CertificateDer<'static>>,
    client_chain: Option<Vec<CertificateDer<'static>>>,
    config: ClientConfig,
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(format!("TLS cannot be set up: {e}")))
}

/// ring, named explicitly: no process-wide default is relied on.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = parsed.map_err(|e| setup(format!("{what} is not valid PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(setup(format!("{what} holds no certificate in PEM form")));
    }
    Ok(certificates)
}

fn certificate(der: &CertificateDer<'static>) -> Certificate<'static> {
    Certificate::from_der(der).to_owned()
}
