//! What was found at an endpoint, and what to do about it: one table.
//!
//! Servers, proxies and TLS say what is wrong in words that help nobody. Each row knows some of those words; the first rows are
//! the most telling. The rows are met in the tests against the real thing, and `docs/etcd.md` of the repository repeats them.

use crate::wire::holds_any;

/// One row: what was found, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Remedy {
    /// A short name: causes are told apart by it.
    pub name: &'static str,
    /// Words of an error by which it is known, any of them.
    words: &'static [&'static str],
    /// What it is.
    pub found: &'static str,
    /// What to do.
    pub todo: &'static str,
}

/// All rows.
pub const REMEDIES: &[Remedy] = &[
    Remedy {
        name: "went-back",
        words: &["it was restored from a backup, lost its data"],
        found: "a store at an older revision than before: restored, emptied, or a member that disagrees",
        todo: "look after the nodes that are down or drained, then restart this program",
    },
    Remedy {
        name: "other-cluster",
        words: &["it belongs to the etcd cluster"],
        found: "a member of another cluster",
        todo: "list members of one cluster; after a replacement on purpose restart this program",
    },
    Remedy {
        name: "old-version",
        words: &["3.4 or later is needed"],
        found: "an etcd that is too old",
        todo: "use etcd 3.4 or later",
    },
    Remedy {
        name: "common-name",
        words: &["CommonName of client"],
        found: "etcd's gateway, which refuses client certificates with a common name once users are on",
        todo: "use a client certificate with an empty common name, or none",
    },
    Remedy {
        name: "server-expired",
        words: &[
            "invalid peer certificate: certificate expired",
            "invalid peer certificate: Expired",
        ],
        found: "a server certificate that has ended, or a host whose clock is wrong",
        todo: "renew etcd's certificate, and check the clock of this host",
    },
    Remedy {
        name: "server-early",
        words: &[
            "certificate not valid yet",
            "invalid peer certificate: NotValidYet",
        ],
        found: "a server certificate that does not begin yet, most likely a host whose clock is wrong",
        todo: "check the clock of this host",
    },
    Remedy {
        name: "server-name",
        words: &[
            "certificate not valid for name",
            "invalid peer certificate: NotValidForName",
        ],
        found: "a server certificate for other names than the endpoint's",
        todo: "write one of its names into etcd_endpoints, or add the endpoint's name to the certificate",
    },
    Remedy {
        name: "server-unknown",
        words: &["UnknownIssuer", "BadSignature"],
        found: "a server certificate that the CA in ca_file did not sign",
        todo: "put the CA that signed etcd's certificate into ca_file",
    },
    Remedy {
        name: "server-ca",
        words: &["CaUsedAsEndEntity"],
        found: "a server certificate that is an authority's own, as openssl req -x509 makes it",
        todo: "give etcd a certificate that an authority signed and that is none itself (basicConstraints=CA:FALSE)",
    },
    Remedy {
        name: "server-kind",
        words: &[
            "fatal alert: HandshakeFailure",
            "UnsupportedSignatureAlgorithm",
            "PeerIncompatible",
        ],
        found: "a server that offers nothing this program can check, such as the P-521 key that etcd's --auto-tls makes, or TLS older than 1.2; or one that wants a client certificate, under TLS 1.2",
        todo: "give etcd a certificate of its own with a P-256, P-384 or RSA key; when it wants a client certificate, set etcd_tls.cert_file and key_file",
    },
    Remedy {
        name: "client-expired",
        words: &["fatal alert: CertificateExpired"],
        found: "a server that says the client certificate has ended, or has not begun",
        todo: "renew the certificate in cert_file, or set the clock that is wrong",
    },
    Remedy {
        name: "client-missing",
        words: &["fatal alert: CertificateRequired"],
        found: "a server that wants a client certificate",
        todo: "set etcd_tls.cert_file and key_file",
    },
    Remedy {
        name: "client-refused",
        words: &[
            "fatal alert: BadCertificate",
            "fatal alert: UnknownCA",
            "fatal alert: UnknownCa",
            "fatal alert: CertificateUnknown",
            "fatal alert: UnsupportedCertificate",
            "fatal alert: AccessDenied",
            "fatal alert: DecryptError",
            "around the TLS handshake",
        ],
        found: "a server that does not accept the client certificate: it is of another CA, for servers only, missing or ended",
        todo: "check cert_file against etcd's --trusted-ca-file, its end and its use (clientAuth)",
    },
    Remedy {
        name: "tls-to-plain",
        words: &["InvalidContentType", "unexpected end of file"],
        found: "a server that does not speak TLS, or ends the connection in the middle of it",
        todo: "write http:// and set etcd_tls.enabled to false, or turn TLS on in etcd (--cert-file, --key-file); its log says whether it refuses the certificate of this node",
    },
    Remedy {
        name: "not-http",
        words: &["http parse fail", "Protocol(", "protocol:"],
        found: "a server that does not speak HTTP/1.1, such as a port for gRPC only",
        todo: "name the address where etcd serves its gateway, by default the client port 2379",
    },
    Remedy {
        name: "plain-to-tls",
        words: &[
            "when it was asked for its version",
            "HTTP request to an HTTPS server",
        ],
        found: "a server that closes a plain connection: it speaks TLS, or only gRPC",
        todo: "write https:// and set etcd_tls; for etcd with --listen-client-http-urls name that address",
    },
    Remedy {
        name: "login-refused",
        words: &["with this password"],
        found: "etcd, which refuses user and password",
        todo: "check etcd_auth.username and the file password_file, which ends in at most one line break",
    },
    Remedy {
        name: "login-needed",
        words: &["user name is empty"],
        found: "etcd with users turned on",
        todo: "set etcd_auth",
    },
    Remedy {
        name: "denied",
        words: &["permission denied"],
        found: "etcd, whose user may not do this",
        todo: "grant the role the rights that docs/etcd.md lists",
    },
    Remedy {
        name: "no-space",
        words: &["database space exceeded"],
        found: "etcd whose database is full, which refuses writes (alarm NOSPACE)",
        todo: "compact and defragment it, raise --quota-backend-bytes, then `etcdctl alarm disarm`",
    },
    Remedy {
        name: "corrupt",
        words: &["corrupt cluster"],
        found: "etcd whose members do not hold the same data (alarm CORRUPT)",
        todo: "compare them with `etcdctl endpoint hashkv --cluster`, replace the one that differs, then `etcdctl alarm disarm`",
    },
    Remedy {
        name: "learner",
        words: &["rpc not supported for learner"],
        found: "a member that does not vote yet",
        todo: "name members that vote, or promote it with `etcdctl member promote`",
    },
    Remedy {
        name: "limits",
        words: &["too many operations in txn request", "request is too large"],
        found: "etcd that was told to take smaller requests than by default",
        todo: "remove --max-txn-ops and --max-request-bytes",
    },
    Remedy {
        name: "too-long",
        words: &["the reply is longer than 16777216 bytes"],
        found: "etcd, which holds more below lock_key than is read at once: large values of something else, or more members than a group may have",
        todo: "delete there what is not of this program (`etcdctl get --prefix --keys-only` lists it), or give parts of the fleet a lock_key of their own",
    },
    Remedy {
        name: "no-leader",
        words: &["no leader"],
        found: "a member without a leader: too few members run or reach each other",
        todo: "start the missing members, or repair the network between them",
    },
    Remedy {
        name: "gateway-off",
        words: &["404 page not found"],
        found: "etcd without its gateway, or its peer port",
        todo: "remove --enable-grpc-gateway=false; with --config-file etcd 3.4 needs enable-grpc-gateway: true; name the client port, by default 2379",
    },
    Remedy {
        name: "host-whitelist",
        words: &["HTTP 421"],
        found: "a server that is not to be called by the endpoint's name, such as etcd with --host-whitelist",
        todo: "add that name to --host-whitelist, or write one of those there into etcd_endpoints",
    },
    Remedy {
        name: "proxy",
        words: &[
            "asked for its version it answers HTTP 429",
            "asked for its version it answers HTTP 5",
            "which is no answer of etcd",
        ],
        found: "a proxy that reaches no etcd, or passes no more requests on",
        todo: "check that the etcd behind the proxy runs, and look into the proxy's log",
    },
    Remedy {
        name: "not-etcd",
        words: &[
            "what answers there is not etcd's gateway",
            "this is not etcd",
            "asked for its version it answers",
            "HTTP 30",
        ],
        found: "something that is not etcd, such as a proxy's page",
        todo: "correct etcd_endpoints, or let the proxy pass /version and /v3/ on",
    },
    Remedy {
        name: "watch-held-back",
        words: &["did not say that the watch stands"],
        found: "something in between that keeps streamed answers to itself",
        todo: "for nginx: proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h;",
    },
    Remedy {
        name: "name",
        words: &[
            "failed to lookup address",
            "Name does not resolve",
            "its name was not resolved in time",
            "host not found",
            "Name or service not known",
        ],
        found: "a name that is not known, or whose name server does not answer",
        todo: "check the name, /etc/resolv.conf and the name servers; a static build also needs an answer, even an empty one, to the question for IPv6",
    },
    Remedy {
        name: "refused",
        words: &["Connection refused"],
        found: "a host where nothing listens at this port",
        todo: "check that etcd runs, its --listen-client-urls and the port",
    },
    Remedy {
        name: "unreachable",
        words: &[
            "No route to host",
            "Network is unreachable",
            "Host is unreachable",
            "no connection in time",
        ],
        found: "a host that is not reached: down, or a firewall drops what is sent",
        todo: "check the network and the firewall between this host and etcd",
    },
    Remedy {
        name: "silent",
        words: &[
            "error code: CANCEL",
            "no answer in time",
            "request timed out",
            "context deadline exceeded",
        ],
        found: "a member that takes the request and does not answer: stopped, overloaded, or cut off from the others",
        todo: "check the health of the cluster, its disks and the network",
    },
    Remedy {
        name: "closed",
        words: &[
            "Peer disconnected",
            "Broken pipe",
            "Connection reset",
            "the stream ended",
        ],
        found: "a connection that was closed without an answer: a member that restarts, a proxy with a time limit, or a certificate or token that is refused without a word",
        todo: "look into the log of etcd, and of the proxy before it",
    },
];

/// The rows whose words are in an error's text, the most telling first.
pub fn remedies(text: &str) -> Vec<&'static Remedy> {
    let met = |remedy: &&Remedy| holds_any(text, remedy.words);
    REMEDIES.iter().filter(met).collect()
}

/// What an error comes down to, however its words change from one time to the next: the name of its most telling row, or its text.
pub fn cause(text: &str) -> &str {
    match remedies(text).first().map(|remedy| remedy.name) {
        // A refused client certificate is told in one way or the other, as it happens.
        Some(name) if name.starts_with("client-") => "client",
        Some(name) => name,
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_repeats_the_table() {
        let page = include_str!("../../../docs/etcd.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let table = REMEDIES
            .iter()
            .map(|row| format!("| `{}` | {} | {} |", row.name, row.found, row.todo));
        assert_eq!(rows, table.collect::<Vec<_>>());
    }

    #[test]
    fn words_that_change_do_not_change_the_cause_and_no_remedy_is_met_by_another_row() {
        let (alert, pipe) = (
            "io: received fatal alert: CertificateExpired",
            "io: Broken pipe (os error 32)",
        );
        assert_eq!(cause(alert), "client");
        assert_eq!(
            cause(&format!("{pipe} around the TLS handshake")),
            cause(alert)
        );
        assert_eq!(cause(pipe), "closed");
        assert_eq!(
            cause(&format!("http://a: {pipe}; http://b: {pipe}")),
            cause(pipe)
        );
        assert_eq!(cause("something new"), "something new");
        for row in REMEDIES {
            assert!(remedies(row.todo).is_empty(), "{}", row.todo);
        }
    }
}
