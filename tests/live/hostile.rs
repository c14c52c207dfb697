//! An etcd that is none: what it does to the daemon from its first word on, from the first request on, and when the daemon has
//! the turn in its hand. It is nothing but trouble, told in few words.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_rs_sync::Options;
use etcd_test_server::{Action, Cluster, Odd, Proxy, Rule};
use serde_json::Value;

use crate::host::{Host, LIMIT};
use crate::store::Store;

/// The most memory that a daemon ever had, in kilobytes. A development build has 16,000 before it is told anything.
const MEMORY_KB: u64 = 160_000;
/// How often etcd is asked before the daemon is judged: with the pauses of the defaults, 5 s and twice as long each time up to
/// a minute, that takes more than two minutes.
const ASKED: usize = 6;
/// Lines of warnings and errors meanwhile; what stays as it is, is said once.
const LINES: usize = 10;
/// How long SIGTERM takes. Most of it is the last word to etcd, and a busy machine.
const END: Duration = Duration::from_secs(3);

const PASSWORD: &str = "correct-horse-4711";

/// A daemon behind something hostile.
struct Daemon {
    host: Host,
    proxy: Proxy,
}

impl Daemon {
    fn new(cluster: &Cluster) -> Daemon {
        let proxy = Proxy::new(cluster.client_address(0));
        let host = Host::new("node-a", &[proxy.url()])
            .with("metrics", "{enabled: true, listen: 127.0.0.1:0}")
            .with("health_publish_interval_sec", "0.2")
            .with("etcd_timeout_sec", "0.5");
        Daemon { host, proxy }
    }

    /// Everything whose path begins so is answered oddly from now on.
    fn turns(&self, odd: Odd, path: &'static str) {
        self.proxy.rule(Rule {
            matches: Box::new(move |request| request.path.starts_with(path)),
            action: Action::Odd(odd),
            times: None,
        });
        self.proxy.cut_all();
    }

    /// Waits until it has asked often since then.
    fn is_refused(&self, before: usize) {
        let asked = || self.proxy.count("") >= before + ASKED;
        self.host.wait_until("requests", asked);
        self.host.wait_event("etcd_error");
    }

    fn get(&self, path: &str) -> String {
        let event = self.host.wait_event("metrics");
        let mut stream = TcpStream::connect(event["address"].as_str().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// It lives, blames etcd, is small and quiet, did nothing, and ends when it is told to.
    fn endured(mut self, what: &str) -> String {
        let what = format!("{what}; log:\n{}", self.host.log());
        assert_eq!(self.get("/healthz"), "ok\n", "{what}");
        let status: Value = serde_json::from_str(&self.get("/status.json")).unwrap();
        assert_eq!(status["etcd"]["reachable"], false, "{status} {what}");
        let why = status["etcd"]["error"].as_str().unwrap();
        assert!(!why.is_empty() && why.len() < 1500, "{why} {what}");
        assert!(self.get("/").contains("etcd"), "{what}");
        let memory = self.most_memory();
        println!("{memory} kB at most, {} requests", self.proxy.count(""));
        assert!(memory < MEMORY_KB, "{memory} kB, {what}");
        let troubles = self.troubles();
        let said: usize = troubles.iter().map(String::len).sum();
        assert!(troubles.len() <= LINES && said < 20_000, "{what}");
        assert_eq!(self.host.reboots(), 0, "{what}");
        let took = self.host.stop();
        assert!(took < END, "{took:?} {what}");
        self.host.log()
    }

    fn troubles(&self) -> Vec<String> {
        let events = self.host.events().into_iter();
        let troubles = events.filter(|event| event["level"] == "warn" || event["level"] == "error");
        troubles.map(|event| event.to_string()).collect()
    }

    fn most_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.host.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }
}

fn meet(odd: Odd) {
    let cluster = Cluster::single();
    let [mut first, mut second, mut third] = [(); 3].map(|()| Daemon::new(&cluster));
    third.host.touch("block-post-lock");
    third.host.start();
    third.host.wait_reached("post-lock");
    let before = third.proxy.count("");
    third.turns(odd, "/");
    third.host.remove("block-post-lock");
    first.turns(odd, "/");
    second.turns(odd, "/v3/");
    first.host.start();
    second.host.start();
    first.is_refused(0);
    first.endured("from its first word on");
    second.is_refused(0);
    second.endured("from the first request on");
    third.is_refused(before);
    third.endured("with the turn in hand");
    let store = Store::of(&cluster);
    assert_ne!(store.phase("node-a").as_deref(), Some("rebooting"));
}

macro_rules! met {
    ($($name:ident: $odd:ident),*) => {$(
        #[test]
        fn $name() {
            meet(Odd::$odd);
        }
    )*};
}

met!(
    silence: Silence,
    an_end_without_a_word: HangUp,
    garbage: Garbage,
    a_page_for_people: Html,
    a_bad_gateway: BadGateway,
    redirects: Redirect,
    an_endless_body: EndlessBody,
    endless_chunks: EndlessChunks,
    an_endless_head: EndlessHead,
    endless_interim_replies: EndlessInterim,
    a_slow_body: SlowBody,
    a_slow_head: SlowHead,
    much_that_nobody_reads: HugeAside,
    millions_of_pairs: HugeList,
    an_enormous_value: HugeValue,
    deep_nesting: Deep,
    other_types: WrongTypes,
    what_claims_to_be_compressed: Compressed,
    another_trouble_each_time: Changing,
    an_echo: Echo,
    an_echo_as_a_refused_login: EchoOfLogin,
    an_echo_in_a_head: EchoInHead
);

/// It would let every commit pass, and any number of nodes.
#[test]
fn a_yes_to_everything_ends_the_daemon() {
    let cluster = Cluster::single();
    let mut third = Daemon::new(&cluster);
    third.host.touch("block-post-lock");
    third.host.start();
    third.host.wait_reached("post-lock");
    let before = third.proxy.count("");
    third.turns(Odd::Yes, "/");
    third.host.remove("block-post-lock");
    third.is_refused(before);
    assert_eq!(third.host.reboots(), 0, "{}", third.host.log());
    assert!(third.host.stop() < END);
    for path in ["/", "/v3/"] {
        let mut daemon = Daemon::new(&cluster);
        daemon.turns(Odd::Yes, path);
        daemon.host.start();
        assert_eq!(
            daemon.host.wait_exit().code(),
            Some(1),
            "{}",
            daemon.host.log()
        );
        assert!(daemon.host.has_event("self_test_failed"));
        assert_eq!(daemon.host.reboots(), 0);
    }
}

/// Every second request fails, for ever.
#[test]
fn trouble_that_comes_and_goes_is_told_once() {
    let cluster = Cluster::single();
    let mut daemon = Daemon::new(&cluster);
    daemon.host.set("backoff_max_sec", "60");
    // A busy machine is late at times, and that is another trouble, told for itself.
    daemon.host.set("etcd_timeout_sec", "2");
    daemon.host.remove("required");
    let count = AtomicUsize::new(0);
    daemon.proxy.rule(Rule {
        matches: Box::new(move |request| {
            request.path == "/v3/kv/txn" && count.fetch_add(1, Ordering::SeqCst) % 2 == 1
        }),
        action: Action::Odd(Odd::BadGateway),
        times: None,
    });
    daemon.host.start();
    daemon.proxy.wait_for("/v3/kv/txn", 40, LIMIT);
    daemon.host.wait_event("etcd_error");
    // Beside what a pass comes to, which is told when it changes, once a check_interval_sec at most.
    let events = daemon.host.events();
    for event in ["etcd_error", "etcd_back", "report_failed"] {
        let told: Vec<_> = events.iter().filter(|it| it["event"] == event).collect();
        assert!(told.len() <= 2, "{event} in 40 requests: {told:#?}");
    }
    assert!(daemon.host.stop() < END);
}

/// The second endpoint is another cluster, where nobody has a claim.
#[test]
fn another_cluster() {
    let (ours, other) = (Cluster::single(), Cluster::single());
    Store::of(&ours).claim_of_another("other");
    let (near, far) = (
        Proxy::new(ours.client_address(0)),
        Proxy::new(other.client_address(0)),
    );
    let mut host = Host::new("node-a", &[near.url(), far.url()]);
    host.start();
    host.wait_event("queued");
    near.refuse();
    far.wait_for("/v3/", ASKED, LIMIT);
    let event = host.wait_event("etcd_error");
    host.wait_until("its verdict", || {
        host.log().contains("it belongs to the etcd cluster")
    });
    assert_eq!(host.reboots(), 0, "{event}");
    assert!(host.stop() < END);
    assert_eq!(Store::of(&other).list("/rc/"), []);
}

/// Password and token come back in nothing that anybody sees.
#[test]
fn an_echo_never_shows_a_password_or_a_token() {
    let cluster = Cluster::builder().auth("root-pw").start();
    cluster.add_user("rc", PASSWORD, "/rc");
    let mut root = Options::new(cluster.endpoints());
    root.auth = Some(("root".to_owned(), "root-pw".to_owned()));
    // So that it waits, and watches.
    Store::with(root).claim_of_another("other");
    for odd in [Odd::Echo, Odd::EchoOfLogin, Odd::EchoInHead] {
        for path in ["/v3/auth/", "/v3/kv/", "/v3/watch", "/v3/"] {
            let mut daemon = Daemon::new(&cluster);
            let file = daemon.host.path("password");
            fs::write(&file, PASSWORD).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let auth = format!("{{username: rc, password_file: {file:?}}}");
            daemon.host.set("etcd_auth", &auth);
            daemon.host.set("log", "{level: trace, format: json}");
            daemon.turns(odd, path);
            daemon.host.start();
            let asked = || daemon.proxy.count(path) >= 3;
            daemon.host.wait_until("requests", asked);
            let mut seen = daemon.host.log();
            for page in ["/", "/status.json", "/metrics"] {
                seen += &daemon.get(page);
            }
            for command in [&["status"][..], &["explain"], &["check-etcd"], &["history"]] {
                let output = daemon.host.command(command).output().unwrap();
                seen += &String::from_utf8_lossy(&output.stdout);
                seen += &String::from_utf8_lossy(&output.stderr);
            }
            for entry in fs::read_dir(daemon.host.path("run")).unwrap() {
                seen += &fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            }
            let requests = daemon.proxy.requests();
            let heads = requests.iter().flat_map(|request| request.head.lines());
            let tokens = heads
                .filter(|line| line.to_lowercase().starts_with("authorization:"))
                .map(|line| line[14..].trim().to_owned());
            let secrets: Vec<String> = tokens.chain([PASSWORD.to_owned()]).collect();
            assert_eq!(
                secrets.len() > 1,
                path != "/v3/auth/" && path != "/v3/",
                "{path}"
            );
            for secret in &secrets {
                assert!(!seen.contains(secret.as_str()), "{odd:?} {path}: {seen}");
            }
            assert_eq!(daemon.host.reboots(), 0);
            daemon.host.stop();
        }
    }
}
