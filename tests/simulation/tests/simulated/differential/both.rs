//! One real etcd and one simulated, which get the same requests.

use std::time::Duration;

use etcd_rs_sync::{
    Client, Delete, Error, Etcd, Event, EventKind, Header, KeyValue, Keys, OpReply, Options, Put,
    Range, Reply, Request, TxnReply, WatchItem, WatchRequest,
};
use etcd_test_server::Cluster;
use simulation::etcd::{Change, FakeEtcd};

use super::draw::LEASES;
use super::old::Translator;

/// How much of a TTL may have passed on the real server, which has a clock. The random requests ask for far more.
const PASSED_SEC: i64 = 300;

/// Whose events end a history; the random requests do not touch it.
const MARKER: &str = "z";

pub(crate) struct Both {
    client: Client,
    pub(crate) fake: FakeEtcd,
    /// Requests answered with a reply.
    pub(crate) replies: usize,
    /// Requests answered with an error.
    pub(crate) errors: usize,
    histories: usize,
    version: String,
    seed: u64,
    /// The requests since the start of the sequence.
    asked: Vec<Request>,
    /// The revision before the sequence.
    since: i64,
    _translator: Option<Translator>,
}

impl Both {
    /// The server must be fresh: revisions are compared as they are.
    pub(crate) fn new(server: &Cluster) -> Both {
        let old = server.version().number() < (3, 4, 0);
        let translator = old.then(|| Translator::new(server.client_address(0)));
        let endpoints = match &translator {
            Some(translator) => vec![translator.url()],
            None => server.endpoints(),
        };
        let mut options = Options::new(endpoints);
        // What is compared is answers; a disk that stalls is none.
        options.timeout = Duration::from_secs(60);
        Both {
            client: Client::new(options).unwrap(),
            fake: FakeEtcd::default(),
            replies: 0,
            errors: 0,
            histories: 0,
            version: server.version().to_string(),
            seed: 0,
            asked: Vec::new(),
            since: 0,
            _translator: translator,
        }
    }

    /// Begins a sequence: no keys, no leases; the revisions go on.
    pub(crate) fn start(&mut self, seed: u64) {
        self.seed = seed;
        self.asked.clear();
        for id in LEASES {
            self.call(&Request::Revoke { id });
        }
        self.call(&Request::Delete(Delete::of(Keys::prefix(""))));
        self.asked.clear();
        self.since = self.fake.revision();
    }

    /// Asks both.
    ///
    /// # Panics
    /// When their answers differ.
    pub(crate) fn call(&mut self, request: &Request) {
        self.asked.push(request.clone());
        if let Some(difference) = self.difference(request) {
            self.fail(&difference);
        }
    }

    /// Asks both; how their answers differ.
    pub(crate) fn difference(&mut self, request: &Request) -> Option<String> {
        let real = plain(self.client.call(request));
        let fake = plain(self.fake.apply(0, request));
        match &real {
            Ok(_) => self.replies += 1,
            Err(_) => self.errors += 1,
        }
        (real != fake).then(|| format!("real      {real:?}\nsimulated {fake:?}"))
    }

    /// Whether the real lease has ended.
    pub(crate) fn is_gone(&self, id: i64) -> bool {
        self.client
            .time_to_live(id, false)
            .unwrap()
            .ttl_sec
            .is_none()
    }

    pub(crate) fn compare_contents(&mut self) {
        self.call(&Request::Range(Range::of(Keys::prefix(""))));
        for id in LEASES {
            self.call(&Request::TimeToLive { id, keys: true });
        }
    }

    /// Every change since the start of the sequence, unless some were compacted: a watch tells what the simulation logged.
    pub(crate) fn compare_history(&mut self) {
        self.call(&Request::Put(Put::new(MARKER, "", 0)));
        let Some(changes) = self.fake.changes_from(self.since + 1) else {
            return;
        };
        let expected: Vec<Event> = changes
            .iter()
            .map(|change| of_all_versions(event(change, changes)))
            .collect();
        let mut watch = self
            .client
            .watch(WatchRequest {
                start_revision: self.since + 1,
                prev_kv: true,
                ..WatchRequest::new(Keys::prefix(""))
            })
            .unwrap();
        let mut told: Vec<Event> = Vec::new();
        while told
            .last()
            .is_none_or(|last| last.kv.key != MARKER.as_bytes())
        {
            match watch.next() {
                Some(Ok(WatchItem::Connected { .. })) => {}
                Some(Ok(WatchItem::Events(batch))) => {
                    told.extend(batch.events.into_iter().map(of_all_versions));
                }
                other => self.fail(&format!("the watch says {other:?}")),
            }
        }
        let most = told.len().max(expected.len());
        if let Some(at) = (0..most).find(|at| told.get(*at) != expected.get(*at)) {
            self.fail(&format!(
                "history, event {at}\nreal      {:?}\nsimulated {:?}",
                told.get(at),
                expected.get(at)
            ));
        }
        self.histories += 1;
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{} replies, {} errors and {} histories agree",
            self.replies, self.errors, self.histories
        )
    }

    fn fail(&self, difference: &str) -> ! {
        let asked: Vec<String> = self.asked.iter().map(|r| format!("  {r:?}")).collect();
        panic!(
            "etcd {} and the simulated one differ:\n{}\n{difference}\n\
             DIFFERENTIAL_SEED={} cargo test --package simulation --test differential",
            self.version,
            asked.join("\n"),
            self.seed
        );
    }
}

/// What can be compared: without the cluster's ids and its clock, errors by their kind, code and words.
fn plain(answer: Result<Reply, Error>) -> Result<Reply, String> {
    let mut reply = answer.map_err(|error| match error {
        // Its HTTP status is 412 on some versions and 400 on others.
        Error::Rejected { code, message, .. } => format!("rejected: {code} {message}"),
        other => format!("{other:?}"),
    })?;
    match &mut reply {
        Reply::Range(range) => anonymous(&mut range.header),
        Reply::Put(put) => anonymous(&mut put.header),
        Reply::Delete(delete) => anonymous(&mut delete.header),
        Reply::Txn(txn) => plain_txn(txn),
        Reply::Grant(grant) => anonymous(&mut grant.header),
        Reply::Revoke(header) | Reply::Compact(header) => anonymous(header),
        Reply::KeepAlive(renewal) => anonymous(&mut renewal.header),
        Reply::TimeToLive(life) => {
            anonymous(&mut life.header);
            life.keys.sort();
            let granted = life.granted_ttl_sec;
            let alike = |left: &i64| (granted - PASSED_SEC..=granted).contains(left);
            if life.ttl_sec.as_ref().is_some_and(alike) {
                life.ttl_sec = Some(granted);
            }
        }
        Reply::Status(_) | Reply::Members(_) => {}
    }
    Ok(reply)
}

fn plain_txn(txn: &mut TxnReply) {
    anonymous(&mut txn.header);
    for reply in &mut txn.replies {
        match reply {
            OpReply::Range(range) => anonymous(&mut range.header),
            OpReply::Put(put) => anonymous(&mut put.header),
            OpReply::Delete(delete) => anonymous(&mut delete.header),
            OpReply::Txn(nested) => plain_txn(nested),
        }
    }
}

fn anonymous(header: &mut Header) {
    *header = Header {
        revision: header.revision,
        ..Header::default()
    };
}

fn event(change: &Change, all: &[Change]) -> Event {
    // The pair before is that of the revision before, also for the second of two changes that one transaction made.
    let first = all
        .iter()
        .find(|other| (other.revision, &other.key) == (change.revision, &change.key));
    let deleted = KeyValue {
        key: change.key.clone(),
        mod_revision: change.revision,
        ..KeyValue::default()
    };
    Event {
        kind: match change.after {
            Some(_) => EventKind::Put,
            None => EventKind::Delete,
        },
        kv: change.after.clone().unwrap_or(deleted),
        prev_kv: first.and_then(|first| first.before.clone()),
    }
}

/// A pair that was deleted and created in one revision has one before for 3.3, and none for later versions.
fn of_all_versions(mut event: Event) -> Event {
    if event.kv.version == 1 {
        event.prev_kv = None;
    }
    event
}
