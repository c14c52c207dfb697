//! One look at one endpoint, layer by layer: name, connection, TLS, version. For a doctor; a [`Client`](crate::Client) does all of
//! it by itself.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use ureq::http::Uri;

use crate::error::setup;
use crate::http::Limits;
use crate::resolve::host_and_port;
use crate::session::{Session, Visit};
use crate::{Error, Options, TlsOptions};

/// What was found, as far as one layer after the other worked.
#[derive(Debug)]
pub struct Probe {
    /// Where its name leads.
    pub addresses: Result<Vec<SocketAddr>, Error>,
    /// How long a connection took; `None` when there was no address.
    pub connected: Option<Result<Duration, Error>>,
    /// The server's certificate, DER, which is empty when nobody checks it; `None` without TLS.
    pub certificate: Option<Result<Vec<u8>, Error>>,
    /// The version that it says; `None` when it was not asked.
    pub version: Option<Result<String, Error>>,
    /// The header `Date` of that answer.
    pub date: Option<String>,
}

/// Looks at the first endpoint of these options. Each layer takes at most their timeout.
///
/// # Errors
/// [`Error::Setup`] when the options cannot be used.
pub fn probe(options: &Options) -> Result<Probe, Error> {
    let session = Session::new(options.clone(), None)?;
    let url = &options.endpoints[0];
    let uri: Uri = url.parse().map_err(|_| setup(format!("{url} is no URL")))?;
    let is_tls = uri.scheme_str() == Some("https");
    let (host, port) = host_and_port(&uri).unwrap_or_default();
    let at = |error: std::io::Error| Error::NotSent {
        detail: match error.kind() {
            std::io::ErrorKind::TimedOut => format!("{url}: no connection in time"),
            // So a read says that its time is over.
            std::io::ErrorKind::WouldBlock => format!("{url}: no answer in time"),
            _ => format!("{url}: {error}"),
        },
    };
    let mut found = Probe {
        addresses: session
            .names
            .look_up(host, port, options.timeout)
            .map_err(at),
        connected: None,
        certificate: None,
        version: None,
        date: None,
    };
    let Ok(addresses) = &found.addresses else {
        return Ok(found);
    };
    let began = Instant::now();
    let stream = match connect(addresses, options.timeout) {
        Ok(stream) => stream,
        Err(error) => {
            found.connected = Some(Err(at(error)));
            return Ok(found);
        }
    };
    found.connected = Some(Ok(began.elapsed()));
    if let Some(tls) = options.tls.as_ref().filter(|_| is_tls) {
        let shaken = handshake(tls, host, stream, options.timeout).map_err(at);
        let failed = shaken.is_err();
        found.certificate = Some(shaken);
        if failed {
            return Ok(found);
        }
    }
    ask_version(&session, options.timeout, &mut found)?;
    Ok(found)
}

/// Asks for the version. The date beside it is known by then.
fn ask_version(session: &Session, timeout: Duration, found: &mut Probe) -> Result<(), Error> {
    let until = Instant::now() + timeout;
    let asked = session.check_version(Visit {
        agent: &session.agent()?.agent,
        endpoint: 0,
        limits: Limits {
            connect_until: until,
            until,
        },
    });
    let health = session.endpoints.health().swap_remove(0);
    found.date = health.date.map(|(_, date)| date);
    found.version = Some(asked.map(|()| health.version.unwrap_or_default()));
    Ok(())
}

/// The first of the addresses that takes a connection.
fn connect(addresses: &[SocketAddr], timeout: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpStream::connect_timeout(address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The certificate that the server shows, once it was found good.
fn handshake(
    tls: &TlsOptions,
    host: &str,
    mut stream: TcpStream,
    timeout: Duration,
) -> std::io::Result<Vec<u8>> {
    if tls.insecure_skip_verify {
        return Ok(Vec::new());
    }
    let config = tls.parse().map_err(std::io::Error::other)?.config;
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let shown = connection.peer_certificates().unwrap_or_default();
    Ok(shown.first().map(|it| it.to_vec()).unwrap_or_default())
}
