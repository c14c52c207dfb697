//! Certificates that are replaced on disk, and then the old ones end.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Options, TlsOptions};
use etcd_test_server::{CertFiles, Cluster, Proxy, Tls};

use crate::host::Host;
use crate::store::Store;

/// How long the first certificates are good: until everybody waits, and the look at the files, every ten seconds, is over.
const LIFETIME: Duration = Duration::from_secs(40);

fn host(name: &str, proxy: &Proxy, cluster: &Cluster, client: &CertFiles) -> Host {
    let tls = format!(
        "{{enabled: true, ca_file: {:?}, cert_file: {:?}, key_file: {:?}}}",
        cluster.pki().ca,
        client.cert,
        client.key
    );
    Host::new(name, &[format!("https://{}", proxy.address())]).with("etcd_tls", &tls)
}

fn session(store: &Store, node: &str) -> Option<String> {
    Some(store.claim(node)?["session"].as_str().unwrap().to_owned())
}

#[test]
fn certificates_replaced_before_the_old_ones_end_cost_no_place_and_no_restart() {
    let cluster = Cluster::builder().tls(Tls::Mutual).start();
    let pki = cluster.pki();
    let mut options = Options::new(cluster.endpoints());
    let tls = || TlsOptions {
        ca_pem: Some(pki.ca_pem()),
        client_pem: Some(pki.client.pem()),
        insecure_skip_verify: false,
    };
    options.tls = Some(tls());
    // A server that starts reads its files once, and ends when they do not fit together.
    Store::with(options.clone()).revision();
    let began = Instant::now();
    pki.renew(LIFETIME);
    options.tls = Some(tls());
    // One whose files are not replaced.
    let late = tempfile::tempdir().unwrap();
    let kept = CertFiles {
        cert: late.path().join("client.pem"),
        key: late.path().join("client-key.pem"),
    };
    fs::copy(&pki.client.cert, &kept.cert).unwrap();
    fs::copy(&pki.client.key, &kept.key).unwrap();
    let proxy = Proxy::new(cluster.client_address(0));
    let mut hosts = ["first", "second"].map(|name| host(name, &proxy, &cluster, &pki.client));
    let mut forgotten = host("forgotten", &proxy, &cluster, &kept);
    let store = Store::with(options.clone());
    store.claim_of_another("other");
    for host in hosts.iter_mut().chain([&mut forgotten]) {
        host.start();
        host.wait_event("queued");
    }
    let places = ["first", "second"].map(|name| session(&store, name).unwrap());
    assert!(began.elapsed() < LIFETIME, "this machine is too slow");
    pki.renew(Duration::from_secs(24 * 3600));
    for host in &hosts {
        host.wait_event("certificates_replaced");
    }
    // Until then the old ones are good: time itself is what is waited for.
    thread::sleep((LIFETIME + Duration::from_secs(2)).saturating_sub(began.elapsed()));
    proxy.cut_all();
    forgotten.wait_until("the refusal", || {
        forgotten
            .log()
            .contains("renew the certificate in cert_file")
    });
    // Each renewed its lease with the new ones: nobody's place is older than a TTL by then.
    options.tls = Some(tls());
    let store = Store::with(options);
    store.wait_gone("forgotten");
    assert_eq!(
        ["first", "second"].map(|name| session(&store, name).unwrap()),
        places
    );
    store.delete("/rc/claims/other");
    for host in &mut hosts {
        host.wait_until("the reboot command", || host.reboots() == 1);
        host.reboot();
        host.wait_event("released");
    }
    assert_eq!(forgotten.reboots(), 0);
}
