//! Certificates: the right ones, the wrong ones, and files that are none.

use etcd_rs_sync::{Client, Error, Etcd, Keys, Options, Put, TlsOptions, WatchItem, WatchRequest};
use etcd_test_server::{Cluster, Tls};

use crate::support::{each_version, options, tls_options};

fn with(cluster: &Cluster, tls: TlsOptions) -> Client {
    Client::new(Options {
        tls: Some(tls),
        ..options(cluster)
    })
    .unwrap()
}

#[test]
fn only_the_right_ca_is_trusted() {
    each_version(|version| {
        let cluster = Cluster::builder()
            .version(version)
            .tls(Tls::Server)
            .fast_elections()
            .start();
        let right = TlsOptions {
            client_pem: None,
            ..tls_options(&cluster)
        };
        with(&cluster, right.clone())
            .put(Put::new("k", "1", 0))
            .unwrap();

        let wrong = TlsOptions {
            ca_pem: Some(cluster.pki().other_ca_pem()),
            ..right
        };
        let error = with(&cluster, wrong.clone())
            .put(Put::new("k", "2", 0))
            .unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");

        let anything = TlsOptions {
            insecure_skip_verify: true,
            ..wrong
        };
        with(&cluster, anything).put(Put::new("k", "3", 0)).unwrap();

        let plain = cluster.client_url(0).replace("https", "http");
        let error = Client::new(Options::new([plain]))
            .unwrap()
            .put(Put::new("k", "4", 0))
            .unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    });
}

#[test]
fn a_server_that_wants_a_client_certificate_gets_nothing_done_without_it() {
    each_version(|version| {
        let cluster = Cluster::builder()
            .version(version)
            .tls(Tls::Mutual)
            .fast_elections()
            .start();
        let right = tls_options(&cluster);
        with(&cluster, right.clone())
            .put(Put::new("k", "1", 0))
            .unwrap();
        let without = TlsOptions {
            client_pem: None,
            ..right.clone()
        };
        let foreign = TlsOptions {
            client_pem: Some(cluster.pki().other_client.pem()),
            ..right
        };
        for tls in [without, foreign] {
            let error = with(&cluster, tls).put(Put::new("k", "2", 0)).unwrap_err();
            // The first thing sent is the question for the version, so it is certain that nothing was written.
            assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
        }
    });
}

#[test]
fn files_that_cannot_be_used_are_found_before_anything_is_sent() {
    let cluster = Cluster::builder().tls(Tls::Mutual).start();
    let right = tls_options(&cluster);
    assert!(right.validate().is_ok());
    let (cert, key) = cluster.pki().client.pem();
    let (other_cert, _) = cluster.pki().other_client.pem();
    let garbage_der = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let broken_pem = b"-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n".to_vec();
    let cases = [
        (
            "no CA",
            TlsOptions {
                ca_pem: None,
                ..right.clone()
            },
        ),
        (
            "an empty CA file",
            TlsOptions {
                ca_pem: Some(Vec::new()),
                ..right.clone()
            },
        ),
        (
            "a CA file without a certificate",
            TlsOptions {
                ca_pem: Some(key.clone()),
                ..right.clone()
            },
        ),
        (
            "a CA that does not parse",
            TlsOptions {
                ca_pem: Some(garbage_der),
                ..right.clone()
            },
        ),
        (
            "broken PEM",
            TlsOptions {
                ca_pem: Some(broken_pem),
                ..right.clone()
            },
        ),
        (
            "another certificate's key",
            TlsOptions {
                client_pem: Some((other_cert, key.clone())),
                ..right.clone()
            },
        ),
        (
            "no key",
            TlsOptions {
                client_pem: Some((cert.clone(), cert.clone())),
                ..right.clone()
            },
        ),
        (
            "no certificate",
            TlsOptions {
                client_pem: Some((key.clone(), key)),
                ..right.clone()
            },
        ),
        (
            "nothing in either",
            TlsOptions {
                client_pem: Some((Vec::new(), Vec::new())),
                ..right
            },
        ),
    ];
    for (what, tls) in cases {
        let checked = tls.validate();
        assert!(
            matches!(checked, Err(Error::Setup { .. })),
            "{what}: {checked:?}"
        );
        let made = Client::new(Options {
            tls: Some(tls),
            ..options(&cluster)
        });
        assert!(matches!(made, Err(Error::Setup { .. })), "{what}");
    }
    let made = Client::new(Options {
        tls: None,
        ..options(&cluster)
    });
    assert!(
        matches!(made, Err(Error::Setup { .. })),
        "https without TLS options"
    );
}

#[test]
fn replaced_certificates_are_used_by_all_connections_and_old_ones_no_more() {
    each_version(|version| {
        let cluster = Cluster::builder()
            .version(version)
            .tls(Tls::Mutual)
            .fast_elections()
            .start();
        let right = tls_options(&cluster);
        let wrong = TlsOptions {
            client_pem: Some(cluster.pki().other_client.pem()),
            ..right.clone()
        };
        let etcd = with(&cluster, wrong.clone());
        let fork = etcd.fork().unwrap();
        let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
        assert!(fork.put(Put::new("k", "1", 0)).is_err());
        assert!(watch.next().is_some_and(|item| item.is_err()));
        assert_eq!(fork.tls(), Some(wrong.clone()));
        etcd.set_tls(right.clone()).unwrap();
        assert_eq!(fork.tls(), Some(right.clone()));
        fork.put(Put::new("k", "2", 0)).unwrap();
        while !matches!(watch.next(), Some(Ok(WatchItem::Connected { .. }))) {}
        // What cannot be used changes nothing.
        let (certificate, _) = cluster.pki().client.pem();
        let (_, key) = cluster.pki().other_client.pem();
        let torn = TlsOptions {
            client_pem: Some((certificate, key)),
            ..right
        };
        assert!(matches!(etcd.set_tls(torn), Err(Error::Setup { .. })));
        etcd.put(Put::new("k", "3", 0)).unwrap();
        // A connection that stands is not used with certificates that were taken away.
        etcd.set_tls(wrong).unwrap();
        assert!(fork.put(Put::new("k", "4", 0)).is_err());
        watch.stopper().stop();
        assert!(watch.next().is_none());
    });
}
