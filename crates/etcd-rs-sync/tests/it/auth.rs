//! Users, rights, and tokens that stop being good.

use std::thread;
use std::time::Duration;

use etcd_rs_sync::{
    Client, Delete, Error, Etcd, Keys, Op, Options, Put, Range, Txn, WatchItem, WatchRequest,
};
use etcd_test_server::{Action, Cluster, Proxy, Rule, Version, default_version};

use crate::support::{LIMIT, each_version, options};

const PASSWORD: &str = "s3cret-of-node";

fn cluster(version: &Version) -> Cluster {
    let cluster = Cluster::builder()
        .version(version)
        .auth("root-pw")
        .fast_elections()
        .start();
    cluster.add_user("node", PASSWORD, "own/");
    cluster
}

fn as_user(mut options: Options, user: &str, password: &str) -> Client {
    options.auth = Some((user.to_owned(), password.to_owned()));
    Client::new(options).unwrap()
}

/// Disabling authentication makes the server forget every token. (A restart does not: it finds them in its log.)
fn forget_tokens(cluster: &Cluster) {
    cluster.etcdctl(&["auth", "disable"]);
    cluster.etcdctl(&["auth", "enable"]);
}

fn through(proxy: &Proxy) -> Options {
    let mut options = Options::new([proxy.url()]);
    options.timeout = LIMIT;
    options
}

#[test]
fn a_user_may_do_what_its_role_allows_and_nothing_else() {
    each_version(|version| {
        let cluster = cluster(version);
        let etcd = as_user(options(&cluster), "node", PASSWORD);
        etcd.grant(9, 60).unwrap();
        etcd.put(Put::new("own/k", "v", 9)).unwrap();
        assert_eq!(etcd.keep_alive(9).unwrap().ttl_sec, Some(60));
        assert_eq!(
            etcd.range(Range::of(Keys::prefix("own/"))).unwrap().count,
            1
        );
        let denied = [
            etcd.put(Put::new("other", "v", 0)).map(|_| ()),
            etcd.range(Range::of(Keys::one("other"))).map(|_| ()),
            etcd.delete(Delete::of(Keys::prefix(""))).map(|_| ()),
            // Rights on both branches are needed, whichever runs.
            etcd.txn(Txn {
                failure: vec![Op::Put(Put::new("other", "v", 0))],
                ..Txn::default()
            })
            .map(|_| ()),
        ];
        for result in denied {
            assert!(
                matches!(result, Err(Error::PermissionDenied { .. })),
                "{result:?}"
            );
        }
        etcd.revoke(9).unwrap();
    });
}

#[test]
fn no_user_or_a_wrong_password_is_a_definite_error_without_the_password() {
    each_version(|version| {
        let cluster = cluster(version);
        let nobody = Client::new(options(&cluster)).unwrap();
        let wrong = as_user(options(&cluster), "node", "wrong-pw");
        let unknown = as_user(options(&cluster), "nosuch", "wrong-pw");
        for etcd in [nobody, wrong, unknown] {
            let error = etcd.put(Put::new("own/k", "v", 0)).unwrap_err();
            assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
            assert!(error.is_definite());
            assert!(!format!("{error} {error:?} {etcd:?}").contains("wrong-pw"));
        }
    });
}

#[test]
fn a_token_that_stops_being_good_is_renewed_once_and_the_request_repeated_once() {
    each_version(|version| {
        let cluster = cluster(version);
        let proxy = Proxy::new(cluster.client_address(0));
        let etcd = as_user(through(&proxy), "node", PASSWORD);
        let fork = etcd.fork().unwrap();
        etcd.put(Put::new("own/k", "1", 0)).unwrap();
        fork.put(Put::new("own/k", "2", 0)).unwrap();
        assert_eq!(proxy.count("authenticate"), 1, "forks share the token");

        etcd.grant(9, 60).unwrap();
        forget_tokens(&cluster);
        assert_eq!(etcd.put(Put::new("own/k", "3", 0)).unwrap().prev_kv, None);
        fork.put(Put::new("own/k", "4", 0)).unwrap();
        assert_eq!(proxy.count("authenticate"), 2);
        assert_eq!(
            proxy.count("kv/put"),
            5,
            "one of five was refused and sent again"
        );

        let kv = etcd
            .range(Range::of(Keys::one("own/k")))
            .unwrap()
            .kvs
            .remove(0);
        assert_eq!((kv.value, kv.version), (b"4".to_vec(), 4));
    });
}

/// As a firewall does that has forgotten the connection: what comes before a request is asked again on another.
#[test]
fn a_connection_forgotten_while_idle_costs_neither_the_version_nor_the_login() {
    let cluster = cluster(&default_version());
    let proxy = Proxy::new(cluster.client_address(0));
    let etcd = as_user(through(&proxy), "node", PASSWORD);
    let fork = etcd.fork().unwrap();
    let put = |etcd: &Client| etcd.put(Put::new("own/k", "v", 0));
    let cut = |path: &str| proxy.rule(Rule::on(path, Action::CutRequest).times(1));
    // The fork loses version and token for both.
    let lose = || {
        put(&etcd).unwrap();
        put(&fork).unwrap();
        cut("kv/put");
        put(&fork).unwrap_err();
    };
    for paths in [
        &["/version"][..],
        &["authenticate"],
        &["/version", "authenticate"],
    ] {
        lose();
        paths.iter().for_each(|path| cut(path));
        put(&etcd).unwrap();
    }
    // A new connection that is closed is no idle one.
    lose();
    let before = proxy.count("/version");
    proxy.rule(Rule::on("/version", Action::CutRequest));
    let lost = put(&etcd).unwrap_err();
    assert!(matches!(lost, Error::NotSent { .. }), "{lost:?}");
    assert_eq!(proxy.count("/version"), before + 2);
}

#[test]
fn another_password_is_used_at_the_next_login() {
    each_version(|version| {
        let cluster = cluster(version);
        let becomes = |password: &str| {
            cluster.etcdctl(&["user", "delete", "node"]);
            cluster.etcdctl(&["user", "add", &format!("node:{password}")]);
            cluster.etcdctl(&["user", "grant-role", "node", "node"]);
        };
        let etcd = as_user(options(&cluster), "node", PASSWORD);
        let fork = etcd.fork().unwrap();
        etcd.put(Put::new("own/k", "1", 0)).unwrap();
        etcd.set_auth("node".to_owned(), "new".to_owned());
        fork.put(Put::new("own/k", "2", 0)).unwrap(); // by its token
        becomes("new");
        fork.put(Put::new("own/k", "3", 0)).unwrap();
        becomes("newer");
        let error = etcd.put(Put::new("own/k", "4", 0)).unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        etcd.set_auth("node".to_owned(), "newer".to_owned());
        etcd.put(Put::new("own/k", "5", 0)).unwrap();
        assert_eq!(etcd.auth().unwrap().1, "newer");
    });
}

#[test]
fn every_way_of_refusing_a_token_leads_to_one_renewal() {
    each_version(|version| {
        let cluster = cluster(version);
        for (status, code, words) in [
            ("401 Unauthorized", 16, "etcdserver: invalid auth token"),
            (
                "400 Bad Request",
                3,
                "etcdserver: revision of auth store is old",
            ),
            ("400 Bad Request", 3, "etcdserver: user name is empty"),
        ] {
            let proxy = Proxy::new(cluster.client_address(0));
            let body = format!(r#"{{"error":"{words}","message":"{words}","code":{code}}}"#);
            let reply = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let etcd = as_user(through(&proxy), "node", PASSWORD);
            proxy.rule(Rule::on("kv/put", Action::Answer(reply.clone().into_bytes())).times(1));
            etcd.put(Put::new("own/k", "v", 0)).unwrap();
            assert_eq!(
                (proxy.count("kv/put"), proxy.count("authenticate")),
                (2, 2),
                "{words}"
            );

            // When the new one is refused as well, it stays at that.
            proxy.rule(Rule::on("kv/put", Action::Answer(reply.into_bytes())));
            let error = etcd.put(Put::new("own/k", "v", 0)).unwrap_err();
            assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
            assert_eq!(
                (proxy.count("kv/put"), proxy.count("authenticate")),
                (4, 3),
                "{words}"
            );
        }
    });
}

#[test]
fn authentication_may_be_enabled_under_a_running_client() {
    each_version(|version| {
        let cluster = Cluster::builder().version(version).fast_elections().start();
        let etcd = as_user(options(&cluster), "root", "root-pw");
        etcd.put(Put::new("k", "1", 0)).unwrap();
        cluster.etcdctl(&["user", "add", "root:root-pw"]);
        cluster.etcdctl(&["role", "add", "root"]);
        cluster.etcdctl(&["user", "grant-role", "root", "root"]);
        cluster.etcdctl(&["auth", "enable"]);
        etcd.put(Put::new("k", "2", 0)).unwrap();
        assert!(
            Client::new(options(&cluster))
                .unwrap()
                .put(Put::new("k", "3", 0))
                .is_err()
        );
    });
}

#[test]
fn a_watch_needs_rights_says_so_and_does_not_spin() {
    each_version(|version| {
        let cluster = cluster(version);
        let proxy = Proxy::new(cluster.client_address(0));
        let etcd = as_user(through(&proxy), "node", PASSWORD);
        let mut watch = etcd
            .watch(WatchRequest::new(Keys::prefix("other/")))
            .unwrap();
        let started = std::time::Instant::now();
        for _ in 0..5 {
            let item = watch.next().unwrap();
            assert!(
                matches!(item, Err(Error::PermissionDenied { .. })),
                "{item:?}"
            );
        }
        // Pauses of at least 25, 50, 100 and 200 ms lie between five attempts.
        assert!(started.elapsed() >= Duration::from_millis(375));
        assert_eq!(proxy.count("/v3/watch"), 5);
    });
}

#[test]
fn a_watch_that_is_stopped_before_it_stands_does_not_cost_the_token() {
    each_version(|version| {
        let cluster = cluster(version);
        let proxy = Proxy::new(cluster.client_address(0));
        proxy.rule(Rule::on("/v3/watch", Action::Swallow));
        let etcd = as_user(through(&proxy), "node", PASSWORD);
        let mut watch = etcd.watch(WatchRequest::new(Keys::prefix("own/"))).unwrap();
        let stop = watch.stopper();
        let waiting = thread::spawn(move || watch.next().is_none());
        proxy.wait_for("/v3/watch", 1, LIMIT);
        stop.stop();
        assert!(waiting.join().unwrap());
        etcd.put(Put::new("own/k", "v", 0)).unwrap();
        assert_eq!(proxy.count("authenticate"), 1);
    });
}

#[test]
fn a_watch_gets_a_new_token_without_a_word() {
    each_version(|version| {
        let cluster = cluster(version);
        let proxy = Proxy::new(cluster.client_address(0));
        let etcd = as_user(through(&proxy), "node", PASSWORD);
        let mut watch = etcd.watch(WatchRequest::new(Keys::prefix("own/"))).unwrap();
        assert!(matches!(
            watch.next(),
            Some(Ok(WatchItem::Connected { .. }))
        ));
        forget_tokens(&cluster);
        proxy.cut_all();
        etcd.put(Put::new("own/k", "v", 0)).unwrap();
        loop {
            match watch.next().unwrap() {
                Ok(WatchItem::Events(batch)) => {
                    assert_eq!(batch.events[0].kv.key, b"own/k");
                    assert_eq!(proxy.count("authenticate"), 2);
                    return;
                }
                // The cut itself is told; that the token was refused is not.
                Ok(_) | Err(Error::OutcomeUnknown { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    });
}

/// Something between that repeats what it was sent, in whatever it answers.
#[test]
fn an_echo_never_brings_the_password_or_the_token_into_an_error() {
    let cluster = cluster(&etcd_test_server::default_version());
    let reply = |status: &str, body: &str| {
        let length = body.len();
        Action::Answer(
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes(),
        )
    };
    for status in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "500 Internal Server Error",
        "200 OK",
    ] {
        for body in [
            PASSWORD.to_owned(),
            format!("{{\"message\":\"you sent {PASSWORD}\",\"code\":3}}"),
            format!("{{\"error\":\"{PASSWORD}\",\"code\":16}}"),
            format!("{{\"token\":{{\"password\":\"{PASSWORD}\"}}}}"),
            format!("{{\"token\":\"{PASSWORD} with space\"}}"),
        ] {
            let proxy = Proxy::new(cluster.client_address(0));
            proxy.rule(Rule::on("/v3/auth/authenticate", reply(status, &body)));
            let etcd = as_user(through(&proxy), "node", PASSWORD);
            let error = etcd.put(Put::new("own/k", "v", 0)).unwrap_err();
            let mut shown = format!("{error} {error:?} {:?}", etcd.endpoints());
            let mut watch = etcd.watch(WatchRequest::new(Keys::one("own/k"))).unwrap();
            shown += &format!("{:?}", watch.next());
            assert!(!shown.contains(PASSWORD), "{status} {body}: {shown}");
        }
    }
    let proxy = Proxy::new(cluster.client_address(0));
    proxy.rule(Rule::on(
        "/v3/auth/authenticate",
        reply("200 OK", "{\"token\":\"geheim.7\"}"),
    ));
    let echo = reply(
        "400 Bad Request",
        "{\"message\":\"header Authorization: geheim.7\",\"code\":3}",
    );
    proxy.rule(Rule::on("/v3/", echo));
    let etcd = as_user(through(&proxy), "node", PASSWORD);
    for _ in 0..2 {
        let error = etcd.put(Put::new("own/k", "v", 0)).unwrap_err();
        let shown = format!("{error} {error:?} {:?}", etcd.endpoints());
        assert!(!shown.contains("geheim.7"), "{shown}");
    }
}
