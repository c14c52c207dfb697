//! `http`: does a server say that this host is to reboot?
//!
//! Whatever is not the answer of a working server is an error, never "not required": a refused or silent connection, a
//! redirect, a status that was not foreseen, a document that is no JSON or lacks the place that is asked for.

use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use crate::config::{self, HttpCheck, HttpMeans};
use crate::core::facts::DetectorResult;
use crate::process::Cancel;
use crate::trust;

/// The most bytes of a document that are read. One that tells whether a host is to reboot stays far below.
const MAX_BODY_BYTES: u64 = 256 * 1024;

/// The most bytes of a reply's header.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Buffers of the connection, in each direction.
const BUFFER_BYTES: usize = 1 << 13;

/// Where systems keep the authorities that they trust, Debian's kind first.
const SYSTEM_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Asks the server, for at most `limit`, name look-up and all.
pub(super) fn ask(check: &HttpCheck, limit: Duration, cancel: &Cancel) -> DetectorResult {
    let owned = check.clone();
    let key = format!("http {}", check.url);
    let silence = (NO_ANSWER, "an earlier request has not come back yet");
    super::limited(&key, limit, cancel, silence, move || answer(&owned, limit))
        .and_then(|answer| answer)
        .unwrap_or_else(DetectorResult::Failed)
}

const NO_ANSWER: &str = "no complete answer";

fn timed_out(limit: Duration) -> String {
    format!("{NO_ANSWER} within {} s", limit.as_secs_f64())
}

fn answer(check: &HttpCheck, limit: Duration) -> Result<DetectorResult, String> {
    let response = agent(check, limit)?.get(&check.url).call();
    let response = response.map_err(|error| match error {
        ureq::Error::Timeout(_) => timed_out(limit),
        other => other.to_string(),
    })?;
    let status = response.status().as_u16();
    match &check.means {
        HttpMeans::Status(codes) if codes.contains(&status) => {
            Ok(DetectorResult::Required(format!("status {status}")))
        }
        HttpMeans::Status(_) if (200..300).contains(&status) => Ok(DetectorResult::Clear),
        HttpMeans::Json(pointer, equals) if (200..300).contains(&status) => {
            let document = document(response.into_body(), limit)?;
            let found = document.pointer(pointer);
            let place = if pointer.is_empty() {
                "the document"
            } else {
                pointer
            };
            let found = found.ok_or_else(|| format!("the document has nothing at {pointer}"))?;
            Ok(match same(found, equals) {
                true => DetectorResult::Required(format!("{place} is {found}")),
                false => DetectorResult::Clear,
            })
        }
        HttpMeans::Status(_) | HttpMeans::Json(..) => Err(match status {
            300..400 => format!("status {status}: redirects are not followed; name the final URL"),
            _ => format!("status {status}"),
        }),
    }
}

/// JSON knows one kind of number: 1 is 1.0.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found == wanted,
        _ => found == wanted,
    }
}

fn document(body: Body, limit: Duration) -> Result<Value, String> {
    let body = body.into_with_config().limit(MAX_BODY_BYTES);
    let text = body.read_to_vec().map_err(|error| match error {
        ureq::Error::Timeout(_) => timed_out(limit),
        ureq::Error::BodyExceedsLimit(_) => {
            format!("the document is longer than {MAX_BODY_BYTES} bytes")
        }
        other => format!("the document broke off: {other}"),
    })?;
    serde_json::from_slice(&text).map_err(|error| format!("the document is not JSON: {error}"))
}

fn agent(check: &HttpCheck, limit: Duration) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .proxy(None) // never the environment's
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("reboot-coordinator/", env!("CARGO_PKG_VERSION")))
        .accept_encoding(AutoHeaderValue::None)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES)
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(0)
        .timeout_global(Some(limit));
    if check.url.starts_with("https:") {
        config = config.tls_config(tls(check.ca_file.as_deref())?);
    }
    let connector = DefaultConnector::default();
    Ok(Agent::with_parts(config.build(), connector, Names))
}

fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
    let path = match ca_file {
        Some(path) => path,
        None => SYSTEM_AUTHORITIES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or("the system has no certificates of authorities; set tls_ca_file")?,
    };
    let shown = path.display();
    let pem = trust::plain(path, u64::MAX).map_err(|error| format!("{shown}: {error}"))?;
    let roots: Vec<Certificate<'static>> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .map(|der| Certificate::from_der(&der).to_owned())
        .collect();
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate"));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}

/// Looks names up in the thread that asks. ureq's own resolver starts a thread for each request and panics when it cannot;
/// here the whole request has a thread and a limit already.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = config::port(uri).ok_or(ureq::Error::HostNotFound)?;
        let address = (host.trim_matches(['[', ']']), port);
        let found = address.to_socket_addrs().map_err(ureq::Error::Io)?;
        let mut addresses = self.empty();
        let room = 16; // of ureq's list
        for address in found.take(room) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests;
