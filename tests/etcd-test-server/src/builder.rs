//! What a cluster is started from.

use crate::version::Version;

/// How clients talk to the cluster. Members talk to each other in plain TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    Off,
    /// HTTPS; no client certificate is asked for.
    Server,
    /// HTTPS; a client certificate of the CA is needed (`--client-cert-auth`).
    Mutual,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) version: Option<Version>,
    pub(crate) members: usize,
    pub(crate) tls: Tls,
    pub(crate) auth: Option<(String, String)>,
    pub(crate) fast_elections: bool,
    pub(crate) args: Vec<String>,
}

impl Builder {
    /// How many members; 1 by default.
    pub fn members(mut self, members: usize) -> Builder {
        self.members = members;
        self
    }

    /// Which version; by default the newest there is.
    pub fn version(mut self, version: &Version) -> Builder {
        self.version = Some(version.clone());
        self
    }

    /// TLS towards clients; off by default.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.tls = tls;
        self
    }

    /// Enables authentication, with `root` and this password.
    pub fn auth(mut self, root_password: &str) -> Builder {
        self.auth = Some(("root".to_owned(), root_password.to_owned()));
        self
    }

    /// Heartbeats every 10 ms and elections after 100 ms, instead of 100 ms and 1 s. The shortest TTL becomes 1 s.
    pub fn fast_elections(mut self) -> Builder {
        self.fast_elections = true;
        self
    }

    /// Another argument of the server, such as `--quota-backend-bytes=65536`.
    pub fn arg(mut self, arg: &str) -> Builder {
        self.args.push(arg.to_owned());
        self
    }
}
