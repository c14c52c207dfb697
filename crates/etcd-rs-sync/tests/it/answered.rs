//! Single answers written by hand, between those of a real etcd: what one of them costs, and what it does not.

use std::thread;
use std::time::{Duration, Instant};

use etcd_rs_sync::{
    Client, Error, Etcd, Keys, Options, Put, Range, Watch, WatchItem, WatchRequest,
};
use etcd_test_server::{Action, Cluster, Gate, Proxy, Rule, Tls};

use crate::support::{LIMIT, client_of, tls_options};

const HEADER: &str = r#""header":{"cluster_id":"1","member_id":"2","revision":"5"}"#;

fn answer(status: &str, body: &str) -> Action {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    Action::Answer((head + body).into_bytes())
}

fn created() -> String {
    format!("{{\"result\":{{{HEADER},\"created\":true}}}}\n")
}

/// Where a user gets the tokens `t1` and `t2`, one after the other.
fn with_tokens(cluster: &Cluster, timeout: Duration) -> (Proxy, Client) {
    let proxy = Proxy::new(cluster.client_address(0));
    for token in ["t1", "t2"] {
        let body = format!(r#"{{{HEADER},"token":"{token}"}}"#);
        proxy.rule(Rule::on("/v3/auth/authenticate", answer("200 OK", &body)).times(1));
    }
    let mut options = Options::new([proxy.url()]);
    (options.timeout, options.auth) = (timeout, Some(("node".into(), "pw".into())));
    (proxy, Client::new(options).unwrap())
}

fn watch(etcd: &Client) -> Watch {
    etcd.watch(WatchRequest::new(Keys::one("k"))).unwrap()
}

fn connects(watch: &mut Watch) {
    let item = watch.next();
    assert!(
        matches!(item, Some(Ok(WatchItem::Connected { .. }))),
        "{item:?}"
    );
}

#[test]
fn a_denied_permission_is_no_reason_for_another_token() {
    let cluster = Cluster::single();
    let (proxy, etcd) = with_tokens(&cluster, LIMIT);
    let denied = r#"{"error":"etcdserver: permission denied","code":7}"#;
    proxy.rule(Rule::on("/v3/kv/put", answer("403 Forbidden", denied)));
    let error = etcd.put(Put::new("k", "v", 0)).unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert_eq!((proxy.count("authenticate"), proxy.count("kv/put")), (1, 1));
}

#[test]
fn a_login_without_a_leader_says_so() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let leaderless = r#"{"error":"etcdserver: no leader","code":14}"#;
    proxy.rule(Rule::on(
        "authenticate",
        answer("503 Service Unavailable", leaderless),
    ));
    let mut options = Options::new([proxy.url()]);
    options.auth = Some(("node".into(), "pw".into()));
    let error = Client::new(options).unwrap().put(Put::new("k", "v", 0));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no leader"), "{error}");
}

#[test]
fn the_oldest_version_with_what_is_needed_is_good_enough() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let version = r#"{"etcdserver":"3.4.0","etcdcluster":"3.4.0"}"#;
    proxy.rule(Rule::on("/version", answer("200 OK", version)));
    let etcd = client_of(&[proxy.url()], LIMIT);
    etcd.put(Put::new("k", "v", 0)).unwrap();
}

#[test]
fn requests_that_are_refused_together_get_one_new_token() {
    let cluster = Cluster::builder().auth("root-pw").fast_elections().start();
    cluster.add_user("node", "pw", "own/");
    let proxy = Proxy::new(cluster.client_address(0));
    let mut options = Options::new([proxy.url()]);
    (options.timeout, options.auth) = (LIMIT, Some(("node".into(), "pw".into())));
    let etcd = Client::new(options).unwrap();
    etcd.put(Put::new("own/a", "1", 0)).unwrap();
    // One is on its way with the old token while another learns that it is not good any more.
    let (gate, fork) = (Gate::new(), etcd.fork().unwrap());
    proxy.rule(Rule::on("b3duL2I=", Action::HoldUntil(gate.clone())).times(1)); // own/b
    let late = thread::spawn(move || fork.put(Put::new("own/b", "1", 0)));
    proxy.wait_for("b3duL2I=", 1, LIMIT);
    cluster.etcdctl(&["auth", "disable"]);
    cluster.etcdctl(&["auth", "enable"]);
    etcd.put(Put::new("own/a", "2", 0)).unwrap();
    assert_eq!(proxy.count("authenticate"), 2);
    gate.open();
    late.join().unwrap().unwrap();
    assert_eq!(proxy.count("authenticate"), 2);
}

#[test]
fn only_a_stream_that_ends_before_it_began_costs_a_watch_its_token() {
    let cluster = Cluster::single();
    let (proxy, etcd) = with_tokens(&cluster, Duration::from_secs(2));
    proxy.rule(Rule::on("/v3/watch", answer("200 OK", &created())).times(1));
    proxy.rule(Rule::on("/v3/watch", Action::Swallow).times(1));
    proxy.rule(Rule::on("/v3/watch", answer("200 OK", "")).times(1));
    proxy.rule(Rule::on("/v3/watch", Action::Drip(created())));
    let request = WatchRequest {
        silence_limit: Duration::from_millis(300),
        ..WatchRequest::new(Keys::one("k"))
    };
    let mut watch = etcd.watch(request).unwrap();
    connects(&mut watch);
    assert!(watch.next().unwrap().is_err(), "it ended");
    assert!(
        watch.next().unwrap().is_err(),
        "it was not answered in time"
    );
    assert_eq!(proxy.count("authenticate"), 1);
    assert!(watch.next().unwrap().is_err(), "it ended before it began");
    connects(&mut watch);
    assert_eq!(proxy.count("authenticate"), 2);
}

#[test]
fn a_watch_whose_token_is_refused_fetches_one_and_says_nothing() {
    let cluster = Cluster::single();
    let (proxy, etcd) = with_tokens(&cluster, LIMIT);
    let refused = r#"{"error":"etcdserver: invalid auth token","code":16}"#;
    proxy.rule(Rule::on("/v3/watch", answer("401 Unauthorized", refused)).times(1));
    proxy.rule(Rule::on("/v3/watch", Action::Drip(created())));
    connects(&mut watch(&etcd));
    assert_eq!(proxy.count("authenticate"), 2);
}

#[test]
fn a_watch_goes_on_behind_the_revision_at_which_it_was_made() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    proxy.rule(Rule::on("/v3/watch", answer("200 OK", &created())));
    let mut watch = watch(&client_of(&[proxy.url()], LIMIT));
    connects(&mut watch);
    assert_eq!(watch.next_revision(), 6);
    assert!(watch.next().unwrap().is_err(), "it ended");
    // The iterator does the same as the call.
    assert!(Iterator::next(&mut watch).unwrap().is_ok());
    assert!(
        proxy
            .requests()
            .last()
            .unwrap()
            .contains(r#""start_revision":"6""#)
    );
}

#[test]
fn a_watch_that_is_refused_is_tried_elsewhere() {
    let cluster = Cluster::single();
    let refusing = Proxy::new(cluster.client_address(0));
    let denied = r#"{"error":"etcdserver: permission denied","code":7}"#;
    refusing.rule(Rule::on("/v3/watch", answer("403 Forbidden", denied)));
    let endpoints = [refusing.url(), cluster.client_url(0).to_owned()];
    let mut watch = watch(&client_of(&endpoints, LIMIT));
    let item = watch.next();
    assert!(
        matches!(item, Some(Err(Error::PermissionDenied { .. }))),
        "{item:?}"
    );
    connects(&mut watch);
}

#[test]
fn a_stream_that_lived_makes_the_next_pause_a_short_one() {
    let cluster = Cluster::single();
    let proxy = Proxy::new(cluster.client_address(0));
    let failures = 6;
    proxy.rule(Rule::on("/v3/watch", answer("502 Bad Gateway", "")).times(failures));
    proxy.rule(Rule::on("/v3/watch", Action::Drip(created())));
    let mut watch = watch(&client_of(&[proxy.url()], LIMIT));
    for _ in 0..failures {
        assert!(watch.next().unwrap().is_err());
    }
    connects(&mut watch);
    thread::scope(|scope| {
        // As long as it takes to count as one that lived.
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(2200));
            proxy.cut_all();
        });
        assert!(watch.next().unwrap().is_err());
    });
    let began = Instant::now();
    connects(&mut watch);
    // After one failure more it would be 1.6 s at least.
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_cluster_that_is_slow_and_not_gone_is_reached() {
    let cluster = Cluster::single();
    let proxies = [0, 1].map(|_| Proxy::new(cluster.client_address(0)));
    for proxy in &proxies {
        proxy.rule(Rule::on(
            "/v3/kv/range",
            Action::Hold(Duration::from_millis(1300)),
        ));
    }
    let etcd = client_of(&proxies.each_ref().map(Proxy::url), LIMIT);
    let began = Instant::now();
    etcd.range(Range::of(Keys::one("k"))).unwrap();
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
}

#[test]
fn a_watch_leaves_a_member_that_does_not_shake_hands_with_time_for_another() {
    let cluster = Cluster::builder().tls(Tls::Mutual).fast_elections().start();
    let mute = Proxy::new(cluster.client_address(0));
    mute.freeze();
    let mute_url = mute.url().replace("http://", "https://");
    let mut options = Options::new([mute_url, cluster.client_url(0).to_owned()]);
    options.timeout = Duration::from_secs(6);
    options.tls = Some(tls_options(&cluster));
    let mut watch = watch(&Client::new(options).unwrap());
    let began = Instant::now();
    assert!(watch.next().unwrap().is_err());
    assert!(
        began.elapsed() < Duration::from_millis(5500),
        "{:?}",
        began.elapsed()
    );
    connects(&mut watch);
    mute.thaw();
}

#[test]
fn what_is_printed_names_endpoints_and_states() {
    let etcd = client_of(&["http://127.0.0.1:1".to_owned()], LIMIT);
    assert!(format!("{etcd:?}").contains("http://127.0.0.1:1"));
    let watch = watch(&etcd);
    assert!(format!("{watch:?}").contains("next_revision: 0"));
    assert!(format!("{:?}", watch.stopper()).contains("stopped: false"));
}
