//! Detectors that need a server.

use etcd_test_server::{Cluster, Tls};
use serde_json::Value;

use crate::host::Host;

/// What the one detector of a host says, run by `simulate`.
fn simulated(host: &Host) -> (String, String) {
    let output = host.command(&["simulate", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
    let text = |field: &str| {
        let value = report["detectors"][0][field].as_str();
        value.unwrap_or_default().to_owned()
    };
    (text("result"), text("detail"))
}

/// etcd's own health page is a JSON document over TLS.
#[test]
fn http_over_tls_trusts_the_given_authorities_and_no_others() {
    let cluster = Cluster::builder().tls(Tls::Server).start();
    let pki = cluster.pki();
    let mut host =
        Host::new("node-a", &cluster.endpoints()).with("etcd_endpoints", "['127.0.0.1:1']");
    let url = format!("{}/health", cluster.client_url(0));
    let mut asks = |authorities: &str| {
        let detector = format!(
            "[{{type: http, url: '{url}', pointer: /health, equals: 'true'{authorities}}}]"
        );
        host.set("reboot_required_detectors", &detector);
        simulated(&host)
    };
    let trusting = |path: &std::path::Path| format!(", tls_ca_file: '{}'", path.display());
    let (result, detail) = asks(&trusting(&pki.ca));
    assert_eq!(
        (result.as_str(), detail.as_str()),
        ("required", "/health is \"true\"")
    );
    for authorities in [trusting(&pki.other_ca), String::new()] {
        let (result, detail) = asks(&authorities);
        assert_eq!(result, "failed", "{detail}");
        assert!(!detail.is_empty());
    }
}
