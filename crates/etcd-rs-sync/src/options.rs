//! What a [`Client`](crate::Client) is made from.

use std::fmt;
use std::time::Duration;

use ureq::http::Uri;

use crate::error::setup;
use crate::{Error, TlsOptions};

/// Whoever waits longer than this for one answer has made a mistake.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// How to reach etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// `http://` or `https://` URLs of members, without a path, such as `https://10.0.0.1:2379`. One is used as long as it
    /// works, then the next.
    pub endpoints: Vec<String>,
    /// The bound of one call in total: every endpoint tried, authentication included.
    pub timeout: Duration,
    /// Certificates; needed for `https://` endpoints.
    pub tls: Option<TlsOptions>,
    /// User and password, when the cluster has authentication enabled.
    pub auth: Option<(String, String)>,
}

impl Options {
    /// Plain options: these endpoints, 5 seconds a call, no TLS, no user.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Options {
        Options {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            timeout: Duration::from_secs(5),
            tls: None,
            auth: None,
        }
    }

    /// Checks everything that can be checked without the network.
    ///
    /// # Errors
    /// [`Error::Setup`] that says what is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        if self.endpoints.is_empty() {
            return Err(setup("no etcd endpoint is given".into()));
        }
        if self.timeout.is_zero() {
            return Err(setup("the etcd timeout is zero".into()));
        }
        if self.timeout > LONGEST_TIMEOUT {
            return Err(setup("the etcd timeout is longer than an hour".into()));
        }
        for endpoint in &self.endpoints {
            self.validate_endpoint(endpoint)?;
        }
        self.tls.as_ref().map_or(Ok(()), TlsOptions::validate)
    }

    fn validate_endpoint(&self, endpoint: &str) -> Result<(), Error> {
        // Before anything else, so that no message below repeats a password.
        if endpoint.contains('@') {
            return Err(setup(
                "an etcd endpoint holds a user or password: give those as user and password".into(),
            ));
        }
        let bad = |why: &str| {
            setup(format!(
                "etcd endpoint '{}': {why}",
                endpoint.escape_debug()
            ))
        };
        let uri: Uri = endpoint
            .parse()
            .map_err(|_| bad("is not a URL such as http://10.0.0.1:2379"))?;
        if uri.authority().is_none_or(|a| a.host().is_empty()) {
            return Err(bad("names no host"));
        }
        // `Uri` takes any digits for a port, and then says that there is none.
        let port_is_usable = uri.authority().is_some_and(|authority| {
            authority.as_str().len() == authority.host().len()
                || authority.port_u16().is_some_and(|port| port > 0)
        });
        if !port_is_usable {
            return Err(bad("has no usable port"));
        }
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(bad("has a path; only scheme, host and port belong there"));
        }
        match uri.scheme_str() {
            Some("http") => Ok(()),
            Some("https") if self.tls.is_some() => Ok(()),
            Some("https") => Err(bad("is https, so TLS has to be set up: a CA file at least")),
            _ => Err(bad("must start with http:// or https://")),
        }
    }
}

/// Without the password and the private key.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoints", &self.endpoints)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("user", &self.auth.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(endpoint: &str) -> Result<(), Error> {
        Options::new([endpoint]).validate()
    }

    #[test]
    fn endpoints_are_scheme_host_and_port() {
        for good in [
            "http://10.0.0.1:2379",
            "http://etcd.example:2379/",
            "http://[::1]:2379",
            "http://etcd",
        ] {
            assert!(verdict(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "10.0.0.1:2379",
            "ftp://a:1",
            "http://",
            "http://a:1/v3",
            "http://a:1?x=y",
            "http://a:99999",
            "http://a:0",
            "http://a:",
            "http://a b",
            "https://a:2379",
            "unix:/run/etcd",
        ] {
            assert!(matches!(verdict(bad), Err(Error::Setup { .. })), "{bad}");
        }
        assert!(Options::new(Vec::<String>::new()).validate().is_err());
        for timeout in [Duration::ZERO, Duration::MAX] {
            let mut options = Options::new(["http://10.0.0.1:2379"]);
            options.timeout = timeout;
            assert!(options.validate().is_err(), "{timeout:?}");
        }
    }

    #[test]
    fn no_secret_is_ever_printed() {
        let error = verdict("http://root:geheim@a:2379")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("geheim"), "{error}");
        let mut options = Options::new(["http://a:1"]);
        options.auth = Some(("root".into(), "geheim".into()));
        options.tls = Some(TlsOptions {
            client_pem: Some((b"cert".to_vec(), b"geheim".to_vec())),
            ..TlsOptions::default()
        });
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("geheim") && !shown.contains("103, 101"),
            "{shown}"
        );
    }
}
