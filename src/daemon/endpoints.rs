//! What the connections of this process learnt of each etcd endpoint: for the log, the metrics and `status --verbose`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd_rs_sync::{EndpointHealth, cause};

use super::threads::lock;
use crate::observe::hold_back::HoldBack;
use crate::observe::metrics::Metrics;
use crate::status::{Endpoint, Revisions, since_boot};

/// One that worked for so long and fails again is news again.
const WORKS: Duration = Duration::from_secs(60);

/// Shared by the connections, which learn, and by what shows it.
pub(super) struct Endpoints {
    metrics: Arc<Metrics>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    revisions: Revisions,
}

/// One endpoint. What is shown changes when it begins to work or to fail, or fails otherwise, and not with every request.
struct Seen {
    shown: Endpoint,
    /// Since when it works or fails.
    since: Instant,
    /// The causes that the log has, since it worked for long.
    told: HoldBack,
}

impl Endpoints {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Endpoints> {
        Arc::new(Endpoints {
            metrics,
            began: Instant::now(),
            state: Mutex::default(),
        })
    }

    /// What is to be shown of each.
    pub(super) fn shown(&self) -> Vec<Endpoint> {
        let state = lock(&self.state);
        state.seen.iter().map(|seen| seen.shown.clone()).collect()
    }

    /// How far their store had come when.
    pub(super) fn revisions(&self) -> Revisions {
        lock(&self.state).revisions.clone()
    }

    /// Their store has come so far. A silent node is late after `patience`.
    pub(super) fn saw(&self, revision: i64, patience: Duration) {
        if revision > 0 {
            let revisions = &mut lock(&self.state).revisions;
            revisions.saw(revision, since_boot(), patience);
        }
    }

    /// A request has ended.
    pub(super) fn learn(&self, health: &[EndpointHealth]) {
        self.metrics.endpoints(health);
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.seen);
        let some_work = health.iter().any(|it| it.answered.is_some() && !it.fails);
        for now in health {
            let known = before.iter().position(|it| it.shown.url == now.url);
            let known = known.map(|at| before.swap_remove(at));
            let mut next = Seen::of(now, known);
            // When none works, that is told of the request.
            if some_work {
                next.tell(now, self.began.elapsed());
            }
            state.seen.push(next);
        }
    }
}

impl Seen {
    fn of(now: &EndpointHealth, known: Option<Seen>) -> Seen {
        let shown = Endpoint::of(now);
        let Some(mut known) = known else {
            return Seen {
                shown,
                since: Instant::now(),
                told: HoldBack::default(),
            };
        };
        let why = |endpoint: &Endpoint| {
            let failed = endpoint.failed.as_ref().filter(|_| endpoint.fails);
            failed.map(|(_, why)| cause(why).to_owned())
        };
        let (turned, old) = (shown.fails != known.shown.fails, why(&known.shown));
        if turned && shown.fails && known.since.elapsed() >= WORKS {
            known.told = HoldBack::default();
        }
        if turned {
            known.since = Instant::now();
        }
        let asked_first = known.shown.answered.is_none() && shown.answered.is_some();
        // Only what fails has a cause.
        if asked_first || why(&shown) != old || shown.version != known.shown.version {
            known.shown = shown;
        }
        known
    }

    /// One line a cause, and one when it answers again.
    fn tell(&mut self, now: &EndpointHealth, at: Duration) {
        let url = &now.url;
        let failed = now.failed.as_ref().filter(|_| now.fails);
        if let Some((_, why)) = failed {
            let cause = cause(why);
            // Once, and every hour for as long as it lasts.
            if self.told.should_log(cause, "", at) {
                log::warn!(event = "etcd_endpoint", endpoint = url.as_str(), cause; "the etcd endpoint {url} is passed over, others are asked: {why}");
            }
        } else if now.answered.is_some()
            && self.told != HoldBack::default()
            && self.since.elapsed() >= WORKS
        {
            self.told = HoldBack::default();
            log::info!(event = "etcd_endpoint_back", endpoint = url.as_str(); "the etcd endpoint {url} answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use log::LevelFilter;

    use super::*;
    use crate::daemon::tests::lab::Lab;
    use crate::daemon::tests::logged::{hush, listen, said};

    fn health(url: &str, answered: bool, failed: Option<&str>, fails: bool) -> EndpointHealth {
        let now = Instant::now();
        EndpointHealth {
            url: url.to_owned(),
            version: None,
            date: None,
            answered: answered.then_some(now),
            failed: failed.map(|why| (now, why.to_owned())),
            fails,
        }
    }

    fn endpoints() -> Arc<Endpoints> {
        Endpoints::new(Arc::new(Metrics::new("1", "abc", [])))
    }

    #[test]
    fn what_is_shown_changes_with_the_cause_and_not_with_the_words() {
        let _what_is_logged = Lab::new();
        let endpoints = endpoints();
        let (good, refused) = (health("http://a", true, None, false), "Connection refused");
        let bad = |why: &str| health("http://b", false, Some(why), true);
        endpoints.learn(&[good.clone(), bad(&format!("{refused} at one time"))]);
        let first = endpoints.shown();
        assert!(first[1].fails && !first[0].fails && first[0].answered.is_some());
        endpoints.learn(&[good.clone(), bad(&format!("{refused} at another"))]);
        assert_eq!(endpoints.shown(), first);
        endpoints.learn(&[good.clone(), bad("404 page not found")]);
        let why = endpoints.shown()[1].failed.clone().unwrap().1;
        assert!(why.contains("404"), "{why}");
        // Back: what it was stays to be read.
        let back = health("http://b", true, Some("404 page not found"), false);
        endpoints.learn(&[good.clone(), back]);
        let shown = endpoints.shown();
        assert!(!shown[1].fails && shown[1].failed.is_some());
        // Another configuration: what is not asked any more is gone.
        endpoints.learn(std::slice::from_ref(&good));
        assert_eq!(endpoints.shown().len(), 1);
    }

    #[test]
    fn a_store_that_told_its_revision_was_seen() {
        let endpoints = endpoints();
        for none in [0, -1] {
            endpoints.saw(none, WORKS);
            assert_eq!(endpoints.revisions(), Revisions::default());
        }
        endpoints.saw(1, WORKS);
        assert_ne!(endpoints.revisions(), Revisions::default());
    }

    #[test]
    fn what_is_shown_changes_with_the_first_answer_and_the_version() {
        let endpoints = endpoints();
        let answered = |seconds: u64, version: &str| EndpointHealth {
            answered: Some(Instant::now() - Duration::from_secs(seconds)),
            version: Some(version.to_owned()),
            ..health("http://a", true, None, false)
        };
        let seen = |health: EndpointHealth| {
            endpoints.learn(&[health]);
            endpoints.shown().remove(0)
        };
        assert_eq!(seen(health("http://a", false, None, false)).answered, None);
        let first = seen(answered(50, "3.5.16"));
        assert!(first.answered.is_some());
        assert_eq!(seen(answered(10, "3.5.16")), first);
        let later = seen(answered(0, "3.5.17"));
        assert_eq!(later.version.as_deref(), Some("3.5.17"));
        assert_ne!(later.answered, first.answered);
        // Nobody has asked for its version yet.
        let endpoints = self::endpoints();
        for answered in [false, true] {
            endpoints.learn(&[health("http://a", answered, None, false)]);
            assert_eq!(endpoints.shown()[0].answered.is_some(), answered);
        }
    }

    #[test]
    fn one_that_fails_and_one_that_is_back_for_a_minute_are_said_once_while_others_work() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Info);
        let endpoints = endpoints();
        let good = health("http://a", true, None, false);
        let learn = |fails: bool| {
            let why = fails.then_some("Connection refused");
            endpoints.learn(&[good.clone(), health("http://b", true, why, fails)]);
        };
        let told = |event: &str, fails: bool| {
            learn(fails);
            learn(fails);
            said(event)
        };
        let minute_passes = || {
            let mut state = lock(&endpoints.state);
            for seen in &mut state.seen {
                seen.since -= WORKS;
            }
        };
        assert_eq!(told("etcd_endpoint", true), 1);
        // It comes and goes.
        assert_eq!(told("etcd_endpoint_back", false), 0);
        assert_eq!(told("etcd_endpoint", true), 0);
        learn(false);
        minute_passes();
        assert_eq!(told("etcd_endpoint_back", false), 1);
        assert_eq!(told("etcd_endpoint", true), 1);
        // Nobody had a request in the minute in which it worked.
        learn(false);
        minute_passes();
        assert_eq!(told("etcd_endpoint", true), 1);
        // One that fails for a minute is still the same.
        minute_passes();
        assert_eq!(told("etcd_endpoint", true), 0);
        hush();
    }

    #[test]
    fn when_none_works_that_is_said_of_the_request_and_not_of_each() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Info);
        let endpoints = endpoints();
        let bad = |url: &str, answered| health(url, answered, Some("Connection refused"), true);
        let unasked = health("http://c", false, None, false);
        endpoints.learn(&[bad("http://a", true), bad("http://b", false), unasked]);
        assert_eq!(said("etcd_endpoint"), 0);
        hush();
    }

    #[test]
    fn one_cause_is_one_line_however_often_others_come_between() {
        let mut lab = Lab::new();
        listen(&mut lab, LevelFilter::Info);
        let endpoints = endpoints();
        let good = health("http://a", true, None, false);
        for round in 0..50 {
            for why in ["Connection refused", "404 page not found"] {
                let why = format!("{why}, try {round}");
                endpoints.learn(&[good.clone(), health("http://b", false, Some(&why), true)]);
            }
        }
        assert_eq!(said("etcd_endpoint"), 2);
        hush();
    }
}
