//! Endpoints where something else than a working member answers: the next one is asked, and what was found is known.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Error, Etcd, Keys, Put, Range, WatchItem, WatchRequest};
use etcd_test_server::{Action, Cluster, Proxy, Rule, old_versions};

use crate::support::{LIMIT, client, client_of, each_version, single};

fn html(status: &str) -> Action {
    let body = "<html><h1>no</h1></html>";
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Action::Answer((head + body).into_bytes())
}

/// A write, a read, a lease and a watch of a client whose first endpoint is of no use; what it knows of that one.
fn all_works(first: String, good: &Cluster) -> String {
    let etcd = client_of(&[first, good.client_url(0).to_owned()], LIMIT);
    etcd.put(Put::new("k", "v", 0)).unwrap();
    assert_eq!(etcd.range(Range::of(Keys::one("k"))).unwrap().count, 1);
    let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
    assert!(matches!(
        watch.next(),
        Some(Ok(WatchItem::Connected { .. }))
    ));
    watch.stopper().stop();
    let health = etcd.endpoints();
    assert!(
        health[1].failed.is_none() && health[1].version.is_some(),
        "{health:?}"
    );
    health[0].failed.clone().expect("it failed").1
}

#[test]
fn a_proxy_that_refuses_is_not_the_cluster() {
    let cluster = Cluster::single();
    for status in [
        "404 Not Found",
        "401 Unauthorized",
        "403 Forbidden",
        "407 Proxy Authentication Required",
        "302 Found",
        "502 Bad Gateway",
        "405 Method Not Allowed",
    ] {
        for path in ["/version", "/v3/"] {
            let proxy = Proxy::new(cluster.client_address(0));
            proxy.rule(Rule::on(path, html(status)));
            let etcd = client_of(&[proxy.url(), cluster.client_url(0).to_owned()], LIMIT);
            // It says for certain that it did nothing, or is asked for nothing but what may be repeated.
            assert_eq!(
                etcd.range(Range::of(Keys::one("k"))).unwrap().count,
                0,
                "{status}"
            );
            let failed = etcd.endpoints()[0].failed.clone().expect("it failed").1;
            assert!(
                failed.contains(&status[..3]) && failed.contains(&proxy.url()),
                "{failed}"
            );
        }
    }
}

#[test]
fn another_port_of_a_member_an_etcd_without_gateway_and_an_old_one_are_passed_over() {
    each_version(|version| {
        let good = single(version);
        let mut peer = good.client_address(0);
        peer.set_port(peer.port() + 1);
        let failed = all_works(format!("http://{peer}"), &good);
        assert!(failed.contains("404"), "{failed}");
        let without = Cluster::builder()
            .version(version)
            .arg("--enable-grpc-gateway=false")
            .start();
        let failed = all_works(without.client_url(0).to_owned(), &good);
        assert!(failed.contains("404"), "{failed}");
    });
    let good = Cluster::single();
    for version in old_versions() {
        let old = Cluster::builder().version(&version).start();
        let failed = all_works(old.client_url(0).to_owned(), &good);
        assert!(failed.contains("3.4 or later is needed"), "{failed}");
    }
}

#[test]
fn what_one_connection_learns_all_know() {
    let cluster = Cluster::single();
    let silent = Proxy::new(cluster.client_address(0));
    silent.freeze();
    let etcd = client_of(&[silent.url(), cluster.client_url(0).to_owned()], LIMIT);
    etcd.grant(5, 60).unwrap();
    let last_word = etcd.fork_within(Duration::from_millis(700)).unwrap();
    let began = Instant::now();
    last_word.revoke(5).unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(600),
        "{:?}",
        began.elapsed()
    );
    let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
    assert!(matches!(
        watch.next(),
        Some(Ok(WatchItem::Connected { .. }))
    ));
    silent.thaw();
    // One that knows nothing yet still has time for the second.
    let fresh = Proxy::new(cluster.client_address(0));
    fresh.freeze();
    let etcd = client_of(&[fresh.url(), cluster.client_url(0).to_owned()], LIMIT);
    let last_word = etcd.fork_within(Duration::from_millis(800)).unwrap();
    let revoked = last_word.revoke(5);
    assert!(matches!(revoked, Err(Error::LeaseNotFound)), "{revoked:?}");
    fresh.thaw();
}

/// As etcd 3.4.22 and some later ones do when they should say that the token is not known.
#[test]
fn a_connection_that_is_closed_without_an_answer_costs_the_token() {
    each_version(|version| {
        let cluster = Cluster::builder()
            .version(version)
            .auth("root-pw")
            .fast_elections()
            .start();
        cluster.add_user("node", "pw", "own/");
        let proxy = Proxy::new(cluster.client_address(0));
        let mut options = etcd_rs_sync::Options::new([proxy.url()]);
        (options.timeout, options.auth) = (LIMIT, Some(("node".into(), "pw".into())));
        let etcd = Client::new(options).unwrap();
        etcd.put(Put::new("own/k", "1", 0)).unwrap();
        let token = |request: &etcd_test_server::HttpRequest| {
            let line = request
                .head
                .lines()
                .find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
            line.map(str::to_owned)
        };
        let old = proxy
            .requests()
            .iter()
            .rev()
            .find_map(token)
            .expect("a token was sent");
        cluster.etcdctl(&["auth", "disable"]);
        cluster.etcdctl(&["auth", "enable"]);
        proxy.rule(Rule {
            matches: Box::new(move |request| token(request).as_deref() == Some(old.as_str())),
            action: Action::CutRequest,
            times: None,
        });
        let lost = etcd.put(Put::new("own/k", "2", 0));
        assert!(
            matches!(lost, Err(Error::OutcomeUnknown { .. })),
            "{lost:?}"
        );
        etcd.put(Put::new("own/k", "3", 0)).unwrap();
        let mut watch = etcd.watch(WatchRequest::new(Keys::prefix("own/"))).unwrap();
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { .. }))
        ));
    });
}

/// A member that was stopped for a while may answer one read as of before.
#[test]
fn one_older_answer_is_no_verdict_on_the_store() {
    each_version(|version| {
        let cluster = single(version);
        let direct = client(&cluster);
        for _ in 0..3 {
            direct.put(Put::new("k", "v", 0)).unwrap();
        }
        let header = direct.range(Range::of(Keys::one("k"))).unwrap().header;
        let body = format!(
            r#"{{"header":{{"cluster_id":"{}","member_id":"{}","revision":"1","raft_term":"2"}}}}"#,
            header.cluster_id, header.member_id
        );
        let reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for direct_second in [false, true] {
            let proxy = Proxy::new(cluster.client_address(0));
            let mut endpoints = vec![proxy.url()];
            endpoints.extend(direct_second.then(|| cluster.client_url(0).to_owned()));
            let etcd = client_of(&endpoints, LIMIT);
            etcd.range(Range::of(Keys::one("k"))).unwrap();
            proxy.rule(Rule::on("kv/range", Action::Answer(reply.clone().into_bytes())).times(1));
            let read = etcd.range(Range::of(Keys::one("k"))).unwrap();
            assert_eq!((read.count, etcd.distrust()), (1, None));
            // Two of them are one.
            proxy.rule(Rule::on("kv/range", Action::Answer(reply.clone().into_bytes())).times(2));
            let read = etcd.range(Range::of(Keys::one("k")));
            assert_eq!(read.is_ok(), direct_second, "{read:?}");
            assert_eq!(etcd.distrust().is_some(), !direct_second);
        }
    });
}

/// The store went back and is away again, as while it is restored: what fails at once is not asked again and again.
#[test]
fn a_doubt_that_nobody_can_settle_is_no_busy_loop() {
    let cluster = Cluster::single();
    let direct = client_of(&[cluster.client_url(0).to_owned()], LIMIT);
    direct.put(Put::new("k", "v", 0)).unwrap();
    let header = direct.range(Range::of(Keys::one("k"))).unwrap().header;
    let older = format!(
        r#"{{"header":{{"cluster_id":"{}","member_id":"{}","revision":"1"}}}}"#,
        header.cluster_id, header.member_id
    );
    let proxy = Proxy::new(cluster.client_address(0));
    let etcd = client_of(&[proxy.url()], LIMIT);
    etcd.range(Range::of(Keys::one("k"))).unwrap();
    let answer = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    proxy.rule(Rule::on("kv/range", Action::Answer(answer("200 OK", &older))).times(1));
    proxy.rule(Rule::on(
        "kv/range",
        Action::Answer(answer("502 Bad Gateway", "")),
    ));
    for asked in [3, 4] {
        let failed = etcd.range(Range::of(Keys::one("k"))).unwrap_err();
        assert!(failed.to_string().contains("502"), "{failed}");
        assert_eq!(proxy.count("kv/range"), asked);
    }
    assert_eq!(etcd.distrust(), None);
}

/// Something that holds back what is streamed, and something that sends nothing but white space.
#[test]
fn a_watch_that_nobody_confirms_is_none_and_silence_is_counted_in_messages() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    proxy.rule(Rule::on("/v3/watch", Action::Drip(String::new())));
    let etcd = client_of(&[proxy.url()], Duration::from_millis(500));
    let mut watch = etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap();
    let began = Instant::now();
    let said = watch.next().expect("it goes on").unwrap_err().to_string();
    assert!(said.contains("did not say that the watch stands"), "{said}");
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());

    let address: SocketAddr = cluster.client_address(0);
    let proxy = Proxy::new(address);
    let created =
        r#"{"result":{"header":{"cluster_id":"1","member_id":"2","revision":"9"},"created":true}}"#;
    proxy.rule(Rule::on("/v3/watch", Action::Drip(format!("{created}\n"))));
    let etcd = client_of(&[proxy.url()], LIMIT);
    let mut watch = etcd
        .watch(WatchRequest {
            silence_limit: Duration::from_millis(300),
            ..WatchRequest::new(Keys::one("k"))
        })
        .unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { revision: 9 }))
        ));
    }
    let elapsed = began.elapsed();
    assert!(
        elapsed > Duration::from_millis(550) && elapsed < LIMIT / 2,
        "{elapsed:?}"
    );
}
