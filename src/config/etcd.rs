//! `etcd_endpoints`, `etcd_tls`, `etcd_auth` and their neighbours.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_rs_sync::LONGEST_TIMEOUT;
use jiff::Timestamp;

use super::certificate::{beginning, end, ending, has_common_name};
use super::files;
use super::reader::{Field, Sink};
use super::{Auth, Etcd, Tls, key};
use crate::lock::keys::is_word;

/// DNS has no longer names; the client refuses one that is longer by far.
const LONGEST_NAME: usize = 254;

/// How etcd is reached.
pub(super) fn read(top: &Field<'_>, sink: &Sink) -> Etcd {
    let tls_field = top.field("etcd_tls");
    let tls = tls(&tls_field);
    // With broken TLS settings nothing sure can be said of the scheme.
    let with_tls = tls.as_ref().map(Option::is_some);
    let endpoints = endpoints(&top.field("etcd_endpoints"), with_tls);
    let auth_field = top.field("etcd_auth");
    let auth = auth(&auth_field);
    let away = |urls: &Vec<String>| {
        urls.iter()
            .any(|url| url.starts_with("http:") && !is_here(url))
    };
    if auth.is_some() && endpoints.as_ref().is_some_and(away) {
        auth_field.warning("the password crosses the network for everybody on the way to read, as TLS is not used; set etcd_tls");
    }
    if let Some(Some(tls)) = &tls {
        warn_of_term(&tls_field, tls);
        if auth.is_some() {
            warn_of_common_name(&tls_field, tls);
        }
    }
    Etcd {
        endpoints: sink.read(endpoints),
        namespace: sink.read(key::namespace(&top.field("etcd_namespace"))),
        tls: sink.read(tls),
        auth,
        timeout: sink.read(timeout(&top.field("etcd_timeout_sec"))),
    }
}

/// No longer than the client takes.
fn timeout(field: &Field<'_>) -> Option<Duration> {
    match field.seconds()? {
        timeout if timeout <= LONGEST_TIMEOUT => Some(timeout),
        timeout => field.refuse(format!(
            "must be at most {} seconds (an hour), but is {}",
            LONGEST_TIMEOUT.as_secs(),
            timeout.as_secs_f64()
        )),
    }
}

/// A warning and no problem: a clock that is wrong at boot must not keep the daemon from starting.
fn warn_of_term(field: &Field<'_>, tls: &Tls) {
    let client = tls.client.as_ref().map(|(cert, _)| ("cert_file", cert));
    let authority = tls.ca_file.as_ref().map(|ca| ("ca_file", ca));
    let now = Timestamp::now();
    for (name, path) in client.into_iter().chain(authority) {
        let chain = files::certificates(path).unwrap_or_default();
        let early = chain.iter().find_map(|der| beginning(der, now));
        let told = early.or_else(|| certificate_end(path).and_then(|end| ending(end, now)));
        if let Some(words) = told {
            field.warning(format!(
                "a certificate in {name} ({}) {words}",
                path.display()
            ));
        }
    }
}

/// When the first of the certificates in a file ends, as far as that can be read.
pub(crate) fn certificate_end(path: &Path) -> Option<Timestamp> {
    let chain = files::certificates(path).unwrap_or_default();
    chain.iter().filter_map(|der| end(der)).min()
}

/// etcd's gateway answers 400 to such a certificate, whatever user comes with it.
fn warn_of_common_name(field: &Field<'_>, tls: &Tls) {
    let Some((cert, _)) = &tls.client else { return };
    let chain = files::certificates(cert).unwrap_or_default();
    if chain.first().is_some_and(|cert| has_common_name(cert)) {
        let remedy = "use a client certificate without one, or none";
        field.warning(format!(
            "the certificate in cert_file has a common name, which an etcd with --client-cert-auth refuses together with etcd_auth; {remedy}"
        ));
    }
}

fn endpoints(field: &Field<'_>, with_tls: Option<bool>) -> Option<Vec<String>> {
    let remedy = "list the members, for example [etcd-1.example.com:2379]";
    let items = field.or_missing(field.texts(), remedy)?;
    let mut endpoints: Vec<String> = Vec::new();
    for (item, text) in items {
        match endpoint(text.trim(), with_tls) {
            Ok(url)
                if endpoints
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(&url)) =>
            {
                item.warning(format!("{url} is listed twice"));
            }
            Ok(url) => endpoints.push(url),
            Err(why) => item.problem(why),
        }
    }
    Some(endpoints)
}

/// `host:port` or a URL, as `scheme://host:port`.
fn endpoint(text: &str, with_tls: Option<bool>) -> Result<String, String> {
    if text.contains('@') {
        // Not repeated in the message: it holds a password.
        return Err("must not contain a user; set etcd_auth".to_owned());
    }
    // Neither is what stands behind the address: it may be a token.
    let known = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match known.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, known),
    };
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let shown = format!("{}{address}", &known[..known.len() - rest.len()]);
    let scheme = match (scheme.as_deref(), with_tls) {
        (Some("http"), Some(true)) => {
            return Err(format!(
                "{shown:?} is http although etcd_tls is enabled; write https:// or no scheme at all"
            ));
        }
        (Some("https"), Some(false)) => {
            return Err(format!(
                "{shown:?} is https although etcd_tls is not enabled; set etcd_tls.enabled and ca_file"
            ));
        }
        (Some("http"), _) | (None, Some(false) | None) => "http",
        (Some("https"), _) | (None, Some(true)) => "https",
        (Some(other), _) => {
            return Err(format!(
                "the scheme {other:?} is not known; use http or https"
            ));
        }
    };
    if known != text || !path.is_empty() {
        return Err(format!("{shown:?} must not have a path; write host:port"));
    }
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    if !is_host(host) {
        return Err(format!(
            "{shown:?} must be host:port; an IPv6 address is written [::1]:2379"
        ));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(format!("{scheme}://{host}:{port}")),
        _ => Err(format!(
            "{shown:?} needs a port from 1 to 65535 after the host, usually :2379"
        )),
    }
}

/// Whether what is sent to this endpoint leaves no network of this host.
fn is_here(url: &str) -> bool {
    let address = url.trim_start_matches("http://");
    let ip = address.parse().map(|it: SocketAddr| it.ip());
    address.starts_with("localhost:") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_word(host, LONGEST_NAME),
    }
}

/// `None`: problems. `Some(None)`: not enabled.
fn tls(field: &Field<'_>) -> Option<Option<Tls>> {
    if !field.is_set() {
        return Some(None);
    }
    let map = field.map()?;
    if !map.enabled() {
        // Other fields may be filled already; they are not looked at until TLS is switched on.
        return Some(None);
    }
    let insecure = map.field("insecure_skip_verify");
    let insecure_skip_verify = insecure.bool();
    if insecure_skip_verify {
        insecure.warning("is true: anyone in between can pose as etcd and permit reboots");
    }
    let ca_file = ca_file(&map.field("ca_file"), insecure_skip_verify);
    let client = client(&map.field("cert_file"), &map.field("key_file"));
    Some(Some(Tls {
        ca_file: ca_file?,
        client: client?,
        insecure_skip_verify,
    }))
}

fn ca_file(field: &Field<'_>, insecure: bool) -> Option<Option<PathBuf>> {
    if insecure && !field.is_given() {
        return Some(None);
    }
    let remedy = "name the certificate of the authority that signed etcd's, since system authorities are not trusted";
    files::authorities(field.required(remedy)?).map(Some)
}

fn client(cert: &Field<'_>, key: &Field<'_>) -> Option<Option<(PathBuf, PathBuf)>> {
    if !cert.is_given() && !key.is_given() {
        return Some(None);
    }
    key.required("it belongs to cert_file; set both or none")?;
    cert.required("it belongs to key_file; set both or none")?;
    let (cert_path, key_path) = (cert.absolute_path(), key.absolute_path());
    let (cert_path, key_path) = (cert_path?, key_path?);
    let chain = cert.accept(files::certificates(&cert_path));
    let private = key.accept(files::private_key(&key_path));
    key.accept(files::check_pair(chain?, private?))?;
    Some(Some((cert_path, key_path)))
}

fn auth(field: &Field<'_>) -> Option<Auth> {
    let map = field.map()?;
    let (user, file) = (map.field("username"), map.field("password_file"));
    let username = user.required("the etcd user of this node");
    let username = username.and_then(Field::text);
    let password_file = file
        .required("a file that holds the password and only its owner may read")?
        .absolute_path()?;
    // It is read again where it is used, and kept nowhere.
    file.accept(files::password(&password_file))?;
    Some(Auth {
        username: username?,
        password_file,
    })
}
