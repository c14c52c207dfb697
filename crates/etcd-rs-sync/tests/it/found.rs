//! What is found at an endpoint, against the real thing: each row of the table of remedies is met here.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use etcd_rs_sync::{
    Client, Compare, Error, Etcd, Keys, Options, Put, Range, TlsOptions, Txn, probe, remedies,
};
use etcd_test_server::{Action, Builder, Cluster, Proxy, Rule, Tls, old_versions};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, date_time_ymd,
};

use crate::support::each_version;

/// A CA of this test, and what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn signed(
        &self,
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<u8>, Vec<u8>) {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(self.path(&format!("{name}.pem")), &pem).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        (pem.into_bytes(), key.serialize_pem().into_bytes())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions {
            ca_pem: Some(self.issuer.pem().into_bytes()),
            ..TlsOptions::default()
        }
    }

    /// A server with the certificate of this name, which asks for one of this CA when it is to.
    fn serve(&self, name: &str, asks: bool) -> Cluster {
        self.serve_with(name, asks, false)
    }

    /// The newest TLS, or 1.2: their alerts differ.
    fn serve_with(&self, name: &str, asks: bool, tls12: bool) -> Cluster {
        let version = if tls12 { "TLS1.2" } else { "TLS1.3" };
        self.prepare(name, asks)
            .arg(&format!("--tls-max-version={version}"))
            .start()
    }

    fn prepare(&self, name: &str, asks: bool) -> Builder {
        let ca = self.path("ca.pem");
        fs::write(&ca, self.issuer.pem()).unwrap();
        let mut builder = Cluster::builder()
            .tls(Tls::Server)
            .arg(&format!(
                "--cert-file={}",
                self.path(&format!("{name}.pem")).display()
            ))
            .arg(&format!(
                "--key-file={}",
                self.path(&format!("{name}.key")).display()
            ));
        if asks {
            builder = builder
                .arg("--client-cert-auth")
                .arg(&format!("--trusted-ca-file={}", ca.display()));
        }
        builder
    }
}

fn put(url: &str, tls: Option<TlsOptions>) -> Error {
    let mut options = Options::new([url]);
    (options.tls, options.timeout) = (tls, Duration::from_secs(2));
    let etcd = Client::new(options).unwrap();
    etcd.put(Put::new("k", "v", 0)).unwrap_err()
}

/// A load balancer takes connections that it can hand to nobody.
#[test]
fn a_probe_says_of_a_handshake_that_nobody_answers_that_it_was_not_answered() {
    let balancer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::new([format!("https://{}", balancer.local_addr().unwrap())]);
    options.tls = Some(Authority::new("ca").trusted());
    options.timeout = Duration::from_millis(200);
    let found = probe(&options).unwrap();
    is("silent", found.certificate.unwrap().unwrap_err());
}

/// The most telling row, and that the error tells what to do.
fn is(row: &str, error: Error) {
    let text = error.to_string();
    let met = remedies(&text);
    assert_eq!(met.first().map(|remedy| remedy.name), Some(row), "{text}");
    assert!(text.contains(met[0].todo), "{text}");
}

/// The way to a cluster under a name that is in the certificates.
fn through(cluster: &Cluster) -> (Proxy, String) {
    let proxy = Proxy::new(cluster.client_address(0));
    let url = proxy.url().replace("http:", "https:");
    (proxy, url)
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn past(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
}

#[test]
fn certificates_of_servers() {
    let (ours, other) = (Authority::new("ours"), Authority::new("theirs"));
    ours.signed("good", key(), |_| {});
    ours.signed("server-expired", key(), past);
    ours.signed("server-early", key(), |params| {
        (params.not_before, params.not_after) =
            (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    });
    ours.signed("server-name", key(), |params| {
        params.subject_alt_names = vec![SanType::DnsName("etcd.example".try_into().unwrap())];
    });
    ours.signed("server-ca", key(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    for row in ["server-expired", "server-early", "server-name", "server-ca"] {
        let server = ours.serve(row, false);
        let (_proxy, url) = through(&server);
        is(row, put(&url, Some(ours.trusted())));
    }
    let good = ours.serve("good", false);
    let (proxy, url) = through(&good);
    is("server-unknown", put(&url, Some(other.trusted())));
    let namesake = Authority::new("ours");
    is("server-unknown", put(&url, Some(namesake.trusted())));
    is("plain-to-tls", put(&proxy.url(), None));
    is(
        "plain-to-tls",
        put(&good.client_url(0).replace("https", "http"), None),
    );
    let auto = Cluster::builder()
        .tls(Tls::Server)
        .arg("--auto-tls")
        .arg("--cert-file=")
        .arg("--key-file=")
        .start();
    is("server-kind", put(auto.client_url(0), Some(ours.trusted())));
    let plain = Cluster::single();
    is(
        "tls-to-plain",
        put(
            &plain.client_url(0).replace("http", "https"),
            Some(ours.trusted()),
        ),
    );
}

#[test]
fn certificates_of_clients() {
    let (ours, other) = (Authority::new("ours"), Authority::new("theirs"));
    ours.signed("good", key(), |_| {});
    for tls12 in [false, true] {
        let asks = ours.serve_with("good", true, tls12);
        let (_proxy, url) = through(&asks);
        let with = |pair| {
            let tls = TlsOptions {
                client_pem: Some(pair),
                ..ours.trusted()
            };
            put(&url, Some(tls))
        };
        // The alert that says more may be lost with the connection.
        let refused = |row: &str, error: Error| {
            let text = error.to_string();
            let met = remedies(&text)[0].name;
            let vague = ["client-refused", "tls-to-plain", "server-kind"];
            assert!(
                met == row || vague[..2 + usize::from(tls12)].contains(&met),
                "{text}"
            );
            is(met, error);
        };
        refused("client-missing", put(&url, Some(ours.trusted())));
        refused("client-refused", with(other.signed("c", key(), |_| {})));
        refused("client-expired", with(ours.signed("c", key(), past)));
        let servers_only = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        refused(
            "client-refused",
            with(ours.signed("c", key(), servers_only)),
        );
    }
}

#[test]
fn another_store_than_before() {
    let (first, other) = (Cluster::single(), Cluster::single());
    let connect = |urls: &[&str]| {
        let mut options = Options::new(urls.iter().copied());
        options.timeout = Duration::from_secs(10);
        Client::new(options).unwrap()
    };
    let put = |etcd: &Client| etcd.put(Put::new("k", "v", 0));
    let one = connect(&[first.client_url(0)]);
    for _ in 0..5 {
        put(&one).unwrap();
    }
    let both = connect(&[first.client_url(0), other.client_url(0)]);
    both.range(Range::of(Keys::one("k"))).unwrap();
    first.lose_data(0);
    is("went-back", put(&one).unwrap_err());
    first.stop(0);
    is("other-cluster", put(&both).unwrap_err());
}

/// A port whose backlog is full, as a firewall that drops what is sent: whoever connects gets no answer.
fn port_without_an_answer() -> (String, Vec<TcpStream>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&at, Duration::from_millis(200));
    let standing = std::iter::from_fn(|| connect().ok()).collect();
    (format!("http://{at}"), standing, listener)
}

#[test]
fn addresses() {
    let cluster = Cluster::single();
    is("refused", put("http://127.0.0.1:1", None));
    let (url, _standing, _listener) = port_without_an_answer();
    is("unreachable", put(&url, None));
    is("name", put("http://no-such-host.invalid:1", None));
    for (row, action) in [("closed", Action::CutRequest), ("silent", Action::Swallow)] {
        let proxy = Proxy::new(cluster.client_address(0));
        proxy.rule(Rule::on("/v3/", action));
        is(row, put(&proxy.url(), None));
    }
    let mut peer = cluster.client_address(0);
    peer.set_port(peer.port() + 1);
    is("gateway-off", put(&format!("http://{peer}"), None));
    for body in ["<html>It works!</html>", "{}"] {
        let proxy = Proxy::new(cluster.client_address(0));
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        proxy.rule(Rule::on("/version", Action::Answer(page.into_bytes())));
        is("not-etcd", put(&proxy.url(), None));
    }
    for (row, path, status, body) in [
        ("proxy", "/version", "429 Too Many Requests", ""),
        ("proxy", "/version", "502 Bad Gateway", "<html>"),
        ("proxy", "/version", "503 Service Unavailable", ""),
        ("proxy", "/v3/", "503 Service Unavailable", ""),
        ("proxy", "/v3/", "502 Bad Gateway", "<html>"),
        ("proxy", "/v3/", "429 Too Many Requests", ""),
        ("proxy", "/v3/", "429 Too Many Requests", "<html>"),
        (
            "proxy",
            "/v3/",
            "503 Service Unavailable",
            "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
        ),
        (
            "proxy",
            "/v3/",
            "504 Gateway Time-out",
            "<html>\r\n<head><title>504 Gateway Time-out</title></head>",
        ),
        ("not-etcd", "/version", "301 Moved Permanently", ""),
        ("not-etcd", "/v3/", "301 Moved Permanently", ""),
        (
            "host-whitelist",
            "/version",
            "421 Misdirected Request",
            "etcd received your request",
        ),
        (
            "host-whitelist",
            "/v3/",
            "421 Misdirected Request",
            "etcd received your request",
        ),
        (
            "corrupt",
            "/v3/",
            "500 No",
            r#"{"message":"etcdserver: corrupt cluster","code":15}"#,
        ),
        (
            "learner",
            "/v3/",
            "503 No",
            r#"{"message":"etcdserver: rpc not supported for learner","code":14}"#,
        ),
    ] {
        let proxy = Proxy::new(cluster.client_address(0));
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        proxy.rule(Rule::on(path, Action::Answer(answer.into())));
        let error = put(&proxy.url(), None);
        assert!(!error.to_string().contains(": ;"), "{error}");
        is(row, error);
    }
    let proxy = Proxy::new(cluster.client_address(0));
    let denied = "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n";
    proxy.rule(Rule::on("/v3/", Action::Answer(denied.into())));
    is("not-etcd", put(&proxy.url(), None));
    let proxy = Proxy::new(cluster.client_address(0));
    proxy.rule(Rule::on(
        "/version",
        Action::Answer(b"\0\0\x12\x04\0\0\0\0\0".to_vec()),
    ));
    is("not-http", put(&proxy.url(), None));
    for version in old_versions() {
        let old = Cluster::builder().version(&version).start();
        is("old-version", put(old.client_url(0), None));
    }
}

#[test]
fn what_etcd_itself_refuses() {
    each_version(|version| {
        let without = Cluster::builder()
            .version(version)
            .arg("--enable-grpc-gateway=false")
            .start();
        is("gateway-off", put(without.client_url(0), None));
        let users = Cluster::builder().version(version).auth("root-pw").start();
        users.add_user("node", "pw", "own/");
        let read = |user: Option<(&str, &str)>| {
            let mut options = Options::new(users.endpoints());
            options.auth = user.map(|(name, password)| (name.to_owned(), password.to_owned()));
            let etcd = Client::new(options).unwrap();
            etcd.range(Range::of(Keys::one("other"))).unwrap_err()
        };
        is("login-needed", read(None));
        is("login-refused", read(Some(("node", "x"))));
        is("login-refused", read(Some(("nobody", "x"))));
        is("denied", read(Some(("node", "pw"))));
        let mutual = Cluster::builder().version(version).tls(Tls::Mutual);
        let mutual = mutual.auth("root-pw").start();
        let mut options = Options::new(mutual.endpoints());
        options.auth = Some(("root".to_owned(), "root-pw".to_owned()));
        options.tls = Some(TlsOptions {
            ca_pem: Some(mutual.pki().ca_pem()),
            client_pem: Some(mutual.pki().named_client.pem()),
            ..TlsOptions::default()
        });
        let etcd = Client::new(options).unwrap();
        is("common-name", etcd.put(Put::new("k", "v", 0)).unwrap_err());
        let full = Cluster::builder()
            .version(version)
            .arg("--quota-backend-bytes=33554432")
            .start();
        let etcd = Client::new(Options::new(full.endpoints())).unwrap();
        is(
            "limits",
            etcd.put(Put::new("k", vec![b'x'; 1_700_000], 0))
                .unwrap_err(),
        );
        let many = vec![Compare::create_revision(Keys::one("k"), 0); 200];
        let many = Txn {
            compares: many,
            ..Txn::default()
        };
        is("limits", etcd.txn(many).unwrap_err());
        let megabyte = vec![b'x'; 1_000_000];
        let error = (0..).find_map(|n| {
            etcd.put(Put::new(format!("k{n}"), megabyte.clone(), 0))
                .err()
        });
        is("no-space", error.unwrap());
        let all = etcd.range(Range::of(Keys::prefix("k")));
        is("too-long", all.unwrap_err());
    });
}
