//! What the tests share.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Options, TlsOptions};
use etcd_test_server::{Cluster, Tls, Version, versions};

/// Long enough for a machine that runs all tests at once; no test waits it out.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test once for every version, in parallel. The name of the version is the thread's, and so in a panic's message.
pub(crate) fn each_version(test: impl Fn(&Version) + Sync) {
    let versions = versions();
    thread::scope(|scope| {
        for version in &versions {
            let test = &test;
            thread::Builder::new()
                .name(format!("etcd {version}"))
                .spawn_scoped(scope, move || test(version))
                .unwrap();
        }
    });
}

/// Runs a test once for every version, in plain HTTP and with TLS and client certificates.
pub(crate) fn each_version_and_tls(test: impl Fn(&Cluster) + Sync) {
    each_version(|version| {
        thread::scope(|scope| {
            for tls in [Tls::Off, Tls::Mutual] {
                let test = &test;
                thread::Builder::new()
                    .name(format!("etcd {version}, TLS {tls:?}"))
                    .spawn_scoped(scope, move || {
                        test(
                            &Cluster::builder()
                                .version(version)
                                .tls(tls)
                                .fast_elections()
                                .start(),
                        );
                    })
                    .unwrap();
            }
        });
    });
}

pub(crate) fn single(version: &Version) -> Cluster {
    Cluster::builder().version(version).fast_elections().start()
}

pub(crate) fn three(version: &Version) -> Cluster {
    Cluster::builder()
        .version(version)
        .members(3)
        .fast_elections()
        .start()
}

/// Options for every endpoint of a cluster, with its certificates.
pub(crate) fn options(cluster: &Cluster) -> Options {
    let mut options = Options::new(cluster.endpoints());
    options.timeout = Duration::from_secs(10);
    if cluster.client_url(0).starts_with("https") {
        options.tls = Some(tls_options(cluster));
    }
    options
}

pub(crate) fn tls_options(cluster: &Cluster) -> TlsOptions {
    TlsOptions {
        ca_pem: Some(fs::read(&cluster.pki().ca).unwrap()),
        client_pem: Some(cluster.pki().client.pem()),
        insecure_skip_verify: false,
    }
}

pub(crate) fn client(cluster: &Cluster) -> Client {
    Client::new(options(cluster)).unwrap()
}

/// A client of these endpoints, in plain HTTP.
pub(crate) fn client_of(endpoints: &[String], timeout: Duration) -> Client {
    let mut options = Options::new(endpoints);
    options.timeout = timeout;
    Client::new(options).unwrap()
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
